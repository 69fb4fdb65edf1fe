//! Puts the parts together: who gets which ledger, client, key and options.

mod of_records;

use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};
use cloud_api::{CloudApi, Meta, MetaWebhooks};
use config::secrets::{CredentialFiles, Credentials};
use config::{Config, Limits, Store};
use desk::notes::Notes;
use desk::{DeskError, store};
use domain::callback::CallbackKey;
use domain::{
    BusinessNumber, Clock, NumberId, RunId, State, SystemClock, TenantId, Timestamp, Window,
};
use inbox::Inbox;
use inbox::endpoint::{Endpoint, Endpoints, SpeaksOf};
use inbox::receiver::{PATHS, Receiver, Refusals};
use inbox::{FIRST_ENDPOINT, LogError};
use ledger::{Ledger, LedgerError, Phase, Run, cell};
use provider::{Outgoing, Registry};
use rand::SeedableRng;
use rand::rngs::{StdRng, SysRng};
use scheduler::planner::{Frame, PlannedRun, Planner};
use scheduler::{PlanError, Snapshot, snapshot};
use secrecy::{ExposeSecret, SecretString};
use sender::{FileJournal, Journal, Sender};
use status::people::{Categories, OptOutDesk};
use status::store_time::StoreTime;
use status::{Applier, Merger, People, Sweeper};
use telemetry::{Fault, Metrics};
use tokio::sync::Semaphore;

use crate::Role;
use crate::supervise::Supervisor;
use crate::token::{Held, TokenKeeper};

/// Where the receiver takes Meta's own webhooks.
pub const WEBHOOK_PATH: &str = PATHS[0];

/// Everything that the loops of one process share.
pub struct Parts {
    pub ledger: Arc<dyn Ledger>,
    pub api: CloudApi,
    providers: Registry,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub supervisor: Supervisor,
    /// `None` without the role, or while another process holds the inbox or sends: that process
    /// reads the statuses.
    pub inbox: Option<Inbox>,
    /// `None` without the role, or while another process sends from here.
    pub journal: Option<Arc<FileJournal>>,
    /// Where people, consents and what operators did are kept; opened by whoever needs them.
    records: records::Place,
    /// What is done on this host, for the audit.
    notes: Notes,
    /// Whose all of it is.
    tenant: TenantId,
    host: String,
    pub progress: Arc<AtomicI64>,
    /// Of the receiver.
    pub limits: Limits,
    bytes_in_flight_max: usize,
    /// By app secret, the present one first.
    callback_keys: Vec<CallbackKey>,
    credentials: Credentials,
    credential_files: CredentialFiles,
    numbers: Vec<BusinessNumber>,
    categories: Categories,
    /// Tokens whose files may change; none, when this process has one of its own.
    tokens: Vec<Held>,
    sender: sender::Options,
    sweep_every: Duration,
}

impl Parts {
    /// Who carries a number's messages.
    pub fn provider(&self, number: &NumberId) -> Option<Arc<dyn Outgoing>> {
        self.providers.of(number).cloned()
    }

    /// The client that bears a number's token.
    pub fn api_of(&self, number: &NumberId) -> &CloudApi {
        let own = self.tokens.iter().find(|held| held.number.as_ref() == Some(number));
        own.map_or(&self.api, |held| &held.api)
    }

    pub async fn new(config: &Config, credentials: Credentials, roles: &[Role]) -> Result<Self> {
        let ledger = store::open(config).await?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let machine = FileJournal::machine_boot_or(&process_start(clock.as_ref()));
        let journal = || FileJournal::open(&config.journal_dir(), &machine);
        let sends = roles.contains(&Role::Sender);
        let journal = if_ours(sends, journal)?;
        // In this order: of two that start at once, one must get both, or neither sends.
        let listens = roles.contains(&Role::Receiver) && (journal.is_some() || !sends);
        let inbox =
            || Inbox::open(&config.inbox_dir(), config.inbox_bytes_max.unwrap_or(INBOX_BYTES));
        let inbox = if_ours(listens, inbox)?;
        let api = CloudApi::new(&config.cloud_api, credentials.meta_token.clone())
            .context("set up the Cloud API client")?;
        let tokens = tokens(&credentials, &api);
        let providers = providers(config, &tokens);
        let metrics = Arc::new(metrics_of(config));
        metrics.process.start.set(clock.now().secs_f64());
        let installation = installation(config, ledger.as_ref()).await?;
        store::claim(config, ledger.as_ref()).await?;
        let derive = |secret: &SecretString| {
            CallbackKey::derive(secret.expose_secret().as_bytes(), &installation)
        };
        // A rehearsal has a token of its own.
        let same = |found: &Credentials| {
            found.meta_token.expose_secret() == credentials.meta_token.expose_secret()
        };
        let ours = Credentials::load(&config.credentials).is_ok_and(|found| same(&found));
        Ok(Parts {
            tokens: if ours { tokens } else { Vec::new() },
            callback_keys: credentials.app_secrets.iter().map(derive).collect(),
            credential_files: config.credentials.clone(),
            credentials,
            progress: Arc::new(AtomicI64::new(clock.now().micros())),
            numbers: config.numbers.clone(),
            limits: config.receiving.limits.clone(),
            bytes_in_flight_max: config.receiving.bytes_in_flight_max,
            categories: config.categories(),
            sender: sender::Options {
                ledger_forgets: matches!(config.store, Store::Redis { .. }),
                ..config.sender.clone()
            },
            journal: journal.map(Arc::new),
            records: config.records.clone(),
            notes: Notes::of(config),
            tenant: config.tenant.clone(),
            host: config.host.clone(),
            sweep_every: Duration::from_secs(1),
            supervisor: Supervisor::new(Arc::clone(&metrics)),
            ledger,
            api,
            providers,
            clock,
            metrics,
            inbox,
        })
    }

    /// For windows that are `by` times shorter than real ones.
    pub fn compress(&mut self, by: f64) {
        self.sender = self.sender.clone().compressed(by);
        self.sweep_every = Duration::from_secs(1).div_f64(by).max(Duration::from_millis(50));
    }

    pub fn token_keeper(&self) -> Option<TokenKeeper> {
        let (files, tokens) = (self.credential_files.clone(), self.tokens.clone());
        let ledger = Arc::clone(&self.ledger);
        (!tokens.is_empty()).then_some(TokenKeeper { files, tokens, ledger })
    }

    pub fn sender(&self, journal: &Arc<FileJournal>) -> Result<Sender> {
        Ok(Sender {
            ledger: Arc::clone(&self.ledger),
            providers: self.providers.clone(),
            journal: Arc::clone(journal) as Arc<dyn Journal>,
            host: self.host.clone(),
            clock: Arc::clone(&self.clock),
            callback_key: self.callback_keys[0].clone(),
            metrics: Arc::clone(&self.metrics),
            options: self.sender.clone(),
            numbers: self.numbers.clone(),
            rng: self.rng()?,
            process_start: process_start(self.clock.as_ref()),
            progress: Arc::clone(&self.progress),
        })
    }

    /// Plans a run from a snapshot, or finishes what another planner began.
    pub async fn plan(
        &self,
        config: &Config,
        snapshot: &Snapshot,
        run: &RunId,
        window: Window,
        stop_at: Timestamp,
        progress: &(dyn Fn(u32) + Sync),
    ) -> Result<PlannedRun, PlanError> {
        // A ledger that has forgotten a run which was sent from here is not the right one.
        let begun = self.ledger.run(run).await?;
        if begun.is_none() && FileJournal::has_sent(&config.journal_dir(), run).unwrap_or(true) {
            return Err(PlanError::Forgotten(run.clone()));
        }
        // One that was restored without its journal may lack a run that was sent.
        let restored: Timestamp = cell::read(self.ledger.as_ref(), desk::backup::RESTORED).await?;
        let sealed = begun.as_ref().is_some_and(|run| run.phase != Phase::Planning);
        if !sealed && window.opens < restored {
            return Err(PlanError::Restored(run.clone()));
        }
        self.hear_the_records().await;
        let frame = frame(config, run, window, stop_at);
        let planner = self.planner(config);
        let dir = planner.snapshots();
        if let Some(run) = begun.filter(|run| run.phase == Phase::Planning) {
            self.get_snapshot(snapshot::path(&dir, &run.header.snapshot)).await;
        }
        let kept = self.share_snapshot(snapshot, &dir).await?;
        let planned = planner.plan(snapshot, &frame, self.clock.now(), progress).await?;
        self.heed_stops().await?;
        if let Some(rest) = kept {
            rest.await;
        }
        Ok(planned)
    }

    /// Plans a run that is sealed anew, from other files; see [`Planner::replan`].
    pub async fn replan(
        &self,
        config: &Config,
        snapshot: &Snapshot,
        old: &Run,
    ) -> Result<PlannedRun, PlanError> {
        let header = &old.header;
        let frame = frame(config, &header.id, header.window, header.stop_at);
        let planned = self.planner(config).replan(snapshot, &frame, self.clock.now()).await?;
        self.heed_stops().await?;
        Ok(planned)
    }

    fn planner(&self, config: &Config) -> Planner {
        self.planner_over(config, Arc::clone(&self.ledger))
    }

    /// A planner over another ledger than the configured one.
    pub fn planner_over(&self, config: &Config, ledger: Arc<dyn Ledger>) -> Planner {
        let (providers, state_dir) = (self.providers.clone(), config.state_dir.clone());
        Planner { ledger, providers, state_dir }
    }

    /// Whoever said STOP between the snapshot and the last row is in the plan still.
    async fn heed_stops(&self) -> Result<(), LedgerError> {
        let begin = self.clock.now() - PLANNED_WITHIN;
        self.opt_outs().catch_up(self.ledger.as_ref(), begin).await.map(drop)
    }

    pub fn receiver(&self, inbox: &Inbox) -> axum::Router {
        let receiver = Receiver {
            inbox: inbox.clone(),
            clock: Arc::clone(&self.clock),
            metrics: Arc::clone(&self.metrics),
            room: Arc::new(Semaphore::new(self.bytes_in_flight_max)),
            trusted_proxies: self.limits.trusted_proxies.clone(),
            refusals: Refusals::default(),
        };
        inbox::receiver::router(receiver, self.endpoints())
    }

    /// Meta's own, and those that the configuration adds.
    fn endpoints(&self) -> Vec<Endpoint> {
        let first = Endpoint {
            name: FIRST_ENDPOINT.to_owned(),
            paths: PATHS.map(str::to_owned).to_vec(),
            webhooks: Arc::new(MetaWebhooks),
            app_secrets: self.credentials.app_secrets.clone(),
            verify_token: self.credentials.verify_token.clone(),
            tenant: self.tenant.clone(),
        };
        let more = self.credential_files.endpoints.iter().zip(&self.credentials.endpoints);
        let more = more.map(|(files, secrets)| Endpoint {
            name: files.name.clone(),
            paths: vec![format!("{}/{}", PATHS[0], files.name)],
            webhooks: Arc::new(MetaWebhooks),
            app_secrets: secrets.app_secrets.clone(),
            verify_token: secrets.verify_token.clone(),
            tenant: self.tenant.clone(),
        });
        [first].into_iter().chain(more).collect()
    }

    /// Only Meta's own endpoint speaks of numbers that no other one has.
    fn believed(&self) -> Endpoints {
        let files = &self.credential_files.endpoints;
        let elsewhere = |id: &NumberId| files.iter().any(|other| other.numbers.contains(id));
        let ours = self.numbers.iter().map(|number| number.id.clone()).filter(|id| !elsewhere(id));
        let webhooks = || Arc::new(MetaWebhooks);
        let first = Endpoints::default().with(FIRST_ENDPOINT, webhooks(), SpeaksOf::TheRest, ours);
        files.iter().fold(first, |all, files| {
            let numbers = files.numbers.iter().cloned();
            all.with(&files.name, webhooks(), SpeaksOf::ItsOwn, numbers)
        })
    }

    pub fn merger(&self, inbox: &Inbox) -> Result<Merger> {
        let (applier, people) = (self.applier()?, self.people());
        Ok(Merger { applier, people, inbox: inbox.clone(), host: self.host.clone() })
    }

    pub fn applier(&self) -> Result<Applier> {
        self.applier_over(Arc::clone(&self.ledger))
    }

    /// An applier over another ledger than the configured one.
    pub fn applier_over(&self, ledger: Arc<dyn Ledger>) -> Result<Applier> {
        Ok(Applier {
            ledger,
            clock: Arc::clone(&self.clock),
            metrics: Arc::clone(&self.metrics),
            endpoints: self.believed(),
            callback_keys: self.callback_keys.clone(),
            backoff: self.sender.backoff,
            rng: Mutex::new(self.rng()?),
            numbers: self.numbers.iter().map(|number| number.id.clone()).collect(),
            matcher: Mutex::default(),
            time: StoreTime::default(),
        })
    }

    pub fn people(&self) -> People {
        self.people_over(Arc::clone(&self.ledger))
    }

    /// The same over another ledger than the configured one.
    pub fn people_over(&self, ledger: Arc<dyn Ledger>) -> People {
        People {
            ledger,
            clock: Arc::clone(&self.clock),
            metrics: Arc::clone(&self.metrics),
            endpoints: self.believed(),
            opt_outs: self.opt_outs(),
            time: StoreTime::default(),
        }
    }

    /// What is kept of STOPs on this host's disk: beside the inbox that they came through.
    pub fn opt_outs(&self) -> OptOutDesk {
        let file = self.inbox.as_ref().map(|inbox| inbox.dir().join("opted_out.ndjson"));
        OptOutDesk::new(file, self.categories.clone())
    }

    pub fn sweeper(&self) -> Sweeper {
        Sweeper {
            ledger: Arc::clone(&self.ledger),
            clock: Arc::clone(&self.clock),
            metrics: Arc::clone(&self.metrics),
            every: self.sweep_every,
        }
    }

    /// Seeded by the system: nonces of two processes must never meet.
    fn rng(&self) -> Result<StdRng> {
        StdRng::try_from_rng(&mut SysRng).context("read the system's random source")
    }
}

/// Every series that the configuration names, from the start.
fn metrics_of(config: &Config) -> Metrics {
    let metrics = Metrics::new();
    let numbers: Vec<&str> = config.numbers.iter().map(|n| n.id.as_str()).collect();
    let states: Vec<&str> = State::ALL.iter().map(|state| state.as_str()).collect();
    let campaigns: Vec<&str> =
        config.campaigns.iter().map(|one| one.campaign.id.as_str()).collect();
    metrics.configure(&campaigns, &numbers, &states);
    for template in config.campaigns.iter().flat_map(|one| one.campaign.templates()) {
        for language in &template.languages {
            metrics.standing.expect_template(&template.name, language);
        }
    }
    metrics
}

/// The general token first, then those of single numbers.
fn tokens(credentials: &Credentials, api: &CloudApi) -> Vec<Held> {
    let general = Held {
        number: None,
        token: credentials.meta_token.clone(),
        api: api.clone(),
        fault: Fault::default(),
    };
    let own = credentials.number_tokens.iter().map(|(number, token)| Held {
        number: Some(number.clone()),
        token: token.clone(),
        api: api.with_token(token.clone()),
        fault: Fault::default(),
    });
    [general].into_iter().chain(own).collect()
}

/// Who carries the messages of each number, and by which token.
fn providers(config: &Config, tokens: &[Held]) -> Registry {
    let meta = |held: &Held| -> Arc<dyn Outgoing> {
        Arc::new(Meta::new(held.api.clone(), config.media_cache()))
    };
    let general = meta(&tokens[0]);
    let of = |number: &BusinessNumber| {
        let own = tokens.iter().find(|held| held.number.as_ref() == Some(&number.id));
        (number.id.clone(), own.map_or_else(|| Arc::clone(&general), meta))
    };
    Registry::new(config.numbers.iter().map(of))
}

/// What is fixed about a run. A test message, or a run of a campaign that is not configured any
/// more, has the zone and the promise of the first campaign, and is not caught up with.
fn frame(config: &Config, run: &RunId, window: Window, stop_at: Timestamp) -> Frame {
    let own = config.campaign_of(run);
    let like = own.unwrap_or(&config.campaigns[0]);
    Frame {
        run: run.clone(),
        zone: like.daily.window.zone.name().to_owned(),
        window,
        stop_at,
        catch_up_until: own.map(|one| one.daily.latest_start(&window)),
        grace: config.close_grace(),
        policy: config.policy.clone(),
        target_ratio: like.sla_target,
    }
}

/// Quota of an inbox until its volume is known.
const INBOX_BYTES: u64 = 8 * 1024 * 1024 * 1024;

/// Longer than any plan takes to be written.
const PLANNED_WITHIN: Duration = Duration::from_secs(3_600);

/// Who we are: a random id, kept in the state folder of every host and in the store. A lost
/// folder takes it from the store, an empty store from the folder; two different ones are
/// two installations, which must not share a store.
async fn installation(config: &Config, ledger: &dyn Ledger) -> Result<String> {
    const CELL: &str = "installation";
    let path = config.state_dir.join(CELL);
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let kept = kept.trim();
    let held = ledger.read_cell(CELL).await?;
    if let Some(held) = held.as_deref().filter(|held| !kept.is_empty() && *held != kept) {
        return Err(DeskError::Unavailable(format!(
            "{} is of another installation than the store: {kept} here, {held} there; is this the right store (store.redis_url, store.redis_prefix, store.path)? To let this host join that installation remove the file",
            path.display()
        ))
        .into());
    }
    let id = match held {
        Some(held) => held,
        None => {
            let mut rng =
                StdRng::try_from_rng(&mut SysRng).context("read the system's random source")?;
            let new = format!("{:016x}", rand::RngExt::random::<u64>(&mut rng));
            let new = if kept.is_empty() { new } else { kept.to_owned() };
            // Another host may have been faster.
            ledger.swap_cell(CELL, None, &new).await?;
            ledger.read_cell(CELL).await?.unwrap_or(new)
        }
    };
    if kept.is_empty() {
        let written = std::fs::write(&path, format!("{id}\n"));
        written.with_context(|| format!("write {}", path.display()))?;
    }
    Ok(id)
}

/// Which command has the folder's journal and inbox; says something only while they are
/// locked.
const HOLDER: &str = "holder";

/// Notes that this process has the folder, for who finds it locked.
pub fn note_holder(config: &Config, command: &str) {
    let path = config.state_dir.join(HOLDER);
    if let Err(error) = std::fs::write(&path, format!("{command} {}\n", std::process::id())) {
        tracing::warn!(error = %error, "note in {} who sends from here: {error}", path.display());
    }
}

/// Whether the folder is with a foreground `run`, which ends by itself.
pub fn is_with_a_run(config: &Config) -> bool {
    let text = std::fs::read_to_string(config.state_dir.join(HOLDER)).unwrap_or_default();
    text.starts_with("run ")
}

/// Opens what the role needs; `None` while another process has it.
fn if_ours<T>(wanted: bool, open: impl FnOnce() -> Result<T, LogError>) -> Result<Option<T>> {
    if !wanted {
        return Ok(None);
    }
    match open() {
        Ok(opened) => Ok(Some(opened)),
        Err(LogError::Locked { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Names this start of a process: its id and the instant.
fn process_start(clock: &dyn Clock) -> String {
    format!("{}-{}", std::process::id(), clock.now().micros())
}
