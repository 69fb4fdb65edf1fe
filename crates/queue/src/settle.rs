//! The layer that sees how a job ended. One that panicked, ran out of time or failed before
//! an intent was granted goes back to its lane with a strike; too many, and it is
//! quarantined. After an intent the ledger refuses the strike, and the sweeper takes over;
//! so this layer cannot cause a second send.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use apalis_core::task::Task;
use ledger::{Amendment, Change, Ledger};
use tower::{Layer, Service};

use crate::BoxError;
use crate::backend::Job;

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
        let id = task.args.claim.id.clone();
        let ledger = Arc::clone(&self.ledger);
        let handled = self.inner.call(task);
        Box::pin(async move {
            let Err(error) = handled.await else { return Ok(()) };
            let error: BoxError = error.into();
            tracing::error!(delivery.id = %id, error = %error, "delivery {id} was not handled: {error}");
            let strike = Amendment { id: id.clone(), change: Change::Strike, note: None };
            if let Err(lost) = ledger.amend(&[strike]).await {
                tracing::warn!(delivery.id = %id, error = %lost, "delivery {id} waits for its lease to end: {lost}");
            }
            Ok(())
        })
    }
}
