//! Webhook bodies in words: of files, and of what was signed and could not be read.

use std::path::{Path, PathBuf};

use cloud_api::webhooks;
use config::Config;
use domain::event::Event;
use inbox::{FIRST_ENDPOINT, Record};

use crate::error::{Doing, Result};
use crate::told::{Answer, Told};

/// What each file's body says.
///
/// # Errors
/// When a file cannot be read.
pub fn read(files: &[PathBuf]) -> Result<Told> {
    let mut told = Told::default();
    for file in files {
        let name = file.display();
        let body = std::fs::read(file).doing(|| format!("read {name}"))?;
        match webhooks::read(&body) {
            Ok(events) => {
                let words: Vec<String> = events.iter().map(ToString::to_string).collect();
                let words = if words.is_empty() { "nothing".to_owned() } else { words.join("; ") };
                told.say(format!("{name}: {words}"));
                events.iter().filter_map(details).for_each(|details| told.say(details));
            }
            Err(error) => {
                told.say(format!("{name}: {error}"));
                told.answer = Answer::No;
            }
        }
    }
    Ok(told)
}

fn details(event: &Event) -> Option<String> {
    let (Event::Template(news) | Event::Account(news)) = event else { return None };
    Some(news.details())
        .filter(|details| !details.is_empty())
        .map(|details| format!("    {details}"))
}

/// Bodies that were signed and could not be read: none of their statuses is in the ledger.
pub struct Unread {
    /// Why, a line each.
    pub told: Told,
    /// Those that can be read by now.
    pub readable: Vec<(PathBuf, Record)>,
    pub all: usize,
}

/// # Errors
/// When the folder cannot be read.
pub fn unread(config: &Config) -> Result<Unread> {
    let folder = config.inbox_dir().join("poison");
    let doing = || format!("read {}", folder.display());
    let mut kept: Vec<PathBuf> = match std::fs::read_dir(&folder) {
        Ok(entries) => {
            entries.map(|e| e.map(|e| e.path())).collect::<std::io::Result<_>>().doing(doing)?
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error).doing(doing),
    };
    kept.sort();
    let mut unread = Unread { told: Told::default(), readable: Vec::new(), all: kept.len() };
    for path in kept {
        let name = path.display().to_string();
        let body = std::fs::read(&path).doing(|| format!("read {name}"))?;
        let why = match webhooks::read(&body) {
            Err(error) => error.to_string(),
            Ok(events) => match events.iter().find(|e| matches!(e, Event::Odd { .. })) {
                Some(odd) => odd.to_string(),
                None => {
                    let written = std::fs::metadata(&path).and_then(|seen| seen.modified());
                    let at = written.doing(|| format!("read {name}"))?;
                    let received_at = chrono::DateTime::<chrono::Utc>::from(at).into();
                    let record =
                        Record { endpoint: endpoint(&path), ..Record::new(received_at, body) };
                    unread.readable.push((path, record));
                    "can be read by now: --replay merges it".to_owned()
                }
            },
        };
        unread.told.say(format!("{name}: {why}"));
    }
    if unread.all == 0 {
        unread.told.say("no webhook body is unreadable");
    }
    unread.told.answer = Answer::from_bool(unread.all == 0);
    Ok(unread)
}

/// The endpoint that an unreadable body came through: before the dot of its name, if there is one.
fn endpoint(path: &Path) -> String {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    name.split_once('.').map_or(FIRST_ENDPOINT, |(endpoint, _)| endpoint).to_owned()
}
