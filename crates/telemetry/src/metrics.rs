//! Every metric: name, help, labels, buckets.
//!
//! Rules: prefix `subah_`, base units, `_total` on counters, instants as
//! `_timestamp_seconds`. Labels come from closed lists ([`crate::labels`]) or the
//! configuration; never a recipient, message or run. Every combination is exported from the
//! start, because a series that first appears at 7 has never *increased*.

mod family;
mod news;
mod process;
mod runs;
mod sending;
mod standing;

use prometheus::{Registry, TextEncoder};

use self::family::Maker;
pub use self::news::News;
pub use self::process::Process;
pub use self::runs::Runs;
pub use self::sending::Sending;
pub use self::standing::Standing;

pub struct Metrics {
    registry: Registry,
    pub sending: Sending,
    pub news: News,
    pub runs: Runs,
    pub standing: Standing,
    pub process: Process,
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics::new()
    }
}

impl Metrics {
    pub fn new() -> Self {
        let registry = Registry::new();
        #[cfg(target_os = "linux")]
        {
            let process = prometheus::process_collector::ProcessCollector::for_self();
            // Only fails when it is there already.
            let _ = registry.register(Box::new(process));
        }
        let make = Maker(&registry);
        Metrics {
            sending: Sending::new(&make),
            news: News::new(&make),
            runs: Runs::new(&make),
            standing: Standing::new(&make),
            process: Process::new(&make),
            registry,
        }
    }

    /// Exports zeros for the configured campaigns and numbers; `states` are the ledger's.
    pub fn configure(&self, campaigns: &[&str], numbers: &[&str], states: &[&str]) {
        self.runs.configure(campaigns, states);
        self.sending.configure(numbers);
        self.standing.configure(numbers);
    }

    /// The text exposition format.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        let families = self.registry.gather();
        TextEncoder::new().encode_utf8(&families, &mut text).expect("a String takes any text");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_combination_is_exported_before_anything_happens() {
        let metrics = Metrics::new();
        metrics.configure(&["daily-pack"], &["1065"], &["planned", "read"]);
        let text = metrics.encode();
        for want in [
            "subah_attempts_total{outcome=\"ambiguous\"} 0",
            "subah_attempts_total{outcome=\"not_sent\"} 0",
            "subah_run_deliveries{campaign=\"daily-pack\",state=\"read\"} 0",
            "subah_status_reports_total{status=\"failed\",verdict=\"unknown\"} 0",
            "subah_sending_blocked{reason=\"store_refusing\"} 0",
            "subah_halts_total{by=\"streak\",thing=\"translation\"} 0",
            "subah_loop_last_success_timestamp_seconds{loop=\"sampler\"} 0",
            "subah_loop_ends_total{loop=\"token_keeper\"} 0",
            "subah_breaker_state{number=\"1065\",state=\"closed\"} 1",
            "subah_breaker_state{number=\"1065\",state=\"half_open\"} 0",
            "process_resident_memory_bytes",
        ] {
            assert!(text.contains(want), "{want} is missing");
        }
    }
}
