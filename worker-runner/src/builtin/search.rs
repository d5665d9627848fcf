//! The services that live on search results, as services: `serp-intelligence` and `competitive-intelligence`.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use hermes_core::Json;
use hermes_core::ports::browser::Browser;
use hermes_core::ports::http::Reach;
use hermes_core::wire::ServiceError;

use super::sites::{self, params};
use crate::competitive_intelligence::{self, CompareOptions, Instruments};
use crate::domain_authority::Sources;
use crate::serp_intelligence::{self, SearchFailure, SearchOptions, provider};
use crate::service::{AttemptContext, Service, ServiceOutcome, Standing};

/// Sites at a time: each asks a provider dozens of queries.
const SITES_AT_A_TIME: usize = 4;

/// Looks where a site is found in search results; worker key `serp_intel`.
#[derive(Clone)]
pub struct SerpIntelligence {
    /// What configures the providers.
    pub environment: Arc<BTreeMap<String, String>>,
    /// Which addresses of the site may be fetched from.
    pub reach: Reach,
}

/// Compares a site with those that rank for the same queries; worker key `competitive_snapshot`.
pub struct CompetitiveIntelligence {
    /// Which addresses may be fetched from.
    pub reach: Reach,
    /// A browser, if this process has one.
    pub browser: Option<Arc<dyn Browser>>,
    /// Who knows where domains stand, or what is wrong with their configuration.
    pub sources: Result<Sources, String>,
}

#[async_trait]
impl Service for SerpIntelligence {
    async fn run(&self, attempt: &AttemptContext<'_>) -> ServiceOutcome {
        let options = match SearchOptions::from_params(&params(attempt), self.reach) {
            Ok(options) => options,
            Err(error) => return sites::failed(&error),
        };
        let (job, http) = (attempt.job, attempt.http);
        let (upstream, deadline) = (&job.upstream, attempt.deadline);
        match serp_intelligence::search(http, &job.domain, &options, &self.environment, upstream, deadline).await {
            Ok(result) => ServiceOutcome::Completed(Json::of(&result)),
            Err(SearchFailure::Site(error)) => sites::failed(&error),
            Err(failure) => ServiceOutcome::Failed {
                error: ServiceError::new(
                    failure.class().expect("only the failure of a site has no class of its own"),
                    failure.to_string(),
                ),
                retryable: failure.retryable(),
                retry_after_ms: failure.retry_after().map(sites::in_ms),
            },
        }
    }

    fn standing(&self) -> Standing {
        let chosen = provider::choose(&self.environment, None);
        match (chosen, provider::configured(&self.environment).first()) {
            (Ok(_), Some(name)) => Standing::Ready { with: format!("built in, over {name}") },
            (Ok(_), None) => Standing::Ready { with: "built in".to_owned() },
            (Err(problem), _) => Standing::Lacks { what: problem.to_string() },
        }
    }

    fn concurrency(&self) -> usize {
        SITES_AT_A_TIME
    }
}

#[async_trait]
impl Service for CompetitiveIntelligence {
    async fn run(&self, attempt: &AttemptContext<'_>) -> ServiceOutcome {
        let options = match CompareOptions::from_params(&params(attempt), self.reach) {
            Ok(options) => options,
            Err(error) => return sites::failed(&error),
        };
        let job = attempt.job;
        let instruments = Instruments {
            http: attempt.http,
            browser: self.browser.as_deref(),
            sources: self.sources.as_ref().map_err(String::as_str),
        };
        let compared =
            competitive_intelligence::compare(instruments, &job.domain, &options, &job.upstream, attempt.deadline)
                .await;
        match compared {
            Ok(measurement) => ServiceOutcome::Completed(Json::of(&measurement)),
            Err(nobody) => ServiceOutcome::failed(nobody.class(), nobody.to_string()),
        }
    }

    fn standing(&self) -> Standing {
        let speed = match &self.browser {
            Some(browser) if browser.is_there().is_ok() => "with a browser for loading times",
            Some(_) | None => "without loading times for want of a browser",
        };
        let authority = match &self.sources {
            Ok(_) => String::new(),
            Err(problem) => format!("; without authority: {problem}"),
        };
        let with = format!(
            "built in, {speed}; it takes search results of others by serp-intelligence, or `competitors` in its params{authority}"
        );
        Standing::Ready { with }
    }

    fn concurrency(&self) -> usize {
        SITES_AT_A_TIME
    }
}

#[cfg(test)]
mod tests {
    use hermes_core::wire::ErrorClass;
    use serde_json::{Value, json};

    use super::*;
    use crate::site::fake::FakeSite;
    use crate::tests::{NoHttp, execute, job_for};

    async fn failure(environment: &[(&str, &str)], params: Value) -> (ErrorClass, String) {
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let service = SerpIntelligence { environment: Arc::new(environment), reach: Reach::Public };
        let mut job = job_for("serp_intel");
        job.params = Json::of(&params);
        match execute(&service, &job, &NoHttp).await {
            ServiceOutcome::Failed { error, retryable: false, .. } => (error.class, error.message),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn without_a_provider_it_is_not_configured_and_says_how_to_configure_one() {
        let (class, message) = failure(&[], json!({})).await;
        assert_eq!(class, ErrorClass::NotConfigured);
        for words in ["docker run", "`search.formats`", "SEARXNG_URL=http://127.0.0.1:8888"] {
            assert!(message.contains(words), "{message}");
        }
        let (class, message) = failure(&[("SEARXNG_URL", "x")], json!({})).await;
        assert_eq!((class, message.contains("SEARXNG_URL must be")), (ErrorClass::NotConfigured, true), "{message}");
    }

    #[test]
    fn a_comparison_tells_whom_it_takes_to_compare_with_and_what_it_does_without() {
        let sources = Err("TRANCO_ENDPOINT is no URL".to_owned());
        let Standing::Ready { with } =
            (CompetitiveIntelligence { reach: Reach::Public, browser: None, sources }).standing()
        else {
            panic!("it can be given competitors")
        };
        for words in ["serp-intelligence", "`competitors`", "want of a browser", "TRANCO_ENDPOINT is no URL"] {
            assert!(with.contains(words), "{with}");
        }
    }

    #[tokio::test]
    async fn wrong_parameters_are_told_before_anything_is_asked() {
        let (class, message) = failure(&[("SEARXNG_URL", "http://searxng.test")], json!({"phrases": 99})).await;
        assert_eq!((class, message.contains("phrases")), (ErrorClass::InvalidInput, true), "{message}");
    }

    #[tokio::test]
    async fn a_result_holds_the_signals_and_what_they_were_made_from() {
        let shown = r#"{"results":[{"url":"https://example.com/","title":"Example"}],"unresponsive_engines":[]}"#;
        let at = |query: &str| {
            format!("http://searxng.test/search?q={query}&format=json&language=en-US&pageno=1&safesearch=0")
        };
        let mut http = FakeSite::new().page("https://example.com/", "<title>Example</title>");
        for query in ["tea", "example", "site%3Aexample.com"] {
            http = http.answer(&at(query), 200, &[("content-type", "application/json")], shown);
        }
        let environment = Arc::new(BTreeMap::from([("SEARXNG_URL".to_owned(), "http://searxng.test".to_owned())]));
        let service = SerpIntelligence { environment, reach: Reach::Public };
        let mut job = job_for("serp_intel");
        job.params = Json::of(&json!({"queries": ["tea"]}));
        let ServiceOutcome::Completed(result) = execute(&service, &job, &http).await else { panic!("it completes") };
        let result: Value = result.read().expect("JSON");
        assert_eq!((&result["schema"], &result["provider"]["name"]), (&json!("signals/1"), &json!("searxng")));
        assert_eq!(result["search"]["queries"][0]["position"], 1);
    }
}
