//! Cloud API as a provider: the one face that other rooms see.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use domain::event::Event;
use domain::outbound::MediaKind;
use domain::{NumberId, Outbound, Outcome, Timestamp};
use provider::{
    BadSignature, Capabilities, Incoming, Outgoing, ProviderError, Unreadable, Uploaded,
};
use secrecy::SecretString;
use tokio::sync::Mutex;

use crate::client::{CallError, CloudApi};
use crate::media::MediaCache;
use crate::messages::template_message;
use crate::{error_codes, signature, webhooks};

/// Names the provider in configuration and metrics.
pub const NAME: &str = "meta";

/// One token's Cloud API.
pub struct Meta {
    pub api: CloudApi,
    /// Where media ids are kept.
    media: PathBuf,
    /// Held while a file is uploaded: the same one is not uploaded twice.
    uploading: Mutex<()>,
}

impl Meta {
    /// `media` is the file that keeps the ids of uploaded media.
    pub fn new(api: CloudApi, media: PathBuf) -> Self {
        Meta { api, media, uploading: Mutex::default() }
    }
}

/// Reads and believes Meta's webhooks; needs no credentials of its own.
#[derive(Clone, Copy, Debug, Default)]
pub struct MetaWebhooks;

impl From<CallError> for ProviderError {
    fn from(error: CallError) -> Self {
        ProviderError { is_about_the_object: error.is_about_the_object(), source: error.into() }
    }
}

#[async_trait]
impl Outgoing for Meta {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { tags: true, media_ids: true, holds: true }
    }

    fn render(&self, Outbound { to, call, tag }: Outbound<'_>) -> Vec<u8> {
        let message = template_message(to, call, tag);
        serde_json::to_vec(&message).expect("texts and small numbers are always JSON")
    }

    async fn send(&self, number: &NumberId, body: Vec<u8>) -> Outcome {
        self.api.send(number, body).await
    }

    fn meaning(&self, code: i32) -> &'static str {
        error_codes::meaning(code)
    }

    async fn media_id(
        &self,
        number: &NumberId,
        kind: MediaKind,
        file: &Path,
        now: Timestamp,
    ) -> Result<Uploaded, ProviderError> {
        let _alone = self.uploading.lock().await;
        let mut cache = MediaCache::open(self.media.clone());
        Ok(cache.id(&self.api, number, kind, file, now).await?)
    }

    async fn knows_media(&self, number: &NumberId, id: &str) -> Result<bool, ProviderError> {
        Ok(self.api.knows_media(number, id).await?)
    }
}

impl Incoming for MetaWebhooks {
    fn name(&self) -> &'static str {
        NAME
    }

    fn signature_header(&self) -> &'static str {
        signature::HEADER
    }

    fn is_signed(&self, header: Option<&str>) -> Result<(), BadSignature> {
        match header.is_some_and(signature::is_well_formed) {
            true => Ok(()),
            false => Err(signature::MISSING),
        }
    }

    fn verify(
        &self,
        secrets: &[SecretString],
        body: &[u8],
        header: Option<&str>,
    ) -> Result<(), BadSignature> {
        signature::verify(secrets, body, header)
    }

    fn is_same(&self, a: &str, b: &str) -> bool {
        signature::same(a, b)
    }

    fn may_hold_words(&self, body: &[u8]) -> bool {
        webhooks::may_hold_words(body)
    }

    fn read(&self, body: &[u8]) -> Result<Vec<Event>, Unreadable> {
        webhooks::read(body)
    }

    fn meaning(&self, code: i32) -> &'static str {
        error_codes::meaning(code)
    }
}
