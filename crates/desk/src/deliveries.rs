//! The deliveries of a run, and everything that is known of one.

use chrono_tz::Tz;
use config::Config;
use domain::{Address, Attempt, DeliveryId, Timestamp};
use ledger::{DeliveryView, Ledger};
use serde_json::{Value, json};

use crate::error::{DeskError, Result};
use crate::named::find_run;
use crate::runs::{Absent, absent};
use crate::select::{Selection, Which};
use crate::table::Table;

/// Deliveries of one run that fit.
pub struct Listed {
    pub table: Table,
    /// How many fit in all; the table ends at the limit.
    pub all: usize,
}

pub const COLUMNS: [&str; 9] =
    ["delivery", "state", "recipient", "to", "number", "due", "attempts", "cause", "twice"];

/// Deliveries of one run that fit every condition, at most `limit`; numbers in full with `reveal`,
/// which the caller has noted. The inner error: nobody has planned the run.
///
/// # Errors
/// When a condition makes no sense, or the store does not answer.
pub async fn list(
    config: &Config,
    ledger: &dyn Ledger,
    which: &Which,
    limit: usize,
    reveal: bool,
) -> Result<std::result::Result<Listed, Absent>> {
    let Some(run) = find_run(config, ledger, &which.date).await? else {
        return Ok(Err(absent(config, &which.date)?));
    };
    let selection = Selection::new(ledger, &run, which).await?;
    let zone = config.zone();
    let row = |d: &DeliveryView| {
        vec![
            d.id.to_string(),
            d.state.to_string(),
            d.message.as_ref().map_or("?", |m| m.recipient.as_str()).to_owned(),
            d.message.as_ref().map_or_else(|| "?".to_owned(), |m| address(&m.to, reveal)),
            d.lane.to_string(),
            d.due_at.rfc3339(zone),
            d.facts.attempts.len().to_string(),
            selection.why(d).to_owned(),
            twice(d).to_owned(),
        ]
    };
    let (mut table, mut all) = (Table::new(&COLUMNS), 0usize);
    let tell = |delivery: &DeliveryView| {
        all += 1;
        if table.rows.len() < limit {
            table.rows.push(row(delivery));
        }
    };
    selection.for_each(ledger, tell).await?;
    Ok(Ok(Listed { table, all }))
}

/// Everything that is known of one delivery.
///
/// # Errors
/// When there is none of that id, or the store does not answer.
pub async fn show(config: &Config, ledger: &dyn Ledger, id: &str, reveal: bool) -> Result<Value> {
    let id: DeliveryId = id.parse().map_err(|_| {
        DeskError::WrongUse("expected run#index, e.g. daily-pack@2026-11-21#417".to_owned())
    })?;
    let found = ledger::api::find(ledger, &id).await?;
    let none = || DeskError::Refused(format!("there is no delivery {id}"));
    Ok(shown(&found.ok_or_else(none)?, config.zone(), reveal))
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

/// A delivery as programs read it.
pub fn shown(delivery: &DeliveryView, zone: Tz, reveal: bool) -> Value {
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
