//! Reads recipient lists and content as people really send them: CSV in any clothes,
//! spreadsheets and NDJSON.
//!
//! Invariants: a bad row never costs a good one; what may be read in two ways is refused by
//! line, with a reason that repeats none of its values; every physical line is accounted
//! for; an unreadable file changes nothing.

pub mod content;
pub mod date;
pub mod header;
pub mod language;
pub mod merge;
pub mod names;
pub mod persons;
pub mod phone;
mod quotes;
pub mod recipients;
mod sheet;
mod table;
mod text;

pub use content::{Content, read_content};
pub use phone::Country;
pub use recipients::{ReadList, read_recipients};

use std::fmt;

use chrono_tz::Tz;
use domain::Timestamp;
use templates::lint::Lint;

/// What an import is read by.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Dates without an offset are local to it.
    pub zone: Tz,
    /// Approvals and consents lie before it.
    pub now: Timestamp,
    /// Of numbers without a country code.
    pub default_country: Option<Country>,
    pub lint: Lint,
    /// Which sheet of a spreadsheet.
    pub sheet: Option<String>,
}

impl Rules {
    pub fn new(zone: Tz, now: Timestamp) -> Self {
        Rules { zone, now, default_country: None, lint: Lint::default(), sheet: None }
    }
}

/// What one import found beside its good rows.
#[derive(Debug, Default)]
pub struct Findings {
    /// By line.
    pub refused: Vec<Refused>,
    /// By line; these rows are in.
    pub warnings: Vec<Warning>,
    pub lines: Lines,
    pub notes: Notes,
}

impl Findings {
    fn refuse(&mut self, line: u64, id: Option<&str>, kind: Kind, reason: impl Into<String>) {
        let (id, reason) = (id.map(str::to_owned), reason.into());
        self.refused.push(Refused { line, id, kind, reason });
    }

    fn warn(&mut self, line: u64, rule: &'static str, text: impl Into<String>) {
        self.warnings.push(Warning { line, rule, text: text.into() });
    }

    fn finish(&mut self, accepted: usize) {
        self.refused.sort_by_key(|refused| refused.line);
        self.warnings.sort_by_key(|warning| warning.line);
        self.lines.accepted = accepted as u64;
        self.lines.refused = self.refused.len() as u64;
    }
}

/// Where each physical line of a file went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    pub physical: u64,
    pub accepted: u64,
    pub refused: u64,
    pub blank: u64,
    pub header: u64,
    /// Titles and the like before the header.
    pub skipped: u64,
    /// Further lines of cells that hold line breaks.
    pub inside_quotes: u64,
}

impl Lines {
    /// Whether every line is accounted for.
    pub fn add_up(&self) -> bool {
        let Lines { physical, accepted, refused, blank, header, skipped, inside_quotes } = *self;
        physical == accepted + refused + blank + header + skipped + inside_quotes
    }
}

impl fmt::Display for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Lines { physical, accepted, refused, blank, header, skipped, inside_quotes } = *self;
        write!(
            f,
            "{physical} lines = {accepted} accepted + {refused} refused + {blank} blank + {header} header"
        )?;
        if skipped > 0 {
            write!(f, " + {skipped} before it")?;
        }
        write!(f, " + {inside_quotes} inside quoted cells")
    }
}

/// How the file was understood: to be said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes(pub Vec<String>);

impl Notes {
    fn say(&mut self, note: impl Into<String>) {
        self.0.push(note.into());
    }

    fn decoded(&mut self, text: &text::Text<'_>) {
        if text.encoding != "UTF-8" {
            self.say(format!("read as {}", text.encoding));
        }
        if text.cut {
            self.say(format!(
                "the file ends inside a character of {}: it was cut, or is in another encoding",
                text.encoding
            ));
        }
    }
}

/// What kind of refusal it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The row cannot be used: what is stored under its id may stay.
    Bad,
    /// Another row of the file is this person's: nothing stored is revived.
    Duplicate,
}

/// A row that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Line in the file, from 1.
    pub line: u64,
    /// The row's own id, where it could be read; never printed, kept to find what is stored.
    pub id: Option<String>,
    pub kind: Kind,
    pub reason: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

/// Something in a row that a person should look at; the row counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    pub line: u64,
    /// To be listed in `lint.allow`.
    pub rule: &'static str,
    pub text: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {} [{}]", self.line, self.text, self.rule)
    }
}

/// The whole file is unusable.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    #[error("the file is empty")]
    Empty,
    #[error("column {wanted} is missing; found: {found}{hint}")]
    MissingColumn { wanted: String, found: String, hint: String },
    #[error("two columns are {0:?}: rename one of them, so that one is meant")]
    DoubleColumn(String),
    #[error(
        "column {0:?} means a number too, beside ours: remove or rename it, so that one is meant"
    )]
    RivalColumn(String),
    #[error(
        "there is no header row: expected a row of column names such as id,name,phone,consent_utility; see `subah formats`"
    )]
    NoHeader,
    #[error("the spreadsheet cannot be read: {0}")]
    Sheet(String),
    #[error("the spreadsheet has no sheet of that name: it has {0}")]
    NoSheet(String),
    #[error("the spreadsheet has several sheets: name one with --sheet; it has {0}")]
    Sheets(String),
    #[error(
        "the file is JSON over several lines: expected one object a line, as `jq -c` writes it"
    )]
    PrettyJson,
    #[error("the file is JSON, and a recipient list is a table: save it as CSV or XLSX")]
    NotATable,
}
