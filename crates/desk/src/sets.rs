//! What can be imported, and where this host has its copy: a plan is made from copies, so that it
//! waits for no database, and the records say which version a copy has to be.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use chrono::NaiveDate;
use domain::ListName;
use domain::campaign::CampaignId;
use records::imports::Import;
use segment_log::{Sync, whole};
use serde::{Deserialize, Serialize};

use crate::error::{DeskError, Result};

/// Something that is imported as a whole.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Set {
    Recipients(ListName),
    Content(CampaignId, NaiveDate),
}

/// How the name of a file begins that an import writes to.
pub(crate) const LEFT_OVER: &str = ".import-";
/// Before the date in the name of content.
pub const CONTENT: &str = "content/";

impl Set {
    /// As the records know the set: `recipients/default`, `content/daily-pack/2026-11-21`.
    pub fn name(&self) -> String {
        match self {
            Set::Recipients(list) => format!("recipients/{list}"),
            Set::Content(campaign, date) => format!("{CONTENT}{campaign}/{date}"),
        }
    }

    /// What its rows are called.
    pub const fn rows(&self) -> &'static str {
        match self {
            Set::Recipients(_) => "recipients",
            Set::Content(..) => "rows of content",
        }
    }

    /// As the audit and the command line name an act on it: `recipients import`, `content undo`.
    pub(crate) fn act(&self, act: &str) -> String {
        match self {
            Set::Recipients(_) => format!("recipients {act}"),
            Set::Content(..) => format!("content {act}"),
        }
    }
}

/// This host's copies.
#[derive(Clone, Debug)]
pub struct Copies {
    state_dir: PathBuf,
    /// Whose content an earlier version of Subah kept without a campaign's name.
    first: CampaignId,
}

/// Held while copies are read or replaced together.
pub struct Lock(Option<File>);

/// Which version a copy is. The length and the time of the file tell a copy that somebody else has
/// changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Note {
    pub version: i64,
    pub id: String,
    bytes: u64,
    /// Microseconds since 1970.
    written: u128,
}

impl Copies {
    pub fn below(state_dir: &Path, first: CampaignId) -> Self {
        Copies { state_dir: state_dir.to_owned(), first }
    }

    /// Moves what an earlier version of Subah kept elsewhere to where a set's copy is now.
    pub(crate) fn take_over(&self, set: &Set) -> Result<()> {
        let Set::Content(campaign, date) = set else { return Ok(()) };
        let earlier = self.state_dir.join("content").join(format!("{date}.ndjson"));
        let copy = self.path(set);
        if *campaign != self.first || copy.exists() || !earlier.exists() {
            return Ok(());
        }
        let moved = |from: &Path, to: &Path| {
            std::fs::rename(from, to).map_err(|error| DeskError::file("move", from, error))
        };
        if let Some(dir) = copy.parent() {
            std::fs::create_dir_all(dir).map_err(|error| DeskError::file("make", dir, error))?;
        }
        let previous = |path: &Path| path.with_extension("previous.ndjson");
        if previous(&earlier).exists() {
            moved(&previous(&earlier), &previous(&copy))?;
        }
        moved(&earlier, &copy)
    }

    pub fn path(&self, set: &Set) -> PathBuf {
        match set {
            Set::Recipients(list) if list.is_default() => self.state_dir.join("recipients.ndjson"),
            Set::Recipients(list) => self.state_dir.join("lists").join(format!("{list}.ndjson")),
            Set::Content(campaign, date) => self
                .state_dir
                .join("content")
                .join(campaign.as_str())
                .join(format!("{date}.ndjson")),
        }
    }

    /// Nobody else imports or plans meanwhile. Waits, so ask on a thread that may.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn lock(&self) -> Result<Lock> {
        let path = self.lock_path();
        std::fs::create_dir_all(&self.state_dir)
            .map_err(|e| DeskError::file("make", &self.state_dir, e))?;
        let file = File::options().create(true).append(true).open(&path);
        let file = file.map_err(|e| DeskError::file("open", &path, e))?;
        file.lock().map_err(|e| DeskError::file("lock", &path, e))?;
        self.remove_left_overs();
        Ok(Lock(Some(file)))
    }

    /// What imports that were killed have left: whoever has the lock is the only one that imports.
    fn remove_left_overs(&self) {
        let mut dirs = vec![self.state_dir.clone(), self.state_dir.join("lists")];
        let content = std::fs::read_dir(self.state_dir.join("content"));
        dirs.extend(content.into_iter().flatten().flatten().map(|entry| entry.path()));
        for entry in dirs.iter().filter_map(|dir| std::fs::read_dir(dir).ok()).flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(LEFT_OVER) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }

    /// Nobody imports meanwhile. Reading makes nothing: without a lock file nobody has imported yet.
    ///
    /// # Errors
    /// When the lock cannot be read.
    pub fn lock_shared(&self) -> Result<Lock> {
        let path = self.lock_path();
        match File::open(&path) {
            Ok(file) => {
                file.lock_shared().map_err(|e| DeskError::file("lock", &path, e))?;
                Ok(Lock(Some(file)))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Lock(None)),
            Err(error) => Err(DeskError::file("open", &path, error)),
        }
    }

    fn lock_path(&self) -> PathBuf {
        self.state_dir.join("import.lock")
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Some(file) = &self.0 {
            let _ = file.unlock(); // closing it does the same
        }
    }
}

fn note_path(copy: &Path) -> PathBuf {
    copy.with_extension("version.json")
}

/// Which version a copy is; `None`: it is of no version, or is not as it was written.
pub(crate) fn noted(copy: &Path) -> Option<Note> {
    let note: Note = serde_json::from_slice(&std::fs::read(note_path(copy)).ok()?).ok()?;
    (seen(copy).ok()? == (note.bytes, note.written)).then_some(note)
}

/// Notes which version a copy is.
pub(crate) fn note(copy: &Path, import: &Import) -> Result<()> {
    let path = note_path(copy);
    let put = seen(copy).and_then(|(bytes, written)| {
        let (version, id) = (import.version, import.id.to_string());
        let note = Note { version, id, bytes, written };
        let text = serde_json::to_vec(&note).expect("a note is plain data");
        // Lost to a power cut, the copy is fetched once more.
        whole::put_bytes(&path, Sync::No, &text)
    });
    put.map_err(|error| DeskError::file("write", &path, error))
}

fn seen(copy: &Path) -> std::io::Result<(u64, u128)> {
    let found = std::fs::metadata(copy)?;
    let written = found.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok((found.len(), written.as_micros()))
}
