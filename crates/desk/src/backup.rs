//! A backup of everything that one host keeps, over the embedded ledger, and its way back.
//!
//! The ledger is copied first, as one consistent state, while it is written to; then journal,
//! inbox and the rest. What those know beyond the ledger is merged at the first start after a
//! restore, as after any crash.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use config::{Config, Store};
use domain::hash::HashWriter;
use domain::{Clock, SystemClock, Timestamp};
use ledger::{Change, Ledger, Note, Phase, Sqlite, cell, recovery};
use records::{Place, Records};
use segment_log::{Sync, whole};
use sender::{FileJournal, failpoint};
use serde::{Deserialize, Serialize};

use crate::Mode;
use crate::did::{self, who};
use crate::error::{DeskError, Doing, Result, ensure};
use crate::store::RESTORING;
use crate::told::Told;

/// The cell that holds when the ledger was restored without its host's journal.
pub const RESTORED: &str = "restored";
/// The host's own journal, which stays.
const BESIDE: &str = "beside the journal";
const ALONE: &str = "without a journal";
/// Names what a backup holds.
const MANIFEST: &str = "backup.json";
const LEDGER: &str = "ledger.db";
const RECORDS: &str = "records.db";

/// Path below the state folder → SHA-256 of the file.
#[derive(Serialize, Deserialize)]
struct Manifest {
    made_at: Timestamp,
    version: String,
    files: BTreeMap<PathBuf, String>,
}

fn ledger_path(config: &Config) -> Result<&Path> {
    match &config.store {
        Store::Sqlite { path } => Ok(path),
        Store::Redis { .. } => Err(DeskError::Refused("the ledger is in Redis: back it up by its own means (BGSAVE and a copy of its append-only files), and each host's state folder while its subah is stopped".to_owned())),
    }
}

/// Copies everything into a new folder.
///
/// # Errors
/// When there is nothing to copy, the folder is no good, or a disk refuses: nothing is named so then.
pub async fn backup(config: &Config, to: &Path) -> Result<Told> {
    let mut told = Told::default();
    let ledger = ledger_path(config)?;
    ensure(ledger.exists(), || format!("there is no ledger at {} yet", ledger.display()))?;
    let inside = absolute(to)?.starts_with(absolute(&config.state_dir)?);
    ensure(!inside, || {
        format!("{} is inside the state folder: it would be lost with it", to.display())
    })?;
    let parent = to.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let where_to = parent.display();
    ensure(parent.is_dir(), || {
        format!("there is no folder {where_to} to make it in: is its disk mounted?")
    })?;
    ensure(!to.exists(), || format!("{} is there already: name a new folder", to.display()))?;
    did::note(config, &format!("backup to {}", to.display()))?;
    let partial = to.with_extension("partial");
    let _ = std::fs::remove_dir_all(&partial); // of a backup that was interrupted
    std::fs::create_dir(&partial)
        .doing(|| format!("make {}: name a folder that can be written to", partial.display()))?;
    let made_at = SystemClock.now();
    Sqlite::open(ledger, Arc::new(SystemClock))?.copy_to(&partial.join(LEDGER))?;
    let databases = databases(config, ledger);
    let mut paths = listed(&config.state_dir, Path::new(""), &databases)?;
    for path in &paths {
        copy(&config.state_dir.join(path), &partial.join(path))?;
    }
    paths.push(PathBuf::from(LEDGER));
    paths.extend(copy_records(config, &partial, &mut told).await?);
    let mut files = BTreeMap::new();
    for path in paths {
        if let Some(hash) = hash(&partial.join(&path))? {
            files.insert(path, hash);
        }
    }
    let n = files.len();
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let manifest = Manifest { made_at, version, files };
    let text = serde_json::to_vec_pretty(&manifest).expect("a list of files is plain data");
    std::fs::write(partial.join(MANIFEST), text).doing(|| "write the list of files")?;
    std::fs::rename(&partial, to).doing(|| format!("name {}", to.display()))?;
    told.say(format!(
        "{n} files are in {}; it holds phone numbers and texts: keep it as safe as the host",
        to.display()
    ));
    Ok(told)
}

/// Files that are written to all the time, with what lies beside them: copied by their own means.
fn databases<'a>(config: &'a Config, ledger: &'a Path) -> Vec<&'a Path> {
    match &config.records {
        Place::Sqlite(records) => vec![ledger, records],
        Place::Postgres(_) => vec![ledger],
    }
}

/// Copies embedded records; returns where they are below the folder. PostgreSQL has its own means.
async fn copy_records(config: &Config, to: &Path, told: &mut Told) -> Result<Option<PathBuf>> {
    let Place::Sqlite(path) = &config.records else {
        told.say("the records are in PostgreSQL: back them up by pg_dump or its archive");
        return Ok(None);
    };
    if !path.exists() {
        return Ok(None);
    }
    let below = path.strip_prefix(&config.state_dir).unwrap_or(Path::new(RECORDS)).to_owned();
    let copied = async {
        let records = Records::open(&config.records).await?;
        records.copy_to(&to.join(&below)).await?;
        records.close().await;
        records::Result::Ok(())
    };
    copied.await.doing(|| format!("copy {}", path.display()))?;
    Ok(Some(below))
}

/// Files below the state folder that are worth keeping, by their path below it. Databases are
/// copied as a whole; locks, notes of processes and half-written files are not worth it.
fn listed(root: &Path, below: &Path, databases: &[&Path]) -> Result<Vec<PathBuf>> {
    let dir = root.join(below);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&dir).doing(|| format!("read {}", dir.display()))? {
        let doing = || format!("read {}", dir.display());
        let entry = entry.doing(doing)?;
        let (kind, name) = (entry.file_type().doing(doing)?, entry.file_name());
        let path = below.join(&name);
        let text = name.to_string_lossy();
        let passing = text.ends_with(".lock") || text == "lock" || text.ends_with(".tmp");
        let of_process = text == "holder" || text == "clock.json" || text == RESTORING;
        let whole = root.join(&path);
        let of =
            |database: &&Path| whole.to_string_lossy().starts_with(&*database.to_string_lossy());
        let of_database = databases.iter().any(of);
        if kind.is_dir() {
            found.extend(listed(root, &path, databases)?);
        } else if kind.is_file() && !passing && !of_process && !of_database {
            found.push(path);
        }
    }
    Ok(found)
}

/// Copies a file whole or not at all. One that is removed meanwhile, such as a segment that grew
/// old, is not missed.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let mut source = match std::fs::File::open(from) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        opened => opened.doing(|| format!("read {}", from.display()))?,
    };
    let doing = || format!("write {}", to.display());
    if let Some(dir) = to.parent() {
        std::fs::create_dir_all(dir).doing(doing)?;
    }
    whole::put(to, Sync::Yes, |out| std::io::copy(&mut source, out).map(drop)).doing(doing)
}

/// The SHA-256 of a file, read piece by piece; `None`: it is not there.
fn hash(path: &Path) -> Result<Option<String>> {
    let mut file = match std::fs::File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        opened => opened.doing(|| format!("read {}", path.display()))?,
    };
    let mut hash = HashWriter::default();
    std::io::copy(&mut file, &mut hash).doing(|| format!("read {}", path.display()))?;
    Ok(Some(hash.hex()))
}

/// From where is restored, and what is known of the lost host.
pub struct Restore {
    pub from: PathBuf,
    /// The lost host has sent nothing since the backup.
    pub nothing_was_sent: bool,
    pub mode: Mode,
}

/// Puts back what is missing here. The host's own journal and inbox, if they are there, know more
/// than those of the backup and stay.
///
/// # Errors
/// When the backup is not whole, something here would be mixed with it, or a disk refuses: the same
/// restore, given again, goes on then.
pub async fn restore(config: &Config, wish: &Restore) -> Result<Told> {
    let (from, mut told) = (wish.from.as_path(), Told::default());
    let ledger = ledger_path(config)?;
    let manifest = checked(from)?;
    let keeps = may_restore(config, ledger, from)?;
    // Held until the end: nobody may begin to send meanwhile.
    let _folder = match keeps {
        true => Some(
            FileJournal::open(&config.journal_dir(), &FileJournal::machine_boot_or("restore"))
                .doing(|| "lock the journal: is a subah running here? Stop it first")?,
        ),
        false => None,
    };
    say(config, &manifest, keeps, wish.nothing_was_sent, &mut told);
    if wish.mode == Mode::DryRun {
        told.say("nothing was changed; --yes does it. The lost host must not come back by itself");
        return Ok(told);
    }
    // Until it is removed, what is here is half of a backup and is written over.
    let marker = config.state_dir.join(RESTORING);
    let again = marker.exists();
    std::fs::create_dir_all(&config.state_dir)
        .and_then(|()| std::fs::write(&marker, if keeps { BESIDE } else { ALONE }))
        .doing(|| format!("write {}", marker.display()))?;
    did::note(config, &format!("restored from {}", from.display()))?;
    put_files(config, from, &manifest, keeps, again)?;
    failpoint::pass("restore-files");
    let partial = ledger.with_extension("restoring");
    copy(&from.join(LEDGER), &partial)?;
    if !(keeps || wish.nothing_was_sent) {
        suspect(&partial, from, &mut told).await?;
    }
    failpoint::pass("restore-ledger");
    // A link, not a rename: a ledger that came meanwhile must not be replaced.
    std::fs::hard_link(&partial, ledger)
        .doing(|| format!("put the ledger at {}", ledger.display()))?;
    std::fs::remove_file(&partial).doing(|| "tidy")?;
    std::fs::remove_file(&marker).doing(|| "tidy")?;
    told.say("restored; `subah ledger verify` reads it, `subah run` or the daemon goes on");
    Ok(told)
}

/// What a restore does, and what nobody can know after it.
fn say(config: &Config, manifest: &Manifest, keeps: bool, nothing_was_sent: bool, told: &mut Told) {
    told.say(format!(
        "{} files as of {}, written by version {}",
        manifest.files.len(),
        manifest.made_at.rfc3339(config.zone()),
        manifest.version
    ));
    told.say(match (keeps, nothing_was_sent) {
            (true, _) =>
                "this host's journal and inbox stay: what they know since then is merged at the next start",
            (false, true) => "nothing was sent by the lost host since then, as you say",
            (false, false) =>
                "there is no journal here: what was due since then may have been sent by the lost host: what waits is unknown under hold, sent and flagged under evidence, and a run that the backup does not hold is not planned once its window has opened",
        });
}

/// Everything but the ledger. A restore that goes on `again` writes over what it left.
fn put_files(
    config: &Config,
    from: &Path,
    manifest: &Manifest,
    keeps: bool,
    again: bool,
) -> Result<()> {
    for path in manifest.files.keys().filter(|path| path.as_path() != Path::new(LEDGER)) {
        let to = config.state_dir.join(path);
        let of_host = path.starts_with("journal") || path.starts_with("inbox");
        // Who we are is what the backup says; other files that are here are newer.
        let stays = to.exists() && !again && path != Path::new("installation");
        if !(stays || (keeps && of_host)) {
            copy(&from.join(path), &to)?;
        }
    }
    Ok(())
}

/// Reads the list of a backup and holds every file against it.
fn checked(from: &Path) -> Result<Manifest> {
    let text = std::fs::read(from.join(MANIFEST))
        .doing(|| format!("{} is no whole backup", from.display()))?;
    let manifest: Manifest = serde_json::from_slice(&text).doing(|| "read its list of files")?;
    for (path, expected) in &manifest.files {
        let found = hash(&from.join(path))?;
        let path = path.display();
        let lacks = || DeskError::Refused(format!("the backup lacks {path}"));
        let found = found.ok_or_else(lacks)?;
        ensure(found == *expected, || {
            format!("{path} is not what was backed up: nothing was restored")
        })?;
    }
    Ok(manifest)
}

/// Whether the journal that is here is the one of the backup, so that it goes on.
///
/// # Errors
/// When there is something here that a restore would be mixed with.
fn may_restore(config: &Config, ledger: &Path, from: &Path) -> Result<bool> {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let path = PathBuf::from(format!("{}{suffix}", ledger.display()));
        ensure(!path.exists(), || {
            format!(
                "there is a ledger at {}: move it away first, with its -wal and -shm, if it is the wrong one",
                path.display()
            )
        })?;
    }
    // Half of a backup: as the restore that was interrupted found it.
    if let Ok(noted) = std::fs::read_to_string(config.state_dir.join(RESTORING)) {
        return Ok(noted == BESIDE);
    }
    let (here, there) = (config.journal_dir(), from.join("journal"));
    if !here.exists() {
        return Ok(false);
    }
    let identity = |dir: &Path| std::fs::read_to_string(dir.join("identity")).unwrap_or_default();
    ensure(identity(&here) == identity(&there), || {
        format!(
            "{} is another host's than that of the backup: move it and the inbox away first",
            here.display()
        )
    })?;
    Ok(true)
}

/// Marks what the lost host may have sent since the backup.
async fn suspect(path: &Path, from: &Path, told: &mut Told) -> Result<()> {
    let ledger = Sqlite::open(path, Arc::new(SystemClock))?;
    let why = format!("restored from {} without the journal", from.display());
    let note = Note { at: ledger.now().await?, by: who(), change: Change::Suspect, why };
    // A run that is not in it, or not whole, may have been planned and sent since.
    let now = ledger.now().await?;
    cell::update(&ledger, RESTORED, |at: &mut Timestamp| *at = now).await?;
    for run in ledger.active_runs().await? {
        if matches!(run.phase, Phase::Open | Phase::Paused) {
            let id = &run.header.id;
            let marked = recovery::suspect(&ledger, id, Some(&note)).await?;
            told.say(format!("{id}: {marked} deliveries may have been sent by the lost host"));
        }
    }
    drop(ledger);
    // What is in its write-ahead log belongs to it: into the file before it is renamed.
    Sqlite::fold_log(path).doing(|| "finish the restored ledger")
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).doing(|| format!("find {}", path.display()))
}
