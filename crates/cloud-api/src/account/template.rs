//! A template's translation as Graph lists it, and whether calls that were made for a definition
//! of ours would be taken by it. Source: Meta, "Message templates" (components, parameter formats).

use std::collections::BTreeSet;

use serde::Deserialize;
use templates::definition::{ButtonFormat, HeaderFormat, ParameterFormat};
use templates::{TemplateDefinition, variables};

/// The only status of a translation that can be sent.
pub const APPROVED: &str = "APPROVED";

#[derive(Clone, Debug, Deserialize)]
pub struct TemplateInfo {
    pub name: String,
    pub language: String,
    /// [`APPROVED`], PENDING, REJECTED, PAUSED, DISABLED, …: unknown values are kept as text.
    pub status: String,
    #[serde(default)]
    pub category: String,
    #[serde(default)]
    quality_score: Option<QualityScore>,
    /// NAMED or POSITIONAL; empty when Graph does not say.
    #[serde(default)]
    parameter_format: String,
    #[serde(default)]
    components: Vec<Component>,
}

#[derive(Clone, Debug, Deserialize)]
struct QualityScore {
    #[serde(default)]
    score: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Component {
    r#type: String,
    /// Of a header: TEXT, IMAGE, VIDEO, DOCUMENT, LOCATION, …
    #[serde(default)]
    format: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    buttons: Vec<Button>,
}

#[derive(Clone, Debug, Deserialize)]
struct Button {
    r#type: String,
    #[serde(default)]
    url: String,
}

impl TemplateInfo {
    pub fn is_approved(&self) -> bool {
        self.status == APPROVED
    }

    /// Whether it is filed under this category; what Graph does not say is taken for it.
    pub fn is_of(&self, category: &str) -> bool {
        self.category.is_empty() || self.category.eq_ignore_ascii_case(category)
    }

    /// GREEN, YELLOW, RED or UNKNOWN; empty when Graph does not say.
    pub fn quality(&self) -> &str {
        self.quality_score.as_ref().map_or("", |quality| &quality.score)
    }

    /// Why calls that fit `definition` would be refused (132000, 132012), one reason each; none:
    /// they fit.
    pub fn misfits(&self, definition: &TemplateDefinition) -> Vec<String> {
        if self.components.is_empty() {
            return vec!["Meta does not say what it consists of".to_owned()];
        }
        let mut misfits = Vec::new();
        let mut differ = |what: &str, ours: String, theirs: String| {
            if ours != theirs {
                misfits.push(format!("{what}: {theirs} at Meta, {ours} in the configuration"));
            }
        };
        let body = variables(self.component("BODY").map_or("", |body| &body.text));
        let of_body = |names: &[String]| match definition.parameter_format {
            ParameterFormat::Named => listed(names),
            ParameterFormat::Positional => names.len().to_string(),
        };
        differ("body variables", of_body(&definition.body_parameters), of_body(&body));
        let (header, header_variable) = self.header();
        differ("header", definition.header.as_str().to_owned(), header);
        if !body.is_empty() || header_variable.is_some() {
            let ours = match definition.parameter_format {
                ParameterFormat::Named => "NAMED",
                ParameterFormat::Positional => "POSITIONAL",
            };
            differ("parameters", ours.to_owned(), self.format().to_owned());
        }
        if definition.header == HeaderFormat::Text
            && definition.parameter_format == ParameterFormat::Named
        {
            let ours = definition.header_parameter.clone().unwrap_or_default();
            differ("header variable", ours, header_variable.unwrap_or_default());
        }
        let no_buttons = Vec::new();
        let theirs = self.component("BUTTONS").map_or(&no_buttons, |all| &all.buttons);
        for at in 0..theirs.len().max(definition.buttons.len()) {
            let (ours, theirs) = (definition.buttons.get(at), theirs.get(at));
            if !is_same_button(ours, theirs) {
                let ours = ours.map_or("none".to_owned(), |ours| format!("{ours:?}"));
                let theirs = theirs.map_or("none", |theirs| &theirs.r#type);
                misfits.push(format!("button {at}: {theirs} at Meta, {ours} in the configuration"));
            }
        }
        misfits
    }

    fn component(&self, r#type: &str) -> Option<&Component> {
        self.components.iter().find(|component| component.r#type == r#type)
    }

    /// The header's format in our words, and the variable of its text.
    fn header(&self) -> (String, Option<String>) {
        let Some(header) = self.component("HEADER") else { return ("none".to_owned(), None) };
        let variable = variables(&header.text).into_iter().next();
        match header.format.as_str() {
            // A text without a variable takes no parameter.
            "TEXT" if variable.is_none() => ("none".to_owned(), None),
            format => (format.to_lowercase(), variable),
        }
    }

    /// Positional is what Graph means when it does not say.
    fn format(&self) -> &str {
        if self.parameter_format.is_empty() { "POSITIONAL" } else { &self.parameter_format }
    }
}

/// Named ones in any order.
fn listed(names: &[String]) -> String {
    let names: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    match names.is_empty() {
        true => "none".to_owned(),
        false => names.into_iter().collect::<Vec<_>>().join(", "),
    }
}

/// Whether the parameter that we give, or that we do not give, is one that the button takes.
fn is_same_button(ours: Option<&ButtonFormat>, theirs: Option<&Button>) -> bool {
    let theirs = theirs.map(|button| (button.r#type.as_str(), button.url.contains("{{")));
    match (ours, theirs) {
        (Some(ButtonFormat::QuickReply), Some(("QUICK_REPLY", _))) => true,
        (Some(ButtonFormat::Url), Some(("URL", has_variable))) => has_variable,
        (Some(ButtonFormat::CopyCode), Some(("COPY_CODE", _))) => true,
        (None | Some(ButtonFormat::Fixed), Some(("URL", has_variable))) => !has_variable,
        // A quick reply without a payload of ours gives its own text.
        (None | Some(ButtonFormat::Fixed), Some((kind, _))) => {
            !["COPY_CODE", "OTP", "FLOW", "MPM", "CATALOG"].contains(&kind)
        }
        (Some(_), _) => false,
        (None, None) => true,
    }
}

#[cfg(test)]
mod tests;
