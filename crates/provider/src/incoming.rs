//! The way in: webhooks.

use domain::event::Event;
use secrecy::SecretString;

/// Why a body was not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSignature {
    #[error("no {header} header of the form {form}")]
    Missing { header: &'static str, form: &'static str },
    #[error(
        "the signature does not match: the app secret differs, or the body was changed on the way"
    )]
    Mismatch,
}

/// A signed body that cannot be read at all.
#[derive(Debug, thiserror::Error)]
#[error("webhook body of {bytes} bytes cannot be read: {why}")]
pub struct Unreadable {
    pub bytes: usize,
    pub why: String,
}

/// How a provider's webhooks are believed and read.
pub trait Incoming: Send + Sync {
    /// As in configuration and metrics: `meta`.
    fn name(&self) -> &'static str;

    /// The header that carries the signature, in small letters.
    fn signature_header(&self) -> &'static str;

    /// Whether a header's value can be a signature at all: asked before a body is read, and
    /// before memory is given to one.
    ///
    /// # Errors
    /// [`BadSignature::Missing`].
    fn is_signed(&self, header: Option<&str>) -> Result<(), BadSignature>;

    /// Checks the raw body in constant time against each secret: two are valid while one is
    /// rotated.
    ///
    /// # Errors
    /// When the header is missing or malformed, or no secret matches.
    fn verify(
        &self,
        secrets: &[SecretString],
        body: &[u8],
        header: Option<&str>,
    ) -> Result<(), BadSignature>;

    /// Compares two texts in time that depends only on their lengths: verify tokens.
    fn is_same(&self, a: &str, b: &str) -> bool;

    /// What a body says, in its order. A part that cannot be read costs itself alone
    /// ([`Event::Odd`]).
    ///
    /// # Errors
    /// [`Unreadable`] when nothing of the body makes sense.
    fn read(&self, body: &[u8]) -> Result<Vec<Event>, Unreadable>;

    /// Whether a body may hold something that a person says. Asked before the body is read, many
    /// thousand times a second, so it may say yes to others; never no to one that does.
    fn may_hold_words(&self, body: &[u8]) -> bool;

    /// What a code means, in words for people.
    fn meaning(&self, code: i32) -> &'static str;
}
