//! The command line of runs, numbers, the ledger, recoveries, webhooks, tests and simulations.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use url::Url;

use super::{Faults, FormatArg, span};

#[derive(Subcommand)]
pub enum Runs {
    /// Every run that the ledger holds
    List {
        #[command(flatten)]
        format: FormatArg,
    },
    /// One run: today, 2026-11-21 or daily-pack@2026-11-21
    Show {
        run: String,
        #[command(flatten)]
        format: FormatArg,
    },
    /// Nothing more is begun until it is resumed; what is under way finishes
    Pause(RunAct),
    /// Goes on with a paused run
    Resume(RunAct),
    /// What is still to be sent is never sent
    Cancel(RunAct),
    /// Throw a sealed plan away and plan the date from the present files; only before its
    /// window opens
    Replan(RunAct),
    /// Write a run's facts, without texts and addresses, as gzipped NDJSON with a checksum
    Export {
        /// today, 2026-11-21 or daily-pack@2026-11-21
        run: String,
        /// Instead of `exports` in the state folder
        #[arg(long)]
        dir: Option<PathBuf>,
    },
    /// Export and purge closed runs that are older than their age; the daemon does it by itself
    Purge {
        /// Days after a run's close, instead of `retention.deliveries_days`
        #[arg(long, value_parser = clap::value_parser!(u32).range(9..=3_650))]
        older_than_days: Option<u32>,
        /// Kept in the state folder's audit file
        #[arg(long)]
        reason: String,
        /// Do it
        #[arg(long)]
        yes: bool,
    },
}

/// An act on a run. Without `--yes` it only says what would happen.
#[derive(Args)]
pub struct RunAct {
    /// today, 2026-11-21 or daily-pack@2026-11-21
    pub run: String,
    /// Kept in the state folder's audit file
    #[arg(long)]
    pub reason: String,
    /// Do it
    #[arg(long)]
    pub yes: bool,
}

#[derive(Args)]
pub struct RestoreArgs {
    pub from: PathBuf,
    /// The lost host sent nothing after the backup: you know that
    #[arg(long)]
    pub nothing_was_sent: bool,
    /// Do it; without it only what would happen is said
    #[arg(long)]
    pub yes: bool,
}

#[derive(Subcommand)]
pub enum NumbersCommand {
    /// Each number: what Meta says of it, at which share of its rate it sends, and by whose order
    List {
        #[command(flatten)]
        format: FormatArg,
    },
    /// Send nothing through a number; what waits goes through the others
    Pause {
        number: String,
        /// Why, for those who read it later
        #[arg(long)]
        reason: String,
        /// For how long: 30m, 2h [default: until it is resumed]
        #[arg(long = "for", value_parser = span, value_name = "SPAN")]
        span: Option<Duration>,
    },
    /// Take a person's pause back; what Meta's rating asks for stays
    Resume {
        number: String,
        /// Why, for those who read it later
        #[arg(long)]
        reason: String,
    },
    /// Try what is stopped again at once: numbers, translations, the account
    Probe,
}

/// What somebody said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SaidArg {
    Given,
    Withdrawn,
}

#[derive(Subcommand)]
pub enum ConsentsCommand {
    /// Keep what somebody said; whoever took a consent back gets nothing more, from this second on
    Record {
        /// Recipient id of the list, or a phone number
        who: String,
        #[arg(value_enum)]
        said: SaidArg,
        /// utility, marketing or both
        #[arg(long, value_delimiter = ',', default_value = "utility,marketing")]
        category: Vec<String>,
        /// How it came, one word: form, call, letter
        #[arg(long)]
        source: String,
        /// What shows it: a form's or ticket's number; with the source it names the saying
        #[arg(long)]
        proof: String,
        /// When it was said, as 2026-11-21T18:00:00+05:30 [default: now]
        #[arg(long)]
        at: Option<String>,
        /// Do it; without it only what would be done is said
        #[arg(long)]
        yes: bool,
    },
    /// Keep many: CSV with phone, category, said, source, proof and at
    Import {
        file: PathBuf,
        /// Do it; without it only what would be done is said
        #[arg(long)]
        yes: bool,
    },
    /// Everything that somebody said
    Show {
        /// Recipient id of the list, or a phone number
        who: String,
        #[command(flatten)]
        format: FormatArg,
    },
}

#[derive(Subcommand)]
pub enum AuditCommand {
    /// Entries, the latest last
    List {
        /// At most so many, the latest
        #[arg(long, default_value_t = 50)]
        limit: u32,
        #[command(flatten)]
        format: FormatArg,
    },
    /// Read every entry, and say which one is missing or was changed
    Verify,
}

#[derive(Subcommand)]
pub enum TemplatesCommand {
    /// Each translation of the campaign's template: its status at Meta, and what goes in its place
    List {
        #[command(flatten)]
        format: FormatArg,
    },
    /// Send another approved version in place of the campaign's template, from the next message
    /// on; also in the middle of a run
    Substitute {
        /// The version that is to go: its calls must take the same parameters
        live: String,
        /// Only these translations [default: all of the campaign]
        #[arg(long, value_delimiter = ',')]
        language: Vec<String>,
        /// Why, for those who read it later
        #[arg(long)]
        reason: String,
        /// Do it; without it only what would be done is said
        #[arg(long)]
        yes: bool,
    },
    /// Send the campaign's template itself again
    Restore {
        /// Only these translations [default: all that have a substitute]
        #[arg(long, value_delimiter = ',')]
        language: Vec<String>,
    },
    /// What Meta would refuse in drafts, what they would be charged as, what SEBI's code says
    ///
    /// Drafts are files FAMILY/vN/LANGUAGE.toml, or Meta's creation bodies as .json.
    /// `subah formats` shows one.
    Lint {
        /// Files and folders [default: the folder `templates` beside the configuration]
        paths: Vec<PathBuf>,
        #[command(flatten)]
        format: FormatArg,
    },
    /// Drafts as a phone shows them, with their samples
    Preview {
        /// Files and folders [default: the folder `templates` beside the configuration]
        paths: Vec<PathBuf>,
    },
    /// Hand drafts in to Meta for approval; one that Meta has already is left alone
    Submit {
        #[arg(required = true)]
        paths: Vec<PathBuf>,
        /// Do it; without it only what would be done is said
        #[arg(long)]
        yes: bool,
    },
    /// Drafts beside what Meta has under their names
    Compare {
        /// Files and folders [default: the folder `templates` beside the configuration]
        paths: Vec<PathBuf>,
        #[command(flatten)]
        format: FormatArg,
    },
    /// Every template of the account: status, category, quality, what that means, what to do
    Doctor {
        /// Only this name or family [default: all]
        name: Option<String>,
        #[command(flatten)]
        format: FormatArg,
    },
    /// Write what Meta has as files
    Pull {
        /// Where to [default: the folder `templates` beside the configuration]
        #[arg(long)]
        dir: Option<PathBuf>,
        /// Only this name or family [default: all]
        name: Option<String>,
        /// Also put Meta's text in place of a file that differs
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Subcommand)]
pub enum LedgerCommand {
    /// Read every run, delivery, message and body, and recount; exit 1 names what is damaged
    Verify,
    /// Give damaged deliveries what this host's journal and inbox know of them
    Repair {
        /// Do it; without it only what is damaged is said
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Args)]
pub struct RecoverArgs {
    /// A host that will not come back: go on without its journal and inbox
    #[arg(long, value_name = "HOST", requires = "reason")]
    pub without: Option<String>,
    /// Kept with the decision
    #[arg(long)]
    pub reason: Option<String>,
    /// The store itself lost nothing (same disk, appendfsync always), so no delivery is
    /// suspected of having been sent by the lost host without the store's knowledge
    #[arg(long, requires = "without")]
    pub store_intact: bool,
    /// Make the run of a date again that the ledger has lost, from what this host's disk keeps
    #[arg(long, value_name = "DATE", conflicts_with = "without")]
    pub rebuild: Option<String>,
    /// Do it; without it only what would happen is said
    #[arg(long)]
    pub yes: bool,
}

#[derive(Subcommand)]
pub enum Webhooks {
    /// Say in words what webhook bodies hold, one line a file; no signature is needed
    Read {
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// List bodies that could not be read, and why
    Poison {
        /// Merge those that can be read by now, and remove them
        #[arg(long)]
        replay: bool,
    },
    /// Merge all bodies that are kept (8 days) into the ledger once more; repeats do no harm
    Replay {
        /// Only those received since this civil date
        #[arg(long, value_name = "DATE")]
        since: Option<String>,
    },
}

#[derive(Args)]
pub struct SendTestArgs {
    /// Who gets it: a recipient of the list, by id or phone number
    #[arg(long, value_name = "ID|PHONE")]
    pub to: String,
    /// Whose content: today, tomorrow or 2026-11-21
    #[arg(long, default_value = "today")]
    pub date: String,
    /// Send it; without it only what would be sent is shown
    #[arg(long)]
    pub yes: bool,
}

#[derive(Args)]
pub struct SimulateArgs {
    /// Loopback address to serve
    #[arg(long, default_value = "127.0.0.1:9099")]
    pub listen: SocketAddr,
    /// Where to send status webhooks, on loopback
    #[arg(long, value_name = "URL")]
    pub webhook: Option<Url>,
    /// File with the app secret that signs them
    #[arg(long, value_name = "FILE")]
    pub app_secret_file: Option<PathBuf>,
    /// File with the one access token that is taken, read at each request [default: any]
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    #[arg(long, value_enum, default_value_t = Faults::None)]
    pub faults: Faults,
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
    /// Translations that templates have, e.g. en,hi; others are refused [default: all]
    #[arg(long, value_delimiter = ',')]
    pub languages: Vec<String>,
    /// File with a JSON list of the account's templates, read at each request, such as
    /// [{"status": "PAUSED", "template": {"name": "daily_pack", "languages": ["en"],
    /// "body_parameters": ["first_name"]}}] [default: every name is approved]
    #[arg(long, value_name = "FILE")]
    pub templates: Option<PathBuf>,
    /// File with a JSON object, read at each request: by number, what Graph says of it, such as
    /// {"1001": {"status": "BANNED", "quality_rating": "RED"}}
    #[arg(long, value_name = "FILE")]
    pub numbers: Option<PathBuf>,
    /// Messages a second that each number takes
    #[arg(long, default_value_t = 80)]
    pub throughput: u32,
    /// Median time to answer a send
    #[arg(long, default_value = "60ms", value_parser = span)]
    pub latency: Duration,
    /// Divide the far side's spans (webhook delays, pair period) by this
    #[arg(long, default_value_t = 1.0)]
    pub compress: f64,
}
