//! Speed and scale, measured side by side. `tests/bench/run` drives it.

mod contender;
mod load;
mod measures;
mod peer;
mod planning;
mod process;
mod report;
mod sample;
mod sink;
mod subah;

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::planning::Attempts;
use anyhow::Result;
use clap::{Parser, Subcommand};

use measures::{Measure, Size};

#[derive(Parser)]
#[command(name = "bench", about = "Speed and scale, measured side by side with peers")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run measures; each number goes to a file, a line of JSON each
    Measure {
        #[arg(value_enum)]
        measures: Vec<Measure>,
        #[arg(long, value_enum, default_value = "quick")]
        size: Size,
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Date and commit that are measured
        #[arg(long, default_value = "unnamed")]
        of: String,
    },
    /// Make the page and its plots from the numbers
    Report {
        #[arg(long, value_name = "FILE")]
        samples: PathBuf,
        /// Folder for RESULTS.md and plots/
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
        /// What the numbers were measured on, in words
        #[arg(long)]
        machine: String,
    },
    /// The far side that costs nothing
    #[command(hide = true)]
    Sink {
        #[arg(long)]
        listen: SocketAddr,
    },
    #[command(hide = true)]
    Plan {
        #[arg(long)]
        n: u32,
        #[arg(long)]
        dir: PathBuf,
        #[arg(long)]
        redis_url: Option<String>,
        #[arg(long, default_value = "bench")]
        prefix: String,
        /// What is planned counts as sent.
        #[arg(long)]
        sent: bool,
    },
    #[command(hide = true)]
    Load {
        #[arg(long)]
        url: String,
        /// Whose callback data the statuses carry.
        #[arg(long)]
        installation: String,
        #[arg(long)]
        run: domain::RunId,
        #[arg(long)]
        n: u32,
        #[arg(long)]
        concurrency: u32,
    },
    #[command(hide = true)]
    Bare {
        #[arg(long)]
        sink: String,
        #[arg(long)]
        n: u32,
        #[arg(long)]
        concurrency: u32,
    },
    #[command(hide = true)]
    Lua {
        #[arg(long)]
        redis_port: u16,
        #[arg(long)]
        n: u32,
    },
    #[command(hide = true, subcommand)]
    Apalis(Apalis),
}

/// The commands that every peer queue has.
#[derive(Subcommand)]
enum Apalis {
    Enqueue {
        #[arg(long)]
        redis_port: u16,
        #[arg(long)]
        n: u32,
        #[arg(long)]
        due_ms: i64,
        #[arg(long)]
        over_ms: u64,
    },
    Work {
        #[arg(long)]
        redis_port: u16,
        #[arg(long)]
        sink: String,
        #[arg(long)]
        concurrency: usize,
    },
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Measure { measures, size, out, of } => {
            let samples = sample::Samples::append(&out, &of)?;
            measures.iter().try_for_each(|measure| measure.run(size, &samples))
        }
        Command::Report { samples, to, machine } => {
            report::write(&sample::read(&samples)?, &to, &machine)
        }
        Command::Sink { listen } => {
            // One thread: the sink must not take a core from whoever is measured.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(sink::serve(listen))
        }
        contender => tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?
            .block_on(run(contender)),
    }
}

async fn run(contender: Command) -> Result<()> {
    match contender {
        Command::Plan { n, dir, redis_url, prefix, sent } => {
            let redis = redis_url.as_deref().map(|url| (url, prefix.as_str()));
            let attempts = if sent { Attempts::OneEach } else { Attempts::None };
            let planned = planning::run(redis, &dir, n, attempts).await?;
            println!("{}", serde_json::to_string(&planned)?);
        }
        Command::Load { url, installation, run, n, concurrency } => {
            let answered = load::run(&url, &installation, &run, n, concurrency).await?;
            println!("{}", serde_json::to_string(&answered)?);
        }
        Command::Bare { sink, n, concurrency } => {
            peer::bare::run(&sink, n, concurrency).await?;
            // What it used is asked while it lives.
            std::future::pending::<()>().await;
        }
        Command::Lua { redis_port, n } => {
            let (pushed, taken) = peer::lua::run(redis_port, n).await?;
            println!("{pushed} {taken}");
        }
        Command::Apalis(Apalis::Enqueue { redis_port, n, due_ms, over_ms }) => {
            let seconds = peer::apalis::enqueue(redis_port, n, due_ms, over_ms).await?;
            println!("{}", serde_json::json!({"n": n, "seconds": seconds}));
        }
        Command::Apalis(Apalis::Work { redis_port, sink, concurrency }) => {
            peer::apalis::work(redis_port, &sink, concurrency).await?;
        }
        Command::Measure { .. } | Command::Report { .. } | Command::Sink { .. } => {
            unreachable!("main has run them")
        }
    }
    Ok(())
}
