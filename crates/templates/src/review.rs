//! What Meta would refuse in a draft, and what people would regret: before anything is submitted.
//!
//! Each rule has an id that `[lint] allow = […]` switches off, a place and a reason. Pure.
//! Sources: Meta, "Message templates" and its error codes 2388040, 2388047, 2388072, 2388073,
//! 2388293, 2388299, 132005, 132018; what has no source of Meta's is a warning.

mod buttons;
mod kinds;
pub mod packs;
mod style;
mod together;
mod variables;

use serde::Serialize;

use crate::draft::{Draft, DraftCategory, DraftHeader, DraftHeaderFormat};
use crate::lint::Severity;

pub use together::together;
pub use variables::rendered_chars;

/// Longest texts, in characters.
const NAME_MAX: usize = 512;
const HEADER_MAX: usize = 60;
const BODY_MAX: usize = 1_024;
const OFFER_BODY_MAX: usize = 600;
const CARD_BODY_MAX: usize = 160;
const FOOTER_MAX: usize = 60;

/// Every rule of this room, for the configuration to be checked against.
pub const REVIEW_RULES: &[&str] = &[
    "template-name",
    "template-language",
    "text-signs",
    "header-empty",
    "header-long",
    "header-signs",
    "header-sample",
    "header-kind",
    "body-empty",
    "body-long",
    "body-rendered-long",
    "body-blank-lines",
    "footer-long",
    "footer-variable",
    "footer-signs",
    "footer-empty",
    "variable-first",
    "variable-last",
    "variable-touching",
    "variable-sequence",
    "variable-form",
    "variable-braces",
    "variable-signs",
    "variable-density",
    "variable-header",
    "sample-missing",
    "sample-unused",
    "sample-form",
    "button-count",
    "button-group",
    "button-label",
    "button-twice",
    "button-alone",
    "button-url",
    "button-phone",
    "button-code",
    "button-needs",
    "button-hidden",
    "authentication-form",
    "offer-form",
    "carousel-form",
    "products-form",
    "ttl-range",
    "utility-promotes",
    "marketing-no-way-out",
    "style-emoji",
    "style-capitals",
    "style-exclamation",
    "style-no-action",
    "style-wall-of-text",
    "style-short-link",
    "same-text",
    "same-name",
    "translations-differ",
    "pack-banned",
    "pack-required",
    "pack-unreviewed",
];

/// One thing to put right. Repeats nothing of a parameter's value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Remark {
    pub rule: &'static str,
    #[serde(serialize_with = "severity_word")]
    pub severity: Severity,
    /// `body`, `header`, `buttons[2].url`, `cards[1].body` …
    pub place: String,
    pub reason: String,
}

fn severity_word<S: serde::Serializer>(severity: &Severity, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(severity.as_str())
}

/// Remarks as they are made.
#[derive(Default)]
struct Remarks(Vec<Remark>);

impl Remarks {
    fn error(&mut self, rule: &'static str, place: &str, reason: impl Into<String>) {
        self.note(rule, Severity::Error, place, reason.into());
    }

    fn warn(&mut self, rule: &'static str, place: &str, reason: impl Into<String>) {
        self.note(rule, Severity::Warning, place, reason.into());
    }

    fn note(&mut self, rule: &'static str, severity: Severity, place: &str, reason: String) {
        debug_assert!(REVIEW_RULES.contains(&rule), "{rule} is not listed");
        self.0.push(Remark { rule, severity, place: place.to_owned(), reason });
    }
}

/// Everything about one draft by itself; [`together`] holds several against one another.
pub fn review(draft: &Draft) -> Vec<Remark> {
    let mut remarks = Remarks::default();
    names(draft, &mut remarks);
    style::signs(draft, &mut remarks);
    if let Some(header) = &draft.header {
        check_header(header, "header", &mut remarks);
    }
    check_body(draft, &mut remarks);
    check_footer(draft, &mut remarks);
    variables::check(draft, &mut remarks);
    buttons::check(draft, &mut remarks);
    kinds::check(draft, &mut remarks);
    style::check(draft, &mut remarks);
    remarks.0
}

/// 1 to 512 of a to z, 0 to 9 and `_`.
pub fn is_template_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    (1..=NAME_MAX).contains(&name.len()) && name.chars().all(plain)
}

/// `hi`, `en_US`: Meta takes neither `en-US` nor `EN` nor `English`.
pub fn is_language(code: &str) -> bool {
    let (language, region) = code.split_once('_').unwrap_or((code, "XX"));
    let lower =
        (2..=3).contains(&language.len()) && language.bytes().all(|b| b.is_ascii_lowercase());
    lower && region.len() == 2 && region.bytes().all(|b| b.is_ascii_uppercase())
}

fn names(draft: &Draft, remarks: &mut Remarks) {
    if !is_template_name(&draft.name) {
        let reason = format!("expected 1 to {NAME_MAX} lower-case letters, digits and _");
        remarks.error("template-name", "name", reason);
    }
    if !is_language(&draft.language) {
        remarks.error("template-language", "language", "expected Meta's codes: hi, en_US");
    }
}

fn check_header(header: &DraftHeader, place: &str, remarks: &mut Remarks) {
    let text = header.text.as_deref().unwrap_or("");
    let format = header.format.as_str();
    if header.format != DraftHeaderFormat::Text {
        if !text.is_empty() {
            let reason = format!("a header of format {format} has no text");
            remarks.error("header-kind", place, reason);
        }
        if header.format.has_file() && header.sample.as_deref().unwrap_or("").trim().is_empty() {
            let reason = format!(
                "Meta wants to see a sample {format}: header.sample is a handle of its upload (4::…)"
            );
            remarks.error("header-sample", place, reason);
        }
        let handle = header.sample.as_deref().unwrap_or("");
        if header.format.has_file() && !handle.trim().is_empty() && !handle.starts_with("4:") {
            let reason = "Meta takes a handle of an upload (4::…) only: upload the file in the WhatsApp Manager, or hand it in there";
            remarks.warn("header-sample", place, reason);
        }
        if header.format == DraftHeaderFormat::Gif {
            let reason = "Cloud API sends no GIF headers, only the Marketing Messages API does";
            remarks.warn("header-kind", place, reason);
        }
        return;
    }
    if text.trim().is_empty() {
        remarks.error("header-empty", place, "a text header has no text");
    }
    let chars = text.chars().count();
    if chars > HEADER_MAX {
        let reason = format!("{chars} characters, at most {HEADER_MAX} are taken (2388047)");
        remarks.error("header-long", place, reason);
    }
    let marks = |c: char| matches!(c, '\n' | '\r' | '\t' | '*' | '_' | '~' | '`');
    let plain = strip_variables(text);
    if plain.contains(marks) || plain.chars().any(style::is_emoji) {
        let reason =
            "line breaks, emojis and the marks * _ ~ ` are not taken in a header (2388072)";
        remarks.error("header-signs", place, reason);
    }
}

fn check_body(draft: &Draft, remarks: &mut Remarks) {
    let max = match (&draft.limited_time_offer, draft.cards.is_empty()) {
        (Some(_), _) => OFFER_BODY_MAX,
        _ if draft.buttons.iter().any(|b| b.kind == crate::draft::ButtonKind::Spm) => CARD_BODY_MAX,
        _ => BODY_MAX,
    };
    let chars = draft.body.chars().count();
    let authentication = draft.category == DraftCategory::Authentication;
    if draft.body.trim().is_empty() && !authentication {
        remarks.error("body-empty", "body", "a template has a text");
    }
    if chars > max {
        let reason = format!("{chars} characters, at most {max} are taken (2388040)");
        remarks.error("body-long", "body", reason);
    }
    if draft.body.contains("\n\n\n") || draft.body.contains("    ") {
        let reason = "more than two line breaks, or more than three blanks in a row: reviewers refuse such texts at times";
        remarks.warn("body-blank-lines", "body", reason);
    }
}

fn check_footer(draft: &Draft, remarks: &mut Remarks) {
    let Some(footer) = &draft.footer else { return };
    let chars = footer.chars().count();
    if footer.trim().is_empty() {
        remarks.error("footer-empty", "footer", "it is empty: leave it out");
    }
    if chars > FOOTER_MAX {
        let reason = format!("{chars} characters, at most {FOOTER_MAX} are taken (2388073)");
        remarks.error("footer-long", "footer", reason);
    }
    if footer.contains("{{") || footer.contains("}}") {
        remarks.error("footer-variable", "footer", "a footer has no variables (2388073)");
    }
    if footer.contains(['\n', '\r', '\t']) || footer.chars().any(style::is_emoji) {
        let reason = "line breaks and emojis are not taken in a footer (2388073)";
        remarks.error("footer-signs", "footer", reason);
    }
}

fn strip_variables(text: &str) -> String {
    crate::draft::render(text, |_| Some(""))
}

#[cfg(test)]
mod tests;
