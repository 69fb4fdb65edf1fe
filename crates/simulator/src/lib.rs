//! A Cloud API on loopback that behaves like Meta's, good days and bad, and an oracle that
//! counts what it took.
//!
//! `api` answers, [`faults`] decides how (pure, seeded), `courier` sends the signed
//! webhooks, [`oracle`] knows how often each delivery was accepted. Any WhatsApp client
//! can be pointed at it.

mod answers;
mod api;
mod courier;
pub mod faults;
mod numbers;
pub mod options;
pub mod oracle;

pub use faults::Profile;
pub use options::Options;
pub use oracle::Oracle;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use domain::Clock;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::api::Shared;
use crate::courier::Courier;
use crate::numbers::Numbers;

#[derive(Debug, thiserror::Error)]
pub enum SimulatorError {
    #[error("listen on {address}: is the port taken?")]
    Listen {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error("{0} is not a loopback address: the simulator serves and calls this machine only")]
    NotLoopback(String),
    #[error("set up the webhook client")]
    Client(#[source] reqwest::Error),
}

/// A running simulator; stops when dropped or told to.
pub struct Simulator {
    pub address: SocketAddr,
    pub oracle: Arc<Oracle>,
    courier: Arc<Courier>,
    stop: CancellationToken,
    server: JoinHandle<()>,
}

impl Simulator {
    /// Binds and serves.
    ///
    /// # Errors
    /// When the address is taken or not loopback, or the webhook target is not loopback.
    pub async fn start(options: Options, clock: Arc<dyn Clock>) -> Result<Self, SimulatorError> {
        options.check()?;
        let listen = |source| SimulatorError::Listen { address: options.listen, source };
        let listener = TcpListener::bind(options.listen).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let stop = CancellationToken::new();
        let oracle = Arc::new(Oracle::default());
        let rng = StdRng::seed_from_u64(options.seed);
        let courier = Courier::start(&options, Arc::clone(&clock), stop.clone())?;
        let shared = Arc::new(Shared {
            numbers: Numbers::new(&options),
            oracle: Arc::clone(&oracle),
            courier: Arc::clone(&courier),
            rng: Mutex::new(rng),
            media: Mutex::default(),
            templates: Mutex::default(),
            messages: Mutex::default(),
            options,
        });
        let router = api::router(shared);
        let stopped = stop.clone().cancelled_owned();
        let server = tokio::spawn(async move {
            let served = axum::serve(listener, router).with_graceful_shutdown(stopped).await;
            if let Err(error) = served {
                tracing::error!(error = %error, "simulator stopped: {error}");
            }
        });
        Ok(Simulator { address, oracle, courier, stop, server })
    }

    /// Where a client sends: `http://127.0.0.1:PORT`.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Who sends webhooks of other kinds than statuses.
    pub fn teller(&self) -> Teller {
        Teller(Arc::clone(&self.courier))
    }

    /// Status reports that the receiver has not answered with 200 yet.
    pub fn webhooks_pending(&self) -> usize {
        self.courier.pending()
    }
}

/// Sends webhooks of a running simulator.
#[derive(Clone)]
pub struct Teller(Arc<Courier>);

impl Teller {
    /// Sends what somebody writes, or news of a number, once. False: it was not answered with 200.
    pub async fn tell(&self, body: &serde_json::Value) -> bool {
        self.0.tell(body).await
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.stop.cancel();
        self.server.abort();
    }
}
