//! `plan`: what a run would be. Changes nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::{Context, Result};
use chrono_tz::Tz;
use config::Config;
use domain::{Clock, RunId, Suppression, SystemClock};
use ledger::Phase;
use scheduler::campaign::Choice;
use scheduler::capacity::{Capacity, LaneCapacity};
use scheduler::intake::content::KeptContent;
use scheduler::intake::recipients::plain_id;
use scheduler::plan::LeftOut;
use scheduler::snapshot::Taken;
use scheduler::{Plan, Snapshot};
use serde_json::json;

use super::one;
use crate::cli::{Format, PlanArgs};
use crate::exit::Answer;
use crate::files::{self, Files};
use crate::foresight::bad_media;
use crate::terminal;
use crate::{output, store};

/// Left-out recipients that the table shows; JSON and CSV have all.
const SHOWN: usize = 20;
/// Share of the content that may be for nobody.
const FOR_NOBODY_MAX: f64 = 0.01;

/// Everything that the plan says.
struct Survey {
    deliverable: u32,
    /// Local minute → deliveries.
    minutes: BTreeMap<String, u32>,
    left_out: Vec<LeftOut>,
    capacity: Capacity,
    /// Media files that Meta would not take, with the reason.
    bad_media: BTreeSet<String>,
    /// Recipient ids of content for nobody in the list, with the id that is probably meant.
    for_nobody: Vec<(String, Option<String>)>,
    /// Rows of content in all.
    content: usize,
    /// Recipients who get the default language, by the one that they asked for.
    fallbacks: BTreeMap<String, u32>,
    /// Messages by template, where the campaign has families.
    families: BTreeMap<String, u32>,
    /// Recipients who get the campaign's own template for want of a picture, by their family's.
    without_picture: BTreeMap<String, u32>,
    /// Rows of the lists that the campaign is not for.
    outside: usize,
    /// Rows of persons who have a row already.
    twice: Vec<String>,
    /// What people read times in.
    zone: Tz,
}

pub async fn run(config: &Config, args: &PlanArgs) -> Result<Answer> {
    let date = files::date(&args.date, config)?;
    let one = one(config)?;
    if let Some(why) = one.daily.days.why_not(date) {
        println!("{}: no run on that date, {why}", one.campaign.id);
        return Ok(Answer::No);
    }
    let taken = Files::of(config).snapshot(config, one, date).await?;
    let window = one.daily.window.on(date).context("the zone has no such date")?;
    let id = RunId::new(&one.campaign.id, date);
    let plan = Plan::new(&taken.snapshot, id.clone(), window, SystemClock.now());
    for list in Files::of(config).lists_never_imported(one) {
        output::hint(&format!(
            "the audience's list {list} was never imported: nobody of it is in this plan"
        ));
    }
    let mut survey = survey(one.daily.window.zone, &plan);
    survey.for_nobody = for_nobody(&taken);
    survey.outside = taken.outside;
    survey.content = taken.for_nobody.len() + taken.snapshot.content_rows();
    survey.twice = taken.twice.iter().map(|id| id.as_str().to_owned()).collect();
    print(args.format.format, &plan, &taken.snapshot, &survey)?;
    warn_if_planned(config, &id, &taken.snapshot.hash).await?;
    let good = survey.capacity.fits() && survey.deliverable > 0 && survey.bad_media.is_empty();
    // A few have left since; many mean that the ids of the two files do not fit.
    let few_for_nobody = survey.for_nobody.len() as f64 <= FOR_NOBODY_MAX * survey.content as f64;
    Ok(Answer::from_bool(good && few_for_nobody))
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

/// Says that a sealed run is not changed by files that came later.
async fn warn_if_planned(config: &Config, id: &RunId, hash: &str) -> Result<()> {
    if !store::exists(config) {
        return Ok(()); // looking must not make a ledger
    }
    let run = store::open(config).await?.run(id).await?;
    if let Some(run) = run.filter(|run| run.phase != Phase::Planning) {
        if run.header.snapshot == hash {
            output::hint(&format!("{id} is planned already, from these very files"));
        } else {
            output::hint(&format!(
                "{id} is planned already, from OTHER files, and this plan is only shown"
            ));
            output::hint(&super::sealed_hint(config, &run, SystemClock.now()));
        }
    }
    Ok(())
}

fn survey(zone: Tz, plan: &Plan<'_>) -> Survey {
    let mut survey = Survey {
        deliverable: 0,
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
    for index in 0..plan.total() {
        let planned = plan.at(index);
        match planned.call {
            Ok(call) => match bad_media(&call) {
                Some(bad) => {
                    let (reason, detail) = (Suppression::BadMedia, bad.clone());
                    survey.left_out.push(LeftOut { index, reason, detail });
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
            Err(left_out) => survey.left_out.push(left_out),
        }
    }
    survey
}

fn print(format: Format, plan: &Plan<'_>, snapshot: &Snapshot, survey: &Survey) -> Result<()> {
    let id = |left_out: &LeftOut| {
        snapshot.rows[left_out.index as usize].recipient.id.as_str().to_owned()
    };
    match format {
        Format::Json => output::json(&as_json(plan, snapshot, survey, id)),
        Format::Csv => {
            output::rows(Format::Csv, &["recipient_id", "reason", "detail"], &problems(survey, id))
        }
        Format::Table => {
            print_table(plan, snapshot, survey, id);
            Ok(())
        }
    }
}

fn as_json(
    plan: &Plan<'_>,
    snapshot: &Snapshot,
    survey: &Survey,
    id: impl Fn(&LeftOut) -> String,
) -> serde_json::Value {
    let lane = |lane: &LaneCapacity| {
        json!({
            "number": lane.number.as_str(), "planned": lane.planned,
            "throughput": lane.throughput, "finishes_at": lane.finishes_at.rfc3339(survey.zone),
        })
    };
    let left_out = |left_out: &LeftOut| {
        json!({
            "recipient_id": id(left_out), "reason": left_out.reason.as_str(),
            "detail": left_out.detail,
        })
    };
    let for_nobody =
        |(id, meant): &(String, Option<String>)| json!({"recipient_id": id, "probably": meant});
    let capacity = &survey.capacity;
    json!({
        "run": plan.run.as_str(), "snapshot": snapshot.hash, "planned": plan.total(),
        "deliverable": survey.deliverable,
        "left_out": survey.left_out.iter().map(left_out).collect::<Vec<_>>(),
        "minutes": survey.minutes,
        "content_for_nobody": survey.for_nobody.iter().map(for_nobody).collect::<Vec<_>>(),
        "families": survey.families, "without_picture": survey.without_picture,
        "outside_audience": survey.outside,
        "language_fallbacks": survey.fallbacks, "one_person_twice": survey.twice,
        "bad_media": survey.bad_media,
        "capacity": {"fits": capacity.fits(), "numbers": capacity.lanes.len(),
            "lanes": capacity.lanes.iter().map(lane).collect::<Vec<_>>(),
            "numbers_needed": capacity.numbers_needed},
    })
}

/// Everybody who gets nothing, or not what was meant: a row each.
fn problems(survey: &Survey, id: impl Fn(&LeftOut) -> String) -> Vec<Vec<String>> {
    let left_out = |l: &LeftOut| vec![id(l), l.reason.as_str().to_owned(), l.detail.clone()];
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
    let left_out = survey.left_out.iter().map(left_out);
    left_out
        .chain(survey.for_nobody.iter().map(for_nobody))
        .chain(survey.twice.iter().map(twice))
        .collect()
}

/// What a person should look at before the morning.
fn print_doubts(survey: &Survey, own: &str) {
    let listed = |ids: Vec<String>| {
        let more = if ids.len() > SHOWN { ", …" } else { "" };
        let shown: Vec<String> = ids.iter().take(SHOWN).map(|id| terminal::shown(id)).collect();
        shown.join(", ") + more
    };
    if !survey.for_nobody.is_empty() {
        let ids = survey.for_nobody.iter().map(|(id, meant)| match meant {
            Some(meant) => format!("{id} (is {meant} meant?)"),
            None => id.clone(),
        });
        let (n, all) = (survey.for_nobody.len(), survey.content);
        println!(
            "{n} of {all} rows of content are for nobody in the list: {}",
            listed(ids.collect())
        );
    }
    if !survey.twice.is_empty() {
        let n = survey.twice.len();
        println!(
            "{n} rows are left out, because their person has another: {}",
            listed(survey.twice.clone())
        );
    }
    for (family, n) in &survey.without_picture {
        println!("{n} of {family} have no picture and get {own}");
    }
    if survey.outside > 0 {
        println!("{} rows of the lists are not of the audience", survey.outside);
    }
    for (language, n) in &survey.fallbacks {
        println!("{n} who asked for {} get the default language", terminal::shown(language));
    }
}

fn print_table(
    plan: &Plan<'_>,
    snapshot: &Snapshot,
    survey: &Survey,
    id: impl Fn(&LeftOut) -> String,
) {
    println!("{}  from snapshot {}", plan.run, &snapshot.hash[..12]);
    println!(
        "{} recipients: {} to be sent, {} left out",
        plan.total(),
        survey.deliverable,
        survey.left_out.len()
    );
    print_doubts(survey, &snapshot.campaign.template.name);
    if !survey.families.is_empty() {
        println!("\nBy template");
        survey.families.iter().for_each(|(name, n)| println!("  {name:<20} {n:>8}"));
    }
    println!("\nBy minute");
    let most = survey.minutes.values().copied().max().unwrap_or(1).max(1);
    for (minute, n) in &survey.minutes {
        println!("  {minute}  {n:>8}  {}", "█".repeat((n * 40).div_ceil(most) as usize));
    }
    print_numbers(survey);
    for bad in &survey.bad_media {
        println!("\nMEDIA: {bad}");
    }
    if survey.left_out.is_empty() {
        return;
    }
    println!("\nLeft out");
    let mut reasons: BTreeMap<&str, u32> = BTreeMap::new();
    survey.left_out.iter().for_each(|l| *reasons.entry(l.reason.as_str()).or_default() += 1);
    reasons.iter().for_each(|(reason, n)| println!("  {n:>8} {}", reason.replace('_', " ")));
    for left_out in survey.left_out.iter().take(SHOWN) {
        println!("  {}: {}", terminal::shown(&id(left_out)), left_out.detail);
    }
    if survey.left_out.len() > SHOWN {
        println!("  … and {} more; --format csv lists all", survey.left_out.len() - SHOWN);
    }
}

fn print_numbers(survey: &Survey) {
    println!("\nBy number");
    for lane in &survey.capacity.lanes {
        println!(
            "  {:<20} {:>8} at {}/s, done by {}",
            lane.number.as_str(),
            lane.planned,
            lane.throughput,
            lane.finishes_at.rfc3339(survey.zone)
        );
    }
    let (have, need) = (survey.capacity.lanes.len(), survey.capacity.numbers_needed);
    if survey.capacity.fits() {
        println!("  it fits: {have} numbers, {need} needed");
    } else {
        let over: Vec<&str> =
            survey.capacity.overloaded().iter().map(|l| l.number.as_str()).collect();
        println!(
            "  IT DOES NOT FIT before {}: overloaded {}; you need {need} numbers like these, you have {have}",
            survey.capacity.closes.rfc3339(survey.zone),
            over.join(", ")
        );
    }
}
