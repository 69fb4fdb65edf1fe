//! How business numbers stand, and what a person orders.

use std::time::Duration;

use cloud_api::CloudApi;
use cloud_api::account::NumberInfo;
use config::Config;
use config::secrets::Credentials;
use domain::{Clock, NumberId, SystemClock};
use ledger::halts::{self, Halt, Thing};
use ledger::orders::{self, Decider, Order, Orders};

use crate::did::{self, who};
use crate::error::{DeskError, Result};
use crate::named::reason;
use crate::store;
use crate::table::Listing;
use crate::told::{Answer, Told};

pub const COLUMNS: [&str; 8] =
    ["number", "name", "status", "quality", "limit", "throughput", "share", "why"];

/// Each number as Meta tells of it, at which share of its rate it sends, and why.
///
/// # Errors
/// When credentials are missing, or the store does not answer.
pub async fn list(config: &Config) -> Result<Listing> {
    let (orders, stopped) = match store::exists(config) {
        true => {
            let ledger = store::open(config).await?;
            (orders::read(ledger.as_ref()).await?, halts::read(ledger.as_ref()).await?)
        }
        false => (Orders::default(), Vec::new()),
    };
    let credentials = Credentials::load(&config.credentials)?;
    let api = CloudApi::new(&config.cloud_api, credentials.meta_token.clone())?;
    let (mut listing, now) = (Listing::new(&COLUMNS), SystemClock.now());
    for number in &config.numbers {
        let own = credentials.number_tokens.get(&number.id);
        let api = own.map_or_else(|| api.clone(), |token| api.with_token(token.clone()));
        let info = api.number(&number.id).await;
        if let Err(error) = &info {
            listing.answer = Answer::No;
            listing.hints.push(format!("what Meta says of {} is not known: {error}", number.id));
        }
        let told = |of: fn(&NumberInfo) -> &String| {
            info.as_ref().map_or("not known".to_owned(), |info| of(info).clone())
        };
        let percent = orders.percent(&number.id, now);
        let stands = |info: &NumberInfo| info.is_connected() && info.quality_rating != "RED";
        if percent < 100 || !info.as_ref().is_ok_and(stands) {
            listing.answer = Answer::No;
        }
        listing.table.rows.push(vec![
            number.id.to_string(),
            told(|info| &info.verified_name),
            told(|info| &info.status),
            told(|info| &info.quality_rating),
            told(|info| &info.messaging_limit_tier),
            format!("{}/s", number.throughput),
            format!("{percent} %"),
            why(config, &number.id, &orders, &stopped),
        ]);
    }
    Ok(listing)
}

/// Who ordered what, until when; and what stops the number.
fn why(config: &Config, number: &NumberId, orders: &Orders, stopped: &[Halt]) -> String {
    let now = SystemClock.now();
    let order = |order: &Order| {
        let until = order.until.map(|until| format!(", until {}", until.rfc3339(config.zone())));
        format!("{} % by {}: {}{}", order.percent, order.by, order.why, until.unwrap_or_default())
    };
    let mut said: Vec<String> =
        orders.of(number).filter(|order| order.holds(now)).map(order).collect();
    let is_it = |halt: &&Halt| halt.thing == Thing::Number(number.clone());
    said.extend(stopped.iter().filter(is_it).map(|halt| format!("stopped: {}", halt.why)));
    said.join("; ")
}

/// One of ours, and a reason that says something.
fn named(config: &Config, number: &str, why: &str) -> Result<NumberId> {
    reason(why)?;
    let ours = config.numbers.iter().find(|one| one.id.as_str() == number);
    let all: Vec<&str> = config.numbers.iter().map(|one| one.id.as_str()).collect();
    let unknown = || format!("{number:?} is not configured: the numbers are {}", all.join(", "));
    Ok(ours.ok_or_else(|| DeskError::WrongUse(unknown()))?.id.clone())
}

/// A number sends nothing, for a span or until it is resumed.
///
/// # Errors
/// When the number is not ours, the reason says nothing, or the store does not answer.
pub async fn pause(
    config: &Config,
    number: &str,
    reason: &str,
    span: Option<Duration>,
) -> Result<Told> {
    let number = named(config, number, reason)?;
    did::note(config, &format!("numbers pause {number}: {reason}"))?;
    let ledger = store::open(config).await?;
    let since = ledger.now().await?;
    let order = Order {
        number: number.clone(),
        decider: Decider::Person,
        percent: 0,
        since,
        until: span.map(|span| since + span),
        by: who(),
        why: reason.trim().to_owned(),
    };
    orders::give(ledger.as_ref(), &order).await?;
    let end = match order.until {
        Some(until) => format!("until {}", until.rfc3339(config.zone())),
        None => "until `subah numbers resume`".to_owned(),
    };
    let mut told = Told::yes(format!(
        "{number} sends nothing within a second, {end}; the daemon moves what waits"
    ));
    let orders = orders::read(ledger.as_ref()).await?;
    if config.numbers.iter().all(|one| orders.percent(&one.id, since) == 0) {
        told.say("no number sends now: deliveries wait, and expire at the deadline");
    }
    Ok(told)
}

/// A number that a person has paused sends again.
///
/// # Errors
/// When the number is not ours, the reason says nothing, or the store does not answer.
pub async fn resume(config: &Config, number: &str, reason: &str) -> Result<Told> {
    let number = named(config, number, reason)?;
    if !store::exists(config) {
        return Ok(Told::yes("there is no ledger yet: nothing is paused"));
    }
    did::note(config, &format!("numbers resume {number}: {reason}"))?;
    let ledger = store::open(config).await?;
    let was = orders::lift(ledger.as_ref(), &number, Decider::Person).await?;
    let percent = orders::read(ledger.as_ref()).await?.percent(&number, ledger.now().await?);
    Ok(Told::yes(match was {
        None => format!("{number} was not paused by a person; it sends at {percent} % of its rate"),
        Some(_) => format!("{number} sends again, at {percent} % of its rate"),
    }))
}

/// What is stopped is tried again at once, not at the end of its pause.
///
/// # Errors
/// When the act cannot be noted, or the store does not answer.
pub async fn probe(config: &Config) -> Result<Told> {
    if !store::exists(config) {
        return Ok(Told::yes("there is no ledger yet: nothing is stopped"));
    }
    let ledger = store::open(config).await?;
    let stopped = halts::read(ledger.as_ref()).await?;
    let mut told = Told::default();
    for halt in &stopped {
        told.say(format!("{} is stopped: {}", halt.thing, halt.why));
    }
    did::note(config, "numbers probe")?;
    halts::ask_to_probe(ledger.as_ref()).await?;
    told.say("every sender tries what is stopped again within a second, with one message each");
    Ok(told)
}
