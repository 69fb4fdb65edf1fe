//! The recipient list and the day's content as they are kept between import and plan:
//! NDJSON below the state folder, replaced as a whole.

use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use chrono::{Days, NaiveDate};
use domain::{Clock, Recipient, SystemClock};
use scheduler::Snapshot;
use scheduler::intake::{Content, Intake, Refused};
use scheduler::snapshot::Taken;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::config::Config;

pub struct Files {
    state_dir: PathBuf,
}

impl Files {
    pub fn of(config: &Config) -> Self {
        Files { state_dir: config.state_dir.clone() }
    }

    fn recipients_path(&self) -> PathBuf {
        self.state_dir.join("recipients.ndjson")
    }

    fn content_path(&self, date: NaiveDate) -> PathBuf {
        self.state_dir.join("content").join(format!("{date}.ndjson"))
    }

    pub fn recipients(&self) -> Result<Vec<Recipient>> {
        read(&self.recipients_path())
    }

    pub fn content(&self, date: NaiveDate) -> Result<Vec<Content>> {
        read(&self.content_path(date))
    }

    pub fn save_recipients(&self, rows: &[Recipient]) -> Result<()> {
        write(&self.recipients_path(), rows)
    }

    pub fn save_content(&self, date: NaiveDate, rows: &[Content]) -> Result<()> {
        write(&self.content_path(date), rows)
    }

    /// Everything a run of `date` is planned from.
    pub fn snapshot(&self, config: &Config, date: NaiveDate) -> Result<Taken> {
        let (recipients, content) = (self.recipients()?, self.content(date)?);
        Ok(Snapshot::take(config.campaign.clone(), recipients, content))
    }
}

/// Rows of a file; none when it is not there yet.
fn read<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    let doing = || format!("read {}", path.display());
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(doing),
    };
    let parse = |(n, line): (usize, std::io::Result<String>)| {
        let line = line.with_context(doing)?;
        serde_json::from_str(&line).with_context(|| format!("{}, line {}", path.display(), n + 1))
    };
    BufReader::new(file).lines().enumerate().map(parse).collect()
}

fn write<T: Serialize>(path: &Path, rows: &[T]) -> Result<()> {
    let doing = || format!("write {}", path.display());
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).with_context(doing)?;
    }
    let temporary = path.with_extension("tmp");
    let write = || {
        let mut out = BufWriter::new(std::fs::File::create(&temporary)?);
        for row in rows {
            serde_json::to_writer(&mut out, row)?;
            out.write_all(b"\n")?;
        }
        out.into_inner()?.sync_all()?;
        std::fs::rename(&temporary, path)
    };
    let written: std::io::Result<()> = write();
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary); // it would only fill the disk further
    }
    written.with_context(doing)
}

/// Lists refused rows beside the import: line and reason, none of their values.
pub fn write_errors(import: &Path, refused: &[Refused]) -> Result<PathBuf> {
    let name = import.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let path = import.with_file_name(format!("{name}.errors.csv"));
    let doing = || format!("write {}", path.display());
    let mut csv = csv::Writer::from_path(&path).with_context(doing)?;
    csv.write_record(["line", "reason"]).with_context(doing)?;
    for row in refused {
        csv.write_record([row.line.to_string(), row.reason.clone()]).with_context(doing)?;
    }
    csv.flush().with_context(doing)?;
    Ok(path)
}

/// Says what an import found; with `strict`, one refused row refuses all.
pub fn judge<T>(import: &Path, intake: &Intake<T>, strict: bool) -> Result<()> {
    if intake.refused.is_empty() {
        return Ok(());
    }
    let listed = write_errors(import, &intake.refused)?;
    let n = intake.refused.len();
    for refused in intake.refused.iter().take(10) {
        eprintln!("{refused}");
    }
    if n > 10 {
        eprintln!("… and {} more", n - 10);
    }
    eprintln!("{n} rows were left out; listed in {}", listed.display());
    if strict {
        bail!("nothing was imported: {n} rows are bad and --strict was given");
    }
    Ok(())
}

/// today, tomorrow, yesterday or a date, in the campaign's zone.
pub fn date(text: &str, config: &Config) -> Result<NaiveDate> {
    let today = config.daily.window.date_at(SystemClock.now());
    let day = |days| Days::new(days);
    match text {
        "today" => Ok(today),
        "tomorrow" => today.checked_add_days(day(1)).context("the calendar ends"),
        "yesterday" => today.checked_sub_days(day(1)).context("the calendar begins"),
        other => other.parse().ok().with_context(|| {
            format!("date {other:?}: expected today, tomorrow, yesterday or yyyy-mm-dd")
        }),
    }
}
