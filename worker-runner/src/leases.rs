//! The leases of everything that this process holds, renewed together: one call for all worker keys.
//!
//! A lease that is lost (taken over, or forgotten by a flushed queue) changes nothing for its attempt: the result may
//! still count, and the core decides that. A revoked one stops its attempt. If the queue delivers a job anew while it is
//! still being executed here, the attempt under way inherits the new delivery instead of being executed twice.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hermes_core::ports::queue::{Lease, QueueError, Receipt, WorkQueue};
use hermes_core::wire::JobId;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::outage::Outage;

/// Leases renewed by one call.
const RENEWALS_MAX: usize = 512;

/// The leases that this process holds.
pub(crate) struct Leases {
    held: Mutex<BTreeMap<JobId, Entry>>,
    heartbeat: Duration,
    abandon: CancellationToken,
}

struct Entry {
    receipt: Receipt,
    stop: CancellationToken,
    lost: bool,
    /// The attempt is over and its report under way.
    over: bool,
}

impl Leases {
    /// No leases yet; they will be renewed every `heartbeat`. Cancelling `abandon` stops every attempt that holds one.
    pub(crate) fn new(heartbeat: Duration, abandon: CancellationToken) -> Self {
        Self { held: Mutex::new(BTreeMap::new()), heartbeat, abandon }
    }

    /// After a failed renewal the next try comes sooner than the next heartbeat.
    fn renew_again(&self) -> Duration {
        self.heartbeat / 4
    }

    /// A renewal that takes longer is given up; the next heartbeat tries anew.
    fn renewal_max(&self) -> Duration {
        self.heartbeat / 2
    }

    /// Renews the lease of `receipt` until the value is dropped. None if an attempt at this very job is under way here:
    /// it has now inherited the receipt.
    pub(crate) fn hold(self: &Arc<Self>, receipt: &Receipt) -> Option<HeldLease> {
        let mut held = self.held();
        if let Some(entry) = held.get_mut(&receipt.job) {
            entry.receipt = receipt.clone();
            entry.lost = false;
            return None;
        }
        let stop = self.abandon.child_token();
        held.insert(
            receipt.job.clone(),
            Entry { receipt: receipt.clone(), stop: stop.clone(), lost: false, over: false },
        );
        Some(HeldLease { leases: Arc::clone(self), job: receipt.job.clone(), stop })
    }

    /// Renews what is held, every heartbeat, for as long as it is polled.
    pub(crate) async fn keep(&self, queue: &dyn WorkQueue, outage: &Outage) {
        let mut pause = self.heartbeat;
        loop {
            tokio::time::sleep(pause).await;
            pause = self.heartbeat;
            let receipts = self.renewable();
            for chunk in receipts.chunks(RENEWALS_MAX) {
                match tokio::time::timeout(self.renewal_max(), queue.renew(chunk)).await {
                    Ok(Ok(answers)) => {
                        outage.answered();
                        self.apply(chunk, &answers);
                    }
                    Ok(Err(error)) => {
                        outage.failed(&error);
                        pause = self.renew_again();
                    }
                    Err(_) => {
                        outage.failed(&QueueError::Unavailable("renewing leases took too long".to_owned()));
                        pause = self.renew_again();
                    }
                }
            }
        }
    }

    fn renewable(&self) -> Vec<Receipt> {
        self.held().values().filter(|entry| !entry.lost).map(|entry| entry.receipt.clone()).collect()
    }

    fn apply(&self, receipts: &[Receipt], answers: &[Lease]) {
        let mut held = self.held();
        for (receipt, answer) in receipts.iter().zip(answers) {
            // Over in the meantime, or delivered anew while the renewal was under way.
            let Some(entry) = held.get_mut(&receipt.job).filter(|entry| entry.receipt == *receipt) else { continue };
            match answer {
                Lease::Held => {}
                Lease::Revoked => {
                    debug!(job = %receipt.job, "the job was revoked; its attempt stops");
                    entry.stop.cancel();
                }
                // The report may have overtaken the renewal.
                Lease::Lost if entry.over => entry.lost = true,
                Lease::Lost => {
                    info!(job = %receipt.job, "the lease is lost; the attempt goes on and reports");
                    entry.lost = true;
                }
            }
        }
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<JobId, Entry>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One lease, renewed until this is dropped.
pub(crate) struct HeldLease {
    leases: Arc<Leases>,
    job: JobId,
    stop: CancellationToken,
}

impl HeldLease {
    /// The receipt of the latest delivery of the job.
    pub(crate) fn receipt(&self) -> Receipt {
        self.leases.held().get(&self.job).expect("the entry lives as long as this lease").receipt.clone()
    }

    /// The attempt is over: from now on the lease only covers its report.
    pub(crate) fn over(&self) {
        if let Some(entry) = self.leases.held().get_mut(&self.job) {
            entry.over = true;
        }
    }

    /// Cancelled when the attempt must stop: its job was revoked, or the process gives up everything.
    pub(crate) fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Whether the attempt must stop because the process gives up everything.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.leases.abandon.is_cancelled()
    }
}

impl Drop for HeldLease {
    fn drop(&mut self) {
        self.leases.held().remove(&self.job);
    }
}
