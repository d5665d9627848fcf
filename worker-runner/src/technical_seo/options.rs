//! What a plan can say about a crawl.

use std::time::Duration;

use hermes_core::ports::http::Reach;
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use crate::site::SiteError;
use crate::site::address::is_private_by_name;
use crate::site::params;

/// Most pages that a plan can ask for.
pub const PAGES_MAX: usize = 10_000;
/// Fastest pace that a plan can ask for, in requests per second.
pub const REQUESTS_PER_SECOND_MAX: f64 = 50.0;
/// Most connections at a time that a plan can ask for.
pub const CONNECTIONS_MAX: usize = 16;
/// Connections to a target that is private by its name, which needs no protection.
const PRIVATE_CONNECTIONS: usize = 8;

/// How a site is crawled. Read from the `params` of a service in a plan:
///
/// ```yaml
/// params: { pages: 500, requests_per_second: 2, connections: 2 }
/// ```
///
/// A target that is an address or name of a private network by itself (`127.0.0.1`, `localhost`) is crawled without
/// a pace and over more connections.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CrawlOptions {
    /// HTML pages that are read, at most. 1 to [`PAGES_MAX`], default 500.
    pub pages: usize,
    /// Requests per second to the site, at most. Above 0, up to [`REQUESTS_PER_SECOND_MAX`], default 2.
    pub requests_per_second: f64,
    /// Requests to the site at the same time, at most. 1 to [`CONNECTIONS_MAX`], default 2.
    pub connections: usize,
    /// Whether sitemaps are read. Default yes.
    pub sitemaps: bool,
    /// Which addresses may be reached. Not a parameter of the plan: the operator decides.
    #[serde(skip, default = "public")]
    pub reach: Reach,
}

fn public() -> Reach {
    Reach::Public
}

impl Default for CrawlOptions {
    fn default() -> Self {
        Self { pages: 500, requests_per_second: 2.0, connections: 2, sitemaps: true, reach: Reach::Public }
    }
}

impl CrawlOptions {
    /// Reads the parameters of a plan; `null` means that all have their defaults.
    ///
    /// # Errors
    /// [`SiteError::Options`] names the parameter that is unknown or out of its range.
    pub fn from_params(params: &Value, reach: Reach) -> Result<Self, SiteError> {
        let mut options: Self = params::read(params)?;
        options.reach = reach;
        options.check()?;
        Ok(options)
    }

    fn check(&self) -> Result<(), SiteError> {
        let wrong = |text: String| Err(SiteError::Options(text));
        if !(1..=PAGES_MAX).contains(&self.pages) {
            return wrong(format!("pages must be 1 to {PAGES_MAX}, not {}", self.pages));
        }
        if !(self.requests_per_second > 0.0 && self.requests_per_second <= REQUESTS_PER_SECOND_MAX) {
            return wrong(format!("requests_per_second must be above 0, up to {REQUESTS_PER_SECOND_MAX}"));
        }
        if !(1..=CONNECTIONS_MAX).contains(&self.connections) {
            return wrong(format!("connections must be 1 to {CONNECTIONS_MAX}, not {}", self.connections));
        }
        Ok(())
    }

    /// The least time between two requests to `target`.
    #[must_use]
    pub fn distance(&self, target: &Url) -> Duration {
        if self.is_private(target) { Duration::ZERO } else { Duration::from_secs_f64(1.0 / self.requests_per_second) }
    }

    /// Requests to `target` at the same time.
    #[must_use]
    pub fn connections(&self, target: &Url) -> usize {
        if self.is_private(target) { self.connections.max(PRIVATE_CONNECTIONS) } else { self.connections }
    }

    fn is_private(&self, target: &Url) -> bool {
        self.reach == Reach::Any && is_private_by_name(target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn without_parameters_everything_has_its_default() {
        let options = CrawlOptions::from_params(&Value::Null, Reach::Public).expect("defaults are valid");
        assert_eq!(options, CrawlOptions::default());
        assert_eq!(CrawlOptions::from_params(&json!({}), Reach::Public), Ok(options));
    }

    #[test]
    fn what_is_unknown_or_out_of_range_is_named() {
        for (params, word) in [
            (json!({"page": 1}), "page"),
            (json!({"pages": 0}), "pages"),
            (json!({"requests_per_second": 0}), "requests_per_second"),
            (json!({"connections": 99}), "connections"),
            (json!({"reach": "Any"}), "reach"),
            (json!([1]), "no object"),
        ] {
            let error = CrawlOptions::from_params(&params, Reach::Public).expect_err("wrong");
            assert!(error.to_string().contains(word), "{error}");
            assert!(!error.retryable());
        }
    }

    #[test]
    fn only_an_allowed_private_target_is_crawled_without_a_pace() {
        let (own, public) = (Url::parse("http://127.0.0.1:8080/"), Url::parse("https://example.com/"));
        let (own, public) = (own.expect("valid"), public.expect("valid"));
        let any = CrawlOptions { reach: Reach::Any, ..CrawlOptions::default() };
        assert_eq!((any.distance(&own), any.connections(&own)), (Duration::ZERO, PRIVATE_CONNECTIONS));
        assert_eq!((any.distance(&public), any.connections(&public)), (Duration::from_millis(500), 2));
        assert_eq!(CrawlOptions::default().connections(&own), 2);
    }
}
