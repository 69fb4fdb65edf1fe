//! Rows for people and programs: a table on a terminal or a page, objects by column in JSON, CSV.

use crate::told::Answer;

/// Rows under columns; each row has a cell for each column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(columns: &[&str]) -> Self {
        let columns = columns.iter().map(|&column| column.to_owned()).collect();
        Table { columns, rows: Vec::new() }
    }

    /// One thing: a row for each of its properties.
    pub fn of_one<N: Into<String>>(pairs: impl IntoIterator<Item = (N, String)>) -> Self {
        let rows = pairs.into_iter().map(|(name, value)| vec![name.into(), value]).collect();
        Table { rows, ..Table::new(&["what", "value"]) }
    }
}

/// A table with what has to be said beside it, and the answer that it comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    pub table: Table,
    /// What is not in the rows, and why.
    pub hints: Vec<String>,
    pub answer: Answer,
}

impl Listing {
    pub fn new(columns: &[&str]) -> Self {
        Listing { table: Table::new(columns), hints: Vec::new(), answer: Answer::Yes }
    }
}
