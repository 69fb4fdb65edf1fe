//! What a person does to single deliveries: settle, send again, put back. Without a yes it is only said;
//! with one, who, when and why are kept with the delivery.

use std::collections::BTreeSet;
use std::time::Duration;

use config::{Config, parse_time};
pub use domain::Resolution;
use domain::{DeliveryId, State, Timestamp};
use ledger::{Amended, Amendment, Change, DeliveryView, Ledger, Note, Phase};

use crate::Mode;
use crate::did::who;
use crate::error::{DeskError, Result};
use crate::named::{find_run, reason};
use crate::select::{Selection, Which};
use crate::told::{Answer, Told};

/// How long a run that is over is opened again, unless told otherwise.
const REOPENED_FOR: Duration = Duration::from_secs(600);
/// Deliveries that are changed, or swept, in one ledger call.
const CHUNK: usize = 500;
const SWEEP: usize = 1_000;
/// Deliveries that are told one by one.
const SHOWN: usize = 100;

/// What is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// An undecided delivery is settled by a person's knowledge.
    Resolve(Resolution),
    /// An undecided delivery goes once more, marked as a possible duplicate.
    Resend { until: Option<String> },
    /// A dead letter goes again, with fresh limits.
    Requeue { until: Option<String> },
}

/// To which deliveries, and why: by their ids, or all of a run that fit; not both.
#[derive(Clone, Debug)]
pub struct Amend {
    pub ids: Vec<String>,
    pub which: Which,
    pub reason: String,
    pub mode: Mode,
}

/// # Errors
/// When the wish makes no sense, no such delivery is there, or the store does not answer.
pub async fn amend(config: &Config, ledger: &dyn Ledger, act: Act, wish: &Amend) -> Result<Told> {
    let now = ledger.now().await?;
    let (change, until) = match &act {
        Act::Resolve(resolution) => (Change::Resolve(*resolution), None),
        Act::Resend { until } => (Change::Resend, Some(instant(config, until.as_deref(), now)?)),
        Act::Requeue { until } => (Change::Requeue, Some(instant(config, until.as_deref(), now)?)),
    };
    reason(&wish.reason)?;
    let mut told = Told::default();
    let (judged, answer) = judge(config, ledger, wish, change, &mut told).await?;
    if judged.is_empty() || answer == Answer::No || wish.mode == Mode::DryRun {
        only_say(&judged, answer, change, &mut told);
        return Ok(told.with(if judged.is_empty() { Answer::No } else { answer }));
    }
    if matches!(change, Change::Resend | Change::Requeue) {
        refuse_while_fenced(ledger, &judged).await?;
    }
    if let Some(until) = until {
        reopen(ledger, &judged, until, &mut told).await?;
    }
    carry_out(ledger, &judged, change, &wish.reason, told).await
}

/// Runs of what is sent again are opened again.
async fn reopen(
    ledger: &dyn Ledger,
    judged: &[(DeliveryId, State)],
    until: Timestamp,
    told: &mut Told,
) -> Result<()> {
    for run in judged.iter().map(|(id, _)| &id.run).collect::<BTreeSet<_>>() {
        let reopened = ledger.reopen(run, until).await?;
        match reopened.phase {
            Phase::Cancelled => {
                let why = format!("run {run} is cancelled: nothing of it is put back");
                return Err(DeskError::Refused(why));
            }
            Phase::Paused => {
                told.say(format!("{run} is paused: nothing is sent until it is resumed"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Until when what is sent again may begin.
fn instant(config: &Config, until: Option<&str>, now: Timestamp) -> Result<Timestamp> {
    let Some(text) = until else { return Ok(now + REOPENED_FOR) };
    let Some(time) = parse_time(text) else {
        return Err(DeskError::WrongUse(format!("--until {text:?}: expected HH:MM")));
    };
    let daily = &config.campaigns[0].daily;
    let spec = domain::WindowSpec { opens: time, ..daily.window };
    let none = || DeskError::Refused("the zone has no such time today".to_owned());
    let window = spec.on(spec.date_at(now)).ok_or_else(none)?;
    if window.opens <= now {
        return Err(DeskError::Refused(format!("--until {text} has passed")));
    }
    Ok(window.opens)
}

/// What a host knows that is still waited for may be that these were sent.
async fn refuse_while_fenced(ledger: &dyn Ledger, judged: &[(DeliveryId, State)]) -> Result<()> {
    let fenced = ledger.fenced_runs().await?;
    if let Some((id, _)) = judged.iter().find(|(id, _)| fenced.contains(&id.run)) {
        return Err(DeskError::Refused(format!(
            "the store was emptied, put back or restarted, and not every host has given it what it knows of {}: what is put back now may have been sent already; `subah recover` says who is waited for",
            id.run
        )));
    }
    Ok(())
}

/// What would be done, or why nothing is.
fn only_say(judged: &[(DeliveryId, State)], answer: Answer, change: Change, told: &mut Told) {
    for (id, state) in judged.iter().take(SHOWN) {
        told.say(format!("{id}: {state} {}", said(change, may(change, *state))));
    }
    if judged.len() > SHOWN {
        told.say(format!("… and {} more", judged.len() - SHOWN));
    }
    let why = match (judged.is_empty(), answer) {
        (true, _) => "no delivery fits",
        (_, Answer::No) => "one of them may not be changed, so none is",
        _ => "--yes does it",
    };
    told.say(format!("nothing was changed; {why}"));
}

async fn carry_out(
    ledger: &dyn Ledger,
    judged: &[(DeliveryId, State)],
    change: Change,
    why: &str,
    mut told: Told,
) -> Result<Told> {
    let (mut done, mut answer) = (0, Answer::Yes);
    let (now, by) = (ledger.now().await?, who());
    for chunk in judged.chunks(CHUNK) {
        let note = || Note { at: now, by: by.clone(), change, why: why.to_owned() };
        let amendment = |(id, _): &(DeliveryId, State)| {
            tracing::warn!(delivery.id = %id, by, ?change, "delivery {id} is changed by hand");
            Amendment { id: id.clone(), change, note: Some(note()) }
        };
        let amendments: Vec<Amendment> = chunk.iter().map(amendment).collect();
        for ((id, before), amended) in chunk.iter().zip(ledger.amend(&amendments).await?) {
            if let Amended::Done(state) = amended {
                done += 1;
                if judged.len() <= SHOWN {
                    told.say(format!("{id}: {before} → {state}"));
                }
            } else {
                told.say(format!("{id}: changed meanwhile, and stays: {amended:?}"));
                answer = Answer::No;
            }
        }
    }
    told.say(format!("{done} of {} deliveries are changed", judged.len()));
    Ok(told.with(answer))
}

/// The deliveries meant, each with its state. Those named one by one must all allow the
/// change, else the answer is no; of those found by a filter the ones that do are taken.
async fn judge(
    config: &Config,
    ledger: &dyn Ledger,
    act: &Amend,
    change: Change,
    told: &mut Told,
) -> Result<(Vec<(DeliveryId, State)>, Answer)> {
    if act.ids.is_empty() != act.which.narrows() {
        return Err(DeskError::WrongUse(
            "name deliveries, or say which by --state, --recipient, --missed, --cause or --number; not both".to_owned()
        ));
    }
    let mut judged = Vec::new();
    if act.ids.is_empty() {
        let date = &act.which.date;
        let run = find_run(config, ledger, date).await?;
        let none = || DeskError::Refused(format!("there is no run of {date}; `subah runs list`"));
        let run = run.ok_or_else(none)?;
        // What time has ended is not opened again with the run.
        while ledger.sweep(&run.header.id, SWEEP).await?.more {}
        let (mut all, selection) = (0, Selection::new(ledger, &run, &act.which).await?);
        let tell = |delivery: &DeliveryView| {
            all += 1;
            if may(change, delivery.state) {
                judged.push((delivery.id.clone(), delivery.state));
            }
        };
        selection.for_each(ledger, tell).await?;
        told.say(format!("{all} fit, {} of them may be changed", judged.len()));
        return Ok((judged, Answer::Yes));
    }
    let mut answer = Answer::Yes;
    let mut ids = BTreeSet::new();
    for text in &act.ids {
        let id: DeliveryId = text.parse().map_err(|_| {
            DeskError::WrongUse(format!(
                "{text:?}: expected run#index, e.g. daily-pack@2026-11-21#417"
            ))
        })?;
        ids.insert(id);
    }
    for run in ids.iter().map(|id| id.run.clone()).collect::<BTreeSet<_>>() {
        while ledger.sweep(&run, SWEEP).await?.more {}
    }
    for id in ids {
        let found = ledger::api::find(ledger, &id).await?;
        let none = || DeskError::Refused(format!("there is no delivery {id}"));
        let found = found.ok_or_else(none)?;
        if !may(change, found.state) {
            answer = Answer::No;
        }
        judged.push((id, found.state));
    }
    Ok((judged, answer))
}

/// As `ledger/transition.rs` judges; only to say it beforehand.
fn may(change: Change, state: State) -> bool {
    match change {
        Change::Resolve(_) | Change::Resend => {
            matches!(state, State::Unknown | State::Ambiguous)
        }
        _ => matches!(state, State::Failed | State::Expired | State::Quarantined),
    }
}

fn said(change: Change, allowed: bool) -> &'static str {
    match (change, allowed) {
        (Change::Resolve(Resolution::Delivered), true) => "would count as delivered",
        (Change::Resolve(_), true) => "would count as failed",
        (Change::Resend, true) => {
            "would be sent again, marked as a possible duplicate: the first try may have arrived"
        }
        (_, true) => "would be sent again, with fresh limits",
        (Change::Resolve(_) | Change::Resend, false) => {
            "stays: only unknown and ambiguous deliveries are undecided"
        }
        (_, false) => "stays: only failed, expired and quarantined deliveries are dead letters",
    }
}
