//! The layer that sees how a job ended: whatever failed before an intent was granted goes
//! back to its lane. After an intent the ledger refuses the release, and the sweeper takes
//! over; so this layer cannot cause a second send.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use apalis_core::task::Task;
use ledger::{Ledger, Release};
use tower::{Layer, Service};

use crate::BoxError;
use crate::backend::Job;

/// What failed once is not tried again at once: a defect must not spin.
const AGAIN: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub struct SettleLayer {
    pub ledger: Arc<dyn Ledger>,
}

impl<S> Layer<S> for SettleLayer {
    type Service = Settle<S>;

    fn layer(&self, inner: S) -> Settle<S> {
        Settle { inner, ledger: Arc::clone(&self.ledger) }
    }
}

#[derive(Clone)]
pub struct Settle<S> {
    inner: S,
    ledger: Arc<dyn Ledger>,
}

impl<S> Service<Task<Job>> for Settle<S>
where
    S: Service<Task<Job>, Response = ()>,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
{
    type Response = ();
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, task: Task<Job>) -> Self::Future {
        let claim = &task.args.claim;
        let (id, fence) = (claim.id.clone(), claim.fence);
        let ledger = Arc::clone(&self.ledger);
        let handled = self.inner.call(task);
        Box::pin(async move {
            let Err(error) = handled.await else { return Ok(()) };
            let error: BoxError = error.into();
            tracing::warn!(delivery.id = %id, error = %error, "delivery {id} was not handled: {error}");
            let released = async {
                let next_at = ledger.now().await? + AGAIN;
                ledger.release(&[Release { id: id.clone(), fence, next_at }]).await
            };
            if let Err(lost) = released.await {
                tracing::warn!(delivery.id = %id, error = %lost, "delivery {id} waits for its lease to end: {lost}");
            }
            Ok(())
        })
    }
}
