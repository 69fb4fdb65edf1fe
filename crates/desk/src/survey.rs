//! What a run would be: everybody who gets something, everybody who does not, and whether it fits.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use chrono_tz::Tz;
use cloud_api::media::MediaCache;
use config::Config;
use domain::{Clock, NumberId, RunId, Suppression, SystemClock};
use ledger::Phase;
use scheduler::Plan;
use scheduler::campaign::Choice;
use scheduler::capacity::{Capacity, LaneCapacity};
use scheduler::intake::content::KeptContent;
use scheduler::intake::recipients::plain_id;
use scheduler::plan::LeftOut;
use scheduler::planner::wanted_files;
use scheduler::snapshot::Taken;
use serde_json::{Value, json};

use crate::error::{DeskError, Result};
use crate::files::Files;
use crate::foresight::bad_media;
use crate::runs::sealed_hint;
use crate::table::Table;
use crate::{named, store};

/// How far uploads are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uploads {
    pub needed: usize,
    pub done: usize,
}

/// Somebody who gets nothing.
pub struct Left {
    pub recipient: String,
    pub reason: &'static str,
    pub detail: String,
}

/// Share of the content that may be for nobody.
const FOR_NOBODY_MAX: f64 = 0.01;

/// Everything that the plan says.
pub struct Survey {
    pub run: RunId,
    /// Of what the run would be planned from.
    pub snapshot: String,
    /// The campaign's own template.
    pub template: String,
    pub total: u32,
    pub deliverable: u32,
    /// Local minute → deliveries.
    pub minutes: BTreeMap<String, u32>,
    /// Who gets nothing, and why.
    pub left_out: Vec<Left>,
    pub capacity: Capacity,
    /// Media files that Meta would not take, with the reason.
    pub bad_media: BTreeSet<String>,
    /// Recipient ids of content for nobody in the list, with the id that is probably meant.
    pub for_nobody: Vec<(String, Option<String>)>,
    /// Rows of content in all.
    pub content: usize,
    /// Recipients who get the default language, by the one that they asked for.
    pub fallbacks: BTreeMap<String, u32>,
    /// Messages by template, where the campaign has families.
    pub families: BTreeMap<String, u32>,
    /// Recipients who get the campaign's own template for want of a picture, by their family's.
    pub without_picture: BTreeMap<String, u32>,
    /// Rows of the lists that the campaign is not for.
    pub outside: usize,
    /// Rows of persons who have a row already.
    pub twice: Vec<String>,
    /// What people read times in.
    pub zone: Tz,
    /// What else has to be known.
    pub hints: Vec<String>,
    /// Local pictures, one for each number that is to send them, and how many of them Meta has.
    pub uploads: Uploads,
}

/// A run as it would be planned now.
pub enum Foreshown {
    /// There is no run on that date, and why.
    NoRun(String),
    Survey(Box<Survey>),
}

/// Looks at the run of a date as it would be planned now. Changes nothing.
///
/// # Errors
/// When the date makes no sense, or files cannot be read.
pub async fn foreshow(config: &Config, date: &str) -> Result<Foreshown> {
    let date = named::date(date, config)?;
    let one = named::campaign(config)?;
    if let Some(why) = one.daily.days.why_not(date) {
        let words = format!("{}: no run on that date, {why}", one.campaign.id);
        return Ok(Foreshown::NoRun(words));
    }
    let taken = Files::of(config).snapshot(config, one, date).await?;
    let no_such_date = || DeskError::Refused("the zone has no such date".to_owned());
    let window = one.daily.window.on(date).ok_or_else(no_such_date)?;
    let id = RunId::new(&one.campaign.id, date);
    let plan = Plan::new(&taken.snapshot, id.clone(), window, SystemClock.now());
    let mut survey = survey(one.daily.window.zone, &plan);
    for list in Files::of(config).lists_never_imported(one) {
        survey.hints.push(format!(
            "the audience's list {list} was never imported: nobody of it is in this plan"
        ));
    }
    survey.for_nobody = for_nobody(&taken);
    survey.outside = taken.outside;
    survey.content = taken.for_nobody.len() + taken.snapshot.content_rows();
    survey.twice = taken.twice.iter().map(|id| id.as_str().to_owned()).collect();
    survey.uploads = uploads(config, &plan);
    survey.hints.extend(if_planned(config, &id, &taken.snapshot.hash).await?);
    Ok(Foreshown::Survey(Box::new(survey)))
}

impl Survey {
    /// Whether the run can go out as it is meant.
    pub fn is_good(&self) -> bool {
        let good = self.capacity.fits() && self.deliverable > 0 && self.bad_media.is_empty();
        // A few have left since; many mean that the ids of the two files do not fit.
        let few = self.for_nobody.len() as f64 <= FOR_NOBODY_MAX * self.content as f64;
        good && few
    }

    /// The plan as programs read it.
    pub fn as_json(&self) -> Value {
        let lane = |lane: &LaneCapacity| {
            json!({
                "number": lane.number.as_str(), "planned": lane.planned,
                "throughput": lane.throughput, "finishes_at": lane.finishes_at.rfc3339(self.zone),
            })
        };
        let left_out = |left: &Left| {
            json!({
                "recipient_id": left.recipient, "reason": left.reason, "detail": left.detail,
            })
        };
        let for_nobody =
            |(id, meant): &(String, Option<String>)| json!({"recipient_id": id, "probably": meant});
        let capacity = &self.capacity;
        json!({
            "run": self.run.as_str(), "snapshot": self.snapshot, "planned": self.total,
            "deliverable": self.deliverable,
            "left_out": self.left_out.iter().map(left_out).collect::<Vec<_>>(),
            "minutes": self.minutes,
            "content_for_nobody": self.for_nobody.iter().map(for_nobody).collect::<Vec<_>>(),
            "families": self.families, "without_picture": self.without_picture,
            "outside_audience": self.outside,
            "language_fallbacks": self.fallbacks, "one_person_twice": self.twice,
            "bad_media": self.bad_media,
            "uploads": {"needed": self.uploads.needed, "done": self.uploads.done},
            "capacity": {"fits": capacity.fits(), "numbers": capacity.lanes.len(),
                "lanes": capacity.lanes.iter().map(lane).collect::<Vec<_>>(),
                "numbers_needed": capacity.numbers_needed},
        })
    }

    /// Everybody who gets nothing, or not what was meant: a row each.
    pub fn problems(&self) -> Table {
        let left_out =
            |left: &Left| vec![left.recipient.clone(), left.reason.to_owned(), left.detail.clone()];
        let for_nobody = |(id, meant): &(String, Option<String>)| {
            let detail = match meant {
                Some(meant) => format!("content for nobody in the list; {meant} is probably meant"),
                None => "content for nobody in the list".to_owned(),
            };
            vec![id.clone(), "unknown_recipient".to_owned(), detail]
        };
        let twice = |id: &String| {
            let detail = "the person has another row, which counts";
            vec![id.clone(), "one_person_twice".to_owned(), detail.to_owned()]
        };
        let left_out = self.left_out.iter().map(left_out);
        let rows = left_out
            .chain(self.for_nobody.iter().map(for_nobody))
            .chain(self.twice.iter().map(twice));
        Table { rows: rows.collect(), ..Table::new(&["recipient_id", "reason", "detail"]) }
    }
}

/// Content for nobody, and whom it is probably for: ids that programs have changed on the
/// way differ by case, zeros, `.0` or signs that nobody sees.
fn for_nobody(taken: &Taken) -> Vec<(String, Option<String>)> {
    let known: HashMap<String, &str> = if taken.for_nobody.is_empty() {
        HashMap::new()
    } else {
        let ids = taken.snapshot.rows.iter().map(|row| row.recipient.id.as_str());
        ids.map(|id| (plain_id(id), id)).collect()
    };
    let meant = |content: &KeptContent| {
        let id = content.recipient_id.as_str();
        (id.to_owned(), known.get(&plain_id(id)).map(|id| (*id).to_owned()))
    };
    taken.for_nobody.iter().map(meant).collect()
}

/// Which of the plan's own pictures Meta has already.
fn uploads(config: &Config, plan: &Plan<'_>) -> Uploads {
    let cache = MediaCache::open(config.media_cache());
    let now = SystemClock.now();
    let wanted = wanted_files(plan);
    let mut numbers: BTreeMap<&str, Vec<&NumberId>> = BTreeMap::new();
    for file in wanted.iter().filter(|file| !file.is_spare) {
        numbers.entry(&file.path).or_default().push(&file.number);
    }
    let mut uploads = Uploads::default();
    for (path, numbers) in numbers {
        uploads.needed += numbers.len();
        uploads.done += cache.held_for(Path::new(path), &numbers, now).len();
    }
    uploads
}

/// What is to be said when the run is planned already.
async fn if_planned(config: &Config, id: &RunId, hash: &str) -> Result<Vec<String>> {
    if !store::exists(config) {
        return Ok(Vec::new()); // looking must not make a ledger
    }
    let run = store::open(config).await?.run(id).await?;
    let Some(run) = run.filter(|run| run.phase != Phase::Planning) else { return Ok(Vec::new()) };
    if run.header.snapshot == hash {
        return Ok(vec![format!("{id} is planned already, from these very files")]);
    }
    let others = format!("{id} is planned already, from OTHER files, and this plan is only shown");
    Ok(vec![others, sealed_hint(config, &run, SystemClock.now())])
}

fn survey(zone: Tz, plan: &Plan<'_>) -> Survey {
    let mut survey = Survey {
        run: plan.run.clone(),
        snapshot: plan.snapshot.hash.clone(),
        template: plan.snapshot.campaign.template.name.to_string(),
        total: plan.total(),
        deliverable: 0,
        hints: Vec::new(),
        uploads: Uploads::default(),
        minutes: BTreeMap::new(),
        left_out: Vec::new(),
        capacity: Capacity::of(plan),
        bad_media: BTreeSet::new(),
        for_nobody: Vec::new(),
        content: 0,
        fallbacks: BTreeMap::new(),
        families: BTreeMap::new(),
        without_picture: BTreeMap::new(),
        outside: 0,
        twice: Vec::new(),
        zone,
    };
    let campaign = &plan.snapshot.campaign;
    let left = |index: u32, reason: Suppression, detail| {
        let recipient = plan.snapshot.rows[index as usize].recipient.id.as_str().to_owned();
        Left { recipient, reason: reason.as_str(), detail }
    };
    for index in 0..plan.total() {
        let planned = plan.at(index);
        match planned.call {
            Ok(call) => match bad_media(&call) {
                Some(bad) => {
                    survey.left_out.push(left(index, Suppression::BadMedia, bad.clone()));
                    survey.bad_media.insert(bad);
                }
                None => {
                    if planned.fell_back {
                        let recipient = &plan.snapshot.rows[index as usize].recipient;
                        *survey.fallbacks.entry(recipient.language.to_string()).or_default() += 1;
                    }
                    if !campaign.families.is_empty() {
                        *survey.families.entry(call.name.to_string()).or_default() += 1;
                    }
                    if let Choice::NoMedium(at) = planned.choice {
                        let name = campaign.families[at].template.name.to_string();
                        *survey.without_picture.entry(name).or_default() += 1;
                    }
                    survey.deliverable += 1;
                    let minute = planned.due_at.to_utc().with_timezone(&zone).format("%H:%M");
                    *survey.minutes.entry(minute.to_string()).or_default() += 1;
                }
            },
            Err(LeftOut { index, reason, detail }) => {
                survey.left_out.push(left(index, reason, detail));
            }
        }
    }
    survey
}
