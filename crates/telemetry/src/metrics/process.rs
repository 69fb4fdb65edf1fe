//! How this process is: its loops, its ledger, itself.

use prometheus::{Gauge, IntCounter, IntGauge};

use super::family::{Counters, Floats, Maker};
use crate::labels::Loop;

/// The loops whose last success is exported.
const AT_WORK: &[Loop] =
    &[Loop::Scheduler, Loop::Sender, Loop::Applier, Loop::Sweeper, Loop::Sampler];

pub struct Process {
    pub ledger_errors: IntCounter,
    pub ledger_count_mismatch: IntGauge,
    pub pulls_failing: IntGauge,
    pub uploads_waiting: IntGauge,
    pub loop_success: Floats<Loop>,
    pub loop_ends: Counters<Loop>,
    pub start: Gauge,
}

impl Process {
    pub(super) fn new(make: &Maker<'_>) -> Self {
        let build = make.configured_gauges(
            "subah_build_info",
            "Always 1; the version is a label",
            &["version"],
        );
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Process {
            ledger_errors: make
                .counter("subah_ledger_errors_total", "Ledger calls without an answer"),
            ledger_count_mismatch: make.gauge(
                "subah_ledger_count_mismatch",
                "States whose counter differs from a recount; must be 0",
            ),
            pulls_failing: make.gauge(
                "subah_pulls_failing",
                "Sources of lists and content whose last pull failed",
            ),
            uploads_waiting: make.gauge(
                "subah_media_uploads_waiting",
                "Pictures of the next runs that are not uploaded yet, one for each number",
            ),
            loop_success: make.floats_of(
                "subah_loop_last_success_timestamp_seconds",
                "When a loop last did its work",
                &["loop"],
                AT_WORK,
            ),
            loop_ends: make.counters(
                "subah_loop_ends_total",
                "Loops that ended without being asked to, by panic or by themselves",
                &["loop"],
            ),
            start: make.float("subah_start_timestamp_seconds", "When this process started"),
        }
    }
}
