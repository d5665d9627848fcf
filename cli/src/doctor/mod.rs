//! What `hermes doctor` finds out: for each service whether it is ready or what it lacks, where values came from, and
//! whether what a Hermes stands on answers.
//!
//! Values are never shown, only their names and sources.

mod examine;
mod ground;
mod machine;

use serde::Serialize;

pub(crate) use examine::{examine, values};
pub(crate) use ground::{embedded, fleet};
pub(crate) use machine::Machine;

/// All that was found out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The version of this program.
    pub version: String,
    /// The plan whose required services decide whether all is well.
    pub plan_id: String,
    /// Whether everything that is required is ready.
    pub is_ready: bool,
    /// The services of the shipped plans.
    pub services: Vec<ServiceReport>,
    /// What configures workers and providers.
    pub values: Vec<ValueReport>,
    /// What a Hermes stands on: sources of secrets, store, queue.
    pub ground: Vec<Check>,
}

/// One service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServiceReport {
    /// Its name in plans.
    pub service: String,
    /// Its worker key.
    pub worker_key: String,
    /// Whether the plan needs it.
    pub required: bool,
    /// Whether it can do its work.
    pub is_ready: bool,
    /// What it works with, or what it lacks and the remedy.
    pub detail: String,
    /// What an external worker said when it was asked; what a built-in one finds on this machine.
    pub checks: Vec<Check>,
}

/// The name of a value and where it came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ValueReport {
    /// Its name, such as `BRAVE_API_KEY`.
    pub name: String,
    /// Its source, such as `environment`.
    pub source: String,
}

/// Something that was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What: `/health`, `store` …
    pub name: String,
    /// Whether it works.
    pub is_well: bool,
    /// In words.
    pub detail: String,
}

impl Report {
    /// Puts the parts together: all is well if every required service is ready and the ground holds.
    #[must_use]
    pub fn new(plan_id: String, services: Vec<ServiceReport>, values: Vec<ValueReport>, ground: Vec<Check>) -> Self {
        let is_ready = services.iter().all(|service| service.is_ready || !service.required)
            && ground.iter().all(|check| check.is_well);
        Self { version: env!("CARGO_PKG_VERSION").to_owned(), plan_id, is_ready, services, values, ground }
    }
}
