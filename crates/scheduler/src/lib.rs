//! When: intake, plan, capacity, the daily loop
