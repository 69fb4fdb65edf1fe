//! One file per command.

mod amend;
mod audit;
mod backup;
mod check;
mod consents;
mod content;
mod deliveries;
mod demo;
mod init;
mod numbers;
mod plan;
mod rebuild;
mod recipients;
mod recover;
mod report;
mod run;
mod runs;
mod select;
mod send_test;
mod serve;
mod simulate;
mod templates;
mod verify;
mod webhooks;

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use chrono::NaiveDate;
use clap::CommandFactory;
use config::{CampaignConfig, Config};
use domain::{BusinessNumber, Clock, SystemClock, Timestamp};
use ledger::{Ledger, Phase, Run};
use sender::FileJournal;

use crate::cli::{Cli, Command, RehearseArgs, Webhooks};
use crate::exit::{Answer, WrongUse};
use crate::files::{self, Files};
use crate::{output, rehearsal, store, wire};

/// What files of recipients and content may look like.
const FORMATS: &str = include_str!("../../../deploy/formats.md");

pub async fn run(cli: Cli) -> Result<Answer> {
    let config = || load(cli.config.as_deref(), cli.campaign.as_deref());
    match cli.command {
        Command::Demo(args) => demo::run(&args).await,
        Command::Init { dir } => init::run(&dir),
        Command::Simulate(args) => simulate::run(&args).await,
        Command::Webhooks(Webhooks::Read { files }) => webhooks::read(&files),
        Command::Webhooks(Webhooks::Poison { replay }) => {
            webhooks::poison(&config()?, replay).await
        }
        Command::Webhooks(Webhooks::Replay { since }) => {
            webhooks::replay(&config()?, since.as_deref()).await
        }
        Command::Rehearse(args) => rehearse(config, &args).await,
        Command::Check(args) => check::run(&config()?, &args).await,
        Command::Recipients(command) => recipients::run(&config()?, &command).await,
        Command::Formats => {
            print!("{FORMATS}");
            Ok(Answer::Yes)
        }
        Command::Content(command) => content::run(&config()?, &command).await,
        Command::Plan(args) => plan::run(&config()?, &args).await,
        Command::Run(args) => run::run(&config()?, &args).await,
        Command::Serve { role } => serve::run(&config()?, &role).await,
        Command::Backup { to } => backup::backup(&config()?, &to).await,
        Command::Restore(args) => backup::restore(&config()?, &args.from, &args).await,
        Command::Numbers(command) => numbers::run(&config()?, &command).await,
        Command::Consents(command) => consents::run(&config()?, &command).await,
        Command::Audit(command) => audit::run(&config()?, &command).await,
        Command::Templates(command) => templates::run(&cli.config, config, &command).await,
        Command::Ledger(command) => verify::run(&config()?, &command).await,
        Command::Recover(args) => recover::run(&config()?, &args).await,
        Command::Status { date, format, watch } => {
            report::status(&config()?, &date, format.format, watch).await
        }
        Command::Runs(command) => runs::run(&config()?, &command).await,
        Command::Report { date, format, html } => {
            report::run(&config()?, &date, format.format, html.as_deref()).await
        }
        Command::Deliveries(command) => deliveries::run(&config()?, &command).await,
        Command::SendTest(args) => send_test::run(&config()?, &args).await,
        Command::Completions { shell } => {
            let mut script = Vec::new(); // a reader that goes away must not be a panic
            clap_complete::generate(shell, &mut Cli::command(), "subah", &mut script);
            std::io::stdout().write_all(&script)?;
            Ok(Answer::Yes)
        }
        Command::Man { dir } => {
            std::fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
            let wrote = clap_mangen::generate_to(Cli::command(), &dir);
            wrote.with_context(|| format!("write manual pages to {}", dir.display()))?;
            for page in std::fs::read_dir(&dir)?.flatten().filter(|page| is_page(&page.path())) {
                // For everybody, unlike all else that we make.
                std::fs::set_permissions(page.path(), PermissionsExt::from_mode(0o644))?;
            }
            Ok(Answer::Yes)
        }
    }
}

/// The configuration, and which of its campaigns is meant.
fn load(file: Option<&Path>, campaign: Option<&str>) -> Result<Config> {
    let mut config = Config::load(&Config::find(file))?;
    // An empty variable names none.
    config.named = campaign.filter(|name| !name.is_empty()).map(str::to_owned);
    if config.named.is_some() {
        one(&config)?; // a name that nobody knows is said before anything is done
    }
    Ok(config)
}

fn is_page(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.starts_with("subah") && name.ends_with(".1")
}

/// Which campaign a command is about.
fn one(config: &Config) -> Result<&CampaignConfig> {
    config.campaign().map_err(|bad| WrongUse(bad.to_string()).into())
}

/// The campaign that is named, or all that have a run on that date.
async fn rehearse(find: impl FnOnce() -> Result<Config>, args: &RehearseArgs) -> Result<Answer> {
    if let Some(name) = &args.scenario {
        return rehearsal::scenario::run(name, args.engine, &args.rehearsal).await;
    }
    let mut config = find()?;
    let date = files::date(&args.date, &config)?;
    if config.named.is_some() {
        config.campaigns = vec![one(&config)?.clone()];
    }
    let mut wanted = Vec::new();
    for at in 0..config.campaigns.len() {
        let one = &mut config.campaigns[at];
        if let Some(why) = one.daily.days.why_not(date) {
            output::hint(&format!("{}: no run, {why}", one.campaign.id));
            continue;
        }
        // A window that is twenty times shorter needs numbers that are twenty times faster: what
        // fits in earnest fits in a rehearsal.
        let real = one.daily.window.deadline - one.daily.window.opens;
        let real = real.to_std().unwrap_or_default().as_secs_f64();
        let by = (real / args.rehearsal.window.as_secs_f64()).max(1.0);
        let faster = |number: &mut BusinessNumber| {
            number.throughput = (f64::from(number.throughput) * by).ceil() as u32;
        };
        one.campaign.numbers.iter_mut().for_each(faster);
        let one = config.campaigns[at].clone();
        let taken = Files::of(&config).snapshot(&config, &one, date).await?;
        wanted.push((one, taken.snapshot));
    }
    if wanted.is_empty() {
        println!("no campaign has a run on {date}");
        return Ok(Answer::No);
    }
    for number in &mut config.numbers {
        let of =
            |one: &CampaignConfig| one.campaign.numbers.iter().find(|n| n.id == number.id).cloned();
        let fastest = config.campaigns.iter().filter_map(of).map(|n| n.throughput).max();
        number.throughput = fastest.unwrap_or(number.throughput);
    }
    rehearsal::rehearse(config, wanted, date, args.engine, &args.rehearsal).await
}

/// After a change of what runs are made from: a sealed one does not take it up.
async fn say_if_sealed(config: &Config, date: Option<NaiveDate>) -> Result<()> {
    if !store::exists(config) {
        return Ok(()); // looking must not make a ledger
    }
    let today = files::date("today", config)?;
    let Ok(ledger) = store::open(config).await else { return Ok(()) };
    for run in ledger.active_runs().await.unwrap_or_default() {
        let id = &run.header.id;
        let named = config.named.as_deref().is_none_or(|name| name == id.campaign());
        let ours = named && config.campaign_of(id).is_some() && id.date() >= today;
        let sealed = ours && date.is_none_or(|date| date == id.date());
        if sealed && run.phase != Phase::Planning {
            output::hint(&sealed_hint(config, &run, SystemClock.now()));
        }
    }
    Ok(())
}

/// What can still be done about a sealed plan.
fn sealed_hint(config: &Config, run: &Run, now: Timestamp) -> String {
    let (id, opens) = (&run.header.id, run.header.window.opens);
    if now < opens {
        let until = opens.to_utc().with_timezone(&config.zone()).format("%H:%M:%S");
        format!(
            "too late for {id}: its plan is sealed; until {until} `subah runs replan {id} --reason …` makes it from the present files"
        )
    } else {
        format!("too late for {id}: its window has opened, and its plan does not change any more")
    }
}

/// The run of a date, given as such or as its id; `None` when nobody has planned it.
async fn find_run(config: &Config, ledger: &dyn Ledger, text: &str) -> Result<Option<Run>> {
    Ok(ledger.run(&run_id(config, text)?).await?)
}

/// `today`, a date, or a run's own id.
fn run_id(config: &Config, text: &str) -> Result<domain::RunId> {
    if text.contains('@') {
        return text
            .parse()
            .map_err(|bad: domain::run::BadRunId| anyhow::Error::new(WrongUse(bad.to_string())));
    }
    Ok(domain::RunId::new(&one(config)?.campaign.id, files::date(text, config)?))
}

/// A day without a run: fine before its window opens, a *no* afterwards.
fn not_started(config: &Config, text: &str) -> Result<Answer> {
    let id = run_id(config, text)?;
    if FileJournal::has_sent(&wire::journal_dir(config), &id).unwrap_or(false) {
        output::hint(&format!(
            "{id}: was sent from this host, and the store does not know it: is it the right one, and was it emptied? It is not planned again by itself; `subah recover --rebuild {}` makes it from what this host's disk keeps",
            id.date()
        ));
        return Ok(Answer::No);
    }
    let one = config.campaign_of(&id).unwrap_or(&config.campaigns[0]);
    if let Some(why) = one.daily.days.why_not(id.date()) {
        output::hint(&format!("{id}: there is no run, {why}"));
        return Ok(Answer::Yes);
    }
    let window = one.daily.window.on(id.date()).context("the zone has no such date")?;
    let zone = one.daily.window.zone;
    let opens = window.opens.rfc3339(zone);
    let late = SystemClock.now() >= window.opens;
    let today = id.date() == files::date("today", config)?;
    let hint = if late && today { "; `subah run --if-not-started` begins it" } else { "" };
    let verb = if late { "opened" } else { "opens" };
    output::hint(&format!("{id}: not started; its window {verb} {opens}{hint}"));
    Ok(Answer::from_bool(!late))
}
