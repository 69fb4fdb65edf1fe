//! A message that someone wrote to us, reduced to what routing needs.

use domain::NumberId;
use domain::event::{Inbound, Link};
use serde_json::Value;

use super::{address, instant, list, reported, text};

const KINDS: &[&str] = &[
    "text",
    "image",
    "audio",
    "video",
    "document",
    "sticker",
    "location",
    "contacts",
    "button",
    "interactive",
    "order",
    "reaction",
    "system",
];

pub fn read(message: &Value, number: &Option<NumberId>) -> Inbound {
    let given = text(message, "type");
    let inferred = KINDS.iter().copied().find(|kind| message.get(kind).is_some());
    let kind = given.or(inferred).unwrap_or("unknown");
    Inbound {
        number: number.clone(),
        id: text(message, "id").unwrap_or("").to_owned(),
        kind: kind.to_owned(),
        detail: detail(kind, message),
        type_missing: given.is_none(),
        at: instant(&message["timestamp"]),
        from_phone: message.get("from").is_some(),
        link: link(message),
        errors: list(message, "errors").map(reported).collect(),
        from: address(message, "from", "from_user_id"),
        text: words(kind, message),
    }
}

fn words(kind: &str, message: &Value) -> Option<String> {
    let inner = &message[kind];
    let said = match kind {
        "text" => text(inner, "body"),
        "button" => text(inner, "text").or(text(inner, "payload")),
        "interactive" => text(&inner[text(inner, "type")?], "title"),
        "image" | "video" | "document" => text(inner, "caption"),
        _ => None,
    };
    // A type that does not fit what is there hides no words.
    said.or_else(|| text(&message["text"], "body")).map(str::to_owned)
}

fn detail(kind: &str, message: &Value) -> Option<String> {
    let inner = &message[kind];
    match kind {
        "interactive" | "system" => text(inner, "type").map(str::to_owned),
        "reaction" if text(inner, "emoji").is_none_or(str::is_empty) => Some("removed".to_owned()),
        _ => None,
    }
}

fn link(message: &Value) -> Option<Link> {
    if message.get("referral").is_some() {
        return Some(Link::Referral);
    }
    let context = message.get("context")?;
    let set = |key: &str| context[key].as_bool() == Some(true);
    if context.get("referred_product").is_some() {
        Some(Link::Product)
    } else if set("forwarded") || set("frequently_forwarded") {
        Some(Link::Forwarded)
    } else {
        context.get("id").map(|_| Link::Reply)
    }
}
