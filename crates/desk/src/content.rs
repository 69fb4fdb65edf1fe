//! The content of dates: imported as a whole, brought back, looked at.

use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use cloud_api::messages::template_message;
use config::Config;
use domain::{Clock, RunId, SystemClock};
use scheduler::Plan;
use scheduler::intake::content::{EVERYONE, ReadContent};
use scheduler::intake::{Content, read_content};
use serde_json::Value;
use templates::Media;

use crate::Desk;
use crate::draft::{Draft, Guard, each_line};
use crate::error::{DeskError, Doing, Result, with_words};
use crate::files::Files;
use crate::findings::{Said, judge};
use crate::intake::{Import, take_up};
use crate::media::MediaDesk;
use crate::named;
use crate::replacement::Replacement;
use crate::sets::Set;
use crate::store;
use crate::table::Table;
use crate::told::Answer;

/// Recipients that are named when they are held back; a plan names all.
const SHOWN: usize = 20;

/// The date's content becomes the file. Whoever a refused row was for gets nothing: the text before is
/// not what anyone meant, nor is that of everyone. Says what was found to `said`, also when nothing
/// comes of the import.
///
/// # Errors
/// When the file cannot be read, a yes is missing, or the records do not answer: nothing is changed
/// then, but that nobody gets a text that the file meant to replace.
pub async fn import(
    config: &Config,
    wish: &Import,
    date: NaiveDate,
    said: &mut Said,
) -> Result<Answer> {
    let act = async |desk: &Desk| import_at(desk, config, wish, date, said).await;
    store::at_desk(config, act).await
}

/// The rows before the last import of a date are back.
///
/// # Errors
/// When there are none, or the records do not answer.
pub async fn undo(config: &Config, date: NaiveDate) -> Result<Replacement> {
    let files = Files::of(config);
    let _lock = files.lock().await?;
    let set = Set::Content(named::campaign(config)?.campaign.id.clone(), date);
    let undo = async |desk: &Desk| desk.undo_import(files.copies(), &set).await;
    store::at_desk(config, undo).await
}

/// A row for each row of content; texts are not in it.
///
/// # Errors
/// When the campaign has to be named, or this host's copy cannot be read.
pub async fn list(config: &Config, date: NaiveDate) -> Result<Table> {
    let now = SystemClock.now();
    let content = Files::of(config).content(config, named::campaign(config)?, date).await?;
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
    let columns = ["recipient_id", "parameters", "media", "approved"];
    Ok(Table { rows: content.iter().map(row).collect(), ..Table::new(&columns) })
}

/// The body as the sender would build it, but for the callback data of its attempt; the number in
/// full if `reveal`, which the caller has noted. The inner error: why the recipient gets nothing.
///
/// # Errors
/// When the recipient is not in the list, or files cannot be read.
pub async fn preview(
    config: &Config,
    recipient_id: &str,
    date: NaiveDate,
    reveal: bool,
) -> Result<std::result::Result<Value, String>> {
    let one = named::campaign(config)?;
    let snapshot = Files::of(config).snapshot(config, one, date).await?.snapshot;
    let no_such_date = || DeskError::Refused("the zone has no such date".to_owned());
    let window = one.daily.window.on(date).ok_or_else(no_such_date)?;
    let run = RunId::new(&one.campaign.id, date);
    let plan = Plan::new(&snapshot, run, window, SystemClock.now());
    let at = snapshot.rows.iter().position(|row| row.recipient.id.as_str() == recipient_id);
    let none = || DeskError::Refused(format!("recipient {recipient_id:?} is not in the list"));
    let at = at.ok_or_else(none)?;
    let recipient = &snapshot.rows[at].recipient;
    let index = u32::try_from(at).doing(|| "count the list")?;
    Ok(match plan.at(index).call {
        Ok(call) => {
            let message = template_message(&recipient.address, &call, "");
            let mut body = serde_json::to_value(message).doing(|| "write the message")?;
            if let (Some(phone), false) = (recipient.address.phone(), reveal) {
                body["to"] = phone.masked().into();
            }
            Ok(body)
        }
        Err(left_out) => Err(format!("{recipient_id} gets nothing: {}", left_out.detail)),
    })
}

/// What is there before an import.
struct Stored<'a> {
    seat: &'a Desk,
    set: &'a Set,
    copy: PathBuf,
}

async fn import_at(
    seat: &Desk,
    config: &Config,
    args: &Import,
    date: NaiveDate,
    said: &mut Said,
) -> Result<Answer> {
    let campaign = &named::campaign(config)?.campaign;
    let files = Files::of(config);
    let _lock = files.lock().await?;
    let set = Set::Content(campaign.id.clone(), date);
    let stored = Stored { seat, set: &set, copy: files.copies().path(&set) };
    seat.refresh(files.copies(), &set).await.doing(|| "bring the stored content up to date")?;
    let (rules, template) = (args.rules(config), &campaign.template);
    let media = campaign.media_kind();
    let home = args.file.parent().filter(|home| !home.as_os_str().is_empty());
    let desk = MediaDesk::new(home.unwrap_or(Path::new(".")), media)?;
    let mut settle = |content: &mut Content| desk.settle(content);
    let mut draft = Draft::new(&stored.copy)?;
    let mut add = |content: Content| draft.add(&content);
    let read = read_content(&args.bytes, &rules, template, &mut settle, &mut add)
        .doing(|| format!("import {}", args.file.display()))?;
    if let Err(nothing) = judge(config, &args.file, &read.findings, args.strict, said) {
        let held =
            if args.strict || args.dry_run { 0 } else { hold_named(&stored, &read, said).await? };
        let words = (held > 0).then(|| format!("{held} recipients get nothing on {date} until a row of theirs is good, and nothing else changes"));
        return Err(with_words(nothing, words));
    }
    if read.unattributed > 0 && read.is_good(EVERYONE) && !args.yes {
        return Err(DeskError::Refused(format!(
            "nothing was imported: {} refused rows do not say whom they are for, and those people would get the text of *; put the rows right, or --yes",
            read.unattributed
        )));
    }
    if !read.held.is_empty() {
        let counts = |row: &Content| !read.held.contains_key(row.recipient_id.as_str());
        draft = draft.filter_map(|row: Content| Some(row).filter(counts))?;
    }
    add_held(&read, &mut draft);
    let lost = if read.unattributed == 0 { 0 } else { hold_lost(&stored, &read, &mut draft)? };
    take_up(seat, &set, draft, args.guard(config.recipients.shrink_max), said).await?;
    for id in read.held.keys().take(SHOWN) {
        said.line(format!("held back: {id} gets nothing on {date} until a row of theirs is good"));
    }
    if lost > 0 {
        said.line(format!("held back: {lost} more had content of their own before and have none now; {} refused rows do not say whom they are for",
            read.unattributed));
    }
    if !args.dry_run {
        say_what_follows(config, date, said)?;
    }
    Ok(Answer::from_bool(read.findings.refused.is_empty()))
}

/// Content for a date without a run is probably meant for another date, or another campaign.
fn say_what_follows(config: &Config, date: NaiveDate, said: &mut Said) -> Result<()> {
    let one = named::campaign(config)?;
    let id = &one.campaign.id;
    if let Some(why) = one.daily.days.why_not(date) {
        said.line(format!(
            "there is no run of {id} on {date}: {why}; was another date meant, or another campaign?"
        ));
    }
    let campaign = match config.campaigns.len() {
        1 => String::new(),
        _ => format!("--campaign {id} "),
    };
    said.line(format!("`subah plan {campaign}--date {date}` shows what the content makes"));
    Ok(())
}

/// Rows that say only whom to send nothing.
fn add_held(read: &ReadContent, draft: &mut Draft) {
    read.held.iter().for_each(|(id, why)| draft.add(&Content::held_back(id, why)));
}

/// No row of a file is good: what is stored stays, but not for those whom its rows name.
async fn hold_named(stored: &Stored<'_>, read: &ReadContent, said: &mut Said) -> Result<usize> {
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
    take_up(stored.seat, stored.set, draft, guard, said).await?;
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
