//! `simulate`: the simulated Cloud API alone.

use std::sync::Arc;

use anyhow::Result;
use config::secrets::read_file;
use domain::SystemClock;
use secrecy::SecretString;
use simulator::Simulator;

use crate::cli::SimulateArgs;
use crate::exit::Answer;
use crate::morning::interrupted;

pub async fn run(args: &SimulateArgs) -> Result<Answer> {
    let secret = match &args.app_secret_file {
        Some(path) => read_file("app_secret", path)?,
        None => SecretString::from("simulated"),
    };
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
