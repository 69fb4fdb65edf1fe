//! Reads the token's file again when it changes: a token that was replaced while a morning runs
//! is used at once.

use std::sync::Arc;
use std::time::Duration;

use cloud_api::CloudApi;
use ledger::{Ledger, halts};
use secrecy::{ExposeSecret, SecretString};
use tokio_util::sync::CancellationToken;

use crate::config::secrets::{CredentialFiles, Credentials};

/// How often the file is looked at.
const LOOK: Duration = Duration::from_secs(1);

pub struct TokenKeeper {
    pub files: CredentialFiles,
    pub token: SecretString,
    pub api: CloudApi,
    pub ledger: Arc<dyn Ledger>,
}

impl TokenKeeper {
    /// Looks until `stop`. A file that is missing or empty for a moment leaves the token as it is.
    pub async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            if let Ok(Credentials { meta_token: found, .. }) = Credentials::load(&self.files)
                && found.expose_secret() != self.token.expose_secret()
            {
                self.replace(found).await;
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    async fn replace(&mut self, token: SecretString) {
        tracing::warn!(
            "the token's file holds another one: it is used from now on, and what is stopped is tried again"
        );
        self.api.set_token(token.clone());
        self.token = token;
        if let Err(error) = halts::ask_to_probe(self.ledger.as_ref()).await {
            tracing::warn!(error = %error, "senders were not asked to probe: {error}; they do so within 10 s");
        }
    }
}
