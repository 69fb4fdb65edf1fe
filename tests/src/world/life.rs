//! Whether a process lives, sleeps or is gone. Every seam passes through it, so a dead
//! process does nothing more and a frozen one goes on where it was.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

#[derive(Default)]
pub struct Life {
    dead: AtomicBool,
    frozen_until: Mutex<Option<Instant>>,
    /// Ends the loops of a process that is asked to stop, or gone.
    pub stop: CancellationToken,
}

impl Life {
    /// Returns when the process may go on; never, when it is dead.
    pub async fn pass(&self) {
        loop {
            if self.dead.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            let until = *self.frozen_until.lock().expect("one thread");
            match until {
                Some(until) if until > Instant::now() => tokio::time::sleep_until(until).await,
                _ => return,
            }
        }
    }

    /// kill -9: whatever it was doing, it does no more.
    pub fn kill(&self) {
        self.dead.store(true, Ordering::Relaxed);
        self.stop.cancel();
    }

    pub fn freeze(&self, until: Instant) {
        *self.frozen_until.lock().expect("one thread") = Some(until);
    }

    pub fn thaw(&self) {
        *self.frozen_until.lock().expect("one thread") = None;
    }

    /// Alive and awake.
    pub fn is_up(&self) -> bool {
        let frozen = self.frozen_until.lock().expect("one thread");
        !self.dead.load(Ordering::Relaxed) && frozen.is_none_or(|until| until <= Instant::now())
    }
}
