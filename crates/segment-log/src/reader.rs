//! The side that reads back.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::frame::{BadFrame, decode};
use crate::{LogError, segment_path, segments};

/// Bytes read at once: a few hundred ordinary bodies.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// A place between two records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub segment: u64,
    pub offset: u64,
}

impl Position {
    /// Behind everything: reads to the end of what was written.
    pub const END: Position = Position { segment: u64::MAX, offset: 0 };
}

#[derive(Clone, Debug)]
pub struct Reader {
    dir: PathBuf,
    name: &'static str,
    pub position: Position,
    /// The latest segment of which the end could not be read.
    pub damaged: Option<u64>,
}

impl Reader {
    /// Reads the log `name` in `dir` from `position` on.
    pub fn new(dir: &Path, name: &'static str, position: Position) -> Self {
        Reader { dir: dir.to_owned(), name, position, damaged: None }
    }

    /// The next payloads before `end`, and the position behind them. Empty when there are
    /// none yet. A folder that is not there holds none.
    ///
    /// # Errors
    /// When a segment cannot be read. Damage in the middle of a closed segment ends that
    /// segment with an error in the log; what was damaged is lost, and only that.
    pub fn next_batch(&mut self, end: Position) -> Result<Vec<Vec<u8>>, LogError> {
        loop {
            let numbers = match segments(&self.dir, self.name) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
                found => found.map_err(|e| self.failed("read", e))?,
            };
            let Some(&segment) = numbers.iter().find(|n| **n >= self.position.segment) else {
                return Ok(Vec::new());
            };
            let same = segment == self.position.segment;
            let offset = if same { self.position.offset } else { 0 };
            let path = segment_path(&self.dir, self.name, segment);
            let mut bytes = read_from(&path, offset).map_err(|e| self.failed("read", e))?;
            if segment >= end.segment {
                let sure = if segment == end.segment { end.offset } else { 0 };
                bytes.truncate(usize::try_from(sure.saturating_sub(offset)).unwrap_or(usize::MAX));
            }
            let (payloads, used, stopped_by) = whole_frames(&bytes);
            self.position = Position { segment, offset: offset + used as u64 };
            // Closed by what was known when `end` was read: it may have grown since.
            let closed = segment < end.segment && numbers.last() != Some(&segment);
            if !payloads.is_empty() || !closed {
                return Ok(payloads);
            }
            if used < bytes.len() || stopped_by == BadFrame::Damaged {
                self.damaged = self.damaged.max(Some(segment));
                tracing::error!(
                    segment,
                    offset,
                    "{}: segment {segment} is damaged from byte {offset}; the rest of it is skipped",
                    self.name
                );
            }
            self.position = Position { segment: segment + 1, offset: 0 };
        }
    }

    /// Removes whole segments before `position` that were last written more than `kept` ago. One
    /// that is gone meanwhile is no failure: each consumer of a log tidies it.
    ///
    /// # Errors
    /// When the folder cannot be read or a file not removed.
    pub fn forget_before(&self, position: Position, kept: Duration) -> Result<(), LogError> {
        let io = |source| self.failed("tidy", source);
        for number in segments(&self.dir, self.name).map_err(io)? {
            let path = segment_path(&self.dir, self.name, number);
            let written = std::fs::metadata(&path).and_then(|found| found.modified());
            let Some(written) = unless_gone(written).map_err(io)? else { continue };
            if number < position.segment && written.elapsed().is_ok_and(|age| age > kept) {
                unless_gone(std::fs::remove_file(path)).map_err(io)?;
            }
        }
        Ok(())
    }

    /// Whether everything before its position is still there, by length: a segment that was cut or
    /// taken away does not hold what lay in it.
    pub fn holds_position(&self) -> bool {
        let Position { segment, offset } = self.position;
        let path = segment_path(&self.dir, self.name, segment);
        offset == 0 || std::fs::metadata(path).is_ok_and(|found| found.len() >= offset)
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn failed(&self, doing: &'static str, source: std::io::Error) -> LogError {
        LogError::Io { doing, name: self.name, path: self.dir.clone(), source }
    }
}

/// `None`: another one removed the file first.
fn unless_gone<T>(done: std::io::Result<T>) -> std::io::Result<Option<T>> {
    match done {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        done => done.map(Some),
    }
}

/// The whole frames at the start of `bytes`, how long they are, and what ended them.
fn whole_frames(bytes: &[u8]) -> (Vec<Vec<u8>>, usize, BadFrame) {
    let (mut payloads, mut used) = (Vec::new(), 0);
    loop {
        match decode(&bytes[used..]) {
            Ok((payload, size)) => {
                payloads.push(payload.to_vec());
                used += size;
            }
            Err(end) => return (payloads, used, end),
        }
    }
}

fn read_from(path: &Path, offset: u64) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let left = file.metadata()?.len().saturating_sub(offset);
    let mut bytes =
        Vec::with_capacity(usize::try_from(left).map_or(BATCH_BYTES, |left| left.min(BATCH_BYTES)));
    file.take(BATCH_BYTES as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    #[test]
    fn consumers_that_tidy_one_log_at_once_do_not_fail_one_another() {
        let dir = tempfile::tempdir().unwrap();
        for number in 1..=300 {
            std::fs::write(segment_path(dir.path(), "test", number), b"old").unwrap();
        }
        let place = Position { segment: 300, offset: 0 };
        let begin = Barrier::new(4);
        let tidy = || {
            begin.wait();
            Reader::new(dir.path(), "test", place).forget_before(place, Duration::ZERO)
        };
        std::thread::scope(|scope| {
            let consumers: Vec<_> = (0..4).map(|_| scope.spawn(tidy)).collect();
            consumers.into_iter().for_each(|consumer| consumer.join().unwrap().unwrap());
        });
        assert_eq!(segments(dir.path(), "test").unwrap(), [300]);
    }
}
