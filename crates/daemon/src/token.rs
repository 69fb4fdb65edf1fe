//! Reads the tokens' files again when they change: a token that was replaced while a morning runs
//! is used at once.

use std::sync::Arc;
use std::time::Duration;

use cloud_api::CloudApi;
use config::secrets::CredentialFiles;
use domain::NumberId;
use ledger::{Ledger, halts};
use secrecy::{ExposeSecret, SecretString};
use telemetry::Fault;
use tokio_util::sync::CancellationToken;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(1);

pub struct TokenKeeper {
    pub files: CredentialFiles,
    pub tokens: Vec<Held>,
    pub ledger: Arc<dyn Ledger>,
}

/// A token, and who bears it.
#[derive(Clone)]
pub struct Held {
    /// `None`: every number that has none of its own.
    pub number: Option<NumberId>,
    pub token: SecretString,
    pub api: CloudApi,
    /// Of reading its file.
    pub fault: Fault,
}

impl TokenKeeper {
    /// Looks until `stop`. A file that is missing or empty for a moment leaves its token as it
    /// is.
    pub async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            self.look().await;
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// Each file by itself: one that cannot be read keeps no other token from being replaced.
    async fn look(&mut self) {
        let mut replaced = 0;
        for held in &mut self.tokens {
            let token = match self.files.token(held.number.as_ref()) {
                Ok(token) => token,
                Err(error) => {
                    let of = held.number.as_ref().map_or("all numbers", |number| number.as_str());
                    if held.fault.met(&error.to_string()) {
                        tracing::warn!(error = %error, "the token of {of} stays as it was: {error}");
                    }
                    continue;
                }
            };
            held.fault.over();
            if token.expose_secret() != held.token.expose_secret() {
                held.api.set_token(token.clone());
                held.token = token;
                replaced += 1;
            }
        }
        if replaced == 0 {
            return;
        }
        tracing::warn!(
            "tokens that were replaced in their files: {replaced}; they are used from now on, and what is stopped is tried again"
        );
        if let Err(error) = halts::ask_to_probe(self.ledger.as_ref()).await {
            tracing::warn!(error = %error, "senders were not asked to probe: {error}; they do so within 10 s");
        }
    }
}
