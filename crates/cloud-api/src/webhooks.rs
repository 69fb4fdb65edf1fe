//! Reads webhook bodies, whatever is in them.
//!
//! Invariant: a body that is a JSON object always gives a list of events, at worst
//! [`Event::Other`]; unknown fields, types, statuses and keys are never an error, because
//! an answer other than 200 makes Meta repeat the whole batch for days. Only a body that
//! is no JSON object is [`Unreadable`].
//! Source: Meta, "Webhooks" reference (messages, account and template fields, 2026).

mod describe;
mod inbound;

pub use inbound::{Inbound, Link};

use domain::{NumberId, Timestamp};
use serde_json::Value;

/// One thing that a webhook told us.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    Status(StatusReport),
    Inbound(Inbound),
    /// A message that someone typed on the phone of a coexistence number.
    Echo {
        number: Option<NumberId>,
        kind: String,
    },
    Call {
        number: Option<NumberId>,
        event: String,
        direction: String,
    },
    /// A user stopped or resumed a category of messages.
    Preference {
        value: String,
        category: String,
    },
    Group {
        event: String,
    },
    /// An error about the number or account rather than one message.
    Error {
        number: Option<NumberId>,
        code: i32,
    },
    /// News about a template: status, quality, category or components.
    Template {
        field: String,
        event: String,
        name: String,
        language: String,
    },
    /// News about a number or the account.
    Account {
        field: String,
        event: String,
        detail: String,
    },
    /// A field that this version does not know.
    Other {
        field: String,
        event: String,
    },
}

/// One status of one message.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusReport {
    pub number: Option<NumberId>,
    /// Meta's message id; personal data.
    pub wamid: String,
    pub status: Status,
    /// Meta's event time, grain 1 s; `None` when missing or unreadable.
    pub at: Option<Timestamp>,
    /// Our own words back, if we sent any.
    pub callback: Option<String>,
    /// Codes of a failure, first one first; may be empty even for `failed`.
    pub errors: Vec<i32>,
    pub pricing: Option<Pricing>,
    /// `payment` or `call` statuses are not about messages.
    pub kind: Option<String>,
    pub group: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    Sent,
    Delivered,
    Read,
    /// A voice message was listened to; implies read.
    Played,
    Failed,
    /// `deleted`, `warning`, call and payment statuses, and whatever comes next.
    Other(String),
}

/// What Meta says it charges. Shown, never decided on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pricing {
    pub model: String,
    pub kind: Option<String>,
    pub category: Option<String>,
    pub billable: Option<bool>,
}

/// A signed body that is not a JSON object.
#[derive(Debug, thiserror::Error)]
#[error("webhook body of {bytes} bytes is not a JSON object: {why}")]
pub struct Unreadable {
    pub bytes: usize,
    pub why: String,
}

/// Reads one body. Events come in the order of the body.
///
/// # Errors
/// [`Unreadable`] when the body is not a JSON object; nothing else is an error.
pub fn read(body: &[u8]) -> Result<Vec<Event>, Unreadable> {
    let unreadable = |why: String| Unreadable { bytes: body.len(), why };
    let root: Value = serde_json::from_slice(body).map_err(|e| {
        unreadable(format!("{:?} error at line {}, column {}", e.classify(), e.line(), e.column()))
    })?;
    if !root.is_object() {
        return Err(unreadable("it is another kind of JSON".to_owned()));
    }
    let mut events = Vec::new();
    for entry in list(&root, "entry") {
        for change in list(entry, "changes") {
            read_change(text(change, "field").unwrap_or(""), &change["value"], &mut events);
        }
    }
    Ok(events)
}

fn read_change(field: &str, value: &Value, events: &mut Vec<Event>) {
    let number = number(value);
    let before = events.len();
    for error in list(value, "errors") {
        events.push(Event::Error { number: number.clone(), code: code(error) });
    }
    events.extend(list(value, "messages").map(|m| Event::Inbound(inbound::read(m, &number))));
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
    events.extend(list(value, "user_preferences").map(|preference| Event::Preference {
        value: owned(preference, "value"),
        category: owned(preference, "category"),
    }));
    events.extend(list(value, "groups").map(|group| Event::Group { event: owned(group, "type") }));
    if events.len() == before && !value.is_null() {
        events.push(read_news(field, value));
    }
}

fn read_news(field: &str, value: &Value) -> Event {
    let event = first(value, &["event", "decision"]);
    let field = field.to_owned();
    match field.as_str() {
        "message_template_status_update"
        | "message_template_quality_update"
        | "message_template_components_update"
        | "template_category_update" => Event::Template {
            event: if event.is_empty() {
                first(value, &["new_quality_score", "new_category"])
            } else {
                event
            },
            name: owned(value, "message_template_name"),
            language: owned(value, "message_template_language"),
            field,
        },
        "account_update"
        | "account_alerts"
        | "account_review_update"
        | "account_settings_update"
        | "business_capability_update"
        | "business_username_update"
        | "payment_configuration_update"
        | "phone_number_name_update"
        | "phone_number_quality_update"
        | "security" => Event::Account { event, detail: owned(value, "current_limit"), field },
        _ => Event::Other { field, event },
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
        wamid: owned(status, "id"),
        status: match text(status, "status").unwrap_or("") {
            "sent" => Status::Sent,
            "delivered" => Status::Delivered,
            "read" => Status::Read,
            "played" => Status::Played,
            "failed" => Status::Failed,
            other => Status::Other(other.to_owned()),
        },
        at: instant(&status["timestamp"]),
        callback: text(status, "biz_opaque_callback_data").map(str::to_owned),
        errors: list(status, "errors").map(code).collect(),
        pricing,
        kind: text(status, "type").map(str::to_owned),
        group: text(status, "recipient_type") == Some("group"),
    }
}

fn number(value: &Value) -> Option<NumberId> {
    NumberId::try_new(text(&value["metadata"], "phone_number_id")?).ok()
}

fn code(error: &Value) -> i32 {
    error["code"].as_i64().and_then(|code| i32::try_from(code).ok()).unwrap_or(0)
}

/// Seconds as text or number; values above 10^11 are milliseconds (seen in the field).
fn instant(value: &Value) -> Option<Timestamp> {
    let n = value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())?;
    match n {
        ..=0 => None,
        1..=100_000_000_000 => Some(Timestamp::from_secs(n)),
        _ => n.checked_mul(1_000).map(Timestamp::from_micros),
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
