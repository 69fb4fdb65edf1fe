//! How the campaign's latest run stands. Read from the ledger, so a restart neither doubles nor
//! loses anything.

use prometheus::{GaugeVec, IntGaugeVec};

use super::family::Maker;

/// Each by campaign.
pub struct Runs {
    /// By state too.
    pub deliveries: IntGaugeVec,
    pub recipients: IntGaugeVec,
    pub scheduled: GaugeVec,
    pub start: GaugeVec,
    pub deadline: GaugeVec,
    pub delivered_by_deadline: IntGaugeVec,
    pub sla_target: GaugeVec,
    /// Of today's run, whether it is planned or not; 0: the campaign has none today.
    pub expected_opens: GaugeVec,
    pub expected_until: GaugeVec,
    /// From the evening before until the run is planned; 1 at other times.
    pub next_sendable: GaugeVec,
    /// 0 go, 1 degraded, 2 no-go.
    pub preflight: IntGaugeVec,
}

impl Runs {
    pub(super) fn new(make: &Maker<'_>) -> Self {
        Runs {
            preflight: make.configured_gauges(
                "subah_preflight_outcome",
                "What the last check before a run found: 0 go, 1 degraded, 2 no-go",
                &["campaign"],
            ),
            deliveries: make.configured_gauges(
                "subah_run_deliveries",
                "Deliveries of the campaign's latest run by state: sums to its recipients",
                &["campaign", "state"],
            ),
            recipients: make.configured_gauges(
                "subah_run_recipients",
                "Deliveries planned in the campaign's latest run",
                &["campaign"],
            ),
            scheduled: make.configured_floats(
                "subah_run_scheduled_timestamp_seconds",
                "When the window of the campaign's latest run opens",
                &["campaign"],
            ),
            start: make.configured_floats(
                "subah_run_start_timestamp_seconds",
                "When a sender took up the campaign's latest run; 0 when none has",
                &["campaign"],
            ),
            deadline: make.configured_floats(
                "subah_run_deadline_timestamp_seconds",
                "When the SLA of the campaign's latest run is judged",
                &["campaign"],
            ),
            delivered_by_deadline: make.configured_gauges(
                "subah_run_delivered_by_deadline",
                "Deliveries that arrived by the deadline, by Meta's event time",
                &["campaign"],
            ),
            sla_target: make.configured_floats(
                "subah_run_sla_target_ratio",
                "Share of addressed recipients to be delivered by the deadline",
                &["campaign"],
            ),
            expected_opens: make.configured_floats(
                "subah_campaign_opens_timestamp_seconds",
                "When the window of today's run opens, planned or not; 0 when the campaign has none today",
                &["campaign"],
            ),
            expected_until: make.configured_floats(
                "subah_campaign_latest_start_timestamp_seconds",
                "Until when today's run may still begin; 0 when the campaign has none today",
                &["campaign"],
            ),
            next_sendable: make.configured_floats(
                "subah_campaign_next_sendable_ratio",
                "Of those who agreed to the next run, who could be sent to if it was planned now: from 20:00 of the evening before until it is planned, else 1",
                &["campaign"],
            ),
        }
    }

    /// Exports zeros for these campaigns; `states` are the ledger's.
    pub(super) fn configure(&self, campaigns: &[&str], states: &[&str]) {
        for campaign in campaigns {
            for state in states {
                self.deliveries.with_label_values(&[campaign, state]);
            }
            self.recipients.with_label_values(&[campaign]);
            self.preflight.with_label_values(&[campaign]);
            self.delivered_by_deadline.with_label_values(&[campaign]);
            let floats = [&self.scheduled, &self.start, &self.deadline, &self.sla_target];
            self.next_sendable.with_label_values(&[campaign]).set(1.0);
            for gauge in floats.into_iter().chain([&self.expected_opens, &self.expected_until]) {
                gauge.with_label_values(&[campaign]);
            }
        }
    }
}
