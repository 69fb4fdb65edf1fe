//! What kind of Cloud API to be.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use domain::NumberId;
use secrecy::SecretString;
use templates::TemplateDefinition;
use url::Url;

use crate::SimulatorError;
use crate::faults::Profile;

#[derive(Clone, Debug)]
pub struct Options {
    /// Loopback only; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where webhooks go; none are sent without it. Loopback only.
    pub webhook: Option<Url>,
    pub app_secret: SecretString,
    pub seed: u64,
    pub profile: Profile,
    /// Divides the spans of the far side (webhook delays, pair period), for windows that
    /// are as much shorter than real ones.
    pub compress: f64,
    /// Median time to answer a send.
    pub latency: Duration,
    /// Messages a second of a number that is not listed.
    pub throughput: u32,
    pub numbers: Vec<(NumberId, u32)>,
    /// Approved templates; empty accepts every name.
    pub templates: Vec<TemplateDefinition>,
    /// A JSON list in place of `templates`, read for each request: objects of a `status`, such as
    /// `PAUSED`, and a `template`.
    pub templates_file: Option<PathBuf>,
    /// A JSON object, read for each request: by number, what Graph says of it, such as
    /// `{"1001": {"status": "BANNED", "quality_rating": "RED"}}`. One that is not connected sends
    /// nothing.
    pub numbers_file: Option<PathBuf>,
    /// Translations that every template has; empty accepts every language.
    pub languages: Vec<String>,
    /// Holds the token that is taken, read for each request; any is, without it.
    pub token_file: Option<PathBuf>,
    /// Media ids that every number knows besides its uploads: those of a rehearsal's content.
    pub media: Vec<String>,
    /// Of templates, as statuses name it: `utility`, `marketing` or `authentication`.
    pub category: String,
    /// How long clients wait for an answer; late accepts come after it.
    pub client_timeout: Duration,
}

impl Options {
    pub fn new(app_secret: SecretString) -> Self {
        Options {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            webhook: None,
            app_secret,
            seed: 1,
            profile: Profile::None,
            compress: 1.0,
            latency: Duration::from_millis(60),
            throughput: 80,
            numbers: Vec::new(),
            templates: Vec::new(),
            templates_file: None,
            numbers_file: None,
            languages: Vec::new(),
            token_file: None,
            media: Vec::new(),
            category: "utility".to_owned(),
            client_timeout: Duration::from_secs(10),
        }
    }

    pub(crate) fn check(&self) -> Result<(), SimulatorError> {
        if !self.listen.ip().is_loopback() {
            return Err(SimulatorError::NotLoopback(self.listen.to_string()));
        }
        let host = self.webhook.as_ref().and_then(Url::host_str);
        let loopback = |host: &str| {
            host == "localhost"
                || host
                    .trim_matches(['[', ']'])
                    .parse()
                    .is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
        };
        match host {
            Some(host) if !loopback(host) => Err(SimulatorError::NotLoopback(host.to_owned())),
            _ => Ok(()),
        }
    }
}
