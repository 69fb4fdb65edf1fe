//! Tables in any clothes: CSV with any separator, line end and encoding, or a spreadsheet.
//!
//! Invariants: every physical line is counted once ([`Lines`]); a row is handed on by the
//! line that an editor shows; memory does not grow with the rows.

use csv_core::ReadRecordResult;

use super::header::{Header, Schema};
use super::quotes::{self, Quotes};
use super::text::{self, DAMAGED, Text, WHY_DAMAGED};
use super::{IntakeError, Lines, Notes, sheet};

/// Fields beyond this are damage.
const FIELD_BYTES_MAX: usize = 8_192;
/// A header is looked for in so many rows: titles and empty rows may stand before.
const TITLE_ROWS_MAX: usize = 20;
const DELIMITERS: &[u8] = b",;\t|";

/// One row, or what stands where one should be.
pub struct Row<'a> {
    pub line: u64,
    pub header: &'a Header,
    cells: Cells<'a>,
    /// Why it cannot be read as a row.
    pub damage: Option<String>,
}

#[derive(Clone, Copy)]
enum Cells<'a> {
    Joined { text: &'a str, ends: &'a [usize] },
    List(&'a [String]),
}

impl<'a> Cells<'a> {
    fn len(self) -> usize {
        match self {
            Cells::Joined { ends, .. } => ends.len(),
            Cells::List(list) => list.len(),
        }
    }

    fn get(self, at: usize) -> Option<&'a str> {
        match self {
            Cells::Joined { text, ends } => {
                let begin = if at == 0 { 0 } else { *ends.get(at - 1)? };
                Some(&text[begin..*ends.get(at)?])
            }
            Cells::List(list) => list.get(at).map(String::as_str),
        }
    }
}

impl<'a> Row<'a> {
    /// The field's text, trimmed; `None` when empty or missing.
    pub fn get(&self, column: &str) -> Option<&'a str> {
        self.at(self.header.position(column)?)
    }

    fn at(&self, at: usize) -> Option<&'a str> {
        self.cells.get(at).map(trimmed).filter(|text| !text.is_empty())
    }

    /// All fields that are not empty.
    pub fn fields(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let names = self.header.names.iter().enumerate();
        names.filter_map(|(at, name)| Some((name.as_str(), self.at(at)?)))
    }

    /// Every cell, also those beyond the header.
    pub fn cells(&self) -> impl Iterator<Item = &'a str> + '_ {
        (0..self.cells.len()).filter_map(|at| self.cells.get(at)).map(trimmed)
    }
}

/// Without white space of any kind, signs that nobody sees, and the quote that keeps
/// spreadsheets from running a text as a formula.
fn trimmed(text: &str) -> &str {
    let text = text.trim_matches(|c: char| c.is_whitespace() || domain::text::is_unseen(c));
    let defused = text.strip_prefix('\'').filter(|rest| rest.starts_with(['=', '+', '-', '@']));
    defused.unwrap_or(text)
}

/// How a table is read besides its own form.
pub struct Reading<'a> {
    pub schema: &'a Schema,
    /// Which sheet of a spreadsheet.
    pub sheet: Option<&'a str>,
    /// Whether cells by column look like a row of this kind: for lines inside a quote.
    pub looks: &'a dyn Fn(&Header, &[&str]) -> bool,
}

/// What is known of a table once its rows were handed on.
pub struct Table {
    pub header: Header,
    pub lines: Lines,
    pub notes: Notes,
}

/// Reads a table; `each` is given every row that is not empty.
///
/// # Errors
/// When there is no usable header row.
pub fn read(
    bytes: &[u8],
    reading: &Reading<'_>,
    each: &mut dyn FnMut(&Row<'_>),
) -> Result<Table, IntakeError> {
    if sheet::is_sheet(bytes) {
        read_sheet(bytes, reading, each)
    } else {
        read_csv(&text::decode(bytes), reading, each)
    }
}

fn read_sheet(
    bytes: &[u8],
    reading: &Reading<'_>,
    each: &mut dyn FnMut(&Row<'_>),
) -> Result<Table, IntakeError> {
    let (mut lines, mut notes) = (Lines::default(), Notes::default());
    let sheet = sheet::read(bytes, reading.sheet)?;
    notes.say(format!("read from sheet {:?}", sheet.name));
    let filled = |row: &&(u64, Vec<String>)| row.1.iter().any(|cell| !cell.is_empty());
    let heads = sheet.rows.iter().filter(filled).take(TITLE_ROWS_MAX);
    let heads = heads.map(|(line, cells)| (*line, cells.iter().map(String::as_str).collect()));
    let (head_line, header) = find_header(heads, reading.schema)?;
    header.check(reading.schema)?;
    let last = sheet.rows.last().map_or(0, |(line, _)| *line);
    lines.physical = last;
    // Rows above the first that the sheet holds are empty.
    lines.blank = sheet.rows.first().map_or(0, |(line, _)| line - 1);
    for (line, cells) in &sheet.rows {
        let is_blank = cells.iter().all(String::is_empty);
        match line.cmp(&head_line) {
            _ if is_blank => lines.blank += 1,
            std::cmp::Ordering::Less => lines.skipped += 1,
            std::cmp::Ordering::Equal => lines.header = 1,
            std::cmp::Ordering::Greater => {
                let cells = Cells::List(cells);
                let damage = damage(cells, &header, Quotes::Fit);
                each(&Row { line: *line, header: &header, cells, damage });
            }
        }
    }
    Ok(Table { header, lines, notes })
}

fn read_csv(
    text: &Text<'_>,
    reading: &Reading<'_>,
    each: &mut dyn FnMut(&Row<'_>),
) -> Result<Table, IntakeError> {
    let (mut lines, mut notes) = (Lines::default(), Notes::default());
    notes.decoded(text);
    let text: &str = &text.text;
    lines.physical = count_lines(text);
    let (given, body, before) = separator(text);
    lines.skipped = before;
    let found = match given {
        Some(delimiter) => find_csv_header(body, delimiter, before, reading.schema)
            .map(|(line, header)| (delimiter, line, header)),
        None => best_delimiter(body, before, reading.schema),
    };
    let (delimiter, head_line, header) = found?;
    header.check(reading.schema)?;
    let mut records = Records::new(body, delimiter, before + 1);
    while let Some(record) = records.next() {
        lines.blank += records.take_blank();
        let row = Row { line: record.line, header: &header, cells: record.cells(), damage: None };
        let spanned = record.spans - 1;
        if row.cells().all(str::is_empty) {
            lines.blank += record.spans;
        } else if record.line < head_line {
            lines.skipped += record.spans;
        } else if record.line == head_line {
            lines.header = record.spans;
        } else {
            let quotes = if record.raw.contains('"') {
                quotes::judge(record.raw, delimiter)
            } else {
                Quotes::Fit
            };
            let looks = |cells: &[&str]| (reading.looks)(&header, cells);
            let swallowed = swallowed(&record, delimiter, &looks);
            let damage = swallows(&record, swallowed.last())
                .or_else(|| damage(record.cells(), &header, quotes));
            // An unclosed cell says nothing about its row but where that begins.
            if swallowed.is_empty() {
                each(&Row { damage, ..row });
                lines.inside_quotes += spanned;
                continue;
            }
            let first = quotes::lines(record.raw).next().unwrap_or("");
            hand_on(first, record.line, &header, delimiter, damage.unwrap_or_default(), each);
            for (line, text) in &swallowed {
                let why = format!("stands inside the quote that is opened on line {}", record.line);
                hand_on(text, *line, &header, delimiter, why, each);
            }
            lines.inside_quotes += spanned - swallowed.len() as u64;
        }
    }
    lines.blank += records.take_blank();
    if lines.skipped > 0 {
        notes.say(format!("{} lines before the header row were skipped", lines.skipped));
    }
    Ok(Table { header, lines, notes })
}

/// A line that is refused as it stands: its cells are only looked at.
fn hand_on(
    text: &str,
    line: u64,
    header: &Header,
    delimiter: u8,
    why: String,
    each: &mut dyn FnMut(&Row<'_>),
) {
    let cells = text.split(char::from(delimiter)).map(|cell| cell.trim_matches('"').to_owned());
    let cells: Vec<String> = cells.collect();
    each(&Row { line, header, cells: Cells::List(&cells), damage: Some(why) });
}

/// Lines of a record that are rows of their own.
fn swallowed<'a>(
    record: &Record<'a>,
    delimiter: u8,
    looks: &dyn Fn(&[&str]) -> bool,
) -> Vec<(u64, &'a str)> {
    if record.spans == 1 {
        return Vec::new();
    }
    let numbered = (record.line..).zip(quotes::lines(record.raw)).skip(1);
    // A line that ends a cell of the row above has its cells shifted: one whose cells stand
    // where the header wants them is a row.
    numbered.filter(|(_, text)| quotes::is_row(text, delimiter, looks)).collect()
}

fn swallows(record: &Record<'_>, last: Option<&(u64, &str)>) -> Option<String> {
    let (last, _) = last?;
    Some(format!(
        "a quote that is opened on line {} swallows rows up to line {last}: close it",
        record.line
    ))
}

fn damage(cells: Cells<'_>, header: &Header, quotes: Quotes) -> Option<String> {
    let columns = header.names.len();
    let filled = |at: usize| cells.get(at).is_some_and(|cell| !cell.trim().is_empty());
    // An empty cell too many is a comma at the end, unless the row is full without it.
    let beyond = (columns..cells.len()).any(filled)
        || (cells.len() > columns && columns.checked_sub(1).is_some_and(filled));
    let each = || (0..cells.len()).filter_map(|at| cells.get(at));
    match quotes {
        Quotes::Open => return Some("a quote is opened and never closed".to_owned()),
        Quotes::Trailing => {
            return Some(
                "text stands behind a closing quote: double quotes inside a cell".to_owned(),
            );
        }
        Quotes::Fit => {}
    }
    if beyond {
        return Some(format!(
            "{} fields in a row of {columns} columns: quote fields that hold the separator",
            cells.len()
        ));
    }
    if each().any(|cell| cell.len() > FIELD_BYTES_MAX) {
        return Some("a field is far too long: is a quote left open?".to_owned());
    }
    each().any(|cell| cell.contains(DAMAGED)).then(|| WHY_DAMAGED.to_owned())
}

fn count_lines(text: &str) -> u64 {
    let bytes = text.as_bytes();
    let ends = bytes.iter().enumerate().filter(|(at, byte)| match byte {
        b'\n' => true,
        b'\r' => bytes.get(at + 1) != Some(&b'\n'),
        _ => false,
    });
    ends.count() as u64 + u64::from(bytes.last().is_some_and(|byte| !matches!(byte, b'\n' | b'\r')))
}

/// `sep=;` in the first line, as Excel writes it. The separator, what follows, and how many
/// lines went before.
fn separator(text: &str) -> (Option<u8>, &str, u64) {
    let first = text.lines().next().unwrap_or("").trim().trim_matches('"');
    let given = first.get(..4).filter(|start| start.eq_ignore_ascii_case("sep="));
    let Some(&[delimiter]) = given.map(|_| &first.as_bytes()[4..]) else {
        return (None, text, 0);
    };
    let rest = text.find(['\n', '\r']).map_or("", |at| {
        let rest = &text[at..];
        rest.strip_prefix("\r\n").unwrap_or(&rest[1..])
    });
    (Some(delimiter), rest, 1)
}

/// The separator under which most headings are known.
fn best_delimiter(
    text: &str,
    before: u64,
    schema: &Schema,
) -> Result<(u8, u64, Header), IntakeError> {
    let mut best: Option<(u8, u64, Header)> = None;
    let mut first_error = None;
    for delimiter in DELIMITERS {
        match find_csv_header(text, *delimiter, before, schema) {
            Ok((line, header)) => {
                let key = |header: &Header| (header.known, header.names.len());
                if best.as_ref().is_none_or(|(_, _, held)| key(held) < key(&header)) {
                    best = Some((*delimiter, line, header));
                }
            }
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    best.ok_or_else(|| first_error.unwrap_or(IntakeError::Empty))
}

fn find_csv_header(
    text: &str,
    delimiter: u8,
    before: u64,
    schema: &Schema,
) -> Result<(u64, Header), IntakeError> {
    let mut records = Records::new(text, delimiter, before + 1);
    let mut heads: Vec<(u64, Vec<String>)> = Vec::new();
    while heads.len() < TITLE_ROWS_MAX
        && let Some(record) = records.next()
    {
        let cells = record.cells();
        let cells = (0..cells.len()).filter_map(|at| cells.get(at)).map(str::to_owned);
        heads.push((record.line, cells.collect()));
    }
    let heads =
        heads.iter().map(|(line, cells)| (*line, cells.iter().map(String::as_str).collect()));
    find_header(heads, schema)
}

/// The row with the most known headings among the first ones.
fn find_header<'a>(
    heads: impl Iterator<Item = (u64, Vec<&'a str>)>,
    schema: &Schema,
) -> Result<(u64, Header), IntakeError> {
    let mut best: Option<(u64, Header)> = None;
    let mut any = false;
    for (line, cells) in heads {
        any |= cells.iter().any(|cell| !cell.trim().is_empty());
        // A row of people is no header, whatever one of them is called.
        if cells.iter().any(|cell| looks_personal(cell)) {
            continue;
        }
        let header = Header::of(cells.into_iter(), schema);
        if header.known > best.as_ref().map_or(0, |(_, held)| held.known) {
            best = Some((line, header));
        }
    }
    best.ok_or(if any { IntakeError::NoHeader } else { IntakeError::Empty })
}

fn looks_personal(cell: &str) -> bool {
    cell.contains('@') || cell.chars().filter(char::is_ascii_digit).count() >= 7
}

/// Records of a text with the line each begins on.
struct Records<'a> {
    text: &'a str,
    at: usize,
    line: u64,
    blank: u64,
    reader: csv_core::Reader,
    out: Vec<u8>,
    ends: Vec<usize>,
}

struct Record<'a> {
    line: u64,
    /// Physical lines that it takes.
    spans: u64,
    raw: &'a str,
    text: String,
    ends: Vec<usize>,
}

impl Record<'_> {
    fn cells(&self) -> Cells<'_> {
        Cells::Joined { text: &self.text, ends: &self.ends }
    }
}

impl<'a> Records<'a> {
    fn new(text: &'a str, delimiter: u8, line: u64) -> Self {
        let reader = csv_core::ReaderBuilder::new().delimiter(delimiter).build();
        Records { text, at: 0, line, blank: 0, reader, out: vec![0; 1_024], ends: vec![0; 32] }
    }

    /// Empty lines since the last time it was asked.
    fn take_blank(&mut self) -> u64 {
        std::mem::take(&mut self.blank)
    }

    fn next(&mut self) -> Option<Record<'a>> {
        self.skip_blank();
        if self.at >= self.text.len() {
            return None;
        }
        let (begin, line) = (self.at, self.line);
        let (mut written, mut cells) = (0, 0);
        loop {
            let input = &self.text.as_bytes()[self.at..];
            let (out, ends) = (&mut self.out[written..], &mut self.ends[cells..]);
            let (result, took, wrote, ended) = self.reader.read_record(input, out, ends);
            (self.at, written, cells) = (self.at + took, written + wrote, cells + ended);
            match result {
                ReadRecordResult::InputEmpty => {} // once more, with no input, is the end
                ReadRecordResult::OutputFull => self.out.resize(self.out.len() * 2, 0),
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
                ReadRecordResult::Record => break,
                ReadRecordResult::End => return None,
            }
        }
        if self.text[..self.at].ends_with('\r') && self.text[self.at..].starts_with('\n') {
            self.at += 1;
        }
        let raw = &self.text[begin..self.at];
        let spans = count_lines(raw);
        self.line += spans;
        // The reader copies bytes of a str and cuts them at ASCII signs only.
        let text = String::from_utf8(self.out[..written].to_vec()).expect("cut at ASCII");
        Some(Record { line, spans, raw, text, ends: self.ends[..cells].to_vec() })
    }

    fn skip_blank(&mut self) {
        loop {
            let rest = &self.text[self.at..];
            let end = rest.find(['\n', '\r']).unwrap_or(rest.len());
            if rest.is_empty() || !rest[..end].trim().is_empty() {
                return;
            }
            let after = rest[end..].strip_prefix("\r\n").or(rest.get(end + 1..)).unwrap_or("");
            self.at = self.text.len() - after.len();
            self.line += 1;
            self.blank += 1;
        }
    }
}
