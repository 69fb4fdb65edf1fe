//! Where a recovery of the store stands, and leaving a lost host out of it.

use config::Config;
use ledger::members::{self, Excused};
use ledger::{Change, Ledger, Note, recovery};

use crate::Mode;
use crate::did::{self, who};
use crate::error::{DeskError, Result};
use crate::named::reason;
use crate::store;
use crate::told::{Answer, Told};

/// A host that does not come back.
#[derive(Clone, Debug)]
pub struct Lost {
    pub host: String,
    pub reason: String,
    /// The store lost nothing: what the host had sent is known.
    pub store_intact: bool,
    pub mode: Mode,
}

/// Who is waited for; or what leaving a host out does.
///
/// # Errors
/// When there is no such member, the reason says nothing, or the store does not answer.
pub async fn recover(config: &Config, lost: Option<&Lost>) -> Result<Told> {
    if !store::exists(config) {
        return Ok(Told::yes("there is no ledger yet: there is nothing to recover"));
    }
    let ledger = store::open(config).await?;
    let Some(incarnation) = ledger.incarnation().await? else {
        let engine = ledger.engine();
        let words = format!("the {engine} store forgets nothing: there is nothing to recover");
        return Ok(Told::yes(words));
    };
    match lost {
        None => status(ledger.as_ref(), &incarnation).await,
        Some(lost) => without(config, ledger.as_ref(), &incarnation, lost).await,
    }
}

async fn status(ledger: &dyn Ledger, incarnation: &str) -> Result<Told> {
    let mut told = Told::default();
    let fenced = ledger.fenced_runs().await?;
    let members = members::read(ledger).await?;
    for (name, member) in &members.members {
        let stand = if fenced.is_empty() {
            "known"
        } else if member.merged.as_deref() == Some(incarnation) {
            "has merged"
        } else {
            "IS WAITED FOR"
        };
        told.say(format!("{name}: {stand}"));
    }
    for excused in &members.excused {
        told.say(format!(
            "{}: left out at {} by {}: {}",
            excused.host, excused.at, excused.by, excused.why
        ));
    }
    if fenced.is_empty() {
        told.say("nothing to recover: sending is allowed");
        return Ok(told);
    }
    let runs: Vec<&str> = fenced.iter().map(|run| run.as_str()).collect();
    told.say(format!("the store was restarted; nothing is sent for {} meanwhile", runs.join(", ")));
    Ok(told.with(Answer::No))
}

async fn without(
    config: &Config,
    ledger: &dyn Ledger,
    incarnation: &str,
    lost: &Lost,
) -> Result<Told> {
    let (host, mut told) = (lost.host.as_str(), Told::default());
    let members = members::read(ledger).await?;
    let of_host = |name: &&String| members::host(name) == host;
    let gone: Vec<&String> = members.members.keys().filter(of_host).collect();
    if gone.is_empty() {
        return Err(DeskError::Refused(format!(
            "no member is called {host}; `subah recover` lists them"
        )));
    }
    let why = reason(&lost.reason)?.to_owned();
    let fenced = ledger.fenced_runs().await?;
    if lost.mode == Mode::DryRun {
        told.say(format!("{host} would be left out: what only its journal and inbox know is lost"));
        if !lost.store_intact && !fenced.is_empty() {
            told.say("deliveries that were due and still wait would be suspected of having been sent by it: unknown under hold, sent and flagged under evidence; --store-intact when the store lost nothing");
        }
        told.say("nothing was changed; --yes does it");
        return Ok(told);
    }
    did::note(config, &format!("recover without {host}: {why}"))?;
    let at = ledger.now().await?;
    tracing::warn!(host, by = who(), "host {host} is left out of recoveries");
    if !lost.store_intact {
        let note = Note { at, by: who(), change: Change::Suspect, why: why.clone() };
        for run in &fenced {
            let marked = recovery::suspect(ledger, run, Some(&note)).await?;
            told.say(format!(
                "{run}: {marked} deliveries are suspected of having been sent by {host}"
            ));
        }
    }
    let excused = Excused { host: host.to_owned(), at, by: who(), why };
    members::excuse(ledger, &excused).await?;
    told.say(format!("{host} is left out"));
    let members = members::read(ledger).await?;
    let missing = members.missing(incarnation);
    if fenced.is_empty() || missing.is_empty() {
        ledger.lift_fence(incarnation).await?;
        told.say("sending goes on");
    } else {
        told.say(format!("still waited for: {}", missing.join(", ")));
    }
    Ok(told)
}
