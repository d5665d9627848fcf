//! Which service executes the jobs of which worker key.
//!
//! For each key, the first that applies: an external HTTP worker configured by environment variables; a built-in
//! service. Any other key is refused before anything starts. What is configured wrongly has a stand-in that says so.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use hermes_core::WorkerKey;
use hermes_core::ports::browser::Browser;
use hermes_core::ports::http::Reach;
use hermes_core::ports::names::Names;
use hermes_core::ports::ranks::Ranks;
use hermes_core::wire::{ErrorClass, ServiceError};

use crate::builtin::authority::DomainAuthority;
use crate::builtin::discreet;
use crate::builtin::external::External;
use crate::builtin::noop::Noop;
use crate::builtin::search::{CompetitiveIntelligence, SerpIntelligence};
use crate::builtin::sites::{TechnicalSeo, VitalsMonitor};
use crate::builtin::unconfigured::Unconfigured;
use crate::domain_authority::Sources;
use crate::http_worker::WorkerConfig;
use crate::http_worker::config::variables;
use crate::service::Service;
use crate::vitals_monitor::field::Crux;

/// Worker key of the built-in crawler.
pub const CRAWL_RENDER: &str = "crawl_render";
/// Worker key of the built-in measurement of loading times.
pub const CORE_WEB_VITALS: &str = "core_web_vitals";
/// Worker key of the built-in measurement of a domain's authority.
pub const BACKLINK_AUTHORITY: &str = "backlink_authority";
/// Worker key of [`Noop`].
pub const NOOP: &str = "noop";
/// Worker key of the built-in search.
pub const SERP_INTEL: &str = "serp_intel";
/// Worker key of the built-in comparison with competitors.
pub const COMPETITIVE_SNAPSHOT: &str = "competitive_snapshot";

/// Variables that end like this configure an external worker.
const BASE_URL_SUFFIX: &str = "_BASE_URL";

/// What services are made with: their configuration, and the ports that only some of them need.
#[derive(Clone)]
pub struct Equipment {
    /// Variables that configure workers and providers.
    pub environment: BTreeMap<String, String>,
    /// Which addresses the built-in services may fetch from; an external worker is called wherever its operator put it.
    pub reach: Reach,
    /// A browser, if there is one.
    pub browser: Option<Arc<dyn Browser>>,
    /// Looks up names; without it nothing is known about DNS and certificates.
    pub names: Option<Arc<dyn Names>>,
    /// Reads the lists of ranks that are kept on this machine.
    pub ranks: Option<Arc<dyn Ranks>>,
}

impl Equipment {
    /// Nothing but variables and a reach.
    #[must_use]
    pub fn new(environment: BTreeMap<String, String>, reach: Reach) -> Self {
        Self { environment, reach, names: None, ranks: None, browser: None }
    }
}

/// A worker key was asked for that nothing can serve: set the variables, or leave the key out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no worker for key {worker_key}: set {} and {}, or leave it out", variables[0], variables[1])]
pub struct Unservable {
    /// The key.
    pub worker_key: WorkerKey,
    /// The variables that would configure an external worker for it: base URL, API key.
    pub variables: [String; 2],
}

/// The services of one process.
#[derive(Clone, Default)]
pub struct Registry {
    services: BTreeMap<WorkerKey, Arc<dyn Service>>,
}

impl Registry {
    /// Finds a service for each of `keys`.
    ///
    /// # Errors
    /// [`Unservable`] for the first key that nothing serves.
    pub fn for_keys(keys: &[WorkerKey], equipment: &Equipment) -> Result<Self, Unservable> {
        let mut registry = Self::default();
        for key in keys {
            let service = external(key, &equipment.environment)
                .or_else(|| builtin(key, equipment).map(|service| discreet(service, &equipment.environment)))
                .ok_or_else(|| Unservable { worker_key: key.clone(), variables: variables(key) })?;
            registry.services.insert(key.clone(), service);
        }
        Ok(registry)
    }

    /// Lets `service` serve `key`, whatever served it before.
    #[must_use]
    pub fn with(mut self, key: WorkerKey, service: Arc<dyn Service>) -> Self {
        self.services.insert(key, service);
        self
    }

    /// The service of a key.
    #[must_use]
    pub fn get(&self, key: &WorkerKey) -> Option<Arc<dyn Service>> {
        self.services.get(key).cloned()
    }

    /// The keys that have a service.
    #[must_use]
    pub fn keys(&self) -> Vec<WorkerKey> {
        self.services.keys().cloned().collect()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.services.keys()).finish()
    }
}

/// What a worker-runner serves that was told nothing: the worker keys of the shipped plans, `noop`, and every key that
/// `environment` configures (`MY_WORKER_BASE_URL` configures `my_worker`).
#[must_use]
pub fn all_servable(environment: &BTreeMap<String, String>) -> Vec<WorkerKey> {
    let shipped = [CRAWL_RENDER, CORE_WEB_VITALS, BACKLINK_AUTHORITY, SERP_INTEL, COMPETITIVE_SNAPSHOT, NOOP];
    let mut keys: BTreeSet<WorkerKey> =
        shipped.iter().map(|key| key.parse().expect("the names above are worker keys")).collect();
    let configured = environment
        .iter()
        .filter(|(_, value)| !value.trim().is_empty())
        .filter_map(|(variable, _)| variable.strip_suffix(BASE_URL_SUFFIX))
        // Our own settings are not workers.
        .filter(|stem| !stem.starts_with("HERMES"));
    keys.extend(configured.filter_map(|stem| stem.to_ascii_lowercase().parse().ok()));
    keys.into_iter().collect()
}

fn external(key: &WorkerKey, environment: &BTreeMap<String, String>) -> Option<Arc<dyn Service>> {
    match WorkerConfig::from_lookup(key, &|variable| environment.get(variable).cloned()) {
        Ok(None) => None,
        Ok(Some(config)) => Some(Arc::new(External::new(config))),
        // Wrong configuration fails the service, not the process: the other workers go on.
        Err(error) => Some(Arc::new(Unconfigured::new(error.into()))),
    }
}

fn builtin(key: &WorkerKey, equipment: &Equipment) -> Option<Arc<dyn Service>> {
    match key.as_str() {
        NOOP => Some(Arc::new(Noop)),
        CRAWL_RENDER => Some(Arc::new(TechnicalSeo { reach: equipment.reach })),
        CORE_WEB_VITALS => Some(vitals_monitor(equipment)),
        COMPETITIVE_SNAPSHOT => Some(Arc::new(CompetitiveIntelligence {
            reach: equipment.reach,
            browser: equipment.browser.clone(),
            sources: sources(equipment),
        })),
        SERP_INTEL => {
            let environment = Arc::new(equipment.environment.clone());
            Some(Arc::new(SerpIntelligence { environment, reach: equipment.reach }))
        }
        BACKLINK_AUTHORITY => Some(authority(equipment)),
        _ => None,
    }
}

fn vitals_monitor(equipment: &Equipment) -> Arc<dyn Service> {
    match Crux::configured(&equipment.environment) {
        Ok(crux) => Arc::new(VitalsMonitor { reach: equipment.reach, browser: equipment.browser.clone(), crux }),
        // Wrong configuration fails the service, not the process: the other workers go on.
        Err(why) => Arc::new(Unconfigured::new(ServiceError::new(ErrorClass::NotConfigured, why))),
    }
}

fn sources(equipment: &Equipment) -> Result<Sources, String> {
    let Equipment { environment, reach, names, ranks, browser: _ } = equipment;
    Sources::new(environment, names.clone(), ranks.clone(), *reach)
}

fn authority(equipment: &Equipment) -> Arc<dyn Service> {
    match sources(equipment) {
        Ok(sources) => Arc::new(DomainAuthority::new(sources)),
        // Wrong configuration fails the service, not the process: the other workers go on.
        Err(problem) => Arc::new(Unconfigured::new(ServiceError::new(ErrorClass::NotConfigured, problem))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::ServiceOutcome;
    use crate::site::fake::FakeSite;
    use crate::tests::{NoHttp, execute, job_for};

    fn key(text: &str) -> WorkerKey {
        text.parse().expect("valid")
    }

    fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn public(environment: BTreeMap<String, String>) -> Equipment {
        Equipment::new(environment, Reach::Public)
    }

    #[test]
    fn every_key_that_is_servable_by_default_has_a_service() {
        let environment = environment(&[
            ("MY_WORKER_BASE_URL", "https://worker.example"),
            ("MY_WORKER_API_KEY", "k"),
            ("EMPTY_BASE_URL", " "),
            ("HERMES_SOMETHING_BASE_URL", "https://worker.example"),
        ]);
        let keys = all_servable(&environment);
        let names: Vec<_> = keys.iter().map(WorkerKey::as_str).collect();
        let expected = [
            "backlink_authority",
            "competitive_snapshot",
            "core_web_vitals",
            "crawl_render",
            "my_worker",
            "noop",
            "serp_intel",
        ];
        assert_eq!(names, expected);
        assert_eq!(Registry::for_keys(&keys, &public(environment)).expect("all").keys(), keys);
    }

    #[test]
    fn a_key_that_nothing_serves_is_refused_with_the_names_of_its_variables() {
        let error =
            Registry::for_keys(&[key("noop"), key("my-worker")], &public(BTreeMap::new())).expect_err("not configured");
        assert_eq!(
            error.to_string(),
            "there is no worker for key my-worker: set MY_WORKER_BASE_URL and MY_WORKER_API_KEY, or leave it out"
        );
    }

    async fn failure(worker_key: &str, environment: &BTreeMap<String, String>) -> (ErrorClass, String) {
        let registry = Registry::for_keys(&[key(worker_key)], &public(environment.clone())).expect("servable");
        let service = registry.get(&key(worker_key)).expect("served");
        match execute(&*service, &job_for(worker_key), &NoHttp).await {
            ServiceOutcome::Failed { error, retryable: false, .. } => (error.class, error.message),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_wrong_setting_of_a_source_fails_its_service_and_names_the_variable() {
        for (variable, value) in [("TRANCO_ENDPOINT", "tranco-list.eu"), ("DATAFORSEO_LOGIN", "somebody")] {
            let (class, message) = failure(BACKLINK_AUTHORITY, &environment(&[(variable, value)])).await;
            assert_eq!(class, ErrorClass::NotConfigured);
            assert!(message.contains(variable), "{message}");
        }
    }

    #[tokio::test]
    async fn a_worker_with_a_base_url_and_no_key_fails_as_the_reference_says() {
        for worker_key in ["serp_intel", "crawl_render"] {
            let variable = &variables(&key(worker_key))[0];
            let environment = environment(&[(variable, "https://worker.example")]);
            let failed = failure(worker_key, &environment).await;
            assert_eq!(failed, (ErrorClass::NotConfigured, "Worker config invalid: No API key found".to_owned()));
        }
    }

    #[tokio::test]
    async fn a_configured_external_worker_replaces_the_built_in_one() {
        let environment =
            environment(&[("CRAWL_RENDER_BASE_URL", "https://worker.example/api"), ("CRAWL_RENDER_API_KEY", "k")]);
        let answer = r#"{"ok": true, "data": {"pages": 3}}"#;
        let http = FakeSite::new().answer("https://worker.example/api/run", 200, &[], answer);
        let registry = Registry::for_keys(&[key(CRAWL_RENDER)], &public(environment)).expect("servable");
        let service = registry.get(&key(CRAWL_RENDER)).expect("served");
        let outcome = execute(&*service, &job_for(CRAWL_RENDER), &http).await;
        let ServiceOutcome::Completed(result) = outcome else { panic!("{outcome:?}") };
        assert_eq!(result.get(), r#"{"pages": 3}"#);
    }

    #[tokio::test]
    async fn the_built_in_services_measure_a_site() {
        let http = FakeSite::new().page("https://example.com/", "<title>Example</title><p>Hello");
        for (worker_key, prefix) in [(CRAWL_RENDER, "tech."), (CORE_WEB_VITALS, "vitals.")] {
            let registry = Registry::for_keys(&[key(worker_key)], &public(BTreeMap::new())).expect("servable");
            let service = registry.get(&key(worker_key)).expect("served");
            let outcome = execute(&*service, &job_for(worker_key), &http).await;
            let ServiceOutcome::Completed(result) = outcome else { panic!("{outcome:?}") };
            assert!(result.get().contains(prefix), "{}", result.get());
        }
    }
}
