//! Puts the swaps that wait at the same time into one script call: one round trip, one look
//! at the fence and one sync of the server's disk for all of them.
//!
//! There is no task behind it. Whoever has the turn takes all that wait, its own among
//! them, and hands out the verdicts. If it is dropped meanwhile, the others ask again: they
//! then see a changed record and take their step on that, as after any lost answer.

use std::sync::Mutex;

use domain::RunId;
use futures::future::join_all;
use tokio::sync::{Mutex as Turn, oneshot};

use super::Redis;
use super::swap::{Fence, Swap, Verdict};
use crate::api::Phase;
use crate::error::{LedgerError, Result};

/// Swaps in one script: enough that a slow disk is shared by all under way, few enough that
/// the server is busy for milliseconds.
const TOGETHER_MAX: usize = 512;

#[derive(Default)]
pub struct Combiner {
    waiting: Mutex<Vec<Waiting>>,
    turn: Turn<()>,
}

struct Waiting {
    run: RunId,
    phase: Phase,
    fence: Fence,
    swap: Swap,
    verdict: oneshot::Sender<Result<Verdict>>,
}

impl Redis {
    /// Tries one replacement, together with others that wait now.
    pub(super) async fn swap_one(
        &self,
        run: &RunId,
        phase: Phase,
        fence: Fence,
        swap: &Swap,
    ) -> Result<Verdict> {
        loop {
            let (verdict, mut answer) = oneshot::channel();
            let (run, swap) = (run.clone(), swap.clone());
            // What waits for replicas must not hold up what need not.
            let combiner = &self.combiners[usize::from(fence == Fence::Durable)];
            combiner.queue().push(Waiting { run, phase, fence, swap, verdict });
            let answered = loop {
                tokio::select! {
                    biased;
                    answered = &mut answer => break answered,
                    _turn = combiner.turn.lock() => self.serve_waiting(combiner).await,
                }
            };
            if let Ok(verdict) = answered {
                return verdict;
            }
        }
    }

    /// Serves a batch of those that wait. Groups go out together on one connection.
    async fn serve_waiting(&self, combiner: &Combiner) {
        let batch: Vec<Waiting> = {
            let mut queue = combiner.queue();
            queue.retain(|waiting| !waiting.verdict.is_closed()); // who asked has gone
            let n = queue.len().min(TOGETHER_MAX);
            queue.drain(..n).collect()
        };
        let mut groups: Vec<Vec<Waiting>> = Vec::new();
        for waiting in batch {
            let same = |group: &&mut Vec<Waiting>| {
                let first = &group[0];
                (first.fence, first.phase) == (waiting.fence, waiting.phase)
                    && first.run == waiting.run
            };
            match groups.iter_mut().find(same) {
                Some(group) => group.push(waiting),
                None => groups.push(vec![waiting]),
            }
        }
        join_all(groups.into_iter().map(|group| self.serve_group(group))).await;
    }

    async fn serve_group(&self, group: Vec<Waiting>) {
        let Some(first) = group.first() else { return };
        let (run, phase, fence) = (first.run.clone(), first.phase, first.fence);
        let (swaps, answers): (Vec<_>, Vec<_>) =
            group.into_iter().map(|waiting| (waiting.swap, waiting.verdict)).unzip();
        match self.swap(&run, phase, fence, &swaps).await {
            Ok(verdicts) => {
                for (answer, verdict) in answers.into_iter().zip(verdicts) {
                    let _ = answer.send(Ok(verdict)); // who asked may have gone
                }
            }
            Err(error) => {
                for answer in answers {
                    let _ = answer.send(Err(again(&error)));
                }
            }
        }
    }
}

impl Combiner {
    fn queue(&self) -> std::sync::MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().expect("no panic while held")
    }
}

/// The same error for one more who waited.
fn again(error: &LedgerError) -> LedgerError {
    let (doing, cause) = match error {
        LedgerError::Unavailable { doing, cause, .. } => (*doing, cause.clone()),
        other => ("change deliveries", other.to_string()),
    };
    LedgerError::Unavailable { engine: "redis", doing, cause }
}
