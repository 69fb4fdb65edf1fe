//! `deliveries list|show`; acts on them are in `amend.rs`.

use anyhow::{Context, Result};
use chrono_tz::Tz;
use domain::{Address, Attempt, DeliveryId, NumberId, State, Timestamp, person};
use ledger::{Change, DeliveryView, Filter, Ledger};
use scheduler::intake::phone;
use serde_json::json;
use status::sla::miss;

use super::{amend, find_run, not_started};
use crate::cli::{Deliveries, ListArgs};
use crate::config::Config;
use crate::exit::{Answer, WrongUse};
use crate::output::{self, audit};
use crate::store;

/// Deliveries read in one call.
const PAGE: usize = 5_000;

pub async fn run(config: &Config, command: &Deliveries) -> Result<Answer> {
    let ledger = store::open(config).await?;
    let zone = config.daily.window.zone;
    match command {
        Deliveries::List(args) => {
            audit(config, args.reveal, "deliveries list")?;
            list(config, ledger.as_ref(), args).await
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
    let Some(run) = find_run(config, ledger, &args.date).await? else {
        return not_started(config, &args.date);
    };
    let states = args.state.iter().map(|name| {
        State::parse(name.trim()).with_context(|| {
            let known: Vec<&str> = State::ALL.iter().map(|s| s.as_str()).collect();
            WrongUse(format!("unknown state {name:?}, expected {}", known.join(", ")))
        })
    });
    let lane = args.number.clone().map(NumberId::try_new).transpose()?;
    let filter = Filter { states: states.collect::<Result<_>>()?, lane };
    let wanted = args.recipient.as_deref().map(Wanted::of);
    let (zone, deadline) = (config.daily.window.zone, run.header.window.deadline);
    let fits = |d: &DeliveryView| {
        let miss = miss(d, deadline);
        wanted.as_ref().is_none_or(|wanted| wanted.fits(d))
            && (!args.missed || miss.is_some())
            && args.cause.as_deref().is_none_or(|cause| miss == Some(&cause.replace(' ', "_")))
    };
    let row = |d: &DeliveryView| {
        let twice = if d.facts.proven_duplicates() > 0 {
            "duplicate"
        } else if d.facts.possible_duplicate() {
            "possible duplicate"
        } else {
            ""
        };
        vec![
            d.id.to_string(),
            d.state.to_string(),
            d.message.recipient.as_str().to_owned(),
            address(&d.message.to, args.reveal),
            d.lane.to_string(),
            d.due_at.rfc3339(zone),
            d.facts.attempts.len().to_string(),
            miss(d, deadline).unwrap_or("").to_owned(),
            twice.to_owned(),
        ]
    };
    let (mut rows, mut all, mut after) = (Vec::new(), 0usize, None);
    loop {
        let page = ledger.list(&run.header.id, &filter, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id.index);
        for delivery in page.iter().filter(|delivery| fits(delivery)) {
            all += 1;
            if rows.len() < args.limit {
                rows.push(row(delivery));
            }
        }
    }
    let columns =
        ["delivery", "state", "recipient", "to", "number", "due", "attempts", "miss", "twice"];
    output::rows(args.format.format, &columns, &rows)?;
    if rows.len() < all {
        eprintln!("{} of {all}; --limit shows more", rows.len());
    }
    Ok(Answer::Yes)
}

/// One person, by id or by phone number in any spelling.
struct Wanted {
    id: String,
    keys: Vec<String>,
}

impl Wanted {
    fn of(text: &str) -> Self {
        let phone = phone::parse(text, None, Some(phone::Country::INDIA)).ok();
        let keys = phone.map(|phone| person::phone_key(&phone)).into_iter().collect();
        Wanted { id: text.to_owned(), keys }
    }

    fn fits(&self, delivery: &DeliveryView) -> bool {
        let message = &delivery.message;
        message.recipient.as_str() == self.id
            || person::keys(&message.to).any(|key| self.keys.contains(&key))
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
            "words": attempt.words,
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
        NotSent(why) => format!("not sent: {}", why.as_str().replace('_', " ")),
        Refused(f) => format!("refused: {} {}", f.code, cloud_api::error_codes::meaning(f.code)),
        Accepted { held: true, .. } => "accepted, held for quality assessment".to_owned(),
        Accepted { held: false, .. } => "accepted".to_owned(),
    }
}
