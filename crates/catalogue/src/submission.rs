//! What handing a draft in would do, beside what Meta has already. Pure.

use cloud_api::management::{AtMeta, creation};
use templates::draft::Draft;

use crate::files::{family_of, name_of};

/// What follows for one draft.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Meta has no such translation.
    Submit,
    /// Meta has it, as it is written here.
    There { status: String },
    /// Meta has another text under that name: a version is never edited, the change is a new one.
    Differs { status: String, parts: Vec<String> },
    /// What Meta has cannot be read as a draft, so nobody knows whether it is the same.
    Unread { status: String, why: String },
}

/// Compares a draft with the translations of its name at Meta.
pub fn step(draft: &Draft, at_meta: &[AtMeta]) -> Step {
    let found = at_meta.iter().find(|at| at.name == draft.name && at.language == draft.language);
    let Some(found) = found else { return Step::Submit };
    let status = found.status.clone();
    match &found.draft {
        Err(why) => Step::Unread { status, why: why.to_string() },
        Ok(theirs) => match differences(draft, theirs) {
            parts if parts.is_empty() => Step::There { status },
            parts => Step::Differs { status, parts },
        },
    }
}

/// The parts in which two drafts differ for a reader. Samples are Meta's reviewers' alone.
pub fn differences(ours: &Draft, theirs: &Draft) -> Vec<String> {
    let bare = |draft: &Draft| {
        let mut draft = draft.clone();
        draft.samples.clear();
        draft.reviewed_by = None;
        if let Some(header) = &mut draft.header {
            header.sample = None;
        }
        for button in
            draft.buttons.iter_mut().chain(draft.cards.iter_mut().flat_map(|c| &mut c.buttons))
        {
            button.sample = None;
        }
        for card in &mut draft.cards {
            card.samples.clear();
            if let Some(header) = &mut card.header {
                header.sample = None;
            }
        }
        draft
    };
    let (ours, theirs) = (bare(ours), bare(theirs));
    let mut parts = Vec::new();
    let mut differ = |what: &str, same: bool| {
        if !same {
            parts.push(what.to_owned());
        }
    };
    differ("category", ours.category == theirs.category);
    differ("header", ours.header == theirs.header);
    differ("body", ours.body.trim() == theirs.body.trim());
    differ("footer", ours.footer == theirs.footer);
    differ("buttons", ours.buttons == theirs.buttons);
    differ("cards", ours.cards == theirs.cards);
    differ("limited_time_offer", ours.limited_time_offer == theirs.limited_time_offer);
    differ("authentication", ours.authentication == theirs.authentication);
    // Without variables Graph calls every template positional.
    differ(
        "parameter_format",
        creation(&ours)["parameter_format"] == creation(&theirs)["parameter_format"],
    );
    parts
}

/// Meta wants a handle of an upload, not a path.
pub fn needs_file(draft: &Draft) -> bool {
    let headers = draft.header.iter().chain(draft.cards.iter().flat_map(|card| &card.header));
    let handle = |sample: &str| sample.starts_with("4:");
    headers.filter(|h| h.format.has_file()).any(|h| !h.sample.as_deref().is_some_and(handle))
}

/// A name that nobody has yet.
pub fn next_version(name: &str, at_meta: &[AtMeta]) -> String {
    let family = family_of(name).0;
    let versions = at_meta.iter().map(|at| family_of(&at.name));
    let last = versions.filter(|(of, _)| *of == family).filter_map(|(_, version)| version).max();
    name_of(family, last.unwrap_or(1) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(text: &str) -> Draft {
        toml::from_str(&format!(
            "name = \"daily_pack_v2\"\nlanguage = \"en\"\ncategory = \"utility\"\nbody = {text:?}\n[samples]\nname = \"Asha\"\n"
        ))
        .unwrap()
    }

    fn at_meta(draft: Draft) -> AtMeta {
        AtMeta {
            id: "1".into(),
            name: draft.name.clone(),
            language: draft.language.clone(),
            status: "APPROVED".into(),
            category: "UTILITY".into(),
            quality: String::new(),
            rejected: String::new(),
            category_news: String::new(),
            draft: Ok(draft),
        }
    }

    #[test]
    fn a_version_is_handed_in_once_and_never_edited() {
        let ours = draft("Good morning {{name}}, here it is.");
        assert_eq!(step(&ours, &[]), Step::Submit);
        let mut theirs = ours.clone();
        theirs.samples.insert("name".into(), "Bina".into());
        let status = "APPROVED".to_owned();
        assert_eq!(step(&ours, &[at_meta(theirs)]), Step::There { status: status.clone() });
        let other = at_meta(draft("Good evening {{name}}, here it is."));
        let parts = vec!["body".to_owned()];
        assert_eq!(step(&ours, std::slice::from_ref(&other)), Step::Differs { status, parts });
        let german = AtMeta { language: "de".into(), ..other };
        assert_eq!(step(&ours, &[german]), Step::Submit);
    }
}
