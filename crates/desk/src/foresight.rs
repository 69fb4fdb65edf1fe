//! What a run would be if it was planned now: who can be sent to, and whether it fits.

use std::collections::BTreeSet;
use std::path::Path;

use chrono::NaiveDate;
use cloud_api::media::check_file;
use config::{CampaignConfig, Config};
use domain::{RunId, Timestamp};
use ledger::{Ledger, Phase, Run};
use scheduler::Plan;
use scheduler::capacity::Capacity;
use templates::{Header, Media, TemplateCall};

use crate::error::{DeskError, Result};
use crate::files::Files;

/// Different media that are looked at, of each kind.
const MEDIA_MAX: usize = 50;

/// A run as it would be planned now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Foreseen {
    /// Recipients who agreed to get it.
    pub wanted: u32,
    /// Of these, who can be sent to.
    pub sendable: u32,
    pub numbers_needed: usize,
    pub numbers: usize,
    pub fits: bool,
    /// Some of the media that Meta holds already, and of those that it will fetch.
    pub media_ids: BTreeSet<String>,
    pub media_links: BTreeSet<String>,
}

impl Foreseen {
    /// Held against the promise: whoever wants it and cannot be sent to is not delivered to.
    pub fn is_enough(&self, sla_target: f64) -> bool {
        self.sendable > 0 && self.ratio() >= sla_target
    }

    fn note_media(&mut self, call: &TemplateCall) {
        let Some(Header::Media { media, .. }) = &call.header else { return };
        let (held, place) = match media {
            Media::Id(id) => (&mut self.media_ids, id),
            Media::Link(link) => (&mut self.media_links, link),
            Media::Path(_) | Media::Asset(_) => return, // uploaded when the run is planned
        };
        if held.len() < MEDIA_MAX && !held.contains(place) {
            held.insert(place.clone());
        }
    }

    pub fn ratio(&self) -> f64 {
        f64::from(self.sendable) / f64::from(self.wanted.max(1))
    }
}

/// Looks at the run of a date; `None`: the zone has no such date.
///
/// # Errors
/// When lists or content cannot be read.
pub async fn look(
    config: &Config,
    one: &CampaignConfig,
    date: NaiveDate,
    now: Timestamp,
) -> Result<Option<Foreseen>> {
    let Some(window) = one.daily.window.on(date) else { return Ok(None) };
    let taken = Files::of(config).snapshot(config, one, date).await?;
    let plan = Plan::new(&taken.snapshot, RunId::new(&one.campaign.id, date), window, now);
    let mut foreseen = Foreseen::default();
    for index in 0..plan.total() {
        let (mine, can) = match plan.at(index).call {
            Ok(call) => {
                foreseen.note_media(&call);
                (true, bad_media(&call).is_none())
            }
            Err(left_out) => (left_out.reason.is_a_fault(), false),
        };
        foreseen.wanted += u32::from(mine);
        foreseen.sendable += u32::from(can);
    }
    let capacity = Capacity::of(&plan);
    foreseen.numbers_needed = capacity.numbers_needed as usize;
    foreseen.numbers = capacity.lanes.len();
    foreseen.fits = capacity.fits();
    Ok(Some(foreseen))
}

/// Why a call's local file would not be taken.
pub fn bad_media(call: &TemplateCall) -> Option<String> {
    match &call.header {
        Some(Header::Media { kind, media: Media::Path(path), .. }) => {
            check_file(*kind, Path::new(path)).err().map(|bad| DeskError::from(bad).chain())
        }
        _ => None,
    }
}

/// Runs that are open, of campaigns that are not configured: a campaign was renamed or taken out, and
/// its run is sent all the same.
///
/// # Errors
/// When the ledger does not answer.
pub async fn nobodys(config: &Config, ledger: &dyn Ledger) -> Result<Vec<RunId>> {
    let runs = ledger.active_runs().await?.into_iter();
    let is_open = |run: &Run| matches!(run.phase, Phase::Planning | Phase::Open | Phase::Paused);
    // A test message is a run of its own for a few minutes.
    let is_test = |id: &RunId| id.campaign().contains("-test-");
    let ids = runs.filter(is_open).map(|run| run.header.id.clone());
    Ok(ids.filter(|id| config.campaign_of(id).is_none() && !is_test(id)).collect())
}

/// What is said of such a run.
pub fn strange(run: &RunId) -> String {
    let campaign = run.campaign();
    format!(
        "the run {run} is open and is sent, but no campaign {campaign} is configured; if it was renamed, its people may get two messages: `subah runs cancel {run} --reason …` ends it"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enough_is_what_is_promised_of_those_who_agreed() {
        assert!(!Foreseen::default().is_enough(0.0), "nobody can be sent to");
        let most = Foreseen { wanted: 200, sendable: 198, ..Foreseen::default() };
        assert!(most.is_enough(0.99) && !most.is_enough(0.995));
    }
}
