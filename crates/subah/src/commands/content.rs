//! `content import|list`.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use anyhow::{Context, Result};
use cloud_api::messages::template_message;
use domain::{Clock, RunId, SystemClock};
use scheduler::Plan;
use scheduler::intake::{Content, read_content};
use templates::Media;

use crate::cli;
use crate::config::Config;
use crate::exit::Answer;
use crate::files::{self, Files, judge};
use crate::output::{self, audit};

pub fn run(config: &Config, command: &cli::Content) -> Result<Answer> {
    match command {
        cli::Content::Import { file, date, strict } => import(config, file, date, *strict),
        cli::Content::Preview { recipient_id, date, reveal } => {
            preview(config, recipient_id, date, *reveal)
        }
        cli::Content::List { date, format } => {
            let now = SystemClock.now();
            let content = Files::of(config).content(files::date(date, config)?)?;
            let columns = ["recipient_id", "parameters", "media", "approved"];
            let row = |content: &Content| {
                let approved = if content.is_approved(now) { "yes" } else { "no" };
                let names: Vec<&str> = content.params.keys().map(String::as_str).collect();
                let media = match &content.media {
                    None => "",
                    Some(Media::Id(_)) => "id",
                    Some(Media::Link(_)) => "link",
                    Some(Media::Path(_)) => "file",
                };
                let id = content.recipient_id.as_str().to_owned();
                vec![id, names.join(" "), media.to_owned(), approved.to_owned()]
            };
            let rows: Vec<Vec<String>> = content.iter().map(row).collect();
            output::rows(format.format, &columns, &rows)?;
            Ok(Answer::Yes)
        }
    }
}

/// The body as the sender would build it, but for the callback data of its attempt.
fn preview(config: &Config, recipient_id: &str, date: &str, reveal: bool) -> Result<Answer> {
    audit(reveal);
    let date = files::date(date, config)?;
    let snapshot = Files::of(config).snapshot(config, date)?.snapshot;
    let window = config.daily.window.on(date).context("the zone has no such date")?;
    let run = RunId::new(&config.campaign.id, date);
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

/// The date's content becomes the file; a row that cannot be read keeps what is stored.
fn import(config: &Config, file: &Path, date: &str, strict: bool) -> Result<Answer> {
    let date = files::date(date, config)?;
    let bytes = std::fs::read(file).with_context(|| format!("read {}", file.display()))?;
    let mut intake = read_content(&bytes, config.daily.window.zone)
        .with_context(|| format!("import {}", file.display()))?;
    judge(file, &intake, strict)?;
    let home = file.parent().unwrap_or(Path::new("."));
    for content in &mut intake.rows {
        anchor(content, home)?;
    }
    let files = Files::of(config);
    let good: HashSet<String> =
        intake.rows.iter().map(|c| c.recipient_id.as_str().to_owned()).collect();
    let mut stored: HashMap<String, Content> =
        files.content(date)?.into_iter().map(|c| (c.recipient_id.as_str().to_owned(), c)).collect();
    for id in intake.refused.iter().filter_map(|refused| refused.id.as_ref()) {
        if !good.contains(id) {
            intake.rows.extend(stored.remove(id));
        }
    }
    files.save_content(date, &intake.rows)?;
    println!(
        "{} rows of content for {date}; `subah plan --date {date}` shows what they make",
        intake.rows.len()
    );
    Ok(Answer::from_bool(intake.refused.is_empty()))
}

/// Media paths start at the import's folder, and must stay findable afterwards.
fn anchor(content: &mut Content, home: &Path) -> Result<()> {
    if let Some(Media::Path(path)) = &mut content.media {
        let whole = std::path::absolute(home.join(&*path)).context("find the media file")?;
        *path = whole.display().to_string();
    }
    Ok(())
}
