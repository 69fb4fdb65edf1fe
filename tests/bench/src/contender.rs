//! Who is measured. Every peer queue has the same two commands: `enqueue` and `work`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;
use tests::redis_server::RedisServer;

use crate::process::{Process, output};

/// The settings that Subah needs, for everybody.
pub const DURABLE: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];

/// A job queue of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    Bullmq,
    Dramatiq,
    Apalis,
}

#[derive(Clone, Debug)]
pub struct Jobs {
    pub n: u32,
    /// When the first one is due, milliseconds since 1970, and over how long they spread.
    pub due_ms: i64,
    pub over_ms: u64,
}

#[derive(Deserialize)]
pub struct Enqueued {
    pub n: u32,
    pub seconds: f64,
}

impl Peer {
    pub const ALL: [Peer; 3] = [Peer::Bullmq, Peer::Apalis, Peer::Dramatiq];

    pub const fn name(self) -> &'static str {
        match self {
            Peer::Bullmq => "BullMQ",
            Peer::Dramatiq => "dramatiq",
            Peer::Apalis => "apalis-redis",
        }
    }

    fn command(self) -> Result<Command> {
        let installed = PathBuf::from(
            std::env::var_os("BENCH_PEERS")
                .context("BENCH_PEERS names where peers are installed; tests/bench/run sets it")?,
        );
        Ok(match self {
            Peer::Bullmq => {
                let mut command = Command::new("node");
                command.arg(installed.join("bullmq/bench.mjs"));
                command
            }
            Peer::Dramatiq => {
                let mut command = Command::new(installed.join("dramatiq/venv/bin/python"));
                command.arg("-B").arg(installed.join("dramatiq/bench.py"));
                command
            }
            Peer::Apalis => {
                let mut command = Command::new(std::env::current_exe()?);
                command.arg("apalis");
                command
            }
        })
    }

    /// How many of `n` it is given. dramatiq adds and takes jobs one by one, each with a sync
    /// of its own. apalis-redis 1.0.0 stops with an error when about 8,000 are due at once,
    /// because its script unpacks them all.
    pub fn share_of(self, n: u32) -> u32 {
        match self {
            Peer::Dramatiq => n / 20,
            Peer::Apalis => n.min(7_000),
            Peer::Bullmq => n,
        }
    }

    /// # Errors
    /// When the peer fails.
    pub fn enqueue(self, server: &RedisServer, jobs: &Jobs) -> Result<Enqueued> {
        let mut command = self.command()?;
        command.arg("enqueue").args(["--redis-port", &server.port().to_string()]);
        command.args(["--n", &jobs.n.to_string(), "--due-ms", &jobs.due_ms.to_string()]);
        command.args(["--over-ms", &jobs.over_ms.to_string()]);
        let text = output(self.name(), &mut command)?;
        let line = text.lines().rev().find(|line| line.starts_with('{'));
        let line = line.with_context(|| format!("{} printed no JSON line", self.name()))?;
        Ok(serde_json::from_str(line)?)
    }

    /// Starts workers, with or without a limit of jobs a second; returns when they are ready.
    ///
    /// # Errors
    /// When the peer fails.
    pub fn work(
        self,
        server: &RedisServer,
        sink: &str,
        concurrency: u32,
        rate: Option<u32>,
    ) -> Result<Process> {
        let mut command = self.command()?;
        command.arg("work").args(["--redis-port", &server.port().to_string()]);
        command.args(["--sink", sink, "--concurrency", &concurrency.to_string()]);
        if let Some(rate) = rate {
            command.args(["--rate", &rate.to_string()]);
        }
        let (process, _ready) = Process::start_and_listen(self.name(), &mut command)?;
        Ok(process)
    }
}
