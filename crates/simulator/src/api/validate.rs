//! What Cloud API checks before it takes a message, with its codes.

use domain::NumberId;
use serde_json::Value;

use super::{Shared, templates};

mod free_form;

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
    address(body)?;
    let kind = body["type"].as_str().unwrap_or("text");
    if !TYPES.contains(&kind) {
        return refuse(131_009, "type is not a message type");
    }
    if !body.get(kind).is_some_and(Value::is_object) && kind != "contacts" {
        return refuse(131_008, "the object named by type is missing");
    }
    match &body["biz_opaque_callback_data"] {
        Value::Null => {}
        Value::String(text) if text.chars().count() <= 512 => {}
        Value::String(_) => {
            return refuse(100, "biz_opaque_callback_data is longer than 512 characters");
        }
        _ => return refuse(100, "biz_opaque_callback_data must be a string"),
    }
    if kind == "template" {
        template(shared, number, &body["template"])
    } else {
        let known = |id: &str| shared.has_media(id, number);
        free_form::check(kind, &body[kind], &known)
    }
}

/// `to` is a number; `recipient` is a business-scoped user id.
fn address(body: &Value) -> Result<(), Refusal> {
    let refuse = |code: i32, details: &str| Err((400, code, details.to_owned()));
    let (to, recipient) = (body["to"].as_str(), body["recipient"].as_str());
    if let Some(to) = to {
        let plain = to.chars().all(|c| c.is_ascii_digit() || "+-() ".contains(c));
        let digits = to.chars().filter(char::is_ascii_digit).count();
        let fits = plain && (1..=15).contains(&digits);
        return if fits { Ok(()) } else { refuse(131_009, "to is not a phone number") };
    }
    match recipient {
        Some(id) if domain::UserId::try_new(id).is_ok() => Ok(()),
        Some(_) => refuse(131_009, "recipient is not a business-scoped user id"),
        None => refuse(131_008, "to is missing"),
    }
}

/// A read receipt names a message that this far side knows.
pub fn read_receipt(shared: &Shared, body: &Value) -> Result<(), Refusal> {
    match body["message_id"].as_str() {
        None | Some("") => Err((400, 131_008, "message_id is missing".to_owned())),
        Some(id) if shared.knows_message(id) => Ok(()),
        Some(_) => Err((400, 131_009, "message_id names no message of this number".to_owned())),
    }
}

fn template(shared: &Shared, number: &NumberId, template: &Value) -> Result<(), Refusal> {
    let refuse = |status: u16, code: i32, details: &str| Err((status, code, details.to_owned()));
    let (name, language) = (template["name"].as_str(), template["language"]["code"].as_str());
    let (Some(name), Some(language)) = (name, language) else {
        return refuse(400, 131_008, "template name or language is missing");
    };
    let components = template["components"].as_array().map(Vec::as_slice).unwrap_or_default();
    shape_of(components)?;
    contents_of(components, shared, number)?;
    let languages = &shared.options.languages;
    if !languages.is_empty() && !languages.iter().any(|known| known == language) {
        return refuse(404, 132_001, "template name does not exist in the translation");
    }
    let Some(all) = templates::known(&shared.options) else { return Ok(()) };
    let body = components.iter().find(|c| is(c, "body"));
    let given = body.and_then(|c| c["parameters"].as_array()).map_or(0, Vec::len);
    if let Some((true, variables)) = templates::handed_in(shared, name, language) {
        return match given == variables {
            true => Ok(()),
            false => {
                refuse(400, 132_000, "number of parameters does not match the expected number")
            }
        };
    }
    let named = all.into_iter().find(|listed| listed.template.name == name);
    let named = named.filter(|it| it.template.languages.iter().any(|l| *l == language));
    let known = match named {
        Some(listed) if listed.status == templates::APPROVED => listed.template,
        Some(listed) if listed.status == "PAUSED" => {
            return refuse(400, 132_015, "template is paused due to low quality");
        }
        Some(listed) if listed.status == "DISABLED" => {
            return refuse(400, 132_016, "template is disabled");
        }
        _ => return refuse(404, 132_001, "template name does not exist in the translation"),
    };
    if given != known.body_parameters.len() {
        return refuse(400, 132_000, "number of parameters does not match the expected number");
    }
    Ok(())
}

const COMPONENTS: [&str; 7] = [
    "header",
    "body",
    "footer",
    "button",
    "carousel",
    "limited_time_offer",
    "call_permission_request",
];

/// Types and indexes of the components and their parameters.
fn shape_of(components: &[Value]) -> Result<(), Refusal> {
    let refuse = |code: i32, details: &str| Err((400, code, details.to_owned()));
    let mut buttons: Vec<String> = Vec::new();
    for component in components {
        if !COMPONENTS.iter().any(|kind| is(component, kind)) {
            return refuse(131_009, "a component has no type that is known");
        }
        if is(component, "button") {
            let index = match &component["index"] {
                Value::Number(index) => index.to_string(),
                Value::String(index) => index.clone(),
                _ => return refuse(131_008, "a button has no index"),
            };
            if index.parse::<u8>().is_err() || buttons.contains(&index) {
                return refuse(132_012, "a button's index is there twice, or is none");
            }
            buttons.push(index);
        }
        let parameters = component["parameters"].as_array().into_iter().flatten();
        if parameters.clone().any(|parameter| !parameter["type"].is_string()) {
            return refuse(131_008, "a parameter has no type");
        }
    }
    Ok(())
}

/// Texts that Meta does not send, and media that the number does not have.
fn contents_of(components: &[Value], shared: &Shared, number: &NumberId) -> Result<(), Refusal> {
    let refuse = |code: i32, details: &str| Err((400, code, details.to_owned()));
    for parameter in components.iter().filter_map(|c| c["parameters"].as_array()).flatten() {
        if parameter["text"].as_str().is_some_and(spoils) {
            return refuse(
                132_018,
                "Param text cannot have new-line/tab characters or more than 4 consecutive spaces",
            );
        }
        for kind in ["image", "video", "document"] {
            if let Some(id) = parameter[kind]["id"].as_str()
                && !shared.has_media(id, number)
            {
                return refuse(131_009, "no such media id for this number");
            }
        }
    }
    Ok(())
}

fn is(component: &Value, kind: &str) -> bool {
    component["type"].as_str().is_some_and(|t| t.eq_ignore_ascii_case(kind))
}

fn spoils(text: &str) -> bool {
    text.contains(['\n', '\t']) || text.contains("     ")
}
