//! Calls about single deliveries: claims, attempts, news, acts by hand, and what time ends.

use std::sync::Arc;

use domain::state::{attempts_spent, defers_spent};
use domain::{DeliveryId, NumberId, RunId, State, Timestamp};

use super::rolling::keep_news;
use super::rows::{Rows, existing, find, message_and_body, readable, readable_run, say_damaged};
use crate::api::{
    Amended, Amendment, Applied, AttemptResult, Claim, Claimed, Envelope, IntentAnswer,
    IntentRequest, Phase, Refusal, Release, Run, Swept, WebhookFact,
};
use crate::error::{LedgerError, Result};
use crate::record::Record;
use crate::transition::{self, Taken};

pub fn claim(rows: &mut impl Rows, lane: &NumberId, k: usize, now: Timestamp) -> Result<Claimed> {
    let mut claimed = Claimed { claims: Vec::new(), next_due: None, now };
    for id in rows.open_runs()? {
        let Some(run) = readable_run(rows.run(&id))? else { continue };
        let Some(at) = run.header.lane_of(lane) else { continue };
        if is_of_a_later_day(&run, now) {
            claimed.next_due = sooner(claimed.next_due, Some(run.header.window.opens), &run, now);
            continue;
        }
        if rows.fenced(&id)? {
            if claimed.claims.is_empty() {
                return Err(LedgerError::StoreRestarted { engine: "model", run: id });
            }
            claimed.next_due = Some(now); // what is leased is handed out
            break;
        }
        let room = k - claimed.claims.len();
        for index in rows.due(&id, at, now, room)? {
            let Some(mut record) = readable(rows, &run, index)? else { continue };
            let was = record.state;
            match transition::claim(&mut record, &run, now) {
                Taken::Leased => {}
                Taken::Ended => {
                    rows.put(&run, index, &record, was)?;
                    continue;
                }
                Taken::Left => continue,
            }
            match message_and_body(rows, &id, index) {
                Ok((message, body)) => {
                    rows.put(&run, index, &record, was)?;
                    claimed.claims.push(new_claim(&run, lane, index, &record, message, body));
                }
                Err(LedgerError::Corrupt { what, why, .. }) => {
                    let why = format!("{what}: {why}");
                    record.quarantine(&why, &run.header.policy);
                    rows.put(&run, index, &record, was)?;
                    say_damaged(&run, index, &why);
                }
                Err(error) => return Err(error),
            }
        }
        let next = rows.next_due(&id, at)?;
        claimed.next_due = sooner(claimed.next_due, next, &run, now);
    }
    Ok(claimed)
}

/// Rolling runs of later days are begun long before: nothing of theirs is due, so nobody looks.
pub fn is_of_a_later_day(run: &Run, now: Timestamp) -> bool {
    run.header.is_rolling() && now < run.header.window.opens
}

/// The earlier of two instants; the second one counts if its run is not over by then.
pub fn sooner(
    a: Option<Timestamp>,
    b: Option<Timestamp>,
    run: &Run,
    now: Timestamp,
) -> Option<Timestamp> {
    let b = b.filter(|due| now.max(*due) < run.stop_at());
    [a, b].into_iter().flatten().min()
}

pub fn new_claim(
    run: &Run,
    lane: &NumberId,
    index: u32,
    record: &Record,
    message: Envelope,
    body: Arc<str>,
) -> Claim {
    Claim {
        id: DeliveryId { run: run.header.id.clone(), index },
        lane: lane.clone(),
        lease_token: record.lease_token,
        due_at: record.due_at,
        message,
        body,
        header: Arc::clone(&run.header),
        attempts_spent: attempts_spent(&record.facts),
        defers_spent: defers_spent(&record.facts),
        attempts: u32::try_from(record.facts.attempts.len()).unwrap_or(u32::MAX),
        worker_died: record.lost_leases + record.strikes > 0,
    }
}

pub fn intent(
    rows: &mut impl Rows,
    requests: &[IntentRequest],
    now: Timestamp,
) -> Result<Vec<IntentAnswer>> {
    let mut answers = Vec::with_capacity(requests.len());
    for request in requests {
        let Some((run, mut record)) = find(rows, &request.id)? else {
            answers.push(IntentAnswer::Refused(Refusal::NoDelivery));
            continue;
        };
        if rows.fenced(&request.id.run)? {
            answers.push(IntentAnswer::Refused(Refusal::StoreRestarted));
            continue;
        }
        let was = record.state;
        let answer = transition::intent(&mut record, &run, request, now);
        answers.push(match answer {
            Ok(()) => {
                rows.put(&run, request.id.index, &record, was)?;
                IntentAnswer::Granted
            }
            Err(refusal) => IntentAnswer::Refused(refusal),
        });
    }
    Ok(answers)
}

pub fn result(
    rows: &mut impl Rows,
    results: &[AttemptResult],
    now: Timestamp,
) -> Result<Vec<State>> {
    let mut states = Vec::with_capacity(results.len());
    for result in results {
        let Some((run, mut record)) = find(rows, &result.id)? else {
            let kept = keep_news(rows, &result.id, &transition::news_in(result), None, now)?;
            states.push(kept.ok_or_else(|| LedgerError::NoRun(result.id.run.clone()))?);
            continue;
        };
        let was = record.state;
        transition::result(&mut record, &run, result, now);
        rows.put(&run, result.id.index, &record, was)?;
        states.push(record.state);
    }
    Ok(states)
}

pub fn release(rows: &mut impl Rows, releases: &[Release], now: Timestamp) -> Result<()> {
    for release in releases {
        let Some((run, mut record)) = find(rows, &release.id)? else { continue };
        let was = record.state;
        if transition::release(&mut record, &run, release, now) {
            rows.put(&run, release.id.index, &record, was)?;
        }
    }
    Ok(())
}

pub fn apply(rows: &mut impl Rows, facts: &[WebhookFact], now: Timestamp) -> Result<Vec<Applied>> {
    let mut applied = Vec::with_capacity(facts.len());
    for fact in facts {
        let Some((run, mut record)) = find(rows, &fact.id)? else {
            let number = fact.number.as_ref();
            let kept = keep_news(rows, &fact.id, &fact.news, number, now)?;
            applied.push(kept.map_or(Applied::NoDelivery, |_| Applied::Forgotten));
            continue;
        };
        let was = record.state;
        let verdict = transition::apply(&mut record, &run, fact, now);
        if !matches!(verdict, Applied::Stale | Applied::Foreign) {
            rows.put(&run, fact.id.index, &record, was)?;
            if let Some(seen) = transition::witness(&record, fact) {
                rows.put_witness(&fact.id.run, record.lane, seen)?;
            }
        }
        applied.push(verdict);
    }
    Ok(applied)
}

pub fn amend(
    rows: &mut impl Rows,
    amendments: &[Amendment],
    now: Timestamp,
) -> Result<Vec<Amended>> {
    let mut amended = Vec::with_capacity(amendments.len());
    for amendment in amendments {
        let Some((run, mut record)) = find(rows, &amendment.id)? else {
            amended.push(Amended::NoDelivery);
            continue;
        };
        let was = record.state;
        amended.push(if amend_one(&mut record, &run, amendment, now) {
            rows.put(&run, amendment.id.index, &record, was)?;
            Amended::Done(record.state)
        } else {
            Amended::Refused(was)
        });
    }
    Ok(amended)
}

/// The change and its note, or neither.
pub fn amend_one(record: &mut Record, run: &Run, amendment: &Amendment, now: Timestamp) -> bool {
    let done = transition::amend(record, run, amendment.change, now);
    if done {
        record.notes.extend(amendment.note.clone());
    }
    done
}

pub fn sweep(rows: &mut impl Rows, id: &RunId, limit: usize, now: Timestamp) -> Result<Swept> {
    let mut run = existing(rows, id)?;
    let fenced = rows.fenced(id)?;
    let mut found = rows.looks(id, now, limit)?;
    if must_end_waiting(&run, now) {
        found.extend(rows.waiting(id, limit.saturating_sub(found.len()))?);
    }
    let mut swept = Swept { more: found.len() >= limit, ..Swept::default() };
    for index in found {
        let Some(mut record) = readable(rows, &run, index)? else { continue };
        let was = record.state;
        let witness = rows.witness(id, record.lane)?;
        let did = transition::sweep(&mut record, &run, now, witness, fenced);
        // What need not change yet was looked at too early, and is put back in its place.
        let look = record.schedule(&run.header.policy).look();
        if did.changed() || look.is_some_and(|at| at > now) {
            rows.put(&run, index, &record, was)?;
        }
        note(&mut swept, did);
        if did.written_off {
            run.resends += 1;
            rows.put_run(&run)?;
        }
    }
    Ok(swept)
}

/// From the deadline, or a cancel, deliveries that still wait are ended.
pub fn must_end_waiting(run: &Run, now: Timestamp) -> bool {
    now >= run.stop_at() || run.phase == Phase::Cancelled
}

pub fn note(swept: &mut Swept, did: transition::Sweep) {
    swept.leases_expired += u32::from(did.lease_expired);
    swept.intents_lost += u32::from(did.intent_lost);
    swept.written_off += u32::from(did.written_off);
    swept.ended += u32::from(did.ended);
    swept.suspected += u32::from(did.suspected);
}
