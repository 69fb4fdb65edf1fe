//! Reads TOML key by key and collects what is wrong instead of stopping at the first.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use chrono::NaiveTime;
use chrono_tz::Tz;
use domain::campaign::{CampaignId, Category};
use domain::{BusinessNumber, Language, Tier};
use scheduler::Campaign;
use scheduler::campaign::Defaults;
use templates::definition::{ButtonFormat, HeaderFormat};
use templates::lint::Lint;
use templates::{ParameterFormat, TemplateDefinition};
use toml::{Table, Value};
use url::Url;

/// One thing wrong in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Dotted key, e.g. `campaign.window.opens`; empty for the whole file.
    pub key: String,
    pub seen: String,
    pub expected: String,
}

/// Everything wrong in the file, in one message.
#[derive(Debug)]
pub struct BadConfig {
    file: PathBuf,
    pub problems: Vec<Problem>,
}

impl BadConfig {
    pub(super) fn new(file: &Path, problems: Vec<Problem>) -> Self {
        BadConfig { file: file.to_owned(), problems }
    }

    pub(super) fn unreadable(file: &Path, error: &std::io::Error) -> Self {
        let expected = "a readable configuration file: make one with `subah init DIR`, or name it with --config";
        let problem =
            Problem { key: String::new(), seen: error.to_string(), expected: expected.to_owned() };
        BadConfig::new(file, vec![problem])
    }

    pub(super) fn syntax(file: &Path, error: &toml::de::Error) -> Self {
        let seen = error.to_string().trim_end().replace('\n', "\n    ");
        let problem = Problem { key: String::new(), seen, expected: "TOML".to_owned() };
        BadConfig::new(file, vec![problem])
    }
}

impl std::fmt::Display for BadConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let n = self.problems.len();
        let s = if n == 1 { "" } else { "s" };
        write!(f, "{}: {n} problem{s}", self.file.display())?;
        for Problem { key, seen, expected } in &self.problems {
            let mut line = String::new();
            if !key.is_empty() {
                write!(line, "{key}: ")?;
            }
            write!(line, "{seen}; expected {expected}")?;
            write!(f, "\n  {line}")?;
        }
        Ok(())
    }
}

impl std::error::Error for BadConfig {}

/// A table being read. Keys that were never asked for are problems when it goes.
pub struct Section {
    path: String,
    table: Table,
    asked: BTreeSet<String>,
    problems: Rc<RefCell<Vec<Problem>>>,
}

impl Section {
    pub fn root(table: Table) -> Self {
        Section { path: String::new(), table, asked: BTreeSet::new(), problems: Rc::default() }
    }

    /// A table below; an empty one when it is missing.
    pub fn section(&mut self, key: &str) -> Section {
        let table = match self.take(key) {
            None => Table::new(),
            Some(Value::Table(table)) => table,
            Some(other) => {
                let seen = self.shown(key, &other);
                self.problem(key, &seen, &format!("a table [{}]", self.dotted(key)));
                Table::new()
            }
        };
        self.below(self.dotted(key), table)
    }

    /// `[[key]]`: an array of tables, each with its own place in what is said.
    pub fn tables(&mut self, key: &str) -> Vec<Section> {
        let tables = match self.take(key) {
            Some(Value::Array(tables)) => tables,
            Some(other) => {
                self.problem(key, &shown(&other), &format!("[[{}]] tables", self.dotted(key)));
                return Vec::new();
            }
            None => return Vec::new(),
        };
        let mut sections = Vec::new();
        for (at, value) in tables.into_iter().enumerate() {
            let path = format!("{}[{at}]", self.dotted(key));
            match value {
                Value::Table(table) => sections.push(self.below(path, table)),
                other => self.problem(&format!("{key}[{at}]"), &shown(&other), "a table"),
            }
        }
        sections
    }

    fn below(&self, path: String, table: Table) -> Section {
        let problems = Rc::clone(&self.problems);
        Section { path, table, asked: BTreeSet::new(), problems }
    }

    /// Problems of this and all sections below that have gone.
    pub fn finish(self) -> Vec<Problem> {
        let problems = Rc::clone(&self.problems);
        drop(self);
        problems.take()
    }

    pub fn problem(&self, key: &str, seen: &str, expected: &str) {
        let (key, seen, expected) = (self.dotted(key), seen.to_owned(), expected.to_owned());
        self.problems.borrow_mut().push(Problem { key, seen, expected });
    }

    fn dotted(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// A value as it may stand in an error: secrets are pasted into all kinds of keys.
    fn shown(&self, key: &str, value: &Value) -> String {
        let dotted = self.dotted(key).to_lowercase();
        let names =
            ["credential", "token", "secret", "password", "redis_url", "postgresql_url", "key"];
        let text = value.as_str().unwrap_or("");
        let hidden = names.iter().any(|name| dotted.contains(name))
            || text.starts_with("EAA")
            || (text.len() > 40 && !text.contains(['/', ' ', '.']));
        if hidden { "a value that is not shown".to_owned() } else { shown(value) }
    }

    fn take(&mut self, key: &str) -> Option<Value> {
        self.asked.insert(key.to_owned());
        self.table.remove(key)
    }

    /// Reads a value with `parse`, or names what was seen and what is `expected`.
    fn value<T>(
        &mut self,
        key: &str,
        expected: &str,
        parse: impl FnOnce(&Value) -> Option<T>,
    ) -> Option<T> {
        let value = self.take(key)?;
        let parsed = parse(&value);
        if parsed.is_none() {
            self.problem(key, &self.shown(key, &value), expected);
        }
        parsed
    }

    pub fn text(&mut self, key: &str) -> Option<String> {
        let word = |value: &Value| value.as_str().map(str::to_owned).filter(|t| !t.is_empty());
        self.value(key, "a text that is not empty", word)
    }

    pub fn texts(&mut self, key: &str) -> Option<Vec<String>> {
        self.value(key, "a list of texts", |value| {
            value.as_array()?.iter().map(|v| v.as_str().map(str::to_owned)).collect()
        })
    }

    pub fn path(&mut self, key: &str) -> Option<PathBuf> {
        self.text(key).map(PathBuf::from)
    }

    pub fn flag(&mut self, key: &str, default: bool) -> bool {
        self.value(key, "true or false", Value::as_bool).unwrap_or(default)
    }

    pub fn integer(&mut self, key: &str, default: u32, range: RangeInclusive<u32>) -> u32 {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        let fits = |value: &Value| {
            value.as_integer().and_then(|n| u32::try_from(n).ok()).filter(|n| range.contains(n))
        };
        self.value(key, &expected, fits).unwrap_or(default)
    }

    pub fn number(&mut self, key: &str, default: f64, range: RangeInclusive<f64>) -> f64 {
        let expected = format!("a number from {} to {}", range.start(), range.end());
        let fits = |value: &Value| {
            let number = value.as_float().or(value.as_integer().map(|n| n as f64))?;
            range.contains(&number).then_some(number)
        };
        self.value(key, &expected, fits).unwrap_or(default)
    }

    pub fn one_of<'a>(&mut self, key: &str, words: &[&'a str], default: &'a str) -> &'a str {
        let expected = format!("one of {}", words.join(", "));
        let known = |value: &Value| words.iter().copied().find(|w| value.as_str() == Some(w));
        self.value(key, &expected, known).unwrap_or(default)
    }

    pub fn duration(
        &mut self,
        key: &str,
        range: RangeInclusive<Duration>,
        default: Duration,
    ) -> Duration {
        let expected = format!(
            "a span from {:?} to {:?} such as \"500ms\", \"30s\", \"5m\" or \"1h\"",
            range.start(),
            range.end()
        );
        let fits = |value: &Value| parse_duration(value.as_str()?).filter(|d| range.contains(d));
        self.value(key, &expected, fits).unwrap_or(default)
    }

    pub fn time(&mut self, key: &str, default: NaiveTime) -> NaiveTime {
        let expected = "a local time such as \"05:59:30\" or \"06:00\"";
        self.value(key, expected, |value| parse_time(value.as_str()?)).unwrap_or(default)
    }

    pub fn zone(&mut self, key: &str, default: Tz) -> Tz {
        let expected = "an IANA zone such as \"Asia/Kolkata\"";
        self.value(key, expected, |value| value.as_str()?.parse().ok()).unwrap_or(default)
    }

    pub fn address(&mut self, key: &str, default: SocketAddr) -> SocketAddr {
        let expected = "an address and port such as \"127.0.0.1:8080\"";
        self.value(key, expected, |value| value.as_str()?.parse().ok()).unwrap_or(default)
    }

    pub fn url(&mut self, key: &str, default: Url) -> Url {
        let expected = "an http or https URL without a path";
        let plain = |value: &Value| {
            let url = Url::parse(value.as_str()?).ok()?;
            let plain = url.has_host() && url.path() == "/" && url.query().is_none();
            (matches!(url.scheme(), "http" | "https") && plain).then_some(url)
        };
        self.value(key, expected, plain).unwrap_or(default)
    }
}

impl Drop for Section {
    fn drop(&mut self) {
        let known: Vec<&str> = self.asked.iter().map(String::as_str).collect();
        let known = if known.is_empty() { "nothing here".to_owned() } else { known.join(", ") };
        for (key, value) in std::mem::take(&mut self.table) {
            self.problem(
                &key,
                &format!("unknown key with {}", self.shown(&key, &value)),
                &format!("one of {known}"),
            );
        }
    }
}

/// A value as it stands in the file, cut to a line.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    let mut line: String = text.lines().next().unwrap_or("").chars().take(60).collect();
    if line.len() < text.len() {
        line.push('…');
    }
    line
}

pub fn parse_duration(text: &str) -> Option<Duration> {
    let at = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(at);
    let number: f64 = number.parse().ok()?;
    let seconds = match unit.trim() {
        "ms" => number / 1e3,
        "s" => number,
        "m" | "min" => number * 60.0,
        "h" => number * 3_600.0,
        _ => return None,
    };
    (seconds > 0.0).then(|| Duration::try_from_secs_f64(seconds).ok()).flatten()
}

pub fn parse_time(text: &str) -> Option<NaiveTime> {
    ["%H:%M:%S", "%H:%M"].iter().find_map(|form| NaiveTime::parse_from_str(text, form).ok())
}

/// `[campaign]` and `[campaign.template]`.
pub fn read_campaign(section: &mut Section, numbers: Vec<BusinessNumber>) -> Campaign {
    let name = section.text("id").unwrap_or("daily-pack".to_owned());
    let id = CampaignId::try_new(name.clone()).unwrap_or_else(|bad| {
        section.problem("id", &name, &bad.to_string());
        CampaignId::try_new("daily-pack").expect("a plain name")
    });
    let category = match section.one_of("category", &["utility", "marketing"], "utility") {
        "marketing" => Category::Marketing,
        _ => Category::Utility,
    };
    let default_language: Language =
        section.text("default_language").map_or("en".into(), Into::into);
    let tiers =
        section.texts("tiers").unwrap_or(vec!["pro".into(), "standard".into(), "basic".into()]);
    let tiers = tiers.into_iter().map(Tier::from).collect();
    let template = read_template(&mut section.section("template"));
    if !template.languages.is_empty() && !template.languages.contains(&default_language) {
        let expected =
            format!("one of campaign.template.languages: {}", template.languages.join(", "));
        section.problem("default_language", &default_language, &expected);
    }
    let defaults = read_defaults(&mut section.section("defaults"), &template);
    let lint = Lint::default();
    Campaign { id, category, template, default_language, tiers, numbers, defaults, lint }
}

/// `[campaign.defaults]`: a text by variable, and tables of such by language.
fn read_defaults(section: &mut Section, template: &TemplateDefinition) -> Defaults {
    let mut defaults = Defaults::default();
    for name in &template.body_parameters {
        if let Some(text) = section.text(name) {
            defaults.all.insert(name.clone(), text);
        }
    }
    for language in &template.languages {
        let mut own = section.section(language);
        let texts = template
            .body_parameters
            .iter()
            .filter_map(|name| Some((name.clone(), own.text(name)?)));
        let texts: BTreeMap<String, String> = texts.collect();
        if !texts.is_empty() {
            defaults.languages.insert(language.clone(), texts);
        }
    }
    defaults
}

fn read_template(section: &mut Section) -> TemplateDefinition {
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

/// What Meta takes as a template's name.
pub fn is_template_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    (1..=512).contains(&name.len()) && name.chars().all(plain)
}

/// `hi`, `en_US`: Meta refuses `en-US`, `EN` and `English` at 06:00 as 132001.
fn is_language(code: &str) -> bool {
    let (language, region) = code.split_once('_').unwrap_or((code, "XX"));
    let lower =
        (2..=3).contains(&language.len()) && language.bytes().all(|b| b.is_ascii_lowercase());
    lower && region.len() == 2 && region.bytes().all(|b| b.is_ascii_uppercase())
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
