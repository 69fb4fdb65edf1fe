//! Is everything ready for the morning? What was looked at, what was seen, and the outcome: *go*,
//! *degraded* (it goes out, with less than was promised) or *no-go* (nothing can go out rightly).
//!
//! Asked by `check`, and by the daemon half an hour, five minutes and one minute before each
//! campaign's target. Invariant: what nobody could look at is *not checked*, and never *ok*.

mod host;
mod meta;
mod next_run;

use std::sync::Arc;

use config::secrets::Credentials;
use config::{CampaignConfig, Config};
use domain::{Clock, SystemClock, Timestamp};
use ledger::Ledger;
use serde::Serialize;

use crate::error::Result;
use crate::table::Table;

/// How one thing was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    Ok,
    Problem,
    /// Nobody looked, or nobody answered: that is never *ok*.
    NotChecked,
}

/// What a problem means for the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Weight {
    /// It goes out all the same, to fewer people, later, or without a spare.
    Degraded,
    /// Nothing can be sent rightly: the store loses writes, the token or the account is refused, no
    /// translation is approved, no number may send, or nobody can be sent to. Only the first three
    /// hold anything back; the others are what they are.
    NoGo,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub what: String,
    pub found: Found,
    pub seen: String,
    /// Empty where nothing is wrong.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub expected: String,
    /// What Subah does about it, or a person has to.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub then: String,
    #[serde(skip)]
    pub weight: Weight,
}

/// The outcome of all findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Go,
    Degraded,
    NoGo,
}

impl Outcome {
    pub const fn as_str(self) -> &'static str {
        match self {
            Outcome::Go => "go",
            Outcome::Degraded => "degraded",
            Outcome::NoGo => "no-go",
        }
    }

    /// As somebody reads it at 05:59.
    pub const fn words(self) -> &'static str {
        match self {
            Outcome::Go => "GO: everything was looked at and is as it should be",
            Outcome::Degraded => {
                "DEGRADED: it goes out as far as it can, see PROBLEM and not checked above"
            }
            Outcome::NoGo => {
                "NO-GO: nothing can be sent rightly before each PROBLEM above is put right"
            }
        }
    }

    /// As the metric has it: 0, 1, 2.
    pub const fn level(self) -> i64 {
        self as i64
    }
}

/// Findings as they are made.
#[derive(Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Findings(pub Vec<Finding>);

impl Findings {
    pub fn ok(&mut self, what: impl Into<String>, seen: impl Into<String>) {
        self.push(Found::Ok, Weight::Degraded, what.into(), seen.into(), "", "");
    }

    pub fn not_checked(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.push(Found::NotChecked, Weight::Degraded, what.into(), why.into(), "", "");
    }

    /// `expected` and `then` are kept only with a problem.
    pub fn judge(
        &mut self,
        good: bool,
        what: impl Into<String>,
        seen: impl Into<String>,
        expected: &str,
        then: &str,
    ) {
        match good {
            true => self.ok(what, seen),
            false => {
                let (what, seen) = (what.into(), seen.into());
                self.push(Found::Problem, Weight::Degraded, what, seen, expected, then);
            }
        }
    }

    pub fn no_go(
        &mut self,
        what: impl Into<String>,
        seen: impl Into<String>,
        expected: &str,
        then: &str,
    ) {
        self.push(Found::Problem, Weight::NoGo, what.into(), seen.into(), expected, then);
    }

    fn push(
        &mut self,
        found: Found,
        weight: Weight,
        what: String,
        seen: String,
        expected: &str,
        then: &str,
    ) {
        let (expected, then) = (expected.to_owned(), then.to_owned());
        self.0.push(Finding { what, found, seen, expected, then, weight });
    }

    pub fn outcome(&self) -> Outcome {
        let worst = |one: &Finding| match (one.found, one.weight) {
            (Found::Ok, _) => Outcome::Go,
            (Found::NotChecked, _) | (Found::Problem, Weight::Degraded) => Outcome::Degraded,
            (Found::Problem, Weight::NoGo) => Outcome::NoGo,
        };
        self.0.iter().map(worst).max_by_key(|outcome| outcome.level()).unwrap_or(Outcome::Degraded)
    }

    /// A row for each.
    pub fn table(&self) -> Table {
        let row = |one: &Finding| {
            let found = format!("{:?}", one.found).to_lowercase();
            let words = [&one.what, &one.seen, &one.expected, &one.then].map(String::clone);
            [found].into_iter().chain(words).collect()
        };
        let columns = ["found", "what", "seen", "expected", "then"];
        Table { rows: self.0.iter().map(row).collect(), ..Table::new(&columns) }
    }

    pub fn has_problems(&self) -> bool {
        self.0.iter().any(|one| one.found == Found::Problem)
    }
}

impl Finding {
    /// One line for a person.
    pub fn line(&self) -> String {
        let word = match self.found {
            Found::Ok => "ok     ",
            Found::Problem => "PROBLEM",
            Found::NotChecked => "not checked",
        };
        let mut line = format!("{word} {}", self.what);
        for (before, part) in
            [(": ", &self.seen), ("; expected ", &self.expected), ("; ", &self.then)]
        {
            if !part.is_empty() {
                line.push_str(before);
                line.push_str(part);
            }
        }
        line
    }
}

/// What is looked at.
pub struct Scope<'a> {
    pub config: &'a Config,
    /// Whose runs; all, by default.
    pub campaigns: Vec<&'a CampaignConfig>,
    /// Whose date, as a person writes it; the next one, by default.
    pub date: Option<&'a str>,
    pub offline: bool,
    /// The daemon's own; a command opens the store itself.
    pub ledger: Option<Arc<dyn Ledger>>,
    pub now: Timestamp,
}

/// Looks at everything for the campaign that is named, or for all.
///
/// # Errors
/// As [`look`].
pub async fn check(
    config: &Config,
    date: Option<&str>,
    offline: bool,
) -> Result<(Findings, Result<()>)> {
    let named = |one: &&CampaignConfig| {
        config.named.as_deref().is_none_or(|name| name == one.campaign.id.as_str())
    };
    let campaigns = config.campaigns.iter().filter(named).collect();
    let now = SystemClock.now();
    look(&Scope { config, campaigns, date, offline, ledger: None, now }).await
}

/// Looks at everything.
///
/// # Errors
/// When lists or content cannot be read; and the store's own error once everything else was looked
/// at, beside the findings.
pub async fn look(scope: &Scope<'_>) -> Result<(Findings, Result<()>)> {
    let config = scope.config;
    let mut findings = Findings::default();
    findings.ok(format!("configuration {}", config.file.display()), "");
    let credentials = Credentials::load(&config.credentials);
    match &credentials {
        Ok(_) => findings.ok("credentials are there", ""),
        Err(error) => findings.no_go(error.to_string(), "", "", ""),
    }
    let store = host::store(scope, &mut findings).await;
    host::records(config, &mut findings).await;
    host::disk(config, &mut findings);
    host::webhooks(config, scope.now, &mut findings);
    let (ledger, store) = match store {
        Ok(ledger) => (ledger, Ok(())),
        Err(error) => {
            let then = "nothing is sent while the store does not answer";
            findings.no_go(format!("store: {}", error.chain()), "", "", then);
            (None, Err(error))
        }
    };
    let ledger = ledger.as_deref();
    if let Some(ledger) = ledger {
        host::orders(scope, ledger, &mut findings).await?;
    }
    let mut needs = Vec::new();
    for one in &scope.campaigns {
        needs.push(next_run::look(scope, one, ledger, &mut findings).await?);
    }
    match credentials {
        Ok(credentials) if !scope.offline => {
            meta::look(scope, credentials, ledger, &needs, &mut findings).await?;
        }
        _ => {
            findings.not_checked("Meta was not asked: numbers, templates, subscription, token", "")
        }
    }
    Ok((findings, store))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_finding_decides_and_nothing_looked_at_is_no_go_ahead() {
        let mut findings = Findings::default();
        assert_eq!(findings.outcome(), Outcome::Degraded);
        findings.ok("a", "good");
        assert_eq!(findings.outcome(), Outcome::Go);
        findings.not_checked("b", "nobody answered");
        assert_eq!(findings.outcome(), Outcome::Degraded);
        findings.judge(false, "c", "seen", "another", "it waits");
        assert_eq!(findings.outcome(), Outcome::Degraded);
        findings.no_go("d", "seen", "", "");
        assert_eq!(findings.outcome(), Outcome::NoGo);
        let lines: Vec<String> = findings.0.iter().map(Finding::line).collect();
        let want = [
            "ok      a: good",
            "not checked b: nobody answered",
            "PROBLEM c: seen; expected another; it waits",
            "PROBLEM d: seen",
        ];
        assert_eq!(lines, want);
    }
}
