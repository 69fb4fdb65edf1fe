//! The day's content: NDJSON, or CSV with a column for each parameter.
//!
//! `recipient_id` `*` is content for everyone without a row of their own. Content without
//! an approval is read and kept, but not deliverable.

use std::collections::{BTreeMap, HashMap};

use chrono_tz::Tz;
use domain::{RecipientId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use templates::Media;
use unicode_normalization::UnicodeNormalization;

use super::recipients::{instant, need};
use super::table::{self, Row};
use super::{Intake, IntakeError, Refused};

/// Content for everyone without their own.
pub const EVERYONE: &str = "*";

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
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Content({})", self.recipient_id)
    }
}

impl Content {
    /// Someone approved it, and not in the future.
    pub fn is_approved(&self, now: Timestamp) -> bool {
        self.approved_by.is_some() && self.approved_at.is_some_and(|at| at <= now)
    }
}

/// Reads content; the form is recognised by its first character.
///
/// # Errors
/// When the file has no usable header; bad rows are listed, not errors.
pub fn read_content(bytes: &[u8], zone: Tz) -> Result<Intake<Content>, IntakeError> {
    let text = table::decode(bytes);
    let rows: Vec<(u64, Option<String>, Result<Content, String>)>;
    let mut refused = Vec::new();
    if text.trim_start().starts_with('{') {
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        rows = lines.map(|(n, line)| read_line(n as u64 + 1, line, zone)).collect();
    } else {
        let table = table::read(bytes)?;
        need(&table.columns, &["recipient_id"])?;
        refused = table.refused;
        let read = |row: &Row| {
            let id = row.get("recipient_id").map(str::to_owned);
            (row.line, id, read_row(row, zone))
        };
        rows = table.rows.iter().map(read).collect();
    }
    let mut intake = Intake { rows: Vec::new(), refused };
    let mut seen: HashMap<String, u64> = HashMap::new();
    for (line, id, read) in rows {
        let read = read.and_then(|content| {
            match seen.insert(content.recipient_id.as_str().to_owned(), line) {
                Some(first) => {
                    Err(format!("same recipient_id as line {first}; the first one counts"))
                }
                None => Ok(content),
            }
        });
        match read {
            Ok(content) => intake.rows.push(content),
            Err(reason) => intake.refused.push(Refused { line, id, reason }),
        }
    }
    intake.refused.sort_by_key(|refused| refused.line);
    Ok(intake)
}

fn read_line(line: u64, text: &str, zone: Tz) -> (u64, Option<String>, Result<Content, String>) {
    let value: Value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(error) => {
            return (line, None, Err(format!("not a JSON object: column {}", error.column())));
        }
    };
    let id = value["recipient_id"].as_str().map(str::to_owned);
    (line, id, read_object(&value, zone))
}

fn read_object(value: &Value, zone: Tz) -> Result<Content, String> {
    let object = value.as_object().ok_or("not a JSON object")?;
    let mut fields: BTreeMap<String, String> = BTreeMap::new();
    for (key, value) in object {
        match (key.as_str(), value) {
            (_, Value::Null) => {}
            ("params", Value::Object(params)) => {
                for (name, value) in params {
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
    build(fields, zone)
}

fn scalar(key: &str, value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(bool) => Ok(bool.to_string()),
        _ => Err(format!("{key} is neither text nor a number")),
    }
}

fn read_row(row: &Row, zone: Tz) -> Result<Content, String> {
    build(row.fields().map(|(column, text)| (column.to_owned(), text.to_owned())).collect(), zone)
}

/// Everything that is not a known field is a parameter.
fn build(fields: BTreeMap<String, String>, zone: Tz) -> Result<Content, String> {
    let mut content = Content {
        recipient_id: RecipientId::new(""),
        params: BTreeMap::new(),
        header: None,
        media: None,
        filename: None,
        buttons: BTreeMap::new(),
        approved_by: None,
        approved_at: None,
    };
    for (key, text) in fields {
        let text: String = text.nfc().collect();
        match key.as_str() {
            "recipient_id" => content.recipient_id = RecipientId::new(text.trim()),
            "header" => content.header = Some(text),
            "filename" | "media_filename" => content.filename = Some(text),
            "approved_by" => content.approved_by = Some(text).filter(|t| !t.trim().is_empty()),
            "approved_at" if text.trim().is_empty() => {}
            "approved_at" => content.approved_at = Some(instant(text.trim(), zone)?),
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

    #[test]
    fn csv_and_ndjson_say_the_same() {
        let csv = "recipient_id,headline,media_link,button_1,approved_by,approved_at\n\
                   a1,NIFTY up,https://x.in/a.jpg,packs/1,Meera,2026-11-20T18:00:00+05:30\n\
                   *,Good morning,,,,\n";
        let ndjson = r#"{"recipient_id":"a1","params":{"headline":"NIFTY up"},"media":{"link":"https://x.in/a.jpg"},"buttons":{"1":"packs/1"},"approved_by":"Meera","approved_at":"2026-11-20T18:00:00+05:30"}
{"recipient_id":"*","params":{"headline":"Good morning"},"approved_by":null}
"#;
        let from_csv = read_content(csv.as_bytes(), Kolkata).unwrap();
        let from_ndjson = read_content(ndjson.as_bytes(), Kolkata).unwrap();
        assert!(from_csv.rows == from_ndjson.rows && from_csv.rows.len() == 2);
        assert_eq!(from_csv.refused, []);
        let now = "2026-11-20T18:00:00+05:30";
        let now = chrono::DateTime::parse_from_rfc3339(now).unwrap().into();
        assert!(from_csv.rows[0].is_approved(now));
        assert!(!from_csv.rows[1].is_approved(now));
    }

    #[test]
    fn positional_parameters_may_be_a_list() {
        let text = r#"{"recipient_id":"a","params":["Asha",6]}"#;
        let intake = read_content(text.as_bytes(), Kolkata).unwrap();
        let params: Vec<(&str, &str)> =
            intake.rows[0].params.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(params, [("1", "Asha"), ("2", "6")]);
    }

    #[test]
    fn bad_lines_are_named_and_good_ones_stay() {
        let text = "{\"recipient_id\":\"a\"}\n{\"recipient_id\":\n\n{\"params\":{}}\n\
                    {\"recipient_id\":\"a\"}\n{\"recipient_id\":\"b\",\"params\":{\"x\":[1]}}\n[]\n";
        let intake = read_content(text.as_bytes(), Kolkata).unwrap();
        assert_eq!(intake.rows.len(), 1);
        let lines: Vec<u64> = intake.refused.iter().map(|refused| refused.line).collect();
        assert_eq!(lines, [2, 4, 5, 6, 7]);
    }
}
