//! `recipients import|undo|list`.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result};
use config::Config;
use desk::Desk;
use desk::draft::{Draft, each_line};
use desk::sets::Set;
use domain::facts::Ended;
use domain::{Attempt, Clock, ListName, Recipient, SystemClock, Timestamp};
use ledger::api::for_each;
use ledger::opt_outs::OptOuts;
use ledger::{DeliveryView, Filter};
use records::imports::Import;
use scheduler::intake::merge::Keeper;
use scheduler::intake::{ReadList, Rules, read_recipients};

use super::deliveries::twice;
use super::select::Person;
use crate::cli::{Format, ImportArgs, Recipients};
use crate::exit::Answer;
use crate::files::{self, Files, judge, take_up};
use crate::{output, store};

pub async fn run(config: &Config, command: &Recipients) -> Result<Answer> {
    match command {
        Recipients::Import { args, default_country, list } => {
            let default_country = default_country.or(config.recipients.default_country);
            let rules = Rules { default_country, ..rules(config, args) };
            let import = async |desk: &Desk| import(config, desk, args, &list.list, rules).await;
            let answer = store::at_desk(config, import).await?;
            super::say_if_sealed(config, None).await?;
            Ok(answer)
        }
        Recipients::Undo { list } => {
            let (files, set) = (Files::of(config), Set::Recipients(list.list.clone()));
            let _lock = files.lock().await?;
            let undo = async |desk: &Desk| Ok(desk.undo_import(files.copies(), &set).await?);
            let change = store::at_desk(config, undo).await?;
            println!(
                "{change}  recipients: the list before the last import is back, with the consents it had then"
            );
            super::say_if_sealed(config, None).await?;
            Ok(Answer::Yes)
        }
        Recipients::History { list, format } => {
            history(config, &Set::Recipients(list.list.clone()), format.format).await
        }
        Recipients::Show { recipient, runs, reveal } => {
            output::audit(config, *reveal, "recipients show")?;
            show(config, recipient, *runs, *reveal).await
        }
        Recipients::List { format, reveal, list } => {
            output::audit(config, *reveal, "recipients list")?;
            let recipients = Files::of(config).recipients(config, &list.list).await?;
            // What is written as CSV can be imported again.
            let extra: BTreeSet<&str> =
                recipients.iter().flat_map(|r| r.attributes.keys()).map(String::as_str).collect();
            let columns: Vec<&str> = COLUMNS.into_iter().chain(extra.iter().copied()).collect();
            let zone = config.zone();
            let rows: Vec<Vec<String>> = recipients
                .iter()
                .map(|recipient| {
                    let mut row = row(recipient, zone, *reveal);
                    let attribute = |name: &&str| match recipient.attributes.get(*name) {
                        Some(text) if *reveal => text.clone(),
                        Some(_) => "…".to_owned(),
                        None => String::new(),
                    };
                    row.extend(extra.iter().map(attribute));
                    row
                })
                .collect();
            output::rows(format.format, &columns, &rows)?;
            Ok(Answer::Yes)
        }
    }
}

/// What the list says of one person, and what became of each message to them.
async fn show(config: &Config, text: &str, latest: usize, reveal: bool) -> Result<Answer> {
    let (person, zone) = (Person::of(text), config.zone());
    let list = Files::of(config).everybody(config).await?;
    let listed = list.iter().find(|recipient| person.is(recipient));
    match listed {
        Some(recipient) => {
            let pairs = COLUMNS.iter().zip(row(recipient, zone, reveal));
            let rows: Vec<_> = pairs.map(|(name, value)| vec![(*name).to_owned(), value]).collect();
            output::rows(Format::Table, &["what", "value"], &rows)?;
        }
        None => println!("not in the list"),
    }
    let mut rows = Vec::new();
    if store::exists(config) {
        let ledger = store::open(config).await?;
        if let Some(recipient) = listed {
            let opt_outs = OptOuts::read(ledger.as_ref()).await?;
            let mut present = recipient.clone();
            opt_outs.apply(&mut present);
            let (before, now) = (recipient.consent_utility, present.consent_utility);
            if before != now || recipient.consent_marketing != present.consent_marketing {
                println!("said STOP since the import: nothing is sent to them");
            }
        }
        for run in ledger.runs().await?.iter().rev().take(latest) {
            let tell = |delivery: &DeliveryView| {
                if person.gets(delivery) {
                    rows.push(past(delivery, zone));
                }
            };
            for_each(ledger.as_ref(), &run.header.id, &Filter::default(), tell).await?;
        }
    }
    output::rows(Format::Table, &PAST, &rows)?;
    Ok(Answer::from_bool(listed.is_some() || !rows.is_empty()))
}

const PAST: [&str; 7] = ["delivery", "state", "number", "attempts", "sent", "arrived", "cause"];

fn past(delivery: &DeliveryView, zone: chrono_tz::Tz) -> Vec<String> {
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

/// What any import is read by.
pub fn rules(config: &Config, args: &ImportArgs) -> Rules {
    Rules {
        lint: config.lint.clone(),
        sheet: args.sheet.clone(),
        ..Rules::new(config.zone(), SystemClock.now())
    }
}

/// The list becomes the file; a row that cannot be read keeps what is stored under its id.
async fn import(
    config: &Config,
    desk: &Desk,
    args: &ImportArgs,
    list_name: &ListName,
    rules: Rules,
) -> Result<Answer> {
    let bytes = files::input(&args.file)?;
    let files = Files::of(config);
    let _lock = files.lock().await?;
    let set = Set::Recipients(list_name.clone());
    let copy = files.copies().path(&set);
    desk.refresh(files.copies(), &set).await.context("bring the stored list up to date")?;
    let mut draft = Draft::new(&copy)?;
    let mut list = read_recipients(&bytes, &rules, &mut |recipient| draft.add(&recipient))
        .with_context(|| format!("import {}", args.file.display()))?;
    drop(bytes);
    if let Err(nothing) = judge(config, &args.file, &list.findings, args.strict) {
        let told = hear(desk, &set, &copy, &mut list, args).await?;
        return Err(if told == 0 {
            nothing
        } else {
            nothing.context(format!("{told} stored recipients lose a consent that the file ends, and nothing else changes"))
        });
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
    take_up(desk, &set, draft, args.guard(config.recipients.shrink_max)).await?;
    if !args.dry_run {
        println!("{rows} recipients are in the list");
        if kept > 0 {
            println!("of these, {kept} are as stored before, because their new row is refused");
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
    args: &ImportArgs,
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
        take_up(desk, set, draft, args.guard(1.0)).await?;
    }
    Ok(told)
}

/// How many imports are shown.
const IMPORTS: u32 = 50;

/// The latest imports of a set, the present one first.
pub async fn history(config: &Config, set: &Set, format: Format) -> Result<Answer> {
    let look = async |desk: &Desk| Ok(desk.imports_of(set, IMPORTS).await?);
    let imports = store::at_desk(config, look).await?;
    let row = |import: &Import| {
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
    let rows: Vec<Vec<String>> = imports.iter().map(row).collect();
    let columns = ["version", "at", "by", "act", "rows", "added", "changed", "removed"];
    output::rows(format, &columns, &rows)?;
    Ok(Answer::Yes)
}

const COLUMNS: [&str; 9] = [
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

fn row(recipient: &Recipient, zone: chrono_tz::Tz, reveal: bool) -> Vec<String> {
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
