//! Rows on their way into a set: written beside the copy, held against it, then taken up by the
//! records and put in the copy's place.
//!
//! Invariants: a name of its own while it is written; at each instant the old copy or the new one is
//! there; an import that loses people is asked about first.

use std::collections::HashMap;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use crate::error::{DeskError, Result};
use crate::replacement::Replacement;
use crate::sets::LEFT_OVER;

/// A file on its way. Gone when it is dropped.
pub struct Draft {
    path: PathBuf,
    out: BufWriter<NamedTempFile>,
    /// The first error of a write: callbacks cannot return it.
    failed: Option<std::io::Error>,
    pub rows: usize,
}

/// What must hold before fewer rows replace more.
#[derive(Clone, Copy, Debug)]
pub struct Guard {
    /// Share of the rows that may go without being asked about, 0 to 1.
    pub shrink_max: f64,
    pub yes: bool,
    pub dry_run: bool,
}

impl Draft {
    /// For the copy at `path`.
    ///
    /// # Errors
    /// When the folder cannot be made or written.
    pub fn new(path: &Path) -> Result<Self> {
        let dir = path.parent().unwrap_or(Path::new("."));
        let failed = |error| DeskError::file("write", path, error);
        std::fs::create_dir_all(dir).map_err(failed)?;
        let file = tempfile::Builder::new().prefix(LEFT_OVER).tempfile_in(dir);
        let out = BufWriter::new(file.map_err(failed)?);
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

    /// A row as it stands in the records.
    pub(crate) fn add_line(&mut self, line: &str) {
        self.rows += 1;
        if let Err(error) = writeln!(self.out, "{line}") {
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
        let path = self.out.get_ref().path().to_owned();
        let failed = |error| DeskError::file("read back", &path, error);
        let file = File::open(&path).map_err(failed)?;
        for line in BufReader::new(file).lines() {
            let row = serde_json::from_str(&line.map_err(failed)?);
            if let Some(row) = change(row.map_err(|e| failed(e.into()))?) {
                next.add(&row);
            }
        }
        Ok(next)
    }

    /// Writes what is left in memory; returns where the rows are.
    pub(crate) fn flush(&mut self) -> Result<PathBuf> {
        let failed = |error| DeskError::file("write", &self.path, error);
        if let Some(error) = self.failed.take() {
            return Err(failed(error));
        }
        self.out.flush().map_err(failed)?;
        Ok(self.out.get_ref().path().to_owned())
    }

    /// Puts the rows in the copy's place; with the copy's name on the disk, too.
    pub(crate) fn persist(mut self) -> Result<()> {
        self.flush()?;
        let path = self.path.clone();
        let failed = |error| DeskError::file("write", &path, error);
        let file = self.out.into_inner().map_err(|e| failed(e.into_error()))?;
        file.as_file().sync_all().map_err(failed)?;
        file.persist(&path).map_err(|e| failed(e.error))?;
        Ok(())
    }

    pub(crate) fn copy(&self) -> &Path {
        &self.path
    }
}

/// A row of a draft beside the stored row of that key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Added,
    Changed,
    Same,
}

/// The stored rows by hash, to hold others against.
pub(crate) struct Stored {
    hasher: RandomState,
    /// Hash of the key → hash of the line.
    rows: HashMap<u64, u64>,
    damaged: usize,
}

#[derive(Deserialize)]
struct Keyed {
    #[serde(alias = "recipient_id")]
    id: String,
}

/// The key of a line; `None`: it cannot be read.
pub(crate) fn key(line: &[u8]) -> Option<String> {
    serde_json::from_slice::<Keyed>(line).ok().map(|row| row.id)
}

impl Stored {
    pub fn read(copy: &Path) -> Result<Self> {
        let hasher = RandomState::new();
        let mut stored = Stored { hasher, rows: HashMap::new(), damaged: 0 };
        each_line(copy, |line| match key(line) {
            Some(key) => {
                let (key, line) = (stored.hasher.hash_one(key), stored.hasher.hash_one(line));
                stored.rows.insert(key, line);
            }
            None => stored.damaged += 1,
        })?;
        Ok(stored)
    }

    pub fn hash(&self, key: &str) -> u64 {
        self.hasher.hash_one(key)
    }

    pub fn standing(&self, key: &str, line: &[u8]) -> Standing {
        match self.rows.get(&self.hash(key)) {
            None => Standing::Added,
            Some(held) if *held == self.hasher.hash_one(line) => Standing::Same,
            Some(_) => Standing::Changed,
        }
    }

    /// Takes a key out of what would be removed.
    pub fn meet(&mut self, key: &str) {
        self.rows.remove(&self.hash(key));
    }

    pub fn has(&self, key: &str) -> bool {
        self.rows.contains_key(&self.hash(key))
    }

    /// What the rows of a file change about the stored ones.
    pub fn compare(&self, new: &Path) -> Result<Replacement> {
        let mut seen = Replacement { damaged: self.damaged, ..Replacement::default() };
        each_line(new, |line| {
            let Some(key) = key(line) else { return };
            match self.standing(&key, line) {
                Standing::Added => seen.added += 1,
                Standing::Changed => seen.changed += 1,
                Standing::Same => seen.same += 1,
            }
        })?;
        seen.removed = self.rows.len().saturating_sub(seen.changed + seen.same);
        Ok(seen)
    }
}

/// Lines as bytes: a damaged file may hold anything. A file that is not there has none.
///
/// # Errors
/// When the disk fails.
pub fn each_line(path: &Path, mut each: impl FnMut(&[u8])) -> Result<()> {
    let failed = |error| DeskError::file("read", path, error);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).map_err(failed)? > 0 {
        each(line.trim_ascii_end());
        line.clear();
    }
    Ok(())
}
