//! `consents record|import|show`: parses, asks the desk, shows its answer.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use chrono::DateTime;
use config::Config;
use desk::consents::{Word, check};
use desk::relay::Relay;
use desk::{Desk, DeskError, Mode};
use domain::campaign::Category;
use domain::{Address, Clock, SystemClock, Timestamp};
use records::consents::{Consent, Wish};
use scheduler::intake::phone;
use status::people::OptOutDesk;
use telemetry::Metrics;

use super::select::Person;
use crate::cli::{ConsentsCommand, Format, SaidArg};
use crate::exit::{Answer, WrongUse};
use crate::files::Files;
use crate::{output, store};

/// Columns of an import; `at` may be left out.
const COLUMNS: [&str; 6] = ["phone", "category", "said", "source", "proof", "at"];
/// Refused lines that are said one by one.
const SHOWN: usize = 20;

pub async fn run(config: &Config, command: &ConsentsCommand) -> Result<Answer> {
    match command {
        ConsentsCommand::Record { who, said, category, source, proof, at, yes } => {
            let word = Word {
                who: address(config, who).await?,
                categories: categories(category.iter().map(String::as_str)).map_err(WrongUse)?,
                wish: match said {
                    SaidArg::Given => Wish::Given,
                    SaidArg::Withdrawn => Wish::Withdrawn,
                },
                said_at: at.as_deref().map(instant).transpose().map_err(WrongUse)?,
                source: source.clone(),
                proof: proof.clone(),
            };
            record(config, &[word], *yes).await
        }
        ConsentsCommand::Import { file, yes } => import(config, file, *yes).await,
        ConsentsCommand::Show { who, format } => show(config, who, format.format).await,
    }
}

async fn record(config: &Config, words: &[Word], yes: bool) -> Result<Answer> {
    store::at_desk(config, async |desk: &Desk| record_at(desk, config, words, yes).await).await
}

async fn record_at(desk: &Desk, config: &Config, words: &[Word], yes: bool) -> Result<Answer> {
    let mode = if yes { Mode::Do } else { Mode::DryRun };
    let recorded = match desk.record_consents(words, mode).await {
        Err(DeskError::Refused(why)) => return Err(WrongUse(why).into()),
        answer => answer?,
    };
    let sayings = recorded.sayings;
    match mode {
        Mode::DryRun => {
            println!("{sayings} sayings would be kept; nothing was changed, --yes does it")
        }
        Mode::Do => {
            println!("{} of {sayings} sayings are new and kept", recorded.new);
            if let Err(error) = tell(config, desk).await {
                println!("the ledger has not heard of them yet, `subah serve` tells it: {error:#}");
            }
        }
    }
    Ok(Answer::Yes)
}

/// The daemon would do it within a second, if there is one: a run may begin without it.
async fn tell(config: &Config, desk: &Desk) -> Result<()> {
    let relay = Relay {
        records: desk.records.clone(),
        ledger: store::open(config).await?,
        clock: Arc::clone(&desk.clock),
        metrics: Arc::new(Metrics::new()),
        opt_outs: OptOutDesk::new(None, config.categories()),
        tenant: desk.tenant.clone(),
    };
    relay.drain().await?;
    Ok(())
}

/// Lines that cannot be read are said and left out; the others are kept.
async fn import(config: &Config, file: &Path, yes: bool) -> Result<Answer> {
    let doing = || format!("read {}", file.display());
    let mut csv = csv::Reader::from_path(file).with_context(doing)?;
    let header = csv.headers().with_context(doing)?.clone();
    if let Some(unknown) = header.iter().find(|name| !COLUMNS.contains(&name.trim())) {
        let at = header.iter().position(|name| name == unknown).unwrap_or(0) + 1;
        let what = format!("column {at} has another name: expected {}", COLUMNS.join(", "));
        return Err(WrongUse(what).into());
    }
    let times = |name: &str| header.iter().filter(|column| column.trim() == name).count();
    if let Some(twice) = COLUMNS.into_iter().find(|name| times(name) > 1) {
        return Err(WrongUse(format!("column {twice} is there twice: which one counts?")).into());
    }
    let (mut words, mut refused) = (Vec::new(), 0);
    let now = SystemClock.now();
    for row in csv.records() {
        let read = match &row {
            Ok(row) => {
                let line = row.position().map_or(0, csv::Position::line);
                let read = word(config, &header, row).and_then(|word| {
                    check(&word, now)?;
                    Ok(word)
                });
                read.map_err(|why| format!("line {line}: {why}"))
            }
            Err(error) => Err(error.to_string()),
        };
        match read {
            Ok(word) => words.push(word),
            Err(why) => {
                refused += 1;
                if refused <= SHOWN {
                    println!("{why}");
                }
            }
        }
    }
    println!("{} lines can be read, {refused} are refused", words.len());
    let answer = record(config, &words, yes).await?;
    Ok(if refused > 0 { Answer::No } else { answer })
}

fn word(
    config: &Config,
    header: &csv::StringRecord,
    row: &csv::StringRecord,
) -> std::result::Result<Word, String> {
    if row.iter().any(|cell| cell.contains('\n')) {
        let lines = row.iter().map(|cell| cell.matches('\n').count()).sum::<usize>() + 1;
        return Err(format!("{lines} lines are one row: is a quote left open?"));
    }
    let cell = |name: &str| {
        let at = header.iter().position(|column| column.trim() == name);
        at.and_then(|at| row.get(at)).map(str::trim).unwrap_or("")
    };
    let country = config.recipients.default_country;
    let phone = phone::parse(cell("phone"), None, country).map_err(|bad| bad.to_string())?;
    let wish = match cell("said").to_lowercase().as_str() {
        "given" => Wish::Given,
        "withdrawn" => Wish::Withdrawn,
        _ => return Err("said: expected given or withdrawn".to_owned()),
    };
    Ok(Word {
        who: Address::Phone(phone),
        categories: categories(cell("category").split([',', ' ', ';']))?,
        wish,
        said_at: Some(cell("at")).filter(|at| !at.is_empty()).map(instant).transpose()?,
        source: cell("source").to_owned(),
        proof: cell("proof").to_owned(),
    })
}

async fn show(config: &Config, text: &str, format: Format) -> Result<Answer> {
    let who = address(config, text).await?;
    let look = async |desk: &Desk| Ok(desk.consents_of(&who).await?);
    let history = store::at_desk(config, look).await?;
    let Some(history) = history else {
        println!("nothing is kept of them");
        return Ok(Answer::No);
    };
    let zone = config.zone();
    let row = |Consent { recorded_at, saying, .. }: &Consent| {
        vec![
            saying.said_at.rfc3339(zone),
            saying.category.as_str().to_owned(),
            saying.wish.as_str().to_owned(),
            saying.source.clone(),
            saying.proof.clone(),
            saying.actor.clone(),
            recorded_at.rfc3339(zone),
        ]
    };
    let rows: Vec<Vec<String>> = history.iter().map(row).collect();
    let columns = ["said at", "category", "said", "source", "proof", "by", "recorded at"];
    output::rows(format, &columns, &rows)?;
    Ok(Answer::Yes)
}

/// Somebody of the list by id, or anybody by phone number.
async fn address(config: &Config, text: &str) -> Result<Address> {
    let person = Person::of(text);
    let list = Files::of(config).everybody(config).await?;
    if let Some(recipient) = list.iter().find(|recipient| person.is(recipient)) {
        return Ok(recipient.address.clone());
    }
    let phone = phone::parse(text, None, config.recipients.default_country);
    let nobody =
        |_| WrongUse("it is no recipient's id of the list, and no phone number".to_owned());
    Ok(Address::Phone(phone.map_err(nobody)?))
}

fn categories<'a>(
    names: impl Iterator<Item = &'a str>,
) -> std::result::Result<Vec<Category>, String> {
    let named = names.map(str::trim).filter(|name| !name.is_empty());
    let mut all = Vec::new();
    for name in named.map(str::to_lowercase) {
        let meant = |category: &Category| category.as_str() == name || name == "both";
        let found: Vec<Category> = Category::ALL.into_iter().filter(meant).collect();
        if found.is_empty() {
            return Err("category: expected utility, marketing or both".to_owned());
        }
        all.extend(found);
    }
    all.sort_by_key(|category: &Category| category.as_str());
    all.dedup();
    Ok(all)
}

fn instant(text: &str) -> std::result::Result<Timestamp, String> {
    let at = DateTime::parse_from_rfc3339(text.trim());
    let expected = "at: expected an instant as 2026-11-21T18:00:00+05:30";
    let at = at.map_err(|_| expected.to_owned())?;
    Ok(Timestamp::from_micros(at.timestamp_micros()))
}
