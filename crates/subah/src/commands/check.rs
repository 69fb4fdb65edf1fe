//! `check`: is everything ready for the morning?

use anyhow::Result;
use cloud_api::CloudApi;
use domain::{Clock, RunId, SystemClock};
use scheduler::Plan;
use scheduler::capacity::Capacity;

use super::plan::bad_media;
use crate::config::Config;
use crate::config::secrets::Credentials;
use crate::exit::Answer;
use crate::files::Files;
use crate::store;

/// What was looked at, and what was seen.
struct Findings(Vec<(bool, String)>);

impl Findings {
    fn note(&mut self, good: bool, text: impl Into<String>) {
        self.0.push((good, text.into()));
    }
}

pub async fn run(config: &Config, offline: bool) -> Result<Answer> {
    let mut findings = Findings(Vec::new());
    findings.note(true, format!("configuration {}", config.file.display()));
    let credentials = Credentials::load(&config.credentials);
    match &credentials {
        Ok(_) => findings.note(true, "credentials are there"),
        Err(error) => findings.note(false, error.to_string()),
    }
    let store = check_store(config, &mut findings).await;
    if let Err(error) = &store {
        findings.note(false, format!("store: {error:#}"));
    }
    check_content(config, &mut findings).await?;
    match credentials {
        Ok(credentials) if !offline => check_meta(config, credentials, &mut findings).await?,
        _ => findings.note(true, "Meta was not asked"),
    }
    for (good, text) in &findings.0 {
        println!("{} {text}", if *good { "ok     " } else { "PROBLEM" });
    }
    store?; // what is missing decides the exit code
    Ok(Answer::from_bool(findings.0.iter().all(|(good, _)| *good)))
}

async fn check_store(config: &Config, findings: &mut Findings) -> Result<()> {
    let ledger = store::open(config).await?;
    let health = ledger.health().await?;
    let facts: Vec<String> = health.facts.iter().map(|(k, v)| format!("{k} {v}")).collect();
    findings.note(true, format!("store {}: {}", health.engine, facts.join(", ")));
    for problem in health.problems {
        findings.note(false, format!("store {}: {problem}", health.engine));
    }
    let (store, here) = (ledger.now().await?, SystemClock.now());
    let apart = store.since(here).max(here.since(store));
    findings.note(
        apart.as_secs() < 5,
        format!("clocks of this host and the store are {apart:?} apart"),
    );
    Ok(())
}

/// Tomorrow's run, as it would be planned now.
async fn check_content(config: &Config, findings: &mut Findings) -> Result<()> {
    let now = SystemClock.now();
    let next = match config.daily.due(now, |_| false) {
        scheduler::daily::Due::Now { date, .. } | scheduler::daily::Due::Wait { date, .. } => date,
    };
    let Some(window) = config.daily.window.on(next) else { return Ok(()) };
    let taken = Files::of(config).snapshot(config, next).await?;
    let plan = Plan::new(&taken.snapshot, RunId::new(&config.campaign.id, next), window, now);
    let sendable = |index: &u32| plan.at(*index).call.is_ok_and(|call| bad_media(&call).is_none());
    let good = (0..plan.total()).filter(sendable).count();
    findings.note(
        good > 0,
        format!("the run of {next}: {good} of {} recipients can be sent to (`subah plan --date {next}`)", plan.total()),
    );
    let capacity = Capacity::of(&plan);
    let (have, need) = (capacity.lanes.len(), capacity.numbers_needed);
    findings.note(capacity.fits(), format!("capacity: {need} numbers needed, {have} configured"));
    Ok(())
}

async fn check_meta(
    config: &Config,
    credentials: Credentials,
    findings: &mut Findings,
) -> Result<()> {
    let api = CloudApi::new(&config.cloud_api, credentials.meta_token)?;
    for number in config.numbers() {
        match api.number(&number.id).await {
            Ok(info) => {
                let connected = info.status.is_empty() || info.status == "CONNECTED";
                findings.note(
                    connected,
                    format!(
                        "number {}: {} {}, quality {}",
                        number.id, info.verified_name, info.status, info.quality_rating
                    ),
                );
            }
            Err(error) => findings
                .note(false, format!("number {}: {:#}", number.id, anyhow::Error::from(error))),
        }
    }
    let template = &config.campaign.template;
    let Some(waba) = &config.waba_id else {
        findings.note(true, "templates were not read: cloud_api.waba_id is not set");
        return Ok(());
    };
    match api.templates(waba, &template.name).await {
        Ok(found) => {
            for language in &template.languages {
                let approved = found.iter().any(|t| {
                    t.name == template.name && t.language == *language && t.status == "APPROVED"
                });
                findings.note(
                    approved,
                    format!(
                        "template {} in {language}: {}",
                        template.name,
                        if approved { "approved" } else { "NOT APPROVED" }
                    ),
                );
            }
        }
        Err(error) => findings.note(false, format!("templates: {:#}", anyhow::Error::from(error))),
    }
    Ok(())
}
