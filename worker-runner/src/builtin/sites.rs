//! The services that read a website, as services: `technical-seo` and `vitals-monitor`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hermes_core::Json;
use hermes_core::ports::browser::Browser;
use hermes_core::ports::http::Reach;
use hermes_core::wire::{ErrorClass, ServiceError};
use hermes_diagnosis::signal::Measurement;
use serde_json::Value;

use crate::service::{AttemptContext, Service, ServiceOutcome, Standing};
use crate::site::SiteError;
use crate::technical_seo::{self, CrawlOptions};
use crate::vitals_monitor::field::{CRUX_API_KEY, Crux};
use crate::vitals_monitor::{self, Instruments, VitalsOptions};

/// Sites at a time: reading pages takes memory and processor time.
const SITES_AT_A_TIME: usize = 8;
/// The same where a browser loads them: one page at a time on a machine, while others are read over plain HTTP.
const BROWSED_AT_A_TIME: usize = 3;

/// Crawls a site; worker key `crawl_render`.
#[derive(Clone, Copy, Debug)]
pub struct TechnicalSeo {
    /// Which addresses may be fetched from.
    pub reach: Reach,
}

/// Measures how a site loads; worker key `core_web_vitals`.
#[derive(Clone, Debug)]
pub struct VitalsMonitor {
    /// Which addresses may be fetched from.
    pub reach: Reach,
    /// A browser, if this process has one.
    pub browser: Option<Arc<dyn Browser>>,
    /// An account of the Chrome UX Report, if one is configured.
    pub crux: Option<Crux>,
}

#[async_trait]
impl Service for TechnicalSeo {
    async fn run(&self, attempt: &AttemptContext<'_>) -> ServiceOutcome {
        let measured = match CrawlOptions::from_params(&params(attempt), self.reach) {
            Ok(options) => technical_seo::audit(attempt.http, &attempt.job.domain, &options, attempt.deadline).await,
            Err(error) => Err(error),
        };
        outcome(measured)
    }

    fn concurrency(&self) -> usize {
        SITES_AT_A_TIME
    }
}

#[async_trait]
impl Service for VitalsMonitor {
    async fn run(&self, attempt: &AttemptContext<'_>) -> ServiceOutcome {
        let instruments =
            Instruments { http: attempt.http, browser: self.browser.as_deref(), crux: self.crux.as_ref() };
        let measured = match VitalsOptions::from_params(&params(attempt), self.reach) {
            Ok(options) => vitals_monitor::measure(instruments, &attempt.job.domain, &options, attempt.deadline).await,
            Err(error) => Err(error),
        };
        outcome(measured)
    }

    fn standing(&self) -> Standing {
        let lab = match &self.browser {
            Some(browser) if browser.is_there().is_ok() => "built in, with a browser",
            Some(_) | None => "built in, over plain HTTP alone for want of a browser",
        };
        let field = match self.crux {
            Some(_) => "what real users saw by the Chrome UX Report".to_owned(),
            None => format!("{CRUX_API_KEY} would add what real users saw"),
        };
        Standing::Ready { with: format!("{lab}; {field}") }
    }

    fn concurrency(&self) -> usize {
        if self.browser.is_some() { BROWSED_AT_A_TIME } else { SITES_AT_A_TIME }
    }
}

pub(super) fn params(attempt: &AttemptContext<'_>) -> Value {
    attempt.job.params.read().expect("the JSON was checked when it was read")
}

fn outcome(measured: Result<Measurement, SiteError>) -> ServiceOutcome {
    match measured {
        Ok(measurement) => ServiceOutcome::Completed(Json::of(&measurement)),
        Err(error) => failed(&error),
    }
}

/// A failure that a site caused.
pub(super) fn failed(error: &SiteError) -> ServiceOutcome {
    ServiceOutcome::Failed {
        error: ServiceError::new(class(error), error.to_string()),
        retryable: error.retryable(),
        retry_after_ms: error.retry_after().map(in_ms),
    }
}

pub(super) fn in_ms(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
}

/// What kind of failure it is, told by the remedy.
fn class(error: &SiteError) -> ErrorClass {
    match error {
        SiteError::Options(_) => ErrorClass::InvalidInput,
        SiteError::Dns(_) => ErrorClass::Dns,
        SiteError::Connect(_) | SiteError::Protocol(_) => ErrorClass::Connection,
        SiteError::Tls(_) => ErrorClass::Tls,
        SiteError::Timeout(_) | SiteError::OutOfTime => ErrorClass::Timeout,
        SiteError::PrivateTarget(_) | SiteError::Disallowed { .. } => ErrorClass::TargetRefused,
        SiteError::HeldBack { .. } => ErrorClass::RateLimited,
        SiteError::Redirects { .. } => ErrorClass::UnexpectedRedirect,
        SiteError::TurnedAway { status, .. } | SiteError::ErrorPage { status, .. } => by_status(*status),
    }
}

fn by_status(status: u16) -> ErrorClass {
    match status {
        401 | 403 => ErrorClass::Authentication,
        404 | 410 => ErrorClass::NotFound,
        429 => ErrorClass::RateLimited,
        500..=599 => ErrorClass::ServerError,
        _ => ErrorClass::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use hermes_core::ports::http::HttpError;

    use super::*;

    #[test]
    fn a_site_that_cannot_be_measured_fails_the_service_with_its_class_and_text() {
        let refused = HttpError::Refused { host: "intranet".to_owned(), address: "10.0.0.1".to_owned() };
        let ServiceOutcome::Failed { error, retryable, retry_after_ms } = outcome(Err(refused.into())) else {
            panic!("a failure")
        };
        assert_eq!((error.class, retryable, retry_after_ms), (ErrorClass::TargetRefused, false, None));
        assert!(error.message.contains("10.0.0.1"), "{}", error.message);
    }

    #[test]
    fn a_site_that_asks_to_wait_is_waited_for() {
        let error = SiteError::TurnedAway {
            host: "example.com".to_owned(),
            status: 429,
            wall: "rate limit",
            retry_after: Some(Duration::from_secs(7)),
        };
        let ServiceOutcome::Failed { error, retryable, retry_after_ms } = outcome(Err(error)) else {
            panic!("a failure")
        };
        assert_eq!((error.class, retryable, retry_after_ms), (ErrorClass::RateLimited, true, Some(7_000)));
    }
}
