//! Reads the inbox from where a consumer left off.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use domain::{Timestamp, retention};
use ledger::WebhookFact;
use segment_log::{LogError, Position, Reader, Sync, whole};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::consumer::Consumer;
use crate::record::{BadRecord, FIRST_ENDPOINT, Record};
use crate::segments::{Inbox, NAME};

const PARKED_FILE: &str = "parked.ndjson";

/// A fact about a delivery that the ledger does not know (yet).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parked {
    /// When it is given up.
    pub until: Timestamp,
    pub fact: WebhookFact,
}

/// Where a consumer reads from: the seam that simulation replaces.
pub trait Source: Send {
    /// The next records that are surely on the disk. Empty when there are none yet.
    ///
    /// # Errors
    /// When they cannot be read.
    fn next_batch(&mut self) -> Result<Vec<Record>, LogError>;

    /// What the ledger knows it by; `None` when its place is nobody's concern.
    fn name(&self) -> Option<String>;

    /// The place behind the latest batch.
    fn position(&self) -> Position;

    /// Goes back, after what was read could not be applied.
    fn rewind(&mut self, position: Position);

    /// Notes that the consumer is done with everything before the present position.
    ///
    /// # Errors
    /// When the note cannot be written.
    fn applied(&mut self) -> Result<(), LogError>;

    /// Keeps a body that nobody can read, for a person.
    fn poison(&self, record: &Record);

    /// Facts that wait for their delivery to appear.
    fn parked(&self) -> Vec<Parked>;

    /// Replaces them.
    fn park(&mut self, parked: &[Parked]);

    /// Woken when more may be there.
    fn written(&self) -> Arc<Notify>;
}

/// The inbox's own reader.
pub struct Tail {
    reader: Reader,
    /// The end of what may be read; everything, when the inbox is another process's.
    inbox: Option<Inbox>,
    /// Whose place is noted.
    consumer: Consumer,
}

impl Tail {
    /// Starts after what the consumer was done with before. One that is new begins where the
    /// oldest is: an earlier version did its work there.
    pub fn resume(inbox: &Inbox, consumer: Consumer) -> Self {
        let place = |consumer| place_of(inbox.dir(), consumer);
        let position = place(consumer).or_else(|| place(Consumer::Status)).unwrap_or_default();
        let reader = Reader::new(inbox.dir(), NAME, position);
        let tail = Tail { reader, inbox: Some(inbox.clone()), consumer };
        if let Err(error) = tail.note_place() {
            tracing::warn!(error = %error, "the place of {consumer} in the inbox is not noted yet: {error}");
        }
        tail
    }

    /// Reads everything that is kept, from the oldest on; leaves every consumer's place alone.
    pub fn from_start(dir: &Path) -> Self {
        let reader = Reader::new(dir, NAME, Position::default());
        Tail { reader, inbox: None, consumer: Consumer::Status }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.reader.dir().join(file)
    }

    fn note_place(&self) -> Result<(), LogError> {
        let Position { segment, offset } = self.reader.position;
        let file = self.consumer.place_file();
        // Losing it only repeats news, so it is not synced.
        self.note(file, format!("{segment} {offset}\n").as_bytes(), Sync::No).map_err(|source| {
            let path = self.path(file);
            LogError::Io { doing: "write the position of", name: NAME, path, source }
        })
    }

    fn note(&self, file: &str, text: &[u8], sync: Sync) -> std::io::Result<()> {
        whole::put_bytes(&self.path(file), sync, text)
    }
}

/// What the ledger knows a consumer's place by.
pub fn place_name(inbox: &Inbox, consumer: Consumer) -> String {
    match consumer {
        Consumer::Status => format!("inbox/{}", inbox.disk()),
        other => format!("inbox/{}/{other}", inbox.disk()),
    }
}

/// Where a consumer is by its own note; `None`: it has none, or one that cannot be read.
fn place_of(dir: &Path, consumer: Consumer) -> Option<Position> {
    let text = std::fs::read_to_string(dir.join(consumer.place_file())).ok()?;
    let mut numbers = text.split_whitespace().map(str::parse::<u64>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(segment)), Some(Ok(offset))) => Some(Position { segment, offset }),
        _ => None,
    }
}

impl Source for Tail {
    fn next_batch(&mut self) -> Result<Vec<Record>, LogError> {
        let end = self.inbox.as_ref().map_or(Position::END, Inbox::synced);
        let before = self.reader.position;
        let payloads = self.reader.next_batch(end)?;
        let mut records = Vec::with_capacity(payloads.len());
        for payload in &payloads {
            match Record::decode(payload) {
                Ok(record) => records.push(record),
                // Not skipped: the version that wrote it has to read it.
                Err(newer @ BadRecord::Version(_)) => {
                    self.reader.position = before;
                    let source = std::io::Error::new(std::io::ErrorKind::InvalidData, newer);
                    let path = self.reader.dir().to_owned();
                    return Err(LogError::Io { doing: "read", name: NAME, path, source });
                }
                Err(bad) => tracing::error!("a webhook of the inbox is lost: {bad}"),
            }
        }
        Ok(records)
    }

    fn name(&self) -> Option<String> {
        self.inbox.as_ref().map(|inbox| place_name(inbox, self.consumer))
    }

    fn position(&self) -> Position {
        self.reader.position
    }

    fn rewind(&mut self, position: Position) {
        self.reader.position = position;
    }

    fn applied(&mut self) -> Result<(), LogError> {
        self.note_place()?;
        // What a slower consumer has not read stays; one that may be away for days has as many as
        // everything is kept.
        let waited_for = Consumer::ALL.into_iter().filter(|consumer| consumer.is_waited_for());
        let places = waited_for.filter_map(|consumer| place_of(self.reader.dir(), consumer));
        let behind = places.min().unwrap_or_default();
        self.reader.forget_before(behind, retention::NEWS)
    }

    /// Named by its endpoint and its hash, so repeats do not pile up.
    fn poison(&self, record: &Record) {
        let folder = self.path("poison");
        let hash = &domain::hash::sha256_hex(&record.body)[..16];
        let name = match record.endpoint.as_str() {
            FIRST_ENDPOINT => hash.to_owned(),
            endpoint => format!("{endpoint}.{hash}"),
        };
        let kept = std::fs::create_dir_all(&folder)
            .and_then(|()| std::fs::write(folder.join(&name), &record.body));
        if let Err(error) = kept {
            tracing::error!(error = %error, "unreadable webhook {name} was not kept: {error}");
        }
    }

    fn parked(&self) -> Vec<Parked> {
        let text = std::fs::read_to_string(self.path(PARKED_FILE)).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    fn park(&mut self, parked: &[Parked]) {
        let mut text = Vec::new();
        for one in parked {
            serde_json::to_writer(&mut text, one).expect("a Vec takes any text");
            text.push(b'\n');
        }
        if let Err(error) = self.note(PARKED_FILE, &text, Sync::Yes) {
            tracing::error!(error = %error, "{} status reports for unknown deliveries were not kept: {error}", parked.len());
        }
    }

    fn written(&self) -> Arc<Notify> {
        self.inbox.as_ref().map(Inbox::written).unwrap_or_default()
    }
}
