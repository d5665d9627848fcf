//! A plan as people write it: in YAML files and over the API. Nothing is checked here but the shape.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Attempts at a service unless its plan says otherwise.
pub const MAX_ATTEMPTS_DEFAULT: u32 = 3;

/// A plan as written. `TryFrom<PlanSpec> for Plan` validates it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanSpec {
    /// Name with version by convention: `standard-v1`.
    #[serde(alias = "planId")]
    pub plan_id: String,
    /// Name for people.
    pub name: String,
    /// What the plan is for.
    #[serde(default)]
    pub description: String,
    /// Milliseconds from acceptance to the run's deadline.
    #[serde(alias = "maxRunDurationMs", alias = "maxDurationMs")]
    pub max_duration_ms: u64,
    /// What becomes of results that come after their service was given up.
    #[serde(default, alias = "lateResults", skip_serializing_if = "LateResults::is_default")]
    pub late_results: LateResults,
    /// The services, in the order in which they are shown.
    pub services: Vec<ServiceSpec>,
}

/// What becomes of a result that comes after its service timed out. It is kept in any case, and neither the service nor
/// the run settles anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LateResults {
    /// It is kept, and changes nothing.
    #[default]
    Keep,
    /// The diagnosis counts it; one that was made already is amended, and both can be read.
    Amend,
}

impl LateResults {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A service as written. The camelCase names of the original system are accepted as well.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceSpec {
    /// Name within the plan: `technical-seo`.
    pub service: String,
    /// Name for people; the service's name if absent.
    #[serde(default, alias = "displayName", skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// The queue from which workers take this service's jobs.
    #[serde(alias = "workerKey")]
    pub worker_key: String,
    /// Services that must have completed before this one starts.
    #[serde(default, alias = "dependsOn")]
    pub depends_on: Vec<String>,
    /// Whether the diagnosis counts on it; changes confidence, not flow.
    #[serde(default = "default_required")]
    pub required: bool,
    /// Milliseconds that one attempt may take.
    #[serde(alias = "timeoutMs")]
    pub timeout_ms: u64,
    /// Attempts within one revision of a run.
    #[serde(default = "default_max_attempts", alias = "maxAttempts")]
    pub max_attempts: u32,
    /// What the worker is told beside the website; not interpreted here.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub params: Map<String, Value>,
}

const fn default_required() -> bool {
    true
}

const fn default_max_attempts() -> u32 {
    MAX_ATTEMPTS_DEFAULT
}
