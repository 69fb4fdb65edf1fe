//! Reads recipient lists and content as people really send them: spreadsheets' CSV in any
//! clothes, and NDJSON.
//!
//! Invariant: a bad row never costs a good one. Every refused row is listed by line, with
//! a reason that repeats none of its values; an unreadable file changes nothing.

pub mod content;
pub mod phone;
pub mod recipients;
mod table;

pub use content::{Content, read_content};
pub use recipients::read_recipients;

use std::fmt;

/// What one import found.
#[derive(Debug)]
pub struct Intake<T> {
    pub rows: Vec<T>,
    pub refused: Vec<Refused>,
}

/// A row that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Line in the file, from 1.
    pub line: u64,
    /// The row's own id, where it could be read; never printed, kept to find what is stored.
    pub id: Option<String>,
    pub reason: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

/// The whole file is unusable.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    #[error("the file is empty")]
    Empty,
    #[error("column {wanted} is missing; found: {found}")]
    MissingColumn { wanted: String, found: String },
    #[error("column {0:?} is there twice")]
    DoubleColumn(String),
    #[error("the first line is not a header row: expected column names such as id,name,phone")]
    NoHeader,
}
