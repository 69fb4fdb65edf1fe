//! What a template expects, as the operator declares it in the configuration.
//!
//! Checked against every recipient's call when a run is planned: a count that does not
//! match would be refused at 06:00 as 132000, a format as 132012.

use serde::{Deserialize, Serialize};

use crate::clean::{CleanError, clean};
use domain::outbound::{ButtonCall, Header, Media, MediaKind, Param, TemplateCall};
use domain::{Language, TemplateName};

/// Longest rendered body (132005).
const BODY_CHARS_MAX: usize = 1_024;
/// Longest quick-reply payload that is safe everywhere, and the limit of a coupon code.
const PAYLOAD_CHARS_MAX: usize = 256;
const COUPON_CHARS_MAX: usize = 20;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ParameterFormat {
    #[default]
    Named,
    Positional,
}

/// The kind of header a template was approved with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HeaderFormat {
    #[default]
    None,
    /// A text with one variable. A fixed header text needs no parameter: use `none`.
    Text,
    Image,
    Video,
    Document,
}

/// The kinds of buttons that take a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ButtonFormat {
    QuickReply,
    Url,
    CopyCode,
    /// A button without a parameter (phone, fixed URL): keeps the count right.
    Fixed,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemplateDefinition {
    pub name: TemplateName,
    /// Translations that Meta has approved, e.g. `["en", "hi"]`.
    pub languages: Vec<Language>,
    #[serde(default)]
    pub parameter_format: ParameterFormat,
    #[serde(default)]
    pub header: HeaderFormat,
    /// The name of a text header's variable, when the template's parameters are named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header_parameter: Option<String>,
    /// Body variables in order: names, or `1`, `2`… when positional.
    #[serde(default)]
    pub body_parameters: Vec<String>,
    #[serde(default)]
    pub buttons: Vec<ButtonFormat>,
    /// The approved body text with its `{{variables}}`, to check the rendered length.
    #[serde(default)]
    pub body_text: Option<String>,
}

/// Why a call does not fit its template. Names the part, never the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCall {
    #[error("parameter {0:?} is missing (132000)")]
    Missing(String),
    #[error("parameter {0:?} is not in template {1:?} (132000)")]
    Extra(String, TemplateName),
    #[error("parameter {0:?} {1}")]
    Text(String, CleanError),
    #[error("language {0:?} has no approved translation of template {1:?}, which has {2} (132001)")]
    Language(domain::Language, TemplateName, String),
    #[error("the template has a {wanted} header, the content has {found} (132012)")]
    Header { wanted: &'static str, found: &'static str },
    #[error("button {0} {1}")]
    Button(u8, &'static str),
    #[error("the rendered body has {0} characters, at most 1024 are taken (132005)")]
    BodyTooLong(usize),
}

impl TemplateDefinition {
    /// Cleans and orders a call's parameters, and checks it against the template.
    ///
    /// # Errors
    /// The first thing that Cloud API would refuse.
    pub fn fit(&self, call: TemplateCall) -> Result<TemplateCall, BadCall> {
        if !self.languages.contains(&call.language) {
            let known = self.languages.join(", ");
            return Err(BadCall::Language(call.language, self.name.clone(), known));
        }
        let header = self.fit_header(call.header)?;
        let body = self.fit_body(call.body)?;
        let buttons = self.fit_buttons(call.buttons)?;
        Ok(TemplateCall { header, body, buttons, ..call })
    }

    fn fit_header(&self, header: Option<Header>) -> Result<Option<Header>, BadCall> {
        let found = match &header {
            None => "none",
            Some(Header::Text(_)) => "text",
            Some(Header::Media { kind, .. }) => kind.as_str(),
        };
        let wanted = self.header.as_str();
        if wanted != found {
            return Err(BadCall::Header { wanted, found });
        }
        match header {
            Some(Header::Text(param)) => {
                let text = clean(&param.text).map_err(|e| BadCall::Text("header".into(), e))?;
                Ok(Some(Header::Text(Param { name: self.header_parameter.clone(), text })))
            }
            Some(Header::Media { media: Media::Link(link), .. })
                if !link.starts_with("https://") =>
            {
                Err(BadCall::Header { wanted, found: "a link that is not https" })
            }
            other => Ok(other),
        }
    }

    fn fit_body(&self, mut given: Vec<Param>) -> Result<Vec<Param>, BadCall> {
        let mut body = Vec::with_capacity(self.body_parameters.len());
        for (position, name) in self.body_parameters.iter().enumerate() {
            let at = given.iter().position(|param| match &param.name {
                Some(given) => given == name,
                None => position == body.len(),
            });
            let param =
                at.map(|at| given.remove(at)).ok_or_else(|| BadCall::Missing(name.clone()))?;
            let text = clean(&param.text).map_err(|e| BadCall::Text(name.clone(), e))?;
            body.push(match self.parameter_format {
                ParameterFormat::Named => Param::named(name, text),
                ParameterFormat::Positional => Param::positional(text),
            });
        }
        if let Some(extra) = given.into_iter().next() {
            let name = extra.name.unwrap_or_else(|| (body.len() + 1).to_string());
            return Err(BadCall::Extra(name, self.name.clone()));
        }
        match self.rendered_chars(&body) {
            Some(chars) if chars > BODY_CHARS_MAX => Err(BadCall::BodyTooLong(chars)),
            _ => Ok(body),
        }
    }

    fn rendered_chars(&self, body: &[Param]) -> Option<usize> {
        let mut text = self.body_text.clone()?;
        for (name, param) in self.body_parameters.iter().zip(body) {
            text = text.replace(&format!("{{{{{name}}}}}"), &param.text);
        }
        Some(text.chars().count())
    }

    fn fit_buttons(&self, calls: Vec<ButtonCall>) -> Result<Vec<ButtonCall>, BadCall> {
        for call in &calls {
            let Some(format) = self.buttons.get(usize::from(call.index())) else {
                return Err(BadCall::Button(call.index(), "is not in the template (132000)"));
            };
            check_button(*format, call)?;
        }
        for (index, format) in self.buttons.iter().enumerate() {
            let index = u8::try_from(index).unwrap_or(u8::MAX);
            let needed = matches!(format, ButtonFormat::Url | ButtonFormat::CopyCode);
            if needed && !calls.iter().any(|call| call.index() == index) {
                return Err(BadCall::Button(index, "has no parameter (132000)"));
            }
        }
        Ok(calls)
    }
}

/// The names in double braces, each once, in the order of a template's text.
pub fn variables(text: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let opened = text.split("{{").skip(1);
    for name in opened.filter_map(|rest| rest.split_once("}}")).map(|(name, _)| name.trim()) {
        if !names.iter().any(|held| held == name) {
            names.push(name.to_owned());
        }
    }
    names
}

fn check_button(format: ButtonFormat, call: &ButtonCall) -> Result<(), BadCall> {
    let (fits, text, max) = match call {
        ButtonCall::QuickReply { payload, .. } => {
            (format == ButtonFormat::QuickReply, payload, PAYLOAD_CHARS_MAX)
        }
        ButtonCall::Url { suffix, .. } => (format == ButtonFormat::Url, suffix, 2_000),
        ButtonCall::CopyCode { code, .. } => {
            (format == ButtonFormat::CopyCode, code, COUPON_CHARS_MAX)
        }
    };
    if !fits {
        return Err(BadCall::Button(call.index(), "is of another kind in the template (132012)"));
    }
    if text.is_empty() || text.chars().count() > max || text.chars().any(char::is_control) {
        return Err(BadCall::Button(call.index(), "has an empty or too long parameter (132018)"));
    }
    Ok(())
}

impl HeaderFormat {
    pub const fn as_str(self) -> &'static str {
        match self {
            HeaderFormat::None => "none",
            HeaderFormat::Text => "text",
            HeaderFormat::Image => "image",
            HeaderFormat::Video => "video",
            HeaderFormat::Document => "document",
        }
    }

    pub const fn media_kind(self) -> Option<MediaKind> {
        match self {
            HeaderFormat::Image => Some(MediaKind::Image),
            HeaderFormat::Video => Some(MediaKind::Video),
            HeaderFormat::Document => Some(MediaKind::Document),
            HeaderFormat::None | HeaderFormat::Text => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template() -> TemplateDefinition {
        TemplateDefinition {
            name: "daily_pack".into(),
            languages: vec!["en".into(), "hi".into()],
            parameter_format: ParameterFormat::Named,
            header: HeaderFormat::None,
            header_parameter: None,
            body_parameters: vec!["first_name".into(), "headline".into()],
            buttons: vec![ButtonFormat::QuickReply, ButtonFormat::Url],
            body_text: Some("Good morning {{first_name}}. {{headline}}".into()),
        }
    }

    fn call(body: Vec<Param>) -> TemplateCall {
        TemplateCall {
            name: "daily_pack".into(),
            language: "hi".into(),
            header: None,
            body,
            buttons: vec![ButtonCall::Url { index: 1, suffix: "packs/1".into() }],
        }
    }

    fn both() -> Vec<Param> {
        vec![Param::named("headline", "NIFTY\nup"), Param::named("first_name", "Asha")]
    }

    #[test]
    fn parameters_are_cleaned_and_put_in_the_templates_order() {
        let fitted = template().fit(call(both())).unwrap();
        assert_eq!(
            fitted.body,
            vec![Param::named("first_name", "Asha"), Param::named("headline", "NIFTY up")]
        );
        let positional =
            TemplateDefinition { parameter_format: ParameterFormat::Positional, ..template() };
        assert_eq!(positional.fit(call(both())).unwrap().body[0], Param::positional("Asha"));
        let in_order = vec![Param::positional("Asha"), Param::positional("NIFTY up")];
        assert_eq!(template().fit(call(in_order)).unwrap(), fitted);
    }

    #[test]
    fn what_cloud_api_would_refuse_is_named_with_its_code() {
        let long = Param::named("headline", "x".repeat(1_010));
        let extra = Param::named("mood", "good");
        let cases: Vec<(&str, TemplateCall)> = vec![
            ("parameter \"headline\" is missing (132000)", call(both().split_off(1))),
            ("\"mood\" is not in template", call([both(), vec![extra]].concat())),
            ("is empty", call(vec![Param::named("first_name", " "), both().remove(0)])),
            ("rendered body has 1029", call(vec![Param::named("first_name", "Asha"), long])),
            ("(132001)", TemplateCall { language: "ta".into(), ..call(both()) }),
            ("button 1 has no parameter", TemplateCall { buttons: vec![], ..call(both()) }),
            (
                "the template has a none header, the content has image",
                TemplateCall {
                    header: Some(Header::Media {
                        kind: MediaKind::Image,
                        media: Media::Id("1".into()),
                        filename: None,
                    }),
                    ..call(both())
                },
            ),
            (
                "button 0 is of another kind",
                TemplateCall {
                    buttons: vec![ButtonCall::Url { index: 0, suffix: "x".into() }],
                    ..call(both())
                },
            ),
        ];
        for (want, call) in cases {
            let got = template().fit(call).unwrap_err().to_string();
            assert!(got.contains(want), "{got}");
            assert!(!got.contains("Asha"), "a parameter's text in {got}");
        }
    }
}
