//! Now: pace, intent, attempt, decide, settle
