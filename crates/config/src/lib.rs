//! The configuration file: read whole, every problem named at once.
//!
//! `deploy/config.default.toml` is the manual; a test keeps the two in step. Unknown keys
//! are refused, because a misspelt key would silently be a default.

mod campaigns;
mod drafts;
pub mod numbers;
pub mod pulls;
mod read;
pub mod secrets;
mod sending;
mod template;

pub use campaigns::CampaignConfig;
pub use drafts::Drafts;
pub use numbers::Pool;
pub use read::{BadConfig, parse_duration, parse_time};

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono_tz::Tz;
use cloud_api::Options as CloudApi;
use domain::campaign::{CampaignId, Category};
use domain::retention::Retention;
use domain::{BusinessNumber, Policy, RunId, TenantId};
use scheduler::intake::Country;
use secrecy::{ExposeSecret, SecretString};
use sender::Options as Sender;
use templates::lint::{Lint, RULES};
use templates::review::REVIEW_RULES;

use crate::campaigns::read_campaigns;
use crate::drafts::read_drafts;
use crate::numbers::{read_endpoints, read_numbers, read_pool};
use crate::pulls::read_pulls;
use crate::read::Section;
use crate::secrets::CredentialFiles;
use crate::sending::{read_cloud_api, read_sender};

/// Which ledger to use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Store {
    Sqlite {
        path: PathBuf,
    },
    Redis {
        url: String,
        prefix: String,
        accept_risk: bool,
        ca_file: Option<PathBuf>,
        replicas: u32,
    },
}

/// How many connections are served at once.
#[derive(Clone, Debug)]
pub struct Limits {
    pub connections_max: usize,
    /// From one address that is no proxy of ours.
    pub per_peer_max: usize,
    /// Their connections are many people's.
    pub trusted_proxies: Vec<IpAddr>,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { connections_max: 64, per_peer_max: 64, trusted_proxies: Vec::new() }
    }
}

/// What the public side bears.
#[derive(Clone, Debug)]
pub struct Receiving {
    pub limits: Limits,
    pub bytes_in_flight_max: usize,
}

/// How lists and content are imported.
#[derive(Clone, Copy, Debug)]
pub struct Recipients {
    /// Of numbers without a country code; `None` refuses those that two countries have.
    pub default_country: Option<Country>,
    /// Share of what is stored that an import may drop without being asked, 0 to 1.
    pub shrink_max: f64,
}

#[derive(Clone, Debug)]
pub struct Config {
    /// The file it came from; relative paths in it start at its folder.
    pub file: PathBuf,
    pub state_dir: PathBuf,
    /// Whose numbers, campaigns, people and records these are.
    pub tenant: TenantId,
    /// Names this machine among those that share the ledger.
    pub host: String,
    pub store: Store,
    /// Where people, consents and what operators did are kept.
    pub records: records::Place,
    pub cloud_api: CloudApi,
    pub waba_id: Option<String>,
    pub credentials: CredentialFiles,
    pub receiver: SocketAddr,
    pub receiving: Receiving,
    /// Webhook bodies that are kept on the disk, at most; `None`: what eight days need.
    pub inbox_bytes_max: Option<u64>,
    pub metrics: SocketAddr,
    pub sender: Sender,
    pub policy: Policy,
    pub recipients: Recipients,
    /// Rules for texts.
    pub lint: Lint,
    /// Templates before Meta has approved them, and what is done when Meta stops one.
    pub drafts: Drafts,
    pub numbers: Vec<BusinessNumber>,
    pub pool: Pool,
    /// At least one, each with an id of its own.
    pub campaigns: Vec<CampaignConfig>,
    /// Lists and content that are fetched on a clock.
    pub pulls: Vec<pulls::Pull>,
    /// The campaign that the command line names.
    pub named: Option<String>,
    pub retention: Retention,
}

/// Which campaign is meant is not clear.
#[derive(Debug, thiserror::Error)]
pub struct WhichCampaign {
    asked: Option<String>,
    known: Vec<String>,
}

impl std::fmt::Display for WhichCampaign {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let known = self.known.join(", ");
        match &self.asked {
            Some(asked) => write!(f, "there is no campaign {asked:?}; configured are {known}"),
            None => write!(f, "which campaign? --campaign with one of {known}"),
        }
    }
}

impl Config {
    /// Finds the file: the flag, `SUBAH_CONFIG`, `./subah.toml`, `/etc/subah/subah.toml`.
    pub fn find(flag: Option<&Path>) -> PathBuf {
        if let Some(path) = flag {
            return path.to_owned();
        }
        let here = PathBuf::from("subah.toml");
        if here.exists() { here } else { PathBuf::from("/etc/subah/subah.toml") }
    }

    /// Where webhooks are kept.
    pub fn inbox_dir(&self) -> PathBuf {
        self.state_dir.join("inbox")
    }

    /// Which local pictures Meta has, under which ids.
    pub fn media_cache(&self) -> PathBuf {
        self.state_dir.join("media.json")
    }

    /// Where each send is noted.
    pub fn journal_dir(&self) -> PathBuf {
        self.state_dir.join("journal")
    }

    /// # Errors
    /// Every problem of the file in one [`BadConfig`].
    pub fn load(file: &Path) -> Result<Self, BadConfig> {
        let text = std::fs::read_to_string(file).map_err(|e| BadConfig::unreadable(file, &e))?;
        Self::parse(file, &text)
    }

    pub fn parse(file: &Path, text: &str) -> Result<Self, BadConfig> {
        let table: toml::Table = text.parse().map_err(|e| BadConfig::syntax(file, &e))?;
        let mut root = Section::root(table);
        let config = Self::read(file, &mut root);
        let problems = root.finish();
        if problems.is_empty() { Ok(config) } else { Err(BadConfig::new(file, problems)) }
    }

    fn read(file: &Path, root: &mut Section) -> Self {
        let home = file.parent().map(Path::to_owned).unwrap_or_default();
        // Not from the environment: the daemon and a person's shell must mean the same place.
        let system = file.starts_with("/etc");
        let default_state = PathBuf::from(if system { "/var/lib/subah" } else { "state" });
        let state_dir = home.join(root.path("state_dir").unwrap_or(default_state));
        let host = read_host(root);
        let tenant = read_tenant(root);
        let store = read_store(&mut root.section("store"), &state_dir);
        let records = read_records(&mut root.section("records"), &home, &state_dir);
        let mut section = root.section("cloud_api");
        let cloud_api = read_cloud_api(&mut section);
        let waba_id = section.text("waba_id");
        drop(section);
        let credentials = read_credentials(&mut root.section("credentials"), &home, system);
        let mut section = root.section("receiver");
        let receiver = section.address("listen", ([127, 0, 0, 1], 8080).into());
        let inbox_mib_max = section.integer("inbox_mib_max", 0, 0..=1_000_000_000);
        let receiving = read_receiving(&mut section);
        let endpoints = read_endpoints(&mut section, &home);
        drop(section);
        let metrics = read_metrics(root, receiver);
        let (sender, policy) = read_sender(&mut root.section("sender"), &cloud_api);
        let numbers = read_numbers(root, &home);
        let credentials =
            CredentialFiles { number_tokens: numbers.tokens, endpoints, ..credentials };
        let recipients = read_recipients(&mut root.section("recipients"));
        let retention = read_retention(&mut root.section("retention"));
        let lint = read_lint(&mut root.section("lint"));
        let pool = read_pool(&mut root.section("pool"));
        let drafts = read_drafts(&mut root.section("templates"), &home);
        let campaigns = read_campaigns(root, &home, &numbers.all, &lint);
        let pulls = read_pulls(root, &home, &campaigns);
        Config {
            file: file.to_owned(),
            state_dir,
            tenant,
            host,
            store,
            records,
            cloud_api,
            waba_id,
            credentials,
            receiver,
            receiving,
            inbox_bytes_max: Some(u64::from(inbox_mib_max) * MIB).filter(|bytes| *bytes > 0),
            metrics,
            sender,
            policy,
            recipients,
            lint,
            drafts,
            pool,
            numbers: numbers.all,
            campaigns,
            pulls,
            named: None,
            retention,
        }
    }

    /// What people read times in: the zone of the first campaign.
    pub fn zone(&self) -> Tz {
        self.campaigns[0].daily.window.zone
    }

    /// The campaign that the command line names; the only one, when none is named.
    ///
    /// # Errors
    /// [`WhichCampaign`] when there is none of that name, or when there are several to choose from.
    pub fn campaign(&self) -> Result<&CampaignConfig, WhichCampaign> {
        let name = self.named.as_deref();
        let named =
            |one: &&CampaignConfig| name.is_none_or(|name| one.campaign.id.as_str() == name);
        let mut found = self.campaigns.iter().filter(named);
        match (found.next(), found.next()) {
            (Some(one), None) => Ok(one),
            _ => Err(WhichCampaign {
                asked: name.map(str::to_owned),
                known: self.campaigns.iter().map(|one| one.campaign.id.to_string()).collect(),
            }),
        }
    }

    /// The campaign that a run is of; `None`: a test message, or one that is not configured any more.
    pub fn campaign_of(&self, run: &RunId) -> Option<&CampaignConfig> {
        self.campaigns.iter().find(|one| one.campaign.id.as_str() == run.campaign())
    }

    /// Which consent the recipients of each campaign must have given.
    pub fn categories(&self) -> BTreeMap<CampaignId, Category> {
        let of = |one: &CampaignConfig| (one.campaign.id.clone(), one.campaign.category);
        self.campaigns.iter().map(of).collect()
    }

    /// From `stop_at` until undecided attempts become unknown.
    pub fn close_grace(&self) -> Duration {
        self.policy.intent_timeout + self.policy.intent_timeout / 10
    }
}

const MIB: u64 = 1024 * 1024;

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Where metrics are served.
fn read_metrics(root: &mut Section, receiver: SocketAddr) -> SocketAddr {
    let metrics = root.section("metrics").address("listen", ([127, 0, 0, 1], 9464).into());
    if metrics == receiver && metrics.port() != 0 {
        let expected = "another address than receiver.listen: that one is public";
        root.problem("metrics.listen", &metrics.to_string(), expected);
    }
    metrics
}

/// Whose the installation is.
fn read_tenant(root: &mut Section) -> TenantId {
    let Some(text) = root.text("tenant") else { return TenantId::default() };
    TenantId::try_new(text.as_str()).unwrap_or_else(|_| {
        root.problem("tenant", &text, "1 to 64 small letters, digits, - or _");
        TenantId::default()
    })
}

/// By default what the machine calls itself.
fn read_host(root: &mut Section) -> String {
    let machine = || std::fs::read_to_string("/etc/hostname").ok();
    let host = root.text("host").or_else(machine).unwrap_or_default();
    let host = host.trim();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if host.is_empty() {
        return "subah".to_owned();
    }
    if !host.chars().all(plain) {
        root.problem("host", host, "letters, digits, - _ and .");
    }
    host.to_owned()
}

fn read_store(section: &mut Section, state_dir: &Path) -> Store {
    let engine = section.one_of("engine", &["sqlite", "redis"], "sqlite");
    let path = section.path("path").unwrap_or("ledger.db".into());
    let url = section.text("redis_url").unwrap_or("redis://127.0.0.1:6379/0".to_owned());
    let prefix = section.text("redis_prefix").unwrap_or("subah".to_owned());
    let accept_risk = section.flag("accept_risk", false);
    let ca_file = section.path("redis_ca");
    let replicas = section.integer("redis_replicas", 0, 0..=10);
    match engine {
        "redis" => Store::Redis { url, prefix, accept_risk, ca_file, replicas },
        _ => Store::Sqlite { path: state_dir.join(path) },
    }
}

/// A file of this host's, or a PostgreSQL whose URL may hold a password and so a file of its own.
fn read_records(section: &mut Section, home: &Path, state_dir: &Path) -> records::Place {
    let engine = section.one_of("engine", &["sqlite", "postgresql"], "sqlite");
    let path = section.path("path").unwrap_or("records.db".into());
    let url = section.text("postgresql_url");
    let url_file = section.path("postgresql_url_file");
    if engine == "sqlite" {
        return records::Place::Sqlite(state_dir.join(path));
    }
    let expected = "one of postgresql_url and postgresql_url_file: postgres://user@host/database";
    let url: SecretString = match (url, url_file) {
        (Some(url), None) => {
            if url::Url::parse(&url).is_ok_and(|url| url.password().is_some()) {
                let instead = "no password: one stands in the file of postgresql_url_file";
                section.problem("postgresql_url", "a URL with a password", instead);
            }
            url.into()
        }
        (None, Some(file)) => match secrets::named("records", &home.join(file)) {
            Ok(url) => url,
            Err(error) => {
                section.problem("postgresql_url_file", &error.to_string(), expected);
                String::new().into()
            }
        },
        (both, _) => {
            section.problem("engine", if both.is_some() { "both" } else { "none" }, expected);
            String::new().into()
        }
    };
    let parsed = url::Url::parse(url.expose_secret());
    let is_ours = |url: url::Url| ["postgres", "postgresql"].contains(&url.scheme());
    if !url.expose_secret().is_empty() && !parsed.is_ok_and(is_ours) {
        section.problem("postgresql_url", "another URL", expected);
    }
    records::Place::Postgres(url)
}

fn read_credentials(section: &mut Section, home: &Path, system: bool) -> CredentialFiles {
    let mut file = |key| {
        let Some(path) = section.path(key) else {
            // Where the README puts them, so that commands find what the units load.
            let usual = home.join("credentials").join(key);
            return (system && usual.exists()).then_some(usual);
        };
        let text = path.to_string_lossy();
        let is_secret = text.len() > 40 && !text.contains(['/', '.']);
        if is_secret || text.starts_with("EAA") {
            section.problem(
                key,
                "what looks like the secret itself",
                "the path of a file that holds it",
            );
            return None;
        }
        Some(home.join(path))
    };
    CredentialFiles {
        meta_token: file("meta_token"),
        app_secret: file("app_secret"),
        app_secret_previous: file("app_secret_previous"),
        verify_token: file("verify_token"),
        ..CredentialFiles::default()
    }
}

fn read_receiving(section: &mut Section) -> Receiving {
    let proxies =
        section.texts("trusted_proxies").unwrap_or(vec!["127.0.0.1".into(), "::1".into()]);
    let address = |text: &String| match text.parse::<IpAddr>() {
        Ok(address) => Some(address.to_canonical()),
        Err(_) => {
            section.problem(
                "trusted_proxies",
                &format!("{text:?}"),
                "addresses such as \"127.0.0.1\"",
            );
            None
        }
    };
    let trusted_proxies = proxies.iter().filter_map(address).collect();
    let mut number = |key, default, range| section.integer(key, default, range) as usize;
    Receiving {
        limits: Limits {
            connections_max: number("connections_max", 512, 8..=50_000),
            per_peer_max: number("connections_per_peer_max", 64, 1..=50_000),
            trusted_proxies,
        },
        bytes_in_flight_max: number("in_flight_mib_max", 64, 4..=4_000) * 1024 * 1024,
    }
}

fn read_recipients(section: &mut Section) -> Recipients {
    let country = section.text("default_country").map(|text| {
        text.parse()
            .map_err(|_| section.problem("default_country", &text, "two letters such as \"IN\""))
    });
    Recipients {
        default_country: country.and_then(Result::ok),
        shrink_max: section.number("shrink_max", 0.1, 0.0..=1.0),
    }
}

fn read_lint(section: &mut Section) -> Lint {
    let allow = section.texts("allow").unwrap_or_default();
    let known = |rule: &str| RULES.contains(&rule) || REVIEW_RULES.contains(&rule);
    for rule in allow.iter().filter(|rule| !known(rule)) {
        let all = [RULES, REVIEW_RULES].concat().join(", ");
        section.problem("allow", &format!("{rule:?}"), &format!("rules: {all}"));
    }
    Lint { allow }
}

/// Days; what may still have to be merged is never let go of.
fn read_retention(section: &mut Section) -> Retention {
    let days = |n: u32| secs(u64::from(n) * 24 * 3_600);
    let default = Retention::default();
    let in_days = |span: Duration| u32::try_from(span.as_secs() / (24 * 3_600)).unwrap_or(0);
    let deliveries = section.integer("deliveries_days", in_days(default.deliveries), 9..=3_650);
    let content = section.integer("content_days", in_days(default.content), 9..=3_650);
    Retention { deliveries: days(deliveries), content: days(content) }
}

#[cfg(test)]
mod tests;
