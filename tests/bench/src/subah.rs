//! An installation of Subah, as a user would make it, against a sink or a simulator.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use chrono::Timelike;
use domain::Timestamp;
use tempfile::TempDir;
use tests::free_port;
use tests::install::{CONTENT, campaign_config, local_now, recipients, write_credentials};
use tests::redis_server::RedisServer;

use crate::process::output;

/// Where the ledger is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Store {
    Sqlite,
    Redis { url: String },
}

/// Over TCP, as the peers connect.
pub fn tcp(server: &RedisServer) -> String {
    format!("redis://127.0.0.1:{}", server.port())
}

impl Store {
    pub fn over(server: &RedisServer) -> Self {
        Store::Redis { url: tcp(server) }
    }

    pub const fn contender(&self) -> &'static str {
        match self {
            Store::Sqlite => "subah, sqlite",
            Store::Redis { .. } => "subah, redis",
        }
    }
}

#[derive(Clone, Debug)]
pub struct Spec {
    pub store: Store,
    /// Cloud API's base URL.
    pub far_side: String,
    pub people: u32,
    pub numbers: u32,
    /// Messages a second of each number.
    pub throughput: u32,
    /// Requests under way of each number.
    pub concurrency: u32,
    /// From now: import and plan must be over by then.
    pub opens_in: Duration,
    pub spread: Duration,
    /// From the end of the spread until nothing starts any more, and until the deadline.
    pub repairs: Duration,
}

pub struct Install {
    dir: TempDir,
    pub opens: Timestamp,
    pub receiver: u16,
    pub metrics: u16,
}

impl Install {
    /// Writes configuration, recipients and content, and imports them.
    ///
    /// # Errors
    /// When a command fails.
    pub fn new(spec: &Spec) -> Result<Self> {
        Self::with_receiver(spec, free_port())
    }

    /// With a port for webhooks that the far side knows already.
    ///
    /// # Errors
    /// When a command fails.
    pub fn with_receiver(spec: &Spec, receiver: u16) -> Result<Self> {
        let dir = tempfile::tempdir().context("a temporary folder")?;
        let metrics = free_port();
        write_credentials(dir.path());
        let (config, opens) = config(spec, receiver, metrics);
        std::fs::write(dir.path().join("subah.toml"), config)?;
        std::fs::write(dir.path().join("content.ndjson"), CONTENT)?;
        std::fs::write(dir.path().join("recipients.csv"), recipients(spec.people))?;
        let install = Install { dir, opens, receiver, metrics };
        for what in ["recipients", "content"] {
            let file = if what == "content" { "content.ndjson" } else { "recipients.csv" };
            let path = install.path(file);
            output("import", install.command(&[what, "import"]).arg(path))?;
        }
        Ok(install)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = tests::subah();
        command.arg("--config").arg(self.path("subah.toml")).args(args);
        command
    }
}

fn config(spec: &Spec, receiver: u16, metrics: u16) -> (String, Timestamp) {
    let opens = local_now() + spec.opens_in + Duration::from_secs(1);
    let opens = opens.with_nanosecond(0).expect("a whole second");
    let closes = spec.spread + spec.repairs;
    let mut text = format!(
        r#"
[cloud_api]
base_url = "{far_side}"
[receiver]
listen = "127.0.0.1:{receiver}"
[metrics]
listen = "127.0.0.1:{metrics}"
[sender]
concurrency = {concurrency}
{campaign}
"#,
        far_side = spec.far_side,
        concurrency = spec.concurrency,
        campaign = campaign_config(opens, [spec.spread, closes, closes + spec.repairs]),
    );
    if let Store::Redis { url } = &spec.store {
        let _ = write!(text, "[store]\nengine = \"redis\"\nredis_url = \"{url}\"\n");
    }
    for n in 1..=spec.numbers {
        let throughput = spec.throughput;
        let _ = write!(text, "[[numbers]]\nid = \"{}\"\nthroughput = {throughput}\n", 1000 + n);
    }
    (text, opens.to_utc().into())
}
