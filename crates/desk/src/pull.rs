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
use crate::findings::Said;
use crate::intake::Import;
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
    /// For which date; empty for recipients.
    date: String,
}

/// Fetches a source, and imports what is new. Says what an import says to `said`.
///
/// # Errors
/// When the source does not answer, what it has is older than it may be, or nothing of it may be
/// imported: what is stored stays.
pub async fn pull(config: &Config, pull: &Pull, said: &mut Said) -> Result<Pulled> {
    let (name, now) = (&pull.name, SystemClock.now());
    let date = match &pull.set {
        PullSet::Recipients(_) => None,
        PullSet::Content(campaign) => {
            let one = config.campaigns.iter().find(|one| one.campaign.id == *campaign);
            let next = one.and_then(|one| match one.daily.due(now, |_| false) {
                Due::Now { date, .. } | Due::Wait { date, .. } => Some(date),
                Due::Over => None,
            });
            let Some(date) = next else {
                return Ok(Pulled::Nothing(format!("{campaign} has no further date")));
            };
            Some(date)
        }
    };
    let doing = || format!("pull {name}");
    let fetched = fetch::fetch(pull, date).await.doing(doing)?;
    refuse_if_old(pull, &fetched, now)?;
    let of = date.map(|date| date.to_string()).unwrap_or_default();
    let last = Last { sha256: sha256_hex(&fetched.bytes), date: of };
    let note = note_path(config, name);
    if read(&note) == last {
        return Ok(Pulled::Nothing("the same as the last time".to_owned()));
    }
    let answer = import(config, pull, date, fetched, said).await.doing(doing)?;
    // Noted once everything is stored: a process that dies in between imports the same again.
    keep(&note, &last)?;
    Ok(Pulled::New(answer))
}

async fn import(
    config: &Config,
    pull: &Pull,
    date: Option<NaiveDate>,
    fetched: Fetched,
    said: &mut Said,
) -> Result<Answer> {
    did::note_of(config, "a pull", "did", &format!("pull {}", pull.name))?;
    let wish = Import { file: fetched.name, bytes: fetched.bytes, ..Import::default() };
    match (&pull.set, date) {
        (PullSet::Content(campaign), Some(date)) => {
            let config = Config { named: Some(campaign.to_string()), ..config.clone() };
            content::import(&config, &wish, date, said).await
        }
        (PullSet::Recipients(list), _) => recipients::import(config, &wish, list, said).await,
        (PullSet::Content(_), None) => unreachable!("content has a date"),
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

fn keep(note: &Path, last: &Last) -> Result<()> {
    let doing = || format!("write {}", note.display());
    if let Some(dir) = note.parent() {
        std::fs::create_dir_all(dir).doing(doing)?;
    }
    let text = serde_json::to_vec(last).expect("two texts");
    whole::put_bytes(note, Sync::No, &text).doing(doing)
}
