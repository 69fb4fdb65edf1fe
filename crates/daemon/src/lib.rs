//! The process: its parts, its loops under one supervisor, and what needs both.
//!
//! Errors are `anyhow`'s here, as in the binary: whoever meets one tells a person and an exit code.

mod clocks;
mod copies;
mod foresight;
mod http;
pub mod interrupt;
mod keepers;
mod keeping;
pub mod loops;
mod notify;
pub mod number_keeper;
pub mod parts;
mod plan;
mod preflight;
mod pulls;
mod rebuild;
mod repair;
mod replay;
pub mod run;
mod sampler;
pub mod send_test;
mod serve;
mod supervise;
pub mod template_keeper;
mod tenants;
mod token;
mod uploads;

pub use plan::replan;
pub use rebuild::rebuild;
pub use repair::repair;
pub use replay::{replay, replay_unread};
pub use tenants::serve_all;

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Plans each morning, keeps templates and numbers, lets go of what is old.
    Scheduler,
    Sender,
    /// Takes webhooks, and merges what they say.
    Receiver,
}

impl Role {
    pub const ALL: [Role; 3] = [Role::Scheduler, Role::Sender, Role::Receiver];
}
