//! `[campaign.template]`: an approved template as the file describes it.

use domain::Language;
use templates::definition::{ButtonFormat, HeaderFormat};
use templates::review::{is_language, is_template_name};
use templates::{ParameterFormat, TemplateDefinition};

use crate::read::Section;

/// Reads a template's table; what is odd in it is a problem of the section.
pub fn read_template(section: &mut Section) -> TemplateDefinition {
    let name = section.text("name").unwrap_or_else(|| {
        section.problem("name", "nothing", "the approved template's name, e.g. \"daily_pack\"");
        String::new()
    });
    if !name.is_empty() && !is_template_name(&name) {
        section.problem("name", &format!("{name:?}"), "1 to 512 lower-case letters, digits or _");
    }
    let languages = section.texts("languages").unwrap_or(vec!["en".to_owned()]);
    for language in languages.iter().filter(|language| !is_language(language)) {
        section.problem(
            "languages",
            &format!("{language:?}"),
            "Meta's codes such as \"hi\" or \"en_US\"",
        );
    }
    if languages.is_empty()
        || (1..languages.len()).any(|at| languages[..at].contains(&languages[at]))
    {
        section.problem("languages", &format!("{languages:?}"), "at least one, each once");
    }
    let format = section.one_of("parameter_format", &["named", "positional"], "named");
    let header = section.one_of("header", &["none", "text", "image", "video", "document"], "none");
    let header_parameter = read_header_parameter(section, header, format);
    let body_parameters = section.texts("body_parameters").unwrap_or_default();
    let body_text = section.text("body_text");
    check_variables(section, format, &body_parameters, body_text.as_deref());
    TemplateDefinition {
        name: name.into(),
        languages: languages.into_iter().map(Language::from).collect(),
        header_parameter,
        parameter_format: match format {
            "positional" => ParameterFormat::Positional,
            _ => ParameterFormat::Named,
        },
        header: match header {
            "text" => HeaderFormat::Text,
            "image" => HeaderFormat::Image,
            "video" => HeaderFormat::Video,
            "document" => HeaderFormat::Document,
            _ => HeaderFormat::None,
        },
        body_parameters,
        buttons: read_buttons(section),
        body_text,
    }
}

fn read_buttons(section: &mut Section) -> Vec<ButtonFormat> {
    let buttons = section.texts("buttons").unwrap_or_default();
    let kinds = [
        ("quick_reply", ButtonFormat::QuickReply),
        ("url", ButtonFormat::Url),
        ("copy_code", ButtonFormat::CopyCode),
        ("fixed", ButtonFormat::Fixed),
    ];
    let mut formats = Vec::new();
    for word in &buttons {
        match kinds.iter().find(|(known, _)| known == word) {
            Some((_, format)) => formats.push(*format),
            None => section.problem(
                "buttons",
                &format!("{word:?}"),
                "quick_reply, url, copy_code or fixed",
            ),
        }
    }
    formats
}

/// The name of a text header's variable: there when it must be, and only then.
fn read_header_parameter(section: &mut Section, header: &str, format: &str) -> Option<String> {
    let header_parameter = section.text("header_parameter");
    if header_parameter.is_some() && (header != "text" || format != "named") {
        let expected = "nothing, unless header = \"text\" and parameter_format = \"named\"";
        section.problem("header_parameter", "a name", expected);
    }
    if header_parameter.is_none() && header == "text" && format == "named" {
        section.problem("header_parameter", "nothing", "the name of the header's variable");
    }
    header_parameter
}

/// Variables against the approved text: the same ones, and positional ones from 1 on.
fn check_variables(section: &Section, format: &str, names: &[String], text: Option<&str>) {
    if (1..names.len()).any(|at| names[..at].contains(&names[at])) {
        section.problem("body_parameters", &format!("{names:?}"), "each variable once");
    }
    let positions: Vec<String> = (1..=names.len()).map(|n| n.to_string()).collect();
    let numbered = names.iter().any(|name| name.bytes().all(|b| b.is_ascii_digit()));
    if format == "named" && numbered {
        section.problem(
            "body_parameters",
            &format!("{names:?}"),
            "names, or parameter_format = \"positional\"",
        );
    }
    let Some(text) = text else { return };
    let mut found: Vec<String> = Vec::new();
    for part in text.split("{{").skip(1) {
        let name = part.split("}}").next().unwrap_or("").trim().to_owned();
        if !found.contains(&name) {
            found.push(name);
        }
    }
    let wanted = if format == "positional" { &positions } else { names };
    let (mut a, mut b) = (found.clone(), wanted.to_vec());
    a.sort();
    b.sort();
    if a != b {
        let expected = format!("the variables of body_text: {}", found.join(", "));
        section.problem("body_parameters", &format!("{names:?}"), &expected);
    }
}
