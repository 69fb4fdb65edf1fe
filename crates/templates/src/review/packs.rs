//! Rule packs: phrases that a regulator, or a house, forbids or asks for, each with its clause.
//!
//! A pack is data with a version, so that a rule can be shown as it stood on a day. What a pack
//! says of languages that nobody reviewed is a warning, never an *ok*: a person reads those.

use serde::Deserialize;
use unicode_normalization::UnicodeNormalization;

use super::{Remark, Remarks};
use crate::draft::{Draft, DraftCategory};
use crate::lint::Severity;

/// SEBI's advertisement code for advisers and analysts, in force since 1 May 2023.
const SEBI_2023_04: &str = include_str!("../../packs/sebi-2023-04.toml");
/// The common advertisement code as consulted on 23 June 2026: advisory until it is notified.
const SEBI_CAC_DRAFT: &str = include_str!("../../packs/sebi-cac-draft-2026-06.toml");

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pack {
    pub id: String,
    /// `in force` or `advisory`: of the latter every rule only warns.
    pub status: Status,
    /// What it stands in, with its date.
    pub source: String,
    /// Languages whose phrases somebody has reviewed.
    pub languages: Vec<String>,
    /// Sentences that the code itself prescribes: their words are no findings.
    #[serde(default)]
    pub prescribed: Vec<String>,
    pub rules: Vec<Rule>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    InForce,
    Advisory,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    pub id: String,
    pub clause: String,
    pub kind: Kind,
    pub severity: PackSeverity,
    pub phrases: Vec<String>,
    /// Said with the finding.
    pub why: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// None of the phrases may stand there.
    Banned,
    /// One of the phrases has to; a link to a website that holds them is enough.
    Required,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PackSeverity {
    Block,
    Warn,
}

#[derive(Debug, thiserror::Error)]
pub enum BadPack {
    #[error("it is no rule pack: {0}")]
    Form(String),
    #[error("rule {0:?} has no phrase that says anything")]
    Empty(String),
}

impl Pack {
    /// # Errors
    /// When the text is no pack, or a rule would find everything or nothing.
    pub fn read(text: &str) -> Result<Pack, BadPack> {
        let pack: Pack = toml::from_str(text).map_err(|e| BadPack::Form(e.message().to_owned()))?;
        for rule in &pack.rules {
            let says = |phrase: &String| plain(phrase).chars().any(char::is_alphanumeric);
            if rule.phrases.is_empty() || !rule.phrases.iter().all(says) {
                return Err(BadPack::Empty(rule.id.clone()));
            }
        }
        Ok(pack)
    }

    /// A pack that comes with Subah.
    pub fn built_in(id: &str) -> Option<Pack> {
        let text = match id {
            "sebi-2023-04" => SEBI_2023_04,
            "sebi-cac-draft-2026-06" => SEBI_CAC_DRAFT,
            _ => return None,
        };
        Some(Pack::read(text).expect("a test reads every pack"))
    }

    pub const BUILT_IN: [&str; 2] = ["sebi-2023-04", "sebi-cac-draft-2026-06"];

    /// What the pack says of a draft.
    pub fn review(&self, draft: &Draft) -> Vec<Remark> {
        if draft.category == DraftCategory::Authentication {
            return Vec::new(); // Meta's own text
        }
        let texts = texts(draft);
        self.check(&draft.language, draft.reviewed_by.as_deref(), &texts)
    }

    /// What it says of texts in one language, each with its place.
    pub fn check(
        &self,
        language: &str,
        reviewed_by: Option<&str>,
        texts: &[(String, String)],
    ) -> Vec<Remark> {
        let mut remarks = Remarks::default();
        let base = language.split('_').next().unwrap_or(language);
        let reviewed = self.languages.iter().any(|known| known == base);
        let by = reviewed_by.unwrap_or("").trim();
        if !reviewed && by.is_empty() {
            let reason = format!(
                "{}: nobody has reviewed its phrases in {language:?}; a person reads the text and writes reviewed_by",
                self.id
            );
            remarks.warn("pack-unreviewed", "reviewed_by", reason);
        }
        let plain: Vec<(&str, String)> = texts
            .iter()
            .map(|(place, text)| (place.as_str(), self.without_prescribed(plain(text))))
            .collect();
        let links = texts.iter().any(|(_, text)| text.contains("https://"));
        for rule in &self.rules {
            let severity = match (rule.severity, self.status) {
                (PackSeverity::Block, Status::InForce) if reviewed => Severity::Error,
                _ => Severity::Warning,
            };
            match rule.kind {
                Kind::Banned => self.banned(rule, severity, &plain, &mut remarks),
                Kind::Required if !links => self.required(rule, severity, texts, &mut remarks),
                Kind::Required => {}
            }
        }
        remarks.0
    }

    fn banned(&self, rule: &Rule, severity: Severity, texts: &[(&str, String)], to: &mut Remarks) {
        for (place, text) in texts {
            let Some(phrase) = rule.phrases.iter().find(|phrase| holds(text, phrase)) else {
                continue;
            };
            let denied = is_denied(text, &plain(phrase));
            let severity = if denied { Severity::Warning } else { severity };
            let denied = if denied { ", denied by the words before it" } else { "" };
            let Rule { id, clause, why, .. } = rule;
            let reason = format!("{phrase:?}{denied}: {why} ({}, {id}, {clause})", self.id);
            to.note("pack-banned", severity, place, reason);
        }
    }

    fn required(
        &self,
        rule: &Rule,
        severity: Severity,
        texts: &[(String, String)],
        to: &mut Remarks,
    ) {
        let there = |phrase: &String| {
            let phrase = plain(phrase);
            texts.iter().any(|(_, text)| plain(text).contains(&phrase))
        };
        if !rule.phrases.iter().any(there) {
            let Rule { id, clause, why, .. } = rule;
            let reason = format!(
                "{why}, or a link to the website that says it ({}, {id}, {clause})",
                self.id
            );
            to.note("pack-required", severity, "body", reason);
        }
    }

    fn without_prescribed(&self, text: String) -> String {
        self.prescribed.iter().fold(text, |text, sentence| {
            let sentence = plain(sentence);
            text.replace(&sentence, " ")
        })
    }
}

/// Everything a reader of the message sees.
fn texts(draft: &Draft) -> Vec<(String, String)> {
    let value = |name: &str| draft.samples.get(name).map(String::as_str);
    let mut texts = vec![
        ("header".to_owned(), crate::draft::render(draft.header_text(), value)),
        ("body".to_owned(), draft.rendered_body()),
        ("footer".to_owned(), draft.footer.clone().unwrap_or_default()),
    ];
    for (at, button) in draft.buttons.iter().enumerate() {
        texts.push((format!("buttons[{at}].text"), button.text.clone()));
        texts.push((format!("buttons[{at}].url"), button.url.clone().unwrap_or_default()));
    }
    for (at, card) in draft.cards.iter().enumerate() {
        let body = card.body.as_deref().unwrap_or("");
        let body = crate::draft::render(body, |name| card.samples.get(name).map(String::as_str));
        texts.push((format!("cards[{at}].body"), body));
    }
    texts
}

/// A text as phrases are looked for: one case, one form of each sign, no marks of emphasis, no
/// signs that cannot be seen, single blanks.
pub(super) fn plain(text: &str) -> String {
    let unseen = |c: &char| !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{ad}' | '\u{202a}'..='\u{202e}');
    let shown = |c: char| match c {
        '*' | '_' | '~' | '`' => ' ',
        '’' | '‘' => '\'',
        '‐'..='―' => '-',
        c => c,
    };
    let folded: String =
        text.nfkc().filter(unseen).map(shown).flat_map(char::to_lowercase).collect();
    folded.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a plain text holds a phrase between word boundaries. A blank in the phrase also stands
/// for a hyphen: `risk free` finds `risk-free`.
pub(super) fn holds(text: &str, phrase: &str) -> bool {
    find(text, &plain(phrase)).is_some()
}

fn find(text: &str, phrase: &str) -> Option<usize> {
    let (text, phrase) = (text.replace('-', " "), phrase.replace('-', " "));
    let word = |c: char| c.is_alphanumeric() || is_mark(c);
    let mut from = 0;
    while let Some(at) = text[from..].find(&phrase) {
        let begin = from + at;
        let end = begin + phrase.len();
        let joins = |a: Option<char>, b: Option<char>| a.is_some_and(word) && b.is_some_and(word);
        let before = joins(text[..begin].chars().next_back(), phrase.chars().next());
        let after = joins(phrase.chars().next_back(), text[end..].chars().next());
        if !before && !after {
            return Some(begin);
        }
        from = begin + phrase.chars().next().map_or(1, char::len_utf8);
    }
    None
}

/// Vowel signs and other marks that Indic words are written with.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{900}'..='\u{903}' | '\u{93a}'..='\u{94f}' | '\u{951}'..='\u{957}'
        | '\u{962}' | '\u{963}' | '\u{981}'..='\u{983}' | '\u{9bc}'..='\u{9cd}'
        | '\u{a81}'..='\u{a83}' | '\u{abc}'..='\u{acd}' | '\u{b82}' | '\u{bbe}'..='\u{bcd}'
        | '\u{c00}'..='\u{c04}' | '\u{c3c}'..='\u{c4d}')
}

/// Whether one of the three words before a phrase denies it: "no assured returns".
fn is_denied(text: &str, phrase: &str) -> bool {
    const DENIALS: &[&str] = &[
        "no",
        "not",
        "never",
        "without",
        "neither",
        "nor",
        "cannot",
        "isn't",
        "aren't",
        "nahi",
        "नहीं",
    ];
    let Some(at) = find(text, phrase) else { return false };
    let flat = text.replace('-', " ");
    // A phrase that begins with the denial itself ("no risk") denies nothing.
    let before = flat[..at].rsplit(['.', '!', '?', ';', '।']).next().unwrap_or("");
    before.split_whitespace().rev().take(3).any(|word| DENIALS.contains(&word.trim_matches(',')))
}

#[cfg(test)]
mod tests;
