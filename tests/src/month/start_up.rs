//! How long a start takes from what a house holds, without the daemon that lives in it being
//! stopped: from a copy of its state, made while it stands still, on ports of its own.

use std::fs::{File, FileTimes};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::measure::{Memory, memory};
use super::{House, until};
use crate::free_port;

/// Starts of which the shortest counts: the others are longer by what else the machine does.
const STARTS: u32 = 7;

/// A start, from the exec until health and readiness are answered.
#[derive(Clone, Copy, Debug)]
pub struct StartUp {
    pub took: Duration,
    /// When it has read its past and looked at its ledger once.
    pub memory: Memory,
}

impl House {
    /// Starts a daemon from a copy of the state.
    ///
    /// # Errors
    /// When the copy cannot be made, or a daemon does not start from it.
    pub fn measure_start(&self) -> Result<StartUp> {
        let twin = self.path("twin");
        std::fs::create_dir_all(&twin).context("make a folder for the copy")?;
        self.signal("-STOP")?;
        let copied = copy(&self.state(), &twin.join("state"), "exports");
        self.signal("-CONT")?;
        copied?;
        for name in ["token", "app", "verify"] {
            std::fs::copy(self.path(name), twin.join(name)).context("copy the credentials")?;
        }
        let metrics = free_port();
        self.write("twin/subah.toml", &self.config(free_port(), metrics))?;
        let starts: Result<Vec<StartUp>> =
            (0..STARTS).map(|_| self.start_once("twin/subah.toml", metrics)).collect();
        std::fs::remove_dir_all(&twin).context("remove the copy")?;
        let shortest = starts?.into_iter().min_by_key(|start| start.took);
        shortest.context("no start was measured")
    }

    fn start_once(&self, config: &str, metrics: u16) -> Result<StartUp> {
        let (begun, wall) = (Instant::now(), self.now().secs_f64());
        let mut daemon = self.serve(config)?;
        until("the start", || self.is_up(metrics).then_some(()))?;
        let took = begun.elapsed();
        until("a first look", || (self.sampled(metrics) >= wall).then_some(()))?;
        let memory = memory(daemon.0.id())?;
        daemon.terminate();
        let code = daemon.wait();
        ensure!(code == 0, "a daemon that was stopped ended with {code}:\n{}", self.last_words());
        Ok(StartUp { took, memory })
    }

    /// Stops the daemon that lived through everything, and starts it once more.
    ///
    /// # Errors
    /// When it does not end in order, or does not start.
    pub fn restart(&mut self) -> Result<StartUp> {
        self.daemon.terminate();
        let code = self.daemon.wait();
        ensure!(code == 0, "the daemon ended with {code}:\n{}", self.last_words());
        self.start_once("subah.toml", self.metrics)
    }

    fn signal(&self, name: &str) -> Result<()> {
        let process = self.daemon().id().to_string();
        let sent = Command::new("kill").args([name, &process]).status().context("run kill")?;
        ensure!(sent.success(), "kill {name} {process} ended with {sent}");
        Ok(())
    }
}

/// Copies a folder with its times, without `but`.
fn copy(from: &Path, to: &Path, but: &str) -> Result<()> {
    std::fs::create_dir_all(to).with_context(|| format!("make {}", to.display()))?;
    for entry in std::fs::read_dir(from).with_context(|| format!("read {}", from.display()))? {
        let entry = entry.with_context(|| format!("read {}", from.display()))?;
        let (from, name) = (entry.path(), entry.file_name());
        if name == but {
            continue;
        }
        let to = to.join(name);
        if from.is_dir() {
            copy(&from, &to, but)?;
            continue;
        }
        let doing = || format!("copy {} to {}", from.display(), to.display());
        std::fs::copy(&from, &to).with_context(doing)?;
        let written = std::fs::metadata(&from).and_then(|found| found.modified());
        let times = FileTimes::new().set_modified(written.with_context(doing)?);
        let made = File::options().write(true).open(&to);
        made.and_then(|made| made.set_times(times)).with_context(doing)?;
    }
    Ok(())
}
