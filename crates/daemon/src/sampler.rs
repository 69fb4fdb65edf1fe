//! Reads the ledger into run gauges, every two seconds.
//!
//! Gauges, not counters: they are what the ledger holds, so a restart changes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveDate;
use config::CampaignConfig;
use domain::campaign::CampaignId;
use domain::{Clock, RunId, State, Timestamp, retention};
use inbox::{Inbox, Volume, quota};
use ledger::{Counts, Ledger, LedgerError, Phase, Run, lanes, maybe_recoverable_since};
use telemetry::labels::Loop;
use telemetry::{Fault, Metrics};
use tokio_util::sync::CancellationToken;

const EVERY: Duration = Duration::from_secs(2);
/// How often the inbox's quota follows what is planned.
const ROOM_EVERY: Duration = Duration::from_secs(60);
/// After the deadline arrivals are recounted by event time, which reads every delivery.
const RECOUNT_EVERY: Duration = Duration::from_secs(30);
/// So many accepted messages without one status, for so long, are no accident.
const SILENT_FROM: u64 = 100;
const SILENT_FOR: Duration = Duration::from_secs(60);
/// For this long after the deadline; later arrivals change nothing for the SLA.
const RECOUNT_FOR: Duration = Duration::from_secs(15 * 60);

pub struct Sampler {
    pub ledger: Arc<dyn Ledger>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub campaigns: Vec<CampaignConfig>,
    pub inbox: Option<Inbox>,
    /// Of the inbox; `None`: it follows the volume.
    pub inbox_bytes_max: Option<u64>,
}

/// What the last round saw.
#[derive(Default)]
struct Seen {
    /// When the inbox's quota was last set.
    room_made: Option<Timestamp>,
    campaigns: BTreeMap<CampaignId, SeenRun>,
}

/// Of one campaign's latest run.
#[derive(Default)]
struct SeenRun {
    latest: Option<RunId>,
    /// When arrivals were last recounted.
    recounted: Option<Timestamp>,
    /// Since when a good number is accepted and no status has come.
    silent_since: Option<Timestamp>,
    is_silent: bool,
}

impl Sampler {
    pub async fn run(self, stop: CancellationToken) {
        let (mut seen, mut fault) = (Seen::default(), Fault::default());
        loop {
            if let Some(inbox) = &self.inbox {
                let (bytes, max) = inbox.fill();
                let gauge = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
                self.metrics.news.inbox_bytes.set(gauge(bytes));
                self.metrics.news.inbox_bytes_max.set(gauge(max));
            }
            match self.sample(&mut seen).await {
                Ok(()) => {
                    if let Some(met) = fault.over() {
                        tracing::info!("metrics follow the ledger again; {met} reads had failed");
                    }
                    let now = self.clock.now().secs_f64();
                    self.metrics.process.loop_success.of(Loop::Sampler).set(now);
                }
                Err(error) => {
                    self.metrics.process.ledger_errors.inc();
                    if fault.met(&error.to_string()) {
                        tracing::warn!(error = %error, "metrics are not read from the ledger: {error}");
                    }
                }
            }
            if stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_none() {
                return;
            }
        }
    }

    /// Gives the inbox the room that its days need; now and then.
    async fn make_room(&self, seen: &mut Seen) -> Result<(), LedgerError> {
        let now = self.clock.now();
        let due = seen.room_made.is_none_or(|at| now.since(at) >= ROOM_EVERY);
        let (Some(inbox), None, true) = (&self.inbox, self.inbox_bytes_max, due) else {
            return Ok(());
        };
        let mut by_day: BTreeMap<NaiveDate, u64> = BTreeMap::new();
        let runs = self.ledger.runs_since(maybe_recoverable_since(now)).await?;
        let kept = |run: &&Run| run.header.window.opens + retention::NEWS > now;
        for run in runs.iter().filter(kept) {
            *by_day.entry(run.header.id.date()).or_default() += u64::from(run.total());
        }
        let free = match rustix::fs::statvfs(inbox.dir()) {
            Ok(disk) => disk.f_bavail.saturating_mul(disk.f_frsize),
            Err(error) => {
                tracing::warn!(error = %error, "the inbox's disk does not say how full it is: {error}");
                return Ok(()); // the quota stays as it is
            }
        };
        inbox.allow(quota(Volume {
            held: inbox.fill().0,
            deliveries: by_day.values().sum(),
            fullest_day: by_day.values().copied().max().unwrap_or(0),
            free,
        }));
        seen.room_made = Some(now);
        Ok(())
    }

    /// The campaign's latest run, active or seen before.
    async fn latest(
        &self,
        campaign: &CampaignId,
        seen: &SeenRun,
    ) -> Result<Option<Run>, LedgerError> {
        let prefix = format!("{campaign}@");
        let ours = |run: &Run| run.header.id.as_str().starts_with(&prefix);
        let active = self.ledger.active_runs().await?.into_iter().rfind(ours);
        let seen = match &seen.latest {
            Some(id) => self.ledger.run(id).await?,
            None => {
                let since = maybe_recoverable_since(self.clock.now());
                self.ledger.runs_since(since).await?.into_iter().rfind(ours)
            }
        };
        Ok([active, seen].into_iter().flatten().max_by_key(|run| run.header.window.opens))
    }

    async fn sample(&self, seen: &mut Seen) -> Result<(), LedgerError> {
        self.make_room(seen).await?;
        for one in &self.campaigns {
            self.expect(one);
            let campaign = &one.campaign.id;
            let seen = seen.campaigns.entry(campaign.clone()).or_default();
            self.sample_campaign(campaign, seen).await?;
        }
        let silent = seen.campaigns.values().any(|seen| seen.is_silent);
        self.metrics.news.statuses_silent.set(i64::from(silent));
        Ok(())
    }

    /// Says when today's run is due, for whoever misses it.
    fn expect(&self, one: &CampaignConfig) {
        let today = one.daily.window.date_at(self.clock.now());
        let window = one.daily.window.on(today).filter(|_| one.daily.days.has(today));
        let (opens, until) = window.map_or((0.0, 0.0), |window| {
            (window.opens.secs_f64(), one.daily.latest_start(&window).secs_f64())
        });
        let labels = [one.campaign.id.as_str()];
        self.metrics.runs.expected_opens.with_label_values(&labels).set(opens);
        self.metrics.runs.expected_until.with_label_values(&labels).set(until);
    }

    async fn sample_campaign(
        &self,
        campaign: &CampaignId,
        seen: &mut SeenRun,
    ) -> Result<(), LedgerError> {
        let Some(run) = &self.latest(campaign, seen).await? else { return Ok(()) };
        seen.latest = Some(run.header.id.clone());
        let labels = [campaign.as_str()];
        let m = &self.metrics;
        let header = &run.header;
        m.runs.scheduled.with_label_values(&labels).set(header.window.opens.secs_f64());
        m.runs.deadline.with_label_values(&labels).set(header.window.deadline.secs_f64());
        m.runs.sla_target.with_label_values(&labels).set(header.target_ratio);
        m.runs.recipients.with_label_values(&labels).set(i64::from(run.cursor));
        let counts = self.ledger.counts(&header.id).await?;
        let started = self.started(run, &counts).await?;
        m.runs.start.with_label_values(&labels).set(started.map_or(0.0, |at| at.secs_f64()));
        for state in State::ALL {
            let gauge = m.runs.deliveries.with_label_values(&[labels[0], state.as_str()]);
            gauge.set(i64::try_from(counts.get(state)).unwrap_or(i64::MAX));
        }
        self.silence(run, &counts, seen);
        self.arrived(campaign, run, &counts, &mut seen.recounted).await
    }

    /// A run has started when a first request went out, or while a sender holds its numbers:
    /// that a sender once had it says nothing about now.
    async fn started(&self, run: &Run, counts: &Counts) -> Result<Option<Timestamp>, LedgerError> {
        let untried = |state| {
            matches!(state, State::Planned | State::Leased | State::Suppressed | State::Expired)
        };
        let tried = counts.sum(|state| !untried(state)) > 0;
        let now = self.ledger.now().await?;
        let held = lanes::read(self.ledger.as_ref()).await?.any_held(&run.header.lanes, now);
        Ok((tried || held).then(|| run.started_at.unwrap_or(now)))
    }

    /// The far side has taken many messages, and not one status of them has come: webhooks
    /// go elsewhere, and nothing that is delivered will ever count.
    fn silence(&self, run: &Run, counts: &Counts, seen: &mut SeenRun) {
        let taken = counts.get(State::Accepted) + counts.get(State::Held);
        let spoken = [State::Sent, State::Delivered, State::Read].map(|state| counts.get(state));
        let now = self.clock.now();
        if taken < SILENT_FROM || spoken.iter().sum::<u64>() > 0 {
            (seen.silent_since, seen.is_silent) = (None, false);
            return;
        }
        let begun = *seen.silent_since.get_or_insert(now);
        let silent = now.since(begun) >= SILENT_FOR;
        if silent && !seen.is_silent {
            let id = &run.header.id;
            tracing::error!(run = %id, "run {id}: {taken} messages are accepted and no status has come for a minute: is the app subscribed to the account, and does the webhook's address reach this receiver? `subah check` asks");
        }
        seen.is_silent = silent;
    }

    async fn arrived(
        &self,
        campaign: &CampaignId,
        run: &Run,
        counts: &Counts,
        recounted: &mut Option<Timestamp>,
    ) -> Result<(), LedgerError> {
        let now = self.clock.now();
        let deadline = run.header.window.deadline;
        let gauge = self.metrics.runs.delivered_by_deadline.with_label_values(&[campaign.as_str()]);
        if now <= deadline {
            let arrived = counts.get(State::Delivered) + counts.get(State::Read);
            gauge.set(i64::try_from(arrived).unwrap_or(i64::MAX));
            return Ok(());
        }
        let first = recounted.is_none_or(|at| at <= deadline);
        let again = recounted.is_some_and(|at| now.since(at) >= RECOUNT_EVERY)
            && now.since(deadline) < RECOUNT_FOR;
        if first || again {
            let report = status::sla::report(self.ledger.as_ref(), run).await?;
            gauge.set(i64::try_from(report.by_deadline.delivered).unwrap_or(i64::MAX));
            if run.phase == Phase::Closed {
                self.hold_against_recount(run).await?;
            }
            *recounted = Some(now);
        }
        Ok(())
    }

    /// Counters against a recount; judged only when nothing changed meanwhile.
    async fn hold_against_recount(&self, run: &Run) -> Result<(), LedgerError> {
        let id = &run.header.id;
        let before = self.ledger.counts(id).await?;
        let recount = self.ledger.recount(id).await?;
        if self.ledger.counts(id).await? == before {
            let differ = State::ALL.iter().filter(|s| recount.get(**s) != before.get(**s));
            self.metrics.process.ledger_count_mismatch.set(differ.count() as i64);
        }
        Ok(())
    }
}
