//! The loops of a process that sends and listens: senders, receiver, applier, sweeper.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use domain::{RunId, State};
use inbox::{Consumer, Tail, place_name};
use ledger::{Counts, Ledger, LedgerError, Phase, Run, places};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::http;
use crate::parts::Parts;
use crate::supervise::{Loop, Running};

/// How often a foreground run looks where it stands.
const LOOK: Duration = Duration::from_millis(200);

/// After the deadline, statuses that have not come for this long are left to `serve`.
const QUIET: Duration = Duration::from_secs(60);

/// Begins a loop from the parts.
type Make = fn(&Arc<Parts>, CancellationToken) -> Running;

/// The loops of a process that sends and listens.
pub struct Loops {
    /// Stops sending; what is under way finishes.
    stop_sending: CancellationToken,
    /// Stops listening, after the senders are done.
    stop_listening: CancellationToken,
    sender: Option<JoinHandle<()>>,
    listening: Vec<JoinHandle<()>>,
}

impl Loops {
    /// Starts those that the process has the parts for, each under the supervisor. `listener`
    /// takes webhooks; without an inbox of our own, statuses are left to the process that has it.
    pub fn start(parts: &Arc<Parts>, listener: Option<TcpListener>) -> Self {
        let (stop_sending, stop_listening) = (CancellationToken::new(), CancellationToken::new());
        let supervisor = &parts.supervisor;
        let sender = parts.journal.as_ref().map(|journal| {
            let (parts, journal, stop) =
                (Arc::clone(parts), Arc::clone(journal), stop_sending.clone());
            supervisor.run(Loop::Sender, stop_sending.clone(), move || {
                let (sender, stop) = (parts.sender(&journal), stop.clone());
                Box::pin(async move { Ok(sender?.run(stop).await?) })
            })
        });
        let mut listening = Vec::new();
        let mut watch = |which: Loop, make: Make| {
            let (parts, stop) = (Arc::clone(parts), stop_listening.clone());
            let begin = move || make(&parts, stop.clone());
            listening.push(supervisor.run(which, stop_listening.clone(), begin));
        };
        watch(Loop::Sweeper, |parts, stop| {
            let sweeper = parts.sweeper();
            Box::pin(async move {
                sweeper.run(stop).await;
                Ok(())
            })
        });
        if parts.token_keeper().is_some() {
            watch(Loop::TokenKeeper, |parts, stop| {
                let keeper = parts.token_keeper();
                Box::pin(async move {
                    keeper.context("the token is gone")?.run(stop).await;
                    Ok(())
                })
            });
        }
        if parts.inbox.is_some() {
            watch(Loop::Applier, apply_statuses);
            watch(Loop::People, hear_people);
            watch(Loop::Relay, tell_the_ledger);
            watch(Loop::Recorder, record_what_people_say);
            watch(Loop::Merger, |parts, stop| {
                let merger = parts.inbox.as_ref().map(|inbox| parts.merger(inbox));
                Box::pin(async move {
                    merger.context("there is no inbox")??.run(stop).await;
                    Ok(())
                })
            });
        }
        if let (Some(inbox), Some(listener)) = (&parts.inbox, listener) {
            let (router, limits) = (parts.receiver(inbox), parts.limits.clone());
            let serve = http::supervised(listener, router, limits, stop_listening.clone());
            listening.push(supervisor.run(Loop::Receiver, stop_listening.clone(), serve));
        }
        Loops { stop_sending, stop_listening, sender, listening }
    }

    /// Stops in order: no new sends, what is under way, then the listeners.
    pub async fn stop(self) {
        self.stop_sending.cancel();
        if let Some(sender) = self.sender {
            let _ = sender.await; // the supervisor does not panic
        }
        self.stop_listening.cancel();
        for task in self.listening {
            let _ = task.await;
        }
    }
}

/// Reads the inbox for what became of deliveries.
fn apply_statuses(parts: &Arc<Parts>, stop: CancellationToken) -> Running {
    let tail = parts.inbox.as_ref().map(|inbox| Tail::resume(inbox, Consumer::Status));
    let applier = parts.applier();
    Box::pin(async move {
        let (applier, mut tail) = (applier?, tail.context("there is no inbox")?);
        applier.run(&mut tail, stop).await;
        Ok(())
    })
}

/// Reads the inbox for what people say of themselves.
fn hear_people(parts: &Arc<Parts>, stop: CancellationToken) -> Running {
    let inbox = parts.inbox.clone();
    let (people, ledger) = (parts.people(), Arc::clone(&parts.ledger));
    Box::pin(async move {
        let inbox = inbox.context("there is no inbox")?;
        people.remember().await;
        // An earlier version honoured them where it read statuses.
        let [own, before] = [Consumer::People, Consumer::Status].map(|c| place_name(&inbox, c));
        places::begin_like(ledger.as_ref(), &own, &before).await?;
        people.run(&mut Tail::resume(&inbox, Consumer::People), stop).await;
        Ok(())
    })
}

/// Tells the ledger what the records have decided.
fn tell_the_ledger(parts: &Arc<Parts>, stop: CancellationToken) -> Running {
    let parts = Arc::clone(parts);
    Box::pin(async move {
        if let Some(relay) = parts.relay(&stop).await {
            relay.run(stop).await;
            relay.records.close().await;
        }
        Ok(())
    })
}

/// Reads the inbox for what people say of themselves, for the records.
fn record_what_people_say(parts: &Arc<Parts>, stop: CancellationToken) -> Running {
    let parts = Arc::clone(parts);
    Box::pin(async move {
        let inbox = parts.inbox.clone().context("there is no inbox")?;
        if let Some(recorder) = parts.recorder(&stop).await? {
            recorder.run(&mut Tail::resume(&inbox, Consumer::Records), stop).await;
            recorder.records.close().await;
        }
        Ok(())
    })
}

/// How a foreground run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Over,
    /// Someone asked us to stop; the rest goes on when it is started again.
    Interrupted,
}

/// When a foreground run is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// The ledger has closed it: rehearsals look at the whole window.
    Closed,
    /// Nothing is left to be sent and no status is awaited: a run that catches up may stop
    /// hours before its last possible send. After the deadline, phones that are off are
    /// waited for no longer than a minute.
    Settled,
}

/// Waits until the run is over, or until `interrupted`; `show` sees how far the run is. A ledger that does not answer is
/// asked again: the loops go on meanwhile, and so does the morning.
pub async fn follow(
    parts: &Parts,
    run: &RunId,
    until: Until,
    show: &(dyn Fn(&Run, &Counts) + Sync),
    interrupted: impl Future<Output = ()>,
) -> Ended {
    tokio::pin!(interrupted);
    let mut last = (Counts::default(), Instant::now());
    loop {
        match look(parts, run).await {
            Ok(Some((run, counts))) => {
                show(&run, &counts);
                if last.0 != counts {
                    last = (counts, Instant::now());
                }
                let late = parts.clock.now() > run.header.window.deadline;
                let over = until == Until::Settled && settled(&last.0, late, last.1.elapsed());
                if over || run.phase == Phase::Closed {
                    return Ended::Over;
                }
            }
            Ok(None) => tracing::warn!(run = %run, "run {run} is not in the ledger"),
            Err(error) => tracing::warn!(run = %run, error = %error, "look at run {run}: {error}"),
        }
        tokio::select! {
            () = &mut interrupted => return Ended::Interrupted,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// Whether anything can still happen that is worth waiting for.
fn settled(counts: &Counts, late: bool, quiet: Duration) -> bool {
    let awaited = counts.sum(|s| matches!(s, State::Accepted | State::Held | State::Sent));
    counts.open() == 0 && (awaited == 0 || (late && quiet > QUIET))
}

async fn look(parts: &Parts, run: &RunId) -> Result<Option<(Run, Counts)>, LedgerError> {
    let Some(run) = parts.ledger.run(run).await? else { return Ok(None) };
    let counts = parts.ledger.counts(&run.header.id).await?;
    Ok(Some((run, counts)))
}

/// Waits until this process must not go on: the ledger is not its own to write to any more, or a
/// loop has ended that it cannot do without.
pub async fn hindered(parts: &Parts) -> anyhow::Error {
    tokio::select! {
        error = superseded(parts.ledger.as_ref()) => error.into(),
        ended = parts.supervisor.failed() => ended.into(),
    }
}

/// Waits until the ledger is not ours to write to any more: a newer version of this program
/// writes to it and knows what this one would lose, or its file was taken away. A store that does
/// not answer is asked again.
async fn superseded(ledger: &dyn Ledger) -> LedgerError {
    loop {
        tokio::time::sleep(SCHEMA_LOOK).await;
        use LedgerError::{Gone, Newer, Schema};
        if let Err(error @ (Schema { .. } | Newer { .. } | Gone { .. })) =
            ledger.check_schema().await
        {
            return error;
        }
    }
}

/// How often the store is asked which version writes to it.
const SCHEMA_LOOK: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_waited_for_as_long_as_something_can_happen() {
        let counts = |pairs: &[(State, u64)]| {
            let mut counts = Counts::default();
            pairs.iter().for_each(|(state, n)| counts.set(*state, *n));
            counts
        };
        let brief = Duration::from_secs(1);
        let arrived = counts(&[(State::Delivered, 9), (State::Failed, 1), (State::Unknown, 1)]);
        assert!(settled(&arrived, false, brief));
        let waiting = counts(&[(State::Delivered, 9), (State::Sent, 1)]);
        assert!(!settled(&waiting, false, QUIET * 2), "the window is open");
        assert!(!settled(&waiting, true, brief), "it may still come");
        assert!(settled(&waiting, true, QUIET * 2));
        let open = counts(&[(State::Delivered, 9), (State::RetryWait, 1)]);
        assert!(!settled(&open, true, QUIET * 2), "there is something to send");
    }
}
