//! Serves a listener within limits, until told to stop.
//!
//! Invariants: connections are counted before they are served, in all and per peer; a head
//! that does not come, or a connection that says nothing, is closed; when descriptors run
//! out, that is said and the listener waits. HTTP/1.1 alone: nobody we serve needs more.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use config::Limits;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use inbox::receiver::Peer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long requests under way may take after a stop.
const ANSWER_MAX: Duration = Duration::from_secs(3);
/// For a whole head, and for the next one on a connection that is kept.
const HEAD_MAX: Duration = Duration::from_secs(15);
/// Longest head: Meta's has 600 bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Before another look when no connection can be taken.
const PAUSE: Duration = Duration::from_millis(200);
/// How often a cause that goes on is said again.
const SAY_EVERY: Duration = Duration::from_secs(30);

/// Connections by address. An entry goes with its last connection.
#[derive(Default)]
struct Peers(Mutex<HashMap<IpAddr, usize>>);

struct Held {
    peers: Arc<Peers>,
    address: IpAddr,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut peers = self.peers.0.lock().expect("no panic while held");
        if let Some(n) = peers.get_mut(&self.address) {
            *n -= 1;
            if *n == 0 {
                peers.remove(&self.address);
            }
        }
    }
}

/// Serves until `stop`; then answers what has begun, but waits for nobody who is slow.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: CancellationToken) {
    let room = Arc::new(Semaphore::new(limits.connections_max));
    let (peers, tasks) = (Arc::<Peers>::default(), TaskTracker::new());
    let mut said = tokio::time::Instant::now() - SAY_EVERY;
    loop {
        let permit = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            permit = Arc::clone(&room).acquire_owned() => permit.expect("never closed"),
        };
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                if let Some(held) = admit(&limits, &peers, peer, permit) {
                    let router = router.clone();
                    tasks.spawn(answer(stream, peer, router, held, stop.clone()));
                }
            }
            Err(error) => {
                if said.elapsed() >= SAY_EVERY {
                    said = tokio::time::Instant::now();
                    tracing::error!(error = %error, "no connection can be taken: {error}{}", hint(&error));
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    tasks.close();
    let _ = tokio::time::timeout(ANSWER_MAX, tasks.wait()).await; // who is slow is not waited for
}

fn hint(error: &std::io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(23 | 24) => "; raise LimitNOFILE, and look who holds connections open", // ENFILE, EMFILE
        _ => "",
    }
}

/// `None`: this address has enough; the connection is dropped.
fn admit(
    limits: &Limits,
    peers: &Arc<Peers>,
    peer: SocketAddr,
    permit: OwnedSemaphorePermit,
) -> Option<Held> {
    let address = peer.ip().to_canonical();
    let mut held = peers.0.lock().expect("no panic while held");
    let n = held.entry(address).or_default();
    if *n >= limits.per_peer_max && !limits.trusted_proxies.contains(&address) {
        return None;
    }
    *n += 1;
    drop(held);
    Some(Held { peers: Arc::clone(peers), address, _permit: permit })
}

async fn answer(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    held: Held,
    stop: CancellationToken,
) {
    let service = tower::service_fn(move |mut request: Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(Peer(peer.ip().to_canonical()));
        let request = request.map(axum::body::Body::new);
        tower::ServiceExt::oneshot(router.clone(), request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = %error, "a connection ended: {error}");
    }
    drop(held);
}
