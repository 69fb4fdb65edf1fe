//! `plan`: what a run would be. Changes nothing.

use std::collections::BTreeMap;

use anyhow::Result;
use config::Config;
use desk::Answer;
use desk::survey::{Foreshown, Survey, foreshow};

use crate::cli::{Format, PlanArgs};
use crate::output::{self, shown};

/// Left-out recipients that the table shows; JSON and CSV have all.
const SHOWN: usize = 20;

pub async fn run(config: &Config, args: &PlanArgs) -> Result<Answer> {
    let survey = match foreshow(config, &args.date).await? {
        Foreshown::Survey(survey) => survey,
        Foreshown::NoRun(words) => {
            println!("{words}");
            return Ok(Answer::No);
        }
    };
    match args.format.format {
        Format::Json => output::json(&survey.as_json())?,
        Format::Csv => output::table(Format::Csv, &survey.problems())?,
        Format::Table => print_table(&survey),
    }
    survey.hints.iter().for_each(|hint| output::hint(hint));
    Ok(Answer::from_bool(survey.is_good()))
}

/// What a person should look at before the morning.
fn print_doubts(survey: &Survey, own: &str) {
    let listed = |ids: Vec<String>| {
        let more = if ids.len() > SHOWN { ", …" } else { "" };
        let shown: Vec<String> = ids.iter().take(SHOWN).map(|id| shown(id)).collect();
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
        println!("{n} who asked for {} get the default language", shown(language));
    }
}

fn print_table(survey: &Survey) {
    println!("{}  from snapshot {}", survey.run, &survey.snapshot[..12]);
    println!(
        "{} recipients: {} to be sent, {} left out",
        survey.total,
        survey.deliverable,
        survey.left_out.len()
    );
    print_doubts(survey, &survey.template);
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
    let (needed, done) = (survey.uploads.needed, survey.uploads.done);
    if needed > 0 {
        println!(
            "\nPictures: {done} of {needed} uploads are made; the daemon makes the others ahead, or when the run is planned"
        );
    }
    for bad in &survey.bad_media {
        println!("\nMEDIA: {bad}");
    }
    if survey.left_out.is_empty() {
        return;
    }
    println!("\nLeft out");
    let mut reasons: BTreeMap<&str, u32> = BTreeMap::new();
    survey.left_out.iter().for_each(|l| *reasons.entry(l.reason).or_default() += 1);
    reasons.iter().for_each(|(reason, n)| println!("  {n:>8} {}", reason.replace('_', " ")));
    for left_out in survey.left_out.iter().take(SHOWN) {
        println!("  {}: {}", shown(&left_out.recipient), left_out.detail);
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
