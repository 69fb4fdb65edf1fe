//! Lists and content that are fetched from somewhere else: what is new and fresh is imported as a
//! person would import it, without a yes: an import that would lose many people waits for one.

mod fetch;

use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use config::Config;
use config::pulls::{Pull, PullSet};
use domain::hash::sha256_hex;
use domain::{Clock, SystemClock, Timestamp};
use scheduler::daily::Due;
use segment_log::{Sync, whole};
use serde::{Deserialize, Serialize};

use crate::error::{DeskError, Doing, Result};
use crate::files::Files;
use crate::findings::Said;
use crate::intake::Import;
use crate::sets::Set;
use crate::told::Answer;
use crate::{content, did, recipients};

pub use fetch::Fetched;

/// What became of a pull.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pulled {
    /// Imported; no: some rows were refused.
    New(Answer),
    /// The same as the last time, or for a day without a run.
    Nothing(String),
}

/// What was imported last, so that the same is not imported each time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Last {
    sha256: String,
    /// Of the next run.
    date: String,
    /// The copy that came of it.
    #[serde(default)]
    copy: String,
}

/// Whether somebody has agreed to what an import asks about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirm {
    Ask,
    Yes,
}

/// Fetches a source, and imports what is new. Says what an import says to `said`.
///
/// # Errors
/// When the source does not answer, what it has is older than it may be, or nothing of it may be
/// imported: what is stored stays.
pub async fn pull(
    config: &Config,
    pull: &Pull,
    confirm: Confirm,
    said: &mut Said,
) -> Result<Pulled> {
    let (name, now) = (&pull.name, SystemClock.now());
    let one = match &pull.set {
        PullSet::Recipients(_) => config.campaigns.first(),
        PullSet::Content(id) => config.campaigns.iter().find(|one| one.campaign.id == *id),
    };
    let next = one.and_then(|one| match one.daily.due(now, |_| false) {
        Due::Now { date, .. } | Due::Wait { date, .. } => Some(date),
        Due::Over => None,
    });
    let Some(date) = next else {
        return Ok(Pulled::Nothing("its campaign has no further date".to_owned()));
    };
    let doing = || format!("pull {name}");
    let fetched = fetch::fetch(pull, date).await.doing(doing)?;
    refuse_if_old(pull, &fetched, now)?;
    let (note, sha256) = (note_path(config, name), sha256_hex(&fetched.bytes));
    let of = |copy| Last { sha256: sha256.clone(), date: date.to_string(), copy };
    if read(&note) == of(copy_of(config, pull, date)) {
        return Ok(Pulled::Nothing("the same as the last time".to_owned()));
    }
    // Also an import that is refused may hold people back: what came before counts no more as stored.
    forget(&note)?;
    let answer = import(config, pull, (date, confirm), fetched, said).await.doing(doing)?;
    // Noted once everything is stored: a process that dies in between imports the same again. Rows that
    // are refused are said again each time.
    if answer == Answer::Yes {
        keep(&note, &of(copy_of(config, pull, date)))?;
    }
    Ok(Pulled::New(answer))
}

/// What this host's copy of the set is now: somebody may import by hand in between.
fn copy_of(config: &Config, pull: &Pull, date: NaiveDate) -> String {
    let set = match &pull.set {
        PullSet::Recipients(list) => Set::Recipients(list.clone()),
        PullSet::Content(campaign) => Set::Content(campaign.clone(), date),
    };
    let seen = std::fs::metadata(Files::of(config).copies().path(&set));
    let written = seen.and_then(|seen| Ok((seen.len(), seen.modified()?)));
    written.map(|written| format!("{written:?}")).unwrap_or_default()
}

async fn import(
    config: &Config,
    pull: &Pull,
    (date, confirm): (NaiveDate, Confirm),
    fetched: Fetched,
    said: &mut Said,
) -> Result<Answer> {
    did::note_of(config, "a pull", "did", &format!("pull {}", pull.name))?;
    let yes = confirm == Confirm::Yes;
    let wish = Import { file: fetched.name, bytes: fetched.bytes, yes, ..Import::default() };
    match &pull.set {
        PullSet::Content(campaign) => {
            let config = Config { named: Some(campaign.to_string()), ..config.clone() };
            content::import(&config, &wish, date, said).await
        }
        PullSet::Recipients(list) => recipients::import(config, &wish, list, said).await,
    }
}

/// What was written long ago was meant for another day.
fn refuse_if_old(pull: &Pull, fetched: &Fetched, now: Timestamp) -> Result<()> {
    let Some(written) = fetched.written_at else { return Ok(()) }; // nobody says
    let age = now.since(written);
    if age <= pull.fresh_within {
        return Ok(());
    }
    Err(DeskError::Refused(format!(
        "pull {}: what is there was written {} h ago, and {} h are allowed (fresh_within): is it the one before?",
        pull.name,
        age.as_secs() / 3_600,
        pull.fresh_within.as_secs() / 3_600
    )))
}

fn note_path(config: &Config, name: &str) -> PathBuf {
    config.state_dir.join("pulls").join(format!("{name}.json"))
}

fn read(note: &Path) -> Last {
    let text = std::fs::read(note).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default() // imported once more
}

fn forget(note: &Path) -> Result<()> {
    match std::fs::remove_file(note) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).doing(|| format!("remove {}", note.display()))
        }
        _ => Ok(()),
    }
}

fn keep(note: &Path, last: &Last) -> Result<()> {
    let doing = || format!("write {}", note.display());
    if let Some(dir) = note.parent() {
        std::fs::create_dir_all(dir).doing(doing)?;
    }
    let text = serde_json::to_vec(last).expect("two texts");
    whole::put_bytes(note, Sync::No, &text).doing(doing)
}
