//! The account's templates: each translation with its components; those that are handed in are
//! reviewed for a moment, and refused or filed as Meta does.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use ::templates::definition::{ButtonFormat, HeaderFormat};
use ::templates::lint::Severity;
use ::templates::review::{Remark, review};
use ::templates::{ParameterFormat, TemplateDefinition};
use axum::Json;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use cloud_api::management::draft_of;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Shared, Sim};
use crate::options::Options;

/// How long a review takes.
const REVIEW: Duration = Duration::from_secs(2);

/// A template that was handed in.
pub struct Created {
    body: Value,
    at: Instant,
}

pub(super) const APPROVED: &str = "APPROVED";

/// A template of the account. All of its translations have one status.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Listed {
    /// APPROVED, PAUSED, DISABLED, PENDING or REJECTED.
    pub status: String,
    /// UTILITY or MARKETING; by default that of the options.
    #[serde(default)]
    pub category: Option<String>,
    /// GREEN, YELLOW or RED.
    #[serde(default)]
    pub quality: Option<String>,
    pub template: TemplateDefinition,
}

/// The account's templates now; `None`: any name is taken.
pub(super) fn known(options: &Options) -> Option<Vec<Listed>> {
    if let Some(file) = &options.templates_file {
        let text = std::fs::read(file).unwrap_or_default();
        return Some(serde_json::from_slice(&text).unwrap_or_default());
    }
    let listed = |template: &TemplateDefinition| {
        let (status, template) = (APPROVED.to_owned(), template.clone());
        Listed { status, category: None, quality: None, template }
    };
    let all = &options.templates;
    (!all.is_empty()).then(|| all.iter().map(listed).collect())
}

/// Without a list of its own every template is approved, so any name that is asked for is.
pub(super) async fn list(
    State(shared): Sim,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    if let Some(refused) = shared.refuse_without_token(&headers) {
        return refused;
    }
    let wanted = query.get("name");
    let created = created(&shared, wanted);
    let mut data: Vec<Value> = match (known(&shared.options), wanted) {
        (None, None) => Vec::new(),
        (None, Some(_)) if !created.is_empty() => Vec::new(),
        (None, Some(name)) => vec![json!({"name": name, "language": "en", "status": APPROVED,
            "category": category(&shared.options), "id": "594425479261596",
            "components": [{"type": "BODY", "text": "Good morning."}]})],
        (Some(all), _) => {
            // As Graph does: names that contain what is asked for.
            let named = all.iter().filter(|listed| {
                wanted.is_none_or(|name| listed.template.name.contains(name.as_str()))
            });
            named.flat_map(|listed| translations(listed, &shared.options)).collect()
        }
    };
    data.extend(created);
    Json(json!({"data": data, "paging": {"cursors": {"before": "MAZDZD", "after": "MjQZD"}}}))
        .into_response()
}

/// Takes a template for review, or refuses it with Meta's code.
pub(super) async fn create(
    State(shared): Sim,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    if let Some(refused) = shared.refuse_without_token(&headers) {
        return refused;
    }
    let draft = match draft_of(&body) {
        Ok(draft) => draft,
        Err(why) => return shared.error(400, 100, &why.to_string()),
    };
    let is_error = |remark: &&Remark| remark.severity == Severity::Error;
    let promotes = |remark: &Remark| remark.rule == "utility-promotes";
    let remarks = review(&draft);
    if let Some(bad) = remarks.iter().filter(is_error).find(|remark| !promotes(remark)) {
        return shared.error(400, 100, &format!("{}: {}", bad.place, bad.reason));
    }
    // Promotion is not refused: Meta files such a template where it belongs.
    let mut body = body;
    if remarks.iter().any(promotes) {
        body["category"] = "MARKETING".into();
    }
    let mut created = shared.templates.lock().expect("no panic while held");
    let same = |held: &Created| ["name", "language"].iter().all(|key| held.body[key] == body[key]);
    let listed = known(&shared.options).unwrap_or_default();
    let there = listed.iter().any(|held| {
        *held.template.name == *draft.name
            && held.template.languages.iter().any(|held| **held == *draft.language)
    });
    if there || created.iter().any(same) {
        let details = "There is already content in this language for this template";
        return shared.error(400, 100, details);
    }
    let id = (594_425_479_261_600 + created.len()).to_string();
    body["id"] = id.clone().into();
    let category = body["category"].clone();
    created.push(Created { body, at: Instant::now() });
    Json(json!({"id": id, "status": "PENDING", "category": category})).into_response()
}

/// Those that were handed in, as they stand now.
fn created(shared: &Shared, wanted: Option<&String>) -> Vec<Value> {
    let created = shared.templates.lock().expect("no panic while held");
    let named = |held: &&Created| {
        let name = held.body["name"].as_str().unwrap_or("");
        wanted.is_none_or(|wanted| name.contains(wanted.as_str()))
    };
    let shown = |held: &Created| {
        let mut body = held.body.clone();
        let reviewed = held.at.elapsed() >= REVIEW;
        body["status"] = if reviewed { APPROVED } else { "PENDING" }.into();
        body
    };
    created.iter().filter(named).map(shown).collect()
}

/// How a translation that was handed in stands: whether it is approved, and how many variables its
/// body has. `None`: nobody handed it in.
pub(super) fn handed_in(shared: &Shared, name: &str, language: &str) -> Option<(bool, usize)> {
    let created = shared.templates.lock().expect("no panic while held");
    let is_it = |held: &&Created| held.body["name"] == name && held.body["language"] == language;
    let held = created.iter().find(is_it)?;
    let draft = draft_of(&held.body).ok()?;
    Some((held.at.elapsed() >= REVIEW, ::templates::variables(&draft.body).len()))
}

fn category(options: &Options) -> String {
    options.category.to_uppercase()
}

fn translations<'a>(
    Listed { status, category: own, quality, template }: &'a Listed,
    options: &'a Options,
) -> impl Iterator<Item = Value> + 'a {
    template.languages.iter().map(move |language| {
        json!({"name": template.name, "language": language, "status": status,
            "category": own.clone().unwrap_or_else(|| category(options)), "id": "594425479261596",
            "quality_score": {"score": quality.as_deref().unwrap_or("UNKNOWN")},
            "parameter_format": format(template), "components": components(template)})
    })
}

fn format(template: &TemplateDefinition) -> &'static str {
    match template.parameter_format {
        ParameterFormat::Named => "NAMED",
        ParameterFormat::Positional => "POSITIONAL",
    }
}

/// As they were submitted, so far as the definition tells: its texts are not known.
fn components(template: &TemplateDefinition) -> Vec<Value> {
    let positional = template.parameter_format == ParameterFormat::Positional;
    let mut components = Vec::new();
    match template.header {
        HeaderFormat::None => {}
        HeaderFormat::Text => {
            let name = template.header_parameter.as_deref().unwrap_or("1");
            let text = format!("For {{{{{name}}}}}");
            components.push(json!({"type": "HEADER", "format": "TEXT", "text": text}));
        }
        media => {
            let format = media.as_str().to_uppercase();
            components.push(json!({"type": "HEADER", "format": format}));
        }
    }
    let names = (1..).zip(&template.body_parameters);
    let variables = names.map(|(at, name)| match positional {
        true => format!("{{{{{at}}}}}"),
        false => format!("{{{{{name}}}}}"),
    });
    let text = format!("Good morning {}.", variables.collect::<Vec<_>>().join(", "));
    components.push(json!({"type": "BODY", "text": text}));
    if !template.buttons.is_empty() {
        let buttons: Vec<Value> = template.buttons.iter().map(|button| shown(*button)).collect();
        components.push(json!({"type": "BUTTONS", "buttons": buttons}));
    }
    components
}

fn shown(button: ButtonFormat) -> Value {
    match button {
        ButtonFormat::QuickReply => json!({"type": "QUICK_REPLY", "text": "Help"}),
        ButtonFormat::Url => json!({"type": "URL", "text": "Open", "url": "https://x.in/{{1}}"}),
        ButtonFormat::CopyCode => json!({"type": "COPY_CODE", "text": "Copy"}),
        ButtonFormat::Fixed => json!({"type": "PHONE_NUMBER", "text": "Call"}),
    }
}
