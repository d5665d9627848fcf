//! What the commands read of the API's answers. Members that they do not need are left out, so that servers may say
//! more.

use hermes_core::ports::store::RunListing;
use hermes_core::run::Waiting;
use hermes_core::wire::ErrorClass;
use hermes_core::{
    Domain, Plan, PlanId, RunId, RunStatus, RunSummary, ServiceName, ServiceStatus, Timestamp, WebsiteId,
};
use serde::{Deserialize, Serialize};

/// A run that the user wants.
#[derive(Clone, Debug, Serialize)]
pub struct Submission {
    /// The website, as the user calls it.
    pub website_id: WebsiteId,
    /// What to look at.
    pub domain: Domain,
    /// The plan; the server's default without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan_id: Option<PlanId>,
}

/// One run.
#[derive(Clone, Debug, Deserialize)]
pub struct RunView {
    /// Identity.
    pub run_id: RunId,
    /// Where it is.
    pub status: RunStatus,
    /// 1, and one more with each re-run.
    pub revision: u32,
    /// When this revision must be settled.
    pub deadline_at: Timestamp,
    /// The customer's summary.
    pub summary: RunSummary,
    /// The services, in plan order.
    pub services: Vec<ServiceView>,
}

/// One service of a run.
#[derive(Clone, Debug, Deserialize)]
pub struct ServiceView {
    /// Name in the plan.
    pub service: ServiceName,
    /// Name for people.
    pub display_name: String,
    /// Where it is.
    pub status: ServiceStatus,
    /// The last attempt; 0 before the first.
    pub attempt: u32,
    /// Attempts that it may have.
    pub max_attempts: u32,
    /// Milliseconds of the attempt that settled it.
    pub duration_ms: Option<u64>,
    /// The last failure, or why it did not complete.
    pub error: Option<String>,
    /// The kind of failure.
    pub error_class: Option<ErrorClass>,
    /// For a skipped service: what did not complete.
    pub caused_by: Option<ServiceName>,
    /// For an open service: what it waits for.
    pub waiting: Option<Waiting>,
}

/// A page of runs.
#[derive(Clone, Debug, Deserialize)]
pub struct RunPage {
    /// The newest first.
    pub runs: Vec<RunListing>,
    /// Where the next page begins, if there is one.
    pub next_cursor: Option<RunId>,
}

/// One plan.
#[derive(Clone, Debug, Deserialize)]
pub struct PlanView {
    /// Name with version by convention.
    pub plan_id: PlanId,
    /// Name for people.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Milliseconds from acceptance to deadline.
    pub max_duration_ms: u64,
    /// Its services; only their names are shown.
    pub services: Vec<PlanService>,
}

/// One service of a plan.
#[derive(Clone, Debug, Deserialize)]
pub struct PlanService {
    /// Name in the plan.
    pub service: ServiceName,
}

impl PlanView {
    /// A plan that needs no server.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        Self {
            plan_id: plan.id().clone(),
            name: plan.name().to_owned(),
            description: plan.description().to_owned(),
            max_duration_ms: plan.max_duration_ms(),
            services: plan.services().iter().map(|service| PlanService { service: service.name().clone() }).collect(),
        }
    }
}
