//! Moves what waits in one lane to another: its number cannot send, or is another's by now.

use domain::{NumberId, RunId, State};

use crate::api::{Amended, Amendment, Change, Filter, Ledger, Note};
use crate::error::Result;

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rehomed {
    pub moved: u32,
    /// Waiting, and not moved: one of their attempts may have gone, and its news names the number.
    pub kept: u32,
    /// There may be more after this one.
    pub next: Option<u32>,
}

/// Looks at up to `limit` waiting deliveries after `after`, and moves those that nobody can have
/// got, each in one step: leases are left alone, facts and counters stay. The run must have both
/// lanes.
///
/// # Errors
/// As every ledger call; what was moved before stays moved, and a second call goes on.
pub async fn rehome(
    ledger: &dyn Ledger,
    run: &RunId,
    (from, to): (&NumberId, &NumberId),
    after: Option<u32>,
    limit: usize,
    note: Option<&Note>,
) -> Result<Rehomed> {
    let header = ledger.run(run).await?.map(|run| run.header);
    let Some(lane) = header.and_then(|header| header.lane_of(to)) else {
        return Ok(Rehomed::default());
    };
    let states = vec![State::Planned, State::RetryWait];
    let filter = Filter { states, lane: Some(from.clone()) };
    let waiting = ledger.list(run, &filter, after, limit).await?;
    let amendment = |id| Amendment { id, change: Change::Rehome { lane }, note: note.cloned() };
    let amendments: Vec<Amendment> =
        waiting.iter().map(|delivery| amendment(delivery.id.clone())).collect();
    let mut rehomed = Rehomed::default();
    for amended in ledger.amend(&amendments).await? {
        match amended {
            Amended::Done(_) => rehomed.moved += 1,
            Amended::Refused(state) if state.is_waiting() => rehomed.kept += 1,
            // Sent meanwhile.
            Amended::Refused(_) | Amended::NoDelivery => {}
        }
    }
    let full = waiting.len() >= limit;
    rehomed.next = waiting.last().filter(|_| full).map(|last| last.id.index);
    Ok(rehomed)
}
