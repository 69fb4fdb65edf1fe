//! What every import is read by, and its last step: the rows become the set.

use std::path::PathBuf;

use config::Config;
use domain::{Clock, SystemClock};
use scheduler::intake::{Country, Rules};

use crate::Desk;
use crate::draft::{Draft, Guard};
use crate::error::{DeskError, Doing, Result};
use crate::findings::Said;
use crate::sets::Set;

/// A file, and how it is to be taken.
#[derive(Clone, Debug, Default)]
pub struct Import {
    /// Where it was read: named in errors, and what is refused is listed beside it.
    pub file: PathBuf,
    pub bytes: Vec<u8>,
    /// One bad row refuses all.
    pub strict: bool,
    pub dry_run: bool,
    /// Also when many rows go.
    pub yes: bool,
    /// Of a spreadsheet with several.
    pub sheet: Option<String>,
    /// Of numbers without a country code; the configured one, by default.
    pub default_country: Option<Country>,
}

impl Import {
    pub(crate) fn rules(&self, config: &Config) -> Rules {
        Rules {
            lint: config.lint.clone(),
            sheet: self.sheet.clone(),
            default_country: self.default_country.or(config.recipients.default_country),
            ..Rules::new(config.zone(), SystemClock.now())
        }
    }

    pub(crate) fn guard(&self, shrink_max: f64) -> Guard {
        Guard { shrink_max, yes: self.yes, dry_run: self.dry_run }
    }
}

/// Makes a draft the next version of its set, and says what that changes.
///
/// # Errors
/// When a yes is missing, or the records do not answer: nothing is changed then.
pub(crate) async fn take_up(
    desk: &Desk,
    set: &Set,
    draft: Draft,
    guard: Guard,
    said: &mut Said,
) -> Result<()> {
    let what = set.rows();
    let replacement = match desk.import(set, draft, guard).await {
        Ok(replacement) => replacement,
        Err(DeskError::Asked { replacement, why }) => {
            said.line(format!("{replacement}  {what}"));
            return Err(DeskError::Refused(why));
        }
        Err(error) => return Err(error).doing(|| format!("take up the {what}")),
    };
    said.line(format!("{replacement}  {what}"));
    if guard.dry_run {
        said.line("nothing was changed: --dry-run");
    }
    Ok(())
}
