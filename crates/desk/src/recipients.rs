//! Lists of recipients: imported as a whole, brought back, looked at; and everything of one person.

use std::collections::BTreeSet;
use std::path::Path;

use chrono_tz::Tz;
use config::Config;
use domain::facts::Ended;
use domain::{Attempt, ListName, Recipient, Timestamp};
use ledger::api::for_each;
use ledger::opt_outs::OptOuts;
use ledger::{DeliveryView, Filter};
pub use scheduler::intake::Country;
use scheduler::intake::merge::Keeper;
use scheduler::intake::{ReadList, read_recipients};

use crate::Desk;
use crate::deliveries::twice;
use crate::draft::{Draft, each_line};
use crate::error::{Doing, Result, with_words};
use crate::files::Files;
use crate::findings::{Said, judge};
use crate::intake::{Import, take_up};
use crate::replacement::Replacement;
use crate::select::Person;
use crate::sets::Set;
use crate::store;
use crate::table::Table;
use crate::told::Answer;

/// The list becomes the file; a row that cannot be read keeps what is stored under its id. Says what
/// was found to `said`, also when nothing comes of the import.
///
/// # Errors
/// When the file cannot be read, a yes is missing, or the records do not answer: nothing is changed
/// then, but that a *no* of the file counts.
pub async fn import(
    config: &Config,
    wish: &Import,
    list: &ListName,
    said: &mut Said,
) -> Result<Answer> {
    let act = async |desk: &Desk| import_at(desk, config, wish, list, said).await;
    store::at_desk(config, act).await
}

/// The list before the last import is back.
///
/// # Errors
/// When there is none, or the records do not answer.
pub async fn undo(config: &Config, list: &ListName) -> Result<Replacement> {
    let (files, set) = (Files::of(config), Set::Recipients(list.clone()));
    let _lock = files.lock().await?;
    let undo = async |desk: &Desk| desk.undo_import(files.copies(), &set).await;
    store::at_desk(config, undo).await
}

/// The list becomes the file; a row that cannot be read keeps what is stored under its id.
async fn import_at(
    desk: &Desk,
    config: &Config,
    args: &Import,
    list: &ListName,
    said: &mut Said,
) -> Result<Answer> {
    let files = Files::of(config);
    let _lock = files.lock().await?;
    let set = Set::Recipients(list.clone());
    let copy = files.copies().path(&set);
    desk.refresh(files.copies(), &set).await.doing(|| "bring the stored list up to date")?;
    let mut draft = Draft::new(&copy)?;
    let mut list =
        read_recipients(&args.bytes, &args.rules(config), &mut |recipient| draft.add(&recipient))
            .doing(|| format!("import {}", args.file.display()))?;
    if let Err(nothing) = judge(config, &args.file, &list.findings, args.strict, said) {
        let told = hear(desk, &set, &copy, &mut list, args, said).await?;
        let heard = (told > 0).then(|| format!("{told} stored recipients lose a consent that the file ends, and nothing else changes"));
        return Err(with_words(nothing, heard));
    }
    let refused = list.findings.refused.len();
    let mut keeper = Keeper::new(&mut list);
    if keeper.denies_any() {
        each_line(&copy, |line| {
            serde_json::from_slice(line).iter().for_each(|stored| keeper.learn(stored));
        })?;
        draft = draft.filter_map(|recipient: Recipient| Some(keeper.settle(recipient)))?;
    }
    each_line(&copy, |line| {
        let stored = serde_json::from_slice(line).ok().and_then(|stored| keeper.keep(stored));
        stored.iter().for_each(|stored| draft.add(stored));
    })?;
    let (kept, rows) = (keeper.kept, draft.rows);
    take_up(desk, &set, draft, args.guard(config.recipients.shrink_max), said).await?;
    if !args.dry_run {
        said.line(format!("{rows} recipients are in the list"));
        if kept > 0 {
            said.line(format!(
                "of these, {kept} are as stored before, because their new row is refused"
            ));
        }
    }
    Ok(Answer::from_bool(refused == 0))
}

/// A *no* counts also in a file that is refused as a whole.
async fn hear(
    desk: &Desk,
    set: &Set,
    copy: &Path,
    list: &mut ReadList,
    args: &Import,
    said: &mut Said,
) -> Result<usize> {
    let keeper = Keeper::new(list);
    if !keeper.denies_any() || args.dry_run {
        return Ok(0);
    }
    let (mut rows, mut told): (Vec<Recipient>, _) = (Vec::new(), 0);
    each_line(copy, |line| rows.extend(serde_json::from_slice::<Recipient>(line)))?;
    rows.iter_mut().for_each(|row| told += usize::from(keeper.told(row)));
    if told > 0 {
        let mut draft = Draft::new(copy)?;
        rows.iter().for_each(|row| draft.add(row));
        take_up(desk, set, draft, args.guard(1.0), said).await?;
    }
    Ok(told)
}

/// A list, with numbers and names in full if `reveal`, which the caller has noted. What is written as
/// CSV can be imported again.
///
/// # Errors
/// When this host's copy cannot be read.
pub async fn list(config: &Config, list: &ListName, reveal: bool) -> Result<Table> {
    let recipients = Files::of(config).recipients(config, list).await?;
    let extra: BTreeSet<&str> =
        recipients.iter().flat_map(|r| r.attributes.keys()).map(String::as_str).collect();
    let columns: Vec<&str> = COLUMNS.into_iter().chain(extra.iter().copied()).collect();
    let (mut table, zone) = (Table::new(&columns), config.zone());
    let rows = recipients.iter().map(|recipient| {
        let mut row = row(recipient, zone, reveal);
        let attribute = |name: &&str| match recipient.attributes.get(*name) {
            Some(text) if reveal => text.clone(),
            Some(_) => "…".to_owned(),
            None => String::new(),
        };
        row.extend(extra.iter().map(attribute));
        row
    });
    table.rows.extend(rows);
    Ok(table)
}

/// One person.
pub struct Shown {
    /// What the list says; `None`: they are not in it.
    pub listed: Option<Table>,
    /// They said STOP since the import.
    pub said_stop: bool,
    /// What became of each message to them.
    pub past: Table,
}

/// What the list says of one person, and what became of each message to them in the latest runs.
///
/// # Errors
/// When this host's copy cannot be read, or the store does not answer.
pub async fn show(config: &Config, text: &str, latest: usize, reveal: bool) -> Result<Shown> {
    let (person, zone) = (Person::of(text), config.zone());
    let list = Files::of(config).everybody(config).await?;
    let listed = list.iter().find(|recipient| person.is(recipient));
    let of = |recipient| Table::of_one(COLUMNS.into_iter().zip(row(recipient, zone, reveal)));
    let mut shown = Shown { listed: listed.map(of), said_stop: false, past: Table::new(&PAST) };
    if store::exists(config) {
        let ledger = store::open(config).await?;
        if let Some(recipient) = listed {
            let opt_outs = OptOuts::read(ledger.as_ref()).await?;
            let mut present = recipient.clone();
            opt_outs.apply(&mut present);
            let (before, now) = (recipient.consent_utility, present.consent_utility);
            shown.said_stop =
                before != now || recipient.consent_marketing != present.consent_marketing;
        }
        for run in ledger.runs().await?.iter().rev().take(latest) {
            let tell = |delivery: &DeliveryView| {
                if person.gets(delivery) {
                    shown.past.rows.push(past(delivery, zone));
                }
            };
            for_each(ledger.as_ref(), &run.header.id, &Filter::default(), tell).await?;
        }
    }
    Ok(shown)
}

const PAST: [&str; 7] = ["delivery", "state", "number", "attempts", "sent", "arrived", "cause"];

fn past(delivery: &DeliveryView, zone: Tz) -> Vec<String> {
    let first = |when: fn(&Attempt) -> Option<Timestamp>| {
        let at = delivery.facts.attempts.iter().filter_map(when).min();
        at.map(|at| at.rfc3339(zone)).unwrap_or_default()
    };
    let cause = match (&delivery.facts.ended, twice(delivery)) {
        (Some(Ended::Suppressed(reason)), _) => reason.as_str(),
        (_, twice) => twice,
    };
    vec![
        delivery.id.to_string(),
        delivery.state.to_string(),
        delivery.lane.to_string(),
        delivery.facts.attempts.len().to_string(),
        first(|attempt| attempt.dispatched_at),
        first(Attempt::arrived_at),
        cause.to_owned(),
    ]
}

/// How many imports are shown.
const IMPORTS: u32 = 50;

/// The latest imports of a list, the present one first.
///
/// # Errors
/// When the records do not answer.
pub async fn history(config: &Config, list: &ListName) -> Result<Table> {
    let set = Set::Recipients(list.clone());
    let look = async |desk: &Desk| desk.imports_of(&set, IMPORTS).await;
    let imports = store::at_desk(config, look).await?;
    let row = |import: &records::imports::Import| {
        let rows = import.rows;
        vec![
            import.version.to_string(),
            import.imported_at.rfc3339(config.zone()),
            import.actor.clone(),
            import.act.clone(),
            rows.total.to_string(),
            rows.added.to_string(),
            rows.changed.to_string(),
            rows.removed.to_string(),
        ]
    };
    let columns = ["version", "at", "by", "act", "rows", "added", "changed", "removed"];
    Ok(Table { rows: imports.iter().map(row).collect(), ..Table::new(&columns) })
}

/// Of a list; attributes of its own follow.
pub const COLUMNS: [&str; 9] = [
    "id",
    "name",
    "phone",
    "bsuid",
    "tier",
    "language",
    "consent_utility",
    "consent_marketing",
    "opted_in_at",
];

fn row(recipient: &Recipient, zone: Tz, reveal: bool) -> Vec<String> {
    let yes = |flag: bool| if flag { "yes" } else { "no" }.to_owned();
    let (phone, user_id) = (recipient.address.phone(), recipient.address.user_id());
    let initial = |name: &str| name.chars().next().map(|c| format!("{c}…")).unwrap_or_default();
    vec![
        recipient.id.as_str().to_owned(),
        if reveal { recipient.name.clone() } else { initial(&recipient.name) },
        phone.map(|p| if reveal { p.reveal().to_owned() } else { p.masked() }).unwrap_or_default(),
        user_id.map(|id| if reveal { id.reveal() } else { "…" }.to_owned()).unwrap_or_default(),
        recipient.tier.to_string(),
        recipient.language.to_string(),
        yes(recipient.consent_utility),
        yes(recipient.consent_marketing),
        recipient.opted_in_at.map(|at| at.rfc3339(zone)).unwrap_or_default(),
    ]
}
