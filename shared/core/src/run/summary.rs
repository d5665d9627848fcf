//! What a settled run is told as: the customer's `summary` and the last `run_status` event.

use serde::{Deserialize, Serialize};

use crate::ids::{Domain, EventId, PlanId, RunId, WebsiteId};
use crate::kbase::{RunEnd, ServiceOutcome};
use crate::status::{RunStatus, ServiceStatus};
use crate::time::Timestamp;
use crate::wire::ErrorClass;

use super::Run;

/// The customer's run summary, member by member (camelCase). For an open run it shows what is known so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunSummary {
    /// The run.
    pub run_id: RunId,
    /// The website that the run looks at.
    pub website_id: WebsiteId,
    /// The domain that the run looks at.
    pub domain: Domain,
    /// The plan's id.
    pub plan_id: PlanId,
    /// Where the run is.
    pub status: RunStatus,
    /// When the revision began.
    pub started_at: Timestamp,
    /// When it settled.
    pub completed_at: Option<Timestamp>,
    /// Milliseconds between the two.
    pub duration_ms: Option<u64>,
    /// Services with a result.
    pub services_completed: u32,
    /// Services that failed.
    pub services_failed: u32,
    /// Services that timed out.
    pub services_timeout: u32,
    /// Services that were skipped.
    pub services_skipped: u32,
    /// All services of the plan.
    pub services_total: u32,
    /// The diagnosis.
    pub diagnosis_event_id: Option<EventId>,
    /// Why the run failed, or why it has no diagnosis.
    pub error: Option<String>,
}

impl Run {
    /// How many services have `status`.
    #[must_use]
    pub fn count(&self, status: ServiceStatus) -> u32 {
        let count = self.state.services.iter().filter(|service| service.status == status).count();
        u32::try_from(count).expect("PLAN_SERVICES_MAX fits into u32")
    }

    /// The customer's summary.
    #[must_use]
    pub fn summary(&self) -> RunSummary {
        let state = &self.state;
        RunSummary {
            run_id: state.run_id,
            website_id: state.website_id.clone(),
            domain: state.domain.clone(),
            plan_id: self.plan.id().clone(),
            status: state.status,
            started_at: state.started_at,
            completed_at: state.settled_at,
            duration_ms: state.settled_at.map(|at| at.since_ms(state.started_at)),
            services_completed: self.count(ServiceStatus::Completed),
            services_failed: self.count(ServiceStatus::Failed),
            services_timeout: self.count(ServiceStatus::Timeout),
            services_skipped: self.count(ServiceStatus::Skipped),
            services_total: u32::try_from(state.services.len()).expect("PLAN_SERVICES_MAX fits into u32"),
            diagnosis_event_id: self.diagnosis_event_id(),
            error: self.error(),
        }
    }

    fn error(&self) -> Option<String> {
        let nothing = || match self.state.status {
            RunStatus::Failed => Some("No service completed".to_owned()),
            RunStatus::Timeout => Some("The run's deadline passed".to_owned()),
            RunStatus::Cancelled => Some("The run was cancelled".to_owned()),
            RunStatus::Started | RunStatus::Running | RunStatus::Completed => None,
        };
        self.state.synthesis_error.clone().or_else(nothing)
    }

    /// The status that follows from the services once all have settled.
    #[must_use]
    pub fn verdict(&self) -> RunStatus {
        let past_deadline = |class: ErrorClass| class == ErrorClass::DeadlinePassed;
        if self.count(ServiceStatus::Cancelled) > 0 {
            RunStatus::Cancelled
        } else if self.state.services.iter().any(|state| {
            state.status == ServiceStatus::Timeout
                && state.error.as_ref().is_some_and(|error| past_deadline(error.class))
        }) {
            RunStatus::Timeout
        } else if self.count(ServiceStatus::Completed) == 0 {
            RunStatus::Failed
        } else {
            RunStatus::Completed
        }
    }

    pub(super) fn run_end(
        &self,
        now: Timestamp,
        diagnosis_seq: Option<u64>,
        synthesis_error: Option<String>,
    ) -> RunEnd {
        let outcomes = self.services().map(|(service, state)| ServiceOutcome {
            service: service.name().clone(),
            status: state.status,
            duration_ms: state.duration_ms,
            error: state.error.as_ref().map(|error| error.message.clone()),
        });
        RunEnd {
            status: self.verdict(),
            plan_id: self.plan.id().clone(),
            domain: self.state.domain.clone(),
            started_at: self.state.started_at,
            completed_at: now,
            duration_ms: now.since_ms(self.state.started_at),
            services_completed: self.count(ServiceStatus::Completed),
            services_failed: self.count(ServiceStatus::Failed),
            services_timeout: self.count(ServiceStatus::Timeout),
            services_skipped: self.count(ServiceStatus::Skipped),
            services_cancelled: self.count(ServiceStatus::Cancelled),
            services_total: u32::try_from(self.state.services.len()).expect("PLAN_SERVICES_MAX fits into u32"),
            diagnosis_event_id: diagnosis_seq.map(|seq| EventId { run_id: self.state.run_id, seq }),
            synthesis_error,
            service_results: outcomes.collect(),
        }
    }
}
