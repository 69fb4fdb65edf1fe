//! A `failed` status stops what its code speaks of, as the same answer to a send would.

use domain::event::{ReportedError, Status, StatusReport};
use domain::{Failure, FailureClass, Language, NumberId, Scope, TemplateName, Timestamp};
use ledger::halts::{self, Halt, Thing};
use ledger::{LedgerError, WebhookFact};
use serde::Deserialize;
use std::time::Duration;
use telemetry::labels::{FoundBy, Halted, Label, Pair};

use super::Applier;

/// Bodies that were received longer ago are being merged again: they stop nothing now.
const FRESH: Duration = Duration::from_secs(600);

/// A failure of our account or number, whichever message it is reported for.
pub struct General {
    thing: Thing,
    said: Said,
    received_at: Timestamp,
}

/// What a failed status says: its class, and both the code's and the provider's own words.
#[derive(Clone)]
pub struct Said {
    pub failure: Failure,
    pub meaning: &'static str,
    pub words: String,
}

impl Default for Said {
    fn default() -> Self {
        let failure = Failure::WITHOUT_A_CODE;
        Said { failure, meaning: "no code was given", words: String::new() }
    }
}

impl From<&ReportedError> for Said {
    fn from(error: &ReportedError) -> Self {
        let ReportedError { failure, meaning, words, .. } = error;
        Said { failure: *failure, meaning, words: words.clone() }
    }
}

/// What a failed status says of more than its own message.
pub fn general(
    report: &StatusReport,
    received_at: Timestamp,
    ours: &[NumberId],
) -> Option<General> {
    let number = report.number.as_ref().filter(|number| ours.contains(number))?;
    let error = report.errors.first().filter(|_| report.status == Status::Failed)?;
    let thing = match (error.failure.class, error.failure.scope) {
        (FailureClass::Halted, Scope::Account | Scope::Auth) => Thing::Account,
        (FailureClass::Halted, Scope::Number) => Thing::Number(number.clone()),
        _ => return None,
    };
    Some(General { thing, said: error.into(), received_at })
}

pub async fn stop_general(
    applier: &Applier,
    general: &[General],
    now: Timestamp,
) -> Result<(), LedgerError> {
    for General { thing, said, received_at } in general {
        if now.since(*received_at) < FRESH {
            stop(applier, thing.clone(), said, now).await?;
        }
    }
    Ok(())
}

#[derive(Deserialize)]
struct Call {
    name: TemplateName,
    language: Language,
}

/// Stops the translation of the delivery that a failed status names.
pub async fn stop_named(
    applier: &Applier,
    fact: &WebhookFact,
    said: &Said,
    now: Timestamp,
) -> Result<(), LedgerError> {
    let Failure { class, scope, .. } = said.failure;
    let halts = class == FailureClass::Halted && scope == Scope::Template;
    let fresh = fact.received_at.is_none_or(|at| now.since(at) < FRESH);
    if !halts || !fresh {
        return Ok(());
    }
    let ledger = applier.ledger.as_ref();
    let Some(delivery) = ledger::api::find(ledger, &fact.id).await? else { return Ok(()) };
    let Some(message) = &delivery.message else { return Ok(()) };
    let content = match ledger.content(&fact.id.run, &message.body).await {
        Err(LedgerError::Corrupt { .. }) => return Ok(()), // its claims say so
        content => content?,
    };
    let Ok(Call { name, language }) = serde_json::from_str(&content) else { return Ok(()) };
    stop(applier, Thing::Translation(name, language), said, now).await
}

async fn stop(
    applier: &Applier,
    thing: Thing,
    said: &Said,
    now: Timestamp,
) -> Result<(), LedgerError> {
    let (code, meaning) = (said.failure.code, said.meaning);
    let words = if said.words.is_empty() { String::new() } else { format!(": {}", said.words) };
    let why = format!("a status reports code {code}, {meaning}{words}");
    let kind = Halted::from(&thing);
    let halt = Halt { thing, code, since: now, why, by: FoundBy::Status.as_str().to_owned() };
    if halts::stop(applier.ledger.as_ref(), &halt).await? {
        applier.metrics.sending.halts.of(Pair(kind, FoundBy::Status)).inc();
        tracing::error!(code, "{} is stopped: {}", halt.thing, halt.why);
    }
    Ok(())
}
