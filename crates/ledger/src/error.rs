//! What can go wrong between us and the truth.

use domain::RunId;

pub type Result<T, E = LedgerError> = std::result::Result<T, E>;

/// A ledger call that gave no answer. None of these means "it did not happen": calls are
/// idempotent, so the caller repeats them.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The store did not answer, or not in time. Repeat.
    #[error("{doing}: the {engine} store is unavailable: {cause}")]
    Unavailable {
        engine: &'static str,
        doing: &'static str,
        /// What the store, or the way to it, said: the whole chain.
        cause: String,
    },
    /// The disk below the store is full. Nothing was changed; free space and repeat.
    #[error("{doing}: the disk below the {engine} store is full")]
    Full { engine: &'static str, doing: &'static str },
    /// A record that this version cannot read.
    #[error("read {what} of run {run}: {why}")]
    Corrupt { run: RunId, what: String, why: String },
    /// The file that this process has open is not the one at its path any more.
    #[error(
        "the ledger at {} is gone or another one: was it deleted, moved or put back under a running subah? Nothing more is sent from here; `subah recover --rebuild` or `subah restore` brings it back",
        path.display()
    )]
    Gone { path: std::path::PathBuf },
    /// A newer version of this program writes to the store: this one would lose what it does
    /// not know of.
    #[error(
        "run {run} has records of version {found}, and this program reads up to {known}: a newer version writes to this store; install it on this host, nothing is done from here meanwhile"
    )]
    Newer { run: RunId, found: u8, known: u8 },
    #[error("run {0} is not in the ledger: plan it first")]
    NoRun(RunId),
    #[error("plan run {run}: chunk starts at {from}, but the cursor is at {cursor}")]
    Gap { run: RunId, from: u32, cursor: u32 },
    #[error("plan run {0}: another plan of other files is in the ledger; plan it again")]
    OtherPlan(RunId),
    #[error("seal run {run}: {planned} of {total} deliveries are planned")]
    Unfinished { run: RunId, planned: u32, total: u32 },
    /// The store may have forgotten what it had answered: nothing is sent until the
    /// journals and inboxes of all hosts are merged.
    #[error(
        "run {run}: the {engine} store was restarted or replaced; sending waits until every host has merged its journal (`subah recover` says which one is missing)"
    )]
    StoreRestarted { engine: &'static str, run: RunId },
    /// The store's settings could lose acknowledged writes.
    #[error("the {engine} store is not safe to send from: {}", problems.join("; "))]
    Unsafe { engine: &'static str, problems: Vec<String> },
    /// The file or keys were written by another version.
    #[error(
        "the {engine} store has schema {found}, this program reads schema {wanted}: use the matching version"
    )]
    Schema { engine: &'static str, found: String, wanted: u32 },
}

impl LedgerError {
    /// The store did not answer: names what was being done, and every cause down to the first.
    pub fn unavailable(
        engine: &'static str,
        doing: &'static str,
        error: &dyn std::error::Error,
    ) -> Self {
        let mut cause = error.to_string();
        let mut next = error.source();
        while let Some(error) = next {
            let text = error.to_string();
            if !cause.ends_with(&text) {
                cause = format!("{cause}: {text}"); // some repeat what is below them
            }
            next = error.source();
        }
        LedgerError::Unavailable { engine, doing, cause }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("read the reply")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn a_cause_is_told_down_to_the_first() {
        let io = std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "connection refused");
        let error = LedgerError::unavailable("redis", "claim", &Outer(io));
        let told = "claim: the redis store is unavailable: read the reply: connection refused";
        assert_eq!(error.to_string(), told);
    }
}
