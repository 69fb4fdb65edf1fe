//! What Cloud API checks before it takes a message, with its codes.

use domain::NumberId;
use serde_json::Value;

use super::Shared;

type Refusal = (u16, i32, String);

const TYPES: &[&str] = &[
    "text",
    "image",
    "audio",
    "video",
    "document",
    "sticker",
    "location",
    "contacts",
    "reaction",
    "interactive",
    "template",
];

pub fn message(shared: &Shared, number: &NumberId, body: &Value) -> Result<(), Refusal> {
    let refuse = |code: i32, details: &str| Err((400, code, details.to_owned()));
    if body["messaging_product"] != "whatsapp" {
        return refuse(100, "messaging_product must be whatsapp");
    }
    let (to, recipient) = (body["to"].as_str(), body["recipient"].as_str());
    let Some(address) = to.or(recipient) else { return refuse(131_008, "to is missing") };
    if to.is_some() && !address.chars().any(|c| c.is_ascii_digit()) {
        return refuse(131_009, "to is not a phone number");
    }
    let kind = body["type"].as_str().unwrap_or("text");
    if !TYPES.contains(&kind) {
        return refuse(131_009, "type is not a message type");
    }
    if body.get(kind).is_none() {
        return refuse(131_008, "the object named by type is missing");
    }
    if body["biz_opaque_callback_data"].as_str().is_some_and(|text| text.chars().count() > 512) {
        return refuse(100, "biz_opaque_callback_data is longer than 512 characters");
    }
    if kind == "template" { template(shared, number, &body["template"]) } else { Ok(()) }
}

fn template(shared: &Shared, number: &NumberId, template: &Value) -> Result<(), Refusal> {
    let refuse = |status: u16, code: i32, details: &str| Err((status, code, details.to_owned()));
    let (name, language) = (template["name"].as_str(), template["language"]["code"].as_str());
    let (Some(name), Some(language)) = (name, language) else {
        return refuse(400, 131_008, "template name or language is missing");
    };
    let components = template["components"].as_array().map(Vec::as_slice).unwrap_or_default();
    for parameter in components.iter().filter_map(|c| c["parameters"].as_array()).flatten() {
        if parameter["text"].as_str().is_some_and(spoils) {
            return refuse(
                400,
                132_018,
                "Param text cannot have new-line/tab characters or more than 4 consecutive spaces",
            );
        }
        for kind in ["image", "video", "document"] {
            if let Some(id) = parameter[kind]["id"].as_str()
                && shared.media.lock().expect("no panic while held").get(id) != Some(number)
            {
                return refuse(400, 131_009, "no such media id for this number");
            }
        }
    }
    if shared.options.templates.is_empty() {
        return Ok(());
    }
    let known = shared.options.templates.iter().find(|t| t.name == name);
    let Some(known) = known.filter(|t| t.languages.iter().any(|l| l == language)) else {
        return refuse(404, 132_001, "template name does not exist in the translation");
    };
    let body = components.iter().find(|c| is(c, "body"));
    let given = body.and_then(|c| c["parameters"].as_array()).map_or(0, Vec::len);
    if given != known.body_parameters.len() {
        return refuse(400, 132_000, "number of parameters does not match the expected number");
    }
    Ok(())
}

fn is(component: &Value, kind: &str) -> bool {
    component["type"].as_str().is_some_and(|t| t.eq_ignore_ascii_case(kind))
}

fn spoils(text: &str) -> bool {
    text.contains(['\n', '\t']) || text.contains("     ")
}
