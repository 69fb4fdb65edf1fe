//! Where Cloud API is and how long we wait for it.

use std::time::Duration;

use url::Url;

#[derive(Clone, Debug)]
pub struct Options {
    /// Scheme and host: `https://graph.facebook.com`, or a simulator.
    pub base_url: Url,
    /// Graph version in the path, `v23.0` or later.
    pub version: String,
    /// DNS, TCP and TLS together. Larger survives a slow network, smaller fails over sooner;
    /// a connect failure is certainly not sent and costs no attempt.
    pub connect_timeout: Duration,
    /// The whole request. Larger means fewer ambiguous attempts, but each holds a slot.
    pub total_timeout: Duration,
    /// How long an idle connection is kept. Must stay below the far side's own limit, or
    /// requests are written into closed connections and become ambiguous.
    pub idle_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            base_url: Url::parse("https://graph.facebook.com").expect("a constant URL"),
            version: "v23.0".to_owned(),
            connect_timeout: Duration::from_secs(2),
            total_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(20),
        }
    }
}
