//! `backup` and `restore`: everything that one host keeps, over the embedded ledger.
//!
//! The ledger is copied first, as one consistent state, while it is written to; then journal,
//! inbox and the rest. What those know beyond the ledger is merged at the first start after a
//! restore, as after any crash.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use domain::hash::sha256_hex;
use domain::{Clock, SystemClock};
use ledger::{Change, Ledger, Note, Phase, Sqlite, recovery};
use serde::{Deserialize, Serialize};

use super::amend::who;
use crate::config::{Config, Store};
use crate::exit::Answer;
use crate::output;

/// Names what a backup holds.
const MANIFEST: &str = "backup.json";
const LEDGER: &str = "ledger.db";

/// Path below the state folder → SHA-256 of the file.
#[derive(Serialize, Deserialize)]
struct Manifest {
    made_at: domain::Timestamp,
    version: String,
    files: BTreeMap<PathBuf, String>,
}

fn ledger_path(config: &Config) -> Result<&Path> {
    match &config.store {
        Store::Sqlite { path } => Ok(path),
        Store::Redis { .. } => bail!(
            "the ledger is in Redis: back it up by its own means (BGSAVE and a copy of its append-only files), and each host's state folder while its subah is stopped"
        ),
    }
}

/// Copies everything into a new folder.
pub fn backup(config: &Config, to: &Path) -> Result<Answer> {
    let ledger = ledger_path(config)?;
    ensure!(ledger.exists(), "there is no ledger at {} yet", ledger.display());
    ensure!(!to.exists(), "{} is there already: name a new folder", to.display());
    let partial = to.with_extension("partial");
    let _ = std::fs::remove_dir_all(&partial); // of a backup that was interrupted
    std::fs::create_dir_all(&partial).with_context(|| format!("make {}", partial.display()))?;
    let made_at = SystemClock.now();
    Sqlite::open(ledger, Arc::new(SystemClock))?.copy_to(&partial.join(LEDGER))?;
    let mut files = BTreeMap::new();
    note(&partial, Path::new(LEDGER), &mut files)?;
    for path in listed(&config.state_dir, Path::new(""))? {
        copy(&config.state_dir.join(&path), &partial.join(&path))?;
        note(&partial, &path, &mut files)?;
    }
    let n = files.len();
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let text = serde_json::to_vec_pretty(&Manifest { made_at, version, files })?;
    write(&partial.join(MANIFEST), &text)?;
    std::fs::rename(&partial, to).with_context(|| format!("name {}", to.display()))?;
    println!(
        "{n} files are in {}; it holds phone numbers and texts: keep it as safe as the host",
        to.display()
    );
    Ok(Answer::Yes)
}

/// Files below a folder that are worth keeping, by their path below it.
fn listed(root: &Path, below: &Path) -> Result<Vec<PathBuf>> {
    let dir = root.join(below);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&dir).with_context(|| format!("read {}", dir.display()))? {
        let entry = entry?;
        let (kind, name) = (entry.file_type()?, entry.file_name());
        let path = below.join(&name);
        let text = name.to_string_lossy();
        // The ledger was copied as a whole; locks and half-written files are of processes.
        let passing = text.ends_with(".lock") || text == "lock" || text.ends_with(".tmp");
        if kind.is_dir() {
            found.extend(listed(root, &path)?);
        } else if kind.is_file() && !passing && text != "holder" && !text.starts_with(LEDGER) {
            found.push(path);
        }
    }
    Ok(found)
}

/// A file that is removed meanwhile, such as a segment that grew old, is not missed.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let bytes = match std::fs::read(from) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        read => read.with_context(|| format!("read {}", from.display()))?,
    };
    write(to, &bytes)
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let doing = || format!("write {}", path.display());
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).with_context(doing)?;
    }
    std::fs::write(path, bytes).with_context(doing)?;
    std::fs::File::open(path).and_then(|file| file.sync_all()).with_context(doing)
}

fn note(root: &Path, path: &Path, files: &mut BTreeMap<PathBuf, String>) -> Result<()> {
    match std::fs::read(root.join(path)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        read => {
            let bytes = read.with_context(|| format!("read {}", path.display()))?;
            files.insert(path.to_owned(), sha256_hex(&bytes));
        }
    }
    Ok(())
}

/// Puts back what is missing here. The host's own journal and inbox, if they are there, know more
/// than those of the backup and stay.
pub async fn restore(config: &Config, from: &Path, yes: bool) -> Result<Answer> {
    let ledger = ledger_path(config)?;
    ensure!(
        !ledger.exists(),
        "there is a ledger at {}: move it away first if it is the wrong one",
        ledger.display()
    );
    let text = std::fs::read(from.join(MANIFEST))
        .with_context(|| format!("{} is no whole backup", from.display()))?;
    let manifest: Manifest = serde_json::from_slice(&text).context("read its list of files")?;
    for (path, expected) in &manifest.files {
        let bytes = std::fs::read(from.join(path))
            .with_context(|| format!("the backup lacks {}", path.display()))?;
        ensure!(
            sha256_hex(&bytes) == *expected,
            "{} is not what was backed up: nothing was restored",
            path.display()
        );
    }
    let keeps = has_segments(&config.state_dir.join("journal"));
    let zone = config.daily.window.zone;
    println!(
        "{} files as of {}, written by version {}",
        manifest.files.len(),
        manifest.made_at.rfc3339(zone),
        manifest.version
    );
    println!(
        "{}",
        match keeps {
            true =>
                "this host's journal and inbox stay: what they know since then is merged at the next start",
            false =>
                "there is no journal here: what was due since then and still waits may have been sent by the lost host: unknown under hold, sent and flagged under evidence",
        }
    );
    if !yes {
        println!("nothing was changed; --yes does it. The lost host must not come back by itself");
        return Ok(Answer::Yes);
    }
    output::record(config, "did", &format!("restored from {}", from.display()))?;
    for path in manifest.files.keys().filter(|path| path.as_path() != Path::new(LEDGER)) {
        let to = config.state_dir.join(path);
        let stays = to.exists() || (keeps && is_kept_whole(path));
        if !stays {
            copy(&from.join(path), &to)?;
        }
    }
    // Last, so that a restore which was interrupted is begun again.
    let partial = ledger.with_extension("restoring");
    copy(&from.join(LEDGER), &partial)?;
    if !keeps {
        suspect(&partial, from).await?;
    }
    std::fs::rename(&partial, ledger).with_context(|| format!("name {}", ledger.display()))?;
    println!("restored; `subah ledger verify` reads it, `subah run` or the daemon goes on");
    Ok(Answer::Yes)
}

/// Journal and inbox are whole or not at all: segments of two histories must not be mixed.
fn is_kept_whole(path: &Path) -> bool {
    path.starts_with("journal") || path.starts_with("inbox")
}

fn has_segments(dir: &Path) -> bool {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| entry.file_name().to_string_lossy().ends_with(".log"))
}

/// Marks what the lost host may have sent since the backup.
async fn suspect(path: &Path, from: &Path) -> Result<()> {
    let ledger = Sqlite::open(path, Arc::new(SystemClock))?;
    let why = format!("restored from {} without the journal", from.display());
    let note = Note { at: ledger.now().await?, by: who(), change: Change::Suspect, why };
    for run in ledger.active_runs().await? {
        if matches!(run.phase, Phase::Open | Phase::Paused) {
            let id = &run.header.id;
            let marked = recovery::suspect(&ledger, id, Some(&note)).await?;
            println!("{id}: {marked} deliveries may have been sent by the lost host");
        }
    }
    drop(ledger);
    // What is in its write-ahead log belongs to it: into the file before it is renamed.
    Sqlite::fold_log(path).context("finish the restored ledger")
}
