//! Gives the ledger what only this host's journal knows: after a crash of ours what earlier
//! processes left behind, after a restart of the store everything of the last days.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::{DeliveryId, RunId};
use ledger::api::apply_all;
use ledger::recovery::{Progress, Recoverer, suspect};
use ledger::{Amendment, Applied, Change, Ledger, LedgerError, WebhookFact, places, store_mark};
use segment_log::{LogError, Position};
use telemetry::Fault;
use telemetry::labels::Blocked;
use tokio_util::sync::CancellationToken;

use crate::journal::{Facts, Which};
use crate::monotonic;
use crate::shared::Shared;

/// How often fenced runs are looked for.
const LOOK: Duration = Duration::from_millis(500);
/// How often the journal's settled part is noted.
const NOTE: Duration = Duration::from_secs(1);

/// Gives the ledger what processes before this one left behind, from where the ledger itself
/// says that it ends: one that was put back to an earlier state is healed by it. Repeats until
/// it is taken: nothing may be sent before.
pub(crate) async fn settle_the_past(shared: &Shared, stop: &CancellationToken) {
    let journal = shared.journal.as_ref();
    let Some(Unmerged { from, noted, knows }) = first_unmerged(shared, stop).await else { return };
    // Whatever ends this early, the next start reads from the same place.
    let past = shared.unsettled.take(|| from);
    let mut facts = Facts::new(journal.read(Which::Since(from)), journal.machine_boot());
    let mut given = 0;
    loop {
        match facts.next_batch() {
            Ok(None) => break,
            Ok(Some(batch)) => {
                given += batch.len();
                if !give(shared, &batch, stop).await {
                    return;
                }
            }
            Err(error) => {
                tracing::error!(error = %error, "what earlier processes left behind cannot be read; their attempts without an answer become doubtful: {error}");
                return;
            }
        }
    }
    if given > 0 {
        tracing::info!("{given} attempts of earlier processes are given to the ledger");
    }
    let torn = facts.is_damaged() || !journal.holds(noted);
    let lost = match knows {
        Knows::All => false,
        Knows::Less => torn,
        Knows::AnotherJournal => true,
    };
    if lost && !suspect_what_was_due(shared, stop).await {
        return;
    }
    for id in facts.strikes {
        tracing::warn!(delivery.id = %id, "delivery {id} was being handled when its process died");
        let strike = [Amendment { id, change: Change::Strike, note: None }];
        if let Err(error) = shared.ledger.amend(&strike).await {
            tracing::warn!(error = %error, "a strike was not counted: {error}");
        }
    }
    shared.unsettled.settle(&past);
    note_place(shared, journal.end()).await;
}

/// What the ledger has forgotten, this host's journal cannot tell whole: nobody knows which of the
/// deliveries that were due have gone. False: asked to stop.
async fn suspect_what_was_due(shared: &Shared, stop: &CancellationToken) -> bool {
    loop {
        match suspect_all(shared.ledger.as_ref()).await {
            Ok(marked) => {
                tracing::error!(
                    "the ledger was put back, and this host's journal is cut, damaged or gone: {marked} deliveries that were due may have been sent; they are unknown under hold, sent and flagged under evidence"
                );
                return true;
            }
            Err(error) => {
                tracing::warn!(error = %error, "what may have been sent is not marked yet: {error}");
            }
        }
        if !pause(stop).await {
            return false;
        }
    }
}

async fn suspect_all(ledger: &dyn Ledger) -> Result<usize, LedgerError> {
    let mut marked = 0;
    for run in ledger.active_runs().await? {
        marked += suspect(ledger, &run.header.id, None).await?;
    }
    Ok(marked)
}

/// Repeats until the ledger has them. False: asked to stop.
async fn give(shared: &Shared, facts: &[WebhookFact], stop: &CancellationToken) -> bool {
    while let Err(error) = apply_all(shared.ledger.as_ref(), facts).await {
        tracing::warn!(error = %error, "attempts of earlier processes are not recorded yet: {error}");
        if !pause(stop).await {
            return false;
        }
    }
    true
}

/// Notes, in the ledger and then beside the journal, that everything before the place is in the
/// ledger: the note here is never ahead of the ledger's own. False: not noted, asked again.
async fn note_place(shared: &Shared, place: Position) -> bool {
    let Position { segment, offset } = place;
    let noted = places::write(shared.ledger.as_ref(), &name(shared), (segment, offset)).await;
    if let Err(error) = noted {
        tracing::warn!(error = %error, "the journal's place is not in the ledger: {error}");
        return false;
    }
    if let Err(error) = shared.journal.merged(place) {
        tracing::warn!(error = %error, "{error}");
        return false;
    }
    true
}

/// What the ledger knows this journal by.
fn name(shared: &Shared) -> String {
    format!("journal/{}", shared.journal.disk())
}

/// Notes how far the journal is settled while attempts go on, so that the next start reads only
/// what was under way.
pub(crate) async fn note_places(shared: &Shared, stop: &CancellationToken) {
    let mut noted = Position::default();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(NOTE) => {}
        }
        let place = shared.unsettled.before(|| shared.journal.end());
        if place > noted && note_place(shared, place).await {
            noted = place;
        }
    }
}

/// Where the ledger's knowledge of this journal ends.
struct Unmerged {
    /// By our note or by the ledger's, whichever comes first.
    from: Position,
    /// By our note.
    noted: Position,
    knows: Knows,
}

/// What the ledger knows of this host's journal.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Knows {
    All,
    /// Less than it knew: it was put back.
    Less,
    /// Only one that is gone, of a ledger that has one host: its folder was emptied or taken away.
    AnotherJournal,
}

/// Repeats until the ledger tells. `None`: asked to stop.
async fn first_unmerged(shared: &Shared, stop: &CancellationToken) -> Option<Unmerged> {
    loop {
        match unmerged(shared).await {
            Ok(unmerged) => return Some(unmerged),
            Err(error) => {
                tracing::warn!(error = %error, "how much of the journal the store has is not known yet: {error}");
            }
        }
        if !pause(stop).await {
            return None;
        }
    }
}

async fn unmerged(shared: &Shared) -> Result<Unmerged, LedgerError> {
    let (ledger, noted) = (shared.ledger.as_ref(), shared.journal.merged_before());
    let held = places::read(ledger, &name(shared)).await?;
    let place = |(segment, offset)| Position { segment, offset };
    let theirs = held.map_or(Position::default(), place);
    let knows = match held {
        _ if theirs < noted => Knows::Less,
        None if !shared.options.ledger_forgets && knows_another(shared).await? => {
            Knows::AnotherJournal
        }
        _ => Knows::All,
    };
    if knows == Knows::Less {
        tracing::error!(
            "the store has {} of this host's journal: was it emptied, or put back? The journal is merged once more",
            if held.is_some() { "forgotten the latest" } else { "nothing" }
        );
        // Other hosts may know what the store forgot, too. A store that cannot forget, but was put
        // back as a file, has one host.
        if shared.options.ledger_forgets {
            store_mark::doubt(ledger).await?;
        }
    }
    Ok(Unmerged { from: noted.min(theirs), noted, knows })
}

/// Before another try. False: asked to stop.
async fn pause(stop: &CancellationToken) -> bool {
    tokio::select! {
        biased;
        () = stop.cancelled() => false,
        () = tokio::time::sleep(LOOK) => true,
    }
}

async fn knows_another(shared: &Shared) -> Result<bool, LedgerError> {
    let ours = name(shared);
    let names = places::names(shared.ledger.as_ref()).await?;
    Ok(names.iter().any(|other| other.starts_with("journal/") && *other != ours))
}

/// The store does not know what it granted to this process: nothing is sent from it before
/// everybody has merged what they know.
pub(crate) async fn doubt_the_store(shared: &Shared, id: &DeliveryId) {
    let now = monotonic();
    {
        let mut doubted = shared.doubted_at.lock().expect("no panic while held");
        if doubted.is_some_and(|at| at + DOUBT_EVERY > now) {
            return; // the claim's lease ends by itself
        }
        *doubted = Some(now);
    }
    tracing::error!(delivery.id = %id, "the store has forgotten an attempt of {id} that it granted to this host: was it emptied, or put back? Nothing is sent before every host has merged its journal");
    if let Err(error) = store_mark::doubt(shared.ledger.as_ref()).await {
        tracing::warn!(error = %error, "the store's forgetting is not noted yet: {error}");
        *shared.doubted_at.lock().expect("no panic while held") = None;
    }
}

/// A recovery takes about a second; what is found meanwhile is the same finding.
const DOUBT_EVERY: Duration = Duration::from_secs(2);

/// Asks the store for the latest attempt that it granted to this process.
pub(crate) async fn look_for_the_last_grant(shared: &Shared, active: &[RunId]) {
    let Some((id, nonce)) = shared.grants.last().filter(|_| shared.options.ledger_forgets) else {
        return;
    };
    let ledger = shared.ledger.as_ref();
    let known = match ledger.run(&id.run).await {
        Ok(Some(_)) if !active.contains(&id.run) => return shared.grants.forget_last(nonce),
        Ok(Some(_)) => match ledger::api::find(ledger, &id).await {
            Ok(found) => found.is_some_and(|found| found.facts.attempt(nonce).is_some()),
            Err(_) => return, // asked again
        },
        Ok(None) => false,
        Err(_) => return,
    };
    if !known {
        doubt_the_store(shared, &id).await;
        // Once: a run that is gone for good is not asked for for ever.
        shared.grants.forget_last(nonce);
    }
}

/// Takes part in every recovery of the store until `stop`.
pub(crate) async fn recover(shared: &Shared, stop: &CancellationToken) {
    let mut recoverer = Recoverer::new(&shared.member());
    if let Some(note) = shared.journal.note() {
        recoverer = recoverer.noting(note);
    }
    let (mut said, mut fault) = (None, Fault::default());
    while !stop.is_cancelled() {
        match recover_once(shared, &mut recoverer).await {
            Ok(progress) => {
                if let Some(met) = fault.over() {
                    tracing::info!("recovery goes on; {met} looks at the store had failed");
                }
                say(shared, progress, &mut said);
            }
            Err(error) if fault.met(&error.to_string()) => {
                tracing::warn!(error = %error, "recovery waits: {error}");
            }
            Err(_) => {} // said
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

fn say(shared: &Shared, progress: Option<Progress>, said: &mut Option<Progress>) {
    let waiting = !matches!(progress, Some(Progress::Open) | None);
    shared.metrics.sending.blocked.of(Blocked::Fence).set(i64::from(waiting));
    if progress != *said {
        match &progress {
            Some(Progress::Open) if said.is_some() => {
                tracing::info!(
                    "every host has given the restarted store what it knows; sending goes on"
                );
            }
            Some(Progress::WaitingFor(missing)) => {
                tracing::error!(
                    "the store was restarted: nothing is sent before {} has merged its journal; if that host is lost: `subah recover --without HOST`",
                    missing.join(", ")
                );
            }
            Some(Progress::WaitingForPlan(run)) => {
                tracing::error!(run = %run,
                    "the restarted store forgot a part of the plan of {run}: nothing is sent before a scheduler has planned it again from the same snapshot"
                );
            }
            Some(Progress::Open) | None => {}
        }
        *said = progress;
    }
}

async fn recover_once(
    shared: &Shared,
    recoverer: &mut Recoverer,
) -> Result<Option<Progress>, LedgerError> {
    let ledger = shared.ledger.as_ref();
    let Some(job) = recoverer.due(ledger).await? else { return Ok(None) };
    let mut unmatched = BTreeSet::new();
    if let Some(runs) = &job.merge {
        let mut facts = Facts::new(shared.journal.read(Which::All), shared.journal.machine_boot());
        let mut merged = 0;
        while let Some(mut batch) = facts.next_batch().map_err(unreadable)? {
            batch.retain(|fact| runs.contains(&fact.id.run));
            merged += batch.len();
            for (fact, applied) in batch.iter().zip(apply_all(ledger, &batch).await?) {
                if applied == Applied::NoDelivery {
                    unmatched.insert(fact.id.run.clone());
                }
            }
        }
        tracing::info!("{merged} attempts are merged into the store's new incarnation");
        if facts.is_damaged() || !shared.journal.holds(shared.journal.merged_before()) {
            let marked = suspect_all(ledger).await?;
            tracing::error!(
                "this host's journal is cut or damaged, and the store may have forgotten what it said: {marked} deliveries that were due may have been sent; they are unknown under hold, sent and flagged under evidence"
            );
        }
    }
    recoverer.merged(ledger, &job, &unmatched).await.map(Some)
}

fn unreadable(error: LogError) -> LedgerError {
    LedgerError::unavailable("journal", "merge the journal", &error)
}
