//! `deliveries resolve|resend|requeue`: what a person does to single deliveries. Without
//! `--yes` it is only said; with it, who, when and why are kept with the delivery.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use config::{Config, parse_time};
use domain::{DeliveryId, Resolution, State, Timestamp};
use ledger::{Amended, Amendment, Change, DeliveryView, Ledger, Note, Phase};

use super::find_run;
use super::select::Selection;
use crate::cli::{ActArgs, Resolved, SendAgainArgs};
use crate::exit::{Answer, WrongUse};
use crate::owner::who;

/// How long a run that is over is opened again, unless told otherwise.
const REOPENED_FOR: Duration = Duration::from_secs(600);
/// Deliveries that are changed, or swept, in one ledger call.
const CHUNK: usize = 500;
const SWEEP: usize = 1_000;
/// Deliveries that are told one by one.
const SHOWN: usize = 100;

pub async fn resolve(
    config: &Config,
    ledger: &dyn Ledger,
    act: &ActArgs,
    resolved: Resolved,
) -> Result<Answer> {
    let resolution = match resolved {
        Resolved::Delivered => Resolution::Delivered,
        Resolved::NotDelivered => Resolution::NotDelivered,
    };
    amend(config, ledger, act, Change::Resolve(resolution), None).await
}

pub async fn send_again(
    config: &Config,
    ledger: &dyn Ledger,
    args: &SendAgainArgs,
    change: Change,
) -> Result<Answer> {
    let until = until(config, args, ledger.now().await?)?;
    amend(config, ledger, &args.act, change, Some(until)).await
}

fn until(config: &Config, args: &SendAgainArgs, now: Timestamp) -> Result<Timestamp> {
    let Some(text) = &args.until else { return Ok(now + REOPENED_FOR) };
    let Some(time) = parse_time(text) else {
        bail!(WrongUse(format!("--until {text:?}: expected HH:MM")));
    };
    let daily = &config.campaigns[0].daily;
    let spec = domain::WindowSpec { opens: time, ..daily.window };
    let window = spec.on(spec.date_at(now)).context("the zone has no such time today")?;
    if window.opens <= now {
        bail!("--until {text} has passed");
    }
    Ok(window.opens)
}

async fn amend(
    config: &Config,
    ledger: &dyn Ledger,
    act: &ActArgs,
    change: Change,
    until: Option<Timestamp>,
) -> Result<Answer> {
    if act.reason.trim().is_empty() {
        bail!(WrongUse("--reason is empty: say why, for whoever asks tomorrow".to_owned()));
    }
    let (judged, answer) = judge(config, ledger, act, change).await?;
    if judged.is_empty() || answer == Answer::No || !act.yes {
        only_say(&judged, answer, change);
        return Ok(if judged.is_empty() { Answer::No } else { answer });
    }
    if matches!(change, Change::Resend | Change::Requeue) {
        refuse_while_fenced(ledger, &judged).await?;
    }
    if let Some(until) = until {
        for run in judged.iter().map(|(id, _)| &id.run).collect::<BTreeSet<_>>() {
            let reopened = ledger.reopen(run, until).await?;
            match reopened.phase {
                Phase::Cancelled => bail!("run {run} is cancelled: nothing of it is put back"),
                Phase::Paused => println!("{run} is paused: nothing is sent until it is resumed"),
                _ => {}
            }
        }
    }
    carry_out(ledger, &judged, change, &act.reason).await
}

/// What a host knows that is still waited for may be that these were sent.
async fn refuse_while_fenced(ledger: &dyn Ledger, judged: &[(DeliveryId, State)]) -> Result<()> {
    let fenced = ledger.fenced_runs().await?;
    if let Some((id, _)) = judged.iter().find(|(id, _)| fenced.contains(&id.run)) {
        bail!(
            "the store was emptied, put back or restarted, and not every host has given it what it knows of {}: what is put back now may have been sent already; `subah recover` says who is waited for",
            id.run
        );
    }
    Ok(())
}

/// What would be done, or why nothing is.
fn only_say(judged: &[(DeliveryId, State)], answer: Answer, change: Change) {
    for (id, state) in judged.iter().take(SHOWN) {
        println!("{id}: {state} {}", said(change, may(change, *state)));
    }
    if judged.len() > SHOWN {
        println!("… and {} more", judged.len() - SHOWN);
    }
    let why = match (judged.is_empty(), answer) {
        (true, _) => "no delivery fits",
        (_, Answer::No) => "one of them may not be changed, so none is",
        _ => "--yes does it",
    };
    println!("nothing was changed; {why}");
}

async fn carry_out(
    ledger: &dyn Ledger,
    judged: &[(DeliveryId, State)],
    change: Change,
    why: &str,
) -> Result<Answer> {
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
                    println!("{id}: {before} → {state}");
                }
            } else {
                println!("{id}: changed meanwhile, and stays: {amended:?}");
                answer = Answer::No;
            }
        }
    }
    println!("{done} of {} deliveries are changed", judged.len());
    Ok(answer)
}

/// The deliveries meant, each with its state. Those named one by one must all allow the
/// change, else the answer is no; of those found by a filter the ones that do are taken.
async fn judge(
    config: &Config,
    ledger: &dyn Ledger,
    act: &ActArgs,
    change: Change,
) -> Result<(Vec<(DeliveryId, State)>, Answer)> {
    if act.ids.is_empty() != act.which.narrows() {
        bail!(WrongUse(
            "name deliveries, or say which by --state, --recipient, --missed, --cause or --number; not both".to_owned()
        ));
    }
    let mut judged = Vec::new();
    if act.ids.is_empty() {
        let date = &act.which.date;
        let run = find_run(config, ledger, date).await?;
        let run = run.with_context(|| format!("there is no run of {date}; `subah runs list`"))?;
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
        println!("{all} fit, {} of them may be changed", judged.len());
        return Ok((judged, Answer::Yes));
    }
    let mut answer = Answer::Yes;
    let mut ids = BTreeSet::new();
    for text in &act.ids {
        let id: DeliveryId = text.parse().map_err(|_| {
            WrongUse(format!("{text:?}: expected run#index, e.g. daily-pack@2026-11-21#417"))
        })?;
        ids.insert(id);
    }
    for run in ids.iter().map(|id| id.run.clone()).collect::<BTreeSet<_>>() {
        while ledger.sweep(&run, SWEEP).await?.more {}
    }
    for id in ids {
        let found = ledger::api::find(ledger, &id).await?;
        let found = found.with_context(|| format!("there is no delivery {id}"))?;
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
