//! Replacing a stored file as a whole: written beside, compared, then put in its place.
//!
//! Invariants: a name of its own while it is written; at each instant the old file or the
//! new one is there; a replacement that loses people is asked about first.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use crate::cli::Guard;

/// A file on its way. Gone when it is dropped.
pub struct Draft {
    path: PathBuf,
    out: BufWriter<NamedTempFile>,
    /// The first error of a write: callbacks cannot return it.
    failed: Option<std::io::Error>,
    pub rows: usize,
}

/// What a replacement changes, by id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replacement {
    pub added: usize,
    pub removed: usize,
    pub changed: usize,
    pub same: usize,
    /// Stored rows that cannot be read.
    pub damaged: usize,
}

impl fmt::Display for Replacement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Replacement { added, removed, changed, same, damaged } = self;
        write!(f, "+{added} −{removed} ~{changed} ={same}")?;
        if *damaged > 0 {
            write!(f, " ({damaged} stored rows were damaged)")?;
        }
        Ok(())
    }
}

impl Draft {
    /// # Errors
    /// When the folder cannot be made or written.
    pub fn new(path: &Path) -> Result<Self> {
        let dir = path.parent().unwrap_or(Path::new("."));
        let doing = || format!("write {}", path.display());
        std::fs::create_dir_all(dir).with_context(doing)?;
        let file = tempfile::Builder::new().prefix(".import-").tempfile_in(dir);
        let out = BufWriter::new(file.with_context(doing)?);
        Ok(Draft { path: path.to_owned(), out, failed: None, rows: 0 })
    }

    pub fn add(&mut self, row: &impl Serialize) {
        self.rows += 1;
        let written = serde_json::to_writer(&mut self.out, row)
            .map_err(std::io::Error::from)
            .and_then(|()| self.out.write_all(b"\n"));
        if let Err(error) = written {
            self.failed.get_or_insert(error);
        }
    }

    /// The same rows, each changed or left out.
    ///
    /// # Errors
    /// When they cannot be read back or written.
    pub fn filter_map<T: Serialize + DeserializeOwned>(
        mut self,
        change: impl Fn(T) -> Option<T>,
    ) -> Result<Draft> {
        self.flush()?;
        let mut next = Draft::new(&self.path)?;
        let file = File::open(self.out.get_ref().path()).context("read the import back")?;
        for line in BufReader::new(file).lines() {
            if let Some(row) = change(serde_json::from_str(&line?)?) {
                next.add(&row);
            }
        }
        Ok(next)
    }

    fn flush(&mut self) -> Result<()> {
        let doing = || format!("write {}", self.path.display());
        if let Some(error) = self.failed.take() {
            return Err(error).with_context(doing);
        }
        self.out.flush().with_context(doing)
    }

    /// Holds it against the stored file, and replaces that unless something speaks
    /// against it. `what` names the rows: recipients, rows of content.
    ///
    /// # Errors
    /// When the file would be empty or shrinks too much and nobody said yes; when the disk
    /// fails. The stored file is as it was then.
    pub fn replace(mut self, what: &str, guard: Guard) -> Result<Replacement> {
        self.flush()?;
        let replacement = compare(&self.path, self.out.get_ref().path())?;
        println!("{replacement}  {what}");
        let stored = replacement.removed + replacement.changed + replacement.same;
        let asked = if self.rows == 0 && stored > 0 {
            Some(format!("all {stored} {what} would go"))
        } else if replacement.removed as f64 > guard.shrink_max * stored as f64 {
            Some(format!("{} of {stored} {what} would go", replacement.removed))
        } else {
            None
        };
        if let Some(why) = asked.filter(|_| !guard.yes) {
            bail!("nothing was imported: {why}; --yes does it");
        }
        if self.rows == 0 && stored == 0 && !guard.yes {
            bail!("nothing was imported: the file holds no {what}");
        }
        if guard.dry_run {
            println!("nothing was changed: --dry-run");
            return Ok(replacement);
        }
        let doing = || format!("write {}", self.path.display());
        let file = self.out.into_inner().map_err(|e| e.into_error()).with_context(doing)?;
        file.as_file().sync_all().with_context(doing)?;
        keep_previous(&self.path).with_context(doing)?;
        file.persist(&self.path).map_err(|e| e.error).with_context(doing)?;
        Ok(replacement)
    }
}

/// Brings the file before back; the present one is then the one before.
///
/// # Errors
/// When there is none.
pub fn undo(path: &Path, what: &str) -> Result<Replacement> {
    let (before, aside) = (previous(path), path.with_extension("undo"));
    let doing = || format!("bring back {}", before.display());
    if !before.exists() {
        bail!("there is nothing to bring back: no {what} were replaced");
    }
    let replacement = compare(path, &before)?;
    if path.exists() {
        std::fs::rename(path, &aside).with_context(doing)?;
    }
    std::fs::rename(&before, path).with_context(doing)?;
    if aside.exists() {
        std::fs::rename(&aside, &before).with_context(doing)?;
    }
    Ok(replacement)
}

fn previous(path: &Path) -> PathBuf {
    path.with_extension("previous.ndjson")
}

/// A second name for what is about to be replaced.
fn keep_previous(path: &Path) -> std::io::Result<()> {
    let aside = path.with_extension("keep");
    let _ = std::fs::remove_file(&aside);
    match std::fs::hard_link(path, &aside) {
        Ok(()) => std::fs::rename(&aside, previous(path)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[derive(Deserialize)]
struct Keyed {
    #[serde(alias = "recipient_id")]
    id: String,
}

/// What the second file changes about the first, row by row.
fn compare(stored: &Path, new: &Path) -> Result<Replacement> {
    let hasher = RandomState::new();
    let mut rows: HashMap<u64, u64> = HashMap::new();
    let mut seen = Replacement::default();
    each_line(stored, |line| match serde_json::from_slice::<Keyed>(line) {
        Ok(row) => {
            rows.insert(hasher.hash_one(row.id), hasher.hash_one(line));
        }
        Err(_) => seen.damaged += 1,
    })?;
    each_line(new, |line| {
        let Ok(row) = serde_json::from_slice::<Keyed>(line) else { return };
        match rows.remove(&hasher.hash_one(row.id)) {
            None => seen.added += 1,
            Some(held) if held == hasher.hash_one(line) => seen.same += 1,
            Some(_) => seen.changed += 1,
        }
    })?;
    seen.removed = rows.len();
    Ok(seen)
}

/// Lines as bytes: a damaged file may hold anything.
pub fn each_line(path: &Path, mut each: impl FnMut(&[u8])) -> Result<()> {
    let doing = || format!("read {}", path.display());
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(doing),
    };
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).with_context(doing)? > 0 {
        each(line.trim_ascii_end());
        line.clear();
    }
    Ok(())
}
