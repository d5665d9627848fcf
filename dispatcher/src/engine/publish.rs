//! From orders to jobs: adds what a worker must know, results of dependencies above all, and hands them to the queue.

use std::collections::BTreeMap;

use hermes_core::kbase::{Fact, KbaseEvent, LATE_RESULT, RESULT};
use hermes_core::ports::store::StoreError;
use hermes_core::run::JobOrder;
use hermes_core::wire::{Callback, Job, JobId, WIRE_VERSION};
use hermes_core::{EventId, Json, Run};
use tracing::warn;

use super::Shared;
use super::hot::Results;
use super::transition::Outbox;

impl Shared {
    /// Publishes what committed decisions ordered. A failure is logged and left to the reconciler.
    pub(super) async fn publish(&self, runs: &[(Run, Outbox)]) {
        let orders: Vec<(&Run, &JobOrder, &Results)> = runs
            .iter()
            .flat_map(|(run, outbox)| outbox.publish.iter().map(move |order| (run, order, &outbox.results)))
            .collect();
        if orders.is_empty() {
            return;
        }
        let jobs = match self.jobs(&orders).await {
            Ok(jobs) => jobs,
            Err(error) => {
                warn!(error = %error, jobs = orders.len(), "cannot read what jobs need, left to the reconciler");
                return;
            }
        };
        if let Err(error) = self.queue.publish(&jobs).await {
            self.metrics.publish_failures.inc();
            warn!(error = %error, jobs = jobs.len(), "cannot publish jobs, left to the reconciler");
        }
    }

    /// The jobs for these orders. Results come from those that are known already where they are there, from the store
    /// otherwise.
    pub(super) async fn jobs(&self, orders: &[(&Run, &JobOrder, &Results)]) -> Result<Vec<Job>, StoreError> {
        let missing: Vec<EventId> = orders
            .iter()
            .flat_map(|(run, order, known)| {
                upstream(run, &order.id).map(|(_, event_id)| event_id).filter(|event_id| !known.contains_key(event_id))
            })
            .collect();
        let mut read = Results::new();
        if !missing.is_empty() {
            let found = self.store.events(&missing).await?;
            read.extend(found.iter().filter_map(|event| Some((event.event_id, result_of(event)?))));
        }
        Ok(orders.iter().map(|(run, order, known)| self.job(run, order, &[known, &read])).collect())
    }

    fn job(&self, run: &Run, order: &JobOrder, results: &[&Results]) -> Job {
        let position = run.plan().position(&order.id.service).expect("orders name services of their plan");
        let upstream: BTreeMap<_, _> = upstream(run, &order.id)
            .filter_map(|(service, event_id)| {
                let result = results.iter().find_map(|results| results.get(&event_id))?;
                Some((service, result.clone()))
            })
            .collect();
        Job {
            v: WIRE_VERSION,
            id: order.id.clone(),
            worker_key: order.worker_key.clone(),
            website_id: run.state().website_id.clone(),
            domain: run.state().domain.clone(),
            params: run.plan().services()[position].params().clone(),
            timeout_ms: order.timeout_ms,
            remaining_ms: order.remaining_ms,
            upstream,
            callback: self.callback(&order.id),
        }
    }

    fn callback(&self, job: &JobId) -> Option<Callback> {
        let JobId { run_id, service, attempt } = job;
        // Names of services need no escaping.
        let url = format!("{}{run_id}/services/{service}/attempts/{attempt}/result", self.callback_base.as_ref()?);
        Some(Callback { url, token: self.signer.token(job) })
    }
}

/// The services that this one depends on, with the events that carry their results.
fn upstream<'a>(run: &'a Run, job: &JobId) -> impl Iterator<Item = (hermes_core::ServiceName, EventId)> + 'a {
    let position = run.plan().position(&job.service).expect("orders name services of their plan");
    run.plan().services()[position].depends_on().iter().filter_map(|&target| {
        let seq = run.state().services[target].result_seq?;
        Some((run.plan().services()[target].name().clone(), EventId { run_id: run.id(), seq }))
    })
}

/// The result that an event carries, if it carries one.
pub(crate) fn result_of(event: &KbaseEvent) -> Option<Json> {
    if !matches!(event.kind.as_str(), RESULT | LATE_RESULT) {
        return None;
    }
    match Fact::from_columns(&event.service, &event.kind, &event.payload) {
        Ok(Fact::ServiceCompleted(result)) => Some(result.data),
        Ok(Fact::LateReported { result, .. }) => result,
        Ok(_) => None,
        Err(error) => {
            warn!(event.id = %event.event_id, error = %error, "a stored result cannot be read, taken as absent");
            None
        }
    }
}
