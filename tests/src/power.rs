//! Power cuts: what was not synced is gone. `tests/shim/synced.c`, loaded into a process,
//! notes what was; [`cut`] takes the rest away once the process is dead.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds the shim that notes what was synced; returns its path.
///
/// # Panics
/// When there is no C compiler (`tests/run` installs one).
pub fn build_shim(dir: &Path) -> String {
    build(dir, "synced")
}

/// Builds the shim of a slow disk: the file that `SLOW_SYNC` names says how slow, in
/// milliseconds.
///
/// # Panics
/// When there is no C compiler.
pub fn build_slow_shim(dir: &Path) -> String {
    build(dir, "slow")
}

/// Builds the library that makes a machine have slept.
///
/// # Panics
/// When there is no C compiler.
pub fn build_sleep_shim(dir: &Path) -> String {
    build(dir, "sleep")
}

/// Builds the library that lets days pass: see [`crate::days`].
///
/// # Panics
/// When there is no C compiler.
pub fn build_days_shim(dir: &Path) -> String {
    build(dir, "days")
}

fn build(dir: &Path, name: &str) -> String {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("shim/{name}.c"));
    let library = dir.join(format!("{name}.so"));
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(&library)
        .arg(source)
        .args(["-ldl"])
        .status()
        .expect("cc is installed");
    assert!(built.success(), "the shim does not build");
    library.display().to_string()
}

/// Puts the folder back to what its disk surely held. Returns how many bytes were lost.
///
/// # Panics
/// When a file cannot be changed.
pub fn cut(dir: &Path) -> u64 {
    let mut lost = 0;
    for path in files(dir) {
        let name = path.display().to_string();
        // Notes of a place are not synced: a cut may take them, and so it does.
        let note = ["applied", "applied-people", "merged"].iter().any(|end| name.ends_with(end));
        if note || name.ends_with("-shm") {
            std::fs::remove_file(&path).expect("it is there");
            continue;
        }
        let Some(file) = name.strip_suffix(".synced").map(PathBuf::from) else { continue };
        let Ok(now) = std::fs::metadata(&file).map(|m| m.len()) else { continue };
        let kept = std::fs::read(&path).expect("it is there");
        if name.contains(".db") {
            lost += now.saturating_sub(kept.len() as u64);
            std::fs::write(&file, kept).expect("the disk takes it");
            continue;
        }
        let sure: u64 = String::from_utf8_lossy(&kept).trim().parse().unwrap_or(0);
        if sure < now {
            lost += now - sure;
            let file = std::fs::OpenOptions::new().write(true).open(&file).expect("it is there");
            file.set_len(sure).expect("it can be cut");
        }
    }
    lost
}

/// Every file below a folder.
///
/// # Panics
/// When the folder cannot be read.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("the folder is there").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}
