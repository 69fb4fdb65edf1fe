//! The recipient list and the day's content as they are kept between import and plan:
//! NDJSON below the state folder, replaced as a whole, the one before kept for `undo`.

mod findings;
mod media_desk;
mod replace;

pub use findings::judge;
pub use media_desk::MediaDesk;
pub use replace::{Draft, each_line, undo};

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use chrono::{Days, NaiveDate};
use domain::{Clock, Recipient, SystemClock};
use ledger::opt_outs::OptOuts;
use scheduler::Snapshot;
use scheduler::intake::Content;
use scheduler::intake::content::KeptContent;
use scheduler::snapshot::{Row, Taken};
use serde::de::DeserializeOwned;

use crate::config::Config;
use crate::{owner, store};

pub struct Files {
    state_dir: PathBuf,
}

/// Held while files are read or replaced together.
pub struct Lock(Option<File>);

impl Files {
    pub fn of(config: &Config) -> Self {
        Files { state_dir: config.state_dir.clone() }
    }

    pub fn recipients_path(&self) -> PathBuf {
        self.state_dir.join("recipients.ndjson")
    }

    pub fn content_path(&self, date: NaiveDate) -> PathBuf {
        self.state_dir.join("content").join(format!("{date}.ndjson"))
    }

    pub fn recipients(&self) -> Result<Vec<Recipient>> {
        self.recipients_as(|recipient| recipient)
    }

    fn recipients_as<T>(&self, each: impl Fn(Recipient) -> T) -> Result<Vec<T>> {
        read(&self.recipients_path(), "recipients import", each)
    }

    pub fn content(&self, date: NaiveDate) -> Result<Vec<Content>> {
        self.content_as(date)
    }

    fn content_as<T: DeserializeOwned>(&self, date: NaiveDate) -> Result<Vec<T>> {
        read(&self.content_path(date), "content import", |row| row)
    }

    /// Everything a run of `date` is planned from, as one import left it, less those who
    /// have said STOP since. A ledger that is not there yet has heard of nobody.
    pub async fn snapshot(&self, config: &Config, date: NaiveDate) -> Result<Taken> {
        let opt_outs = if store::exists(config) {
            OptOuts::read(store::open(config).await?.as_ref()).await?
        } else {
            OptOuts::default()
        };
        self.snapshot_without(config, date, &opt_outs)
    }

    /// The same, for who has the ledger at hand.
    pub fn snapshot_without(
        &self,
        config: &Config,
        date: NaiveDate,
        opt_outs: &OptOuts,
    ) -> Result<Taken> {
        let _lock = self.lock_shared()?;
        let recipients = self.recipients_as(|mut recipient| {
            opt_outs.apply(&mut recipient);
            Row::from(recipient)
        })?;
        let content = self.content_as::<KeptContent>(date)?;
        Ok(Snapshot::take(config.campaign.clone(), recipients, content))
    }

    /// Nobody else imports or plans meanwhile.
    pub fn lock(&self) -> Result<Lock> {
        let path = self.lock_path();
        std::fs::create_dir_all(&self.state_dir)
            .with_context(|| format!("make {}", self.state_dir.display()))?;
        let file = File::options().create(true).append(true).open(&path);
        let file = file.with_context(|| format!("open {}", path.display()))?;
        file.lock().with_context(|| format!("lock {}", path.display()))?;
        Ok(Lock(Some(file)))
    }

    /// Nobody imports meanwhile. Reading makes nothing: without a lock file nobody has
    /// imported yet.
    pub fn lock_shared(&self) -> Result<Lock> {
        let path = self.lock_path();
        match File::open(&path) {
            Ok(file) => {
                file.lock_shared().with_context(|| format!("lock {}", path.display()))?;
                Ok(Lock(Some(file)))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Lock(None)),
            Err(error) => Err(error).with_context(|| format!("open {}", path.display())),
        }
    }

    fn lock_path(&self) -> PathBuf {
        self.state_dir.join("import.lock")
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Some(file) = &self.0 {
            let _ = file.unlock(); // closing it does the same
        }
    }
}

/// An input named on the command line; `-` is standard input.
pub fn input(path: &Path) -> Result<Vec<u8>> {
    let doing = || format!("read {}", path.display());
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().lock().read_to_end(&mut bytes).with_context(doing)?;
        return Ok(bytes);
    }
    if let Some(mut file) = owner::opened(path) {
        file.read_to_end(&mut bytes).with_context(doing)?;
        return Ok(bytes);
    }
    std::fs::read(path).with_context(doing)
}

/// Rows of a file, each as `each` makes it; none when it is not there yet.
fn read<R: DeserializeOwned, T>(
    path: &Path,
    import: &str,
    each: impl Fn(R) -> T,
) -> Result<Vec<T>> {
    let doing = || format!("read {}", path.display());
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(doing),
    };
    let parse = |(n, line): (usize, std::io::Result<String>)| {
        let line = line.with_context(doing)?;
        serde_json::from_str(&line).map(&each).map_err(|error| {
            let (path, n, column) = (path.display(), n + 1, error.column());
            anyhow::anyhow!("{path}, line {n}, column {column}: damaged; `subah {import}` replaces the file, its `undo` brings back the one before")
        })
    };
    BufReader::new(file).lines().enumerate().map(parse).collect()
}

/// today, tomorrow, yesterday or a date, in the campaign's zone.
pub fn date(text: &str, config: &Config) -> Result<NaiveDate> {
    let today = config.daily.window.date_at(SystemClock.now());
    let day = |days| Days::new(days);
    match text {
        "today" => Ok(today),
        "tomorrow" => today.checked_add_days(day(1)).context("the calendar ends"),
        "yesterday" => today.checked_sub_days(day(1)).context("the calendar begins"),
        other => match other.parse() {
            Ok(date) => Ok(date),
            Err(_) => bail!(crate::exit::WrongUse(format!(
                "date {other:?}: expected today, tomorrow, yesterday or yyyy-mm-dd"
            ))),
        },
    }
}
