//! The service that asks about a domain: `domain-authority`.

use async_trait::async_trait;
use hermes_core::Json;
use hermes_core::wire::{ErrorClass, ServiceError};
use serde::Deserialize;
use serde_json::Value;

use crate::domain_authority::Sources;
use crate::service::{AttemptContext, Service, ServiceOutcome, Standing};
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

    fn standing(&self) -> Standing {
        let (asked, more) = self.sources.in_words();
        let more = if more.is_empty() { String::new() } else { format!("; more by {}", more.join(", ")) };
        Standing::Ready { with: format!("built in, asks {}{more}", asked.join(", ")) }
    }

    fn concurrency(&self) -> usize {
        DOMAINS_AT_A_TIME
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use hermes_core::ports::http::Reach;

    use super::*;

    #[test]
    fn it_says_whom_it_asks_and_which_keys_would_add_more() {
        let standing = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            let sources = Sources::new(&pairs.collect::<BTreeMap<_, _>>(), None, None, Reach::Public);
            match DomainAuthority::new(sources.expect("well")).standing() {
                Standing::Ready { with } => with,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(
            standing(&[]),
            "built in, asks RDAP, Tranco; more by DNS and certificates, which cannot be looked up here, \
             OPEN_PAGERANK_API_KEY, DATAFORSEO_LOGIN"
        );
        let keyed =
            standing(&[("OPEN_PAGERANK_API_KEY", "k"), ("DATAFORSEO_LOGIN", "l"), ("DATAFORSEO_PASSWORD", "p")]);
        assert!(keyed.starts_with("built in, asks RDAP, Tranco, Open PageRank, DataForSEO;"), "{keyed}");
    }
}
