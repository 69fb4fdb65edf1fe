//! Drafts held against one another: names, texts, and the translations of one version.

use std::collections::HashMap;

use super::Remark;
use crate::draft::{Draft, DraftCategory};
use crate::lint::Severity;
use crate::variables;

/// What is wrong between drafts, each remark with the index of the draft it is about.
pub fn together(drafts: &[Draft]) -> Vec<(usize, Remark)> {
    let mut remarks = Vec::new();
    let mut say = |at: usize, rule, severity, place: &str, reason: String| {
        remarks.push((at, Remark { rule, severity, place: place.to_owned(), reason }));
    };
    let (mut names, mut texts) = (HashMap::new(), HashMap::new());
    let mut versions: HashMap<&str, usize> = HashMap::new();
    for (at, draft) in drafts.iter().enumerate() {
        let key = (draft.name.as_str(), draft.language.as_str());
        if names.insert(key, at).is_some() {
            let reason = format!("another draft is {} in {}, too", draft.name, draft.language);
            say(at, "same-name", Severity::Error, "name", reason);
            continue;
        }
        let text = (draft.body.trim(), draft.footer.as_deref().unwrap_or("").trim());
        if draft.category != DraftCategory::Authentication
            && let Some(first) = texts.insert(text, at)
        {
            let other = &drafts[first];
            let reason = format!(
                "{} in {} has the same body and footer: Meta refuses the second of two",
                other.name, other.language
            );
            say(at, "same-text", Severity::Error, "body", reason);
        }
        let first = *versions.entry(&draft.name).or_insert(at);
        for what in differences(&drafts[first], draft) {
            let reason = format!(
                "{what} than in {}: one call fits all translations",
                drafts[first].language
            );
            say(at, "translations-differ", Severity::Error, "language", reason);
        }
    }
    remarks
}

fn differences(first: &Draft, other: &Draft) -> Vec<&'static str> {
    let sorted = |text: &str| {
        let mut names = variables(text);
        names.sort();
        names
    };
    let kinds = |draft: &Draft| draft.buttons.iter().map(|b| b.kind).collect::<Vec<_>>();
    let format = |draft: &Draft| draft.header.as_ref().map(|header| header.format);
    let checks = [
        (first.category == other.category, "another category"),
        (first.parameter_format == other.parameter_format, "another form of parameters"),
        (sorted(&first.body) == sorted(&other.body), "other variables in the body"),
        (
            sorted(first.header_text()) == sorted(other.header_text()),
            "another variable in the header",
        ),
        (format(first) == format(other), "another kind of header"),
        (kinds(first) == kinds(other), "other buttons"),
        (first.cards.len() == other.cards.len(), "another number of cards"),
    ];
    checks.into_iter().filter(|(same, _)| !same).map(|(_, what)| what).collect()
}
