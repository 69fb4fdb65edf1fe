//! A morning that needs nothing: recipients, content, configuration and Cloud API are made
//! up from the seed.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};
use config::Config;
use domain::hash::{mix64, unit};
use domain::{Clock, SystemClock};
use scheduler::Snapshot;
use scheduler::intake::{Country, Rules, read_content, read_recipients};

use crate::cli::DemoArgs;
use crate::exit::Answer;
use crate::rehearsal;

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

pub async fn run(args: &DemoArgs) -> Result<Answer> {
    let (throughput, numbers) = numbers_for(args);
    let text = config_text(throughput, numbers);
    let config = Config::parse(Path::new("demo.toml"), &text)?;
    let one = config.campaigns[0].clone();
    let date = one.daily.window.date_at(SystemClock.now());
    // Through the same intake as everyone's files.
    let rules = Rules {
        default_country: Some(Country::INDIA),
        ..Rules::new(config.zone(), SystemClock.now())
    };
    let mut recipients = Vec::new();
    let mut take = |recipient| recipients.push(recipient);
    read_recipients(recipients_csv(args).as_bytes(), &rules, &mut take)
        .context("demo recipients")?;
    let (csv, template) = (content_csv(args), &one.campaign.template);
    let mut content = Vec::new();
    let mut take = |row| content.push(row);
    read_content(csv.as_bytes(), &rules, template, &mut |_| Ok(()), &mut take)
        .context("demo content")?;
    let snapshot = Snapshot::take(one.campaign.clone(), recipients, content).snapshot;
    rehearsal::rehearse(config, vec![(one, snapshot)], date, args.engine, &args.rehearsal).await
}

/// Four ordinary numbers while they have room, else as many fast ones as it takes.
fn numbers_for(args: &DemoArgs) -> (u32, u32) {
    let spread = args.rehearsal.window.as_secs_f64() * 240.0 / 330.0;
    let rate = f64::from(args.recipients) / spread;
    if rate <= 4.0 * 80.0 * 0.6 { (80, 4) } else { (1_000, ((rate / 750.0).ceil() as u32).max(4)) }
}

fn config_text(throughput: u32, numbers: u32) -> String {
    let mut text = String::from(
        "[campaign]\nid = \"daily-pack\"\n\
         [campaign.template]\nname = \"daily_pack\"\nlanguages = [\"en\", \"hi\"]\n\
         body_parameters = [\"first_name\", \"headline\"]\nbuttons = [\"url\"]\n",
    );
    for n in 1..=numbers {
        let id = 106_540_352_242_920u64 + u64::from(n);
        let _ = write!(text, "[[numbers]]\nid = \"{id}\"\nthroughput = {throughput}\n");
    }
    text
}

/// One in 500 has given no consent, so that leaving out is seen too.
fn recipients_csv(args: &DemoArgs) -> String {
    let mut csv = String::from(
        "id,name,phone,bsuid,tier,language,consent_utility,consent_marketing,opted_in_at,firm\n",
    );
    for n in 0..args.recipients {
        let draw = mix64(args.rehearsal.seed ^ (u64::from(n) << 20));
        let name = NAMES[(draw % NAMES.len() as u64) as usize];
        let tier = match unit(draw) {
            x if x < 0.1 => "pro",
            x if x < 0.5 => "standard",
            _ => "basic",
        };
        let language = if draw.is_multiple_of(3) { "hi" } else { "en" };
        let consent = if n % 500 == 499 { "no" } else { "yes" };
        // 9xxx xxxxxx: made up, and never called, because the far side is a simulator.
        let phone = 9_000_000_000u64 + u64::from(n);
        let _ = writeln!(
            csv,
            "adv-{n:07},{name},{phone},,{tier},{language},{consent},no,2026-01-15,Demo Wealth"
        );
    }
    csv
}

fn content_csv(args: &DemoArgs) -> String {
    let mut csv = String::from("recipient_id,headline,button_0,approved_by,approved_at\n");
    for n in 0..args.recipients {
        let draw = mix64(args.rehearsal.seed.rotate_left(17) ^ u64::from(n));
        let headline = HEADLINES[(draw % HEADLINES.len() as u64) as usize];
        let _ = writeln!(
            csv,
            "adv-{n:07},{headline},packs/{},Demo Desk,2026-01-15T18:00:00+05:30",
            draw % 4
        );
    }
    csv
}
