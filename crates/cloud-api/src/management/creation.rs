//! A draft as Meta's creation body, and back.
//! Source: Meta, "Message templates" and its component pages (2025-12, 2026-03).

use serde_json::{Map, Value, json};
use templates::draft::{
    Authentication, ButtonKind, Card, Draft, DraftButton, DraftCategory, DraftHeader,
    DraftHeaderFormat, Offer,
};
use templates::{ParameterFormat, variables};

/// Why a template of Meta's is no draft of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {seen}")]
pub struct NotADraft {
    place: String,
    seen: String,
}

fn not(place: impl Into<String>, seen: impl Into<String>) -> NotADraft {
    NotADraft { place: place.into(), seen: seen.into() }
}

/// The body of `POST /{waba}/message_templates`.
pub fn creation(draft: &Draft) -> Value {
    let mut body = json!({
        "name": draft.name,
        "language": draft.language,
        "category": draft.category.as_str().to_uppercase(),
        "components": components(draft),
    });
    let has_variables = [&draft.body[..], draft.header_text()].iter().any(|t| t.contains("{{"));
    if draft.parameter_format == ParameterFormat::Named && has_variables {
        body["parameter_format"] = "NAMED".into();
    }
    if let Some(ttl) = draft.ttl_seconds {
        body["message_send_ttl_seconds"] = ttl.into();
    }
    body
}

fn components(draft: &Draft) -> Vec<Value> {
    let mut parts = Vec::new();
    if let Some(header) = &draft.header {
        parts.push(header_out(header, draft));
    }
    if let Some(offer) = &draft.limited_time_offer {
        let offer = json!({"text": offer.text, "has_expiration": offer.has_expiration});
        parts.push(json!({"type": "LIMITED_TIME_OFFER", "limited_time_offer": offer}));
    }
    match &draft.authentication {
        Some(chosen) => {
            let mut body = json!({"type": "BODY"});
            if chosen.security_recommendation {
                body["add_security_recommendation"] = true.into();
            }
            parts.push(body);
            if let Some(minutes) = chosen.code_expiration_minutes {
                parts.push(json!({"type": "FOOTER", "code_expiration_minutes": minutes}));
            }
        }
        None if draft.category == DraftCategory::Authentication => {
            parts.push(json!({"type": "BODY"}));
        }
        None => parts.push(body_out(&draft.body, draft.parameter_format, &draft.samples)),
    }
    if let Some(footer) = &draft.footer {
        parts.push(json!({"type": "FOOTER", "text": footer}));
    }
    if !draft.buttons.is_empty() {
        let buttons: Vec<Value> = draft.buttons.iter().map(button_out).collect();
        parts.push(json!({"type": "BUTTONS", "buttons": buttons}));
    }
    if !draft.cards.is_empty() {
        let cards: Vec<Value> = draft.cards.iter().map(|card| card_out(card, draft)).collect();
        parts.push(json!({"type": "CAROUSEL", "cards": cards}));
    }
    parts
}

fn header_out(header: &DraftHeader, draft: &Draft) -> Value {
    let mut part = json!({"type": "HEADER", "format": header.format.as_str().to_uppercase()});
    if let Some(text) = &header.text {
        part["text"] = text.as_str().into();
        if let Some(name) = variables(text).first() {
            part["example"] = match draft.parameter_format {
                ParameterFormat::Named => {
                    let sample = draft.samples.get(name).map_or("", String::as_str);
                    json!({"header_text_named_params": [{"param_name": name, "example": sample}]})
                }
                ParameterFormat::Positional => {
                    let sample = draft.samples.get("header").map_or("", String::as_str);
                    json!({"header_text": [sample]})
                }
            };
        }
    } else if let Some(sample) = header.sample.as_ref().filter(|_| header.format.has_file()) {
        part["example"] = json!({"header_handle": [sample]});
    }
    part
}

fn body_out(
    text: &str,
    format: ParameterFormat,
    samples: &std::collections::BTreeMap<String, String>,
) -> Value {
    let mut part = json!({"type": "BODY", "text": text});
    let names = variables(text);
    let sample = |name: &String| samples.get(name).map_or("", String::as_str);
    if !names.is_empty() {
        part["example"] = match format {
            ParameterFormat::Named => {
                let named = |name| json!({"param_name": name, "example": sample(name)});
                json!({"body_text_named_params": names.iter().map(named).collect::<Vec<_>>()})
            }
            ParameterFormat::Positional => {
                let places: Vec<String> = (1..=names.len()).map(|n| n.to_string()).collect();
                json!({"body_text": [places.iter().map(sample).collect::<Vec<_>>()]})
            }
        };
    }
    part
}

fn button_out(button: &DraftButton) -> Value {
    let mut part = Map::new();
    part.insert("type".into(), button.kind.as_str().to_uppercase().into());
    if !button.text.is_empty() {
        part.insert("text".into(), button.text.as_str().into());
    }
    if let Some(url) = &button.url {
        part.insert("url".into(), url.as_str().into());
    }
    if let Some(phone) = &button.phone_number {
        part.insert("phone_number".into(), phone.as_str().into());
    }
    if let Some(sample) = &button.sample {
        let sample = match button.kind {
            ButtonKind::CopyCode => json!(sample),
            _ => json!([sample]),
        };
        part.insert("example".into(), sample);
    }
    part.extend(button.options.clone());
    Value::Object(part)
}

fn card_out(card: &Card, draft: &Draft) -> Value {
    let mut parts: Vec<Value> = Vec::new();
    parts.extend(card.header.as_ref().map(|header| header_out(header, draft)));
    parts.extend(
        card.body.as_ref().map(|text| body_out(text, draft.parameter_format, &card.samples)),
    );
    if !card.buttons.is_empty() {
        let buttons: Vec<Value> = card.buttons.iter().map(button_out).collect();
        parts.push(json!({"type": "BUTTONS", "buttons": buttons}));
    }
    json!({"components": parts})
}

/// A template as Graph lists it, or a creation body, as a draft.
///
/// # Errors
/// Names the first part that a draft has no place for.
pub fn draft_of(value: &Value) -> Result<Draft, NotADraft> {
    let text = |key: &str| value[key].as_str().unwrap_or("").to_owned();
    let category = match text("category").to_uppercase().as_str() {
        "UTILITY" => DraftCategory::Utility,
        "MARKETING" => DraftCategory::Marketing,
        "AUTHENTICATION" => DraftCategory::Authentication,
        other => return Err(not("category", format!("{other:?}"))),
    };
    let parameter_format = match text("parameter_format").to_uppercase().as_str() {
        "NAMED" => ParameterFormat::Named,
        _ => ParameterFormat::Positional,
    };
    let ttl = &value["message_send_ttl_seconds"];
    if !ttl.is_null() && ttl.as_i64().is_none() {
        return Err(not("message_send_ttl_seconds", format!("{ttl}, not a whole number")));
    }
    let mut draft = Draft {
        name: text("name"),
        language: text("language"),
        category,
        parameter_format,
        ttl_seconds: value["message_send_ttl_seconds"].as_i64(),
        body: String::new(),
        footer: None,
        reviewed_by: None,
        header: None,
        limited_time_offer: None,
        authentication: None,
        buttons: Vec::new(),
        cards: Vec::new(),
        samples: Default::default(),
    };
    let parts = value["components"].as_array();
    let parts = parts.ok_or_else(|| not("components", "there is no list of components"))?;
    let mut kinds = std::collections::BTreeSet::new();
    for (at, part) in parts.iter().enumerate() {
        let kind = kind_of(part);
        if !kinds.insert(kind.clone()) {
            return Err(not(format!("components[{at}].type"), format!("{kind:?} comes twice")));
        }
        read_part(part, &format!("components[{at}]"), &mut draft)?;
    }
    Ok(draft)
}

fn kind_of(part: &Value) -> String {
    part["type"].as_str().unwrap_or("").to_lowercase()
}

fn read_part(part: &Value, place: &str, draft: &mut Draft) -> Result<(), NotADraft> {
    let format = draft.parameter_format;
    match kind_of(part).as_str() {
        "header" => {
            let (header, sample) = header_in(part, place)?;
            if let (Some(sample), Some(text)) = (sample, &header.text) {
                let name = match format {
                    ParameterFormat::Named => variables(text).into_iter().next(),
                    ParameterFormat::Positional => Some("header".to_owned()),
                };
                draft.samples.extend(name.map(|name| (name, sample)));
            }
            draft.header = Some(header);
        }
        "body" => {
            if draft.category == DraftCategory::Authentication {
                let chosen = draft.authentication.get_or_insert_default();
                let add = part["add_security_recommendation"].as_bool();
                chosen.security_recommendation = add.unwrap_or(false);
                return Ok(());
            }
            draft.body = part["text"].as_str().unwrap_or("").to_owned();
            draft.samples.extend(samples_in(part, &draft.body));
        }
        "footer" => match part["code_expiration_minutes"].as_u64() {
            Some(minutes) => {
                let chosen: &mut Authentication = draft.authentication.get_or_insert_default();
                chosen.code_expiration_minutes = u32::try_from(minutes).ok();
            }
            None => draft.footer = part["text"].as_str().map(str::to_owned),
        },
        "buttons" => draft.buttons = buttons_in(part, place)?,
        "limited_time_offer" => {
            let offer = &part["limited_time_offer"];
            draft.limited_time_offer = Some(Offer {
                text: offer["text"].as_str().unwrap_or("").to_owned(),
                has_expiration: offer["has_expiration"].as_bool().unwrap_or(false),
            });
        }
        "carousel" => {
            let cards = part["cards"].as_array().into_iter().flatten().enumerate();
            let card = |(at, card)| card_in(card, &format!("{place}.cards[{at}]"));
            draft.cards = cards.map(card).collect::<Result<_, _>>()?;
        }
        other => return Err(not(format!("{place}.type"), format!("{other:?} is not known"))),
    }
    Ok(())
}

/// A header, and the sample of its text's variable.
fn header_in(part: &Value, place: &str) -> Result<(DraftHeader, Option<String>), NotADraft> {
    let word = part["format"].as_str().unwrap_or("").to_lowercase();
    let format = serde_json::from_value::<DraftHeaderFormat>(word.as_str().into());
    let format = format.map_err(|_| not(format!("{place}.format"), format!("{word:?}")))?;
    let example = &part["example"];
    let handle = example["header_handle"][0].as_str().map(str::to_owned);
    let named = example["header_text_named_params"][0]["example"].as_str();
    let sample = example["header_text"][0].as_str().or(named).map(str::to_owned);
    let text = part["text"].as_str().map(str::to_owned);
    Ok((DraftHeader { format, text, sample: handle }, sample))
}

fn samples_in(part: &Value, text: &str) -> Vec<(String, String)> {
    let example = &part["example"];
    if let Some(named) = example["body_text_named_params"].as_array() {
        let pair = |one: &Value| {
            let text = |key: &str| one[key].as_str().map(str::to_owned);
            Some((text("param_name")?, text("example")?))
        };
        return named.iter().filter_map(pair).collect();
    }
    // One list of samples, or a list of such lists; Graph answers with either.
    let list = match example["body_text"][0].as_array() {
        Some(list) => Some(list),
        None => example["body_text"].as_array(),
    };
    let listed = list.into_iter().flatten().filter_map(Value::as_str);
    let known = variables(text);
    let keyed = listed.enumerate().map(|(at, sample)| ((at + 1).to_string(), sample.to_owned()));
    keyed.filter(|(name, _)| known.contains(name)).collect()
}

fn buttons_in(part: &Value, place: &str) -> Result<Vec<DraftButton>, NotADraft> {
    let buttons = part["buttons"].as_array().into_iter().flatten().enumerate();
    buttons.map(|(at, one)| button_in(one, &format!("{place}.buttons[{at}]"))).collect()
}

fn button_in(value: &Value, place: &str) -> Result<DraftButton, NotADraft> {
    let kind = kind_of(value);
    let known = serde_json::from_value::<ButtonKind>(kind.as_str().into());
    let known =
        known.map_err(|_| not(format!("{place}.type"), format!("{kind:?} is not known")))?;
    let text = |key: &str| value[key].as_str().map(str::to_owned);
    let example = &value["example"];
    let sample = example.as_str().or_else(|| example[0].as_str()).map(str::to_owned);
    const HELD: &[&str] = &["type", "text", "url", "phone_number", "example"];
    let fields = value.as_object().into_iter().flatten();
    let rest = fields.filter(|(key, _)| !HELD.contains(&key.as_str()));
    Ok(DraftButton {
        kind: known,
        text: text("text").unwrap_or_default(),
        url: text("url"),
        phone_number: text("phone_number"),
        sample,
        options: rest.map(|(key, value)| (key.clone(), value.clone())).collect(),
    })
}

fn card_in(value: &Value, place: &str) -> Result<Card, NotADraft> {
    let mut card = Card::default();
    for (at, part) in value["components"].as_array().into_iter().flatten().enumerate() {
        let place = format!("{place}.components[{at}]");
        match kind_of(part).as_str() {
            "header" => card.header = Some(header_in(part, &place)?.0),
            "body" => {
                let text = part["text"].as_str().unwrap_or("").to_owned();
                card.samples.extend(samples_in(part, &text));
                card.body = Some(text);
            }
            "buttons" => card.buttons = buttons_in(part, &place)?,
            other => return Err(not(format!("{place}.type"), format!("{other:?} is not known"))),
        }
    }
    Ok(card)
}

#[cfg(test)]
mod tests;
