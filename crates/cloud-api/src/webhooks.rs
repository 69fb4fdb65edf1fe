//! Reads webhook bodies, whatever is in them.
//!
//! Invariant: a body that is a JSON object always gives a list of events, at worst
//! [`Event::Other`]; unknown fields, types, statuses and keys are never an error, because
//! an answer other than 200 makes Meta repeat the whole batch for days. Odd signs are
//! repaired first; an entry or change that cannot be read even then costs itself alone
//! ([`Event::Odd`]). Only a body that is no JSON object is [`Unreadable`].
//! Source: Meta, "Webhooks" reference (messages, account and template fields, 2026).

mod inbound;
mod news;
mod repair;
mod salvage;

use domain::event::{Event, Preference, Pricing, ReportedError, Status, StatusReport};
use domain::{Address, MessageId, NumberId, Phone, Timestamp, UserId, words};
use memchr::memmem;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use provider::Unreadable;

use crate::client::number as code_of;
use crate::error_codes::{self, NO_CODE};

#[derive(Deserialize)]
struct Root<'a> {
    #[serde(borrow, default)]
    entry: Option<&'a RawValue>,
}

/// Whether a body may hold messages or preferences. Statuses, which are nearly all that comes in,
/// are told by a look at the bytes: `messages` is their field's value, and no key of theirs.
pub fn may_hold_words(body: &[u8]) -> bool {
    const MESSAGES: &[u8] = b"\"messages\"";
    let is_key = |at: usize| {
        let rest = &body[at + MESSAGES.len()..];
        rest.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':')
    };
    // A key may be written with escapes.
    memmem::find(body, b"\\u").is_some()
        || memmem::find(body, b"user_preferences").is_some()
        || memmem::find_iter(body, MESSAGES).any(is_key)
}

/// Reads one body. Events come in the order of the body.
///
/// # Errors
/// [`Unreadable`] when the body is not a JSON object; nothing else is an error.
pub fn read(body: &[u8]) -> Result<Vec<Event>, Unreadable> {
    let mut events = Vec::new();
    let is_object = body.trim_ascii_start().starts_with(b"{");
    if is_object
        && let Ok(root) = serde_json::from_slice::<Root<'_>>(body)
        && each_change(root.entry, &mut events)
    {
        return Ok(events);
    }
    // Once more, without what JSON does not allow and senders write all the same.
    events.clear();
    let mended = repair::mended(body);
    let unreadable = |why: String| Unreadable { bytes: body.len(), why };
    if !mended.trim_start().starts_with('{') {
        return Err(unreadable("it is not a JSON object".to_owned()));
    }
    let root: Root<'_> = serde_json::from_str(&mended).map_err(|e| {
        unreadable(format!("{:?} error at line {}, column {}", e.classify(), e.line(), e.column()))
    })?;
    each_change(root.entry, &mut events);
    Ok(events)
}

/// Reads entry by entry and change by change. False when something cannot be read.
fn each_change(entries: Option<&RawValue>, events: &mut Vec<Event>) -> bool {
    let mut odd = Vec::new();
    let Some(entries) = entries else {
        events.push(Event::Odd { why: "the body has no list of entries".to_owned() });
        return false;
    };
    for entry in salvage::items(entries, "entry", &mut odd) {
        let fields = salvage::fields(entry, "an entry", &mut odd);
        let Some((_, changes)) = fields.iter().find(|(key, _)| key == "changes") else {
            odd.push("an entry has no list of changes".to_owned());
            continue;
        };
        for change in salvage::items(changes, "changes", &mut odd) {
            let change = salvage::change(change, &mut odd);
            if change["value"].is_object() {
                read_change(text(&change, "field").unwrap_or(""), &change["value"], events);
            } else if !change.is_null() {
                odd.push("a change has no value".to_owned());
            }
        }
    }
    let whole = odd.is_empty();
    events.extend(odd.into_iter().map(|why| Event::Odd { why }));
    whole
}

fn read_change(field: &str, value: &Value, events: &mut Vec<Event>) {
    let number = number(value);
    let before = events.len();
    // Those of a Flow are about its endpoint.
    if field != "flows" {
        for error in list(value, "errors") {
            events.push(Event::Error { number: number.clone(), error: reported(error) });
        }
    }
    let sender = address(&value["contacts"][0], "wa_id", "user_id");
    events.extend(list(value, "messages").map(|message| {
        let mut inbound = inbound::read(message, &number);
        inbound.from = inbound.from.or_else(|| sender.clone());
        Event::Inbound(inbound)
    }));
    events.extend(list(value, "statuses").map(|s| Event::Status(read_status(s, &number))));
    events.extend(list(value, "message_echoes").map(|echo| Event::Echo {
        number: number.clone(),
        kind: text(echo, "type").unwrap_or("unknown").to_owned(),
    }));
    events.extend(list(value, "calls").map(|call| Event::Call {
        number: number.clone(),
        event: owned(call, "event"),
        direction: owned(call, "direction"),
    }));
    events.extend(list(value, "user_preferences").map(|preference| {
        Event::Preference(Preference {
            number: number.clone(),
            who: address(preference, "wa_id", "user_id"),
            value: owned(preference, "value"),
            category: owned(preference, "category"),
            at: instant(&preference["timestamp"]),
        })
    }));
    events.extend(list(value, "groups").map(|group| Event::Group { event: owned(group, "type") }));
    if events.len() == before && !value.is_null() {
        events.push(news::read(field, value));
    }
}

/// A person by number without `+`, by user id, or by both.
fn address(value: &Value, phone: &str, user_id: &str) -> Option<Address> {
    let digits = match &value[phone] {
        Value::String(digits) => Some(digits.trim_start_matches('+').to_owned()),
        Value::Number(digits) => Some(digits.to_string()),
        _ => None,
    };
    let phone = digits.and_then(|digits| Phone::try_new(format!("+{digits}")).ok());
    let user_id = text(value, user_id).and_then(|id| UserId::try_new(id).ok());
    Address::new(phone, user_id)
}

fn reported(error: &Value) -> ReportedError {
    let message = text(error, "message").or(text(error, "title")).unwrap_or("");
    let details = text(&error["error_data"], "details").unwrap_or("");
    let code = code_of(&error["code"]);
    ReportedError {
        code,
        failure: error_codes::reported(code),
        meaning: error_codes::meaning(code.unwrap_or(NO_CODE)),
        words: words::scrubbed(message, details),
    }
}

fn read_status(status: &Value, number: &Option<NumberId>) -> StatusReport {
    let pricing = status.get("pricing").filter(|p| p.is_object()).map(|pricing| Pricing {
        model: owned(pricing, "pricing_model"),
        kind: text(pricing, "type").map(str::to_owned),
        category: text(pricing, "category").map(str::to_owned),
        billable: pricing["billable"].as_bool(),
    });
    StatusReport {
        number: number.clone(),
        id: MessageId::new(owned(status, "id")),
        status: match text(status, "status").unwrap_or("").to_ascii_lowercase().as_str() {
            "sent" => Status::Sent,
            "delivered" => Status::Delivered,
            "read" => Status::Read,
            "played" => Status::Played,
            "failed" => Status::Failed,
            other => Status::Other(other.to_owned()),
        },
        at: instant(&status["timestamp"]),
        tag: text(status, "biz_opaque_callback_data").map(str::to_owned),
        errors: list(status, "errors").map(reported).collect(),
        pricing,
        kind: text(status, "type").map(str::to_owned),
        group: text(status, "recipient_type") == Some("group"),
    }
}

fn number(value: &Value) -> Option<NumberId> {
    NumberId::try_new(text(&value["metadata"], "phone_number_id")?).ok()
}

/// Seconds as text or number; larger values are milliseconds or microseconds (both seen in
/// the field).
fn instant(value: &Value) -> Option<Timestamp> {
    let n = value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())?;
    match n {
        ..=0 => None,
        1..=100_000_000_000 => Some(Timestamp::from_secs(n)),
        100_000_000_001..=100_000_000_000_000 => n.checked_mul(1_000).map(Timestamp::from_micros),
        _ => Some(Timestamp::from_micros(n)),
    }
}

/// The elements of an array under `key`; nothing when it is missing or another type.
fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key)?.as_str()
}

fn owned(value: &Value, key: &str) -> String {
    text(value, key).unwrap_or("").to_owned()
}

fn first(value: &Value, keys: &[&str]) -> String {
    keys.iter().find_map(|key| text(value, key)).unwrap_or("").to_owned()
}

#[cfg(test)]
mod tests;
