//! The only crate that speaks to Meta.
//!
//! Out: [`client`] posts what [`messages`] builds and reads every answer as an
//! [`domain::Outcome`]; [`media`] uploads and remembers ids; [`account`] reads numbers and
//! templates, [`management`] hands templates in. In: [`signature`] checks raw bytes, [`webhooks`] reads whatever comes.
//! [`error_codes`] says what each Graph code means, one line a code.

pub mod account;
pub mod client;
pub mod error_codes;
pub mod management;
pub mod media;
pub mod messages;
mod meta;
pub mod options;
pub mod signature;
pub mod webhooks;

pub use client::{CallError, CloudApi};
pub use media::MediaCache;
pub use meta::{Meta, MetaWebhooks};
pub use options::Options;
