//! Texts people would be ashamed of: leftovers of other programs, found before they go out.
//!
//! Each finding has a rule id that `[lint] allow = […]` switches off. Pure; the caller
//! decides whether a finding is refused or said.

use serde::{Deserialize, Serialize};

/// Rules that are switched off.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lint {
    pub allow: Vec<String>,
}

/// What is wrong with a text. The message repeats nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    pub rule: &'static str,
    pub severity: Severity,
    pub text: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nobody means to send it.
    Error,
    Warning,
}

impl Severity {
    pub const fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

/// Every rule, for the configuration to be checked against.
pub const RULES: &[&str] = &[
    "placeholder",
    "spreadsheet-error",
    "nothing-word",
    "draft",
    "unseen-sign",
    "escape-sign",
    "name-is-address",
    "name-is-number",
    "name-is-formula",
    "name-is-test",
    "name-has-title",
    "name-is-empty",
    "url-suffix",
    "id-alike",
];

const fn error(rule: &'static str, text: &'static str) -> Option<Finding> {
    Some(Finding { rule, severity: Severity::Error, text })
}

const fn warning(rule: &'static str, text: &'static str) -> Option<Finding> {
    Some(Finding { rule, severity: Severity::Warning, text })
}

impl Lint {
    /// The first thing wrong with a parameter's text.
    pub fn text(&self, text: &str) -> Option<Finding> {
        self.pick([escapes(text), placeholder(text), nothing(text), draft(text)])
    }

    /// The first thing wrong with a person's name.
    pub fn name(&self, name: &str) -> Option<Finding> {
        let kinds = [escapes(name), placeholder(name), nothing(name), not_a_name(name)];
        self.pick(kinds)
    }

    /// The first thing wrong with what a URL button's address ends in.
    pub fn url_suffix(&self, suffix: &str) -> Option<Finding> {
        self.pick([escapes(suffix), placeholder(suffix), not_a_suffix(suffix)])
    }

    /// Nothing is switched off.
    pub fn is_whole(&self) -> bool {
        self.allow.is_empty()
    }

    /// Whether a rule is on.
    pub fn is_on(&self, rule: &str) -> bool {
        !self.allow.iter().any(|allowed| allowed == rule)
    }

    fn pick<const N: usize>(&self, found: [Option<Finding>; N]) -> Option<Finding> {
        found.into_iter().flatten().find(|finding| self.is_on(finding.rule))
    }
}

/// Errors of spreadsheets, and variables that nothing has filled.
fn placeholder(text: &str) -> Option<Finding> {
    const ERRORS: &[&str] = &[
        "#N/A",
        "#REF!",
        "#NAME?",
        "#VALUE!",
        "#DIV/0!",
        "#NULL!",
        "#NUM!",
        "#SPILL!",
        "#CALC!",
        "#ERROR!",
        "#GETTING_DATA",
    ];
    let upper = text.to_uppercase();
    if ERRORS.iter().any(|error| upper.contains(error)) {
        return error("spreadsheet-error", "holds an error of a spreadsheet such as #N/A");
    }
    let open = ["{{", "}}", "${", "<%", "%%"].iter().any(|mark| text.contains(mark));
    let merge = ["«", "*|", "%FIRSTNAME%", "[FIRST_NAME]", "[NAME]", "<NAME>", "[FIRST NAME]"];
    if open || merge.iter().any(|mark| upper.contains(mark)) {
        return error("placeholder", "holds a variable that was not filled, such as {{name}}");
    }
    None
}

/// Words that programs write for nothing.
fn nothing(text: &str) -> Option<Finding> {
    const WORDS: &[&str] = &[
        "null",
        "undefined",
        "nan",
        "none",
        "nil",
        "n/a",
        "na",
        "(null)",
        "<null>",
        "(blank)",
        "[object object]",
        "nul",
        "#",
        "not available",
        "not applicable",
        "unknown",
        "-",
        "--",
        "---",
        ".",
        "..",
        "...",
        "_",
        "–",
        "—",
    ];
    let plain = text.trim().to_lowercase();
    if WORDS.contains(&plain.as_str()) {
        return error("nothing-word", "is a word for nothing, such as null, undefined or -");
    }
    None
}

fn draft(text: &str) -> Option<Finding> {
    let lower = text.to_lowercase();
    let word =
        |wanted: &str| lower.split(|c: char| !c.is_alphanumeric()).any(|word| word == wanted);
    if lower.contains("lorem ipsum") || word("todo") || word("tbd") || word("fixme") || word("asdf")
    {
        return warning("draft", "reads like a draft (TODO, TBD, lorem ipsum)");
    }
    None
}

fn not_a_name(name: &str) -> Option<Finding> {
    let name = name.trim();
    let letters = name.chars().filter(|c| c.is_alphabetic()).count();
    if name.is_empty() {
        return warning("name-is-empty", "name is empty");
    }
    if name.contains('@') || name.contains("://") || name.contains("www.") {
        return error("name-is-address", "name is an e-mail or web address");
    }
    if letters == 0 {
        return error("name-is-number", "name holds no letters");
    }
    if name.starts_with(['=', '+', '@']) {
        return error("name-is-formula", "name is a formula");
    }
    let lower = name.to_lowercase();
    if [
        "test",
        "test user",
        "testing",
        "test test",
        "dummy",
        "demo",
        "abc",
        "asdf",
        "first name",
        "name",
        "user",
        "customer",
    ]
    .contains(&lower.as_str())
    {
        return warning("name-is-test", "name reads like a test");
    }
    None
}

fn not_a_suffix(suffix: &str) -> Option<Finding> {
    const RULE: &str = "url-suffix";
    let lower = suffix.trim().to_lowercase();
    if lower.contains("://") || lower.starts_with("www.") || lower.starts_with("//") {
        return error(
            RULE,
            "is a whole address: the button's own address stands in the template, expected only what follows it",
        );
    }
    if suffix.trim().chars().any(|c| c.is_whitespace()) {
        return error(RULE, "holds blanks: write %20");
    }
    if suffix.starts_with('/') {
        return warning(RULE, "begins with /, and the template's address usually ends with one");
    }
    if !suffix.is_ascii() {
        return warning(RULE, "holds signs beyond ASCII: percent-encode them");
    }
    None
}

/// Signs that steer a terminal or turn the direction of a text.
fn escapes(text: &str) -> Option<Finding> {
    let control = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\u{b}' | '\u{c}');
    if text.chars().any(control) {
        return error("escape-sign", "holds control signs that cannot be shown");
    }
    let bidi = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if text.chars().any(bidi) {
        return error("unseen-sign", "holds signs that turn the direction of the text");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_of_other_programs_are_found() {
        let lint = Lint::default();
        let cases = [
            ("Hi {{first_name}}, NIFTY", "placeholder"),
            ("at {{1}}", "placeholder"),
            ("NIFTY #REF! today", "spreadsheet-error"),
            ("#n/a", "spreadsheet-error"),
            (" undefined ", "nothing-word"),
            ("-", "nothing-word"),
            ("TODO headline here", "draft"),
            ("Lorem ipsum dolor", "draft"),
            ("a\u{1b}[31mb", "escape-sign"),
            ("a\u{202e}b", "unseen-sign"),
        ];
        for (text, rule) in cases {
            assert_eq!(lint.text(text).map(|f| f.rule), Some(rule), "{text}");
            let allow = Lint { allow: vec![rule.to_owned()] };
            assert_ne!(allow.text(text).map(|f| f.rule), Some(rule), "allowed");
        }
        for text in ["NIFTY up 2 %", "Nan's shop is open", "50% off", "नमस्ते", "a\nb", "C# and F#"]
        {
            assert_eq!(lint.text(text), None, "{text}");
        }
    }

    #[test]
    fn names_and_suffixes_have_rules_of_their_own() {
        let lint = Lint::default();
        for name in [
            "#N/A",
            "null",
            "nan",
            "{{name}}",
            "9876500015",
            "asha@example.com",
            "-",
            "=HYPERLINK(\"http://x\")",
            "Test",
            "",
        ] {
            assert!(lint.name(name).is_some(), "{name}");
        }
        for name in ["Asha Rao", "ASHA RAO", "K. S. Ramanathan", "आशा", "Nil Roy", "Zoë D’Souza"]
        {
            assert_eq!(lint.name(name), None, "{name}");
        }
        for suffix in ["https://packs.example.in/p/1", "{{1}}", "p/1?utm=a b", "/p/1", "www.x.in"] {
            assert!(lint.url_suffix(suffix).is_some(), "{suffix}");
        }
        assert_eq!(lint.url_suffix("p/1?utm=a%20b"), None);
    }

    #[test]
    fn every_rule_that_is_found_is_listed() {
        let lint = Lint::default();
        let texts = [
            "{{x}}", "#N/A", "null", "todo", "\u{202e}", "\u{1b}", "a@b", "1", "=a", "test", "",
            "a b", "/a",
        ];
        for text in texts {
            for found in
                [lint.text(text), lint.name(text), lint.url_suffix(text)].into_iter().flatten()
            {
                assert!(RULES.contains(&found.rule), "{}", found.rule);
            }
        }
    }
}
