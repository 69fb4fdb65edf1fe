//! Arguments of `subah deliveries`.

use clap::{Args, Subcommand, ValueEnum};

use super::FormatArg;

#[derive(Subcommand)]
pub enum Deliveries {
    /// List deliveries of a run
    List(ListArgs),
    /// Say how an undecided delivery ended, when you have found out
    Resolve {
        #[command(flatten)]
        act: ActArgs,
        #[arg(long = "as", value_enum)]
        resolved: Resolved,
    },
    /// Send undecided deliveries once more, although the first try may have arrived
    Resend(SendAgainArgs),
    /// Put dead letters (failed, expired, quarantined) back with fresh limits
    Requeue(SendAgainArgs),
    /// One delivery with all its attempts, e.g. daily-pack@2026-11-21#417
    Show {
        id: String,
        #[arg(long)]
        reveal: bool,
    },
}

/// Which deliveries of a run are meant.
#[derive(Args)]
pub struct Which {
    /// Civil date: today, yesterday or 2026-11-21; or a run, e.g. daily-pack@2026-11-21
    #[arg(long, default_value = "today")]
    pub date: String,
    /// Only these states, e.g. failed,unknown
    #[arg(long, value_delimiter = ',')]
    pub state: Vec<String>,
    /// Only those of one recipient, by id or phone number
    #[arg(long, value_name = "ID|PHONE")]
    pub recipient: Option<String>,
    /// Only those that were not delivered by the deadline
    #[arg(long)]
    pub missed: bool,
    /// Those that may have arrived more than once
    #[arg(long)]
    pub twice: bool,
    /// Only misses of this cause, as the report names it
    #[arg(long)]
    pub cause: Option<String>,
    /// Only those through this number
    #[arg(long)]
    pub number: Option<String>,
}

/// Which deliveries are listed.
#[derive(Args)]
pub struct ListArgs {
    #[command(flatten)]
    pub which: Which,
    #[arg(long, default_value_t = 100)]
    pub limit: usize,
    #[command(flatten)]
    pub format: FormatArg,
    /// Show phone numbers in full
    #[arg(long)]
    pub reveal: bool,
}

/// An act on deliveries by hand, by id or by filter. Without `--yes` it only says what would
/// happen; all are judged before any is changed.
#[derive(Args)]
pub struct ActArgs {
    /// Deliveries, e.g. daily-pack@2026-11-21#417
    pub ids: Vec<String>,
    #[command(flatten)]
    pub which: Which,
    /// Kept with the delivery
    #[arg(long)]
    pub reason: String,
    /// Do it
    #[arg(long)]
    pub yes: bool,
}

#[derive(Args)]
pub struct SendAgainArgs {
    #[command(flatten)]
    pub act: ActArgs,
    /// When the run's time is over: nothing starts after this local time of today
    /// [default: ten minutes from now]
    #[arg(long, value_name = "HH:MM")]
    pub until: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Resolved {
    Delivered,
    NotDelivered,
}
