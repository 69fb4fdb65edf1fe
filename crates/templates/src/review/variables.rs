//! Variables: where they stand, what they are called, and the texts that Meta's reviewers see.

use std::collections::BTreeSet;

use super::{BODY_MAX, Remarks};
use crate::clean::clean;
use crate::draft::{Draft, DraftHeaderFormat, render};
use crate::{ParameterFormat, variables};

/// Words of fixed text that Meta wants for each variable; fewer are refused as 2388293. Meta does
/// not say the number: refusals are seen from fewer than three on (a warning here).
const WORDS_A_VARIABLE: usize = 3;

pub(super) fn check(draft: &Draft, remarks: &mut Remarks) {
    text(&draft.body, "body", draft.parameter_format, remarks);
    header(draft, remarks);
    for (at, card) in draft.cards.iter().enumerate() {
        let place = format!("cards[{at}].body");
        let body = card.body.as_deref().unwrap_or("");
        text(body, &place, draft.parameter_format, remarks);
        for name in variables(body).iter().filter(|name| !card.samples.contains_key(*name)) {
            remarks.error("sample-missing", &place, format!("{{{{{name}}}}} has no sample"));
        }
    }
    samples(draft, remarks);
    rendered(draft, remarks);
}

/// How many characters a body has whose variables are filled.
pub fn rendered_chars<'a>(body: &str, value: impl Fn(&str) -> Option<&'a str>) -> usize {
    render(body, value).chars().count()
}

fn header(draft: &Draft, remarks: &mut Remarks) {
    let text = draft.header_text();
    let names = variables(text);
    if text.matches("{{").count() > 1 {
        remarks.error("variable-header", "header", "a header has at most one variable (2388047)");
    }
    braces(text, "header", remarks);
    let positional = draft.parameter_format == ParameterFormat::Positional;
    for name in &names {
        form(name, "header", draft.parameter_format, remarks);
        if positional && name != "1" {
            let reason = format!("{{{{{name}}}}}: a header's only variable is {{{{1}}}}");
            remarks.error("variable-sequence", "header", reason);
        }
        if !draft.samples.contains_key(key_of_header(draft, name)) {
            let reason = format!("{{{{{name}}}}} has no sample");
            remarks.error("sample-missing", "header", reason);
        }
    }
}

/// Under which name the sample of a header's variable stands.
fn key_of_header<'a>(draft: &Draft, name: &'a str) -> &'a str {
    match draft.parameter_format {
        ParameterFormat::Named => name,
        ParameterFormat::Positional => "header",
    }
}

fn text(text: &str, place: &str, format: ParameterFormat, remarks: &mut Remarks) {
    braces(text, place, remarks);
    let names = variables(text);
    if names.is_empty() {
        return;
    }
    let trimmed = text.trim();
    if trimmed.starts_with("{{") {
        remarks.error("variable-first", place, "the text begins with a variable (2388299)");
    } else if trimmed
        .trim_start_matches(|c: char| !c.is_alphanumeric() && c != '{')
        .starts_with("{{")
    {
        let reason =
            "only marks stand before the first variable: some reviews refuse that as 2388299";
        remarks.warn("variable-first", place, reason);
    }
    if trimmed.ends_with("}}") {
        remarks.error("variable-last", place, "the text ends with a variable (2388299)");
    } else if trimmed.trim_end_matches(['.', '!', '?', ',', ';', ':', '।']).ends_with("}}") {
        let reason = "only a mark follows the last variable: some reviews refuse that as 2388299";
        remarks.warn("variable-last", place, reason);
    }
    if touching(text) {
        let reason = "two variables stand side by side without a word between them";
        remarks.error("variable-touching", place, reason);
    }
    for name in &names {
        form(name, place, format, remarks);
    }
    if format == ParameterFormat::Positional {
        let seen: BTreeSet<usize> = names.iter().filter_map(|name| name.parse().ok()).collect();
        if !seen.iter().copied().eq(1..=names.len()) {
            let reason = "positional variables are {{1}}, {{2}} … without a gap";
            remarks.error("variable-sequence", place, reason);
        }
    }
    let words = super::strip_variables(text)
        .split_whitespace()
        .filter(|word| word.chars().any(char::is_alphanumeric))
        .count();
    let times = text.matches("{{").count();
    if words < times * WORDS_A_VARIABLE {
        let reason = format!(
            "{words} words of fixed text for {times} variables: too few are refused (2388293)"
        );
        remarks.warn("variable-density", place, reason);
    }
}

/// Braces that are no variable: `{name}`, `{{name}`, `{{ }}`.
fn braces(text: &str, place: &str, remarks: &mut Remarks) {
    let mut rest = text;
    let mut odd = false;
    while let Some(at) = rest.find(['{', '}']) {
        let tail = &rest[at..];
        let whole = tail.strip_prefix("{{").and_then(|inner| inner.split_once("}}"));
        match whole.filter(|(name, _)| !name.contains(['{', '}', '\n'])) {
            Some((name, after)) => {
                if name.trim() != name {
                    let reason = "no blanks inside of the braces: {{name}}, not {{ name }}";
                    remarks.error("variable-form", place, reason);
                }
                rest = after;
            }
            None => {
                odd = true;
                rest = &tail[1..];
            }
        }
    }
    if odd {
        let reason = "braces that are no variable: expected {{name}} or {{1}}, each closed";
        remarks.error("variable-braces", place, reason);
    }
}

fn form(name: &str, place: &str, format: ParameterFormat, remarks: &mut Remarks) {
    if name.contains(['#', '$', '%']) {
        let reason = "a variable's name holds none of # $ %";
        return remarks.error("variable-signs", place, reason);
    }
    let lower = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let digits = !name.is_empty() && name.chars().all(|c| c.is_ascii_digit());
    let good = match format {
        ParameterFormat::Named => !digits && !name.is_empty() && name.chars().all(lower),
        ParameterFormat::Positional => digits && !name.starts_with('0'),
    };
    if !good {
        let expected = match format {
            ParameterFormat::Named => "lower-case letters, digits and _, such as {{first_name}}",
            ParameterFormat::Positional => "numbers from {{1}} on",
        };
        let reason = format!("a variable's name: expected {expected}");
        remarks.error("variable-form", place, reason);
    }
}

/// Whether between two variables there is nothing but blanks.
fn touching(text: &str) -> bool {
    let mut parts = text.split("}}");
    let first = parts.next();
    first.is_some() && parts.any(|after| after.trim_start().starts_with("{{"))
}

fn samples(draft: &Draft, remarks: &mut Remarks) {
    let names = variables(&draft.body);
    for name in names.iter().filter(|name| !draft.samples.contains_key(*name)) {
        remarks.error("sample-missing", "body", format!("{{{{{name}}}}} has no sample"));
    }
    let of_header = variables(draft.header_text());
    for (name, sample) in &draft.samples {
        let place = format!("samples.{name}");
        let used =
            names.contains(name) || of_header.iter().any(|held| key_of_header(draft, held) == name);
        if !used {
            remarks.warn("sample-unused", &place, "no variable has that name");
        }
        match clean(sample) {
            Err(why) => remarks.error("sample-form", &place, format!("{why} (132018)")),
            Ok(cleaned) if cleaned != *sample => {
                let reason = "line breaks, tabs and more than three blanks in a row are not taken in a parameter (132018)";
                remarks.error("sample-form", &place, reason);
            }
            Ok(_) if sample.contains("{{") => {
                remarks.error("sample-form", &place, "a sample is a text, not a variable");
            }
            Ok(_) => {}
        }
    }
}

fn rendered(draft: &Draft, remarks: &mut Remarks) {
    let chars = draft.rendered_body().chars().count();
    let is_text = draft.header.as_ref().is_none_or(|h| h.format == DraftHeaderFormat::Text);
    if chars > BODY_MAX && draft.body.chars().count() <= BODY_MAX {
        let where_from = if is_text { "body" } else { "caption" };
        let reason = format!(
            "{chars} characters with the samples, at most {BODY_MAX} are sent as a {where_from} (132005)"
        );
        remarks.error("body-rendered-long", "body", reason);
    }
}
