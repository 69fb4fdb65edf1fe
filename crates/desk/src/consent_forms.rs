//! Consents as people write them: one by its words, many as a CSV file; and what is kept of somebody.

use std::path::Path;
use std::sync::Arc;

use chrono::DateTime;
use config::Config;
use domain::campaign::Category;
use domain::{Address, Clock, SystemClock, Timestamp};
use records::consents::{Consent, Wish};
use scheduler::intake::phone;
use status::people::OptOutDesk;
use telemetry::Metrics;

use crate::consents::{Word, check};
use crate::error::{DeskError, Doing, Result};
use crate::files::Files;
use crate::relay::Relay;
use crate::select::Person;
use crate::store;
use crate::table::Table;
use crate::told::{Answer, Told};
use crate::{Desk, Mode};

/// Columns of an import; `at` may be left out.
const COLUMNS: [&str; 6] = ["phone", "category", "said", "source", "proof", "at"];
/// Refused lines that are said one by one.
const SHOWN: usize = 20;

/// One person's word, as somebody types it.
#[derive(Clone, Debug)]
pub struct Typed {
    /// An id of a list, or a phone number in any spelling.
    pub who: String,
    pub is_given: bool,
    pub categories: Vec<String>,
    pub source: String,
    pub proof: String,
    /// RFC 3339; now, by default.
    pub at: Option<String>,
}

/// Keeps one word.
///
/// # Errors
/// When a part makes no sense, or the records do not answer.
pub async fn record(config: &Config, typed: &Typed, mode: Mode) -> Result<Told> {
    let wrong = DeskError::WrongUse;
    let word = Word {
        who: address(config, &typed.who).await?,
        categories: categories(typed.categories.iter().map(String::as_str)).map_err(wrong)?,
        wish: if typed.is_given { Wish::Given } else { Wish::Withdrawn },
        said_at: typed.at.as_deref().map(instant).transpose().map_err(wrong)?,
        source: typed.source.clone(),
        proof: typed.proof.clone(),
    };
    keep(config, &[word], mode).await
}

async fn keep(config: &Config, words: &[Word], mode: Mode) -> Result<Told> {
    store::at_desk(config, async |desk: &Desk| keep_at(desk, config, words, mode).await).await
}

async fn keep_at(desk: &Desk, config: &Config, words: &[Word], mode: Mode) -> Result<Told> {
    let recorded = desk.record_consents(words, mode).await?;
    let sayings = recorded.sayings;
    if mode == Mode::DryRun {
        let would = format!("{sayings} sayings would be kept; nothing was changed, --yes does it");
        return Ok(Told::yes(would));
    }
    let mut told = Told::yes(format!("{} of {sayings} sayings are new and kept", recorded.new));
    if let Err(error) = tell(config, desk).await {
        told.say(format!(
            "the ledger has not heard of them yet, `subah serve` tells it: {}",
            error.chain()
        ));
    }
    Ok(told)
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
        notes: None,
    };
    relay.drain().await.map(drop).doing(|| "tell the ledger")
}

/// Lines that cannot be read are said and left out; the others are kept.
///
/// # Errors
/// When the file cannot be read, its columns are others, or the records do not answer.
pub async fn import(config: &Config, file: &Path, mode: Mode) -> Result<Told> {
    let doing = || format!("read {}", file.display());
    let mut csv = csv::Reader::from_path(file).doing(doing)?;
    let header = csv.headers().doing(doing)?.clone();
    check_header(&header)?;
    let (mut words, mut refused, mut told) = (Vec::new(), 0, Told::default());
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
                    told.say(why);
                }
            }
        }
    }
    told.say(format!("{} lines can be read, {refused} are refused", words.len()));
    let kept = keep(config, &words, mode).await?;
    told.lines.extend(kept.lines);
    Ok(told.with(kept.answer.and(Answer::from_bool(refused == 0))))
}

fn check_header(header: &csv::StringRecord) -> Result<()> {
    let columns = COLUMNS.join(", ");
    if let Some(at) = header.iter().position(|name| !COLUMNS.contains(&name.trim())) {
        let what = format!("column {} has another name: expected {columns}", at + 1);
        return Err(DeskError::WrongUse(what));
    }
    let times = |name: &str| header.iter().filter(|column| column.trim() == name).count();
    match COLUMNS.into_iter().find(|name| times(name) > 1) {
        Some(twice) => {
            let what = format!("column {twice} is there twice: which one counts?");
            Err(DeskError::WrongUse(what))
        }
        None => Ok(()),
    }
}

/// What is kept of somebody; `None`: nothing.
///
/// # Errors
/// When it is nobody, or the records do not answer.
pub async fn show(config: &Config, who: &str) -> Result<Option<Table>> {
    let who = address(config, who).await?;
    let look = async |desk: &Desk| desk.consents_of(&who).await;
    let Some(history) = store::at_desk(config, look).await? else { return Ok(None) };
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
    let columns = ["said at", "category", "said", "source", "proof", "by", "recorded at"];
    Ok(Some(Table { rows: history.iter().map(row).collect(), ..Table::new(&columns) }))
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

/// Somebody of the list by id, or anybody by phone number.
async fn address(config: &Config, text: &str) -> Result<Address> {
    let person = Person::of(text);
    let list = Files::of(config).everybody(config).await?;
    if let Some(recipient) = list.iter().find(|recipient| person.is(recipient)) {
        return Ok(recipient.address.clone());
    }
    let phone = phone::parse(text, None, config.recipients.default_country);
    let nobody = |_| {
        DeskError::WrongUse("it is no recipient's id of the list, and no phone number".to_owned())
    };
    Ok(Address::Phone(phone.map_err(nobody)?))
}

pub(crate) fn categories<'a>(
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
