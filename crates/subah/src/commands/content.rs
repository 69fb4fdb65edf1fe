//! `content import|undo|list|preview`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use chrono::NaiveDate;
use cloud_api::messages::template_message;
use config::Config;
use desk::Desk;
use desk::draft::{Draft, Guard, each_line};
use desk::sets::Set;
use domain::{Clock, RunId, SystemClock};
use scheduler::Plan;
use scheduler::intake::content::{EVERYONE, ReadContent};
use scheduler::intake::{Content, read_content};
use templates::Media;

use super::one;
use super::recipients::rules;
use crate::cli::{self, ImportArgs};
use crate::exit::Answer;
use crate::files::{self, Files, MediaDesk, judge, take_up};
use crate::output::{self, audit};
use crate::{store, terminal};

/// Recipients that are named when they are held back; `plan` names all.
const SHOWN: usize = 20;

pub async fn run(config: &Config, command: &cli::Content) -> Result<Answer> {
    match command {
        cli::Content::Import { args, date } => {
            let date = files::date(date, config)?;
            let import = async |desk: &Desk| import(config, desk, args, date).await;
            let answer = store::at_desk(config, import).await?;
            super::say_if_sealed(config, Some(date)).await?;
            Ok(answer)
        }
        cli::Content::Undo { date } => {
            let date = files::date(date, config)?;
            let files = Files::of(config);
            let _lock = files.lock().await?;
            let set = Set::Content(one(config)?.campaign.id.clone(), date);
            let undo = async |desk: &Desk| Ok(desk.undo_import(files.copies(), &set).await?);
            let change = store::at_desk(config, undo).await?;
            println!("{change}  rows of content: those before the last import are back");
            super::say_if_sealed(config, Some(date)).await?;
            Ok(Answer::Yes)
        }
        cli::Content::Preview { recipient_id, date, reveal } => {
            preview(config, recipient_id, date, *reveal).await
        }
        cli::Content::List { date, format } => {
            let now = SystemClock.now();
            let date = files::date(date, config)?;
            let content = Files::of(config).content(config, one(config)?, date).await?;
            let columns = ["recipient_id", "parameters", "media", "approved"];
            let row = |content: &Content| {
                let approved = match &content.held_back {
                    Some(why) => format!("held back: {why}"),
                    None if content.is_approved(now) => "yes".to_owned(),
                    None => "no".to_owned(),
                };
                let names: Vec<&str> = content.params.keys().map(String::as_str).collect();
                let media = match &content.media {
                    None => "",
                    Some(Media::Id(_)) => "id",
                    Some(Media::Link(_)) => "link",
                    Some(Media::Path(_) | Media::Asset(_)) => "file",
                };
                let id = content.recipient_id.as_str().to_owned();
                vec![id, names.join(" "), media.to_owned(), approved]
            };
            let rows: Vec<Vec<String>> = content.iter().map(row).collect();
            output::rows(format.format, &columns, &rows)?;
            Ok(Answer::Yes)
        }
    }
}

/// The body as the sender would build it, but for the callback data of its attempt.
async fn preview(config: &Config, recipient_id: &str, date: &str, reveal: bool) -> Result<Answer> {
    audit(config, reveal, "content preview")?;
    let date = files::date(date, config)?;
    let one = one(config)?;
    let snapshot = Files::of(config).snapshot(config, one, date).await?.snapshot;
    let window = one.daily.window.on(date).context("the zone has no such date")?;
    let run = RunId::new(&one.campaign.id, date);
    let plan = Plan::new(&snapshot, run, window, SystemClock.now());
    let at = snapshot.rows.iter().position(|row| row.recipient.id.as_str() == recipient_id);
    let at = at.with_context(|| format!("recipient {recipient_id:?} is not in the list"))?;
    let recipient = &snapshot.rows[at].recipient;
    match plan.at(u32::try_from(at)?).call {
        Ok(call) => {
            let mut body = serde_json::to_value(template_message(&recipient.address, &call, ""))?;
            if let (Some(phone), false) = (recipient.address.phone(), reveal) {
                body["to"] = phone.masked().into();
            }
            println!("{}", serde_json::to_string_pretty(&body)?);
            Ok(Answer::Yes)
        }
        Err(left_out) => {
            println!("{recipient_id} gets nothing: {}", left_out.detail);
            Ok(Answer::No)
        }
    }
}

/// What is there before an import.
struct Stored<'a> {
    seat: &'a Desk,
    set: &'a Set,
    copy: PathBuf,
}

/// The date's content becomes the file. Whoever a refused row was for gets nothing: the
/// text before is not what anyone meant, nor is that of everyone.
async fn import(
    config: &Config,
    seat: &Desk,
    args: &ImportArgs,
    date: NaiveDate,
) -> Result<Answer> {
    let campaign = &one(config)?.campaign;
    let bytes = files::input(&args.file)?;
    let files = Files::of(config);
    let _lock = files.lock().await?;
    let set = Set::Content(campaign.id.clone(), date);
    let stored = Stored { seat, set: &set, copy: files.copies().path(&set) };
    seat.refresh(files.copies(), &set).await.context("bring the stored content up to date")?;
    let (rules, template) = (rules(config, args), &campaign.template);
    let media = campaign.templates().find_map(|template| template.header.media_kind());
    let home = args.file.parent().filter(|home| !home.as_os_str().is_empty());
    let desk = MediaDesk::new(home.unwrap_or(Path::new(".")), media)?;
    let mut settle = |content: &mut Content| desk.settle(content);
    let mut draft = Draft::new(&stored.copy)?;
    let mut add = |content: Content| draft.add(&content);
    let read = read_content(&bytes, &rules, template, &mut settle, &mut add)
        .with_context(|| format!("import {}", args.file.display()))?;
    if let Err(nothing) = judge(config, &args.file, &read.findings, args.strict) {
        let held = if args.strict || args.dry_run { 0 } else { hold_named(&stored, &read).await? };
        return Err(if held == 0 {
            nothing
        } else {
            nothing.context(format!("{held} recipients get nothing on {date} until a row of theirs is good, and nothing else changes"))
        });
    }
    if read.unattributed > 0 && read.is_good(EVERYONE) && !args.yes {
        bail!(
            "nothing was imported: {} refused rows do not say whom they are for, and those people would get the text of *; put the rows right, or --yes",
            read.unattributed
        );
    }
    if !read.held.is_empty() {
        let counts = |row: &Content| !read.held.contains_key(row.recipient_id.as_str());
        draft = draft.filter_map(|row: Content| Some(row).filter(counts))?;
    }
    add_held(&read, &mut draft);
    let lost = if read.unattributed == 0 { 0 } else { hold_lost(&stored, &read, &mut draft)? };
    take_up(seat, &set, draft, args.guard(config.recipients.shrink_max)).await?;
    for id in read.held.keys().take(SHOWN).map(|id| terminal::shown(id)) {
        println!("held back: {id} gets nothing on {date} until a row of theirs is good");
    }
    if lost > 0 {
        println!(
            "held back: {lost} more had content of their own before and have none now; {} refused rows do not say whom they are for",
            read.unattributed
        );
    }
    if !args.dry_run {
        say_what_follows(config, date)?;
    }
    Ok(Answer::from_bool(read.findings.refused.is_empty()))
}

/// Content for a date without a run is probably meant for another date, or another campaign.
fn say_what_follows(config: &Config, date: NaiveDate) -> Result<()> {
    let one = one(config)?;
    let id = &one.campaign.id;
    if let Some(why) = one.daily.days.why_not(date) {
        println!(
            "there is no run of {id} on {date}: {why}; was another date meant, or another campaign?"
        );
    }
    let campaign = match config.campaigns.len() {
        1 => String::new(),
        _ => format!("--campaign {id} "),
    };
    println!("`subah plan {campaign}--date {date}` shows what the content makes");
    Ok(())
}

/// Rows that say only whom to send nothing.
fn add_held(read: &ReadContent, draft: &mut Draft) {
    read.held.iter().for_each(|(id, why)| draft.add(&Content::held_back(id, why)));
}

/// No row of a file is good: what is stored stays, but not for those whom its rows name.
async fn hold_named(stored: &Stored<'_>, read: &ReadContent) -> Result<usize> {
    if read.held.is_empty() || !stored.copy.exists() {
        return Ok(0);
    }
    let mut draft = Draft::new(&stored.copy)?;
    each_line(&stored.copy, |line| {
        let Ok(stored) = serde_json::from_slice::<Content>(line) else { return };
        if !read.held.contains_key(stored.recipient_id.as_str()) {
            draft.add(&stored);
        }
    })?;
    add_held(read, &mut draft);
    let guard = Guard { shrink_max: 1.0, yes: true, dry_run: false };
    take_up(stored.seat, stored.set, draft, guard).await?;
    Ok(read.held.len())
}

/// A refused row that does not say whom it was for may have been anybody's own: those who
/// lose theirs do not fall back to the text of everyone.
fn hold_lost(stored: &Stored<'_>, read: &ReadContent, draft: &mut Draft) -> Result<usize> {
    let mut lost = 0;
    each_line(&stored.copy, |line| {
        let Ok(stored) = serde_json::from_slice::<Content>(line) else { return };
        let id = stored.recipient_id.as_str();
        if id != EVERYONE && !read.names(id) {
            draft.add(&Content::held_back(id, "a refused row may have been theirs"));
            lost += 1;
        }
    })?;
    Ok(lost)
}
