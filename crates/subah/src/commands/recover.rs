//! `recover`: where a recovery of the store stands, and leaving a lost host out of it.

use anyhow::{Result, bail};
use config::Config;
use ledger::members::{self, Excused};
use ledger::{Change, Ledger, Note, recovery};

use super::rebuild;
use crate::cli::RecoverArgs;
use crate::exit::Answer;
use crate::owner::who;
use crate::store;

pub async fn run(config: &Config, args: &RecoverArgs) -> Result<Answer> {
    if let Some(date) = &args.rebuild {
        return rebuild::run(config, date, args.yes).await;
    }
    if !store::exists(config) {
        println!("there is no ledger yet: there is nothing to recover");
        return Ok(Answer::Yes);
    }
    let ledger = store::open(config).await?;
    let Some(incarnation) = ledger.incarnation().await? else {
        println!("the {} store forgets nothing: there is nothing to recover", ledger.engine());
        return Ok(Answer::Yes);
    };
    match &args.without {
        None => status(ledger.as_ref(), &incarnation).await,
        Some(host) => without(ledger.as_ref(), &incarnation, host, args).await,
    }
}

async fn status(ledger: &dyn Ledger, incarnation: &str) -> Result<Answer> {
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
        println!("{name}: {stand}");
    }
    for excused in &members.excused {
        println!("{}: left out at {} by {}: {}", excused.host, excused.at, excused.by, excused.why);
    }
    if fenced.is_empty() {
        println!("nothing to recover: sending is allowed");
        return Ok(Answer::Yes);
    }
    let runs: Vec<&str> = fenced.iter().map(|run| run.as_str()).collect();
    println!("the store was restarted; nothing is sent for {} meanwhile", runs.join(", "));
    Ok(Answer::No)
}

async fn without(
    ledger: &dyn Ledger,
    incarnation: &str,
    host: &str,
    args: &RecoverArgs,
) -> Result<Answer> {
    let members = members::read(ledger).await?;
    let of_host = |name: &&String| members::host(name) == host;
    let gone: Vec<&String> = members.members.keys().filter(of_host).collect();
    if gone.is_empty() {
        bail!("no member is called {host}; `subah recover` lists them");
    }
    let why = args.reason.clone().unwrap_or_default();
    if why.trim().is_empty() {
        bail!("--reason is empty: say why, for whoever asks tomorrow");
    }
    let fenced = ledger.fenced_runs().await?;
    if !args.yes {
        println!("{host} would be left out: what only its journal and inbox know is lost");
        if !args.store_intact && !fenced.is_empty() {
            println!(
                "deliveries that were due and still wait would be suspected of having been sent by it: unknown under hold, sent and flagged under evidence; --store-intact when the store lost nothing"
            );
        }
        println!("nothing was changed; --yes does it");
        return Ok(Answer::Yes);
    }
    let at = ledger.now().await?;
    tracing::warn!(host, by = who(), "host {host} is left out of recoveries");
    if !args.store_intact {
        let note = Note { at, by: who(), change: Change::Suspect, why: why.clone() };
        for run in &fenced {
            let marked = recovery::suspect(ledger, run, Some(&note)).await?;
            println!("{run}: {marked} deliveries are suspected of having been sent by {host}");
        }
    }
    let excused = Excused { host: host.to_owned(), at, by: who(), why };
    members::excuse(ledger, &excused).await?;
    println!("{host} is left out");
    let members = members::read(ledger).await?;
    let missing = members.missing(incarnation);
    if fenced.is_empty() || missing.is_empty() {
        ledger.lift_fence(incarnation).await?;
        println!("sending goes on");
    } else {
        println!("still waited for: {}", missing.join(", "));
    }
    Ok(Answer::Yes)
}
