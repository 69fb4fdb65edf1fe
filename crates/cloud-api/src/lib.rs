//! The only crate that speaks to Meta.
//!
//! Out: [`client`] posts what [`messages`] builds and reads every answer as an
//! [`Outcome`]; [`media`] uploads and remembers ids; [`account`] reads numbers and
//! templates. In: [`signature`] checks raw bytes, [`webhooks`] reads whatever comes.
//! [`error_codes`] says what each Graph code means, one line a code.

pub mod account;
pub mod client;
pub mod error_codes;
pub mod media;
pub mod messages;
pub mod options;
pub mod signature;
pub mod webhooks;
mod words;

pub use client::{CallError, CloudApi, Outcome};
pub use media::MediaCache;
pub use options::Options;
