//! What a house is asked from outside: by the command line, by its metrics, by its files.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chrono::NaiveDate;
use serde_json::Value;

use super::House;
use crate::install::get;
use crate::{power, subah};

const SAMPLED: &str = "subah_loop_last_success_timestamp_seconds{loop=\"sampler\"}";

impl House {
    pub(super) fn command(&self, config: &str, args: &[&str]) -> Command {
        let mut command = subah();
        command.arg("--config").arg(self.path(config)).args(args);
        self.days.rule(&mut command);
        command
    }

    /// Runs a command that must not fail; its standard output. `report` answers no without
    /// failing.
    fn said(&self, args: &[&str], no_is_fine: bool) -> Result<String> {
        let output = self.command("subah.toml", args).output().context("start subah")?;
        let code = output.status.code();
        let errors = String::from_utf8_lossy(&output.stderr);
        let fine = code == Some(0) || (no_is_fine && code == Some(1));
        ensure!(fine, "subah {args:?} ended with {code:?}: {errors}");
        String::from_utf8(output.stdout).with_context(|| format!("read what subah {args:?} said"))
    }

    pub(super) fn ok(&self, args: &[&str]) -> Result<String> {
        self.said(args, false)
    }

    /// Content of a date.
    ///
    /// # Errors
    /// When it is not taken.
    pub fn provide(&self, date: NaiveDate) -> Result<()> {
        let file = self.named("content.ndjson");
        self.ok(&["content", "import", &file, "--date", &date.to_string()]).map(|_| ())
    }

    /// The report of a date's run.
    ///
    /// # Errors
    /// When there is none.
    pub fn report(&self, date: NaiveDate) -> Result<Value> {
        let text = self.said(&["report", "--date", &date.to_string(), "--format", "json"], true)?;
        serde_json::from_str(&text).with_context(|| format!("read the report {text:?}"))
    }

    /// Runs that the ledger holds.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn runs(&self) -> Result<usize> {
        let text = self.ok(&["runs", "list", "--format", "json"])?;
        let rows: Vec<Value> = serde_json::from_str(&text).context("read the list of runs")?;
        Ok(rows.len())
    }

    pub(super) fn is_up(&self, metrics: u16) -> bool {
        let answers = |path| get(&format!("http://127.0.0.1:{metrics}/{path}"));
        ["healthz", "readyz"].into_iter().all(|path| answers(path).is_some_and(|(n, _)| n == 200))
    }

    /// The sum of a metric over the lines that `which` finds; `None` while nobody answers.
    pub fn metric(&self, which: impl Fn(&str) -> bool) -> Option<f64> {
        self.metric_at(self.metrics, which)
    }

    fn metric_at(&self, port: u16, which: impl Fn(&str) -> bool) -> Option<f64> {
        let (_, text) = get(&format!("http://127.0.0.1:{port}/metrics"))?;
        let lines = text.lines().filter(|line| which(line));
        lines.map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    pub(super) fn sampled(&self, port: u16) -> f64 {
        self.metric_at(port, |line| line.starts_with(SAMPLED)).unwrap_or(0.0)
    }

    /// Days since the oldest segment of the inbox was written.
    ///
    /// # Errors
    /// When the inbox cannot be read.
    pub fn inbox_days(&self) -> Result<f64> {
        let files = power::files(&self.state().join("inbox"));
        let segments = files.iter().filter(|path| path.extension().is_some_and(|e| e == "log"));
        let ages: Vec<Duration> =
            segments.map(|path| self.days.age(path)).collect::<Result<_>>()?;
        Ok(ages.into_iter().max().unwrap_or_default().as_secs_f64() / 86_400.0)
    }
}
