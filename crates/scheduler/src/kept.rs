//! The header of each planned run, on this host's disk beside its snapshot: with both, a run that
//! its store has lost can be made again row by row.

use std::path::{Path, PathBuf};

use domain::RunId;
use ledger::RunHeader;
use segment_log::{Sync, whole};

use crate::snapshot::SnapshotError;

fn path(dir: &Path, run: &RunId) -> PathBuf {
    dir.join(format!("{run}.header.json"))
}

/// Keeps a header; a run that is planned anew has another one.
///
/// # Errors
/// When the folder cannot be written.
pub fn save(dir: &Path, header: &RunHeader) -> Result<(), SnapshotError> {
    let path = path(dir, &header.id);
    let text = serde_json::to_vec(header).expect("a header is plain data");
    let kept =
        std::fs::create_dir_all(dir).and_then(|()| whole::put_bytes(&path, Sync::Yes, &text));
    kept.map_err(|source| SnapshotError::Io { doing: "write", path, source })
}

/// The header of a run that was planned on this host; `None`: it was not.
///
/// # Errors
/// When it is there and cannot be read.
pub fn load(dir: &Path, run: &RunId) -> Result<Option<RunHeader>, SnapshotError> {
    let path = path(dir, run);
    let read = |source| SnapshotError::Io { doing: "read", path: path.clone(), source };
    match std::fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(read(error)),
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|e| read(e.into())),
    }
}

/// Forgets the header of a plan that was thrown away.
///
/// # Errors
/// When the folder cannot be written.
pub fn forget(dir: &Path, run: &RunId) -> Result<(), SnapshotError> {
    let path = path(dir, run);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(|source| SnapshotError::Io { doing: "remove", path, source }),
    }
}
