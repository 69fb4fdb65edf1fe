//! Spreadsheets as they are saved: XLSX, XLS, ODS. One sheet becomes rows of text.

use std::io::Cursor;

use calamine::{Data, DataType, Reader, Sheets, open_workbook_auto_from_rs};

use super::IntakeError;

/// Larger ones unpack to more than a machine wants to hold: save them as CSV.
const BYTES_MAX: usize = 64 * 1024 * 1024;

/// Whether these bytes are a spreadsheet: a ZIP archive, or an old Office file.
pub fn is_sheet(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(&[0xd0, 0xcf, 0x11, 0xe0])
}

/// Rows of a sheet with their numbers as the spreadsheet shows them.
pub struct Sheet {
    pub rows: Vec<(u64, Vec<String>)>,
    pub name: String,
}

/// Reads the sheet of that name, or the only one that is not empty.
///
/// # Errors
/// When the file is damaged or protected, too large, or has several sheets.
pub fn read(bytes: &[u8], wanted: Option<&str>) -> Result<Sheet, IntakeError> {
    if bytes.len() > BYTES_MAX {
        return Err(IntakeError::Sheet(format!(
            "it has more than {} MiB: save it as CSV",
            BYTES_MAX / 1024 / 1024
        )));
    }
    let unreadable = |error: &dyn std::fmt::Display| IntakeError::Sheet(format!("{error}"));
    let mut book: Sheets<_> =
        open_workbook_auto_from_rs(Cursor::new(bytes)).map_err(|error| unreadable(&error))?;
    let names = book.sheet_names();
    if wanted.is_some_and(|wanted| !names.iter().any(|name| name == wanted)) {
        return Err(IntakeError::NoSheet(names.join(", ")));
    }
    let mut found = Vec::new();
    for name in book.sheet_names() {
        if wanted.is_some_and(|wanted| wanted != name) {
            continue;
        }
        let range = book.worksheet_range(&name).map_err(|error| unreadable(&error))?;
        let (first, _) = range.start().unwrap_or_default();
        let row = |(at, row): (usize, &[Data])| {
            (u64::from(first) + at as u64 + 1, row.iter().map(text).collect())
        };
        let rows: Vec<(u64, Vec<String>)> = range.rows().enumerate().map(row).collect();
        if rows.iter().any(|(_, row)| row.iter().any(|cell| !cell.is_empty())) {
            found.push(Sheet { rows, name });
        }
    }
    match (found.pop(), found.pop()) {
        (Some(sheet), None) => Ok(sheet),
        (Some(_), Some(_)) => Err(IntakeError::Sheets(book.sheet_names().join(", "))),
        (None, _) => Err(IntakeError::Empty),
    }
}

/// A cell as its person sees it. Whole numbers keep all their digits; beyond 15 of them a
/// spreadsheet has lost some, which the exponent shows.
fn text(cell: &Data) -> String {
    match cell {
        Data::Float(number) if number.fract() == 0.0 && number.abs() < 1e15 => {
            format!("{number:.0}")
        }
        Data::Float(number) if number.abs() >= 1e15 => format!("{number:e}"),
        Data::DateTime(_) => cell
            .as_datetime()
            .map_or(String::new(), |at| at.format("%Y-%m-%d %H:%M:%S").to_string()),
        Data::Error(error) => error.to_string(),
        other => other.to_string().trim().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_read_as_people_see_them() {
        assert_eq!(text(&Data::Float(9_876_500_001.0)), "9876500001");
        assert_eq!(text(&Data::Float(919_876_500_001.0)), "919876500001");
        assert_eq!(text(&Data::Float(1.5)), "1.5");
        assert_eq!(text(&Data::Bool(true)), "true");
        assert_eq!(text(&Data::Error(calamine::CellErrorType::NA)), "#N/A");
        assert!(text(&Data::Float(1.234e18)).contains('e'), "digits were lost");
    }
}
