//! Reading the reports of all workers.

use async_trait::async_trait;

use hermes_core::ports::queue::DeliveredReport;
use hermes_core::wire::{JobId, Report, WIRE_VERSION};

use super::entry::{Entry, place};
use super::inbox::Source;
use super::keys::DISPATCHERS;
use super::steps::Core;

/// Holder of reports that their reader does not want; their leases have ended from the start.
const NOBODY: &str = "-";

/// All reports.
pub(super) struct Reports {
    stream: String,
}

impl Reports {
    pub(super) fn new(core: &Core) -> Self {
        Self { stream: core.keys.reports.clone() }
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
        let read = serde_json::from_slice::<Report>(entry.field("report").unwrap_or_default());
        match read {
            Ok(report) if report.v > WIRE_VERSION => {
                tracing::warn!(job = %report.job, format = report.v, "a report is left to a newer dispatcher");
                self.leave(core, &[&entry.id], 0).await;
                None
            }
            Ok(report) => Some(DeliveredReport { receipt: receipt(&entry.id, &report.job), report }),
            Err(error) => {
                tracing::warn!(entry = entry.id, error = place(&error), "a report that cannot be read is dropped");
                let id = entry.field("id").map(String::from_utf8_lossy).unwrap_or_default();
                if let Err(error) = core.acknowledge(&[(&entry.id, &id)]).await {
                    tracing::warn!(entry = entry.id, %error, "an entry cannot be dealt with yet");
                }
                None
            }
        }
    }

    fn entry<'a>(&self, item: &'a DeliveredReport) -> &'a str {
        parse_receipt(&item.receipt).map_or("", |(entry, _)| entry)
    }

    async fn give_back(&self, core: &Core, items: Vec<DeliveredReport>) {
        let entries: Vec<&str> = items.iter().map(|item| self.entry(item)).collect();
        self.leave(core, &entries, core.lease_ms()).await;
    }
}
