//! The short steps: everything that answers at once. Each is one round trip, or one per worker key side by side.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{join_all, try_join_all};
use redis::{Script, ScriptInvocation};
use tokio_util::sync::CancellationToken;

use hermes_core::ids::WorkerKey;
use hermes_core::ports::queue::{Delivery, Lease, QueueDepth, QueueError, Receipt};
use hermes_core::run::JobOrder;
use hermes_core::wire::{Job, JobId, Report};

use super::keys::{DISPATCHERS, Keys, WORKERS};
use super::link::Link;
use super::outbox::{Outbox, Outgoing};
use super::primary::Primary;
use super::scripts::Scripts;

/// How long a revocation is remembered: longer than any worker goes on without renewing its leases.
const REVOKED_FOR_MS: u64 = 60 * 60 * 1_000;
/// Jobs that one run of a script publishes, and their bytes (more if a single job is larger): other clients wait
/// meanwhile.
const PUBLISH_JOBS_MAX: usize = 256;
const PUBLISH_BYTES_MAX: usize = 4 * 1_024 * 1_024;

/// What the handles and the reading tasks of one process share.
pub(super) struct Core {
    pub(super) link: Link,
    /// Final reports on their way.
    pub(super) outbox: Outbox,
    /// For the connections of the reading tasks.
    pub(super) primary: Arc<Primary>,
    pub(super) keys: Keys,
    pub(super) scripts: Scripts,
    pub(super) identity: String,
    pub(super) lease: Duration,
    pub(super) heartbeat: Duration,
    pub(super) report_lease: Duration,
    /// Cancelled when the queue is closed.
    pub(super) closed: CancellationToken,
}

/// How long what was taken is one's own, and how that is looked after.
#[derive(Clone, Copy)]
pub(super) struct Terms {
    /// What is not renewed for this long goes to others.
    pub(super) lease: Duration,
    /// How often it is renewed.
    pub(super) renew_every: Duration,
    /// How often ended leases of others are looked for, and so how long a read may block.
    pub(super) sweep_every: Duration,
}

impl Terms {
    pub(super) fn lease_ms(self) -> u64 {
        u64::try_from(self.lease.as_millis()).unwrap_or(u64::MAX)
    }
}

impl Core {
    /// The terms of jobs.
    pub(super) fn jobs(&self) -> Terms {
        Terms { lease: self.lease, renew_every: self.heartbeat, sweep_every: self.heartbeat / 2 }
    }

    /// The terms of reports.
    pub(super) fn reports(&self) -> Terms {
        let lease = self.report_lease;
        Terms { lease, renew_every: lease / 3, sweep_every: (self.heartbeat / 2).min(lease / 6) }
    }

    /// An invocation of `script` with those keys that belong to one worker key.
    fn on<'a>(&self, script: &'a Script, keys: &[&str]) -> ScriptInvocation<'a> {
        let mut invocation = script.prepare_invoke();
        for &key in keys {
            invocation.key(key);
        }
        invocation
    }

    async fn invoke<T: redis::FromRedisValue>(&self, invocation: &ScriptInvocation<'_>) -> Result<T, QueueError> {
        self.link.run(async |mut connection| invocation.invoke_async(&mut connection).await).await
    }

    /// All of them, to the end: what is wrong with one worker key must not keep the jobs of another from their queue.
    async fn invoke_all(&self, invocations: &[ScriptInvocation<'_>]) -> Result<(), QueueError> {
        let outcomes = join_all(invocations.iter().map(|invocation| self.invoke::<()>(invocation))).await;
        outcomes.into_iter().collect()
    }

    pub(super) async fn publish(&self, jobs: &[Job]) -> Result<(), QueueError> {
        let mut invocations = Vec::new();
        for (key, jobs) in by_key(jobs, |job| &job.worker_key) {
            let (stream, index) = (self.keys.jobs(key), self.keys.index(key));
            let keys = [&*stream, &index, &self.keys.reported, &self.keys.reports, &self.keys.revoked];
            let (mut publish, mut count, mut bytes) = (self.on(&self.scripts.publish, &keys), 0, 0);
            for (_, job) in jobs {
                let text = serde_json::to_vec(job).expect("wire types serialise");
                if count > 0 && (count == PUBLISH_JOBS_MAX || bytes + text.len() > PUBLISH_BYTES_MAX) {
                    invocations.push(std::mem::replace(&mut publish, self.on(&self.scripts.publish, &keys)));
                    (count, bytes) = (0, 0);
                }
                (count, bytes) = (count + 1, bytes + text.len());
                publish.arg(job.id.to_string()).arg(text);
            }
            invocations.push(publish);
        }
        self.invoke_all(&invocations).await
    }

    pub(super) async fn revoke(&self, orders: &[JobOrder]) -> Result<(), QueueError> {
        let mut invocations = Vec::new();
        for (key, orders) in by_key(orders, |order| &order.worker_key) {
            let (stream, index) = (self.keys.jobs(key), self.keys.index(key));
            let mut revoke = self.on(&self.scripts.revoke, &[&stream, &index, &self.keys.revoked]);
            revoke.arg(WORKERS).arg(REVOKED_FOR_MS);
            for (_, order) in orders {
                revoke.arg(order.id.to_string());
            }
            invocations.push(revoke);
        }
        self.invoke_all(&invocations).await
    }

    pub(super) async fn missing(&self, orders: &[JobOrder]) -> Result<Vec<JobId>, QueueError> {
        let grouped = by_key(orders, |order| &order.worker_key);
        let answers = try_join_all(grouped.iter().map(async |(key, orders)| {
            let (stream, index) = (self.keys.jobs(key), self.keys.index(key));
            let keys = [&*stream, &index, &self.keys.reported, &self.keys.reports];
            let mut missing = self.on(&self.scripts.missing, &keys);
            for (_, order) in orders {
                missing.arg(order.id.to_string());
            }
            let positions: Vec<usize> = self.invoke(&missing).await?;
            let found = positions.into_iter().filter_map(|position| orders.get(position.checked_sub(1)?));
            Ok(found.map(|(_, order)| order.id.clone()).collect::<Vec<_>>())
        }));
        Ok(answers.await?.concat())
    }

    pub(super) async fn report(&self, key: &WorkerKey, reports: &[Outgoing]) -> Result<(), QueueError> {
        let (stream, index) = (self.keys.jobs(key), self.keys.index(key));
        let mut send = self.on(&self.scripts.report, &[&stream, &index, &self.keys.reported, &self.keys.reports]);
        send.arg(WORKERS);
        for Outgoing { receipt, text, .. } in reports {
            send.arg(receipt.job.to_string()).arg(&receipt.entry).arg(text);
        }
        self.invoke(&send).await
    }

    pub(super) async fn notify(&self, report: &Report) -> Result<(), QueueError> {
        let mut add = redis::cmd("XADD");
        let text = serde_json::to_vec(report).expect("wire types serialise");
        add.arg(&self.keys.reports).arg("*").arg("id").arg(report.job.to_string()).arg("report").arg(text);
        self.link.run(async |mut connection| add.query_async(&mut connection).await).await
    }

    /// Whether this entry is the final report of this job, as the queue noted when it was sent.
    pub(super) async fn is_final_report(&self, job: &JobId, entry: &str) -> Result<bool, QueueError> {
        let mut get = redis::cmd("HGET");
        get.arg(&self.keys.reported).arg(job.to_string());
        let noted: Option<String> =
            self.link.run(async |mut connection| get.query_async(&mut connection).await).await?;
        Ok(noted.is_some_and(|noted| noted == entry))
    }

    /// Acknowledges reports, each named by its entry and its job.
    pub(super) async fn acknowledge(&self, receipts: &[(&str, &str)]) -> Result<(), QueueError> {
        if receipts.is_empty() {
            return Ok(());
        }
        let mut acknowledge = self.on(&self.scripts.acknowledge, &[&self.keys.reported, &self.keys.reports]);
        acknowledge.arg(DISPATCHERS);
        for (entry, job) in receipts {
            acknowledge.arg(*entry).arg(*job);
        }
        self.invoke(&acknowledge).await
    }

    pub(super) async fn renew(&self, receipts: &[Receipt]) -> Result<Vec<Lease>, QueueError> {
        let grouped = by_key(receipts, |receipt| &receipt.worker_key);
        let answers = try_join_all(grouped.iter().map(async |(key, receipts)| {
            let mut renew = self.on(&self.scripts.renew, &[&self.keys.jobs(key), &self.keys.revoked]);
            renew.arg(WORKERS).arg(&self.identity);
            for (_, receipt) in receipts {
                renew.arg(&receipt.entry).arg(receipt.job.to_string());
            }
            self.invoke::<Vec<String>>(&renew).await
        }));
        let mut leases = vec![Lease::Lost; receipts.len()];
        for ((_, receipts), answers) in grouped.iter().zip(answers.await?) {
            for ((position, _), answer) in receipts.iter().zip(answers) {
                leases[*position] = match &*answer {
                    "held" => Lease::Held,
                    "revoked" => Lease::Revoked,
                    _ => Lease::Lost,
                };
            }
        }
        Ok(leases)
    }

    /// Renews reports that this process has; gives those that it still has.
    pub(super) async fn renew_reports(&self, entries: &[String]) -> Result<Vec<String>, QueueError> {
        let mut renew = self.on(&self.scripts.renew, &[&self.keys.reports, &self.keys.revoked]);
        renew.arg(DISPATCHERS).arg(&self.identity);
        for entry in entries {
            // Whether its job was revoked does not matter to a report.
            renew.arg(entry).arg("");
        }
        let answers: Vec<String> = self.invoke(&renew).await?;
        let held = entries.iter().zip(answers).filter(|(_, answer)| answer == "held");
        Ok(held.map(|(entry, _)| entry.clone()).collect())
    }

    pub(super) async fn release(&self, deliveries: &[Delivery]) -> Result<(), QueueError> {
        let mut invocations = Vec::new();
        for (key, deliveries) in by_key(deliveries, |delivery| &delivery.receipt.worker_key) {
            let mut release = self.on(&self.scripts.release, &[&self.keys.jobs(key), &self.keys.index(key)]);
            release.arg(WORKERS).arg(&self.identity);
            for (_, delivery) in deliveries {
                release.arg(&delivery.receipt.entry).arg(delivery.receipt.job.to_string()).arg(delivery.deaths);
            }
            invocations.push(release);
        }
        self.invoke_all(&invocations).await
    }

    pub(super) async fn depths(&self, keys: &[WorkerKey]) -> Result<Vec<QueueDepth>, QueueError> {
        try_join_all(keys.iter().map(async |key| {
            let mut depth = self.on(&self.scripts.depth, &[&self.keys.jobs(key)]);
            depth.arg(WORKERS);
            let (waiting, leased) = self.invoke(&depth).await?;
            Ok(QueueDepth { worker_key: key.clone(), waiting, leased })
        }))
        .await
    }

    pub(super) async fn ping(&self) -> Result<(), QueueError> {
        self.link.run(async |mut connection| redis::cmd("PING").query_async(&mut connection).await).await
    }
}

/// Items by worker key, with their positions.
fn by_key<T>(items: &[T], key: impl Fn(&T) -> &WorkerKey) -> Vec<(&WorkerKey, Vec<(usize, &T)>)> {
    let mut grouped: BTreeMap<&WorkerKey, Vec<(usize, &T)>> = BTreeMap::new();
    for (position, item) in items.iter().enumerate() {
        grouped.entry(key(item)).or_default().push((position, item));
    }
    grouped.into_iter().collect()
}
