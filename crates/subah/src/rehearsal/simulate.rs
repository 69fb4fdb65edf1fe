//! `simulate`: the simulated Cloud API alone.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use config::secrets::read_file;
use domain::SystemClock;
use secrecy::SecretString;
use serde_json::Value;
use simulator::Simulator;

use crate::cli::SimulateArgs;
use daemon::interrupt::interrupted;
use desk::{Answer, DeskError};

pub async fn run(args: &SimulateArgs) -> Result<Answer> {
    let secret = match &args.app_secret_file {
        Some(path) => read_file("app_secret", path)?,
        None => SecretString::from("simulated"),
    };
    look(args.templates.as_deref(), "--templates", Value::is_array, "a JSON list of templates")?;
    look(args.numbers.as_deref(), "--numbers", Value::is_object, "a JSON object by number")?;
    let mut options = simulator::Options::new(secret);
    options.listen = args.listen;
    options.webhook = args.webhook.clone();
    options.seed = args.seed;
    options.profile = args.faults.into();
    options.throughput = args.throughput;
    options.latency = args.latency;
    options.languages = args.languages.clone();
    options.templates_file = args.templates.clone();
    options.numbers_file = args.numbers.clone();
    options.token_file = args.token_file.clone();
    options.compress = args.compress;
    let simulator = Simulator::start(options, Arc::new(SystemClock)).await?;
    println!("simulating Cloud API on {}; counts at /oracle", simulator.base_url());
    if args.webhook.is_some() && args.app_secret_file.is_none() {
        println!(
            "webhooks are signed with the app secret \"simulated\"; --app-secret-file names another"
        );
    }
    interrupted().await;
    let tally = simulator.oracle.tally();
    println!("{}", serde_json::to_string(&tally)?);
    Ok(Answer::Yes)
}

/// A file that cannot be meant is refused at the start; one that comes later, or changes, is read then.
fn look(file: Option<&Path>, flag: &str, fits: fn(&Value) -> bool, expected: &str) -> Result<()> {
    let Some(text) = file.and_then(|file| std::fs::read(file).ok()) else { return Ok(()) };
    let good = serde_json::from_slice(&text).is_ok_and(|value| fits(&value));
    let what = format!("{flag}: expected {expected}, as `subah simulate --help` shows");
    if good { Ok(()) } else { Err(DeskError::WrongUse(what).into()) }
}
