//! Answers for people and programs: tables, JSON, CSV, and the report as text.

mod bar;
mod html;
mod report;

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use comfy_table::ContentArrangement;
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use desk::findings::Said;
use desk::runs::Absent;
use desk::table::{Listing, Table};
use desk::terminal::inert;
pub use desk::terminal::shown;
use desk::{Answer, Told};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::cli::Format;

pub use bar::Bar;
pub use html::page as html_page;
pub use report::report_text;

/// Whether only answers are wanted.
static QUIET: AtomicBool = AtomicBool::new(false);

pub fn be_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

/// A word beside the answer, on standard error; nothing under `--quiet`.
pub fn hint(text: &str) {
    if !QUIET.load(Ordering::Relaxed) {
        let _ = writeln!(std::io::stderr(), "{text}"); // a closed one hears nothing
    }
}

/// What an act says, and its answer.
pub fn told(told: Told) -> Answer {
    told.lines.iter().for_each(|line| println!("{}", shown(line)));
    told.answer
}

/// What an import says.
pub fn said(said: &Said) {
    said.hints.iter().for_each(|hint| eprintln!("{}", shown(hint)));
    said.lines.iter().for_each(|line| println!("{}", shown(line)));
}

/// A run that nobody has planned.
pub fn absent(absent: &Absent) -> Answer {
    hint(&absent.words);
    absent.answer
}

/// A table with what has to be said beside it.
pub fn listing(format: Format, listing: &Listing) -> Result<Answer> {
    listing.hints.iter().for_each(|text| hint(&shown(text)));
    table(format, &listing.table)?;
    Ok(listing.answer)
}

/// Prints rows in the format asked for. Columns are the headings and the JSON keys.
pub fn table(format: Format, rows: &Table) -> Result<()> {
    let Table { columns, rows } = rows;
    let mut out = std::io::stdout().lock();
    match format {
        Format::Table => {
            let mut table = comfy_table::Table::new();
            table.load_style(UTF8_HORIZONTAL_ONLY);
            table.set_content_arrangement(ContentArrangement::Dynamic);
            table.set_header(columns.iter());
            rows.iter().for_each(|row| {
                table.add_row(row.iter().map(|text| shown(text)));
            });
            writeln!(out, "{table}")?;
        }
        Format::Json => {
            let object = |row: &Vec<String>| {
                let pairs = columns.iter().zip(row);
                let pairs = pairs.map(|(key, text)| (key.clone(), Value::from(text.clone())));
                Value::Object(pairs.collect::<Map<_, _>>())
            };
            let list: Vec<Value> = rows.iter().map(object).collect();
            writeln!(out, "{}", serde_json::to_string_pretty(&list)?)?;
        }
        Format::Csv => {
            let mut csv = csv::Writer::from_writer(out);
            csv.write_record(columns)?;
            for row in rows {
                csv.write_record(row.iter().map(|text| inert(&unescaped(text))))?;
            }
            csv.flush()?;
        }
    }
    Ok(())
}

/// A cell that a terminal can be shown: white space stays as it is.
fn unescaped(text: &str) -> String {
    let steers = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    if text.contains(steers) { text.replace(steers, "") } else { text.to_owned() }
}

/// One JSON document on standard output.
pub fn json(value: &impl Serialize) -> Result<()> {
    writeln!(std::io::stdout().lock(), "{}", serde_json::to_string(value)?)?;
    Ok(())
}

/// One JSON document for a person to read.
pub fn pretty(value: &Value) -> Result<()> {
    writeln!(std::io::stdout().lock(), "{}", serde_json::to_string_pretty(value)?)?;
    Ok(())
}
