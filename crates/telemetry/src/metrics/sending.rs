//! What senders do: attempts, pace, and why nothing goes.

use prometheus::{Gauge, GaugeVec, Histogram, IntCounter, IntGaugeVec};

use super::family::{Counters, Gauges, Histograms, Maker};
use crate::labels::{AttemptOutcome, Blocked, Breaker, FoundBy, Halted, Label, Pair};

/// Seconds from due to dispatch: the goal is 5 ms.
const LATENESS: &[f64] =
    &[0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
const ATTEMPT: &[f64] = &[0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0];

pub struct Sending {
    pub attempts: Counters<AttemptOutcome>,
    pub attempt_duration: Histograms<AttemptOutcome>,
    pub lateness: Histogram,
    pub intents_refused: IntCounter,
    /// By number.
    pub lane_in_flight: IntGaugeVec,
    /// By number.
    pub lane_rate: GaugeVec,
    breaker: IntGaugeVec,
    pub blocked: Gauges<Blocked>,
    pub written_off: IntCounter,
    pub halts: Counters<Pair<Halted, FoundBy>>,
    pub clock_offset: Gauge,
}

impl Sending {
    pub(super) fn new(make: &Maker<'_>) -> Self {
        Sending {
            attempts: make.counters(
                "subah_attempts_total",
                "HTTP tries by outcome since the process started; never used for the SLA",
                &["outcome"],
            ),
            attempt_duration: make.histograms(
                "subah_attempt_duration_seconds",
                "From dispatch to answer of one HTTP try",
                &["outcome"],
                ATTEMPT,
            ),
            lateness: make.histogram(
                "subah_delivery_lateness_seconds",
                "Dispatch minus due instant of first attempts",
                LATENESS,
            ),
            intents_refused: make.counter(
                "subah_intents_refused_total",
                "Sends that the ledger did not allow: the guard against sending twice",
            ),
            lane_in_flight: make.configured_gauges(
                "subah_lane_in_flight_requests",
                "Deliveries of a number that are claimed and not settled",
                &["number"],
            ),
            lane_rate: make.configured_floats(
                "subah_lane_rate_messages_per_second",
                "What a number allows itself right now",
                &["number"],
            ),
            breaker: make.configured_gauges(
                "subah_breaker_state",
                "1 for the state a number's breaker is in: closed flows, open stops",
                &["number", "state"],
            ),
            blocked: make.gauges(
                "subah_sending_blocked",
                "1 while nothing is claimed for this reason: fence, clock, journal, journal_slow, store_refusing, store_slow, descriptors, host_name",
                &["reason"],
            ),
            written_off: make.counter(
                "subah_doubts_written_off_total",
                "Undecided attempts that evidence let be followed by another",
            ),
            halts: make.counters(
                "subah_halts_total",
                "Things that were stopped, by what they are and by what found it: an answer, a status, a streak of equal refusals",
                &["thing", "by"],
            ),
            clock_offset: make.float(
                "subah_clock_offset_seconds",
                "The store's clock minus this host's; 0 over the embedded store",
            ),
        }
    }

    /// Exports zeros for these numbers.
    pub(super) fn configure(&self, numbers: &[&str]) {
        for number in numbers {
            self.lane_in_flight.with_label_values(&[number]);
            self.lane_rate.with_label_values(&[number]);
            self.breaker_is(number, Breaker::Closed);
        }
    }

    /// Sets one state of a number's breaker to 1 and the others to 0.
    pub fn breaker_is(&self, number: &str, state: Breaker) {
        for each in <Breaker as strum::VariantArray>::VARIANTS {
            let gauge = self.breaker.with_label_values(&[number, each.as_str()]);
            gauge.set(i64::from(*each == state));
        }
    }
}
