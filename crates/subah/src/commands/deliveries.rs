//! `deliveries list|show`; acts on them are in `amend.rs`.

use anyhow::{Context, Result, bail};
use chrono_tz::Tz;
use config::Config;
use domain::{Address, Attempt, DeliveryId, Timestamp};
use ledger::{Change, DeliveryView, Ledger};
use serde_json::json;

use super::select::Selection;
use super::{amend, find_run, not_started};
use crate::cli::{Deliveries, ListArgs};
use crate::exit::{Answer, WrongUse};
use crate::output::{self, audit};
use crate::store;

pub async fn run(config: &Config, command: &Deliveries) -> Result<Answer> {
    if !store::exists(config) {
        bail!("no run was ever planned here: there is no ledger yet"); // looking makes none
    }
    let ledger = store::open(config).await?;
    let zone = config.zone();
    match command {
        Deliveries::List(args) => {
            audit(config, args.reveal, "deliveries list")?;
            list(config, ledger.as_ref(), args).await
        }
        Deliveries::Resolve { act, resolved } => {
            amend::resolve(config, ledger.as_ref(), act, *resolved).await
        }
        Deliveries::Resend(args) => {
            amend::send_again(config, ledger.as_ref(), args, Change::Resend).await
        }
        Deliveries::Requeue(args) => {
            amend::send_again(config, ledger.as_ref(), args, Change::Requeue).await
        }
        Deliveries::Show { id, reveal } => {
            audit(config, *reveal, &format!("deliveries show {id}"))?;
            let id: DeliveryId = id.parse().map_err(|_| {
                WrongUse("expected run#index, e.g. daily-pack@2026-11-21#417".to_owned())
            })?;
            let found = ledger::api::find(ledger.as_ref(), &id).await?;
            let delivery = found.with_context(|| format!("there is no delivery {id}"))?;
            println!("{}", serde_json::to_string_pretty(&shown(&delivery, zone, *reveal))?);
            Ok(Answer::Yes)
        }
    }
}

/// Deliveries of one run that fit every condition; says how many there are in all.
async fn list(config: &Config, ledger: &dyn Ledger, args: &ListArgs) -> Result<Answer> {
    let Some(run) = find_run(config, ledger, &args.which.date).await? else {
        return not_started(config, &args.which.date);
    };
    let selection = Selection::new(ledger, &run, &args.which).await?;
    let zone = config.zone();
    let row = |d: &DeliveryView| {
        vec![
            d.id.to_string(),
            d.state.to_string(),
            d.message.as_ref().map_or("?", |m| m.recipient.as_str()).to_owned(),
            d.message.as_ref().map_or_else(|| "?".to_owned(), |m| address(&m.to, args.reveal)),
            d.lane.to_string(),
            d.due_at.rfc3339(zone),
            d.facts.attempts.len().to_string(),
            selection.why(d).to_owned(),
            twice(d).to_owned(),
        ]
    };
    let (mut rows, mut all) = (Vec::new(), 0usize);
    let tell = |delivery: &DeliveryView| {
        all += 1;
        if rows.len() < args.limit {
            rows.push(row(delivery));
        }
    };
    selection.for_each(ledger, tell).await?;
    let columns =
        ["delivery", "state", "recipient", "to", "number", "due", "attempts", "cause", "twice"];
    output::rows(args.format.format, &columns, &rows)?;
    if rows.len() < all {
        output::hint(&format!("{} of {all}; --limit shows more", rows.len()));
    }
    Ok(Answer::Yes)
}

pub fn twice(delivery: &DeliveryView) -> &'static str {
    if delivery.facts.proven_duplicates() > 0 {
        "duplicate"
    } else if delivery.facts.possible_duplicate() {
        "possible duplicate"
    } else {
        ""
    }
}

pub fn address(to: &Address, reveal: bool) -> String {
    match (to.phone(), to.user_id()) {
        (Some(phone), _) if reveal => phone.reveal().to_owned(),
        (Some(phone), _) => phone.masked(),
        (None, Some(id)) if reveal => id.reveal().to_owned(),
        (None, _) => "user id".to_owned(),
    }
}

pub fn shown(delivery: &DeliveryView, zone: Tz, reveal: bool) -> serde_json::Value {
    let at = |at: Option<Timestamp>| at.map(|at| at.rfc3339(zone));
    let attempt = |attempt: &Attempt| {
        json!({
            "nonce": attempt.nonce.to_string(),
            "intent_at": at(attempt.intent_at),
            "dispatched_at": at(attempt.dispatched_at),
            "written_off_at": at(attempt.written_off_at),
            "accepted_at": at(attempt.accepted_at),
            "sent_at": at(attempt.sent_at),
            "delivered_at": at(attempt.delivered_at),
            "read_at": at(attempt.read_at),
            "http": http(attempt),
            "words": attempt.words,
            "sent_as": attempt.sent_as,
            "time_doubted": attempt.time_doubted,
            "failed": attempt.failed.map(|f| json!({
                "at": f.at.rfc3339(zone), "code": f.failure.code,
                "meaning": cloud_api::error_codes::meaning(f.failure.code)})),
        })
    };
    json!({
        "delivery": delivery.id.to_string(),
        "state": delivery.state.as_str(),
        "ended": delivery.facts.ended,
        "resolved": delivery.facts.resolved,
        "possible_duplicate": delivery.facts.possible_duplicate(),
        "proven_duplicates": delivery.facts.proven_duplicates(),
        "strikes": delivery.strikes,
        "notes": delivery.notes.iter().map(|note| json!({
            "at": note.at.rfc3339(zone), "by": note.by, "change": note.change, "why": note.why,
        })).collect::<Vec<_>>(),
        "number": delivery.lane.as_str(),
        "damage": delivery.damage,
        "recipient": delivery.message.as_ref().map(|m| m.recipient.tag()),
        "to": delivery.message.as_ref().map(|m| address(&m.to, reveal)),
        "due_at": delivery.due_at.rfc3339(zone),
        "next_at": delivery.next_at.rfc3339(zone),
        "attempts": delivery.facts.attempts.iter().map(attempt).collect::<Vec<_>>(),
    })
}

/// The outcome in words; a message id holds the recipient's number, so it is left out.
fn http(attempt: &Attempt) -> String {
    use domain::Http::{Accepted, Ambiguous, None, NotSent, Refused};
    match &attempt.http {
        None => "no outcome yet".to_owned(),
        Ambiguous(doubt) => format!("ambiguous: {doubt:?}").to_lowercase(),
        NotSent(why) => format!("not sent: {}", why.as_str().replace('_', " ")),
        Refused(f) => format!("refused: {} {}", f.code, cloud_api::error_codes::meaning(f.code)),
        Accepted { held: true, .. } => "accepted, held for quality assessment".to_owned(),
        Accepted { held: false, .. } => "accepted".to_owned(),
    }
}
