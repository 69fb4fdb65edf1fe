//! Reads the inbox from where the applier left off.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::record::{Record, RecordError};
use super::{InboxError, segment_path, segments};

/// Bytes read at once: a few hundred ordinary bodies.
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// Meta repeats for up to 7 days; a day more for the ledger to be put right from.
const KEPT: Duration = Duration::from_secs(8 * 24 * 3_600);
/// Where the position is kept.
const POSITION_FILE: &str = "applied";

/// The first byte that is not applied yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub segment: u64,
    pub offset: u64,
}

pub struct Reader {
    dir: PathBuf,
    position: Position,
}

impl Reader {
    /// Starts after what was applied before.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn open(dir: &Path) -> Result<Self, InboxError> {
        let text = std::fs::read_to_string(dir.join(POSITION_FILE)).unwrap_or_default();
        let mut numbers = text.split_whitespace().map(str::parse::<u64>);
        let position = match (numbers.next(), numbers.next()) {
            (Some(Ok(segment)), Some(Ok(offset))) => Position { segment, offset },
            _ => Position::default(),
        };
        Ok(Reader { dir: dir.to_owned(), position })
    }

    /// The next records before `synced`, and the position behind them. Empty when there are
    /// none yet.
    ///
    /// # Errors
    /// When a segment cannot be read. Damage in the middle of a closed segment ends that
    /// segment with a warning; what was damaged is lost, and only that.
    pub fn next_batch(&mut self, synced: Position) -> Result<(Vec<Record>, Position), InboxError> {
        let io = |source| InboxError::Io { doing: "read", path: self.dir.clone(), source };
        let numbers = segments(&self.dir).map_err(io)?;
        let Some(&segment) = numbers.iter().find(|n| **n >= self.position.segment) else {
            return Ok((Vec::new(), self.position));
        };
        let offset = if segment == self.position.segment { self.position.offset } else { 0 };
        let mut bytes = read_from(&segment_path(&self.dir, segment), offset).map_err(io)?;
        if segment >= synced.segment {
            let sure = if segment == synced.segment { synced.offset } else { 0 };
            bytes.truncate(usize::try_from(sure.saturating_sub(offset)).unwrap_or(usize::MAX));
        }
        let mut records = Vec::new();
        let mut used = 0;
        let end = loop {
            match Record::decode(&bytes[used..]) {
                Ok((record, size)) => {
                    records.push(record);
                    used += size;
                }
                Err(end) => break end,
            }
        };
        let closed = numbers.last() != Some(&segment);
        let at_end = used == bytes.len();
        let position = if records.is_empty() && closed {
            if !at_end || end == RecordError::Damaged {
                tracing::error!(
                    segment,
                    offset,
                    "webhook inbox: segment {segment} is damaged from byte {offset}; the rest of it is skipped"
                );
            }
            Position { segment: segment + 1, offset: 0 }
        } else {
            Position { segment, offset: offset + used as u64 }
        };
        if records.is_empty() && position != self.position && closed {
            self.position = position;
            return self.next_batch(synced);
        }
        self.position = position;
        Ok((records, position))
    }

    /// Notes that everything before `position` is applied. Losing this note only repeats
    /// news, so it is not synced.
    ///
    /// # Errors
    /// When the note cannot be written.
    pub fn applied(&self, position: Position) -> Result<(), InboxError> {
        let path = self.dir.join(POSITION_FILE);
        let temporary = self.dir.join("applied.tmp");
        let text = format!("{} {}\n", position.segment, position.offset);
        std::fs::write(&temporary, text)
            .and_then(|()| std::fs::rename(&temporary, &path))
            .map_err(|source| InboxError::Io { doing: "write the position of", path, source })?;
        self.forget_old(position)
    }

    /// Removes applied segments once Meta would not repeat what is in them any more.
    fn forget_old(&self, position: Position) -> Result<(), InboxError> {
        let io = |source| InboxError::Io { doing: "tidy", path: self.dir.clone(), source };
        for number in segments(&self.dir).map_err(io)? {
            let path = segment_path(&self.dir, number);
            let age = std::fs::metadata(&path).and_then(|m| m.modified()).map_err(io)?.elapsed();
            if number < position.segment && age.is_ok_and(|age| age > KEPT) {
                std::fs::remove_file(path).map_err(io)?;
            }
        }
        Ok(())
    }

    /// Goes back, after what was read could not be applied.
    pub fn rewind(&mut self, position: Position) {
        self.position = position;
    }

    pub fn position(&self) -> Position {
        self.position
    }
}

fn read_from(path: &Path, offset: u64) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.take(BATCH_BYTES as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}
