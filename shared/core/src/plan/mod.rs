//! Plans: a named, validated DAG of services with a maximum duration.
//!
//! [`PlanSpec`] is what people write, [`Plan`] is what the engine trusts. A run carries its plan frozen: the
//! canonical text and its SHA-256, so that a later version never re-plans an open run.

mod shipped;
mod spec;
mod validate;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use shipped::shipped;
pub use spec::{LateResults, MAX_ATTEMPTS_DEFAULT, PlanSpec, ServiceSpec};
pub use validate::PlanProblem;

use crate::ids::{PlanId, ServiceName, WorkerKey};
use crate::json::Json;

/// A valid plan: at least one service, names unique, dependencies known and acyclic, all limits kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    id: PlanId,
    name: String,
    description: String,
    max_duration_ms: u64,
    late_results: LateResults,
    services: Vec<Service>,
    /// Positions of the services, in the order of their names.
    by_name: Vec<usize>,
    frozen: Arc<str>,
    hash: PlanHash,
}

/// A service of a valid plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    name: ServiceName,
    display_name: String,
    worker_key: WorkerKey,
    depends_on: Vec<usize>,
    dependents: Vec<usize>,
    required: bool,
    timeout_ms: u64,
    max_attempts: u32,
    params: Json,
}

/// SHA-256 of a plan's canonical text, in hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PlanHash(String);

/// A text is no valid plan. Completes "failed to read the plan: …".
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PlanError {
    /// The text does not have the shape of a plan; the message names the place.
    #[error("{0}")]
    Shape(String),
    /// The shape is right, the content is not: every problem that was found.
    #[error("{}", list(.0))]
    Invalid(Vec<PlanProblem>),
    /// A stored plan does not match its hash.
    #[error("the stored plan does not match its hash {0}")]
    HashMismatch(PlanHash),
}

fn list(problems: &[PlanProblem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl PlanHash {
    fn of(text: &str) -> Self {
        Self(hex::encode(Sha256::digest(text.as_bytes())))
    }

    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PlanHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Plan {
    /// Reads a plan from YAML (and so from JSON, too).
    pub fn from_yaml(text: &str) -> Result<Self, PlanError> {
        let spec: PlanSpec = serde_saphyr::from_str(text).map_err(|error| PlanError::Shape(error.to_string()))?;
        Self::try_from(spec)
    }

    /// Reads back what [`Self::frozen`] gave, and checks it against its hash.
    pub fn thaw(frozen: &str, hash: &str) -> Result<Self, PlanError> {
        let found = PlanHash::of(frozen);
        if found.as_str() != hash {
            return Err(PlanError::HashMismatch(PlanHash(hash.to_owned())));
        }
        let spec: PlanSpec = serde_json::from_str(frozen).map_err(|error| PlanError::Shape(error.to_string()))?;
        let plan = Self::try_from(spec)?;
        // A newer version may write defaults that the frozen text lacks: the text of the run stays what it was.
        Ok(Self { frozen: frozen.into(), hash: found, ..plan })
    }

    /// Name with version by convention.
    #[must_use]
    pub const fn id(&self) -> &PlanId {
        &self.id
    }

    /// Name for people.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the plan is for.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Milliseconds from acceptance to the run's deadline.
    #[must_use]
    pub const fn max_duration_ms(&self) -> u64 {
        self.max_duration_ms
    }

    /// What becomes of results that come after their service was given up.
    #[must_use]
    pub const fn late_results(&self) -> LateResults {
        self.late_results
    }

    /// The services, in the order of the plan.
    #[must_use]
    pub fn services(&self) -> &[Service] {
        &self.services
    }

    /// Position of a service in [`Self::services`].
    #[must_use]
    pub fn position(&self, name: &ServiceName) -> Option<usize> {
        let found = self.by_name.binary_search_by(|&position| self.services[position].name.cmp(name));
        found.ok().map(|place| self.by_name[place])
    }

    /// Canonical text: JSON of the specification with all defaults written out.
    #[must_use]
    pub fn frozen(&self) -> &str {
        &self.frozen
    }

    /// Content hash of [`Self::frozen`].
    #[must_use]
    pub const fn hash(&self) -> &PlanHash {
        &self.hash
    }
}

impl Service {
    /// Name within the plan.
    #[must_use]
    pub const fn name(&self) -> &ServiceName {
        &self.name
    }

    /// Name for people.
    #[must_use]
    pub fn display_name(&self) -> &str {
        &self.display_name
    }

    /// The queue from which workers take this service's jobs.
    #[must_use]
    pub const fn worker_key(&self) -> &WorkerKey {
        &self.worker_key
    }

    /// Positions of the services that must have completed before this one starts.
    #[must_use]
    pub fn depends_on(&self) -> &[usize] {
        &self.depends_on
    }

    /// Positions of the services that name this one among theirs, in the order of the plan.
    #[must_use]
    pub fn dependents(&self) -> &[usize] {
        &self.dependents
    }

    /// Whether the diagnosis counts on it.
    #[must_use]
    pub const fn required(&self) -> bool {
        self.required
    }

    /// Milliseconds that one attempt may take.
    #[must_use]
    pub const fn timeout_ms(&self) -> u64 {
        self.timeout_ms
    }

    /// Attempts within one revision of a run.
    #[must_use]
    pub const fn max_attempts(&self) -> u32 {
        self.max_attempts
    }

    /// What the worker is told beside the website: a JSON object.
    #[must_use]
    pub const fn params(&self) -> &Json {
        &self.params
    }
}

impl TryFrom<PlanSpec> for Plan {
    type Error = PlanError;

    fn try_from(spec: PlanSpec) -> Result<Self, PlanError> {
        let problems = validate::problems(&spec);
        if !problems.is_empty() {
            return Err(PlanError::Invalid(problems));
        }
        let frozen: Arc<str> = Json::of(&spec).get().into();
        let names: Vec<String> = spec.services.iter().map(|service| service.service.clone()).collect();
        let position: std::collections::HashMap<&str, usize> =
            names.iter().enumerate().map(|(position, name)| (name.as_str(), position)).collect();
        let mut services: Vec<Service> = spec.services.into_iter().map(|service| trusted(service, &position)).collect();
        for dependent in 0..services.len() {
            for target in services[dependent].depends_on.clone() {
                services[target].dependents.push(dependent);
            }
        }
        let mut by_name: Vec<usize> = (0..services.len()).collect();
        by_name.sort_unstable_by(|&one, &other| services[one].name.cmp(&services[other].name));
        Ok(Self {
            id: PlanId::from_str(&spec.plan_id).expect("validate::problems checked plan_id"),
            name: spec.name,
            description: spec.description,
            max_duration_ms: spec.max_duration_ms,
            late_results: spec.late_results,
            services,
            by_name,
            hash: PlanHash::of(&frozen),
            frozen,
        })
    }
}

fn trusted(spec: ServiceSpec, position: &std::collections::HashMap<&str, usize>) -> Service {
    Service {
        display_name: spec.display_name.unwrap_or_else(|| spec.service.clone()),
        name: ServiceName::from_str(&spec.service).expect("validate::problems checked service"),
        worker_key: WorkerKey::from_str(&spec.worker_key).expect("validate::problems checked worker_key"),
        depends_on: spec.depends_on.iter().map(|name| position[name.as_str()]).collect(),
        dependents: Vec::new(),
        required: spec.required,
        timeout_ms: spec.timeout_ms,
        max_attempts: spec.max_attempts,
        params: Json::of(&spec.params),
    }
}

#[cfg(test)]
mod tests;
