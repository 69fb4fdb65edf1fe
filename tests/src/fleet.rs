//! Several subah processes on one store, each with a folder of its own, to be killed,
//! stopped, cut off and started again; and the far side's record held against the ledger.

pub mod strangers;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use domain::{RunId, SystemClock};
use ledger::redis::Options;
use ledger::{Filter, Ledger, Phase, Redis, Sqlite};
use serde::Deserialize;
use tempfile::TempDir;

use crate::install::{Running, Times, shared_config, start_simulator};
use crate::install::{get_json, write_credentials};
use crate::tally::{Message, Tally};
use crate::{free_port, power, subah};

/// What the fleet keeps its ledger in.
#[derive(Clone, Debug)]
pub enum Store {
    /// One host that does everything.
    Sqlite,
    /// Three schedulers, three senders and a receiver.
    Redis { url: String },
}

pub struct Spec {
    pub store: Store,
    pub people: u32,
    pub times: Times,
    pub faults: &'static str,
    pub on_ambiguous: &'static str,
    /// A library to load into every process.
    pub preload: Option<String>,
    /// Megabytes of a disk of its own for each host's state; needs the right to mount.
    pub disk_mib: Option<u32>,
}

pub struct Host {
    pub name: String,
    role: &'static str,
    dir: PathBuf,
    child: Option<Child>,
    preload: Option<String>,
    /// Starts of its machine.
    boots: u32,
    mounted: bool,
}

pub struct Fleet {
    dir: TempDir,
    pub hosts: Vec<Host>,
    pub simulator: String,
    /// Port of the one receiver.
    pub receiver: u16,
    _simulator: Running,
    store: Store,
}

/// A message as the simulator lists it.
#[derive(Deserialize)]
struct Listed {
    nonce: String,
    arrives: bool,
}

impl Fleet {
    /// Makes the folders and starts everything.
    ///
    /// # Panics
    /// When anything of it cannot be made.
    pub fn start(spec: &Spec) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let receiver = free_port();
        write_credentials(dir.path());
        let (simulator, process) =
            start_simulator(dir.path(), receiver, spec.faults, &["--languages", "en,hi"]);
        let roles: &[(&str, &str)] = match spec.store {
            Store::Sqlite => &[("all", "scheduler,sender,receiver")],
            Store::Redis { .. } => &[
                ("planner-1", "scheduler"),
                ("planner-2", "scheduler"),
                ("planner-3", "scheduler"),
                ("sender-1", "sender"),
                ("sender-2", "sender"),
                ("sender-3", "sender"),
                ("receiving", "receiver"),
            ],
        };
        let shared = shared_config(spec.times);
        let mut fleet = Fleet {
            hosts: Vec::new(),
            simulator,
            receiver,
            _simulator: process,
            store: spec.store.clone(),
            dir,
        };
        for (name, role) in roles {
            let host = fleet.make_host(name, role, spec, receiver, &shared);
            fleet.hosts.push(host);
        }
        for host in &mut fleet.hosts {
            host.start();
        }
        fleet
    }

    fn make_host(
        &self,
        name: &str,
        role: &'static str,
        spec: &Spec,
        receiver: u16,
        shared: &str,
    ) -> Host {
        let dir = self.dir.path().join(name);
        std::fs::create_dir_all(&dir).expect("a folder");
        write_credentials(&dir);
        let store = match &spec.store {
            Store::Sqlite => String::new(),
            Store::Redis { url } => format!("[store]\nengine = \"redis\"\nredis_url = \"{url}\"\n"),
        };
        let numbers: String = (1..=4).map(|n| format!("[[numbers]]\nid = \"100{n}\"\n")).collect();
        let text = format!(
            "host = \"{name}\"\n{store}[cloud_api]\nbase_url = \"{simulator}\"\n\
             connect_timeout = \"1s\"\ntotal_timeout = \"2s\"\n\
             [receiver]\nlisten = \"127.0.0.1:{receiver}\"\n\
             [metrics]\nlisten = \"127.0.0.1:{metrics}\"\n\
             [sender]\nbudget = \"1s\"\nintent_timeout = \"4s\"\nlease = \"2s\"\n\
             on_ambiguous = \"{policy}\"\nevidence_error_wait = \"5s\"\n\
             evidence_lost_wait = \"15s\"\n{numbers}{shared}\
             languages = [\"en\", \"hi\", \"mr\"]\nheader = \"image\"\n",
            simulator = self.simulator,
            metrics = free_port(),
            policy = spec.on_ambiguous,
        );
        std::fs::write(dir.join("subah.toml"), text).expect("the config");
        let host = Host {
            name: name.to_owned(),
            role,
            dir,
            child: None,
            preload: spec.preload.clone(),
            boots: 1,
            mounted: spec.disk_mib.is_some(),
        };
        if let Some(mib) = spec.disk_mib {
            host.mount(mib);
        }
        if role.contains("scheduler") {
            strangers::write_files(&host.dir, spec.people);
            host.ok(&["recipients", "import", host.dir.join("r.csv").to_str().expect("UTF-8")]);
            host.ok(&["content", "import", host.dir.join("c.ndjson").to_str().expect("UTF-8")]);
        }
        host
    }

    pub fn host(&mut self, name: &str) -> &mut Host {
        self.hosts.iter_mut().find(|host| host.name == name).expect("it was made")
    }

    /// Everything that is not running runs again.
    pub fn start_all(&mut self) {
        for host in self.hosts.iter_mut().filter(|host| host.child.is_none()) {
            host.start();
        }
    }

    /// A view of the ledger of the harness's own. `direct` is the store's own URL, past any
    /// proxy.
    pub async fn ledger(&self, direct: Option<&str>) -> anyhow::Result<Arc<dyn Ledger>> {
        Ok(match (&self.store, direct) {
            (Store::Sqlite, _) => {
                let path = self.dir.path().join("all/state/ledger.db");
                Arc::new(Sqlite::open(&path, Arc::new(SystemClock))?)
            }
            (Store::Redis { url }, direct) => {
                let options = Options::new(direct.unwrap_or(url), "subah", false);
                Arc::new(Redis::connect(&options).await?)
            }
        })
    }

    /// Status reports that are still on their way.
    pub fn webhooks_pending(&self) -> u64 {
        get_json(&format!("{}/oracle", self.simulator))["webhooks_pending"].as_u64().unwrap_or(0)
    }

    /// Message requests that reached the far side.
    pub fn requests(&self) -> u64 {
        get_json(&format!("{}/oracle", self.simulator))["oracle"]["requests"].as_u64().unwrap_or(0)
    }

    /// Holds the ledger against the far side.
    ///
    /// # Errors
    /// When the ledger does not answer.
    pub async fn compare(&self, ledger: &dyn Ledger) -> anyhow::Result<Tally> {
        let mut taken: HashMap<String, Vec<Listed>> =
            serde_json::from_value(get_json(&format!("{}/oracle/deliveries", self.simulator)))?;
        let mut tally = Tally { requests: self.requests(), ..Tally::default() };
        let message = |one: Listed| Message { nonce: one.nonce.parse().ok(), arrives: one.arrives };
        for run in ledger.runs().await? {
            let id = &run.header.id;
            for delivery in ledger.list(id, &Filter::default(), None, 1_000_000).await? {
                let messages = taken.remove(&delivery.id.to_string()).unwrap_or_default();
                let messages: Vec<Message> = messages.into_iter().map(message).collect();
                tally.judge(&delivery, &messages);
            }
            tally.miscounted += u64::from(ledger.counts(id).await? != ledger.recount(id).await?);
        }
        tally.lost += taken.len() as u64;
        Ok(tally)
    }

    /// The one run that there should be, when it is over.
    ///
    /// # Errors
    /// When the ledger does not answer.
    pub async fn closed_run(&self, ledger: &dyn Ledger) -> anyhow::Result<Option<RunId>> {
        let runs = ledger.runs().await?;
        anyhow::ensure!(runs.len() <= 1, "{} runs were planned", runs.len());
        let closed = runs.into_iter().find(|run| run.phase == Phase::Closed);
        Ok(closed.map(|run| run.header.id.clone()))
    }
}

impl Host {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = subah();
        command.arg("--config").arg(self.dir.join("subah.toml")).args(args);
        command
    }

    fn ok(&self, args: &[&str]) {
        let output = self.command(args).output().expect("subah runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "subah {args:?}: {errors}");
    }

    fn mount(&self, mib: u32) {
        let state = self.dir.join("state");
        std::fs::create_dir_all(&state).expect("a folder");
        let size = format!("size={mib}m");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&state);
        assert!(mount.status().is_ok_and(|s| s.success()), "mounting a tmpfs needs root");
    }

    /// Fills its disk to the last byte, or frees it again.
    ///
    /// # Panics
    /// When the file that fills it cannot be removed.
    pub fn fill_disk(&self, full: bool) {
        let ballast = self.dir.join("state/ballast");
        if !full {
            std::fs::remove_file(ballast).expect("it is there");
            return;
        }
        let mut file = std::fs::File::create(ballast).expect("a file");
        let mut piece = vec![0u8; 64 * 1024];
        while !piece.is_empty() {
            if std::io::Write::write_all(&mut file, &piece).is_err() {
                piece.truncate(piece.len() / 2); // to the last byte
            }
        }
    }

    /// Its standard error goes to `log` in its folder.
    pub fn start(&mut self) {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.dir.join("log"));
        let mut command = self.command(&["serve", "--role", self.role]);
        command.env("SUBAH_BOOT_ID", format!("{}-{}", self.name, self.boots));
        if let Some(library) = &self.preload {
            command.env("LD_PRELOAD", library);
        }
        command.stdout(Stdio::null()).stderr(log.expect("a log"));
        self.child = Some(command.spawn().expect("subah runs"));
    }

    /// kill -9.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// kill -9, and what its disk had not synced is gone. Returns the bytes lost.
    pub fn lose_power(&mut self) -> u64 {
        self.kill();
        self.boots += 1;
        power::cut(&self.dir)
    }

    /// SIGSTOP or SIGCONT.
    pub fn signal(&self, name: &str) {
        if let Some(child) = &self.child {
            let _ = Command::new("kill").args([name, &child.id().to_string()]).status();
        }
    }

    /// Whether it ended by itself.
    pub fn has_ended(&mut self) -> bool {
        matches!(self.child.as_mut().map(Child::try_wait), Some(Ok(Some(_))))
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.kill();
        if self.mounted {
            let _ = Command::new("umount").arg("-l").arg(self.dir.join("state")).status();
        }
    }
}
