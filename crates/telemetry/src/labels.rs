//! The closed lists that labels of metrics are taken from.

use strum::{IntoStaticStr, VariantArray};

/// A label whose values are all known beforehand.
pub trait Label: Copy + VariantArray + Into<&'static str> {
    /// As it stands in the exposition.
    fn as_str(self) -> &'static str {
        self.into()
    }
}

impl<L: Copy + VariantArray + Into<&'static str>> Label for L {}

/// The two labels of one metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair<A, B>(pub A, pub B);

/// How an attempt's HTTP try ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum AttemptOutcome {
    Accepted,
    Held,
    Throttled,
    Refused,
    Halted,
    Ambiguous,
    NotSent,
}

/// Why nothing may be claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Blocked {
    /// The store was restarted or replaced, and not every host has merged what it knows.
    Fence,
    /// The store's clock stepped.
    Clock,
    #[strum(serialize = "journal")]
    JournalFails,
    JournalSlow,
    #[strum(serialize = "store_refusing")]
    StoreRefuses,
    StoreSlow,
    Descriptors,
    /// Another process has this host's name.
    HostName,
}

/// What can be stopped …
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Halted {
    Asset,
    Translation,
    Number,
    Account,
}

/// … and by what it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum FoundBy {
    Answer,
    Status,
    Streak,
}

/// What a number's breaker does: closed flows, open stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Breaker {
    Closed,
    HalfOpen,
    Open,
}

/// What became of a webhook request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum WebhookResult {
    Stored,
    BadSignature,
    TooLarge,
    TooSlow,
    Busy,
    Unreadable,
    InboxFailed,
}

/// What a webhook held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum EventKind {
    Status,
    Inbound,
    Echo,
    Call,
    Preference,
    Group,
    Error,
    Template,
    Account,
    Other,
    Odd,
    /// Of a number that belongs to another endpoint.
    Misplaced,
}

/// What a status report said …
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum StatusKind {
    Sent,
    Delivered,
    Read,
    Failed,
    Other,
}

/// … and what it changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Verdict {
    Changed,
    Noted,
    Stale,
    /// No such delivery in the ledger.
    #[strum(serialize = "unknown")]
    NoDelivery,
    Foreign,
    Forgotten,
    /// Without callback data, and of no message that the ledger holds.
    Unmatched,
    NotAboutUs,
}

/// Every loop of a daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Loop {
    Sender,
    Receiver,
    Applier,
    People,
    Merger,
    Sweeper,
    Scheduler,
    Sampler,
    TokenKeeper,
    Watch,
    Watchdog,
    Retention,
    Relay,
    Recorder,
    Copies,
    Foresight,
    TemplateKeeper,
    Preflight,
    NumberKeeper,
    Pulls,
    Uploads,
}
