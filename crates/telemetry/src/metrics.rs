//! Every metric: name, help, labels, buckets.
//!
//! Rules: prefix `subah_`, base units, `_total` on counters, instants as
//! `_timestamp_seconds`. Labels come from closed lists or the configuration; never a
//! recipient, message or run. Every combination is exported from the start, because a
//! series that first appears at 7 has never *increased*. Run gauges are read from the
//! ledger, so a restart neither doubles nor loses anything.

use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

/// How an attempt's HTTP try ended.
pub const OUTCOMES: &[&str] =
    &["accepted", "held", "throttled", "refused", "halted", "ambiguous", "not_sent"];
/// What became of a webhook request.
pub const WEBHOOK_RESULTS: &[&str] =
    &["stored", "bad_signature", "too_large", "too_slow", "busy", "unreadable", "inbox_failed"];
/// What a status report said, and what it changed.
pub const STATUSES: &[&str] = &["sent", "delivered", "read", "failed", "other"];
pub const VERDICTS: &[&str] =
    &["changed", "noted", "stale", "unknown", "foreign", "forgotten", "unmatched", "not_about_us"];
/// What a webhook held.
pub const EVENTS: &[&str] = &[
    "status",
    "inbound",
    "echo",
    "call",
    "preference",
    "group",
    "error",
    "template",
    "account",
    "other",
    "odd",
];
/// What can be stopped, and by what.
const HALTED: [&str; 4] = ["asset", "translation", "number", "account"];
const HALTED_BY: [&str; 3] = ["answer", "status", "streak"];
pub const BREAKER_STATES: &[&str] = &["closed", "half_open", "open"];
/// Why nothing may be claimed.
const BLOCKED: [&str; 8] = [
    "fence",
    "clock",
    "journal",
    "journal_slow",
    "store_refusing",
    "store_slow",
    "descriptors",
    "host_name",
];
/// The loops whose last success is exported.
pub const LOOPS: &[&str] = &["scheduler", "sender", "applier", "sweeper", "sampler"];

/// Seconds from due to dispatch: the goal is 5 ms.
const LATENESS: &[f64] =
    &[0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
const ATTEMPT: &[f64] = &[0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0];
/// Seconds from Meta's event to our reading it. 300 is the length of the window.
const LAG: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 3600.0];

pub struct Metrics {
    registry: Registry,
    pub attempts: IntCounterVec,
    pub attempt_duration: HistogramVec,
    pub lateness: Histogram,
    pub intents_refused: IntCounter,
    pub lane_in_flight: IntGaugeVec,
    pub lane_rate: GaugeVec,
    pub breaker: IntGaugeVec,
    pub webhooks: IntCounterVec,
    pub status_reports: IntCounterVec,
    pub webhook_lag: Histogram,
    pub clock_offset: Gauge,
    pub parked: Gauge,
    pub sending_blocked: IntGaugeVec,
    pub written_off: IntCounter,
    pub halts: IntCounterVec,
    pub webhook_events: IntCounterVec,
    pub statuses_silent: IntGauge,
    pub opt_outs: IntCounter,
    pub times_doubted: IntCounter,
    pub run_deliveries: IntGaugeVec,
    pub run_recipients: IntGaugeVec,
    pub run_scheduled: GaugeVec,
    pub run_start: GaugeVec,
    pub run_deadline: GaugeVec,
    pub run_delivered_by_deadline: IntGaugeVec,
    pub run_sla_target: GaugeVec,
    pub ledger_errors: IntCounter,
    pub ledger_count_mismatch: IntGauge,
    pub loop_success: GaugeVec,
    pub loop_ends: IntCounterVec,
    pub inbox_bytes: IntGauge,
    pub inbox_bytes_max: IntGauge,
    pub start: Gauge,
    build: IntGaugeVec,
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics::new()
    }
}

impl Metrics {
    pub fn new() -> Self {
        let registry = Registry::new();
        let r = &registry;
        let metrics = Metrics {
            attempts: counters(
                r,
                "subah_attempts_total",
                "HTTP tries by outcome since the process started; never used for the SLA",
                &["outcome"],
            ),
            attempt_duration: register(
                r,
                HistogramVec::new(
                    HistogramOpts::new(
                        "subah_attempt_duration_seconds",
                        "From dispatch to answer of one HTTP try",
                    )
                    .buckets(ATTEMPT.to_vec()),
                    &["outcome"],
                ),
            ),
            lateness: histogram(
                r,
                "subah_delivery_lateness_seconds",
                "Dispatch minus due instant of first attempts",
                LATENESS,
            ),
            intents_refused: register(
                r,
                IntCounter::new(
                    "subah_intents_refused_total",
                    "Sends that the ledger did not allow: the guard against sending twice",
                ),
            ),
            lane_in_flight: gauges(
                r,
                "subah_lane_in_flight_requests",
                "Deliveries of a number that are claimed and not settled",
                &["number"],
            ),
            lane_rate: floats(
                r,
                "subah_lane_rate_messages_per_second",
                "What a number allows itself right now",
                &["number"],
            ),
            breaker: gauges(
                r,
                "subah_breaker_state",
                "1 for the state a number's breaker is in: closed flows, open stops",
                &["number", "state"],
            ),
            webhooks: counters(
                r,
                "subah_webhook_requests_total",
                "Webhook requests by what became of them",
                &["result"],
            ),
            status_reports: counters(
                r,
                "subah_status_reports_total",
                "Status reports by what they said and what they changed",
                &["status", "verdict"],
            ),
            clock_offset: register(
                r,
                Gauge::new(
                    "subah_clock_offset_seconds",
                    "The store's clock minus this host's; 0 over the embedded store",
                ),
            ),
            parked: register(
                r,
                Gauge::new(
                    "subah_parked_facts",
                    "Status reports about deliveries that the ledger does not know, kept for a day",
                ),
            ),
            sending_blocked: gauges(
                r,
                "subah_sending_blocked",
                "1 while nothing is claimed for this reason: fence, clock, journal, journal_slow, store_refusing, store_slow, descriptors, host_name",
                &["reason"],
            ),
            written_off: register(
                r,
                IntCounter::new(
                    "subah_doubts_written_off_total",
                    "Undecided attempts that evidence let be followed by another",
                ),
            ),
            halts: counters(
                r,
                "subah_halts_total",
                "Things that were stopped, by what they are and by what found it: an answer, a status, a streak of equal refusals",
                &["thing", "by"],
            ),
            webhook_events: counters(
                r,
                "subah_webhook_events_total",
                "What webhooks held, by kind",
                &["kind"],
            ),
            statuses_silent: register(
                r,
                IntGauge::new(
                    "subah_statuses_silent",
                    "1 while the provider has taken 100 messages or more and no status has come for a minute",
                ),
            ),
            opt_outs: register(
                r,
                IntCounter::new(
                    "subah_opt_outs_total",
                    "People who said STOP, by reply or in the app",
                ),
            ),
            times_doubted: register(
                r,
                IntCounter::new(
                    "subah_event_times_doubted_total",
                    "Statuses whose event time cannot be; the time of receipt counts instead",
                ),
            ),
            webhook_lag: histogram(
                r,
                "subah_webhook_lag_seconds",
                "From Meta's event time to our reading the status",
                LAG,
            ),
            run_deliveries: gauges(
                r,
                "subah_run_deliveries",
                "Deliveries of the campaign's latest run by state: sums to its recipients",
                &["campaign", "state"],
            ),
            run_recipients: gauges(
                r,
                "subah_run_recipients",
                "Deliveries planned in the campaign's latest run",
                &["campaign"],
            ),
            run_scheduled: floats(
                r,
                "subah_run_scheduled_timestamp_seconds",
                "When the window of the campaign's latest run opens",
                &["campaign"],
            ),
            run_start: floats(
                r,
                "subah_run_start_timestamp_seconds",
                "When a sender took up the campaign's latest run; 0 when none has",
                &["campaign"],
            ),
            run_deadline: floats(
                r,
                "subah_run_deadline_timestamp_seconds",
                "When the SLA of the campaign's latest run is judged",
                &["campaign"],
            ),
            run_delivered_by_deadline: gauges(
                r,
                "subah_run_delivered_by_deadline",
                "Deliveries that arrived by the deadline, by Meta's event time",
                &["campaign"],
            ),
            run_sla_target: floats(
                r,
                "subah_run_sla_target_ratio",
                "Share of addressed recipients to be delivered by the deadline",
                &["campaign"],
            ),
            ledger_errors: register(
                r,
                IntCounter::new("subah_ledger_errors_total", "Ledger calls without an answer"),
            ),
            ledger_count_mismatch: register(
                r,
                IntGauge::new(
                    "subah_ledger_count_mismatch",
                    "States whose counter differs from a recount; must be 0",
                ),
            ),
            loop_success: floats(
                r,
                "subah_loop_last_success_timestamp_seconds",
                "When a loop last did its work",
                &["loop"],
            ),
            inbox_bytes: register(
                r,
                IntGauge::new("subah_inbox_bytes", "Webhook bodies that are kept on the disk"),
            ),
            inbox_bytes_max: register(
                r,
                IntGauge::new(
                    "subah_inbox_bytes_max",
                    "Quota of the inbox: beyond it Meta is told to come again; 0 without a receiver",
                ),
            ),
            loop_ends: counters(
                r,
                "subah_loop_ends_total",
                "Loops that ended without being asked to, by panic or by themselves",
                &["loop"],
            ),
            start: register(
                r,
                Gauge::new("subah_start_timestamp_seconds", "When this process started"),
            ),
            build: gauges(r, "subah_build_info", "Always 1; the version is a label", &["version"]),
            registry,
        };
        metrics.touch();
        metrics
    }

    /// Exports zeros for every combination of closed labels.
    fn touch(&self) {
        for outcome in OUTCOMES {
            self.attempts.with_label_values(&[outcome]);
            self.attempt_duration.with_label_values(&[outcome]);
        }
        for result in WEBHOOK_RESULTS {
            self.webhooks.with_label_values(&[result]);
        }
        for status in STATUSES {
            for verdict in VERDICTS {
                self.status_reports.with_label_values(&[status, verdict]);
            }
        }
        for reason in BLOCKED {
            self.sending_blocked.with_label_values(&[reason]);
        }
        for name in LOOPS {
            self.loop_success.with_label_values(&[name]);
        }
        for kind in EVENTS {
            self.webhook_events.with_label_values(&[kind]);
        }
        for thing in HALTED {
            for by in HALTED_BY {
                self.halts.with_label_values(&[thing, by]);
            }
        }
        self.build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        #[cfg(target_os = "linux")]
        {
            let process = prometheus::process_collector::ProcessCollector::for_self();
            // Only fails when it is there already.
            let _ = self.registry.register(Box::new(process));
        }
    }

    /// Exports zeros for the configured campaigns and numbers; `states` are the ledger's.
    pub fn configure(&self, campaigns: &[&str], numbers: &[&str], states: &[&str]) {
        for campaign in campaigns {
            for state in states {
                self.run_deliveries.with_label_values(&[campaign, state]);
            }
            self.run_recipients.with_label_values(&[campaign]);
            self.run_delivered_by_deadline.with_label_values(&[campaign]);
            for gauge in
                [&self.run_scheduled, &self.run_start, &self.run_deadline, &self.run_sla_target]
            {
                gauge.with_label_values(&[campaign]);
            }
        }
        for number in numbers {
            self.lane_in_flight.with_label_values(&[number]);
            self.lane_rate.with_label_values(&[number]);
            self.breaker_is(number, "closed");
        }
    }

    /// Sets one state of a number's breaker to 1 and the others to 0.
    pub fn breaker_is(&self, number: &str, state: &str) {
        for each in BREAKER_STATES {
            self.breaker.with_label_values(&[number, each]).set(i64::from(*each == state));
        }
    }

    /// The text exposition format.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        let families = self.registry.gather();
        TextEncoder::new().encode_utf8(&families, &mut text).expect("a String takes any text");
        text
    }
}

fn register<M: prometheus::core::Collector + Clone + 'static>(
    registry: &Registry,
    metric: prometheus::Result<M>,
) -> M {
    let metric = metric.expect("names and labels in this file are valid");
    registry.register(Box::new(metric.clone())).expect("each name is registered once");
    metric
}

fn counters(r: &Registry, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    register(r, IntCounterVec::new(Opts::new(name, help), labels))
}

fn gauges(r: &Registry, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    register(r, IntGaugeVec::new(Opts::new(name, help), labels))
}

fn floats(r: &Registry, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
    register(r, GaugeVec::new(Opts::new(name, help), labels))
}

fn histogram(r: &Registry, name: &str, help: &str, buckets: &[f64]) -> Histogram {
    register(r, Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec())))
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
            "subah_run_deliveries{campaign=\"daily-pack\",state=\"read\"} 0",
            "subah_status_reports_total{status=\"failed\",verdict=\"unknown\"} 0",
            "subah_breaker_state{number=\"1065\",state=\"closed\"} 1",
            "subah_breaker_state{number=\"1065\",state=\"open\"} 0",
            "process_resident_memory_bytes",
        ] {
            assert!(text.contains(want), "{want} is missing");
        }
    }
}
