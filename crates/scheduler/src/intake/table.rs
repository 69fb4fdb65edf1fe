//! CSV in any clothes: BOM, UTF-16, CRLF, quotes, and commas, semicolons or tabs.

use std::collections::BTreeMap;

use super::{IntakeError, Refused};

/// Fields beyond this are damage (an unclosed quote swallows the rest of a file).
const FIELD_CHARS_MAX: usize = 8_192;

pub struct Table {
    pub columns: Vec<String>,
    pub rows: Vec<Row>,
    pub refused: Vec<Refused>,
}

/// One row by column; empty fields are left out.
pub struct Row {
    pub line: u64,
    fields: BTreeMap<String, String>,
}

impl Row {
    /// The field's text, trimmed; `None` when empty or missing.
    pub fn get(&self, column: &str) -> Option<&str> {
        self.fields.get(column).map(String::as_str)
    }

    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(column, text)| (column.as_str(), text.as_str()))
    }
}

/// Text of a file in UTF-8 or UTF-16 (by BOM), or Windows-1252 when it is neither.
pub fn decode(bytes: &[u8]) -> String {
    if let Some((encoding, _)) = encoding_rs::Encoding::for_bom(bytes) {
        return encoding.decode(bytes).0.into_owned();
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => encoding_rs::WINDOWS_1252.decode(bytes).0.into_owned(),
    }
}

/// Reads a table with a header row.
///
/// # Errors
/// When there is no usable header row.
pub fn read(bytes: &[u8]) -> Result<Table, IntakeError> {
    let text = decode(bytes);
    let header = text.lines().find(|line| !line.trim().is_empty()).ok_or(IntakeError::Empty)?;
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter(header))
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let columns: Vec<String> =
        reader.headers().map_err(|_| IntakeError::NoHeader)?.iter().map(column).collect();
    if let Some(double) = columns
        .iter()
        .enumerate()
        .find_map(|(at, name)| (!name.is_empty() && columns[..at].contains(name)).then_some(name))
    {
        return Err(IntakeError::DoubleColumn(double.clone()));
    }
    let mut table = Table { columns, rows: Vec::new(), refused: Vec::new() };
    for record in reader.records() {
        match record {
            Ok(record) => table.add(&record),
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                let reason = "the row cannot be read: check its quotes".to_owned();
                table.refused.push(Refused { line, id: None, reason });
            }
        }
    }
    Ok(table)
}

impl Table {
    fn add(&mut self, record: &csv::StringRecord) {
        let line = record.position().map_or(0, csv::Position::line);
        if record.iter().all(str::is_empty) {
            return; // spreadsheets leave empty rows behind
        }
        let id_at = self.columns.iter().position(|c| c == "id" || c == "recipient_id");
        let id = id_at.and_then(|at| record.get(at)).map(str::to_owned);
        let refuse = |reason: String| Refused { line, id: id.clone(), reason };
        if record.len() > self.columns.len() {
            let reason = format!(
                "{} fields in a row of {} columns: quote fields that hold the separator",
                record.len(),
                self.columns.len()
            );
            self.refused.push(refuse(reason));
            return;
        }
        if record.iter().any(|field| field.len() > FIELD_CHARS_MAX) {
            self.refused.push(refuse("a field is far too long: is a quote left open?".to_owned()));
            return;
        }
        let named = self.columns.iter().zip(record).filter(|(_, field)| !field.is_empty());
        let fields = named.map(|(name, field)| (name.clone(), field.to_owned())).collect();
        self.rows.push(Row { line, fields });
    }
}

/// `Opted In At` and `opted_in_at` are one column.
fn column(name: &str) -> String {
    name.trim_start_matches('\u{feff}').trim().to_lowercase().replace([' ', '-'], "_")
}

/// Whatever separates the header most often.
fn delimiter(header: &str) -> u8 {
    let count = |c: char| header.matches(c).count();
    [(b'\t', count('\t')), (b';', count(';')), (b',', count(','))]
        .into_iter()
        .max_by_key(|(_, n)| *n)
        .map_or(b',', |(delimiter, _)| delimiter)
}
