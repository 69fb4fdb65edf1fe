//! Days that pass in minutes: a dial that every process under `tests/shim/days.c` reads its
//! clocks from, and file times that agree with it.

use std::fs::{File, FileTimes};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use domain::{Clock, SystemClock, Timestamp};

use crate::power;

/// A first time ahead of the real one must be longer than a whole run takes: times of files
/// that were moved then lie after the real present, and are told from those that were not.
const AHEAD_MIN: Duration = Duration::from_secs(24 * 3_600);

pub struct Days {
    dial: File,
    path: PathBuf,
    library: String,
    ahead: Duration,
}

impl Days {
    /// Builds the shim and sets the dial, both in `dir`.
    ///
    /// # Errors
    /// When `first` is too near, or the dial cannot be written.
    pub fn begin(dir: &Path, first: Timestamp) -> Result<Self> {
        let ahead = Duration::from_secs(first.since(SystemClock.now()).as_secs());
        ensure!(ahead >= AHEAD_MIN, "the first instant is only {ahead:?} ahead of the real one");
        let path = dir.join("ahead");
        let dial = File::options().create(true).truncate(true).read(true).write(true).open(&path);
        let dial = dial.with_context(|| format!("make the dial {}", path.display()))?;
        let mut days = Days { dial, path, library: power::build_days_shim(dir), ahead };
        days.turn(ahead)?;
        Ok(days)
    }

    /// What a process under the shim takes the present to be.
    pub fn now(&self) -> Timestamp {
        SystemClock.now() + self.ahead
    }

    /// The command's process lives by the dial.
    pub fn rule(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.library).env("DAYS", &self.path);
    }

    /// Lets `span` pass; what was written in `folder` so far is that much older then.
    ///
    /// # Errors
    /// When a file's time cannot be moved, or the dial not be written.
    pub fn pass(&mut self, span: Duration, folder: &Path) -> Result<()> {
        let present = SystemTime::UNIX_EPOCH + present();
        for path in power::files(folder) {
            self.date(&path, present).with_context(|| format!("date {}", path.display()))?;
        }
        self.turn(self.ahead + span)
    }

    /// How old a file looks to a process under the shim.
    ///
    /// # Errors
    /// When it has no time.
    pub fn age(&self, path: &Path) -> Result<Duration> {
        let written = std::fs::metadata(path).and_then(|found| found.modified());
        let written = written.with_context(|| format!("look at {}", path.display()))?;
        let present = SystemTime::UNIX_EPOCH + present();
        let more = if written > present { self.ahead } else { Duration::ZERO };
        Ok((present + more).duration_since(written).unwrap_or_default())
    }

    fn turn(&mut self, ahead: Duration) -> Result<()> {
        let seconds = i64::try_from(ahead.as_secs()).context("that is too far ahead")?;
        let written = self.dial.write_all_at(&seconds.to_ne_bytes(), 0);
        written.with_context(|| format!("write the dial {}", self.path.display()))?;
        self.ahead = Duration::from_secs(ahead.as_secs());
        Ok(())
    }

    /// Moves a real time ahead; one that was moved already stays. The process may remove its
    /// files at any moment: one that is gone has no time.
    fn date(&self, path: &Path, present: SystemTime) -> std::io::Result<()> {
        let file = match File::open(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            file => file?,
        };
        let written = file.metadata()?.modified()?;
        if written > present {
            return Ok(());
        }
        file.set_times(FileTimes::new().set_modified(written + self.ahead))
    }
}

/// Since 1970, by the real clock.
fn present() -> Duration {
    SystemClock.now().since(Timestamp::MIN)
}
