//! The command line.

mod accounts;
mod acts;
mod deliveries;

pub use accounts::{KeysCommand, OperatorsCommand};
pub use acts::{
    AuditCommand, ConsentsCommand, LedgerCommand, NumbersCommand, RecoverArgs, RestoreArgs, RunAct,
    Runs, SaidArg, SendTestArgs, SimulateArgs, TemplatesCommand, Webhooks,
};
pub use deliveries::{ActArgs, Deliveries, Resolved, Which};

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use desk::recipients::Country;
use domain::ListName;

/// Gets every recipient's WhatsApp message out at 06:00 and proves it by 06:05.
///
/// Start with `subah demo`: it needs nothing. Then `subah init DIR`.
#[derive(Parser)]
#[command(version, propagate_version = true, max_term_width = 100)]
#[command(after_help = "Exit codes: 0 fine, 1 the answer is no, 2 wrong use, \
    64 bad configuration, 69 a dependency is missing, 130 Ctrl-C.\nLogs go to standard error; \
    SUBAH_LOG=debug shows each delivery.")]
pub struct Cli {
    /// Configuration file [default: ./subah.toml, else /etc/subah/subah.toml]
    #[arg(long, short, global = true, env = "SUBAH_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Which campaign is meant, where several are configured
    #[arg(long, global = true, env = "SUBAH_CAMPAIGN", value_name = "ID")]
    pub campaign: Option<String>,
    /// No log and no hints on standard error: only answers, and errors that end the command
    #[arg(long, short, global = true)]
    pub quiet: bool,
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// What is logged when nobody asked: the daemon talks, short commands do not.
    pub fn log_default(&self) -> &'static str {
        match self.command {
            _ if self.quiet => "off",
            Command::Serve { .. } | Command::Run(_) | Command::Simulate(_) => "info",
            _ => "error",
        }
    }
}

impl Cli {
    /// Whether it works on the files of an installation.
    pub fn needs_installation(&self) -> bool {
        use Command::{Completions, Demo, Formats, Init, Man, Simulate};
        let read = matches!(
            self.command,
            Command::Webhooks(Webhooks::Read { .. })
                | Command::Rehearse(RehearseArgs { scenario: Some(_), .. })
                | Command::Templates(
                    TemplatesCommand::Lint { .. } | TemplatesCommand::Preview { .. }
                )
        );
        let apart = matches!(
            self.command,
            Demo(_) | Init { .. } | Simulate(_) | Formats | Completions { .. } | Man { .. }
        );
        !read && !apart
    }

    /// The file that is read once, from wherever a person has it.
    pub fn input(&self) -> Option<&Path> {
        match &self.command {
            Command::Recipients(Recipients::Import { args, .. })
            | Command::Content(Content::Import { args, .. }) => Some(&args.file),
            _ => None,
        }
    }
}

#[derive(Subcommand)]
pub enum Command {
    /// Show a whole morning in half a minute, with recipients, content and Cloud API made up
    Demo(DemoArgs),
    /// Your own configuration, recipients and content against the simulator
    Rehearse(RehearseArgs),
    /// Make a folder with a commented configuration and sample files
    Init {
        /// Made if missing; existing files are left alone
        dir: PathBuf,
    },
    /// Is everything ready for the morning? Configuration, files, credentials, store, Meta
    Check(CheckArgs),
    /// The recipient list
    #[command(subcommand)]
    Recipients(Recipients),
    /// The day's content
    #[command(subcommand)]
    Content(Content),
    /// Fetch lists and content now, as `[[pulls]]` says; all sources, or those that are named
    Pull {
        names: Vec<String>,
        /// Also when many rows go
        #[arg(long)]
        yes: bool,
    },
    /// What files of recipients and content may look like
    Formats,
    /// What a run would be: counts, minutes, capacity, who is left out. Changes nothing
    Plan(PlanArgs),
    /// Plan and send one date's run in the foreground
    Run(RunArgs),
    /// Daily loop, senders, receiver and metrics in one process, or some of them
    Serve {
        /// What this process does; several hosts over one Redis may share the roles
        #[arg(
            long,
            value_enum,
            value_delimiter = ',',
            default_value = "scheduler,sender,receiver"
        )]
        role: Vec<Role>,
        /// The configuration of a further tenant, served beside the first; may be given again
        #[arg(long, value_name = "FILE")]
        also: Vec<PathBuf>,
    },
    /// Where today's run stands
    Status {
        /// Civil date: today, yesterday or 2026-11-21
        #[arg(long, default_value = "today")]
        date: String,
        #[command(flatten)]
        format: FormatArg,
        /// Show it again every two seconds until the run is over
        #[arg(long)]
        watch: bool,
    },
    /// All runs: look, pause, resume, cancel, plan anew
    #[command(subcommand)]
    Runs(Runs),
    /// The report of a run
    Report {
        /// Civil date: today, yesterday or 2026-11-21
        #[arg(long, default_value = "today")]
        date: String,
        #[command(flatten)]
        format: FormatArg,
        /// Also write an HTML page
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
    },
    /// Single deliveries
    #[command(subcommand)]
    Deliveries(Deliveries),
    /// What people agreed to, and took back
    #[command(subcommand)]
    Consents(ConsentsCommand),
    /// What operators did, entry by entry
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Who may do what
    #[command(subcommand)]
    Operators(OperatorsCommand),
    /// Keys of programs that act through the API
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Webhook bodies
    #[command(subcommand)]
    Webhooks(Webhooks),
    /// After a Redis was restarted or replaced: who has merged, and who is waited for
    Recover(RecoverArgs),
    /// Copy all that this host keeps into a new folder, while it runs
    Backup { to: PathBuf },
    /// Put a backup into an empty state folder, or its ledger beside the host's own journal
    Restore(RestoreArgs),
    /// Act on business numbers
    #[command(subcommand)]
    Numbers(NumbersCommand),
    /// The campaign's template: its translations, and what goes in its place
    #[command(subcommand)]
    Templates(TemplatesCommand),
    /// Look for what is damaged in the ledger, and repair what this host's disk knows
    #[command(subcommand)]
    Ledger(LedgerCommand),
    /// Run the simulated Cloud API alone, for any WhatsApp client
    Simulate(SimulateArgs),
    /// Send one recipient's real message of a date now, as a run of its own
    SendTest(SendTestArgs),
    /// Print a completion script: subah completions bash > /etc/bash_completion.d/subah
    Completions { shell: clap_complete::Shell },
    /// Write manual pages into a folder: subah man /usr/local/share/man/man1
    Man { dir: PathBuf },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Plans each day's run
    Scheduler,
    /// Sends what is due
    Sender,
    /// Takes webhooks and merges them
    Receiver,
}

impl From<Role> for daemon::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::Scheduler => daemon::Role::Scheduler,
            Role::Sender => daemon::Role::Sender,
            Role::Receiver => daemon::Role::Receiver,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    #[default]
    Table,
    Json,
    Csv,
}

#[derive(Args)]
pub struct CheckArgs {
    /// Do not ask Meta
    #[arg(long)]
    pub offline: bool,
    /// Whose run is looked at: today, tomorrow or 2026-11-21 [default: the next one]
    #[arg(long)]
    pub date: Option<String>,
    /// Go, degraded or no-go: exit 1 only when nothing can be sent rightly
    #[arg(long)]
    pub run: bool,
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

#[derive(Args)]
pub struct FormatArg {
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    #[default]
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    #[default]
    Sqlite,
    Redis,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Faults {
    /// Nothing goes wrong
    None,
    /// A realistic day
    #[default]
    Morning,
    /// Far worse than life
    Hostile,
}

impl From<Faults> for simulator::Profile {
    fn from(faults: Faults) -> Self {
        match faults {
            Faults::None => simulator::Profile::None,
            Faults::Morning => simulator::Profile::Morning,
            Faults::Hostile => simulator::Profile::Hostile,
        }
    }
}

/// A span such as 20s, 5m or 500ms.
pub fn span(text: &str) -> Result<Duration, String> {
    config::parse_duration(text)
        .ok_or_else(|| "expected a span above zero such as 20s or 5m".to_owned())
}

/// How a rehearsal runs.
#[derive(Args)]
pub struct RehearsalArgs {
    /// The window's length, opening to deadline; the real one is compressed to it
    #[arg(long, default_value = "20s", value_parser = span, value_name = "SPAN")]
    pub window: Duration,
    /// Everything random follows from it
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
    #[arg(long, value_enum, default_value_t)]
    pub faults: Faults,
    #[arg(long, value_enum, default_value_t)]
    pub format: ReportFormat,
    /// Redis to use with --engine redis [default: one of its own, started from PATH]
    #[arg(long, value_name = "URL")]
    pub redis_url: Option<String>,
    /// Keep ledger, inbox and report here [default: a temporary folder]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

#[derive(Args)]
pub struct DemoArgs {
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=2_000_000))]
    pub recipients: u32,
    #[arg(long, value_enum, default_value_t)]
    pub engine: Engine,
    #[command(flatten)]
    pub rehearsal: RehearsalArgs,
}

#[derive(Args)]
pub struct RehearseArgs {
    /// Ledger to rehearse with [default: sqlite]
    #[arg(long, value_enum, default_value_t)]
    pub engine: Engine,
    /// Whose content to use: today, tomorrow or 2026-11-21
    #[arg(long, default_value = "today")]
    pub date: String,
    /// A morning in which something happens, with people and content made up, and what must have
    /// come of it: a name, a file (.toml), or `list`
    #[arg(long, value_name = "NAME")]
    pub scenario: Option<String>,
    #[command(flatten)]
    pub rehearsal: RehearsalArgs,
}

/// How a stored file is replaced.
#[derive(Args)]
pub struct ImportArgs {
    /// CSV, NDJSON (content) or a spreadsheet; - reads standard input
    pub file: PathBuf,
    /// Refuse the whole file when one row is bad
    #[arg(long)]
    pub strict: bool,
    /// Say what would change, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Also when the file is empty, or a good part of what is stored would go
    #[arg(long)]
    pub yes: bool,
    /// Sheet of a spreadsheet [default: the only one that is not empty]
    #[arg(long, value_name = "NAME")]
    pub sheet: Option<String>,
}

#[derive(Args)]
pub struct ListArg {
    /// Which list of recipients; a campaign's audience names its lists
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub list: ListName,
}

#[derive(Subcommand)]
pub enum Recipients {
    /// Replace the list by a CSV or XLSX file; refused rows are listed beside it and keep
    /// what is stored (`subah formats` says what a file may look like)
    Import {
        #[command(flatten)]
        args: ImportArgs,
        /// Country of numbers without a country code, e.g. IN [default: as configured]
        #[arg(long, value_name = "CC")]
        default_country: Option<Country>,
        #[command(flatten)]
        list: ListArg,
    },
    /// Bring back the list before the last import
    Undo {
        #[command(flatten)]
        list: ListArg,
    },
    /// The latest imports: when, by whom, and what each changed
    History {
        #[command(flatten)]
        list: ListArg,
        #[command(flatten)]
        format: FormatArg,
    },
    /// One recipient: what the list says, and what was sent to them on the last days
    Show {
        /// Recipient id or phone number
        recipient: String,
        /// How many of the latest runs are looked at
        #[arg(long, default_value_t = 30)]
        runs: usize,
        /// Show number and name in full
        #[arg(long)]
        reveal: bool,
    },
    /// Show the list; phone numbers are masked
    List {
        #[command(flatten)]
        list: ListArg,
        #[command(flatten)]
        format: FormatArg,
        /// Show numbers and names in full
        #[arg(long)]
        reveal: bool,
    },
}

#[derive(Subcommand)]
pub enum Content {
    /// Replace a date's content by an NDJSON, CSV or XLSX file
    Import {
        #[command(flatten)]
        args: ImportArgs,
        /// today, tomorrow or 2026-11-21
        #[arg(long, default_value = "today")]
        date: String,
    },
    /// Bring back a date's content before its last import
    Undo {
        #[arg(long, default_value = "today")]
        date: String,
    },
    /// Show a date's content: who has some, and whether it is approved
    List {
        #[arg(long, default_value = "today")]
        date: String,
        #[command(flatten)]
        format: FormatArg,
    },
    /// The very body that one recipient's message would be posted with
    Preview {
        recipient_id: String,
        #[arg(long, default_value = "today")]
        date: String,
        /// Show the phone number in full
        #[arg(long)]
        reveal: bool,
    },
}

#[derive(Args)]
pub struct PlanArgs {
    /// today, tomorrow or 2026-11-21
    #[arg(long, default_value = "today")]
    pub date: String,
    #[command(flatten)]
    pub format: FormatArg,
}

#[derive(Args)]
pub struct RunArgs {
    /// today or 2026-11-21
    #[arg(long, default_value = "today")]
    pub date: String,
    /// Do nothing, and say so with exit code 0, when a sender that is alive has the run, or
    /// nothing is left to send
    #[arg(long)]
    pub if_not_started: bool,
    /// Pause the date's run instead, and wait until what is under way is answered
    #[arg(long, conflicts_with_all = ["if_not_started", "not_after"])]
    pub stop: bool,
    /// Refuse to begin after this local time; a run that is planned now stops then too
    #[arg(long, value_name = "HH:MM")]
    pub not_after: Option<String>,
    #[arg(long, value_enum, default_value_t)]
    pub format: ReportFormat,
}
