//! What every queue must do, as sentences. An adapter provides a [`QueueWorld`] and stamps the cases out as tests with
//! [`queue_conformance!`](crate::queue_conformance).
//!
//! Leases last [`LEASE`], which no test waits for: [`QueueWorld::pass`] lets time pass for the leases alone.

pub mod delivery;
pub mod leases;
pub mod repair;
pub mod reports;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use hermes_core::ids::{RunId, WorkerKey};
use hermes_core::json::Json;
use hermes_core::ports::queue::{DeliveredReport, Delivery, JobQueue, WorkQueue};
use hermes_core::run::JobOrder;
use hermes_core::wire::{Job, JobId, Outcome, Report, WIRE_VERSION};

/// How long leases last in these worlds.
pub const LEASE: Duration = Duration::from_secs(60);

/// Longer than anything here takes, and than a lease: a test that waits in vain ends instead of hanging.
const PATIENCE: Duration = Duration::from_secs(100);

/// A fresh, empty queue with everything around it.
#[async_trait]
pub trait QueueWorld: Send + Sync + Sized {
    /// A queue that nobody else uses, with leases of [`LEASE`].
    async fn fresh() -> Self;

    /// A worker process with its own connection.
    async fn worker(&self, identity: &str) -> Arc<dyn WorkQueue>;

    /// A dispatcher process with its own connection.
    async fn dispatcher(&self) -> Arc<dyn JobQueue>;

    /// Lets `time` pass for every lease of a job or report.
    async fn pass(&self, time: Duration);

    /// Empties the queue as a flush of its server does.
    async fn lose_everything(&self);
}

/// Stamps out one `#[tokio::test]` per case for a [`QueueWorld`].
#[macro_export]
macro_rules! queue_conformance {
    ($world:ty) => {
        $crate::queue_conformance!(@cases $world, delivery:
            a_job_published_twice_is_delivered_once,
            two_workers_never_have_the_same_job,
            a_waiting_worker_is_woken_by_a_publication,
            a_receive_takes_at_most_what_it_asked_for,
            jobs_arrive_in_the_order_of_their_publication,
            a_worker_gets_only_jobs_of_its_key,
            a_large_job_arrives_whole,
            a_dropped_receive_loses_nothing,
            a_job_after_a_dropped_receive_goes_to_whoever_asks,
            depths_count_what_waits_and_what_is_leased,
            a_queue_that_works_answers_a_ping,
        );
        $crate::queue_conformance!(@cases $world, leases:
            a_job_whose_lease_ended_comes_again_as_the_same_attempt,
            a_waiting_worker_is_woken_by_the_end_of_a_lease,
            ended_leases_come_before_waiting_jobs,
            a_job_that_lost_three_workers_is_reported_as_poison,
            a_renewed_lease_holds,
            a_lease_that_was_taken_over_is_lost,
            a_revoked_job_is_not_delivered,
            the_holder_of_a_revoked_job_learns_it,
            a_revoked_job_does_not_come_back,
            a_released_job_is_delivered_at_once_and_counts_no_death,
            a_released_job_keeps_the_deaths_that_it_had,
            a_paused_worker_that_wakes_up_late_changes_nothing,
            a_death_is_counted_once_however_often_the_lost_one_wakes_up,
            a_lease_that_ended_but_was_renewed_before_anybody_took_over_was_no_death,
            a_late_report_ends_a_job_that_was_handed_back_and_waits_again,
        );
        $crate::queue_conformance!(@cases $world, reports:
            a_report_ends_its_job_and_reaches_the_dispatcher,
            a_reported_job_is_known_until_its_report_is_acknowledged,
            an_unacknowledged_report_comes_again_to_another_dispatcher,
            an_acknowledged_report_never_comes_again,
            each_report_goes_to_one_dispatcher,
            reports_arrive_in_their_order,
            a_dropped_wait_for_reports_loses_nothing,
            a_notice_leaves_its_job_leased,
            a_late_report_of_a_lost_lease_arrives_and_ends_the_job,
            a_late_acknowledgement_ends_the_report_for_whoever_has_it_now_and_no_other_one,
            an_unknown_receipt_is_acknowledged_without_harm,
        );
        $crate::queue_conformance!(@cases $world, repair:
            missing_names_exactly_the_unknown_jobs,
            a_report_arrives_after_everything_was_lost,
            work_goes_on_after_everything_was_lost,
            a_lost_job_is_missing_and_can_be_published_again,
            a_lost_report_makes_its_job_missing,
        );
    };
    (@cases $world:ty, $group:ident: $($case:ident,)*) => {
        $(
            #[tokio::test]
            async fn $case() {
                $crate::conformance::queue::$group::$case::<$world>().await;
            }
        )*
    };
}

/// The worker key of the tests.
#[must_use]
pub fn key() -> WorkerKey {
    "shop".parse().expect("a valid key")
}

/// A small job; each `number` is another run.
#[must_use]
pub fn job(number: u32) -> Job {
    Job {
        v: WIRE_VERSION,
        id: JobId {
            run_id: RunId::from_uuid(Uuid::from_u128(u128::from(number))),
            service: "prices".parse().expect("a valid name"),
            attempt: 1,
        },
        worker_key: key(),
        website_id: "site_1".parse().expect("a valid id"),
        domain: "example.com".parse().expect("a valid domain"),
        params: Json::of(&serde_json::json!({"depth": 2})),
        timeout_ms: 1_000,
        remaining_ms: 60_000,
        upstream: BTreeMap::new(),
        callback: None,
    }
}

/// The order that belongs to a job.
#[must_use]
pub fn order(job: &Job) -> JobOrder {
    JobOrder {
        id: job.id.clone(),
        worker_key: job.worker_key.clone(),
        timeout_ms: job.timeout_ms,
        remaining_ms: job.remaining_ms,
    }
}

/// A report that the job is done.
#[must_use]
pub fn done(id: &JobId, worker: &dyn WorkQueue) -> Report {
    let outcome = Outcome::Completed { duration_ms: 5, result: Json::of(&serde_json::json!({"pages": 3})) };
    Report { v: WIRE_VERSION, job: id.clone(), worker: worker.worker().to_owned(), outcome }
}

/// What is not here within [`PATIENCE`] never comes.
pub async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("it comes at all")
}

/// Receives up to `max` jobs of the tests' key.
pub async fn receive(worker: &dyn WorkQueue, max: usize) -> Vec<Delivery> {
    soon(worker.receive(&key(), max)).await.expect("received")
}

/// Receives exactly one job.
pub async fn receive_one(worker: &dyn WorkQueue) -> Delivery {
    let mut taken = receive(worker, 1).await;
    assert_eq!(taken.len(), 1, "one was asked for");
    taken.remove(0)
}

/// Takes exactly one report.
pub async fn take_report(dispatcher: &dyn JobQueue) -> DeliveredReport {
    let mut taken = soon(dispatcher.reports(1)).await.expect("taken");
    assert_eq!(taken.len(), 1, "one was asked for");
    taken.remove(0)
}

/// The jobs' ids.
#[must_use]
pub fn ids(deliveries: &[Delivery]) -> Vec<JobId> {
    deliveries.iter().map(|delivery| delivery.job.id.clone()).collect()
}
