//! `webhooks read`: bodies in words. `webhooks replay`: merges what the inbox keeps again.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cloud_api::webhooks;
use config::Config;
use config::secrets::Credentials;
use domain::Timestamp;
use domain::event::Event;
use inbox::{FIRST_ENDPOINT, Record, Tail};

use crate::exit::Answer;
use crate::files;
use crate::terminal;
use crate::wire::{Parts, inbox_dir};

pub fn read(files: &[PathBuf]) -> Result<Answer> {
    let mut answer = Answer::Yes;
    for file in files {
        let body = std::fs::read(file).with_context(|| format!("read {}", file.display()))?;
        match webhooks::read(&body) {
            Ok(events) => {
                let words: Vec<String> = events.iter().map(ToString::to_string).collect();
                let words = if words.is_empty() { "nothing".to_owned() } else { words.join("; ") };
                println!("{}: {words}", file.display());
                for event in &events {
                    if let Event::Template(news) | Event::Account(news) = event
                        && let details = news.details()
                        && !details.is_empty()
                    {
                        println!("    {}", terminal::shown(&details));
                    }
                }
            }
            Err(error) => {
                println!("{}: {error}", file.display());
                answer = Answer::No;
            }
        }
    }
    Ok(answer)
}

/// Beside a running subah too: facts are merged, and nothing else is touched.
pub async fn replay(config: &Config, since: Option<&str>) -> Result<Answer> {
    let zone = config.zone();
    let since = match since {
        None => Timestamp::MIN,
        Some(text) => {
            let midnight = files::date(text, config)?.and_time(chrono::NaiveTime::MIN);
            let begins = midnight.and_local_timezone(zone).earliest();
            begins.context("the zone has no such date")?.into()
        }
    };
    let parts = Parts::new(config, Credentials::load(&config.credentials)?, &[]).await?;
    let tail = || Tail::from_start(&inbox_dir(config));
    parts.people().replay(&mut tail(), since).await?;
    let replayed = parts.applier()?.replay(&mut tail(), since).await?;
    println!(
        "{} status reports were merged again; what was known already changed nothing",
        replayed.facts
    );
    for run in replayed.unmatched {
        println!("{run}: some are about deliveries that the ledger does not hold");
    }
    Ok(Answer::Yes)
}

/// Bodies that were signed and could not be read: none of their statuses is in the ledger.
pub async fn poison(config: &Config, replay: bool) -> Result<Answer> {
    let folder = inbox_dir(config).join("poison");
    let mut kept: Vec<PathBuf> = match std::fs::read_dir(&folder) {
        Ok(entries) => entries.map(|e| e.map(|e| e.path())).collect::<std::io::Result<_>>()?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error).with_context(|| format!("read {}", folder.display())),
    };
    kept.sort();
    let mut readable = Vec::new();
    for path in &kept {
        let body = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
        let why = match webhooks::read(&body) {
            Err(error) => error.to_string(),
            Ok(events) => match events.iter().find(|e| matches!(e, Event::Odd { .. })) {
                Some(odd) => odd.to_string(),
                None => {
                    let at = std::fs::metadata(path)?.modified()?;
                    let received_at = chrono::DateTime::<chrono::Utc>::from(at).into();
                    let record =
                        Record { endpoint: endpoint(path), ..Record::new(received_at, body) };
                    readable.push((path, record));
                    "can be read by now: --replay merges it".to_owned()
                }
            },
        };
        println!("{}: {why}", path.display());
    }
    if kept.is_empty() {
        println!("no webhook body is unreadable");
    }
    if replay && !readable.is_empty() {
        let parts = Parts::new(config, Credentials::load(&config.credentials)?, &[]).await?;
        let (paths, records): (Vec<_>, Vec<_>) = readable.into_iter().unzip();
        parts.people().honour(&records).await?;
        let facts = parts.applier()?.merge_bodies(&records).await?;
        for path in &paths {
            std::fs::remove_file(path).with_context(|| format!("remove {}", path.display()))?;
        }
        println!("{facts} status reports of {} bodies were merged", paths.len());
        return Ok(Answer::from_bool(paths.len() == kept.len()));
    }
    Ok(Answer::from_bool(kept.is_empty()))
}

/// The endpoint that an unreadable body came through: before the dot of its name, if there is one.
fn endpoint(path: &Path) -> String {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    name.split_once('.').map_or(FIRST_ENDPOINT, |(endpoint, _)| endpoint).to_owned()
}
