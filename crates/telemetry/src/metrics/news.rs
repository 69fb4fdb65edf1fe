//! What webhooks bring, and what became of it.

use prometheus::{Gauge, Histogram, IntCounter, IntGauge};

use super::family::{Counters, Maker};
use crate::labels::{EventKind, Pair, StatusKind, Verdict, WebhookResult};

/// Seconds from Meta's event to our reading it. 300 is the length of the window.
const LAG: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 3600.0];

pub struct News {
    pub webhooks: Counters<WebhookResult>,
    pub events: Counters<EventKind>,
    pub status_reports: Counters<Pair<StatusKind, Verdict>>,
    pub lag: Histogram,
    pub parked: Gauge,
    pub statuses_silent: IntGauge,
    pub opt_outs: IntCounter,
    pub times_doubted: IntCounter,
    pub inbox_bytes: IntGauge,
    pub inbox_bytes_max: IntGauge,
}

impl News {
    pub(super) fn new(make: &Maker<'_>) -> Self {
        News {
            webhooks: make.counters(
                "subah_webhook_requests_total",
                "Webhook requests by what became of them",
                &["result"],
            ),
            events: make.counters(
                "subah_webhook_events_total",
                "What webhooks held, by kind",
                &["kind"],
            ),
            status_reports: make.counters(
                "subah_status_reports_total",
                "Status reports by what they said and what they changed",
                &["status", "verdict"],
            ),
            lag: make.histogram(
                "subah_webhook_lag_seconds",
                "From Meta's event time to our reading the status",
                LAG,
            ),
            parked: make.float(
                "subah_parked_facts",
                "Status reports about deliveries that the ledger does not know, kept for a day",
            ),
            statuses_silent: make.gauge(
                "subah_statuses_silent",
                "1 while the provider has taken 100 messages or more and no status has come for a minute",
            ),
            opt_outs: make.counter(
                "subah_opt_outs_total",
                "People who said STOP, by reply or in the app",
            ),
            times_doubted: make.counter(
                "subah_event_times_doubted_total",
                "Statuses whose event time cannot be; the time of receipt counts instead",
            ),
            inbox_bytes: make
                .gauge("subah_inbox_bytes", "Webhook bodies that are kept on the disk"),
            inbox_bytes_max: make.gauge(
                "subah_inbox_bytes_max",
                "Quota of the inbox: beyond it Meta is told to come again; 0 without a receiver",
            ),
        }
    }
}
