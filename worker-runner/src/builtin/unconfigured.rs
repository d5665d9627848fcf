//! Stands in for a worker that needs a provider and has none: fails at once and says what to configure, so that the
//! run goes on without it.

use async_trait::async_trait;
use hermes_core::wire::ServiceError;

use crate::service::{AttemptContext, Service, ServiceOutcome, Standing};

/// The service.
#[derive(Clone, Debug)]
pub struct Unconfigured {
    error: ServiceError,
}

impl Unconfigured {
    /// Fails every attempt with `error`.
    #[must_use]
    pub fn new(error: ServiceError) -> Self {
        Self { error }
    }
}

#[async_trait]
impl Service for Unconfigured {
    async fn run(&self, _: &AttemptContext<'_>) -> ServiceOutcome {
        ServiceOutcome::Failed { error: self.error.clone(), retryable: false, retry_after_ms: None }
    }

    fn standing(&self) -> Standing {
        Standing::Lacks { what: self.error.message.clone() }
    }
}
