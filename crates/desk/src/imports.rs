//! Imports of recipients and content: the records take the rows up as a new version, then this
//! host's copy becomes it.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use domain::Timestamp;
use records::imports::{self, Import, Keyed};
use records::{RecordsError, Tries, Tx, audit, tenants};
use serde_json::json;

use crate::Desk;
use crate::draft::{self, Draft, Guard, Standing, Stored};
use crate::error::{DeskError, Result};
use crate::refresh::{Seen, fetch, present};
use crate::replacement::Replacement;
use crate::sets::{CONTENT, Copies, Set, note, noted};
use crate::snapshots;

const DOING: &str = "import";
/// Rows that go to the database at once.
const CHUNK: usize = 5_000;

impl Desk {
    /// Brings this host's copy of a set to the present version. A copy of rows that the records have
    /// never had, of an earlier version of Subah or of records that were lost, is taken up by them.
    /// Hold [`Copies::lock`].
    ///
    /// # Errors
    /// When the records do not answer, or the disk fails.
    pub async fn refresh(&self, copies: &Copies, set: &Set) -> Result<Option<Import>> {
        match present(&self.records, &self.tenant, copies, set).await? {
            Seen::Current(import) => Ok(Some(import)),
            Seen::Behind(import) => {
                fetch(&self.records, &self.tenant, copies, set, &import).await?;
                Ok(Some(import))
            }
            Seen::Nowhere => Ok(None),
            Seen::OnlyHere => self.take_up(copies, set).await.map(Some),
        }
    }

    /// Makes a draft the next version of a set whose copy is refreshed; returns what it changes.
    ///
    /// # Errors
    /// [`DeskError::Refused`] when the set would be empty or shrinks too much and nobody said yes.
    /// When the records do not answer, or somebody else has imported: nothing is changed then.
    pub async fn import(&self, set: &Set, mut new: Draft, guard: Guard) -> Result<Replacement> {
        let rows = new.flush()?;
        let copy = new.copy().to_owned();
        let stored = Stored::read(&copy)?;
        let replacement = stored.compare(&rows)?;
        judge(set, new.rows, &replacement, guard)?;
        if guard.dry_run {
            return Ok(replacement);
        }
        let base = noted(&copy).map_or(0, |note| note.version);
        let mut tries = Tries::default();
        let import = loop {
            let once = async {
                let mut tx = self.records.begin(DOING).await?;
                let import = self.write(&mut tx, set, &copy, &rows, base).await?;
                tx.commit(DOING).await?;
                Ok::<Import, DeskError>(import)
            };
            match once.await {
                Err(DeskError::Records(error)) if tries.again(&error) => {}
                done => break done?,
            }
        };
        new.persist()?;
        note(&copy, &import)?;
        Ok(replacement)
    }

    /// Makes a set what it was before the last import; the present one is then the one before.
    ///
    /// # Errors
    /// [`DeskError::Refused`] when there is none.
    pub async fn undo_import(&self, copies: &Copies, set: &Set) -> Result<Replacement> {
        let nothing = || {
            let rows = set.rows();
            DeskError::Refused(format!("there is nothing to bring back: no {rows} were replaced"))
        };
        let head = self.refresh(copies, set).await?.filter(|head| head.version > 1);
        let head = head.ok_or_else(nothing)?;
        let now = self.clock.now();
        let mut tries = Tries::default();
        let import = loop {
            let mut rng = self.fork_rng();
            let once = async {
                let mut tx = self.records.begin("undo an import").await?;
                let name = set.name();
                let mut draft =
                    imports::Draft::begin(&mut tx, &self.tenant, &name, head.version).await?;
                draft.undo().await?;
                let import = draft.finish(&self.actor, "undo", now, &mut rng).await?;
                self.note_import(&mut tx, set, &import).await?;
                tx.commit("undo an import").await?;
                Ok::<Import, RecordsError>(import)
            };
            match once.await {
                Err(error) if tries.again(&error) => {}
                done => break done?,
            }
        };
        fetch(&self.records, &self.tenant, copies, set, &import).await?;
        let rows = import.rows;
        let of = |n: i64| usize::try_from(n).unwrap_or(0);
        Ok(Replacement {
            added: of(rows.added),
            removed: of(rows.removed),
            changed: of(rows.changed),
            same: of(rows.total - rows.added - rows.changed),
            damaged: 0,
        })
    }

    /// The latest versions of a set, the present one first.
    ///
    /// # Errors
    /// When the records do not answer.
    pub async fn imports_of(&self, set: &Set, limit: u32) -> Result<Vec<Import>> {
        Ok(imports::history(&self.records, &self.tenant, &set.name(), limit).await?)
    }

    /// Lets go of content of dates before `first`, and of what runs were planned from before `since`.
    /// Returns how many sets of content went.
    ///
    /// # Errors
    /// When the records do not answer: what is left goes the next time.
    pub async fn let_go(&self, first: NaiveDate, since: Timestamp) -> Result<usize> {
        let doing = "let go of old content";
        let sets = imports::sets(&self.records, &self.tenant, CONTENT).await?;
        let date = |set: &str| set.rsplit('/').next().and_then(|date| date.parse().ok());
        let old = |set: &String| date(set).is_some_and(|date: NaiveDate| date < first);
        let old: Vec<String> = sets.into_iter().filter(old).collect();
        for set in &old {
            let mut tx = self.records.begin(doing).await?;
            imports::forget(&mut tx, &self.tenant, set).await?;
            tx.commit(doing).await?;
        }
        let mut tx = self.records.begin(doing).await?;
        snapshots::let_go(&mut tx, &self.tenant, since).await?;
        tx.commit(doing).await?;
        Ok(old.len())
    }

    /// A copy that only this host has becomes the first version; the one that an earlier version of
    /// Subah kept for `undo` goes before it.
    async fn take_up(&self, copies: &Copies, set: &Set) -> Result<Import> {
        let copy = copies.path(set);
        let mut tries = Tries::default();
        let import = loop {
            match self.take_up_once(&copy, set).await {
                Err(DeskError::Records(error)) if tries.again(&error) => {}
                done => break done?,
            }
        };
        let _ = std::fs::remove_file(previous(&copy)); // the records have it
        note(&copy, &import)?;
        tracing::info!(
            "the records have taken up {} {} from {}",
            import.rows.total,
            set.rows(),
            copy.display()
        );
        Ok(import)
    }

    /// Both versions at once: with the earlier one alone, the copy would look like an old one.
    async fn take_up_once(&self, copy: &Path, set: &Set) -> Result<Import> {
        let mut tx = self.records.begin(DOING).await?;
        let (previous, nothing) = (previous(copy), Path::new(""));
        let import = if previous.exists() {
            self.write(&mut tx, set, nothing, &previous, 0).await?;
            self.write(&mut tx, set, &previous, copy, 1).await?
        } else {
            self.write(&mut tx, set, nothing, copy, 0).await?
        };
        tx.commit(DOING).await?;
        Ok(import)
    }

    /// Writes the difference of two files as the version after `base`. Rows that cannot be read, or
    /// whose key came before, cost themselves: only a file that somebody has edited has them.
    async fn write(
        &self,
        tx: &mut Tx,
        set: &Set,
        stored: &Path,
        new: &Path,
        base: i64,
    ) -> Result<Import> {
        let now = self.clock.now();
        let name = set.name();
        let mut held = Stored::read(stored)?;
        tenants::ensure(tx, &self.tenant, now).await?;
        let mut draft = imports::Draft::begin(tx, &self.tenant, &name, base).await?;
        let mut lines = Lines::open(new)?;
        let (mut keys, mut repeated) = (HashSet::new(), 0);
        while let Some(mut rows) = lines.chunk()? {
            let before = rows.len();
            rows.retain(|(key, _)| keys.insert(held.hash(key)));
            repeated += before - rows.len();
            let (mut added, mut changed): (Vec<Keyed>, Vec<Keyed>) = Default::default();
            for (key, line) in rows {
                match held.standing(&key, line.as_bytes()) {
                    Standing::Added => added.push((key, line)),
                    Standing::Changed => changed.push((key, line)),
                    Standing::Same => held.meet(&key),
                }
            }
            changed.iter().for_each(|(key, _)| held.meet(key));
            draft.change(changed).await?;
            draft.add(added).await?;
        }
        if lines.damaged + repeated > 0 {
            let (damaged, file) = (lines.damaged, new.display());
            tracing::error!(
                damaged,
                repeated,
                "the records leave out rows of {file}: {damaged} cannot be read, {repeated} repeat an id; import the file again to put that right"
            );
        }
        let mut lines = Lines::open(stored)?;
        while let Some(rows) = lines.chunk()? {
            let gone = rows.into_iter().map(|(key, _)| key).filter(|key| held.has(key));
            draft.remove(gone.collect()).await?;
        }
        let mut rng = self.fork_rng();
        let import = draft.finish(&self.actor, "import", now, &mut rng).await?;
        self.note_import(tx, set, &import).await?;
        Ok(import)
    }

    async fn note_import(&self, tx: &mut Tx, set: &Set, import: &Import) -> records::Result<()> {
        let rows = import.rows;
        let done = audit::Done {
            actor: &self.actor,
            act: &set.act(&import.act),
            object: &set.name(),
            detail: json!({"version": import.version, "rows": rows.total, "added": rows.added,
                "changed": rows.changed, "removed": rows.removed}),
        };
        audit::add(tx, &self.tenant, &done, self.clock.now()).await
    }
}

/// Whether an import may replace what is stored.
fn judge(set: &Set, rows: usize, replacement: &Replacement, guard: Guard) -> Result<()> {
    let what = set.rows();
    let stored = replacement.removed + replacement.changed + replacement.same;
    let asked = if rows == 0 && stored > 0 {
        Some(format!("all {stored} {what} would go"))
    } else if replacement.removed as f64 > guard.shrink_max * stored as f64 {
        Some(format!("{} of {stored} {what} would go", replacement.removed))
    } else {
        None
    };
    let refused = |why: String| {
        Err(DeskError::Asked {
            replacement: *replacement,
            why: format!("nothing was imported: {why}"),
        })
    };
    match asked {
        _ if guard.yes => Ok(()),
        Some(why) => refused(format!("{why}; --yes does it")),
        None if rows == 0 && stored == 0 => refused(format!("the file holds no {what}")),
        None => Ok(()),
    }
}

/// The rows of a file, some at a time.
struct Lines {
    path: PathBuf,
    file: Option<BufReader<File>>,
    /// Lines so far that cannot be read.
    damaged: usize,
}

impl Lines {
    /// A file that is not there has none.
    fn open(path: &Path) -> Result<Self> {
        let file = match File::open(path) {
            Ok(file) => Some(BufReader::new(file)),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(DeskError::file("read", path, error)),
        };
        Ok(Lines { path: path.to_owned(), file, damaged: 0 })
    }

    /// The next rows with their keys; `None`: there are no more. Damaged lines are left out and counted.
    fn chunk(&mut self) -> Result<Option<Vec<Keyed>>> {
        let Some(file) = &mut self.file else { return Ok(None) };
        let mut rows = Vec::with_capacity(CHUNK);
        let mut line = Vec::new();
        while rows.len() < CHUNK {
            line.clear();
            let read = file.read_until(b'\n', &mut line);
            if read.map_err(|e| DeskError::file("read", &self.path, e))? == 0 {
                self.file = None;
                break;
            }
            let row = line.trim_ascii_end();
            match (draft::key(row), std::str::from_utf8(row)) {
                (Some(key), Ok(text)) => rows.push((key, text.to_owned())),
                _ => self.damaged += 1,
            }
        }
        Ok(Some(rows))
    }
}

/// Where an earlier version of Subah kept the rows before the last import.
fn previous(copy: &Path) -> PathBuf {
    copy.with_extension("previous.ndjson")
}
