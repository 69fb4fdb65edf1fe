//! The account's templates: each translation, approved, with its components.

use std::collections::HashMap;

use ::templates::definition::{ButtonFormat, HeaderFormat};
use ::templates::{ParameterFormat, TemplateDefinition};
use axum::Json;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Sim;
use crate::options::Options;

pub(super) const APPROVED: &str = "APPROVED";

/// A template of the account. All of its translations have one status.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Listed {
    /// APPROVED, PAUSED, DISABLED, PENDING or REJECTED.
    pub status: String,
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
        Listed { status, template }
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
    let data: Vec<Value> = match (known(&shared.options), wanted) {
        (None, None) => Vec::new(),
        (None, Some(name)) => vec![json!({"name": name, "language": "en", "status": APPROVED,
            "category": "UTILITY", "id": "594425479261596",
            "components": [{"type": "BODY", "text": "Good morning."}]})],
        (Some(all), _) => {
            // As Graph does: names that contain what is asked for.
            let named = all.iter().filter(|listed| {
                wanted.is_none_or(|name| listed.template.name.contains(name.as_str()))
            });
            named.flat_map(translations).collect()
        }
    };
    Json(json!({"data": data, "paging": {"cursors": {"before": "MAZDZD", "after": "MjQZD"}}}))
        .into_response()
}

fn translations(Listed { status, template }: &Listed) -> impl Iterator<Item = Value> {
    template.languages.iter().map(move |language| {
        json!({"name": template.name, "language": language, "status": status,
            "category": "UTILITY", "id": "594425479261596",
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
