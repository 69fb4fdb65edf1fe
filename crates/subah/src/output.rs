//! Answers for people and programs: tables, JSON, CSV, and the report as text.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{ContentArrangement, Table};
use config::Config;
use domain::{Clock, SystemClock};
use serde::Serialize;
use serde_json::{Map, Value};
use status::Report;
use status::sla::Verdict;

use crate::cli::Format;
use crate::terminal::{inert, shown};

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

/// Prints rows in the format asked for. `columns` are the headings and the JSON keys.
pub fn rows(format: Format, columns: &[&str], rows: &[Vec<String>]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match format {
        Format::Table => {
            let mut table = Table::new();
            table.load_style(UTF8_HORIZONTAL_ONLY);
            table.set_content_arrangement(ContentArrangement::Dynamic);
            table.set_header(columns.iter().copied());
            rows.iter().for_each(|row| {
                table.add_row(row.iter().map(|text| shown(text)));
            });
            writeln!(out, "{table}")?;
        }
        Format::Json => {
            let object = |row: &Vec<String>| {
                let pairs = columns.iter().zip(row);
                let pairs = pairs.map(|(key, text)| ((*key).to_owned(), Value::from(text.clone())));
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

/// Who looked at numbers in full is on record: in a file of the state folder, and in the
/// log. Without the record nothing is shown.
///
/// # Errors
/// When the record cannot be written.
pub fn audit(config: &Config, reveal: bool, what: &str) -> Result<()> {
    if !reveal {
        return Ok(());
    }
    let user = record(config, "revealed", what)?;
    tracing::error!(target: "audit", user, "personal data was revealed to {user}: {what}");
    Ok(())
}

/// Notes in the state folder's audit file what a person does or sees; returns who it is.
///
/// # Errors
/// When it cannot be written.
pub fn record(config: &Config, kind: &str, what: &str) -> Result<String> {
    let user = crate::owner::who();
    record_of(config, &user, kind, what)?;
    Ok(user)
}

/// Notes what somebody else than this command's user does, such as a loop that decides.
///
/// # Errors
/// When it cannot be written.
pub fn record_of(config: &Config, user: &str, kind: &str, what: &str) -> Result<()> {
    let at = SystemClock.now().rfc3339(config.zone());
    let line = serde_json::json!({"at": at, "user": user, kind: what});
    let path = config.state_dir.join("audit.ndjson");
    let doing = || format!("note in {} what is done", path.display());
    std::fs::create_dir_all(&config.state_dir).with_context(doing)?;
    let mut file =
        std::fs::File::options().create(true).append(true).open(&path).with_context(doing)?;
    writeln!(file, "{line}").with_context(doing)
}

/// One JSON document on standard output.
pub fn json(value: &impl Serialize) -> Result<()> {
    writeln!(std::io::stdout().lock(), "{}", serde_json::to_string(value)?)?;
    Ok(())
}

/// The report as a person on duty reads it.
pub fn report_text(report: &Report, verdict: &Verdict) -> String {
    let mut text = String::new();
    let mut line = |part: String| {
        text.push_str(&part);
        text.push('\n');
    };
    let percent = report.sla.ratio * 100.0;
    line(format!("{}  ({}, {} planned)", report.run, report.engine, report.planned));
    let so_far = match verdict {
        Verdict::Met | Verdict::Missed => "delivered by the deadline",
        _ => "delivered so far",
    };
    line(format!(
        "SLA {verdict}: {} of {} {so_far} = {percent:.2} % (target {:.0} %)",
        report.by_deadline.delivered,
        report.sla.denominator,
        report.sla.target * 100.0
    ));
    if let Verdict::OnTrack { expected: Some(at) } = verdict {
        line(format!("Expected      all that is promised by {at}"));
    }
    line(String::new());
    line(format!(
        "Window        opens {}   target {}",
        clock(&report.window.opens),
        clock(&report.window.target)
    ));
    line(format!(
        "              closes {}  deadline {}",
        clock(&report.window.closes),
        clock(&report.window.deadline)
    ));
    how_it_went(report, &mut line);
    text
}

fn how_it_went(report: &Report, line: &mut impl FnMut(String)) {
    let by = &report.by_deadline;
    line(format!(
        "By deadline   {} accepted, {} sent, {} delivered",
        by.accepted, by.sent, by.delivered
    ));
    let states: Vec<String> =
        report.states.iter().filter(|(_, n)| *n > 0).map(|(s, n)| format!("{n} {s}")).collect();
    line(format!("Now           {}", states.join(", ")));
    let a = &report.attempts;
    line(format!(
        "Attempts      {}: {} accepted, {} refused, {} ambiguous, {} not sent",
        a.total, a.accepted, a.refused, a.ambiguous, a.not_sent
    ));
    let l = &report.lateness_ms;
    line(format!(
        "Lateness      p50 {} ms, p99 {} ms, max {} ms, {} early",
        l.p50, l.p99, l.max, l.early
    ));
    if !report.misses.is_empty() {
        let misses: Vec<String> = report
            .misses
            .iter()
            .map(|m| format!("{} {}", m.count, m.cause.replace('_', " ")))
            .collect();
        line(format!("Misses        {}", misses.join(", ")));
    }
    let twice = &report.duplicates;
    if twice.possible > 0 {
        line(format!(
            "Twice         {} possibly, of these {} surely: `subah deliveries list --twice`",
            twice.possible, twice.proven
        ));
    }
    for number in &report.numbers {
        line(format!(
            "Number        {}: {} of {} accepted",
            number.id, number.accepted, number.planned
        ));
    }
    if let Some(o) = &report.oracle {
        line(format!(
            "Far side      {} requests, {} accepted for {} deliveries, {} duplicates, {} lost",
            o.requests, o.accepted, o.distinct_deliveries, o.duplicates, o.lost
        ));
    }
}

/// The time of day in an RFC 3339 text.
fn clock(text: &str) -> &str {
    text.split_once('T').map_or(text, |(_, time)| time)
}
