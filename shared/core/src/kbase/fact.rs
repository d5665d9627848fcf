//! What happened, as the engine sees it. Past tense; a run is the fold of its facts.

use serde::{Deserialize, Serialize};

use crate::ids::{Domain, EventId, PlanId, ServiceName};
use crate::json::Json;
use crate::status::{RunStatus, ServiceStatus};
use crate::time::Timestamp;
use crate::wire::ServiceError;

/// One thing that happened to a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// A revision of the run began: the first at acceptance, later ones by a re-run.
    RunStarted(RunStart),
    /// Services became ready by the same event and were handed to the queue.
    WaveQueued {
        /// Number of the wave within the run, from 1. A word for logs: nothing waits for a wave.
        wave: u32,
        /// Its services.
        services: Vec<QueuedService>,
    },
    /// A worker reported to be executing an attempt.
    ServiceStarted {
        /// The service.
        service: ServiceName,
        /// The attempt.
        attempt: u32,
        /// Identity of the worker process.
        worker: String,
    },
    /// An external worker took an attempt and will deliver the result later.
    ServiceDeferred {
        /// The service.
        service: ServiceName,
        /// The attempt.
        attempt: u32,
    },
    /// An attempt failed and another one will follow.
    AttemptFailed {
        /// The service.
        service: ServiceName,
        /// The attempt that failed.
        attempt: u32,
        /// Why.
        error: ServiceError,
        /// When the next attempt is due.
        retry_at: Timestamp,
    },
    /// A service completed.
    ServiceCompleted(ServiceResult),
    /// A service settled without a result: failed, timeout, skipped or cancelled.
    ServiceEnded(ServiceEnd),
    /// A report came for an attempt that was closed without an answer before. Nothing settles anew by it; a result may
    /// still count in the diagnosis ([`LateResults`](crate::plan::LateResults)).
    LateReported {
        /// The service.
        service: ServiceName,
        /// The attempt.
        attempt: u32,
        /// The result, if it was one.
        result: Option<Json>,
        /// The failure, if it was one.
        error: Option<ServiceError>,
    },
    /// Synthesis produced the diagnosis; after the settlement of the run, one that amends it.
    Diagnosed {
        /// The diagnosis.
        diagnosis: Json,
    },
    /// The run settled.
    RunSettled(RunEnd),
    /// A worker, or someone, wrote an event of their own under the run.
    Noted(NotedEvent),
}

/// How a revision of a run begins: payload of the first `run_status` event, as the reference shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunStart {
    /// Always `started`.
    pub status: RunStatus,
    /// The plan's id.
    pub plan_id: PlanId,
    /// The plan's name for people.
    pub plan_name: String,
    /// The domain that the run looks at.
    pub domain: Domain,
    /// When the revision began.
    pub started_at: Timestamp,
    /// The revision's deadline.
    pub timeout_at: Timestamp,
    /// The services that this revision will execute, in plan order.
    pub services_planned: Vec<ServiceName>,
    /// 1 for the first; left out then.
    #[serde(default = "first_revision", skip_serializing_if = "is_first_revision")]
    pub revision: u32,
}

const fn first_revision() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
const fn is_first_revision(revision: &u32) -> bool {
    *revision == 1
}

/// A service that was handed to the queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedService {
    /// The service.
    pub service: ServiceName,
    /// The attempt.
    pub attempt: u32,
    /// Milliseconds that the attempt may take: the service's time-out, trimmed to what the run has left.
    pub timeout_ms: u64,
}

/// A service's result.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceResult {
    /// The service.
    pub service: ServiceName,
    /// The attempt that counts.
    pub attempt: u32,
    /// Milliseconds of its execution.
    pub duration_ms: u64,
    /// The result as the worker gave it.
    pub data: Json,
}

/// How a service settled without a result.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceEnd {
    /// The service.
    pub service: ServiceName,
    /// Failed, timeout, skipped or cancelled.
    pub status: ServiceStatus,
    /// The last attempt; 0 if there was none.
    pub attempt: u32,
    /// Milliseconds of the last attempt, where there was one.
    pub duration_ms: Option<u64>,
    /// Whether a worker's report ended it; otherwise the dispatcher did, and a report may still come.
    pub answered: bool,
    /// Why.
    pub error: ServiceError,
    /// For a skipped service: from the dependency that did not complete to the one where it began.
    pub cause: Vec<CauseLink>,
}

/// One link of the chain that explains a skipped service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CauseLink {
    /// The service that did not complete.
    pub service: ServiceName,
    /// How it ended.
    pub status: ServiceStatus,
    /// Its error.
    pub error: String,
}

/// How a run ends: payload of the last `run_status` event, member by member as the reference shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunEnd {
    /// Terminal status.
    pub status: RunStatus,
    /// The plan's id.
    pub plan_id: PlanId,
    /// The domain that the run looked at.
    pub domain: Domain,
    /// When the revision began.
    pub started_at: Timestamp,
    /// When the run settled.
    pub completed_at: Timestamp,
    /// Milliseconds between the two.
    pub duration_ms: u64,
    /// Count of services by status.
    pub services_completed: u32,
    /// Count of failed services.
    pub services_failed: u32,
    /// Count of services that timed out.
    pub services_timeout: u32,
    /// Count of skipped services.
    pub services_skipped: u32,
    /// Count of cancelled services; left out when there are none, as in the reference.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub services_cancelled: u32,
    /// All services of the plan.
    pub services_total: u32,
    /// The diagnosis, if synthesis succeeded.
    pub diagnosis_event_id: Option<EventId>,
    /// Why there is no diagnosis.
    pub synthesis_error: Option<String>,
    /// Each service in plan order.
    pub service_results: Vec<ServiceOutcome>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
const fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// How one service ended, as the last `run_status` event lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceOutcome {
    /// The service.
    pub service: ServiceName,
    /// How it ended.
    pub status: ServiceStatus,
    /// Milliseconds of its last attempt.
    pub duration_ms: Option<u64>,
    /// Its error, in words.
    pub error: Option<String>,
}

/// An event that someone else wrote under a run.
#[derive(Clone, Debug, PartialEq)]
pub struct NotedEvent {
    /// Who speaks.
    pub service: String,
    /// What kind of event: none of the reserved types.
    pub kind: String,
    /// The content.
    pub payload: Json,
}
