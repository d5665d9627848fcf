//! Reading the jobs of one worker key.

use async_trait::async_trait;

use hermes_core::ids::WorkerKey;
use hermes_core::limits::POISON_DEATHS;
use hermes_core::ports::queue::{Delivery, QueueError, Receipt};
use hermes_core::wire::{ErrorClass, Job, JobId, Report, ServiceError, WIRE_VERSION};

use super::entry::{Entry, place};
use super::inbox::Source;
use super::keys::WORKERS;
use super::steps::{Core, Terms};
use crate::poison::{failure, poison_report};

/// The jobs of one worker key.
pub(super) struct Jobs {
    key: WorkerKey,
    stream: String,
}

impl Jobs {
    pub(super) fn new(core: &Core, key: WorkerKey) -> Self {
        Self { stream: core.keys.jobs(&key), key }
    }

    /// The job of an entry, or the report that is due instead; nothing if the entry does not even name its job.
    fn judge(&self, worker: &str, entry: &Entry) -> Option<Result<Delivery, (JobId, Report)>> {
        let id: JobId = entry.parse("id")?;
        let deaths = entry.deaths.saturating_add(entry.parse("deaths").unwrap_or(0));
        if deaths >= POISON_DEATHS {
            let report = poison_report(&id, worker, deaths);
            return Some(Err((id, report)));
        }
        let refuse = |text: String, retryable: bool| {
            let report = failure(&id, worker, ServiceError::new(ErrorClass::InvalidInput, text), retryable);
            Some(Err((id.clone(), report)))
        };
        let job: Job = match serde_json::from_slice(entry.field("job").unwrap_or_default()) {
            Ok(job) => job,
            Err(error) => return refuse(format!("the job cannot be read: {}", place(&error)), false),
        };
        if job.v > WIRE_VERSION {
            let text = format!("the job has format {}, this worker reads up to {WIRE_VERSION}: update it", job.v);
            return refuse(text, true);
        }
        if job.id != id || job.worker_key != self.key {
            return refuse("the job does not belong to the entry that it came with".to_owned(), false);
        }
        let published_ms = entry.parse("at").or_else(|| entry.added_ms()).unwrap_or(entry.now_ms);
        let receipt = Receipt { worker_key: self.key.clone(), entry: entry.id.clone(), job: id };
        Some(Ok(Delivery { receipt, job, waited_ms: entry.now_ms.saturating_sub(published_ms), deaths }))
    }

    async fn discard(&self, core: &Core, entry: &str) -> Result<(), QueueError> {
        core.link
            .run(async |mut connection| {
                let mut commands = redis::pipe();
                commands.cmd("XACK").arg(&self.stream).arg(WORKERS).arg(entry).ignore();
                commands.cmd("XDEL").arg(&self.stream).arg(entry).ignore();
                commands.query_async(&mut connection).await
            })
            .await
    }
}

#[async_trait]
impl Source for Jobs {
    type Item = Delivery;

    fn stream(&self) -> &str {
        &self.stream
    }

    fn group(&self) -> &'static str {
        WORKERS
    }

    async fn read(&self, core: &Core, entry: Entry) -> Option<Delivery> {
        let dealt_with = match self.judge(&core.identity, &entry) {
            Some(Ok(delivery)) => return Some(delivery),
            Some(Err((id, report))) => {
                tracing::warn!(job = %id, outcome = ?report.outcome, "a job is reported as failed instead of delivered");
                let receipt = Receipt { worker_key: self.key.clone(), entry: entry.id.clone(), job: id };
                core.outbox.send(core, &receipt, &report).await
            }
            None => {
                tracing::warn!(stream = self.stream, entry = entry.id, "an entry that names no job is dropped");
                self.discard(core, &entry.id).await
            }
        };
        if let Err(error) = dealt_with {
            // It is still pending here, and so the next sweep finds it again.
            tracing::warn!(stream = self.stream, entry = entry.id, %error, "an entry cannot be dealt with yet");
        }
        None
    }

    fn entry<'a>(&self, item: &'a Delivery) -> &'a str {
        &item.receipt.entry
    }

    fn terms(&self, core: &Core) -> Terms {
        core.jobs()
    }

    async fn renew(&self, _: &Core, _: &[String]) -> Result<Vec<String>, QueueError> {
        // The attempts renew their own leases.
        Ok(Vec::new())
    }

    async fn give_back(&self, core: &Core, items: Vec<Delivery>) {
        if let Err(error) = core.release(&items).await {
            tracing::warn!(stream = self.stream, %error, "unwanted jobs wait for the end of their leases");
        }
    }
}
