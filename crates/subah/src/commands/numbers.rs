//! `numbers list|pause|resume|probe`: how business numbers stand, and what a person orders.

use std::time::Duration;

use anyhow::{Result, bail};
use cloud_api::CloudApi;
use cloud_api::account::NumberInfo;
use config::Config;
use config::secrets::Credentials;
use domain::{Clock, NumberId, SystemClock};
use ledger::halts::{self, Halt, Thing};
use ledger::orders::{self, Decider, Order, Orders};

use crate::cli::{Format, NumbersCommand};
use crate::exit::{Answer, WrongUse};
use crate::owner::who;
use crate::terminal;
use crate::{output, store};

pub async fn run(config: &Config, command: &NumbersCommand) -> Result<Answer> {
    match command {
        NumbersCommand::List { format } => list(config, format.format).await,
        NumbersCommand::Pause { number, reason, span } => {
            pause(config, number, reason, *span).await
        }
        NumbersCommand::Resume { number, reason } => resume(config, number, reason).await,
        NumbersCommand::Probe => probe(config).await,
    }
}

const COLUMNS: [&str; 8] =
    ["number", "name", "status", "quality", "limit", "throughput", "share", "why"];

async fn list(config: &Config, format: Format) -> Result<Answer> {
    let (orders, stopped) = match store::exists(config) {
        true => {
            let ledger = store::open(config).await?;
            (orders::read(ledger.as_ref()).await?, halts::read(ledger.as_ref()).await?)
        }
        false => (Orders::default(), Vec::new()),
    };
    let credentials = Credentials::load(&config.credentials)?;
    let api = CloudApi::new(&config.cloud_api, credentials.meta_token.clone())?;
    let (mut rows, mut answer, now) = (Vec::new(), Answer::Yes, SystemClock.now());
    for number in &config.numbers {
        let own = credentials.number_tokens.get(&number.id);
        let api = own.map_or_else(|| api.clone(), |token| api.with_token(token.clone()));
        let info = api.number(&number.id).await;
        if let Err(error) = &info {
            answer = Answer::No;
            output::hint(&format!("what Meta says of {} is not known: {error}", number.id));
        }
        let told = |of: fn(&NumberInfo) -> &String| {
            info.as_ref().map_or("not known".to_owned(), |info| of(info).clone())
        };
        let percent = orders.percent(&number.id, now);
        let stands = |info: &NumberInfo| info.is_connected() && info.quality_rating != "RED";
        if percent < 100 || !info.as_ref().is_ok_and(stands) {
            answer = Answer::No;
        }
        rows.push(vec![
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
    output::rows(format, &COLUMNS, &rows)?;
    Ok(answer)
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
fn named(config: &Config, number: &str, reason: &str) -> Result<NumberId> {
    if reason.trim().is_empty() {
        bail!(WrongUse("--reason is empty: say why, for whoever asks tomorrow".to_owned()));
    }
    let ours = config.numbers.iter().find(|one| one.id.as_str() == number);
    let all: Vec<&str> = config.numbers.iter().map(|one| one.id.as_str()).collect();
    let unknown =
        || WrongUse(format!("{number:?} is not configured: the numbers are {}", all.join(", ")));
    Ok(ours.ok_or_else(unknown)?.id.clone())
}

async fn pause(
    config: &Config,
    number: &str,
    reason: &str,
    span: Option<Duration>,
) -> Result<Answer> {
    let number = named(config, number, reason)?;
    output::record(config, "did", &format!("numbers pause {number}: {reason}"))?;
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
    println!("{number} sends nothing within a second, {end}; the daemon moves what waits");
    let orders = orders::read(ledger.as_ref()).await?;
    if config.numbers.iter().all(|one| orders.percent(&one.id, since) == 0) {
        println!("no number sends now: deliveries wait, and expire at the deadline");
    }
    Ok(Answer::Yes)
}

async fn resume(config: &Config, number: &str, reason: &str) -> Result<Answer> {
    let number = named(config, number, reason)?;
    if !store::exists(config) {
        println!("there is no ledger yet: nothing is paused");
        return Ok(Answer::Yes);
    }
    output::record(config, "did", &format!("numbers resume {number}: {reason}"))?;
    let ledger = store::open(config).await?;
    let was = orders::lift(ledger.as_ref(), &number, Decider::Person).await?;
    let percent = orders::read(ledger.as_ref()).await?.percent(&number, ledger.now().await?);
    match was {
        None => {
            println!("{number} was not paused by a person; it sends at {percent} % of its rate")
        }
        Some(_) => println!("{number} sends again, at {percent} % of its rate"),
    }
    Ok(Answer::Yes)
}

/// What is stopped is tried again at once, not at the end of its pause.
async fn probe(config: &Config) -> Result<Answer> {
    if !store::exists(config) {
        println!("there is no ledger yet: nothing is stopped");
        return Ok(Answer::Yes);
    }
    let ledger = store::open(config).await?;
    let stopped = halts::read(ledger.as_ref()).await?;
    for halt in &stopped {
        println!("{} is stopped: {}", halt.thing, terminal::shown(&halt.why));
    }
    output::record(config, "did", "numbers probe")?;
    halts::ask_to_probe(ledger.as_ref()).await?;
    println!("every sender tries what is stopped again within a second, with one message each");
    Ok(Answer::Yes)
}
