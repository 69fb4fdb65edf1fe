//! Messages that are no templates: what must be there, and how long it may be.
//! Source: Meta, "Messages" reference, 2026; codes by clients' tests where Meta is silent.

use serde_json::Value;

use super::Refusal;

const MISSING: i32 = 131_008;
const INVALID: i32 = 131_009;

/// Checks one message's object; `known` tells whether a media id is this number's.
pub fn check(kind: &str, inner: &Value, known: &dyn Fn(&str) -> bool) -> Result<(), Refusal> {
    match kind {
        "text" => text(inner, "body", 4_096),
        "image" | "video" | "document" | "audio" | "sticker" => media(kind, inner, known),
        "location" => location(inner),
        "contacts" => contacts(inner),
        "reaction" => match inner["message_id"].as_str() {
            None | Some("") => missing("reaction.message_id"),
            Some(_) => Ok(()),
        },
        "interactive" => interactive(inner),
        _ => Ok(()),
    }
}

fn missing(what: &str) -> Result<(), Refusal> {
    Err((400, MISSING, format!("{what} is missing")))
}

fn invalid(why: impl Into<String>) -> Result<(), Refusal> {
    Err((400, INVALID, why.into()))
}

/// A text that is there, not empty and short enough.
fn text(inner: &Value, key: &str, chars_max: usize) -> Result<(), Refusal> {
    match &inner[key] {
        Value::Null => missing(key),
        Value::String(text) if text.trim().is_empty() => missing(key),
        Value::String(text) if text.chars().count() > chars_max => {
            Err((400, 100, format!("{key} is longer than {chars_max} characters")))
        }
        Value::String(_) => Ok(()),
        _ => invalid(format!("{key} must be a string")),
    }
}

fn optional(inner: &Value, key: &str, chars_max: usize) -> Result<(), Refusal> {
    if inner[key].is_null() { Ok(()) } else { text(inner, key, chars_max) }
}

fn media(kind: &str, inner: &Value, known: &dyn Fn(&str) -> bool) -> Result<(), Refusal> {
    let (id, link) = (inner["id"].as_str(), inner["link"].as_str());
    match (id, link) {
        (None, None) => return missing(&format!("{kind}.id or {kind}.link")),
        (Some(id), _) if !known(id) => return invalid("no such media id for this number"),
        (None, Some(link)) if !link.starts_with("https://") && !link.starts_with("http://") => {
            return invalid("link is no web address");
        }
        _ => {}
    }
    if !inner["caption"].is_null() && matches!(kind, "audio" | "sticker") {
        return Err((400, 100, format!("{kind} has no caption")));
    }
    optional(inner, "caption", 1_024)
}

fn location(inner: &Value) -> Result<(), Refusal> {
    for (key, most) in [("latitude", 90.0), ("longitude", 180.0)] {
        let value = &inner[key];
        let degrees = value.as_f64().or_else(|| value.as_str()?.parse().ok());
        match degrees {
            None if value.is_null() => return missing(key),
            Some(degrees) if degrees.abs() <= most => {}
            _ => return invalid(format!("{key} is none")),
        }
    }
    Ok(())
}

fn contacts(inner: &Value) -> Result<(), Refusal> {
    let Some(contacts) = inner.as_array().filter(|contacts| !contacts.is_empty()) else {
        return missing("contacts");
    };
    for contact in contacts {
        text(&contact["name"], "formatted_name", 4_096)?;
    }
    Ok(())
}

fn interactive(inner: &Value) -> Result<(), Refusal> {
    let kind = inner["type"].as_str().unwrap_or("");
    let action = &inner["action"];
    let body = || text(&inner["body"], "text", 1_024);
    match kind {
        "button" => {
            body()?;
            let buttons = action["buttons"].as_array().map(Vec::as_slice).unwrap_or_default();
            if !(1..=3).contains(&buttons.len()) {
                return invalid("a message has 1 to 3 buttons");
            }
            unique(buttons.iter().map(|button| &button["reply"]), 20, 256)
        }
        "list" => {
            text(&inner["body"], "text", 4_096)?;
            text(action, "button", 20)?;
            let sections = action["sections"].as_array().map(Vec::as_slice).unwrap_or_default();
            let rows = || sections.iter().filter_map(|s| s["rows"].as_array()).flatten();
            if !(1..=10).contains(&sections.len()) || !(1..=10).contains(&rows().count()) {
                return invalid("a list has 1 to 10 sections and 1 to 10 rows in all");
            }
            unique(rows(), 24, 200)
        }
        "cta_url" => {
            body()?;
            text(&action["parameters"], "display_text", 20)?;
            text(&action["parameters"], "url", 2_000)
        }
        "flow" => {
            body()?;
            let parameters = &action["parameters"];
            let named = |key: &str| parameters[key].as_str().is_some_and(|text| !text.is_empty());
            if !named("flow_id") && !named("flow_name") {
                return missing("flow_id");
            }
            text(parameters, "flow_cta", 30)
        }
        "product"
        | "product_list"
        | "catalog_message"
        | "location_request_message"
        | "address_message"
        | "call_permission_request"
        | "voice_call"
        | "carousel"
        | "request_contact_info" => Ok(()),
        "" => missing("interactive.type"),
        _ => invalid("interactive.type is none that is known"),
    }
}

/// Ids and titles of buttons or rows: there, short enough, and each id once.
fn unique<'a>(
    items: impl Iterator<Item = &'a Value>,
    title_max: usize,
    id_max: usize,
) -> Result<(), Refusal> {
    let mut ids: Vec<&str> = Vec::new();
    for item in items {
        text(item, "title", title_max)?;
        text(item, "id", id_max)?;
        let id = item["id"].as_str().unwrap_or("");
        if ids.contains(&id) {
            return invalid("an id is there twice");
        }
        ids.push(id);
    }
    Ok(())
}
