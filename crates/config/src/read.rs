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
    pub(crate) fn new(file: &Path, problems: Vec<Problem>) -> Self {
        BadConfig { file: file.to_owned(), problems }
    }

    pub(crate) fn unreadable(file: &Path, error: &std::io::Error) -> Self {
        let expected = "a readable configuration file: make one with `subah init DIR`, or name it with --config";
        let problem =
            Problem { key: String::new(), seen: error.to_string(), expected: expected.to_owned() };
        BadConfig::new(file, vec![problem])
    }

    pub(crate) fn syntax(file: &Path, error: &toml::de::Error) -> Self {
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

    /// `[key]` with a text for each name.
    pub fn text_table(&mut self, key: &str) -> BTreeMap<String, String> {
        let texts = self.value(key, "a table of texts", |value| {
            let pairs = value.as_table()?.iter();
            pairs.map(|(name, text)| Some((name.clone(), text.as_str()?.to_owned()))).collect()
        });
        texts.unwrap_or_default()
    }

    /// Whether a key is there, and was not read yet.
    pub fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Where the section stands, such as `campaigns[1]`.
    pub fn place(&self) -> String {
        self.path.clone()
    }

    /// Nothing in it is a problem of its own: the section itself is one.
    pub fn ignore(mut self) {
        self.table.clear();
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
