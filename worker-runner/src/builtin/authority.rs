//! The service that asks about a domain: `domain-authority`.

use async_trait::async_trait;
use hermes_core::Json;
use hermes_core::wire::{ErrorClass, ServiceError};
use serde::Deserialize;
use serde_json::Value;

use crate::domain_authority::Sources;
use crate::service::{AttemptContext, Service, ServiceOutcome};
use crate::site::params;

/// Domains at a time: an attempt is a handful of small exchanges that mostly wait.
const DOMAINS_AT_A_TIME: usize = 16;

/// Measures the authority of a domain; worker key `backlink_authority`.
pub struct DomainAuthority {
    sources: Sources,
}

/// There is nothing to choose: an unknown parameter is refused, so that nobody believes in it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {}

impl DomainAuthority {
    /// Asks these sources.
    #[must_use]
    pub const fn new(sources: Sources) -> Self {
        Self { sources }
    }
}

#[async_trait]
impl Service for DomainAuthority {
    async fn run(&self, attempt: &AttemptContext<'_>) -> ServiceOutcome {
        let given: Value = attempt.job.params.read().expect("the JSON was checked when it was read");
        if let Err(error) = params::read::<Parameters>(&given) {
            return ServiceOutcome::failed(ErrorClass::InvalidInput, error.to_string());
        }
        match self.sources.measure(attempt.http, &attempt.job.domain, attempt.deadline).await {
            Ok(measurement) => ServiceOutcome::Completed(Json::of(&measurement)),
            Err(nothing) => ServiceOutcome::Failed {
                error: ServiceError::new(ErrorClass::Connection, nothing.to_string()),
                retryable: nothing.may_pass,
                retry_after_ms: None,
            },
        }
    }

    fn concurrency(&self) -> usize {
        DOMAINS_AT_A_TIME
    }
}
