//! The day's content: NDJSON, or a table with a column for each parameter.
//!
//! `recipient_id` `*` is content for everyone without a row of their own. Content without
//! an approval is read and kept, but not deliverable. A recipient whose row is refused is
//! *held back*: neither the old text nor that of `*` is what someone wanted to say.

mod json;
mod kept;
mod row;

pub use kept::KeptContent;

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;

use domain::{RecipientId, Timestamp, consent};
use foldhash::fast::RandomState;
use serde::{Deserialize, Serialize};
use templates::Media;
use templates::definition::{ButtonFormat, TemplateDefinition};
use templates::lint::{Finding, Severity};

use super::header::{Column, Header, Schema, column};
use super::table::{self, Reading};
use super::text;
use super::{Findings, IntakeError, Kind, Lines, Rules};

/// Content for everyone without their own.
pub const EVERYONE: &str = "*";

const COLUMNS: &[Column] = &[
    column("recipient_id", &["id", "client_id", "customer_id", "adviser_id", "advisor_id", "arn"]),
    column("approved_by", &["approver"]),
    column("approved_at", &["approval_date", "approved_on", "approved_date"]),
    column("header", &[]),
    column("media", &["image", "media_url"]),
    column("media_link", &[]),
    column("media_path", &[]),
    column("media_id", &[]),
    column("filename", &["file_name"]),
];
const SCHEMA: Schema = Schema { columns: COLUMNS, required: &[&["recipient_id"]] };

/// One recipient's content, not yet held against the template.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Content {
    pub recipient_id: RecipientId,
    /// By variable name; positional ones are `1`, `2`…
    #[serde(default)]
    pub params: BTreeMap<String, String>,
    /// The text header's variable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media: Option<Media>,
    /// A document's name on the phone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// By button index from 0: payload, URL suffix or coupon code.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub buttons: BTreeMap<u8, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_at: Option<Timestamp>,
    /// Why this recipient gets nothing: the row that was meant for them was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_back: Option<String>,
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Content({})", self.recipient_id)
    }
}

impl Content {
    fn empty(recipient_id: &str) -> Self {
        Content {
            recipient_id: RecipientId::new(recipient_id),
            params: BTreeMap::new(),
            header: None,
            media: None,
            filename: None,
            buttons: BTreeMap::new(),
            approved_by: None,
            approved_at: None,
            held_back: None,
        }
    }

    /// A row that says only that its recipient gets nothing, and why.
    pub fn held_back(recipient_id: &str, why: impl Into<String>) -> Self {
        Content { held_back: Some(why.into()), ..Content::empty(recipient_id) }
    }

    /// Someone approved it, and not in the future.
    pub fn is_approved(&self, now: Timestamp) -> bool {
        self.approved_by.is_some() && self.approved_at.is_some_and(|at| at <= now)
    }
}

/// What was read besides the good rows that were handed on.
pub struct ReadContent {
    /// By recipient, why nothing may be sent to them. A good row that was handed on for one
    /// of them is one of two readings: it does not count.
    pub held: BTreeMap<String, String>,
    /// Refused rows of which nobody can tell whom they were for.
    pub unattributed: usize,
    pub findings: Findings,
    seen: Seen,
}

impl ReadContent {
    /// Whether any row of the file is for this recipient.
    pub fn names(&self, recipient_id: &str) -> bool {
        self.held.contains_key(recipient_id) || self.seen.get(recipient_id).is_some()
    }

    /// Whether a good row was handed on that counts.
    pub fn is_good(&self, recipient_id: &str) -> bool {
        !self.held.contains_key(recipient_id) && self.seen.get(recipient_id).is_some()
    }
}

/// Good rows by recipient, as hashes: texts of a million people are never in memory. Two of
/// a million ids meet by accident once in ten million lists, and then a row is refused.
#[derive(Default)]
struct Seen {
    hasher: RandomState,
    /// The line and the hash of the row's content.
    rows: HashMap<u64, (u32, u64), RandomState>,
}

impl Seen {
    fn get(&self, id: &str) -> Option<(u32, u64)> {
        self.rows.get(&self.hasher.hash_one(id)).copied()
    }

    /// Enters a row, unless its recipient has one.
    ///
    /// # Errors
    /// The line of the first one, and whether it is the same.
    fn enter(&mut self, line: u64, content: &Content) -> Result<(), (u32, bool)> {
        let hash = self.hasher.hash_one(content);
        let id = content.recipient_id.as_str();
        if let Some((first, held)) = self.get(id) {
            return Err((first, held == hash));
        }
        let line = u32::try_from(line).unwrap_or(u32::MAX);
        self.rows.insert(self.hasher.hash_one(id), (line, hash));
        Ok(())
    }
}

/// What a caller adds to the reading of a row: media files are found and judged there.
pub type Settle<'a> = &'a mut dyn FnMut(&mut Content) -> Result<(), String>;

/// Reads content; the form is recognised by its first character. Good rows go to `each` as
/// they come, one a recipient.
///
/// # Errors
/// When the file has no usable header; bad rows are listed, not errors.
pub fn read_content(
    bytes: &[u8],
    rules: &Rules,
    template: &TemplateDefinition,
    settle: Settle<'_>,
    each: &mut dyn FnMut(Content),
) -> Result<ReadContent, IntakeError> {
    let mut rows = Rows::new(rules, template, settle, each);
    let start = text::decode(&bytes[..bytes.len().min(64)]).text.trim_start().chars().next();
    match start {
        Some('[') => return Err(IntakeError::PrettyJson),
        Some('{') => rows.read_lines(bytes)?,
        _ => rows.read_table(bytes)?,
    }
    Ok(rows.finish())
}

/// Rows as they come, one a recipient.
struct Rows<'a> {
    rules: &'a Rules,
    template: &'a TemplateDefinition,
    settle: Settle<'a>,
    each: &'a mut dyn FnMut(Content),
    seen: Seen,
    /// By recipient, why nothing may be sent.
    held: BTreeMap<String, String>,
    unattributed: usize,
    findings: Findings,
}

impl<'a> Rows<'a> {
    fn new(
        rules: &'a Rules,
        template: &'a TemplateDefinition,
        settle: Settle<'a>,
        each: &'a mut dyn FnMut(Content),
    ) -> Self {
        Rows {
            rules,
            template,
            settle,
            each,
            seen: Seen::default(),
            held: BTreeMap::new(),
            unattributed: 0,
            findings: Findings::default(),
        }
    }

    fn read_lines(&mut self, bytes: &[u8]) -> Result<(), IntakeError> {
        let decoded = text::decode_json(bytes);
        let text = decoded.text.trim_start_matches('\u{feff}');
        self.findings.notes.decoded(&decoded);
        if is_pretty(text) {
            return Err(IntakeError::PrettyJson);
        }
        let mut lines = Lines::default();
        for (line, text) in (1..).zip(super::quotes::lines(text)) {
            lines.physical = line;
            if text.trim().is_empty() {
                lines.blank += 1;
                continue;
            }
            let (ids, read) = row::read_line(text, self.rules);
            if let Err(reason) = &read {
                // Two objects on one line, or a key twice: none of them is sure.
                for id in ids.iter().skip(1) {
                    self.held.entry(id.clone()).or_insert_with(|| format!("line {line}: {reason}"));
                }
            }
            self.add(line, ids.first().map(String::as_str), read);
        }
        self.findings.lines = lines;
        Ok(())
    }

    fn read_table(&mut self, bytes: &[u8]) -> Result<(), IntakeError> {
        let sheet = self.rules.sheet.clone();
        let reading =
            Reading { schema: &SCHEMA, sheet: sheet.as_deref(), looks: &looks_like_a_row };
        let table = table::read(bytes, &reading, &mut |row| {
            let read = match &row.damage {
                Some(damage) => Err(damage.clone()),
                None => row::read_row(row, self.rules),
            };
            self.add(row.line, row.get("recipient_id"), read);
        })?;
        self.findings.lines = table.lines;
        self.findings.notes = table.notes;
        Ok(())
    }

    fn add(&mut self, line: u64, id: Option<&str>, read: Result<Content, String>) {
        let read = read.and_then(|mut content| {
            self.judge(line, &content)?;
            (self.settle)(&mut content)?;
            Ok(content)
        });
        let content = match read {
            Ok(content) => content,
            Err(reason) => return self.hold(line, id, reason),
        };
        let first = match self.seen.enter(line, &content) {
            Ok(()) => return (self.each)(content),
            Err(first) => first,
        };
        let id = Some(content.recipient_id.as_str());
        match first {
            (first, true) => {
                let reason = format!("the same as line {first}");
                self.findings.refuse(line, id, Kind::Duplicate, reason);
            }
            (first, false) => {
                let reason = format!(
                    "same recipient_id as line {first} with other content: which one is meant?"
                );
                self.hold(line, id, reason);
            }
        }
    }

    fn hold(&mut self, line: u64, id: Option<&str>, reason: String) {
        match id.filter(|id| !id.is_empty()) {
            Some(id) => {
                self.held.entry(id.to_owned()).or_insert_with(|| format!("line {line}: {reason}"));
            }
            None => self.unattributed += 1,
        }
        self.findings.refuse(line, id, Kind::Bad, reason);
    }

    /// Texts that nobody means to send.
    fn judge(&mut self, line: u64, content: &Content) -> Result<(), String> {
        let texts = content.params.iter().map(|(name, text)| (format!("{name:?}"), text));
        let header = content.header.iter().map(|text| ("header".to_owned(), text));
        let mut found: Vec<(String, Option<Finding>)> =
            texts.chain(header).map(|(name, text)| (name, self.rules.lint.text(text))).collect();
        for (index, text) in &content.buttons {
            let format = self.template.buttons.get(usize::from(*index));
            if matches!(format, None | Some(ButtonFormat::Url)) {
                found.push((format!("button_{index}"), self.rules.lint.url_suffix(text)));
            }
        }
        for (name, finding) in found {
            let Some(finding) = finding else { continue };
            if finding.severity == Severity::Error {
                return Err(format!("{name} {} [{}]", finding.text, finding.rule));
            }
            self.findings.warn(line, finding.rule, format!("{name} {}", finding.text));
        }
        Ok(())
    }

    fn finish(mut self) -> ReadContent {
        // A good row of someone who is held back is one of two readings: neither goes.
        let mut good = self.seen.rows.len();
        for id in self.held.keys() {
            if let Some((line, _)) = self.seen.get(id) {
                let reason = "another row for the same recipient_id is refused";
                self.findings.refuse(u64::from(line), Some(id), Kind::Bad, reason);
                good -= 1;
            }
        }
        self.findings.finish(good);
        ReadContent {
            held: self.held,
            unattributed: self.unattributed,
            findings: self.findings,
            seen: self.seen,
        }
    }
}

/// One object over several lines, as editors like to write them.
fn is_pretty(text: &str) -> bool {
    let first = super::quotes::lines(text).find(|line| !line.trim().is_empty()).unwrap_or("");
    let whole = |text: &str| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    if whole(first) {
        return false;
    }
    let mut objects = serde_json::Deserializer::from_str(text).into_iter::<serde::de::IgnoredAny>();
    objects.next().is_some_and(|first| first.is_ok())
}

/// A line inside a quoted cell that is content of its own: an id without blanks, and a date
/// or a word where the header has one; without such columns, as many cells as the header.
fn looks_like_a_row(header: &Header, cells: &[&str]) -> bool {
    let cell = |name: &str| header.position(name).and_then(|at| cells.get(at)).copied();
    let id = cell("recipient_id");
    let id = id.is_some_and(|id| !id.is_empty() && !id.contains(char::is_whitespace));
    let typed = ["approved_at"].into_iter().find(|name| header.position(name).is_some());
    let fits = match typed {
        Some(name) => cell(name).is_some_and(|text| {
            text.chars().filter(char::is_ascii_digit).count() >= 6
                || (!text.is_empty() && consent::read(text) == consent::Consent::Yes)
        }),
        None => cells.len() >= header.names.len(),
    };
    id && fits
}

#[cfg(test)]
mod tests;
