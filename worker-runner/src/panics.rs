//! A tower layer that turns a panic into a failed attempt.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll};

use apalis_core::task::Task;
use futures::FutureExt;
use futures::future::BoxFuture;
use hermes_core::wire::{ErrorClass, Outcome, ServiceError};
use tokio::time::Instant;
use tower::{Layer, Service};
use tracing::error;

use crate::attempt::{Conclusion, Work, milliseconds};

/// Catches panics of the services.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CatchPanics;

impl<S> Layer<S> for CatchPanics {
    type Service = PanicsCaught<S>;

    fn layer(&self, inner: S) -> PanicsCaught<S> {
        PanicsCaught { inner }
    }
}

/// The layer's service.
#[derive(Clone)]
pub(crate) struct PanicsCaught<S> {
    inner: S,
}

impl<S> Service<Task<Arc<Work>>> for PanicsCaught<S>
where
    S: Service<Task<Arc<Work>>, Response = Conclusion>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Conclusion;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Conclusion, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, task: Task<Arc<Work>>) -> Self::Future {
        let job = task.args.delivery.job.id.clone();
        let started = Instant::now();
        // Unwind safety: the attempt's state is dropped with its future, and nothing of it is looked at again.
        let attempt = AssertUnwindSafe(self.inner.call(task)).catch_unwind();
        async move {
            attempt.await.unwrap_or_else(|panic| {
                let text = text(&*panic);
                error!(%job, panic = text, "a service panicked");
                let error = ServiceError::new(ErrorClass::Panic, format!("The service panicked: {text}"));
                let duration_ms = milliseconds(started.elapsed());
                Ok(Conclusion::Over(Outcome::Failed { duration_ms, error, retryable: true, retry_after_ms: None }))
            })
        }
        .boxed()
    }
}

fn text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a text")
}
