//! `deliveries list|show`; acts on them are in `amend.rs`.

use anyhow::{Context, Result};
use chrono_tz::Tz;
use domain::{Address, Attempt, DeliveryId, State, Timestamp};
use ledger::{Change, DeliveryView, Filter};
use serde_json::json;
use status::sla::miss;

use super::{amend, find_run};
use crate::cli::Deliveries;
use crate::config::Config;
use crate::exit::Answer;
use crate::output::{self, audit};
use crate::store;

pub async fn run(config: &Config, command: &Deliveries) -> Result<Answer> {
    let ledger = store::open(config).await?;
    let zone = config.daily.window.zone;
    match command {
        Deliveries::List { date, state, limit, format, reveal } => {
            audit(config, *reveal, "deliveries list")?;
            let run = find_run(config, ledger.as_ref(), date.as_deref()).await?;
            let states = state.iter().map(|name| {
                State::parse(name.trim()).with_context(|| {
                    let known: Vec<&str> = State::ALL.iter().map(|s| s.as_str()).collect();
                    format!("unknown state {name:?}, expected {}", known.join(", "))
                })
            });
            let filter = Filter { states: states.collect::<Result<_>>()?, lane: None };
            let found = ledger.list(&run.header.id, &filter, None, *limit).await?;
            let deadline = run.header.window.deadline;
            let columns = ["delivery", "state", "number", "to", "due", "attempts", "miss"];
            let row = |d: &DeliveryView| {
                vec![
                    d.id.to_string(),
                    d.state.to_string(),
                    d.lane.to_string(),
                    address(&d.message.to, *reveal),
                    d.due_at.rfc3339(zone),
                    d.facts.attempts.len().to_string(),
                    miss(d, deadline).unwrap_or("").to_owned(),
                ]
            };
            let rows: Vec<Vec<String>> = found.iter().map(row).collect();
            output::rows(format.format, &columns, &rows)?;
            Ok(Answer::Yes)
        }
        Deliveries::Resolve { act, resolved } => {
            amend::resolve(ledger.as_ref(), act, *resolved).await
        }
        Deliveries::Resend(args) => {
            amend::send_again(config, ledger.as_ref(), args, Change::Resend).await
        }
        Deliveries::Requeue(args) => {
            amend::send_again(config, ledger.as_ref(), args, Change::Requeue).await
        }
        Deliveries::Show { id, reveal } => {
            audit(config, *reveal, &format!("deliveries show {id}"))?;
            let id: DeliveryId =
                id.parse().context("expected run#index, e.g. daily-pack@2026-11-21#417")?;
            let found = ledger::api::find(ledger.as_ref(), &id).await?;
            let delivery = found.with_context(|| format!("there is no delivery {id}"))?;
            println!("{}", serde_json::to_string_pretty(&shown(&delivery, zone, *reveal))?);
            Ok(Answer::Yes)
        }
    }
}

fn address(to: &Address, reveal: bool) -> String {
    match (to.phone(), to.user_id()) {
        (Some(phone), _) if reveal => phone.reveal().to_owned(),
        (Some(phone), _) => phone.masked(),
        (None, Some(id)) if reveal => id.reveal().to_owned(),
        (None, _) => "user id".to_owned(),
    }
}

fn shown(delivery: &DeliveryView, zone: Tz, reveal: bool) -> serde_json::Value {
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
        "recipient": delivery.message.recipient.tag(),
        "to": address(&delivery.message.to, reveal),
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
        NotSent(why) => format!("not sent: {why:?}").to_lowercase(),
        Refused(f) => format!("refused: {} {}", f.code, cloud_api::error_codes::meaning(f.code)),
        Accepted { held: true, .. } => "accepted, held for quality assessment".to_owned(),
        Accepted { held: false, .. } => "accepted".to_owned(),
    }
}
