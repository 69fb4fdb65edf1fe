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
    /// Where a phrase stands in one of these, it is harmless.
    #[serde(default)]
    pub except: Vec<String>,
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
        let dressed: Vec<(&str, Vec<String>)> =
            texts.iter().map(|(place, text)| (place.as_str(), self.undressed(text))).collect();
        let links = texts.iter().any(|(_, text)| text.contains("https://"));
        for rule in &self.rules {
            let severity = match (rule.severity, self.status) {
                (PackSeverity::Block, Status::InForce) if reviewed => Severity::Error,
                _ => Severity::Warning,
            };
            match rule.kind {
                Kind::Banned => self.banned(rule, severity, &dressed, &mut remarks),
                Kind::Required if !links => self.required(rule, severity, texts, &mut remarks),
                Kind::Required => {}
            }
        }
        remarks.0
    }

    fn banned(
        &self,
        rule: &Rule,
        severity: Severity,
        texts: &[(&str, Vec<String>)],
        to: &mut Remarks,
    ) {
        for (place, dresses) in texts {
            let hits = dresses.iter().flat_map(|text| hits(text, rule));
            // One that nobody denies weighs more than others that are.
            let Some((phrase, denied)) = hits.min_by_key(|(_, denied)| *denied) else { continue };
            let severity = if denied { Severity::Warning } else { severity };
            let denied = if denied { ", denied by the words before it" } else { "" };
            let Rule { id, clause, why, .. } = rule;
            let reason = format!("\"{phrase}\"{denied}: {why} ({}, {id}, {clause})", self.id);
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

    /// A text in each form in which a phrase is looked for, without what the code itself prescribes.
    fn undressed(&self, text: &str) -> Vec<String> {
        let mut all = dresses(text);
        for prescribed in &self.prescribed {
            for (text, one) in all.iter_mut().zip(dresses(prescribed)) {
                *text = text.replace(&one, " ");
            }
        }
        all.into()
    }
}

/// Each place where a rule's phrases stand, and whether it is denied there.
fn hits<'a>(text: &str, rule: &'a Rule) -> Vec<(&'a str, bool)> {
    let flat = flat(text);
    let flat =
        rule.except.iter().fold(flat, |text, one| text.replace(&self::flat(&plain(one)), " "));
    let mut hits = Vec::new();
    for phrase in &rule.phrases {
        let wanted = self::flat(&plain(phrase));
        let mut from = 0;
        while let Some((begin, end)) = find(&flat, &wanted, from) {
            hits.push((phrase.as_str(), is_denied(&flat[..begin])));
            from = end;
        }
    }
    hits
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

/// A text as phrases are looked for: one case, one form of each sign, no accents, no marks of
/// emphasis, no signs that cannot be seen, single blanks.
pub(super) fn plain(text: &str) -> String {
    let shown = |c: char| match c {
        '*' | '_' | '~' | '`' => ' ',
        '’' | '‘' => '\'',
        '‐'..='―' => '-',
        c => c,
    };
    squeezed(folded(text).chars().map(shown))
}

fn squeezed(text: impl Iterator<Item = char>) -> String {
    text.collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Small letters without accents, look-alikes as what they look like.
fn folded(text: &str) -> String {
    const SMALL_CAPITALS: &str = "ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘǫʀꜱᴛᴜᴠᴡxʏᴢ";
    const LOOK_ALIKES: &[(char, char)] = &[
        ('а', 'a'),
        ('е', 'e'),
        ('о', 'o'),
        ('р', 'p'),
        ('с', 'c'),
        ('у', 'y'),
        ('х', 'x'),
        ('і', 'i'),
        ('ѕ', 's'),
        ('ԁ', 'd'),
        ('һ', 'h'),
        ('к', 'k'),
        ('м', 'm'),
        ('т', 't'),
        ('в', 'b'),
        ('н', 'h'),
        ('ο', 'o'),
        ('α', 'a'),
        ('ν', 'v'),
        ('ρ', 'p'),
        ('τ', 't'),
        ('υ', 'u'),
        ('ι', 'i'),
        ('κ', 'k'),
        ('ε', 'e'),
        ('ı', 'i'),
    ];
    let unseen = |c: &char| {
        !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{ad}'
            | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{300}'..='\u{36f}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{e0000}'..='\u{e007f}')
    };
    let letter = |c: char| {
        let small = SMALL_CAPITALS.chars().position(|small| small == c);
        let small = small.and_then(|at| u8::try_from(at).ok()).map(|at| char::from(b'a' + at));
        let alike = || LOOK_ALIKES.iter().find(|(seen, _)| *seen == c).map(|(_, meant)| *meant);
        small.or_else(alike).unwrap_or(c)
    };
    // Taken apart, so that accents are signs of their own; Indic vowel signs stay.
    text.nfkd().filter(unseen).flat_map(char::to_lowercase).map(letter).nfc().collect()
}

/// The forms that a text may hide a word in: as it stands, marks inside of words, letters apart,
/// digits for letters.
fn dresses(text: &str) -> [String; 4] {
    let as_it_stands = plain(text);
    let mark = |c: &char| !matches!(c, '*' | '_' | '~' | '`');
    let unmarked = squeezed(folded(text).chars().filter(mark));
    let digits = as_it_stands.split(' ').map(spelt).collect::<Vec<_>>().join(" ");
    let together = together_again(&as_it_stands);
    [as_it_stands, unmarked, digits, together]
}

/// `guarant33d` as it is read. Words without letters are numbers.
fn spelt(word: &str) -> String {
    if !word.chars().any(char::is_alphabetic) {
        return word.to_owned();
    }
    let read = |c: char| match c {
        '0' => 'o',
        '1' | '!' => 'i',
        '3' => 'e',
        '4' | '@' => 'a',
        '5' | '$' => 's',
        c => c,
    };
    word.chars().map(read).collect()
}

/// Four letters or more that stand alone, with blanks or dots between, are a word.
fn together_again(text: &str) -> String {
    let words: Vec<&str> = text.split([' ', '.', '-']).filter(|word| !word.is_empty()).collect();
    let alone = |word: &&str| {
        let mut signs = word.chars().filter(|c| !is_mark(*c));
        signs.next().is_some_and(char::is_alphabetic) && signs.next().is_none()
    };
    let (mut out, mut at): (Vec<String>, usize) = (Vec::new(), 0);
    while at < words.len() {
        let run = words[at..].iter().take_while(|word| alone(word)).count();
        match run {
            0..4 => {
                out.push(words[at].to_owned());
                at += 1;
            }
            n => {
                out.push(words[at..at + n].concat());
                at += n;
            }
        }
    }
    out.join(" ")
}

/// Hyphens and slashes between words are blanks: `risk free` finds `risk-free`.
fn flat(text: &str) -> String {
    text.replace(['-', '/'], " ")
}

/// Whether a plain text holds a phrase between word boundaries.
pub(super) fn holds(text: &str, phrase: &str) -> bool {
    find(&flat(text), &flat(&plain(phrase)), 0).is_some()
}

/// Where a phrase stands next, from a place on; a plural is found as well.
fn find(text: &str, phrase: &str, mut from: usize) -> Option<(usize, usize)> {
    let word = |c: char| c.is_alphanumeric() || is_mark(c);
    while let Some(at) = text[from..].find(phrase) {
        let begin = from + at;
        let end = begin + phrase.len();
        let joins = |a: Option<char>, b: Option<char>| a.is_some_and(word) && b.is_some_and(word);
        let before = joins(text[..begin].chars().next_back(), phrase.chars().next());
        let rest = text[end..].strip_prefix('s').unwrap_or(&text[end..]);
        let last = phrase.chars().next_back();
        let after = joins(last, text[end..].chars().next()) && joins(last, rest.chars().next());
        if !before && !after {
            return Some((begin, end));
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

/// Whether the words before a phrase, of its own clause, deny it: "no assured returns", "beware of
/// anyone who offers guaranteed returns".
fn is_denied(before: &str) -> bool {
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
        "don't",
        "doesn't",
        "nahi",
        "नहीं",
    ];
    const WARNINGS: &[&str] = &["beware", "avoid", "against", "scam", "scams", "fraud", "frauds"];
    // "not only the best", "do not miss", "no doubt", "why not": these deny nothing.
    const TRAPS: &[&str] =
        &["only", "just", "merely", "simply", "miss", "doubt", "why", "worry", "wait", "but"];
    let clause =
        before.rsplit(['.', '!', '?', ';', ':', ',', '।', '\u{2013}']).next().unwrap_or("");
    let words: Vec<&str> = clause.split_whitespace().collect();
    let near = &words[words.len().saturating_sub(3)..];
    let has = |words: &[&str], list: &[&str]| words.iter().any(|word| list.contains(word));
    let denied = has(near, DENIALS)
        && !has(near, TRAPS)
        && !has(&words[words.len().saturating_sub(5)..], TRAPS);
    denied || has(&words[words.len().saturating_sub(8)..], WARNINGS)
}

#[cfg(test)]
mod tests;
