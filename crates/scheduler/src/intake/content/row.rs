//! One row of content, from a line of JSON or a row of a table.

use std::collections::BTreeMap;

use domain::RecipientId;
use serde_json::Value;
use templates::Media;
use unicode_normalization::UnicodeNormalization;

use super::{Content, json};
use crate::intake::table::Row;
use crate::intake::text::{DAMAGED, WHY_DAMAGED};
use crate::intake::{Rules, date};

/// A line of NDJSON, and the ids that stand in it, be it good or not.
pub fn read_line(text: &str, rules: &Rules) -> (Vec<String>, Result<Content, String>) {
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

pub fn read_row(row: &Row<'_>, rules: &Rules) -> Result<Content, String> {
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
