//! The ledger's calls, written once for engines whose rows can be read and written in
//! place under exclusion: `model` under its lock, `sqlite` inside a write transaction.

mod deliveries;
mod rolling;
mod rows;
mod runs;

pub use self::deliveries::{
    amend, amend_one, apply, claim, intent, is_of_a_later_day, must_end_waiting, new_claim, note,
    release, result, sooner, sweep,
};
pub use self::rolling::{append, by_keys, there, to_people};
pub use self::rows::{Rows, change_run, readable_run, say_damaged};
pub use self::runs::{
    add_lanes, begin_run, discard, doubt_rows, new_record, plan_chunk, purge, reopen, reopened,
    seal, swap_cell, unplanned_from, why_kept, with_lanes,
};
