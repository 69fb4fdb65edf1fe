//! This host: store, records, disk, and when webhooks last came.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use config::Config;
use domain::{Clock, SystemClock, Timestamp};
use ledger::api::for_each;
use ledger::orders::Order;
use ledger::{DeliveryView, Filter, Ledger};
use records::{Place, Records};

use super::{Findings, Scope};
use crate::error::{DeskError, Result};
use crate::foresight::{nobodys, strange};
use crate::store;

/// Clocks may be so far apart.
const APART_MAX: Duration = Duration::from_secs(5);
/// What a morning of a million needs, with room for the inbox.
const DISK_FREE_MIN: u64 = 1024 * 1024 * 1024;
/// Longest silence of webhooks: yesterday's statuses at least have come.
const SILENCE_MAX: Duration = Duration::from_secs(26 * 3_600);

/// The store, if there is one.
pub async fn store(scope: &Scope<'_>, findings: &mut Findings) -> Result<Option<Arc<dyn Ledger>>> {
    let config = scope.config;
    if !store::exists(config) {
        findings.not_checked("store: there is no ledger yet, the first plan makes it", "");
        return Ok(None); // looking makes none
    }
    let ledger = match &scope.ledger {
        Some(ledger) => Arc::clone(ledger),
        None => store::open(config).await?,
    };
    let health = ledger.health().await?;
    let facts: Vec<String> = health.facts.iter().map(|(k, v)| format!("{k} {v}")).collect();
    findings.ok(format!("store {}", health.engine), facts.join(", "));
    for problem in health.problems {
        let then = "nothing is sent from a store that may forget (store.accept_risk overrides)";
        findings.no_go(format!("store {}", health.engine), problem, "", then);
    }
    // The daemon meets each row anyhow, and has no time to read a million a minute before six.
    if scope.ledger.is_none() {
        rows(ledger.as_ref(), findings).await?;
    }
    for run in nobodys(config, ledger.as_ref()).await? {
        findings.judge(false, strange(&run), "", "", "");
    }
    let (there, here) = (ledger.now().await?, SystemClock.now());
    let apart = there.since(here).max(here.since(there));
    findings.judge(
        apart < APART_MAX,
        format!("clocks of this host and the store are {apart:?} apart"),
        "",
        "less than 5 s",
        "set both by NTP: deliveries are due by the store's clock",
    );
    Ok(Some(ledger))
}

/// Every delivery of the runs that are not over.
async fn rows(ledger: &dyn Ledger, findings: &mut Findings) -> Result<()> {
    let (mut read, mut damaged) = (0, 0);
    for run in ledger.active_runs().await? {
        let look = |delivery: &DeliveryView| {
            read += 1;
            damaged += usize::from(delivery.damage.is_some());
        };
        for_each(ledger, &run.header.id, &Filter::default(), look).await?;
    }
    let said = match damaged {
        0 => format!("{read} deliveries of open runs can be read"),
        n => format!("{n} deliveries cannot be read: `subah ledger verify` names them"),
    };
    findings.judge(damaged == 0, "store", said, "", "they are quarantined, the others go");
    Ok(())
}

/// Numbers that send at less than their rate, by whose order.
pub async fn orders(scope: &Scope<'_>, ledger: &dyn Ledger, findings: &mut Findings) -> Result<()> {
    let orders = ledger::orders::read(ledger).await?;
    for number in &scope.config.numbers {
        let held = orders.of(&number.id).filter(|order| order.holds(scope.now));
        for Order { percent, by, why, .. } in held.filter(|order| order.percent < 100) {
            findings.judge(
                false,
                format!("number {}", number.id),
                format!("it sends at {percent} % of its rate, by {by}: {why}"),
                "",
                match percent {
                    0 => "what waits at it goes through others that may send: `subah numbers list`",
                    _ => "what does not fit the window goes late or expires: `subah numbers list`",
                },
            );
        }
    }
    Ok(())
}

/// A morning does without them, consents by hand do not.
pub async fn records(config: &Config, findings: &mut Findings) {
    if matches!(&config.records, Place::Sqlite(path) if !path.exists()) {
        let none = "records: there are none yet, the first start makes them";
        return findings.not_checked(none, "");
    }
    match Records::open(&config.records).await {
        Ok(records) => {
            findings.ok(format!("records {}", records.engine()), "there, schema up to date");
            records.close().await;
        }
        Err(error) => {
            let seen = DeskError::from(error).chain();
            let then = "the morning does without them; consents by hand and imports wait";
            findings.judge(false, "records", seen, "", then);
        }
    }
}

pub fn disk(config: &Config, findings: &mut Findings) {
    let dir = &config.state_dir;
    let there = dir.ancestors().find(|dir| dir.exists()).unwrap_or(Path::new("."));
    let free = match rustix::fs::statvfs(there) {
        Ok(disk) => disk.f_bavail.saturating_mul(disk.f_frsize),
        Err(error) => return findings.not_checked("disk of the state folder", error.to_string()),
    };
    findings.judge(
        free >= DISK_FREE_MIN,
        "disk of the state folder",
        format!("{:.1} GiB are free", free as f64 / DISK_FREE_MIN as f64),
        "1 GiB at least",
        "make room: a full disk stops journal and inbox, and with them the morning",
    );
}

/// By the newest file of the inbox: it is written with each webhook.
pub fn webhooks(config: &Config, now: Timestamp, findings: &mut Findings) {
    let what = "webhooks";
    let Some(last) = newest(&config.inbox_dir()) else {
        return findings.not_checked(what, "none has come to this host yet");
    };
    let silent = now.since(Timestamp::from(chrono::DateTime::<chrono::Utc>::from(last)));
    findings.judge(
        silent <= SILENCE_MAX,
        what,
        format!("the last one came {} ago", hours(silent)),
        "one in the last day",
        "without statuses nobody knows what arrived: is the address at Meta right, the proxy up?",
    );
}

fn hours(span: Duration) -> String {
    match span.as_secs() {
        secs if secs < 3_600 => format!("{} min", secs / 60),
        secs => format!("{} h", secs / 3_600),
    }
}

fn newest(dir: &Path) -> Option<SystemTime> {
    let files = std::fs::read_dir(dir).ok()?.flatten();
    let segments = files.filter(|file| file.path().extension().is_some_and(|e| e == "log"));
    segments.filter_map(|file| file.metadata().ok()?.modified().ok()).max()
}
