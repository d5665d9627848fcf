//! What a service that is not running waits for: nothing is ever stuck without a reason.

use serde::{Deserialize, Serialize};

use crate::ids::{ServiceName, WorkerKey};
use crate::status::ServiceStatus;
use crate::time::Timestamp;

use super::Run;

/// What an open service waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "for", rename_all = "snake_case")]
pub enum Waiting {
    /// These services must complete first.
    Dependencies {
        /// The ones that have not.
        services: Vec<ServiceName>,
    },
    /// The next attempt is due then.
    Retry {
        /// When.
        at: Timestamp,
    },
    /// The job is in the queue: a worker of this key must take it.
    Worker {
        /// The queue.
        worker_key: WorkerKey,
        /// Since when.
        since: Option<Timestamp>,
    },
    /// A worker has it.
    Result {
        /// The worker, as far as it is known.
        worker: Option<String>,
        /// Whether an external worker will deliver it by callback.
        by_callback: bool,
    },
}

impl Run {
    /// What the service at `position` of the plan waits for; `None` once it is settled.
    #[must_use]
    pub fn waiting(&self, position: usize) -> Option<Waiting> {
        let (service, state) = (&self.plan.services()[position], &self.state.services[position]);
        match state.status {
            ServiceStatus::Pending => Some(match state.retry_at {
                Some(at) => Waiting::Retry { at },
                None => Waiting::Dependencies { services: self.missing_dependencies(position) },
            }),
            ServiceStatus::Queued => {
                Some(Waiting::Worker { worker_key: service.worker_key().clone(), since: state.queued_at })
            }
            ServiceStatus::Running => {
                Some(Waiting::Result { worker: state.worker.clone(), by_callback: state.deferred })
            }
            ServiceStatus::Completed
            | ServiceStatus::Failed
            | ServiceStatus::Timeout
            | ServiceStatus::Skipped
            | ServiceStatus::Cancelled => None,
        }
    }

    fn missing_dependencies(&self, position: usize) -> Vec<ServiceName> {
        let targets = self.plan.services()[position].depends_on().iter();
        targets
            .filter(|&&target| self.state.services[target].status != ServiceStatus::Completed)
            .map(|&target| self.plan.services()[target].name().clone())
            .collect()
    }
}
