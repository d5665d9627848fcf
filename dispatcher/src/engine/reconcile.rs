//! Compares what the store says must be in the queue with what the queue knows, and publishes what is missing.
//!
//! This one level-triggered loop repairs a crash between commit and publish, a flush, a failover that lost writes, and a
//! queue that was restarted empty. A queue that has everything causes no publication, however long it is; one that has
//! nothing gets its jobs page by page, one publication after the other, and no attempt is raised by it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use hermes_core::limits::{RECONCILE_EVERY_MS, RECONCILE_GRACE_MS, RECONCILE_PAGE_RUNS, REPUBLISH_JOBS_MAX};
use hermes_core::ports::queue::QueueError;
use hermes_core::ports::store::StoreError;
use hermes_core::run::JobOrder;
use hermes_core::wire::JobId;
use hermes_core::{Run, RunId, Timestamp};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::Shared;
use super::hot::Results;
use super::outage::Outage;

#[derive(Debug, thiserror::Error)]
enum ReconcileError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Queue(#[from] QueueError),
}

/// Where a comparison of the open runs has got to.
#[derive(Default)]
struct Pass {
    /// The last run that was looked at.
    after: Option<RunId>,
    /// Whether a page was skipped because it failed.
    skipped: bool,
}

/// Which jobs of a page must be in the queue.
struct Expected {
    /// The page came after this run.
    after: Option<RunId>,
    /// Only those that were queued then or before: the publication of younger ones may be under way.
    by: Option<Timestamp>,
    /// The store's time before the page was read.
    now: Timestamp,
}

impl Expected {
    fn is_waiting(&self, run: &Run, order: &JobOrder) -> bool {
        let queued_at = run.service(&order.id.service).and_then(|state| state.queued_at);
        queued_at.is_some_and(|at| self.by.is_none_or(|by| at <= by))
    }
}

pub(super) async fn run(shared: Arc<Shared>, shutdown: CancellationToken) {
    let mut outage = Outage::none("reconciler");
    let mut pass = Pass::default();
    // At start there is no grace: whoever was to publish may have died.
    let mut grace_ms = None;
    while !shutdown.is_cancelled() {
        match shared.reconcile(&mut pass, grace_ms, &shutdown).await {
            Ok(()) if pass.skipped => {
                // The rest is done; what was skipped is tried again, after pauses that grow.
                pass = Pass::default();
                continue;
            }
            Ok(()) => {
                outage.over();
                grace_ms = Some(RECONCILE_GRACE_MS);
            }
            Err(error) => {
                pass.skipped = true;
                outage.pause(&error, &shutdown).await;
                continue;
            }
        }
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(Duration::from_millis(RECONCILE_EVERY_MS)) => {}
        }
    }
}

impl Shared {
    /// Goes on with the pass to its end. A page that fails is left behind: the next call goes on after it, so that it
    /// cannot keep other runs waiting.
    async fn reconcile(
        &self,
        pass: &mut Pass,
        grace_ms: Option<u64>,
        shutdown: &CancellationToken,
    ) -> Result<(), ReconcileError> {
        while !shutdown.is_cancelled() {
            let now = self.store.now().await?;
            let expected = Expected { after: pass.after, by: grace_ms.map(|grace_ms| now.minus_ms(grace_ms)), now };
            // A run that is younger has no job that is older: under load that is nearly all of them.
            let page = self.store.open_runs(expected.after, expected.by, RECONCILE_PAGE_RUNS).await?;
            pass.after = page.last().map(Run::id);
            if page.is_empty() {
                return Ok(());
            }
            match self.republish_missing(&page, &expected).await {
                Err(ReconcileError::Store(StoreError::Defect(_) | StoreError::Corrupt { .. })) => {
                    self.republish_apart(&page, &expected).await?;
                }
                outcome => outcome?,
            }
        }
        Ok(())
    }

    /// Run by run, because one of them cannot be read: it must not keep the others waiting.
    async fn republish_apart(&self, runs: &[Run], expected: &Expected) -> Result<(), ReconcileError> {
        for run in runs {
            match self.republish_missing(std::slice::from_ref(run), expected).await {
                Err(ReconcileError::Store(error @ (StoreError::Defect(_) | StoreError::Corrupt { .. }))) => {
                    error!(run.id = %run.id(), error = %error, "the jobs of a run cannot be made");
                }
                outcome => outcome?,
            }
        }
        Ok(())
    }

    async fn republish_missing(&self, runs: &[Run], expected: &Expected) -> Result<(), ReconcileError> {
        let now = expected.now;
        let orders: Vec<JobOrder> = runs
            .iter()
            .flat_map(|run| run.open_jobs(now).into_iter().filter(|order| expected.is_waiting(run, order)))
            .collect();
        if orders.is_empty() {
            return Ok(());
        }
        let missing = self.queue.missing(&orders).await?;
        if missing.is_empty() {
            return Ok(());
        }
        let missing: HashSet<JobId> = missing.into_iter().collect();
        // An attempt that ended since the page was read is missing rightly: its report was acknowledged, which comes
        // after the commit. So what is still open now was open then.
        let runs = self.look_again(runs, expected).await?;
        let orders: Vec<(&Run, JobOrder)> = runs
            .iter()
            .flat_map(|run| run.open_jobs(now).into_iter().map(move |order| (run, order)))
            .filter(|(_, order)| missing.contains(&order.id))
            .collect();
        let unknown = Results::new();
        let orders: Vec<(&Run, &JobOrder, &Results)> =
            orders.iter().map(|(run, order)| (*run, order, &unknown)).collect();
        for orders in orders.chunks(REPUBLISH_JOBS_MAX) {
            let jobs = self.jobs(orders).await?;
            self.queue.publish(&jobs).await?;
            self.metrics.republished_jobs.inc_by(jobs.len() as u64);
            info!(jobs = jobs.len(), "the queue had lost jobs, published them again");
        }
        Ok(())
    }

    /// The runs of a page as they are now. One that is no longer among as many is looked at by the next pass.
    async fn look_again(&self, runs: &[Run], expected: &Expected) -> Result<Vec<Run>, StoreError> {
        match runs {
            [one] => Ok(self.store.run(one.id()).await?.into_iter().collect()),
            _ => self.store.open_runs(expected.after, expected.by, runs.len()).await,
        }
    }
}
