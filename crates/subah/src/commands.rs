//! One file per command.

mod accounts;
mod audit;
mod backup;
mod check;
mod consents;
mod content;
mod deliveries;
mod init;
mod numbers;
mod plan;
mod pull;
mod recipients;
mod recover;
mod report;
mod run;
mod runs;
mod send_test;
mod serve;
mod templates;
mod verify;
mod webhooks;

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use chrono::NaiveDate;
use clap::CommandFactory;
use config::Config;
use desk::{Answer, named, store};

use crate::cli::{Cli, Command, RehearseArgs};
use crate::{output, owner, rehearsal};

/// What files of recipients and content may look like.
const FORMATS: &str = include_str!("../../../deploy/formats.md");

pub async fn run(cli: Cli) -> Result<Answer> {
    let config = || load(cli.config.as_deref(), cli.campaign.as_deref());
    match cli.command {
        Command::Demo(args) => rehearsal::demo::run(&args).await,
        Command::Init { dir } => init::run(&dir),
        Command::Simulate(args) => rehearsal::simulate::run(&args).await,
        Command::Webhooks(command) => webhooks::run(config, &command).await,
        Command::Rehearse(args) => rehearse(config, &args).await,
        Command::Check(args) => check::run(&config()?, &args).await,
        Command::Recipients(command) => recipients::run(&config()?, &command).await,
        Command::Formats => {
            print!("{FORMATS}");
            Ok(Answer::Yes)
        }
        Command::Pull { names, yes } => pull::run(&config()?, &names, yes).await,
        Command::Content(command) => content::run(&config()?, &command).await,
        Command::Plan(args) => plan::run(&config()?, &args).await,
        Command::Run(args) => run::run(&config()?, &args).await,
        Command::Serve { role, also } => serve::run(config()?, &also, &role).await,
        Command::Backup { to } => backup::backup(&config()?, &to).await,
        Command::Restore(args) => backup::restore(&config()?, &args).await,
        Command::Numbers(command) => numbers::run(&config()?, &command).await,
        Command::Consents(command) => consents::run(&config()?, &command).await,
        Command::Operators(command) => accounts::operators(&config()?, &command).await,
        Command::Keys(command) => accounts::keys(&config()?, &command).await,
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
    store::refuse_others_folder(&config)?;
    // An empty variable names none.
    config.named = campaign.filter(|name| !name.is_empty()).map(str::to_owned);
    if config.named.is_some() {
        named::campaign(&config)?; // a name that nobody knows is said before anything is done
    }
    Ok(config)
}

fn is_page(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.starts_with("subah") && name.ends_with(".1")
}

/// A scenario, or the morning that the configuration describes.
async fn rehearse(find: impl FnOnce() -> Result<Config>, args: &RehearseArgs) -> Result<Answer> {
    match &args.scenario {
        Some(name) => rehearsal::scenario::run(name, args.engine, &args.rehearsal).await,
        None => rehearsal::of_config(find()?, args).await,
    }
}

/// After a change of what runs are made from: a sealed one does not take it up.
async fn say_if_sealed(config: &Config, date: Option<NaiveDate>) -> Result<()> {
    desk::runs::sealed(config, date).await?.iter().for_each(|words| output::hint(words));
    Ok(())
}

/// An input named on the command line; `-` is standard input.
fn input(path: &Path) -> Result<Vec<u8>> {
    let doing = || format!("read {}", path.display());
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().lock().read_to_end(&mut bytes).with_context(doing)?;
        return Ok(bytes);
    }
    if let Some(mut file) = owner::opened(path) {
        file.read_to_end(&mut bytes).with_context(doing)?;
        return Ok(bytes);
    }
    std::fs::read(path).with_context(doing)
}
