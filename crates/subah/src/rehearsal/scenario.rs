//! Scenarios: a morning in which something happens, and what must have come of it. Each is a file
//! that states the verdict, the counts and the decisions; the command compares.

use std::path::Path;

use anyhow::{Context, Result, bail};
use desk::{Answer, DeskError};
use domain::{Clock, SystemClock};
use serde::Serialize;
use serde_json::json;
use status::Report;

use super::made_up::{Wanted, make};
use super::script::{Expected, Scenario, Sla};
use super::stage::Stage;
use super::{Held, hold};
use crate::cli::{Engine, RehearsalArgs, ReportFormat};
use crate::output;

/// Those that come with Subah.
const BUILT_IN: &[(&str, &str)] = &[
    (
        "template-paused-mid-run",
        include_str!("../../../../deploy/scenarios/template-paused-mid-run.toml"),
    ),
    (
        "template-rejected-overnight",
        include_str!("../../../../deploy/scenarios/template-rejected-overnight.toml"),
    ),
    (
        "template-recategorised",
        include_str!("../../../../deploy/scenarios/template-recategorised.toml"),
    ),
    ("no-template-left", include_str!("../../../../deploy/scenarios/no-template-left.toml")),
    (
        "number-banned-mid-run",
        include_str!("../../../../deploy/scenarios/number-banned-mid-run.toml"),
    ),
    ("rating-drop", include_str!("../../../../deploy/scenarios/rating-drop.toml")),
    ("all-numbers-banned", include_str!("../../../../deploy/scenarios/all-numbers-banned.toml")),
    ("throttle", include_str!("../../../../deploy/scenarios/throttle.toml")),
    (
        "token-revoked-and-restored",
        include_str!("../../../../deploy/scenarios/token-revoked-and-restored.toml"),
    ),
    ("stop-mid-run", include_str!("../../../../deploy/scenarios/stop-mid-run.toml")),
];

/// One thing that was compared.
#[derive(Serialize)]
struct Compared {
    what: String,
    expected: String,
    seen: String,
    good: bool,
}

/// Plays a scenario of this name or file; `list` names those that come with Subah.
///
/// # Errors
/// When it cannot be read, or the rehearsal cannot be held.
pub async fn run(name: &str, engine: Engine, args: &RehearsalArgs) -> Result<Answer> {
    if name == "list" {
        return list(args.format);
    }
    let scenario = read(name)?;
    let (people, numbers, throughput) = (scenario.people, scenario.numbers, scenario.throughput);
    let (seed, template) = (args.seed, scenario.template.as_str());
    let wanted = Wanted { people, seed, numbers, throughput, template, campaign: "" };
    let (config, rehearsed) = make(&wanted)?;
    let date = rehearsed.0.daily.window.date_at(SystemClock.now());
    let definition = rehearsed.0.campaign.template.clone();
    let stage = Stage::new(scenario.clone(), definition);
    let held = hold(config, vec![rehearsed], date, engine, args, Some(stage)).await?;
    let (_, report) = held.reports.first().context("nothing was rehearsed")?;
    let compared = compare(&scenario.expected, report, &held);
    let good = compared.iter().all(|one| one.good);
    match args.format {
        ReportFormat::Json => {
            let told = json!({"scenario": name, "title": scenario.title, "good": good,
                "compared": compared, "report": report});
            output::json(&told)?;
        }
        ReportFormat::Text => {
            println!("{}", scenario.title);
            for Compared { what, expected, seen, good } in &compared {
                let word = if *good { "ok     " } else { "PROBLEM" };
                println!("{word} {what}: {seen}; expected {expected}");
            }
        }
    }
    output::hint(&format!("what was kept: {}", held.dir.display()));
    Ok(Answer::from_bool(good))
}

fn list(format: ReportFormat) -> Result<Answer> {
    let title = |text: &str| -> Result<String> { Ok(toml::from_str::<Scenario>(text)?.title) };
    let mut all = Vec::new();
    for (name, text) in BUILT_IN {
        let title = title(text).with_context(|| format!("read the scenario {name}"))?;
        all.push(json!({"name": name, "title": title}));
    }
    match format {
        ReportFormat::Json => output::json(&all)?,
        ReportFormat::Text => {
            for one in &all {
                println!(
                    "{:28} {}",
                    one["name"].as_str().unwrap_or(""),
                    one["title"].as_str().unwrap_or("")
                );
            }
        }
    }
    Ok(Answer::Yes)
}

fn read(name: &str) -> Result<Scenario> {
    let built_in =
        BUILT_IN.iter().find(|(known, _)| *known == name).map(|(_, text)| (*text).to_owned());
    let text = match built_in {
        Some(text) => text,
        None if Path::new(name).extension().is_some_and(|ending| ending == "toml") => {
            std::fs::read_to_string(name).with_context(|| format!("read {name}"))?
        }
        None => {
            let known: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
            bail!(DeskError::WrongUse(format!(
                "there is no scenario {name:?}: expected a file (.toml), or one of {}",
                known.join(", ")
            )));
        }
    };
    let scenario: Scenario = toml::from_str(&text)
        .map_err(|e| DeskError::WrongUse(format!("{name} is no scenario: {}", e.message())))?;
    if !(1..=100_000).contains(&scenario.people) || !(1..=50).contains(&scenario.numbers) {
        bail!(DeskError::WrongUse(format!(
            "{name}: expected 1 to 100000 people and 1 to 50 numbers"
        )));
    }
    Ok(scenario)
}

fn compare(expected: &Expected, report: &Report, held: &Held) -> Vec<Compared> {
    let mut compared = Vec::new();
    let mut note = |what: String, expected: String, seen: String, good: bool| {
        compared.push(Compared { what, expected, seen, good });
    };
    let sla = if report.sla.met { Sla::Met } else { Sla::Missed };
    note("the promise".into(), word(expected.sla), word(sla), sla == expected.sla);
    let code = u8::from(!report.sla.met);
    note(
        "exit code".into(),
        expected.exit_code.to_string(),
        code.to_string(),
        code == expected.exit_code,
    );
    let of = |name: &str| {
        let states = report.states.iter();
        states.filter(|(state, _)| state.as_str() == name).map(|(_, n)| n).sum::<u64>()
    };
    for (state, least) in &expected.at_least {
        let seen = of(state);
        note(state.clone(), format!("at least {least}"), seen.to_string(), seen >= *least);
    }
    for (state, most) in &expected.at_most {
        let seen = of(state);
        note(state.clone(), format!("at most {most}"), seen.to_string(), seen <= *most);
    }
    for (cause, least) in &expected.causes {
        let misses = report.misses.iter().filter(|miss| miss.cause == *cause);
        let seen: u64 = misses.map(|miss| miss.count).sum();
        note(
            format!("missed for {cause}"),
            format!("at least {least}"),
            seen.to_string(),
            seen >= *least,
        );
    }
    let oracle = report.oracle.as_ref();
    let twice = oracle.map_or(u64::MAX, |oracle| oracle.duplicates);
    note("messages that somebody got twice".into(), "0".into(), twice.to_string(), twice == 0);
    let lost = oracle.map_or(u64::MAX, |oracle| oracle.lost);
    note("messages that the ledger lost".into(), "0".into(), lost.to_string(), lost == 0);
    let audit = held.dir.join("state").join("audit.ndjson");
    let audit = std::fs::read_to_string(audit).unwrap_or_default();
    for decision in &expected.decisions {
        let good = audit.contains(decision.as_str());
        let seen = if good { "decided" } else { "not decided" };
        note(format!("{decision:?}"), "decided".into(), seen.into(), good);
    }
    compared
}

fn word(sla: Sla) -> String {
    match sla {
        Sla::Met => "met".to_owned(),
        Sla::Missed => "missed".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_can_be_read_and_bears_its_files_name() {
        for (name, text) in BUILT_IN {
            let scenario: Scenario = toml::from_str(text).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert!(!scenario.title.is_empty(), "{name}");
            assert_eq!(scenario.expected.exit_code, u8::from(scenario.expected.sla == Sla::Missed));
        }
        assert!(read("nothing-of-the-kind").is_err());
    }
}
