//! Folds a run's deliveries into its report. Pure but for the reading.
//!
//! Meta's event time decides what arrived by the deadline; our clock only measures our own
//! lateness. Suppressed deliveries are not in the denominator; unknown ones are misses.

use std::collections::BTreeMap;

use chrono_tz::Tz;
use domain::facts::Http;
use domain::{Attempt, NumberId, State, Timestamp};
use ledger::api::for_each;
use ledger::{DeliveryView, Filter, Ledger, LedgerError, Run};

use crate::miss::{Causes, Missed, miss};
use crate::report::{
    Attempts, Duplicates, Ladders, Lateness, Miss, NumberShare, Report, Sla, WindowTimes,
};

/// Reads the run and reports on it as it stands now.
///
/// # Errors
/// When the ledger does not answer, or does not know the run.
pub async fn report(ledger: &dyn Ledger, run: &Run) -> Result<Report, LedgerError> {
    let mut fold = Fold::new(run);
    for_each(ledger, &run.header.id, &Filter::default(), |delivery| fold.add(delivery)).await?;
    Ok(fold.finish(ledger.engine()))
}

/// Whether the promise is kept: judged at the deadline, expected before it.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Nothing was due yet.
    Waiting,
    /// It can be kept, and at this rate it is.
    OnTrack {
        expected: Option<Timestamp>,
    },
    /// It can be kept, but not at this rate.
    AtRisk {
        why: &'static str,
    },
    /// Too many have missed it for good.
    Lost,
    Met,
    Missed,
}

impl Verdict {
    pub fn is_good(&self) -> bool {
        !matches!(self, Verdict::Lost | Verdict::Missed)
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Verdict::Waiting => "waiting for the window to open",
            Verdict::OnTrack { .. } => "on track",
            Verdict::AtRisk { why } => return write!(f, "at risk: {why}"),
            Verdict::Lost => "LOST: too many have missed it for good",
            Verdict::Met => "met",
            Verdict::Missed => "MISSED",
        })
    }
}

/// Judges a report as of `now`.
pub fn verdict(report: &Report, run: &Run, now: Timestamp) -> Verdict {
    let window = &run.header.window;
    if now > window.deadline {
        return if report.sla.met { Verdict::Met } else { Verdict::Missed };
    }
    if now < window.opens {
        return Verdict::Waiting;
    }
    let count = |wanted: &[State]| -> u64 {
        report.states.iter().filter(|(state, _)| wanted.contains(state)).map(|(_, n)| n).sum()
    };
    let allowed = (1.0 - report.sla.target) * report.sla.denominator as f64;
    let gone = count(&[
        State::Failed,
        State::Unknown,
        State::Expired,
        State::Cancelled,
        State::Quarantined,
    ]);
    if gone as f64 > allowed {
        return Verdict::Lost;
    }
    if gone as f64 > allowed / 2.0 {
        return Verdict::AtRisk { why: "more than half of what may be missed is gone" };
    }
    let wanted = (report.sla.target * report.sla.denominator as f64).ceil();
    let (delivered, elapsed) = (report.by_deadline.delivered as f64, now.since(window.opens));
    if delivered >= wanted {
        return Verdict::OnTrack { expected: Some(now) };
    }
    // The plan spreads what is sent: by then as much should have arrived as its share.
    let spread = window.spread_until.since(window.opens).as_secs_f64().max(1.0);
    let due = wanted * (elapsed.as_secs_f64() / spread).min(1.0);
    let behind = SETTLE.as_secs_f64() / spread * wanted;
    if delivered + behind < due {
        return Verdict::AtRisk { why: "fewer have arrived than were due" };
    }
    let share = (delivered / wanted).max(f64::MIN_POSITIVE);
    let whole = elapsed.div_f64(share.clamp(1e-6, 1.0));
    let expected = window.opens + whole;
    if expected > window.deadline {
        return Verdict::AtRisk { why: "at this rate fewer than promised arrive in time" };
    }
    Verdict::OnTrack { expected: Some(expected) }
}

/// What was sent within this span may still be on its way.
const SETTLE: std::time::Duration = std::time::Duration::from_secs(30);

struct Fold<'a> {
    run: &'a Run,
    states: BTreeMap<State, u64>,
    ladders: Ladders,
    attempts: Attempts,
    lateness: Vec<f64>,
    early: u64,
    causes: Causes,
    misses: BTreeMap<&'static str, u64>,
    duplicates: Duplicates,
    /// Never tried, by lane: why is known when all is read.
    unreached: BTreeMap<NumberId, u64>,
    numbers: Vec<NumberShare>,
}

impl<'a> Fold<'a> {
    fn new(run: &'a Run) -> Self {
        let share = |lane: &NumberId| NumberShare { id: lane.to_string(), planned: 0, accepted: 0 };
        Fold {
            states: State::ALL.into_iter().map(|state| (state, 0)).collect(),
            ladders: Ladders::default(),
            attempts: Attempts::default(),
            lateness: Vec::new(),
            early: 0,
            causes: Causes::new(run.header.window.deadline),
            misses: BTreeMap::new(),
            duplicates: Duplicates::default(),
            unreached: BTreeMap::new(),
            numbers: run.header.lanes.iter().map(share).collect(),
            run,
        }
    }

    fn add(&mut self, delivery: &DeliveryView) {
        let deadline = self.run.header.window.deadline;
        *self.states.entry(delivery.state).or_default() += 1;
        self.climb(delivery, deadline);
        self.share(delivery);
        for attempt in &delivery.facts.attempts {
            self.count(attempt);
        }
        let first = delivery.facts.attempts.iter().filter_map(|a| a.dispatched_at).min();
        if let Some(dispatched) = first {
            self.early += u64::from(dispatched < delivery.due_at);
            self.lateness.push(dispatched.millis_after(delivery.due_at));
        }
        self.duplicates.possible += u64::from(delivery.facts.possible_duplicate());
        self.duplicates.proven += u64::from(delivery.facts.proven_duplicates() > 0);
        self.causes.see(delivery);
        match miss(delivery, deadline) {
            Some(Missed::NotReached) => {
                *self.unreached.entry(delivery.lane.clone()).or_default() += 1;
            }
            Some(Missed::Because(cause)) => *self.misses.entry(cause).or_default() += 1,
            None => {}
        }
    }

    fn climb(&mut self, delivery: &DeliveryView, deadline: Timestamp) {
        let by = |when: fn(&Attempt) -> Option<Timestamp>| {
            let first = delivery.facts.attempts.iter().filter_map(when).min();
            u64::from(first.is_some_and(|at| at <= deadline))
        };
        self.ladders.accepted += by(|a| a.taken_at().into_iter().chain(a.left_at()).min());
        self.ladders.sent += by(Attempt::left_at);
        self.ladders.delivered += by(Attempt::arrived_at);
    }

    fn share(&mut self, delivery: &DeliveryView) {
        if let Some(share) = self.numbers.iter_mut().find(|s| s.id == delivery.lane.as_str()) {
            share.planned += u64::from(delivery.state != State::Suppressed);
            let taken = delivery.facts.attempts.iter().any(|a| a.taken_at().is_some());
            share.accepted += u64::from(taken);
        }
    }

    fn count(&mut self, attempt: &Attempt) {
        let counter = match attempt.http {
            Http::None => return, // still in flight, or known from a webhook alone
            Http::Ambiguous(_) => &mut self.attempts.ambiguous,
            Http::NotSent(_) => &mut self.attempts.not_sent,
            Http::Refused(_) => &mut self.attempts.refused,
            Http::Accepted { .. } => &mut self.attempts.accepted,
        };
        *counter += 1;
        self.attempts.total += 1;
    }

    fn finish(mut self, engine: &str) -> Report {
        for (lane, n) in std::mem::take(&mut self.unreached) {
            *self.misses.entry(self.causes.unreached(&lane)).or_default() += n;
        }
        let header = &self.run.header;
        let zone: Tz = header.zone.parse().unwrap_or(Tz::UTC);
        let planned: u64 = self.states.values().sum();
        let denominator = planned - self.states.get(&State::Suppressed).copied().unwrap_or(0);
        let exact = self.ladders.delivered as f64 / denominator.max(1) as f64;
        // Nobody to send to is no success.
        let exact = if planned == 0 { 1.0 } else { exact };
        let mut misses: Vec<Miss> = self
            .misses
            .into_iter()
            .map(|(cause, count)| Miss { cause: cause.to_owned(), count })
            .collect();
        misses.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.cause.cmp(&b.cause)));
        Report {
            run: header.id.to_string(),
            engine: engine.to_owned(),
            seed: None,
            window: WindowTimes {
                opens: header.window.opens.rfc3339(zone),
                target: header.window.target.rfc3339(zone),
                closes: header.window.closes.rfc3339(zone),
                deadline: header.window.deadline.rfc3339(zone),
            },
            planned,
            states: self.states.into_iter().collect(),
            by_deadline: self.ladders,
            sla: Sla {
                target: header.target_ratio,
                measure: "delivered".to_owned(),
                denominator,
                ratio: (exact * 1e4).round() / 1e4,
                met: exact >= header.target_ratio,
            },
            attempts: self.attempts,
            lateness_ms: lateness(self.lateness, self.early),
            misses,
            duplicates: self.duplicates,
            numbers: self.numbers,
            oracle: None,
        }
    }
}

fn lateness(mut samples: Vec<f64>, early: u64) -> Lateness {
    samples.sort_by(f64::total_cmp);
    let rank = |share: f64| {
        let at = (samples.len() as f64 * share).ceil() as usize;
        let value = samples.get(at.saturating_sub(1)).copied().unwrap_or(0.0);
        (value * 10.0).round() / 10.0
    };
    Lateness { p50: rank(0.5), p99: rank(0.99), max: rank(1.0), early }
}

#[cfg(test)]
mod tests;
