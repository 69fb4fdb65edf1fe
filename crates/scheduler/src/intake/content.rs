//! The day's content: NDJSON, or a table with a column for each parameter.
//!
//! `recipient_id` `*` is content for everyone without a row of their own. Content without
//! an approval is read and kept, but not deliverable. A recipient whose row is refused is
//! *held back*: neither the old text nor that of `*` is what someone wanted to say.

mod json;

use std::collections::{BTreeMap, HashMap};

use domain::{RecipientId, Timestamp, consent};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use templates::Media;
use templates::definition::{ButtonFormat, TemplateDefinition};
use templates::lint::{Finding, Severity};
use unicode_normalization::UnicodeNormalization;

use super::header::{Column, Header, Schema, column};
use super::table::{self, Reading, Row};
use super::text::{self, DAMAGED, WHY_DAMAGED};
use super::{Findings, IntakeError, Kind, Lines, Rules, date};

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
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
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

/// Good rows, rows that hold someone back, and what was found.
pub struct ReadContent {
    /// Of each recipient one row; those held back among them.
    pub rows: Vec<Content>,
    pub held_back: usize,
    /// Refused rows of which nobody can tell whom they were for.
    pub unattributed: usize,
    pub findings: Findings,
}

/// What a caller adds to the reading of a row: media files are found and judged there.
pub type Settle<'a> = &'a mut dyn FnMut(&mut Content) -> Result<(), String>;

/// Reads content; the form is recognised by its first character.
///
/// # Errors
/// When the file has no usable header; bad rows are listed, not errors.
pub fn read_content(
    bytes: &[u8],
    rules: &Rules,
    template: &TemplateDefinition,
    settle: Settle<'_>,
) -> Result<ReadContent, IntakeError> {
    let mut rows = Rows::new(rules, template, settle);
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
    good: Vec<(u64, Content)>,
    /// Position in `good` by recipient.
    seen: HashMap<String, usize>,
    /// By recipient, why nothing may be sent.
    held: BTreeMap<String, String>,
    unattributed: usize,
    findings: Findings,
}

impl<'a> Rows<'a> {
    fn new(rules: &'a Rules, template: &'a TemplateDefinition, settle: Settle<'a>) -> Self {
        Rows {
            rules,
            template,
            settle,
            good: Vec::new(),
            seen: HashMap::new(),
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
            let (ids, read) = read_line(text, self.rules);
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
                None => read_row(row, self.rules),
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
        let id = content.recipient_id.as_str().to_owned();
        match self.seen.get(&id).map(|at| &self.good[*at]) {
            None => {
                self.seen.insert(id, self.good.len());
                self.good.push((line, content));
            }
            Some((first, held)) if *held == content => {
                let reason = format!("the same as line {first}");
                self.findings.refuse(line, Some(&id), Kind::Duplicate, reason);
            }
            Some((first, _)) => {
                let reason = format!(
                    "same recipient_id as line {first} with other content: which one is meant?"
                );
                self.hold(line, Some(&id), reason);
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
        for (line, content) in &self.good {
            let id = content.recipient_id.as_str();
            if self.held.contains_key(id) {
                let reason = "another row for the same recipient_id is refused";
                self.findings.refuse(*line, Some(id), Kind::Bad, reason);
            }
        }
        let held = &self.held;
        self.good.retain(|(_, content)| !held.contains_key(content.recipient_id.as_str()));
        self.findings.finish(self.good.len());
        let mut rows: Vec<Content> = self.good.into_iter().map(|(_, content)| content).collect();
        rows.extend(self.held.iter().map(|(id, why)| Content::held_back(id, why)));
        ReadContent {
            rows,
            held_back: self.held.len(),
            unattributed: self.unattributed,
            findings: self.findings,
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

fn read_line(text: &str, rules: &Rules) -> (Vec<String>, Result<Content, String>) {
    if text.contains(DAMAGED) {
        return (json::ids_in(text), Err(WHY_DAMAGED.to_owned()));
    }
    let value: Value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(error) => {
            return (
                json::ids_in(text),
                Err(format!("not a JSON object: column {}", error.column())),
            );
        }
    };
    if let Some(key) = json::twice(text) {
        let key: String = key.chars().filter(|c| !c.is_control()).take(40).collect();
        return (
            json::ids_in(text),
            Err(format!("the key {key:?} is there twice: which one is meant?")),
        );
    }
    let id = match &value["recipient_id"] {
        Value::String(id) => Some(id.trim().to_owned()),
        Value::Number(id) => Some(id.to_string()),
        _ => None,
    };
    (id.into_iter().collect(), read_object(&value, rules))
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

fn read_object(value: &Value, rules: &Rules) -> Result<Content, String> {
    let object = value.as_object().ok_or("not a JSON object")?;
    let mut fields: BTreeMap<String, String> = BTreeMap::new();
    for (key, value) in object {
        match (key.as_str(), value) {
            (_, Value::Null) => {}
            ("params", Value::Object(params)) => {
                for (name, value) in params.iter().filter(|(_, value)| !value.is_null()) {
                    fields
                        .insert(format!("param:{name}"), scalar(&format!("params.{name}"), value)?);
                }
            }
            ("params", Value::Array(params)) => {
                for (at, value) in params.iter().enumerate() {
                    let name = at + 1;
                    fields
                        .insert(format!("param:{name}"), scalar(&format!("params[{at}]"), value)?);
                }
            }
            ("media", Value::Object(media)) => {
                for (kind, value) in media {
                    fields.insert(format!("media_{kind}"), scalar("media", value)?);
                }
            }
            ("buttons", Value::Object(buttons)) => {
                for (index, value) in buttons {
                    fields.insert(format!("button_{index}"), scalar("buttons", value)?);
                }
            }
            (key, value) => {
                fields.insert(key.to_owned(), scalar(key, value)?);
            }
        }
    }
    build(fields, rules)
}

fn scalar(key: &str, value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) if number.is_i64() || number.is_u64() => Ok(number.to_string()),
        Value::Number(_) => Err(format!(
            "{key} is a number that would change (1250.50 is 1250.5 to a program): write it as text"
        )),
        Value::Bool(bool) => Ok(bool.to_string()),
        _ => Err(format!("{key} is neither text nor a number")),
    }
}

fn read_row(row: &Row<'_>, rules: &Rules) -> Result<Content, String> {
    build(row.fields().map(|(column, text)| (column.to_owned(), text.to_owned())).collect(), rules)
}

/// Everything that is not a known field is a parameter.
fn build(fields: BTreeMap<String, String>, rules: &Rules) -> Result<Content, String> {
    let mut content = Content::empty("");
    for (key, text) in fields {
        let text: String = text.nfc().collect();
        match key.as_str() {
            "recipient_id" => content.recipient_id = RecipientId::new(text.trim()),
            "held_back" => return Err("held_back is no column".to_owned()),
            "header" => content.header = Some(text),
            "filename" | "media_filename" => content.filename = Some(text),
            "approved_by" => content.approved_by = Some(text).filter(|t| !t.trim().is_empty()),
            "approved_at" if text.trim().is_empty() => {}
            "approved_at" => {
                let at = date::past_instant(text.trim(), rules.zone, rules.now);
                content.approved_at = Some(at.map_err(|error| format!("approved_at: {error}"))?);
            }
            "media_path" | "media_link" | "media_id" | "media" => {
                let media = media(&key, text);
                if content.media.replace(media).is_some() {
                    return Err("more than one of media_path, media_link and media_id".to_owned());
                }
            }
            key => match key.strip_prefix("button_").map(str::parse::<u8>) {
                Some(Ok(index)) => {
                    content.buttons.insert(index, text);
                }
                _ => {
                    let name = key.strip_prefix("param:").unwrap_or(key);
                    content.params.insert(name.to_owned(), text);
                }
            },
        }
    }
    if content.recipient_id.as_str().is_empty() {
        return Err("recipient_id is empty".to_owned());
    }
    Ok(content)
}

/// A plain `media` field is a link when it looks like one, an id when it is digits, else a
/// path.
fn media(key: &str, text: String) -> Media {
    match key {
        "media_link" => Media::Link(text),
        "media_id" => Media::Id(text),
        "media_path" => Media::Path(text),
        _ if text.contains("://") => Media::Link(text),
        _ if text.chars().all(|c| c.is_ascii_digit()) => Media::Id(text),
        _ => Media::Path(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono_tz::Asia::Kolkata;

    fn read(text: &str) -> ReadContent {
        let now = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap().into();
        let template = crate::plan::tests::campaign().template;
        let rules = Rules::new(Kolkata, now);
        let read = read_content(text.as_bytes(), &rules, &template, &mut |_| Ok(())).unwrap();
        assert!(read.findings.lines.add_up(), "{}", read.findings.lines);
        read
    }

    #[test]
    fn csv_and_ndjson_say_the_same() {
        let csv = "recipient_id,headline,media_link,button_1,approved_by,approved_at\n\
                   a1,NIFTY up,https://x.in/a.jpg,packs/1,Meera,2026-11-20T18:00:00+05:30\n\
                   *,Good morning,,,,\n";
        let ndjson = r#"{"recipient_id":"a1","params":{"headline":"NIFTY up"},"media":{"link":"https://x.in/a.jpg"},"buttons":{"1":"packs/1"},"approved_by":"Meera","approved_at":"2026-11-20T18:00:00+05:30"}
{"recipient_id":"*","params":{"headline":"Good morning"},"approved_by":null}
"#;
        let from_csv = read(csv);
        let from_ndjson = read(ndjson);
        assert!(from_csv.rows == from_ndjson.rows && from_csv.rows.len() == 2);
        assert_eq!(from_csv.findings.refused, []);
        let now = "2026-11-20T18:00:00+05:30";
        let now = chrono::DateTime::parse_from_rfc3339(now).unwrap().into();
        assert!(from_csv.rows[0].is_approved(now));
        assert!(!from_csv.rows[1].is_approved(now));
    }

    #[test]
    fn positional_parameters_may_be_a_list() {
        let text = r#"{"recipient_id":"a","params":["Asha",6]}"#;
        let intake = read(text);
        let params: Vec<(&str, &str)> =
            intake.rows[0].params.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(params, [("1", "Asha"), ("2", "6")]);
    }

    #[test]
    fn bad_lines_are_named_and_good_ones_stay() {
        let text = "{\"recipient_id\":\"a\"}\n{\"recipient_id\":\n\n{\"params\":{}}\n\
                    {\"recipient_id\":\"a\"}\n{\"recipient_id\":\"b\",\"params\":{\"x\":[1]}}\n[]\n";
        let intake = read(text);
        let good: Vec<&str> = intake
            .rows
            .iter()
            .filter(|c| c.held_back.is_none())
            .map(|c| c.recipient_id.as_str())
            .collect();
        assert_eq!((good, intake.held_back, intake.unattributed), (vec!["a"], 1, 3));
        let lines: Vec<u64> = intake.findings.refused.iter().map(|refused| refused.line).collect();
        assert_eq!(lines, [2, 4, 5, 6, 7]);
    }

    #[test]
    fn whoever_a_refused_row_was_for_is_held_back() {
        let text = "{\"recipient_id\":\"*\",\"params\":{\"x\":\"all\"}}\n\
                    {\"recipient_id\":\"a1\",\"params\":{\"x\":[\"new\"]}}\n\
                    {\"recipient_id\":\"a2\",\"params\":{\"x\":\n\
                    {\"recipient_id\":\"a3\",\"params\":{\"x\":\"one\"}}\n\
                    {\"recipient_id\":\"a3\",\"params\":{\"x\":\"two\"}}\n\
                    {\"recipient_id\":\"a4\",\"params\":{\"x\":\"{{name}}\"}}\n\
                    {\"recipient_id\":\"a5\",\"params\":{\"x\":\"1\",\"x\":\"2\"}}\n";
        let intake = read(text);
        let held: Vec<&str> = intake
            .rows
            .iter()
            .filter(|c| c.held_back.is_some())
            .map(|c| c.recipient_id.as_str())
            .collect();
        assert_eq!(held, ["a1", "a2", "a3", "a4", "a5"]);
        assert_eq!(intake.rows.len(), 6, "and that of everyone");
    }

    #[test]
    fn objects_over_several_lines_are_refused_as_a_file() {
        let pretty = "{\n  \"recipient_id\": \"a1\",\n  \"params\": {\"headline\": \"x\"}\n}\n";
        let now = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap().into();
        let template = crate::plan::tests::campaign().template;
        for text in [pretty, "[{\"recipient_id\":\"a1\"}]"] {
            let read = read_content(
                text.as_bytes(),
                &Rules::new(Kolkata, now),
                &template,
                &mut |_| Ok(()),
            );
            assert!(matches!(read, Err(IntakeError::PrettyJson)), "{text}");
        }
    }
}
