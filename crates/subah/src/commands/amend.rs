//! `deliveries resolve|resend|requeue`: what a person does to single deliveries. Without
//! `--yes` it is only said; with it, who, when and why are kept with the delivery.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use domain::{DeliveryId, Resolution, State, Timestamp};
use ledger::{Amended, Amendment, Change, Ledger, Note};

use crate::cli::{ActArgs, Resolved, SendAgainArgs};
use crate::config::{Config, parse_time};
use crate::exit::Answer;

/// How long a run that is over is opened again, unless told otherwise.
const REOPENED_FOR: Duration = Duration::from_secs(600);
/// Deliveries in one command: more is a campaign, not a repair.
const IDS_MAX: usize = 1_000;

pub async fn resolve(ledger: &dyn Ledger, act: &ActArgs, resolved: Resolved) -> Result<Answer> {
    let resolution = match resolved {
        Resolved::Delivered => Resolution::Delivered,
        Resolved::NotDelivered => Resolution::NotDelivered,
    };
    amend(ledger, act, Change::Resolve(resolution), None).await
}

pub async fn send_again(
    config: &Config,
    ledger: &dyn Ledger,
    args: &SendAgainArgs,
    change: Change,
) -> Result<Answer> {
    let until = until(config, args, ledger.now().await?)?;
    amend(ledger, &args.act, change, Some(until)).await
}

fn until(config: &Config, args: &SendAgainArgs, now: Timestamp) -> Result<Timestamp> {
    let Some(text) = &args.until else { return Ok(now + REOPENED_FOR) };
    let time = parse_time(text).with_context(|| format!("--until {text:?}: expected HH:MM"))?;
    let spec = domain::WindowSpec { opens: time, ..config.daily.window };
    let window = spec.on(spec.date_at(now)).context("the zone has no such time today")?;
    if window.opens <= now {
        bail!("--until {text} has passed");
    }
    Ok(window.opens)
}

async fn amend(
    ledger: &dyn Ledger,
    act: &ActArgs,
    change: Change,
    until: Option<Timestamp>,
) -> Result<Answer> {
    if act.ids.len() > IDS_MAX {
        bail!("{} deliveries in one command: at most {IDS_MAX}", act.ids.len());
    }
    if act.reason.trim().is_empty() {
        bail!("--reason is empty: say why, for whoever asks tomorrow");
    }
    let mut answer = Answer::Yes;
    for text in &act.ids {
        let id: DeliveryId = text.parse().with_context(|| {
            format!("{text:?}: expected run#index, e.g. daily-pack@2026-11-21#417")
        })?;
        // What time has ended is not opened again with the run.
        while ledger.sweep(&id.run, IDS_MAX).await?.more {}
        let found = ledger::api::find(ledger, &id).await?;
        let found = found.with_context(|| format!("there is no delivery {id}"))?;
        let allowed = may(change, found.state);
        if !act.yes || !allowed {
            println!("{id}: {} {}", found.state, said(change, allowed));
            answer = if allowed { answer } else { Answer::No };
            continue;
        }
        if let Some(until) = until {
            ledger.reopen(&id.run, until).await?;
        }
        let note = Note { at: ledger.now().await?, by: who(), change, why: act.reason.clone() };
        let amendment = Amendment { id: id.clone(), change, note: Some(note) };
        tracing::warn!(delivery.id = %id, by = who(), ?change, "delivery {id} is changed by hand");
        match ledger.amend(&[amendment]).await?.first() {
            Some(Amended::Done(state)) => println!("{id}: {} → {state}", found.state),
            Some(Amended::Refused(state)) => {
                println!("{id}: {state} {}", said(change, false));
                answer = Answer::No;
            }
            Some(Amended::Unknown) | None => bail!("there is no delivery {id}"),
        }
    }
    if !act.yes {
        println!("nothing was changed; --yes does it");
    }
    Ok(answer)
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

/// Who is at the keyboard, as far as the system tells.
pub fn who() -> String {
    let name = |key| std::env::var(key).ok().filter(|name| !name.is_empty());
    name("SUDO_USER").or_else(|| name("USER")).unwrap_or_else(|| "unknown".to_owned())
}
