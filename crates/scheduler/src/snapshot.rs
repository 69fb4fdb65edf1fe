//! What a run is planned from: campaign, recipients and content, frozen and named by hash.
//!
//! Invariant: sorted by recipient id, one row each, never changed once written. Deliveries
//! are numbered by what stands in it, so a planner that dies half-way, or a second one,
//! continues from the same rows even when the files it was made from have changed.

use std::borrow::Cow;
use std::collections::HashSet;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use domain::hash::HashWriter;
use domain::{Recipient, RecipientId};
use segment_log::{Sync, whole};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::campaign::{Audience, Campaign};
use crate::intake::Content;
use crate::intake::content::{EVERYONE, KeptContent};
use crate::intake::persons::{Denied, Persons, Said};

/// One recipient with what they are to get.
#[derive(Clone, Serialize, Deserialize)]
pub struct Row {
    pub recipient: Recipient,
    /// Their own [`Content`] as JSON: see [`KeptContent`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Box<RawValue>>,
}

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Row({})", self.recipient.id)
    }
}

impl From<Recipient> for Row {
    fn from(recipient: Recipient) -> Self {
        Row { recipient, content: None }
    }
}

#[derive(Clone, Debug)]
pub struct Snapshot {
    pub campaign: Campaign,
    /// Content for recipients without their own.
    pub everyone: Option<Content>,
    /// Sorted by recipient id.
    pub rows: Vec<Row>,
    /// SHA-256 over all of the above.
    pub hash: String,
}

#[derive(Serialize, Deserialize)]
struct Head {
    campaign: Campaign,
    everyone: Option<Content>,
}

#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error("{doing} snapshot {path}")]
    Io {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("snapshot {path}, line {line}: cannot be read")]
    Unreadable { path: PathBuf, line: usize },
    #[error("snapshot {path} does not match its name: it was changed after it was written")]
    Changed { path: PathBuf },
}

/// A snapshot, and the content that is for nobody in it.
pub struct Taken {
    pub snapshot: Snapshot,
    pub for_nobody: Vec<KeptContent>,
    /// Rows of persons who have a row already: one person, one message.
    pub twice: Vec<RecipientId>,
    /// Rows that the campaign is not for.
    pub outside: usize,
}

impl Snapshot {
    /// Joins recipients with their content. Of each person, by id, phone or user id, the
    /// first row counts, and a *no* of any of them.
    pub fn take(
        campaign: Campaign,
        recipients: impl IntoIterator<Item: Into<Row>>,
        content: impl IntoIterator<Item: Into<KeptContent>>,
    ) -> Taken {
        Self::take_of(campaign, &Audience::default(), recipients, content)
    }

    /// The same for the recipients of an audience. A *no* counts whatever row has it.
    pub fn take_of(
        campaign: Campaign,
        audience: &Audience,
        recipients: impl IntoIterator<Item: Into<Row>>,
        content: impl IntoIterator<Item: Into<KeptContent>>,
    ) -> Taken {
        let rows = recipients.into_iter().map(Into::into);
        let (rows, outside): (Vec<Row>, Vec<Row>) =
            rows.partition(|row: &Row| audience.has(&row.recipient));
        let (mut rows, twice) = one_row_each(rows, &outside);
        let mut content: Vec<KeptContent> = content.into_iter().map(Into::into).collect();
        let to_all = content.extract_if(.., |row| row.recipient_id.as_str() == EVERYONE).last();
        let everyone = to_all.map(|row| {
            serde_json::from_str(row.text.get()).expect("content is checked when it is kept")
        });
        content.sort_by(|a, b| a.recipient_id.cmp(&b.recipient_id));
        let mut for_nobody = join(&mut rows, content);
        if !outside.is_empty() {
            let outside: HashSet<&RecipientId> =
                outside.iter().map(|row| &row.recipient.id).collect();
            for_nobody.retain(|content| !outside.contains(&content.recipient_id));
        }
        let outside = outside.len();
        let mut snapshot = Snapshot { campaign, everyone, rows, hash: String::new() };
        snapshot.hash = snapshot.computed_hash();
        Taken { snapshot, for_nobody, twice, outside }
    }

    /// The same for one recipient alone.
    #[must_use]
    pub fn only(mut self, id: &RecipientId) -> Self {
        self.rows.retain(|row| row.recipient.id == *id);
        self.hash = self.computed_hash();
        self
    }

    /// Writes it under its hash; again does no harm.
    ///
    /// # Errors
    /// When the folder or file cannot be written.
    pub fn save(&self, dir: &Path) -> Result<(), SnapshotError> {
        let path = path(dir, &self.hash);
        let io = |source| SnapshotError::Io { doing: "write", path: path.clone(), source };
        if path.exists() {
            return Ok(());
        }
        std::fs::create_dir_all(dir).map_err(io)?;
        whole::put(&path, Sync::Yes, |mut out| self.write(&mut out)).map_err(io)
    }

    /// Reads a snapshot back by its hash.
    ///
    /// # Errors
    /// When it is not there, cannot be read, or is not what was written.
    pub fn load(dir: &Path, hash: &str) -> Result<Self, SnapshotError> {
        let path = path(dir, hash);
        let io = |source| SnapshotError::Io { doing: "read", path: path.clone(), source };
        let unreadable = |line| SnapshotError::Unreadable { path: path.clone(), line };
        let mut lines = BufReader::new(std::fs::File::open(&path).map_err(io)?).lines();
        let head = lines.next().ok_or_else(|| unreadable(1))?.map_err(io)?;
        let Head { campaign, everyone } = serde_json::from_str(&head).map_err(|_| unreadable(1))?;
        let mut rows = Vec::new();
        for (n, line) in lines.enumerate() {
            let line = line.map_err(io)?;
            rows.push(serde_json::from_str(&line).map_err(|_| unreadable(n + 2))?);
        }
        let snapshot = Snapshot { campaign, everyone, rows, hash: hash.to_owned() };
        if snapshot.computed_hash() != hash {
            return Err(SnapshotError::Changed { path });
        }
        Ok(snapshot)
    }

    /// Rows of content that somebody gets.
    pub fn content_rows(&self) -> usize {
        self.rows.iter().filter(|row| row.content.is_some()).count()
            + usize::from(self.everyone.is_some())
    }

    /// The content that a row gets: its own, or everyone's.
    ///
    /// # Errors
    /// When its own is of a form that this version does not know.
    pub fn content(&self, row: &Row) -> Result<Option<Cow<'_, Content>>, serde_json::Error> {
        match &row.content {
            Some(own) => Ok(Some(Cow::Owned(serde_json::from_str(own.get())?))),
            None => Ok(self.everyone.as_ref().map(Cow::Borrowed)),
        }
    }

    fn computed_hash(&self) -> String {
        let mut out = BufWriter::new(HashWriter::default());
        self.write(&mut out).expect("a hash takes any text");
        out.into_inner().unwrap_or_else(|_| unreachable!("a hash takes any text")).hex()
    }

    /// A million rows are never one text in memory.
    fn write(&self, out: &mut impl Write) -> std::io::Result<()> {
        let head = Head { campaign: self.campaign.clone(), everyone: self.everyone.clone() };
        serde_json::to_writer(&mut *out, &head)?;
        out.write_all(b"\n")?;
        for row in &self.rows {
            serde_json::to_writer(&mut *out, row)?;
            out.write_all(b"\n")?;
        }
        Ok(())
    }
}

/// Gives each row its own content; both are sorted by recipient. Content for nobody is left.
fn join(rows: &mut [Row], content: Vec<KeptContent>) -> Vec<KeptContent> {
    let mut for_nobody = Vec::new();
    let mut content = content.into_iter().peekable();
    for row in rows {
        let id = &row.recipient.id;
        while let Some(other) = content.next_if(|content| content.recipient_id < *id) {
            for_nobody.push(other);
        }
        while let Some(own) = content.next_if(|content| content.recipient_id == *id) {
            row.content = Some(own.text);
        }
    }
    for_nobody.extend(content);
    for_nobody
}

/// Sorted by id, one row a person; and the ids of the others. What rows outside deny is heard.
fn one_row_each(mut rows: Vec<Row>, outside: &[Row]) -> (Vec<Row>, Vec<RecipientId>) {
    rows.sort_by(|a, b| a.recipient.id.cmp(&b.recipient.id));
    let mut persons = Persons::default();
    let is_second = |row: &mut Row| persons.enter(&row.recipient, 0).is_err();
    let twice: Vec<Row> = rows.extract_if(.., is_second).collect();
    for Row { recipient: second, .. } in twice.iter().chain(outside) {
        let denied =
            Denied { utility: !second.consent_utility, marketing: !second.consent_marketing };
        let said = Said { denied, told: denied };
        persons.deny(Some(second.id.as_str()), Some(&second.address), said);
    }
    if !twice.is_empty() || !outside.is_empty() {
        for row in &mut rows {
            persons.denied(&row.recipient).from(&mut row.recipient);
        }
    }
    (rows, twice.into_iter().map(|second| second.recipient.id).collect())
}

/// Where a snapshot of this hash is kept.
pub fn path(dir: &Path, hash: &str) -> PathBuf {
    dir.join(format!("{hash}.ndjson"))
}
