//! Reading the reports of all workers.

use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;

use hermes_core::ports::queue::{DeliveredReport, QueueError};
use hermes_core::wire::{ErrorClass, JobId, Report, ServiceError, WIRE_VERSION};

use super::entry::{Entry, place};
use super::inbox::Source;
use super::keys::DISPATCHERS;
use super::steps::{Core, Terms};
use crate::poison::failure;

/// Holder of reports that their reader does not want; their leases have ended from the start.
const NOBODY: &str = "-";

/// All reports.
pub(super) struct Reports {
    stream: String,
    /// Entries that nobody could use, since the start.
    dropped: AtomicU64,
}

impl Reports {
    pub(super) fn new(core: &Core) -> Self {
        Self { stream: core.keys.reports.clone(), dropped: AtomicU64::new(0) }
    }

    /// Leaves entries to whoever sweeps after `idle_ms` of their lease.
    async fn leave(&self, core: &Core, entries: &[&str], idle_ms: u64) {
        let left = core
            .link
            .run(async |mut connection| {
                let mut claim = redis::cmd("XCLAIM");
                claim.arg(&self.stream).arg(DISPATCHERS).arg(NOBODY).arg(0).arg(entries);
                claim.arg("IDLE").arg(idle_ms).arg("JUSTID");
                claim.query_async::<()>(&mut connection).await
            })
            .await;
        if let Err(error) = left {
            tracing::warn!(%error, "unwanted reports wait for the end of their leases");
        }
    }

    /// What becomes of an entry that is no report. The final report of a job is the failure of its attempt: dropped, it
    /// would leave a job that is executed again and again until the run's deadline. Not retried, because the same worker
    /// would write the same again. Anything else, such as a notice or a forgery, is dropped.
    async fn unreadable(&self, core: &Core, entry: &Entry, problem: &str) -> Option<DeliveredReport> {
        let id: Option<JobId> = entry.parse("id");
        let is_final = match &id {
            Some(id) => core.is_final_report(id, &entry.id).await,
            None => Ok(false),
        };
        let dealt_with = match (id, is_final) {
            (Some(id), Ok(true)) => {
                tracing::warn!(job = %id, entry = entry.id, problem, "a final report cannot be read, its attempt fails");
                let text = format!("the report of the worker cannot be read: {problem}");
                let error = ServiceError::new(ErrorClass::InvalidResult, text);
                let report = failure(&id, &core.identity, error, false);
                return Some(DeliveredReport {
                    receipt: receipt(&entry.id, &id),
                    report,
                    waited_ms: entry.waited_ms(),
                });
            }
            (_, Ok(_)) => {
                let dropped = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
                tracing::warn!(entry = entry.id, problem, dropped, "a report that belongs to no job is dropped");
                core.acknowledge(&[(&entry.id, "")]).await
            }
            (_, Err(error)) => Err(error),
        };
        if let Err(error) = dealt_with {
            // It is still pending here, and so the next sweep finds it again.
            tracing::warn!(entry = entry.id, %error, "an entry cannot be dealt with yet");
        }
        None
    }
}

/// All that is sure about a report of any format.
#[derive(serde::Deserialize)]
struct Version {
    v: u32,
}

/// What to acknowledge: the entry, and the job whose report it is.
pub(super) fn receipt(entry: &str, job: &JobId) -> String {
    format!("{entry} {job}")
}

/// The entry and the job of a receipt.
pub(super) fn parse_receipt(receipt: &str) -> Option<(&str, &str)> {
    receipt.split_once(' ')
}

#[async_trait]
impl Source for Reports {
    type Item = DeliveredReport;

    fn stream(&self) -> &str {
        &self.stream
    }

    fn group(&self) -> &'static str {
        DISPATCHERS
    }

    async fn read(&self, core: &Core, entry: Entry) -> Option<DeliveredReport> {
        let text = entry.field("report").unwrap_or_default();
        // Looked at first: what is new in a later format may be just what cannot be read here.
        if let Ok(Version { v }) = serde_json::from_slice(text)
            && v > WIRE_VERSION
        {
            tracing::warn!(entry = entry.id, format = v, "a report is left to a newer dispatcher");
            self.leave(core, &[&entry.id], 0).await;
            return None;
        }
        match serde_json::from_slice::<Report>(text) {
            Ok(report) => {
                let receipt = receipt(&entry.id, &report.job);
                Some(DeliveredReport { receipt, report, waited_ms: entry.waited_ms() })
            }
            Err(error) => self.unreadable(core, &entry, &place(&error)).await,
        }
    }

    fn entry<'a>(&self, item: &'a DeliveredReport) -> &'a str {
        parse_receipt(&item.receipt).map_or("", |(entry, _)| entry)
    }

    fn terms(&self, core: &Core) -> Terms {
        core.reports()
    }

    async fn renew(&self, core: &Core, entries: &[String]) -> Result<Vec<String>, QueueError> {
        core.renew_reports(entries).await
    }

    async fn give_back(&self, core: &Core, items: Vec<DeliveredReport>) {
        let entries: Vec<&str> = items.iter().map(|item| self.entry(item)).collect();
        self.leave(core, &entries, core.reports().lease_ms()).await;
    }
}
