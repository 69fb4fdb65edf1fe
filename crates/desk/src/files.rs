//! Lists of recipients and the content of dates, as this host has them: copies of what the records
//! have, which are brought up to date before they are read.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::Path;
use std::time::Duration;

use chrono::NaiveDate;
use config::{CampaignConfig, Config};
use domain::{ListName, Recipient};
use ledger::opt_outs::OptOuts;
use records::Place;
use scheduler::Snapshot;
use scheduler::intake::Content;
use scheduler::intake::content::KeptContent;
use scheduler::snapshot::{Row, Taken};
use serde::de::DeserializeOwned;

use crate::error::{DeskError, Doing, Result};
use crate::sets::{Copies, Lock, Set};
use crate::store;

/// How long a plan waits for records that may have something newer.
const HEARD_WITHIN: Duration = Duration::from_secs(3);
/// How long a newer version may take to come.
const FETCHED_WITHIN: Duration = Duration::from_secs(60);

pub struct Files {
    copies: Copies,
}

impl Files {
    pub fn of(config: &Config) -> Self {
        let first = config.campaigns[0].campaign.id.clone();
        Files { copies: Copies::below(&config.state_dir, first) }
    }

    pub fn copies(&self) -> &Copies {
        &self.copies
    }

    /// Brings copies up to date with the records. Records that are away cost a moment: what this host
    /// has is used then, and said to be possibly old.
    pub async fn refresh(&self, config: &Config, sets: &[Set]) {
        let Err(error) = self.try_refresh(config, sets).await else { return };
        let dir = config.state_dir.display();
        tracing::error!(
            error = error.chain(),
            "the copies of lists and content in {dir} may be old, and are used: {}",
            error.chain()
        );
    }

    /// The same, for who says by itself that the records are away.
    pub async fn try_refresh(&self, config: &Config, sets: &[Set]) -> Result<()> {
        if matches!(&config.records, Place::Sqlite(path) if !path.exists()) {
            return Ok(()); // nothing was ever imported; looking makes no records
        }
        let silent = |within| DeskError::Unavailable(format!("no answer in {within:?}"));
        let desk = tokio::time::timeout(HEARD_WITHIN, store::desk(config)).await;
        let desk = desk.map_err(|_| silent(HEARD_WITHIN)).doing(|| "ask the records")??;
        let fetched = tokio::time::timeout(FETCHED_WITHIN, async {
            let _lock = self.lock().await?;
            for set in sets {
                let doing = || format!("bring {} up to date", set.name());
                desk.refresh(&self.copies, set).await.doing(doing)?;
            }
            Ok(())
        });
        let fetched = fetched.await;
        desk.records.close().await;
        fetched.map_err(|_| silent(FETCHED_WITHIN))?
    }

    /// Lists of a campaign's audience that this host has no copy of.
    pub fn lists_never_imported(&self, one: &CampaignConfig) -> Vec<ListName> {
        let missing = |list: &ListName| !self.copies.path(&Set::Recipients(list.clone())).exists();
        one.audience.lists().into_iter().filter(missing).collect()
    }

    /// A list as this host has it. Sees what the records have when they answer.
    pub async fn recipients(&self, config: &Config, list: &ListName) -> Result<Vec<Recipient>> {
        let set = Set::Recipients(list.clone());
        self.refresh(config, std::slice::from_ref(&set)).await;
        read(&self.copies.path(&set), "recipients import", |recipient| recipient)
    }

    /// Everybody whom any campaign may write to.
    pub async fn everybody(&self, config: &Config) -> Result<Vec<Recipient>> {
        let mut lists: Vec<ListName> =
            config.campaigns.iter().flat_map(|one| one.audience.lists()).collect();
        lists.sort();
        lists.dedup();
        let mut all = Vec::new();
        for list in lists {
            all.extend(self.recipients(config, &list).await?);
        }
        Ok(all)
    }

    pub async fn content(
        &self,
        config: &Config,
        one: &CampaignConfig,
        date: NaiveDate,
    ) -> Result<Vec<Content>> {
        let set = Set::Content(one.campaign.id.clone(), date);
        self.refresh(config, std::slice::from_ref(&set)).await;
        read(&self.copies.path(&set), "content import", |row| row)
    }

    /// Everything a run of `date` is planned from, as one import left it, less those who
    /// have said STOP since. A ledger that is not there yet has heard of nobody.
    pub async fn snapshot(
        &self,
        config: &Config,
        one: &CampaignConfig,
        date: NaiveDate,
    ) -> Result<Taken> {
        let opt_outs = if store::exists(config) {
            OptOuts::read(store::open(config).await?.as_ref()).await?
        } else {
            OptOuts::default()
        };
        let sets = sets(one, date);
        self.refresh(config, &sets).await;
        let _lock = self.lock_shared().await?;
        let mut recipients = Vec::new();
        for set in &sets[1..] {
            let rows = read(&self.copies.path(set), "recipients import", |mut recipient| {
                opt_outs.apply(&mut recipient);
                Row::from(recipient)
            });
            recipients.append(&mut rows?);
        }
        let content =
            read::<KeptContent, _>(&self.copies.path(&sets[0]), "content import", |row| row)?;
        Ok(Snapshot::take_of(one.campaign.clone(), &one.audience, recipients, content))
    }

    /// Nobody else imports or plans meanwhile.
    pub async fn lock(&self) -> Result<Lock> {
        let copies = self.copies.clone();
        locked(move || copies.lock()).await
    }

    /// Nobody imports meanwhile.
    async fn lock_shared(&self) -> Result<Lock> {
        let copies = self.copies.clone();
        locked(move || copies.lock_shared()).await
    }
}

/// What a run is planned from: its content first, then the lists of its audience.
fn sets(one: &CampaignConfig, date: NaiveDate) -> Vec<Set> {
    let content = Set::Content(one.campaign.id.clone(), date);
    let lists = one.audience.lists().into_iter().map(Set::Recipients);
    [content].into_iter().chain(lists).collect()
}

/// Somebody else may have the lock for as long as an import takes.
async fn locked(lock: impl FnOnce() -> Result<Lock> + Send + 'static) -> Result<Lock> {
    tokio::task::spawn_blocking(lock).await.doing(|| "wait for who imports")?
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
        Err(error) => return Err(error).doing(doing),
    };
    let parse = |(n, line): (usize, std::io::Result<String>)| {
        let line = line.doing(doing)?;
        serde_json::from_str(&line).map(&each).map_err(|error| {
            let (path, n, column) = (path.display(), n + 1, error.column());
            DeskError::Refused(format!("{path}, line {n}, column {column}: damaged; `subah {import}` replaces the file, its `undo` brings back the one before"))
        })
    };
    BufReader::new(file).lines().enumerate().map(parse).collect()
}
