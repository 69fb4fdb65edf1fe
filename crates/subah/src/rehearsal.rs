//! A whole morning against the simulator, with time compressed.
//!
//! Everything is the real thing but the far side: intake, plan, ledger, apalis workers,
//! HTTP over loopback, signed webhooks, inbox, report. The simulator's oracle then says
//! whether anything was sent twice or lost.

pub mod demo;
pub mod made_up;
pub mod scenario;
mod script;
pub mod simulate;
mod stage;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use chrono::NaiveDate;
use config::secrets::Credentials;
use config::{CampaignConfig, Config, Store};
use daemon::Role;
use daemon::interrupt::interrupted;
use daemon::loops::{Ended, Loops, Until, follow, hindered};
use daemon::parts::{Parts, WEBHOOK_PATH};
use desk::files::Files;
use desk::{Answer, DeskError, named};
use domain::{BusinessNumber, Clock, RunId, SystemClock, Window};
use indicatif::ProgressBar;
use ledger::{Counts, Filter, Ledger, Run};
use records::Place;
use scheduler::snapshot::Snapshot;
use secrecy::SecretString;
use simulator::Simulator;
use status::Report;
use status::report::Oracle;
use status::sla::Verdict;
use tokio::net::TcpListener;

use crate::cli::{Engine, RehearsalArgs, RehearseArgs, ReportFormat};
use crate::output::{self, Bar};
use crate::private_redis::PrivateRedis;
use stage::Stage;

/// How long the far side may go on reporting after the window.
const DRAIN: Duration = Duration::from_secs(120);
/// Median time that the simulated Cloud API takes to answer.
const LATENCY: Duration = Duration::from_millis(60);

/// What a rehearsal holds: a campaign, and what its run is planned from.
pub type Rehearsed = (CampaignConfig, Snapshot);

/// Between the deadline of one run and the opening of the next.
const BETWEEN: Duration = Duration::from_secs(2);

/// The morning of the campaign that is named, or of all that have a run on that date.
pub async fn of_config(mut config: Config, args: &RehearseArgs) -> Result<Answer> {
    let date = named::date(&args.date, &config)?;
    if config.named.is_some() {
        config.campaigns = vec![named::campaign(&config)?.clone()];
    }
    let mut wanted = Vec::new();
    for at in 0..config.campaigns.len() {
        let one = &mut config.campaigns[at];
        if let Some(why) = one.daily.days.why_not(date) {
            output::hint(&format!("{}: no run, {why}", one.campaign.id));
            continue;
        }
        // A window that is twenty times shorter needs numbers that are twenty times faster: what
        // fits in earnest fits in a rehearsal.
        let real = one.daily.window.deadline - one.daily.window.opens;
        let real = real.to_std().unwrap_or_default().as_secs_f64();
        let by = (real / args.rehearsal.window.as_secs_f64()).max(1.0);
        let faster = |number: &mut BusinessNumber| {
            number.throughput = (f64::from(number.throughput) * by).ceil() as u32;
        };
        one.campaign.numbers.iter_mut().for_each(faster);
        let one = config.campaigns[at].clone();
        let taken = Files::of(&config).snapshot(&config, &one, date).await?;
        wanted.push((one, taken.snapshot));
    }
    if wanted.is_empty() {
        println!("no campaign has a run on {date}");
        return Ok(Answer::No);
    }
    for number in &mut config.numbers {
        let of =
            |one: &CampaignConfig| one.campaign.numbers.iter().find(|n| n.id == number.id).cloned();
        let fastest = config.campaigns.iter().filter_map(of).map(|n| n.throughput).max();
        number.throughput = fastest.unwrap_or(number.throughput);
    }
    rehearse(config, wanted, date, args.engine, &args.rehearsal).await
}

/// Runs them one after the other, in the order of their windows, and prints a report of each.
pub async fn rehearse(
    config: Config,
    wanted: Vec<Rehearsed>,
    date: NaiveDate,
    engine: Engine,
    args: &RehearsalArgs,
) -> Result<Answer> {
    let held = hold(config, wanted, date, engine, args, None).await?;
    let several = held.reports.len() > 1;
    for (run, report) in &held.reports {
        let name = if several { format!("report-{}", run.campaign()) } else { "report".to_owned() };
        publish(report, &held.dir, &name, args.format)?;
    }
    Ok(Answer::from_bool(held.reports.iter().all(|(_, report)| report.sla.met)))
}

/// A morning that is over.
pub struct Held {
    pub dir: PathBuf,
    pub reports: Vec<(RunId, Report)>,
}

/// Holds a morning; with a stage, what is written in its script happens meanwhile, and keepers watch.
pub async fn hold(
    mut config: Config,
    mut wanted: Vec<Rehearsed>,
    date: NaiveDate,
    engine: Engine,
    args: &RehearsalArgs,
    mut stage: Option<Stage>,
) -> Result<Held> {
    let dir = folder(args.dir.as_deref())?;
    config.state_dir = dir.join("state");
    config.records = Place::Sqlite(config.state_dir.join("records.db"));
    std::fs::create_dir_all(&config.state_dir)
        .map_err(|e| DeskError::Unavailable(format!("make {}: {e}", config.state_dir.display())))?;
    let _redis = choose_store(&mut config, engine, args).await?;

    wanted.sort_by_key(|(one, _)| one.daily.window.on(date).map(|window| window.opens));
    let longest = wanted.iter().filter_map(|(one, _)| one.daily.window.on(date));
    let longest = longest.map(|window| window.length()).max().context("nothing is rehearsed")?;
    let by = (longest.as_secs_f64() / args.window.as_secs_f64()).max(1.0);
    compress(&mut config, by);

    let secret = SecretString::from(format!("rehearsal-{}", args.seed));
    let receiver = TcpListener::bind("127.0.0.1:0").await.context("listen on loopback")?;
    let media = wanted.iter().flat_map(|(_, snapshot)| media_ids(snapshot)).collect();
    let mut options = simulated(&config, args, by, &receiver, secret.clone(), media)?;
    if let Some(stage) = &mut stage {
        stage.set(&dir, &mut options)?;
        config.waba_id = Some("102290129340398".to_owned());
    }
    let simulator = Simulator::start(options, Arc::new(SystemClock)).await?;
    config.cloud_api.base_url = simulator.base_url().parse().context("the simulator's address")?;
    let mut parts = Parts::new(&config, credentials(secret), &Role::ALL).await?;
    parts.compress(by);

    // Made for this rehearsal: there is nothing that it could have forgotten.
    ledger::store_mark::settle_new(parts.ledger.as_ref()).await?;
    let runs = plan_all(&config, &parts, &wanted, date, engine, args.window).await?;

    let parts = Arc::new(parts);
    let playing = stage.map(|stage| stage.play(&config, &parts, &runs, &simulator));
    let morning = hold_morning(&parts, &runs, receiver, &simulator).await;
    if let Some(playing) = playing {
        playing.end().await;
    }
    morning?;
    let mut reports = Vec::new();
    for run in runs {
        let mut report = report(parts.ledger.as_ref(), &run).await?;
        report.seed = Some(args.seed);
        report.oracle = Some(compare(parts.ledger.as_ref(), &run, &simulator).await?);
        reports.push((run, report));
    }
    if args.redis_url.is_some() {
        forget(&config.store).await?;
    }
    Ok(Held { dir, reports })
}

/// Plans all of them, so that each window opens after the one before is over.
async fn plan_all(
    config: &Config,
    parts: &Parts,
    wanted: &[Rehearsed],
    date: NaiveDate,
    engine: Engine,
    length: Duration,
) -> Result<Vec<RunId>> {
    let mut begin = SystemClock.now();
    for (_, snapshot) in wanted {
        begin = begin + lead(snapshot, engine);
    }
    let mut runs = Vec::new();
    for (one, snapshot) in wanted {
        let run = RunId::new(&one.campaign.id, date);
        let real = one.daily.window.on(date).context("the zone has no such date")?;
        let window = real.compressed_to(begin, length);
        begin = window.deadline + BETWEEN;
        plan(config, parts, snapshot, &run, window).await?;
        runs.push(run);
    }
    Ok(runs)
}

fn credentials(app_secret: SecretString) -> Credentials {
    Credentials {
        meta_token: SecretString::from("rehearsal"),
        app_secrets: vec![app_secret],
        verify_token: SecretString::from("rehearsal"),
        number_tokens: BTreeMap::new(),
        endpoints: Vec::new(),
    }
}

/// From the window's opening until every status of it is applied.
async fn hold_morning(
    parts: &Arc<Parts>,
    runs: &[RunId],
    receiver: TcpListener,
    simulator: &Simulator,
) -> Result<()> {
    let loops = Loops::start(parts, Some(receiver));
    let mut hindrance = None;
    let mut stopped = Box::pin(async {
        tokio::select! {
            () = interrupted() => {}
            error = hindered(parts) => hindrance = Some(error),
        }
    });
    let mut ended = Ended::Over;
    for run in runs {
        let bar = Bar::default();
        let show = |run: &Run, counts: &Counts| bar.show(run, counts);
        ended = follow(parts, run, Until::Closed, &show, &mut stopped).await;
        bar.clear();
        if ended == Ended::Interrupted {
            break;
        }
    }
    drop(stopped);
    if ended == Ended::Over {
        drain(simulator).await;
    }
    loops.stop().await; // the applier reads the inbox to its end first
    if let Some(error) = hindrance {
        return Err(error);
    }
    if ended == Ended::Interrupted {
        bail!("interrupted before the window closed");
    }
    Ok(())
}

/// The folder asked for, or a temporary one that stays: the report is in it.
fn folder(dir: Option<&Path>) -> Result<PathBuf> {
    match dir {
        Some(parent) => {
            std::fs::create_dir_all(parent)
                .map_err(|e| DeskError::Unavailable(format!("make {}: {e}", parent.display())))?;
            let dir = tempfile::Builder::new().prefix("rehearsal-").tempdir_in(parent);
            Ok(dir.with_context(|| format!("make a folder in {}", parent.display()))?.keep())
        }
        None => {
            let dir = tempfile::Builder::new().prefix("subah-").tempdir();
            Ok(dir.context("make a temporary folder")?.keep())
        }
    }
}

async fn choose_store(
    config: &mut Config,
    engine: Engine,
    args: &RehearsalArgs,
) -> Result<Option<PrivateRedis>> {
    if engine == Engine::Sqlite {
        config.store = Store::Sqlite { path: config.state_dir.join("ledger.db") };
        return Ok(None);
    }
    // Rehearsals never share keys with the real thing, nor with one another.
    let prefix = format!("subah-rehearsal-{}", SystemClock.now().micros());
    let (own, url) = match &args.redis_url {
        Some(url) => (None, url.clone()),
        None => {
            let own = PrivateRedis::start(&config.state_dir).await?;
            let url = own.url.clone();
            (Some(own), url)
        }
    };
    config.store = Store::Redis {
        url,
        prefix,
        accept_risk: args.redis_url.is_some(),
        ca_file: None,
        replicas: 0,
    };
    Ok(own)
}

/// Leaves nothing behind on a server that is someone else's.
async fn forget(store: &Store) -> Result<()> {
    if let Store::Redis { url, prefix, accept_risk, .. } = store {
        let options = ledger::redis::Options::new(url, prefix, *accept_risk);
        ledger::Redis::connect(&options).await?.forget_all().await?;
    }
    Ok(())
}

/// Spans that belong to the far side shrink with the window; those that belong to this
/// machine keep a floor.
fn compress(config: &mut Config, by: f64) {
    let shorter = |span: Duration, floor_ms: u64| {
        span.div_f64(by).max(Duration::from_millis(floor_ms)).min(span)
    };
    config.cloud_api.total_timeout = shorter(config.cloud_api.total_timeout, 1_500);
    config.sender.budget = shorter(config.sender.budget, 1_000);
    config.policy.lease = shorter(config.policy.lease, 3_000);
    let longest = config.sender.budget + config.cloud_api.total_timeout;
    config.policy.intent_timeout = longest + longest / 5;
    let total = config.cloud_api.total_timeout;
    config.sender = config.sender.clone().with_budget_below(config.policy.intent_timeout, total);
    let evidence = &mut config.policy.evidence;
    let timeout_ms = u64::try_from(config.cloud_api.total_timeout.as_millis()).unwrap_or(1_500);
    evidence.error_wait = shorter(evidence.error_wait, timeout_ms);
    evidence.lost_wait = shorter(evidence.lost_wait, timeout_ms * 3);
    config.sender.handling_timeout = config.policy.lease / 2 + config.policy.intent_timeout;
}

fn simulated(
    config: &Config,
    args: &RehearsalArgs,
    by: f64,
    receiver: &TcpListener,
    app_secret: SecretString,
    media: Vec<String>,
) -> Result<simulator::Options> {
    let webhook = format!("http://{}{}", receiver.local_addr()?, WEBHOOK_PATH);
    let mut options = simulator::Options::new(app_secret);
    options.webhook = Some(webhook.parse()?);
    options.seed = args.seed;
    options.profile = args.faults.into();
    options.compress = by;
    options.latency = LATENCY;
    options.numbers = config.numbers.iter().map(|n| (n.id.clone(), n.throughput)).collect();
    let templates = config.campaigns.iter().flat_map(|one| one.campaign.templates());
    options.templates = templates.cloned().collect();
    options.media = media;
    // Of all that are rehearsed at once the simulator knows one.
    options.category = config.campaigns[0].campaign.category.as_str().to_owned();
    options.client_timeout = config.cloud_api.total_timeout;
    Ok(options)
}

/// Ids that the content names: in earnest they were uploaded before.
fn media_ids(snapshot: &Snapshot) -> Vec<String> {
    let all = snapshot.rows.iter().filter_map(|row| snapshot.content(row).ok().flatten());
    let ids = all.filter_map(|content| match &content.media {
        Some(templates::Media::Id(id)) => Some(id.clone()),
        _ => None,
    });
    ids.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
}

/// Planning must be over when the window opens; and over Redis, a sender that nobody knew
/// waits before it sends.
fn lead(snapshot: &Snapshot, engine: Engine) -> Duration {
    Duration::from_secs(if engine == Engine::Redis { 3 } else { 1 })
        + Duration::from_micros(60) * u32::try_from(snapshot.rows.len()).unwrap_or(u32::MAX)
}

async fn plan(
    config: &Config,
    parts: &Parts,
    snapshot: &Snapshot,
    run: &RunId,
    window: Window,
) -> Result<()> {
    let bar = ProgressBar::new(snapshot.rows.len() as u64).with_message("planning");
    let progress = |n: u32| bar.set_position(u64::from(n));
    parts.plan(config, snapshot, run, window, window.deadline, &progress).await?;
    bar.finish_and_clear();
    Ok(())
}

/// Waits until every status was answered with 200, so that the report is the last word.
async fn drain(simulator: &Simulator) {
    let begun = Instant::now();
    while simulator.webhooks_pending() > 0 && begun.elapsed() < DRAIN {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn report(ledger: &dyn Ledger, run: &RunId) -> Result<Report> {
    let run = ledger.run(run).await?.context("the run is gone from the ledger")?;
    Ok(status::sla::report(ledger, &run).await?)
}

/// Holds the ledger against what the far side saw.
async fn compare(ledger: &dyn Ledger, run: &RunId, simulator: &Simulator) -> Result<Oracle> {
    let mut accepted = simulator.oracle.deliveries();
    let ours = format!("{run}#");
    accepted.retain(|delivery, _| delivery.starts_with(&ours));
    let mut lost = 0;
    let mut after = None;
    loop {
        let page = ledger.list(run, &Filter::default(), after, 5_000).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id.index);
        for delivery in &page {
            lost += u64::from(delivery.state.is_open());
            let Some(messages) = accepted.remove(&delivery.id.to_string()) else { continue };
            let known = messages.iter().all(|message| {
                let attempt = message.nonce.parse().ok().and_then(|n| delivery.facts.attempt(n));
                attempt.is_some_and(|attempt| attempt.taken_at().is_some())
            });
            lost += u64::from(!known);
        }
    }
    lost += accepted.len() as u64; // messages for deliveries that the ledger never had
    let tally = simulator.oracle.tally();
    Ok(Oracle {
        requests: tally.requests,
        accepted: tally.accepted,
        distinct_deliveries: tally.distinct_deliveries,
        duplicates: tally.duplicates,
        lost,
    })
}

fn publish(report: &Report, dir: &Path, name: &str, format: ReportFormat) -> Result<()> {
    let page = dir.join(format!("{name}.html"));
    std::fs::write(&page, output::html_page(report))
        .with_context(|| format!("write {}", page.display()))?;
    let document = dir.join(format!("{name}.json"));
    std::fs::write(&document, serde_json::to_vec_pretty(report)?)
        .with_context(|| format!("write {}", document.display()))?;
    match format {
        ReportFormat::Json => output::json(report)?,
        ReportFormat::Text => print!(
            "{}",
            output::report_text(
                report,
                &if report.sla.met { Verdict::Met } else { Verdict::Missed }
            )
        ),
    }
    output::hint(&format!("HTML report: {}", page.display()));
    Ok(())
}
