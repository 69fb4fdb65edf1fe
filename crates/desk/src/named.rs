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

/// A reason without the blanks around it.
///
/// # Errors
/// [`DeskError::WrongUse`] when nothing is left.
pub fn reason(text: &str) -> Result<&str> {
    let empty = || "--reason is empty: say why, for whoever asks tomorrow".to_owned();
    Some(text.trim()).filter(|text| !text.is_empty()).ok_or_else(|| DeskError::WrongUse(empty()))
}
