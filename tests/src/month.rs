//! An installation whose days pass in minutes: the real daemon and the simulator, each a
//! process, every clock of them moved by one dial.

pub mod asked;
pub mod far_side;
pub mod measure;
pub mod start_up;

use std::fs::OpenOptions;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use chrono::{NaiveDate, NaiveTime, TimeZone};
use chrono_tz::Asia::Kolkata;
use domain::{Clock, SystemClock, Timestamp};
use tempfile::TempDir;

use crate::days::Days;
use crate::install::{CONTENT, Running, recipients, write_credentials};
use crate::{PATIENCE, free_port, within};

use self::far_side::{FarSide, THROUGHPUT};

const NUMBERS: u32 = 8;
/// Time passes in pieces no longer than this: the daemon's hourly rounds all come.
const HOP: Duration = Duration::from_secs(300);
const LOOK: Duration = Duration::from_millis(5);

pub struct House {
    dir: TempDir,
    days: Days,
    metrics: u16,
    pub far_side: FarSide,
    daemon: Running,
    people: u32,
}

impl House {
    /// `people` recipients, content for the first date, and a daemon that is up at 04:30 of it.
    ///
    /// # Errors
    /// When anything of it cannot be made.
    pub fn begin(people: u32) -> Result<Self> {
        let dir = tempfile::tempdir().context("make a temporary folder")?;
        let today = SystemClock.now().to_utc().with_timezone(&Kolkata).date_naive();
        let first = today + chrono::Days::new(3);
        let days = Days::begin(dir.path(), at(first, "04:30:00"))?;
        let [receiver, metrics] = [free_port(), free_port()];
        write_credentials(dir.path());
        let far_side = FarSide::start(&dir.path().join("app"), receiver, &days)?;
        let daemon = Running(Command::new("true").spawn().context("start true")?);
        let mut house = House { dir, days, metrics, far_side, daemon, people };
        house.write("subah.toml", &house.config(receiver, metrics))?;
        house.write("recipients.csv", &recipients(people))?;
        house.write("content.ndjson", CONTENT)?;
        house.ok(&["recipients", "import", &house.named("recipients.csv")])?;
        house.provide(first)?;
        house.daemon = house.serve("subah.toml")?;
        until("the daemon to be up", || house.is_up(house.metrics).then_some(()))?;
        Ok(house)
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        std::fs::write(self.path(name), text).with_context(|| format!("write {name}"))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn named(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    pub fn state(&self) -> PathBuf {
        self.path("state")
    }

    pub fn daemon(&self) -> &Child {
        &self.daemon.0
    }

    pub fn now(&self) -> Timestamp {
        self.days.now()
    }

    /// Patient with a busy machine: what is measured is growth, not speed.
    fn config(&self, receiver: u16, metrics: u16) -> String {
        let far_side = self.far_side.port;
        // At three quarters of what the numbers may send.
        let spread = (4 * self.people).div_ceil(3 * NUMBERS * THROUGHPUT).clamp(5, 600);
        let (minutes, seconds) = (spread / 60, spread % 60);
        let number = |n| format!("[[numbers]]\nid = \"100{n}\"\nthroughput = {THROUGHPUT}\n");
        let numbers: String = (1..=NUMBERS).map(number).collect();
        format!(
            r#"
[cloud_api]
base_url = "http://127.0.0.1:{far_side}"
total_timeout = "20s"
[receiver]
listen = "127.0.0.1:{receiver}"
[metrics]
listen = "127.0.0.1:{metrics}"
[credentials]
meta_token = "token"
app_secret = "app"
verify_token = "verify"
[sender]
budget = "10s"
intent_timeout = "40s"
lease = "30s"
evidence_lost_wait = "90s"
{numbers}
[retention]
deliveries_days = 9
content_days = 9
[campaign.window]
zone = "Asia/Kolkata"
opens = "06:00:00"
target = "06:00:00"
spread_until = "06:{minutes:02}:{seconds:02}"
closes = "06:15:00"
deadline = "06:20:00"
[campaign.template]
name = "daily_pack"
languages = ["en"]
body_parameters = ["first_name", "headline"]
"#
        )
    }

    fn serve(&self, config: &str) -> Result<Running> {
        let path = self.path("log");
        let log = OpenOptions::new().create(true).append(true).open(&path);
        let log = log.with_context(|| format!("open {}", path.display()))?;
        let mut command = self.command(config, &["serve"]);
        command.stdout(Stdio::null()).stderr(log);
        Ok(Running(command.spawn().context("start subah serve")?))
    }

    /// Another simulator in place of the one before: it remembers every message, and a month of
    /// them would be more than it may hold.
    ///
    /// # Errors
    /// When statuses stay on their way, or it does not answer.
    pub fn renew_far_side(&mut self) -> Result<()> {
        self.far_side.renew(&self.days)
    }

    /// Lets time pass until then.
    ///
    /// # Errors
    /// When the daemon does not go on with it, or has ended.
    pub fn pass_until(&mut self, then: Timestamp) -> Result<()> {
        while self.now() + Duration::from_secs(1) < then {
            let left = then.since(self.now());
            self.pass(left.min(HOP))?;
        }
        Ok(())
    }

    /// A piece of time; over when the daemon has looked at its clock after it. The questions
    /// also wake it, so that it sees which of its timers are over.
    fn pass(&mut self, span: Duration) -> Result<()> {
        self.days.pass(span, &self.state())?;
        let at = self.now().secs_f64();
        let seen = || (self.sampled(self.metrics) >= at).then_some(());
        if let Err(error) = until("the daemon to go on with the time", seen) {
            let ended = self.daemon.0.try_wait().context("ask after the daemon")?;
            bail!("{error}; its end: {ended:?}; it said last:\n{}", self.last_words());
        }
        Ok(())
    }

    /// The end of the daemon's log.
    pub fn last_words(&self) -> String {
        let log = std::fs::read_to_string(self.path("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

/// A local time of a date.
///
/// # Panics
/// When `time` is none.
pub fn at(date: NaiveDate, time: &str) -> Timestamp {
    let time: NaiveTime = time.parse().expect("a time");
    Kolkata.from_local_datetime(&date.and_time(time)).single().expect("a zone without jumps").into()
}

fn until<T>(what: &str, ask: impl FnMut() -> Option<T>) -> Result<T> {
    within(PATIENCE * 2, LOOK, ask).with_context(|| format!("waited for {what}: it did not come"))
}
