//! SIGTERM and Ctrl-C: once to end in order, twice to end at once.

use std::sync::atomic::{AtomicBool, Ordering};

/// Somebody at the terminal has had enough.
static CTRL_C: AtomicBool = AtomicBool::new(false);

/// Whether Ctrl-C ended what was waited for.
pub fn is_by_hand() -> bool {
    CTRL_C.load(Ordering::Relaxed)
}

/// Ends with SIGTERM or Ctrl-C.
pub async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let (term, int) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    let (Ok(mut term), Ok(mut int)) = (term, int) else {
        return std::future::pending().await;
    };
    // A terminal that is closed must not end a morning.
    let mut hangup = signal(SignalKind::hangup()).ok();
    loop {
        let hung_up = async {
            match &mut hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = term.recv() => break,
            _ = int.recv() => {
                CTRL_C.store(true, Ordering::Relaxed);
                break;
            }
            _ = hung_up => tracing::info!("SIGHUP is ignored: the morning goes on; SIGTERM stops it in order"),
        }
    }
    tokio::spawn(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => CTRL_C.store(true, Ordering::Relaxed),
        }
        // As after kill -9, which loses nothing: what is under way is in the journal.
        tracing::warn!(
            "asked to stop twice: stopped at once; what was under way is settled at the next start"
        );
        std::process::exit(1);
    });
}
