//! No loop dies unseen.
//!
//! Each long-running loop of a process runs in a task of its own under a name. One that
//! panics or ends without being asked to is logged with its cause and counted, and then
//! started again with a growing pause, or the process ends in order, as [`on_end`] says.
//! `/healthz` and the watchdog know which ones are down.

use std::any::Any;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use telemetry::Metrics;
use telemetry::labels::Label;
pub use telemetry::labels::Loop;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// First and longest pause before a loop is started again.
const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// A loop that lives so long is up …
const UP_AFTER: Duration = Duration::from_secs(1);
/// … and so long, sound: its next end is a first one again.
const SOUND_AFTER: Duration = Duration::from_secs(60);

/// A vital loop that cannot be brought up again within this ends the process.
const DOWN_MAX: Duration = Duration::from_secs(60);

/// What is done when a loop ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OnEnd {
    Restart,
    /// The process ends in order, and systemd starts another.
    Stop,
}

/// Without these a morning is not done: the process ends in order when one of them cannot be
/// brought up again.
const fn is_vital(which: Loop) -> bool {
    use Loop::{
        Copies, Foresight, NumberKeeper, Preflight, Pulls, Recorder, Relay, Retention, Sampler,
        TemplateKeeper, TokenKeeper, Uploads, Watchdog,
    };
    !matches!(
        which,
        Sampler
            | TokenKeeper
            | Watchdog
            | Retention
            | Copies
            | Pulls
            | Uploads
            | Foresight
            | TemplateKeeper
            | NumberKeeper
            | Preflight
            | Relay
            | Recorder
    )
}

/// Those that hold what cannot be had twice (lanes with deliveries under way, a listener)
/// take the process with them; the others begin again from what is on the disk and in the
/// ledger.
const fn on_end(which: Loop) -> OnEnd {
    match which {
        Loop::Sender | Loop::Receiver | Loop::Watch => OnEnd::Stop,
        Loop::Applier
        | Loop::People
        | Loop::Merger
        | Loop::Sweeper
        | Loop::Scheduler
        | Loop::Sampler
        | Loop::TokenKeeper
        | Loop::Watchdog
        | Loop::Retention
        | Loop::Copies
        | Loop::Pulls
        | Loop::Uploads
        | Loop::Foresight
        | Loop::TemplateKeeper
        | Loop::Preflight
        | Loop::NumberKeeper
        | Loop::Relay
        | Loop::Recorder => OnEnd::Restart,
    }
}

/// What a loop is made of, each time that it begins.
pub type Running = Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>>;

/// Why the process has to end.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the {name} ended by itself: {cause}")]
pub struct Ended {
    name: &'static str,
    cause: String,
}

/// Watches the loops of one process; clone freely.
#[derive(Clone)]
pub struct Supervisor(Arc<State>);

struct State {
    metrics: Arc<Metrics>,
    /// Loops that are not running, with their cause.
    down: Mutex<BTreeMap<&'static str, String>>,
    ended: Mutex<Option<Ended>>,
    failed: CancellationToken,
}

impl Supervisor {
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Supervisor(Arc::new(State {
            metrics,
            down: Mutex::default(),
            ended: Mutex::default(),
            failed: CancellationToken::new(),
        }))
    }

    /// Runs a loop until `stop`; `make` begins it, and begins it again. The task ends when the
    /// loop has, after a stop or for good.
    pub fn run(
        &self,
        which: Loop,
        stop: CancellationToken,
        mut make: impl FnMut() -> Running + Send + 'static,
    ) -> JoinHandle<()> {
        let supervisor = self.clone();
        let watched = async move {
            let (mut pause, mut down_since) = (PAUSE, Instant::now());
            loop {
                let begun = Instant::now();
                let cause = supervisor.once(which, make()).await;
                if stop.is_cancelled() {
                    return;
                }
                supervisor.note(which, &cause);
                if begun.elapsed() > UP_AFTER {
                    down_since = Instant::now();
                }
                let is_hopeless = is_vital(which) && down_since.elapsed() > DOWN_MAX;
                if on_end(which) == OnEnd::Stop || is_hopeless {
                    return supervisor.fail(Ended { name: which.as_str(), cause });
                }
                pause = if begun.elapsed() > SOUND_AFTER { PAUSE } else { pause };
                let name = which.as_str();
                tracing::error!(
                    "the {name} ended by itself and is started again in {pause:?}: {cause}"
                );
                if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                    return;
                }
                pause = (pause * 2).min(PAUSE_MAX);
            }
        };
        // Whose loop it is: one process may serve several tenants.
        tokio::spawn(watched.in_current_span())
    }

    /// Returns once a loop has ended that the process cannot do without.
    pub async fn failed(&self) -> Ended {
        self.0.failed.cancelled().await;
        let ended = self.0.ended.lock().expect("no panic while held").clone();
        ended.expect("noted before it was told")
    }

    /// Loops that are down, each with its cause.
    pub fn down(&self) -> Vec<String> {
        let down = self.0.down.lock().expect("no panic while held");
        down.iter().map(|(name, cause)| format!("the {name} is down: {cause}")).collect()
    }

    /// Runs it once; why it ended.
    async fn once(&self, which: Loop, running: Running) -> String {
        let once = async move {
            tokio::select! {
                ended = running => ended,
                () = failpoint(which) => panic!("a test ends the {}", which.as_str()),
            }
        };
        let mut task = tokio::spawn(once.in_current_span());
        let ended = tokio::select! {
            ended = &mut task => ended,
            () = tokio::time::sleep(UP_AFTER) => {
                self.0.down.lock().expect("no panic while held").remove(which.as_str());
                task.await
            }
        };
        match ended {
            Ok(Ok(())) => "it returned".to_owned(),
            Ok(Err(error)) => format!("{error:#}"),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => format!("it panicked: {}", said(panic.as_ref())),
                Err(_) => "its task was aborted".to_owned(),
            },
        }
    }

    fn note(&self, which: Loop, cause: &str) {
        self.0.metrics.process.loop_ends.of(which).inc();
        let mut down = self.0.down.lock().expect("no panic while held");
        down.insert(which.as_str(), cause.to_owned());
    }

    fn fail(&self, ended: Ended) {
        tracing::error!("{ended}; this process ends in order, so that another can begin");
        self.0.ended.lock().expect("no panic while held").get_or_insert(ended);
        self.0.failed.cancel();
    }
}

fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no words")
}

/// `SUBAH_FAIL_LOOP=applier` ends that loop's task once, a second after it began; in debug
/// builds only.
async fn failpoint(which: Loop) {
    #[cfg(debug_assertions)]
    {
        use std::sync::atomic::{AtomicBool, Ordering};
        static DONE: AtomicBool = AtomicBool::new(false);
        let armed = std::env::var("SUBAH_FAIL_LOOP").is_ok_and(|name| name == which.as_str());
        if armed && !DONE.swap(true, Ordering::SeqCst) {
            return tokio::time::sleep(UP_AFTER).await;
        }
    }
    #[cfg(not(debug_assertions))]
    let _ = which;
    std::future::pending().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_panics_is_begun_again_and_known_to_be_down_meanwhile() {
        let supervisor = Supervisor::new(Arc::new(Metrics::new()));
        let stop = CancellationToken::new();
        let begun = Arc::new(AtomicU32::new(0));
        let (counted, stopped) = (Arc::clone(&begun), stop.clone());
        let task = supervisor.run(Loop::Sweeper, stop.clone(), move || {
            let (n, stop) = (counted.fetch_add(1, Ordering::SeqCst), stopped.clone());
            Box::pin(async move {
                assert!(n >= 2, "on purpose");
                stop.cancelled().await;
                Ok(())
            })
        });
        tokio::time::sleep(PAUSE / 2).await;
        assert_eq!(supervisor.down(), ["the sweeper is down: it panicked: on purpose"]);
        tokio::time::sleep(PAUSE * 3 + UP_AFTER).await;
        assert_eq!(begun.load(Ordering::SeqCst), 3, "after half a second and after one more");
        assert!(supervisor.down().is_empty());
        stop.cancel();
        task.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_cannot_begin_again_ends_the_process() {
        let supervisor = Supervisor::new(Arc::new(Metrics::new()));
        let fails = || -> Running { Box::pin(async { anyhow::bail!("the lanes are gone") }) };
        supervisor.run(Loop::Sender, CancellationToken::new(), fails).await.unwrap();
        let ended = supervisor.failed().await;
        assert_eq!(ended.to_string(), "the sender ended by itself: the lanes are gone");
    }

    #[tokio::test(start_paused = true)]
    async fn a_vital_loop_that_never_comes_up_ends_the_process_and_another_one_does_not() {
        let supervisor = Supervisor::new(Arc::new(Metrics::new()));
        let fails = || -> Running { Box::pin(async { anyhow::bail!("no ledger") }) };
        let begun = Instant::now();
        supervisor.run(Loop::Applier, CancellationToken::new(), fails).await.unwrap();
        assert!(begun.elapsed() > DOWN_MAX);
        assert_eq!(supervisor.failed().await.to_string(), "the applier ended by itself: no ledger");
        let sampler = supervisor.run(Loop::Sampler, CancellationToken::new(), fails);
        tokio::time::sleep(DOWN_MAX * 10).await;
        assert!(!sampler.is_finished(), "metrics are not worth a morning");
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_was_asked_to_stop_is_not_missed() {
        let supervisor = Supervisor::new(Arc::new(Metrics::new()));
        let stop = CancellationToken::new();
        stop.cancel();
        supervisor.run(Loop::Sender, stop, || Box::pin(async { Ok(()) })).await.unwrap();
        assert!(supervisor.down().is_empty());
    }
}
