//! What a webhook says about a template, a number or the account, as a person needs it:
//! which thing, what happened, why, from what to what, until when.
//! Source: Meta, "Webhooks" reference: account and template fields, 2026.

use domain::event::{Event, News};
use serde_json::Value;

use super::{first, owned, text};

/// Longest value that is repeated.
const CHARS_MAX: usize = 200;

pub fn read(field: &str, value: &Value) -> Event {
    match field {
        "message_template_status_update"
        | "message_template_quality_update"
        | "message_template_components_update"
        | "template_category_update"
        | "template_correct_category_detection" => Event::Template(news(field, value)),
        "account_update"
        | "account_alerts"
        | "account_review_update"
        | "account_settings_update"
        | "business_capability_update"
        | "business_status_update"
        | "business_username_update"
        | "payment_configuration_update"
        | "phone_number_name_update"
        | "phone_number_quality_update"
        | "security" => Event::Account(news(field, value)),
        _ => Event::Other { field: field.to_owned(), event: first(value, &["event", "decision"]) },
    }
}

const OLD: &[&str] =
    &["previous_quality_score", "previous_category", "old_limit", "previous_status"];
const NEW: &[&str] =
    &["new_quality_score", "new_category", "correct_category", "current_limit", "new_status"];

fn news(field: &str, value: &Value) -> News {
    let event = first(value, &["event", "decision"]);
    let is_template = field.starts_with("message_template") || field.starts_with("template");
    let event = match event.is_empty() && is_template {
        true => first(value, &["new_quality_score", "new_category"]),
        false => event,
    };
    let mut news = News {
        event,
        limit: if is_template { String::new() } else { owned(value, "current_limit") },
        name: owned(value, "message_template_name"),
        language: owned(value, "message_template_language"),
        reason: reason(value),
        old: first(value, OLD),
        new: first(value, NEW),
        until: until(value),
        more: Vec::new(),
        field: field.to_owned(),
    };
    rest("", value, &mut news.more);
    news
}

/// `NONE` and `null` are no reasons.
fn reason(value: &Value) -> String {
    let told = [
        text(value, "reason"),
        text(value, "rejection_reason"),
        text(&value["rejection_info"], "reason"),
        text(&value["violation_info"], "violation_type"),
        text(&value["ban_info"], "waba_ban_state"),
        text(&value["other_info"], "description"),
        text(&value["other_info"], "title"),
        text(&value["alert_info"], "alert_description"),
    ];
    let said = told.into_iter().flatten().find(|reason| !reason.is_empty() && *reason != "NONE");
    said.unwrap_or("").to_owned()
}

fn until(value: &Value) -> String {
    let dates = [
        &value["disable_info"]["disable_date"],
        &value["ban_info"]["waba_ban_date"],
        &value["other_info"]["expiration"],
    ];
    let restrictions = value["restriction_info"].as_array().into_iter().flatten();
    let ends = restrictions.map(|restriction| &restriction["expiration"]);
    let mut said = dates.into_iter().chain(ends).map(plain);
    said.find(|date| !date.is_empty()).unwrap_or_default()
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        _ => String::new(),
    }
}

/// Leaves of the value that no field above holds; a number of ours is shown as it is.
fn rest(path: &str, value: &Value, more: &mut Vec<(String, String)>) {
    const HELD: &[&str] =
        &["event", "decision", "message_template_name", "message_template_language", "reason"];
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                rest(&path, value, more);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| rest(path, item, more)),
        leaf => {
            let text: String = plain(leaf).chars().take(CHARS_MAX).collect();
            if !text.is_empty() && !HELD.contains(&path) {
                more.push((path.to_owned(), text));
            }
        }
    }
}
