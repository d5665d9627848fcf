//! An external HTTP worker as a service.

use async_trait::async_trait;
use tokio::time::Instant;

use crate::http_worker::{self, CallOutcome, WorkerConfig};
use crate::service::{AttemptContext, Service, ServiceOutcome, Standing};

/// The service.
#[derive(Clone, Debug)]
pub struct External {
    config: WorkerConfig,
}

impl External {
    /// Calls the worker that `config` describes.
    #[must_use]
    pub fn new(config: WorkerConfig) -> Self {
        Self { config }
    }
}

#[async_trait]
impl Service for External {
    async fn run(&self, attempt: &AttemptContext<'_>) -> ServiceOutcome {
        let left = attempt.deadline.saturating_duration_since(Instant::now());
        match http_worker::run(attempt.http, &self.config, attempt.job, left).await {
            CallOutcome::Completed(result) => ServiceOutcome::Completed(result),
            CallOutcome::Accepted => ServiceOutcome::Deferred,
            CallOutcome::Failed(failure) => ServiceOutcome::Failed {
                error: failure.error,
                retryable: failure.retryable,
                retry_after_ms: failure.retry_after_ms,
            },
        }
    }

    fn standing(&self) -> Standing {
        Standing::External(self.config.clone())
    }
}
