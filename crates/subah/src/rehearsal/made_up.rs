//! People, content and a configuration that are made up from a seed: for who has none yet.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};
use config::Config;
use domain::hash::{mix64, unit};
use domain::{Clock, SystemClock};
use scheduler::Snapshot;
use scheduler::intake::{Country, Rules, read_content, read_recipients};

use super::Rehearsed;

const NAMES: &[&str] = &[
    "Asha Rao",
    "Vikram Shah",
    "Meera Iyer",
    "Arjun Mehta",
    "Kavita Joshi",
    "Rohan Das",
    "Sunita Patel",
    "Imran Khan",
    "Lakshmi Nair",
    "Gurpreet Singh",
    "आशा राव",
    "વિક્રમ શાહ",
];
const HEADLINES: &[&str] = &[
    "NIFTY opens higher on strong global cues",
    "RBI keeps the repo rate; bond yields ease",
    "SIP inflows reach a new high in October",
    "Gold steady as the rupee firms",
];

/// What is made up.
pub struct Wanted<'a> {
    pub people: u32,
    pub seed: u64,
    /// How many, and messages a second of each.
    pub numbers: u32,
    pub throughput: u32,
    /// The template's name, and more lines of its campaign's table.
    pub template: &'a str,
    pub campaign: &'a str,
}

/// A configuration, and its campaign with what a run of today is planned from. Through the same intake
/// as everyone's files.
///
/// # Errors
/// Only when the code above is wrong.
pub fn make(wanted: &Wanted<'_>) -> Result<(Config, Rehearsed)> {
    let config = Config::parse(Path::new("demo.toml"), &config_text(wanted))?;
    let one = config.campaigns[0].clone();
    let rules = Rules {
        default_country: Some(Country::INDIA),
        ..Rules::new(config.zone(), SystemClock.now())
    };
    let mut recipients = Vec::new();
    let mut take = |recipient| recipients.push(recipient);
    let csv = recipients_csv(wanted);
    read_recipients(csv.as_bytes(), &rules, &mut take).context("made-up recipients")?;
    let (csv, template) = (content_csv(wanted), &one.campaign.template);
    let mut content = Vec::new();
    let mut take = |row| content.push(row);
    read_content(csv.as_bytes(), &rules, template, &mut |_| Ok(()), &mut take)
        .context("made-up content")?;
    let snapshot = Snapshot::take(one.campaign.clone(), recipients, content).snapshot;
    Ok((config, (one, snapshot)))
}

/// The phone of one of them. 9xxx xxxxxx: made up, and never called, because the far side is a
/// simulator.
pub fn phone(n: u32) -> u64 {
    9_000_000_000 + u64::from(n)
}

/// The id of one of the numbers, counted from 1.
pub fn number(n: u32) -> String {
    (106_540_352_242_920 + u64::from(n)).to_string()
}

fn config_text(wanted: &Wanted<'_>) -> String {
    let Wanted { template, campaign, throughput, numbers, .. } = wanted;
    let mut text = format!(
        "[campaign]\nid = \"daily-pack\"\n{campaign}\n\
         [campaign.template]\nname = \"{template}\"\nlanguages = [\"en\", \"hi\"]\n\
         body_parameters = [\"first_name\", \"headline\"]\nbuttons = [\"url\"]\n",
    );
    for n in 1..=*numbers {
        let id = number(n);
        let _ = write!(text, "[[numbers]]\nid = \"{id}\"\nthroughput = {throughput}\n");
    }
    text
}

/// One in 500 has given no consent, so that leaving out is seen too.
fn recipients_csv(wanted: &Wanted<'_>) -> String {
    let mut csv = String::from(
        "id,name,phone,bsuid,tier,language,consent_utility,consent_marketing,opted_in_at,firm\n",
    );
    for n in 0..wanted.people {
        let draw = mix64(wanted.seed ^ (u64::from(n) << 20));
        let name = NAMES[(draw % NAMES.len() as u64) as usize];
        let tier = match unit(draw) {
            x if x < 0.1 => "pro",
            x if x < 0.5 => "standard",
            _ => "basic",
        };
        let language = if draw.is_multiple_of(3) { "hi" } else { "en" };
        let consent = if n % 500 == 499 { "no" } else { "yes" };
        let phone = phone(n);
        let _ = writeln!(
            csv,
            "adv-{n:07},{name},{phone},,{tier},{language},{consent},no,2026-01-15,Demo Wealth"
        );
    }
    csv
}

fn content_csv(wanted: &Wanted<'_>) -> String {
    let mut csv = String::from("recipient_id,headline,button_0,approved_by,approved_at\n");
    for n in 0..wanted.people {
        let draw = mix64(wanted.seed.rotate_left(17) ^ u64::from(n));
        let headline = HEADLINES[(draw % HEADLINES.len() as u64) as usize];
        let _ = writeln!(
            csv,
            "adv-{n:07},{headline},packs/{},Demo Desk,2026-01-15T18:00:00+05:30",
            draw % 4
        );
    }
    csv
}
