//! The simulator in a process under the dial, and what it counted.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::days::Days;
use crate::install::{Running, get, get_json};
use crate::{PATIENCE, free_port, subah, within};

/// Messages a second that each number takes.
pub const THROUGHPUT: u32 = 500;

/// What was counted, over all simulators.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
pub struct Taken {
    pub requests: u64,
    pub accepted: u64,
    pub distinct_deliveries: u64,
    /// Messages beyond the first of a delivery, or of a person in a run.
    pub duplicates: u64,
}

pub struct FarSide {
    pub port: u16,
    webhook: String,
    secret: PathBuf,
    process: Option<Running>,
    /// Of simulators that are gone.
    before: Taken,
}

impl FarSide {
    /// Statuses are signed with the secret in that file.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn start(secret: &Path, receiver: u16, days: &Days) -> Result<Self> {
        let webhook = format!("http://127.0.0.1:{receiver}/webhooks");
        let (port, secret) = (free_port(), secret.to_owned());
        let before = Taken::default();
        let mut far_side = FarSide { port, webhook, secret, process: None, before };
        far_side.begin(days)?;
        Ok(far_side)
    }

    fn begin(&mut self, days: &Days) -> Result<()> {
        let mut command = subah();
        command.args(["simulate", "--compress", "20", "--latency", "10ms"]);
        command.args(["--webhook", &self.webhook, "--throughput", &THROUGHPUT.to_string()]);
        command.args(["--listen", &format!("127.0.0.1:{}", self.port), "--app-secret-file"]);
        command.arg(&self.secret).stdout(Stdio::null()).stderr(Stdio::null());
        days.rule(&mut command);
        self.process = Some(Running(command.spawn().context("start subah simulate")?));
        let answers = || get(&self.url()).map(|_| ());
        within(PATIENCE, Duration::from_millis(5), answers).context("the simulator stays silent")
    }

    /// Another one on the same port; what the one before counted is kept.
    ///
    /// # Errors
    /// When statuses stay on their way, or it does not answer.
    pub fn renew(&mut self, days: &Days) -> Result<()> {
        self.settle()?;
        self.before = self.taken()?;
        self.process = None; // its port is free again
        self.begin(days)
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/oracle", self.port)
    }

    fn oracle(&self) -> Value {
        get_json(&self.url())
    }

    /// # Errors
    /// When the answer cannot be read.
    pub fn taken(&self) -> Result<Taken> {
        let now: Taken = serde_json::from_value(self.oracle()["oracle"].clone())
            .context("read what the simulator counted")?;
        Ok(Taken {
            requests: self.before.requests + now.requests,
            accepted: self.before.accepted + now.accepted,
            distinct_deliveries: self.before.distinct_deliveries + now.distinct_deliveries,
            duplicates: self.before.duplicates + now.duplicates,
        })
    }

    /// Waits until every status was answered.
    ///
    /// # Errors
    /// When some never are.
    pub fn settle(&self) -> Result<()> {
        let none = || (self.oracle()["webhooks_pending"] == 0).then_some(());
        within(PATIENCE * 5, Duration::from_secs(1), none).context("statuses stay on their way")
    }
}
