//! Append-only files that survive a power cut up to the last answered write.
//!
//! A log is a locked folder of numbered segments; a segment is a run of frames (length,
//! CRC32C, payload). Callers append; one thread syncs once for all that wait.
//! What a [`Writer`] answered with [`Sync::Yes`] is on the disk; a torn last frame is cut
//! off when the log is opened, and damage is skipped to the end of its segment, never
//! further. [`Reader`] reads the frames back. Beside logs, [`whole`] puts small files in place.

mod frame;
mod identity;
mod reader;
pub mod whole;
mod writer;

pub use frame::{BadFrame, PAYLOAD_BYTES_MAX, decode, encode};
pub use reader::{Position, Reader};
pub use writer::{Options, Sync, Writer};

use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("{doing} the {name} {path}")]
    Io {
        doing: &'static str,
        name: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the {name} {path} belongs to another subah that is running")]
    Locked { name: &'static str, path: PathBuf },
    #[error("the {name} is busy: {waiting} records wait for the disk")]
    Busy { name: &'static str, waiting: usize },
    #[error("the {name} is full: it may hold {bytes_max} bytes")]
    Full { name: &'static str, bytes_max: u64 },
    #[error("the {name} has stopped")]
    Stopped { name: &'static str },
}

/// Numbers of the segments in a folder, oldest first.
fn segments(dir: &Path, name: &str) -> std::io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let file = entry?.file_name();
        let file = file.to_string_lossy();
        let number = file.strip_prefix(name).and_then(|rest| rest.strip_prefix('-'));
        let number = number.and_then(|rest| rest.strip_suffix(".log"));
        numbers.extend(number.and_then(|n| n.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn segment_path(dir: &Path, name: &str, number: u64) -> PathBuf {
    dir.join(format!("{name}-{number:08}.log"))
}
