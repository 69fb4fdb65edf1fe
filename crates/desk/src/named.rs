//! What a person names: a date, a campaign, a run, and a reason that says something.

use chrono::{Days, NaiveDate};
use config::{CampaignConfig, Config};
use domain::run::BadRunId;
use domain::{Clock, RunId, SystemClock};
use ledger::{Ledger, Run};

use crate::error::{DeskError, Result};

/// today, tomorrow, yesterday or a date, in the campaign's zone.
///
/// # Errors
/// [`DeskError::WrongUse`] when the text is none of these.
pub fn date(text: &str, config: &Config) -> Result<NaiveDate> {
    let zone = config.campaign().map_or(config.zone(), |one| one.daily.window.zone);
    let today = SystemClock.now().to_utc().with_timezone(&zone).date_naive();
    let found = match text {
        "today" => Some(today),
        "tomorrow" => today.checked_add_days(Days::new(1)),
        "yesterday" => today.checked_sub_days(Days::new(1)),
        other => other.parse().ok(),
    };
    let expected = "expected today, tomorrow, yesterday or yyyy-mm-dd";
    found.ok_or_else(|| DeskError::WrongUse(format!("date {text:?}: {expected}")))
}

/// Which campaign an act is about: the one that is named, or the only one.
///
/// # Errors
/// [`DeskError::WrongUse`] when it has to be named, or is not configured.
pub fn campaign(config: &Config) -> Result<&CampaignConfig> {
    config.campaign().map_err(|bad| DeskError::WrongUse(bad.to_string()))
}

/// `today`, a date, or a run's own id.
///
/// # Errors
/// [`DeskError::WrongUse`] when the text is none of these.
pub fn run_id(config: &Config, text: &str) -> Result<RunId> {
    if text.contains('@') {
        return text.parse().map_err(|bad: BadRunId| DeskError::WrongUse(bad.to_string()));
    }
    Ok(RunId::new(&campaign(config)?.campaign.id, date(text, config)?))
}

/// The run of a date, given as such or as its id; `None` when nobody has planned it.
///
/// # Errors
/// When the text names no run, or the store does not answer.
pub async fn find_run(config: &Config, ledger: &dyn Ledger, text: &str) -> Result<Option<Run>> {
    Ok(ledger.run(&run_id(config, text)?).await?)
}

/// Longest reason, in characters.
const REASON_MAX: usize = 500;

/// A reason without the blanks around it.
///
/// # Errors
/// [`DeskError::WrongUse`] when nothing is left that anybody can see, or it is longer than a reason is.
pub fn reason(text: &str) -> Result<&str> {
    let text = text.trim();
    let wrong = |what: &str| Err(DeskError::WrongUse(what.to_owned()));
    let is_seen = |c: char| !c.is_whitespace() && !c.is_control() && !is_invisible(c);
    if !text.chars().any(is_seen) {
        return wrong("--reason is empty: say why, for whoever asks tomorrow");
    }
    if text.chars().count() > REASON_MAX {
        return wrong("--reason is longer than 500 characters: say it shorter");
    }
    if text.chars().any(char::is_control) {
        return wrong("--reason has control characters: say it in one line of text");
    }
    Ok(text)
}

/// Signs without width, which make an empty text look like one that is not.
const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{feff}')
}
