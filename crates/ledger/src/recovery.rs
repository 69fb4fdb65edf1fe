//! From a restarted store to sending again: merge, report, lift the fence.
//!
//! Every member runs this loop: when runs are fenced it merges what it knows, reports, and
//! the last one to report lifts the fence. Under `hold` a member that is missing is waited
//! for until an operator excuses its host. Under `evidence` the rest go on after a while;
//! deliveries that the missing host may have tried are marked as suspects, so that a
//! duplicate is flagged. A member that has never spoken to this store is waited for in any
//! case: it may be sending from the right one.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use domain::hash::stable64;
use domain::{OnAmbiguous, RunId, State, Timestamp};
use segment_log::{Sync, whole};
use serde::{Deserialize, Serialize};

use crate::api::{Amendment, Change, Filter, Ledger, Note, Phase, maybe_recoverable_since};
use crate::error::Result;
use crate::{members, store_mark};

/// How long a missing member holds up a run that may resend on evidence.
const PATIENCE: Duration = Duration::from_secs(15);
/// Deliveries in one call.
const PAGE: usize = 500;

/// One member's part in recoveries.
pub struct Recoverer {
    member: String,
    /// The incarnation under which everything is done: there is no work until the store has
    /// another one.
    clear: Option<String>,
    seen: Seen,
    /// Where `seen` outlives the process.
    note: Option<PathBuf>,
    /// When everybody was last asked for.
    asked_at: Option<Timestamp>,
}

/// What a member has seen of the store it speaks to: a store that is another one, or that
/// has forgotten its members, does not say so itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    store: String,
    members: BTreeSet<String>,
}

/// What there is to recover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    pub incarnation: String,
    /// Runs of the last days: what is known about them is merged, if it was not yet. A
    /// member that comes late does so even when the others have gone on without it.
    pub merge: Option<Vec<RunId>>,
    /// Runs that are refused to send from.
    pub fenced: Vec<RunId>,
}

/// Where a recovery stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// All that was known is merged; sending is allowed.
    Open,
    WaitingFor(Vec<String>),
    /// The store forgot a part of this run's plan; what is known about that part can only
    /// be merged when a scheduler has written it again from its snapshot.
    WaitingForPlan(RunId),
}

impl Recoverer {
    pub fn new(member: &str) -> Self {
        Recoverer {
            member: member.to_owned(),
            clear: None,
            seen: Seen::default(),
            note: None,
            asked_at: None,
        }
    }

    /// Keeps what it has seen of the store in a file of the member's own disk.
    #[must_use]
    pub fn noting(mut self, note: PathBuf) -> Self {
        let text = std::fs::read_to_string(&note).unwrap_or_default();
        self.seen = serde_json::from_str(&text).unwrap_or_default();
        self.note = Some(note);
        self
    }

    /// What this member has to do now, if anything.
    ///
    /// # Errors
    /// When the ledger does not answer.
    pub async fn due(&mut self, ledger: &dyn Ledger) -> Result<Option<Job>> {
        if ledger.incarnation().await?.is_none() {
            return Ok(None);
        }
        let asked = self.look_at_the_store(ledger).await?;
        let Some(incarnation) = ledger.incarnation().await? else { return Ok(None) };
        if self.clear.as_ref() == Some(&incarnation) {
            if !asked || ledger.fenced_runs().await?.is_empty() {
                return Ok(None);
            }
            self.clear = None; // the store was put back to before our report
        }
        // What the store says of us counts, not what we remember: one that was put back while
        // the others still merge has lost our report, and what we had merged before it.
        let must_merge = !members::read(ledger).await?.has_merged(&self.member, &incarnation);
        let fenced = ledger.fenced_runs().await?;
        if !must_merge && fenced.is_empty() {
            self.clear = Some(incarnation);
            return Ok(None);
        }
        let merge = if must_merge { Some(recent(ledger).await?) } else { None };
        Ok(Some(Job { incarnation, merge, fenced }))
    }

    /// Names a store that has no name, and doubts one that is not the one it was.
    /// True when everybody was asked for: once in a while.
    async fn look_at_the_store(&mut self, ledger: &dyn Ledger) -> Result<bool> {
        let now = ledger.now().await?;
        let new_id = || format!("{:x}", stable64(&[&self.member, &now.micros().to_string()]));
        let mark = store_mark::ensure(ledger, new_id).await?;
        if mark.id != self.seen.store {
            if !self.seen.store.is_empty() {
                tracing::error!(
                    "the store is another one than before ({} before, {} now): was it emptied, replaced or swapped? Nothing is sent before every host has merged what it knows",
                    self.seen.store,
                    mark.id
                );
                store_mark::doubt(ledger).await?;
            }
            self.seen.store = mark.id;
            self.keep();
        }
        let ask = self.asked_at.is_none_or(|at| now.since(at) >= ASK_EVERY);
        if ask {
            self.asked_at = Some(now);
            let members = members::read(ledger).await?;
            // A store that has lost its members must not make us forget them; only a person
            // does, by excusing a host.
            let mut all = self.seen.members.clone();
            all.retain(|name| !members.is_excused(name));
            all.extend(members.members.into_keys());
            if all != self.seen.members {
                self.seen.members = all;
                self.keep();
            }
        }
        Ok(ask)
    }

    /// Without the note only other members notice a store that was replaced.
    fn keep(&self) {
        let Some(path) = &self.note else { return };
        let text = serde_json::to_string(&self.seen).expect("names are plain data");
        if let Err(error) = whole::put_bytes(path, Sync::No, text.as_bytes()) {
            tracing::warn!(error = %error, "note in {} which store this is: {error}", path.display());
        }
    }

    /// Reports that all this member knows is in the ledger, and lifts the fence if it was
    /// the last to be waited for. `unmatched` are the runs of facts whose delivery the
    /// ledger did not know.
    ///
    /// # Errors
    /// When the ledger does not answer.
    pub async fn merged(
        &mut self,
        ledger: &dyn Ledger,
        job: &Job,
        unmatched: &BTreeSet<RunId>,
    ) -> Result<Progress> {
        for id in unmatched {
            if ledger.run(id).await?.is_some_and(|run| run.phase == Phase::Planning) {
                return Ok(Progress::WaitingForPlan(id.clone()));
            }
        }
        let now = ledger.now().await?;
        let mark = store_mark::read(ledger).await?;
        if ledger.incarnation().await?.as_ref() != Some(&job.incarnation) {
            // What was merged may be forgotten again.
            return Ok(Progress::WaitingFor(vec![self.member.clone()]));
        }
        let (known, has_merged) = (&self.seen.members, job.merge.is_some());
        let report = members::Report { incarnation: &job.incarnation, has_merged, known };
        let members = members::report(ledger, &self.member, &report, now).await?;
        if job.fenced.is_empty() {
            return Ok(Progress::Open);
        }
        let missing = members.missing(&job.incarnation);
        if !missing.is_empty() {
            let elsewhere = members.is_one_elsewhere(&missing);
            let since = members.recovering.map_or(now, |(_, since)| since);
            let patient = elsewhere || now.since(since) < PATIENCE;
            if patient || !all_on_evidence(ledger, &job.fenced).await? {
                return Ok(Progress::WaitingFor(missing));
            }
            for run in &job.fenced {
                suspect(ledger, run, None).await?;
            }
        }
        ledger.lift_fence(&job.incarnation).await?;
        if missing.is_empty() {
            store_mark::settle(ledger, &mark).await?;
        }
        Ok(Progress::Open)
    }
}

/// How often a member asks who else there is.
const ASK_EVERY: Duration = Duration::from_secs(2);

async fn recent(ledger: &dyn Ledger) -> Result<Vec<RunId>> {
    let now = ledger.now().await?;
    let mut runs = ledger.runs_since(maybe_recoverable_since(now)).await?;
    let known: BTreeSet<RunId> = runs.iter().map(|run| run.header.id.clone()).collect();
    // An old one that a person reopened is recovered too.
    let active = ledger.active_runs().await?.into_iter();
    runs.extend(active.filter(|run| !known.contains(&run.header.id)));
    let runs = runs.into_iter().filter(|run| run.is_recoverable(now));
    Ok(runs.map(|run| run.header.id.clone()).collect())
}

async fn all_on_evidence(ledger: &dyn Ledger, runs: &[RunId]) -> Result<bool> {
    for id in runs {
        let run = ledger.run(id).await?;
        let policy = run.map(|run| run.header.policy.on_ambiguous);
        if policy.is_some_and(|on_ambiguous| on_ambiguous != OnAmbiguous::Evidence) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Marks every delivery that was due and still waits to be sent: a lost host may have tried
/// it, for the first time or once more. Under `hold` they end as `Unknown`; under `evidence`
/// they are sent, flagged. Returns how many.
///
/// # Errors
/// When the ledger does not answer.
pub async fn suspect(ledger: &dyn Ledger, run: &RunId, note: Option<&Note>) -> Result<usize> {
    let states = vec![State::Planned, State::RetryWait, State::Leased];
    let filter = Filter { states, lane: None };
    if ledger.run(run).await?.is_some_and(|run| run.header.is_rolling()) {
        ledger.doubt_rows(run).await?; // those that come back are not in the list
    }
    let now = ledger.now().await?;
    let (mut after, mut marked) = (None, 0);
    loop {
        let page = ledger.list(run, &filter, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(marked) };
        after = Some(last.id.index);
        let due = page.iter().filter(|d| d.due_at <= now);
        let amendments: Vec<Amendment> = due
            .map(|d| Amendment { id: d.id.clone(), change: Change::Suspect, note: note.cloned() })
            .collect();
        marked += amendments.len();
        ledger.amend(&amendments).await?;
    }
}
