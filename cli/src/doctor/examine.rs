//! The services: what their configuration tells, and what external workers say.

use std::time::Duration;

use futures::future::join_all;
use hermes_core::plan::{self, Plan};
use hermes_core::ports::http::Http;
use hermes_core::{Configured, WorkerKey};
use hermes_worker_runner::http_worker::{self, WorkerConfig};
use hermes_worker_runner::{Registry, Standing};

use super::machine::Machine;
use super::{Check, ServiceReport, ValueReport};

/// How long an external worker may take to answer one question. A smoke test does a little work.
const ANSWER_MS: u64 = 20_000;

/// Looks at the services of the shipped plans, as a process on this machine is equipped. `plan` says which of them are
/// required.
pub(crate) async fn examine(plan: &Plan, machine: &Machine, http: &dyn Http) -> Vec<ServiceReport> {
    let mut services: Vec<(String, WorkerKey, bool)> = Vec::new();
    // Those of the plan first, in its order, and then what other plans have beside.
    for planned in std::iter::once(plan).chain(&plan::shipped()).flat_map(Plan::services) {
        if !services.iter().any(|(name, ..)| name == planned.name().as_str()) {
            let is_required = plan.services().iter().any(|own| own.name() == planned.name() && own.required());
            services.push((planned.name().to_string(), planned.worker_key().clone(), is_required));
        }
    }
    let equipment = machine.equipment();
    let reports = services.into_iter().map(async |(service, worker_key, required)| {
        let registry = Registry::for_keys(std::slice::from_ref(&worker_key), &equipment);
        let standing = match registry {
            Ok(registry) => registry.get(&worker_key).expect("it was asked for").standing(),
            Err(error) => Standing::Lacks { what: error.to_string() },
        };
        let (is_ready, detail, checks) = match standing {
            Standing::Ready { with } => (true, with, machine.checks(&worker_key).await),
            Standing::Lacks { what } => (false, what, Vec::new()),
            Standing::External(config) => {
                let checks = ask(http, &config).await;
                let is_well = checks.iter().all(|check| check.is_well);
                (is_well, format!("external worker {}", config.base_url()), checks)
            }
        };
        ServiceReport { service, worker_key: worker_key.to_string(), required, is_ready, detail, checks }
    });
    join_all(reports).await
}

/// The values that configure workers and providers, by their names.
pub(crate) fn values(configured: &Configured) -> Vec<ValueReport> {
    let value = |name: &str| {
        let source = configured.origin(name).map(ToString::to_string).unwrap_or_default();
        ValueReport { name: name.to_owned(), source }
    };
    configured.names().map(value).collect()
}

async fn ask(http: &dyn Http, config: &WorkerConfig) -> Vec<Check> {
    let mut checks = Vec::new();
    for name in ["health", "smoke-test"] {
        let examined = http_worker::examine(http, config, name, Duration::from_millis(ANSWER_MS)).await;
        let (is_well, detail) = match examined {
            Ok(examined) => {
                let version = examined.version.map(|version| format!(", version {version}")).unwrap_or_default();
                let outputs = if examined.outputs.is_empty() {
                    String::new()
                } else {
                    format!(", produces {}", examined.outputs.join(", "))
                };
                (true, format!("well{version}{outputs}"))
            }
            Err(problem) => (false, problem),
        };
        checks.push(Check { name: format!("/{name}"), is_well, detail });
        // A worker that is not well has no smoke test to pass.
        if !is_well {
            break;
        }
    }
    checks
}
