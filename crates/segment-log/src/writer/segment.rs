//! One file of the log, open for appending.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::frame::whole_bytes;
use crate::{Position, segment_path};

/// A segment is closed above this size.
const SEGMENT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// A segment is closed after a day, so that what is kept for some days goes by the day and
/// not when 64 MiB have come together.
const SEGMENT_AGE_MAX: Duration = Duration::from_secs(24 * 3_600);

pub struct Segment {
    pub dir: PathBuf,
    name: &'static str,
    number: u64,
    pub file: Arc<File>,
    bytes: u64,
    /// When the file was made, where the file system says so; a new one counts from now.
    begun: SystemTime,
    /// It may end in half a record, or its disk has failed: nothing more is appended to it.
    pub broken: bool,
}

impl Segment {
    /// Opens a segment for appending after its last whole record.
    pub fn open(dir: &Path, name: &'static str, number: u64) -> std::io::Result<Self> {
        let path = segment_path(dir, name, number);
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
        let mut held = Vec::new();
        file.read_to_end(&mut held)?;
        let whole = whole_bytes(&held) as u64;
        if held.len() as u64 > whole {
            tracing::warn!(
                segment = number,
                "{name}: a torn record was cut off segment {number}; it was never answered for"
            );
            file.set_len(whole)?;
        }
        file.seek(SeekFrom::Start(whole))?;
        file.sync_data()?; // what a crash left in memory is read from now on
        File::open(dir)?.sync_all()?; // the file's name is durable too
        let made = file.metadata()?;
        let begun = made.created().or(made.modified())?;
        let (dir, file) = (dir.to_owned(), Arc::new(file));
        Ok(Segment { dir, name, number, file, bytes: whole, begun, broken: false })
    }

    /// The end of what is written.
    pub fn end(&self) -> Position {
        Position { segment: self.number, offset: self.bytes }
    }

    /// When nothing more fits: goes on in the next file. Returns the one before.
    pub fn turn(&mut self) -> std::io::Result<Option<Arc<File>>> {
        let is_old = self.bytes > 0 && self.begun.elapsed().is_ok_and(|age| age > SEGMENT_AGE_MAX);
        if self.bytes <= SEGMENT_BYTES_MAX && !is_old && !self.broken {
            return Ok(None);
        }
        let next = Segment::open(&self.dir, self.name, self.number + 1)?;
        Ok(Some(std::mem::replace(self, next).file))
    }

    /// Writes whole frames, or nothing.
    pub fn append(&mut self, frames: &[u8]) -> std::io::Result<()> {
        let written = (&*self.file).write_all(frames);
        match written {
            Ok(()) => self.bytes += frames.len() as u64,
            Err(_) => {
                // Leave no half record behind that later ones would hide behind.
                let cut = self.file.set_len(self.bytes);
                let back = cut.and_then(|()| (&*self.file).seek(SeekFrom::Start(self.bytes)));
                self.broken = back.is_err();
            }
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_turns_by_age_as_well_as_by_size() {
        let dir = tempfile::tempdir().unwrap();
        let mut segment = Segment::open(dir.path(), "test", 1).unwrap();
        segment.append(b"frame").unwrap();
        assert!(segment.turn().unwrap().is_none(), "young and small");
        segment.begun -= SEGMENT_AGE_MAX + Duration::from_secs(1);
        assert!(segment.turn().unwrap().is_some());
        segment.begun -= SEGMENT_AGE_MAX * 2;
        assert!(segment.turn().unwrap().is_none(), "an empty one stays");
    }
}
