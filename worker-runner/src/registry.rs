//! Which service executes the jobs of which worker key.
//!
//! For each key, the first that applies: an external HTTP worker configured by environment variables; a built-in
//! service; for the keys of the shipped plans, a stand-in that says what to configure. Any other key is refused before
//! anything starts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use hermes_core::WorkerKey;
use hermes_core::ports::http::Reach;

use crate::builtin::external::External;
use crate::builtin::noop::Noop;
use crate::builtin::unconfigured::Unconfigured;
use crate::http_worker::WorkerConfig;
use crate::http_worker::config::variables;
use crate::service::Service;

/// Worker key of the built-in crawler.
pub const CRAWL_RENDER: &str = "crawl_render";
/// Worker key of the built-in measurement of loading times.
pub const CORE_WEB_VITALS: &str = "core_web_vitals";
/// Worker key of [`Noop`].
pub const NOOP: &str = "noop";
/// Worker keys of the shipped plans that need a provider.
pub const NEED_PROVIDER: [&str; 3] = ["serp_intel", "backlink_authority", "competitive_snapshot"];

/// Variables that end like this configure an external worker.
const BASE_URL_SUFFIX: &str = "_BASE_URL";

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
    /// Finds a service for each of `keys`. `reach` says which addresses the built-in services may fetch from; an
    /// external worker is called wherever its operator put it.
    ///
    /// # Errors
    /// [`Unservable`] for the first key that nothing serves.
    pub fn for_keys(
        keys: &[WorkerKey],
        environment: &BTreeMap<String, String>,
        reach: Reach,
    ) -> Result<Self, Unservable> {
        let mut registry = Self::default();
        for key in keys {
            let service = external(key, environment)
                .or_else(|| builtin(key, reach))
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
    let shipped = [CRAWL_RENDER, CORE_WEB_VITALS, NOOP].into_iter().chain(NEED_PROVIDER);
    let mut keys: BTreeSet<WorkerKey> =
        shipped.map(|key| key.parse().expect("the names above are worker keys")).collect();
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

fn builtin(key: &WorkerKey, reach: Reach) -> Option<Arc<dyn Service>> {
    let _ = reach;
    match key.as_str() {
        NOOP => Some(Arc::new(Noop)),
        // TO BE JOINED
        CRAWL_RENDER | CORE_WEB_VITALS => Some(Arc::new(Unconfigured::new(WorkerConfig::missing(key)))),
        name if NEED_PROVIDER.contains(&name) => Some(Arc::new(Unconfigured::new(WorkerConfig::missing(key)))),
        _ => None,
    }
}
