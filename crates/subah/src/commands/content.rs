//! `content import|list`.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use anyhow::{Context, Result};
use domain::{Clock, SystemClock};
use scheduler::intake::{Content, read_content};
use templates::Media;

use crate::cli;
use crate::config::Config;
use crate::exit::Answer;
use crate::files::{self, Files, judge};
use crate::output;

pub fn run(config: &Config, command: &cli::Content) -> Result<Answer> {
    match command {
        cli::Content::Import { file, date, strict } => import(config, file, date, *strict),
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
