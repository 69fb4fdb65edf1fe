//! What a text parameter may hold.
//!
//! A new line, a tab or more than four spaces in a row make Cloud API refuse the whole
//! message with 132018; Meta does not document it, many have met it. We turn them into
//! single spaces, which is what a person would do, and refuse what no cleaning can mend.

/// Longest parameter: the whole rendered body must stay within 1,024 characters (132005).
pub const PARAM_CHARS_MAX: usize = 1_024;
/// Consecutive spaces that Meta still takes.
const SPACES_MAX: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CleanError {
    #[error("is empty, and Cloud API refuses empty parameters (132000)")]
    Empty,
    #[error("has {0} characters, at most 1024 fit into a body (132005)")]
    TooLong(usize),
    #[error("holds a control character that cannot be shown (132018)")]
    Control,
}

/// The text as Cloud API takes it; the same text when nothing was wrong.
///
/// # Errors
/// When it is empty, too long or holds control characters other than line breaks and tabs.
pub fn clean(text: &str) -> Result<String, CleanError> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Err(CleanError::Empty);
    }
    let mut out = String::with_capacity(trimmed.len());
    let mut spaces = 0;
    let mut breaking = false;
    for c in trimmed.chars() {
        match c {
            '\n' | '\r' | '\t' | '\u{0b}' | '\u{0c}' | '\u{2028}' | '\u{2029}' => breaking = true,
            ' ' => spaces += 1,
            c if c.is_control() => return Err(CleanError::Control),
            c => {
                let gap = if breaking { 1 } else { fitting(spaces) };
                out.extend(std::iter::repeat_n(' ', gap));
                (spaces, breaking) = (0, false);
                out.push(c);
            }
        }
    }
    let chars = out.chars().count();
    if chars > PARAM_CHARS_MAX { Err(CleanError::TooLong(chars)) } else { Ok(out) }
}

/// Runs of spaces that Meta refuses become one.
fn fitting(spaces: usize) -> usize {
    if spaces > SPACES_MAX { 1 } else { spaces }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_cleaned_of_what_132018_refuses() {
        let cases = [
            ("plain", "Asha", "Asha"),
            ("new line", "NIFTY up\nSENSEX up", "NIFTY up SENSEX up"),
            ("windows line and indent", "a\r\n    b", "a b"),
            ("tab", "a\tb", "a b"),
            ("four spaces are fine", "a    b", "a    b"),
            ("five are not", "a     b", "a b"),
            ("outer space", "  Asha \n", "Asha"),
            ("Devanagari", "नमस्ते\nआशा", "नमस्ते आशा"),
        ];
        for (name, text, want) in cases {
            assert_eq!(clean(text).as_deref(), Ok(want), "{name}");
            assert_eq!(clean(want).as_deref(), Ok(want), "{name}: cleaning twice");
        }
    }

    #[test]
    fn what_cannot_be_mended_is_refused() {
        assert_eq!(clean(" \n\t"), Err(CleanError::Empty));
        assert_eq!(clean(&"x".repeat(1_025)), Err(CleanError::TooLong(1_025)));
        assert_eq!(clean("a\u{7}b"), Err(CleanError::Control));
    }
}
