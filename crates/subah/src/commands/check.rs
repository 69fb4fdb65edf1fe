//! `check`: is everything ready for the morning?

use anyhow::Result;
use cloud_api::CloudApi;
use cloud_api::account::NumberInfo;
use config::secrets::Credentials;
use config::{CampaignConfig, Config};
use domain::{BusinessNumber, Clock, RunId, SystemClock, Timestamp};
use ledger::api::for_each;
use ledger::{DeliveryView, Filter, Ledger};
use records::{Place, Records};
use scheduler::daily::Due;
use templates::TemplateDefinition;

use crate::exit::Answer;
use crate::files::{self, Files};
use crate::foresight::{self, Foreseen, nobodys, strange};
use crate::store;
use crate::terminal;

/// How one thing was found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    Good,
    Bad,
    /// Nobody looked: that is never *ok*.
    NotChecked,
}

/// What was looked at, and what was seen.
struct Findings(Vec<(Found, String)>);

impl Findings {
    fn note(&mut self, good: bool, text: impl Into<String>) {
        self.0.push((if good { Found::Good } else { Found::Bad }, text.into()));
    }

    fn not_checked(&mut self, text: impl Into<String>) {
        self.0.push((Found::NotChecked, text.into()));
    }
}

pub async fn run(config: &Config, offline: bool, date: Option<&str>) -> Result<Answer> {
    let mut findings = Findings(Vec::new());
    findings.note(true, format!("configuration {}", config.file.display()));
    let credentials = Credentials::load(&config.credentials);
    match &credentials {
        Ok(_) => findings.note(true, "credentials are there"),
        Err(error) => findings.note(false, error.to_string()),
    }
    let store = check_store(config, &mut findings).await;
    check_records(config, &mut findings).await;
    if let Err(error) = &store {
        findings.note(false, format!("store: {error:#}"));
    }
    check_campaigns(config, date, &mut findings).await?;
    match credentials {
        Ok(credentials) if !offline => check_meta(config, credentials, &mut findings).await?,
        _ => findings.not_checked("Meta was not asked: numbers, templates, subscription, token"),
    }
    for (found, text) in &findings.0 {
        let word = match found {
            Found::Good => "ok     ",
            Found::Bad => "PROBLEM",
            Found::NotChecked => "not checked",
        };
        println!("{word} {}", terminal::shown(text));
    }
    store?; // what is missing decides the exit code
    Ok(Answer::from_bool(findings.0.iter().all(|(found, _)| *found != Found::Bad)))
}

/// A morning does without them, consents by hand do not.
async fn check_records(config: &Config, findings: &mut Findings) {
    if matches!(&config.records, Place::Sqlite(path) if !path.exists()) {
        return findings.not_checked("records: there are none yet, the first start makes them");
    }
    match Records::open(&config.records).await {
        Ok(records) => {
            findings.note(true, format!("records {}: there, schema up to date", records.engine()));
            records.close().await;
        }
        Err(error) => findings.note(false, format!("records: {:#}", anyhow::Error::from(error))),
    }
}

/// Every delivery of the runs that are not over.
async fn check_rows(ledger: &dyn Ledger, findings: &mut Findings) -> Result<()> {
    let (mut read, mut damaged) = (0, 0);
    for run in ledger.active_runs().await? {
        let look = |delivery: &DeliveryView| {
            read += 1;
            damaged += usize::from(delivery.damage.is_some());
        };
        for_each(ledger, &run.header.id, &Filter::default(), look).await?;
    }
    findings.note(
        damaged == 0,
        match damaged {
            0 => format!("store: {read} deliveries of open runs can be read"),
            n => format!("store: {n} deliveries cannot be read: `subah ledger verify` names them"),
        },
    );
    Ok(())
}

async fn check_store(config: &Config, findings: &mut Findings) -> Result<()> {
    if !store::exists(config) {
        findings.not_checked("store: there is no ledger yet, the first plan makes it");
        return Ok(()); // looking makes none
    }
    let ledger = store::open(config).await?;
    let health = ledger.health().await?;
    let facts: Vec<String> = health.facts.iter().map(|(k, v)| format!("{k} {v}")).collect();
    findings.note(true, format!("store {}: {}", health.engine, facts.join(", ")));
    for problem in health.problems {
        findings.note(false, format!("store {}: {problem}", health.engine));
    }
    check_rows(ledger.as_ref(), findings).await?;
    for run in nobodys(config, ledger.as_ref()).await? {
        findings.note(false, strange(&run));
    }
    let (store, here) = (ledger.now().await?, SystemClock.now());
    let apart = store.since(here).max(here.since(store));
    findings.note(
        apart.as_secs() < 5,
        format!("clocks of this host and the store are {apart:?} apart"),
    );
    Ok(())
}

/// The next run of each campaign, as it would be planned now.
async fn check_campaigns(
    config: &Config,
    date: Option<&str>,
    findings: &mut Findings,
) -> Result<()> {
    let named = |one: &&CampaignConfig| {
        config.named.as_deref().is_none_or(|name| name == one.campaign.id.as_str())
    };
    for one in config.campaigns.iter().filter(named) {
        check_content(config, one, date, findings).await?;
    }
    Ok(())
}

async fn check_content(
    config: &Config,
    one: &CampaignConfig,
    date: Option<&str>,
    findings: &mut Findings,
) -> Result<()> {
    let now = SystemClock.now();
    let id = &one.campaign.id;
    let due = match one.daily.due(now, |_| false) {
        Due::Now { date, .. } | Due::Wait { date, .. } => Some(date),
        Due::Over => None,
    };
    check_days(one, now, findings);
    let asked = date.map(|date| files::date(date, config)).transpose()?;
    let Some(next) = asked.or(due) else {
        findings.not_checked(format!("{id} has no further date"));
        return Ok(());
    };
    if let Some(why) = one.daily.days.why_not(next) {
        findings.note(true, format!("{id} has no run on {next}: {why}"));
        return Ok(());
    }
    let Some(found) = foresight::look(config, one, next, now).await? else { return Ok(()) };
    let run = RunId::new(id, next);
    for list in Files::of(config).lists_never_imported(one) {
        let words = format!("the run {run}: the list {list} of its audience was never imported");
        findings.note(false, format!("{words} (`subah recipients import FILE --list {list}`)"));
    }
    let Foreseen { wanted, sendable, numbers_needed, numbers, .. } = found;
    findings.note(
        found.is_enough(one.sla_target),
        format!(
            "the run {run}: {sendable} of {wanted} recipients who agreed can be sent to, {:.1} % are promised (`subah plan --campaign {id} --date {next}` says who not and why)",
            one.sla_target * 100.0
        ),
    );
    let capacity = format!("the run {run}: {numbers_needed} numbers needed, {numbers} configured");
    findings.note(found.fits, capacity);
    Ok(())
}

/// What is left out tomorrow is said today; and a file of holidays that ends is said in time.
fn check_days(one: &CampaignConfig, now: Timestamp, findings: &mut Findings) {
    let (id, today) = (&one.campaign.id, one.daily.window.date_at(now));
    let tomorrow = today.succ_opt().filter(|_| one.daily.days.only.is_none());
    if let Some(why) = tomorrow.and_then(|date| one.daily.days.why_not(date)) {
        findings.note(true, format!("{id} has no run tomorrow: {why}"));
    }
    if let Some(until) = one.holidays_until {
        let known = until >= today;
        findings.note(known, format!("{id}: the last holiday that holidays_file knows is {until}"));
    }
}

async fn check_meta(
    config: &Config,
    credentials: Credentials,
    findings: &mut Findings,
) -> Result<()> {
    let api = CloudApi::new(&config.cloud_api, credentials.meta_token)?;
    for number in &config.numbers {
        let own = credentials.number_tokens.get(&number.id);
        let api = own.map_or_else(|| api.clone(), |token| api.with_token(token.clone()));
        check_number(&api, number, findings).await;
    }
    let Some(waba) = &config.waba_id else {
        findings.not_checked("templates and subscription: cloud_api.waba_id is not set");
        findings.not_checked("token expiry: Meta tells it to the app's owner only");
        return Ok(());
    };
    match api.subscribed_apps(waba).await {
        Ok(0) => findings
            .note(false, format!("account {waba}: no app is subscribed, so no status will come")),
        Ok(n) => {
            findings.note(true, format!("account {waba}: {n} apps are subscribed to its webhooks"))
        }
        Err(error) => {
            findings.not_checked(format!("subscription: {:#}", anyhow::Error::from(error)))
        }
    }
    findings.not_checked("token expiry: Meta tells it to the app's owner only");
    for one in &config.campaigns {
        for template in one.campaign.templates() {
            check_template(&api, waba, template, findings).await;
        }
    }
    Ok(())
}

async fn check_template(
    api: &CloudApi,
    waba: &str,
    template: &TemplateDefinition,
    findings: &mut Findings,
) {
    let name = &template.name;
    let found = match api.templates(waba, name).await {
        Ok(found) => found,
        Err(error) => {
            return findings
                .note(false, format!("template {name}: {:#}", anyhow::Error::from(error)));
        }
    };
    for language in &template.languages {
        let approved = found
            .iter()
            .any(|t| *name == *t.name && *language == *t.language && t.status == "APPROVED");
        let word = if approved { "approved" } else { "NOT APPROVED" };
        findings.note(approved, format!("template {name} in {language}: {word}"));
    }
}

/// Asks with the token that the number is sent from with.
async fn check_number(api: &CloudApi, number: &BusinessNumber, findings: &mut Findings) {
    let id = &number.id;
    match api.number(id).await {
        Ok(info) => {
            let connected = info.status.is_empty() || info.status == "CONNECTED";
            let NumberInfo { verified_name, status, quality_rating, .. } = &info;
            let said = format!("number {id}: {verified_name} {status}, quality {quality_rating}");
            findings.note(connected, said);
            check_limits(number, &info, findings);
        }
        Err(error) => {
            findings.note(false, format!("number {id}: {:#}", anyhow::Error::from(error)));
        }
    }
}

/// What a number may do, against what it is meant to do.
fn check_limits(number: &BusinessNumber, info: &NumberInfo, findings: &mut Findings) {
    let id = &number.id;
    match info.throughput.level.as_str() {
        "" => findings.not_checked(format!("number {id}: throughput level")),
        "HIGH" => findings.note(true, format!("number {id}: throughput HIGH, up to 1,000/s")),
        level => findings.note(
            number.throughput <= 80,
            format!(
                "number {id}: throughput {level}, up to 80/s, {}/s configured",
                number.throughput
            ),
        ),
    }
    match info.health_status.can_send_message.as_str() {
        "" => findings.not_checked(format!("number {id}: health status")),
        health => findings.note(health == "AVAILABLE", format!("number {id}: may send: {health}")),
    }
    match info.messaging_limit_tier.as_str() {
        "" => findings.not_checked(format!("number {id}: messaging limit")),
        tier => findings.note(true, format!("number {id}: messaging limit {tier}")),
    }
}
