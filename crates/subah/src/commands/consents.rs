//! `consents record|import|show`: parses, asks the desk, shows its answer.

use std::path::Path;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use chrono::DateTime;
use desk::consents::Word;
use desk::{Desk, DeskError, Mode};
use domain::campaign::Category;
use domain::{Address, SystemClock, TenantId, Timestamp};
use rand::SeedableRng;
use rand::rngs::{StdRng, SysRng};
use records::Records;
use records::consents::{Consent, Wish};
use scheduler::intake::phone;

use super::select::Person;
use crate::cli::{ConsentsCommand, Format, SaidArg};
use crate::config::Config;
use crate::exit::{Answer, WrongUse};
use crate::files::Files;
use crate::output;
use crate::owner::who;

/// Columns of an import; `at` may be left out.
const COLUMNS: [&str; 6] = ["phone", "category", "said", "source", "proof", "at"];
/// Refused lines that are said one by one.
const SHOWN: usize = 20;

pub async fn run(config: &Config, command: &ConsentsCommand) -> Result<Answer> {
    match command {
        ConsentsCommand::Record { who, said, category, source, proof, at, yes } => {
            let word = Word {
                who: address(config, who)?,
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
    let mode = if yes { Mode::Do } else { Mode::DryRun };
    let recorded = match desk(config).await?.record_consents(words, mode).await {
        Err(DeskError::Refused(why)) => return Err(WrongUse(why).into()),
        answer => answer?,
    };
    let sayings = recorded.sayings;
    match mode {
        Mode::DryRun => {
            println!("{sayings} sayings would be kept; nothing was changed, --yes does it")
        }
        Mode::Do => println!(
            "{} of {sayings} sayings are new and kept; `subah serve` tells the ledger within a second",
            recorded.new
        ),
    }
    Ok(Answer::Yes)
}

/// Lines that cannot be read are said and left out; the others are kept.
async fn import(config: &Config, file: &Path, yes: bool) -> Result<Answer> {
    let doing = || format!("read {}", file.display());
    let mut csv = csv::Reader::from_path(file).with_context(doing)?;
    let header = csv.headers().with_context(doing)?.clone();
    if let Some(unknown) = header.iter().find(|name| !COLUMNS.contains(&name.trim())) {
        let what = format!("column {unknown:?}: expected {}", COLUMNS.join(", "));
        return Err(WrongUse(what).into());
    }
    let (mut words, mut refused) = (Vec::new(), 0);
    for row in csv.records() {
        let read = match &row {
            Ok(row) => {
                let line = row.position().map_or(0, csv::Position::line);
                word(config, &header, row).map_err(|why| format!("line {line}: {why}"))
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
    let cell = |name: &str| {
        let at = header.iter().position(|column| column.trim() == name);
        at.and_then(|at| row.get(at)).map(str::trim).unwrap_or("")
    };
    let country = config.recipients.default_country;
    let phone = phone::parse(cell("phone"), None, country).map_err(|bad| bad.to_string())?;
    let wish = match cell("said").to_lowercase().as_str() {
        "given" => Wish::Given,
        "withdrawn" => Wish::Withdrawn,
        other => return Err(format!("said {other:?}: expected given or withdrawn")),
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
    let history = desk(config).await?.consents_of(&address(config, text)?).await?;
    let Some(history) = history else {
        println!("nothing is kept of them");
        return Ok(Answer::No);
    };
    let zone = config.daily.window.zone;
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

async fn desk(config: &Config) -> Result<Desk> {
    let rng = StdRng::try_from_rng(&mut SysRng).context("read the system's random source")?;
    Ok(Desk {
        records: Records::open(&config.records).await.context("open the records")?,
        clock: Arc::new(SystemClock),
        rng: Mutex::new(rng),
        tenant: TenantId::default(),
        actor: who(),
    })
}

/// Somebody of the list by id, or anybody by phone number.
fn address(config: &Config, text: &str) -> Result<Address> {
    let person = Person::of(text);
    let list = Files::of(config).recipients()?;
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
    let known = |name: &str| {
        let found = Category::ALL.into_iter().find(|known| known.as_str() == name);
        found.ok_or_else(|| format!("category {name:?}: expected utility or marketing"))
    };
    let mut all = named.map(known).collect::<std::result::Result<Vec<_>, _>>()?;
    all.dedup();
    Ok(all)
}

fn instant(text: &str) -> std::result::Result<Timestamp, String> {
    let at = DateTime::parse_from_rfc3339(text.trim());
    let at =
        at.map_err(|_| format!("{text:?}: expected an instant as 2026-11-21T18:00:00+05:30"))?;
    Ok(Timestamp::from_micros(at.timestamp_micros()))
}
