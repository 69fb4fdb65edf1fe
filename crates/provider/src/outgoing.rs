//! The way out: messages and the media in them.

use std::error::Error;
use std::path::Path;

use async_trait::async_trait;
use domain::outbound::MediaKind;
use domain::{NumberId, Outbound, Outcome, Timestamp};

/// What a provider can do beyond plain template messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// A status brings our own tag back: it names its attempt by itself.
    pub tags: bool,
    /// Files are uploaded once and named by ids of one number.
    pub media_ids: bool,
    /// It may take a message and keep it back until its quality is known.
    pub holds: bool,
}

/// A file that a provider has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uploaded {
    /// As one number sends it.
    pub id: String,
    /// Of the content, lower-case hex.
    pub sha256: String,
}

/// Why a call other than a send gave no answer.
#[derive(Debug, thiserror::Error)]
#[error("{source}")]
pub struct ProviderError {
    /// The object that the call names was refused, not the account, the number or the token:
    /// others may go.
    pub is_about_the_object: bool,
    pub source: Box<dyn Error + Send + Sync>,
}

/// One set of credentials with one provider.
#[async_trait]
pub trait Outgoing: Send + Sync {
    /// As in configuration and metrics: `meta`.
    fn name(&self) -> &'static str;

    fn capabilities(&self) -> Capabilities;

    /// The request's body; the same bytes for the same message.
    fn render(&self, outbound: Outbound<'_>) -> Vec<u8>;

    /// Posts one body. Never fails: every way it can go is an [`Outcome`], and nothing is tried
    /// again by itself.
    async fn send(&self, number: &NumberId, body: Vec<u8>) -> Outcome;

    /// What a code means, in words for people.
    fn meaning(&self, code: i32) -> &'static str;

    /// A local file's id for one number; uploads the file when no id is young enough.
    ///
    /// # Errors
    /// When the provider would not take the file, or does not answer.
    async fn media_id(
        &self,
        number: &NumberId,
        kind: MediaKind,
        file: &Path,
        now: Timestamp,
    ) -> Result<Uploaded, ProviderError>;

    /// Whether the provider knows this id as one of this number.
    ///
    /// # Errors
    /// When it does not answer, or refuses more than this id.
    async fn knows_media(&self, number: &NumberId, id: &str) -> Result<bool, ProviderError>;
}
