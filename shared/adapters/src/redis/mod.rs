//! The queue over Redis 7 or newer (or Valkey): jobs and reports in streams with consumer groups.
//!
//! What is kept, under a prefix that is a hash tag (`{hermes}:…`). All keys therefore lie in one cluster slot, which the
//! atomic scripts need; give each installation its own prefix, and each fleet that outgrows one server its own server.
//!
//! * `jobs:<worker key>`: a stream with the group `workers`. An entry has the fields `id` and `job`; one that was handed
//!   back also `deaths` and `at`, the time of its first publication. Leases are the group's pending entries.
//! * `index:<worker key>`: a hash from job id to entry, so that publishing is idempotent and losses are seen.
//! * `reports`: a stream with the group `dispatchers`; fields `id` and `report`.
//! * `reported`: a hash from job id to the entry of its unacknowledged final report.
//! * `polite:<target>` and `polite:<target>:permits`: limits of outgoing calls, which have nothing to do with jobs.
//! * `revoked`: a sorted set of job ids that nobody wants any more, kept for an hour. Revoking is final: a publication
//!   that was overtaken by its revocation does not bring the job back.
//!
//! Entries are deleted as they are acknowledged, so that nothing grows with history. Any of the keys, or all of them, may
//! vanish at any moment: readers make groups anew, and `missing` believes an index only as far as its stream bears it out.
//! Whoever waits while the server is away goes on waiting; short commands fail at once, for the reconciler to repeat.
//!
//! Behind the address there may be one server, sentinels, or a cluster. At each connection anew, the server that takes
//! writes for the deployment's slot is looked up and checked; a failover, a moved slot or a broken line drop the
//! connection. What a failover loses, and what was lost in any other way, the reconciler publishes again.
//!
//! Deliberately absent: persistence (the store has the truth), cluster redirections (there is one slot, and so one server
//! to talk to), and keeping its place for a job that was handed back: it waits behind the others.

mod address;
mod connect;
mod entry;
mod inbox;
mod jobs;
mod keys;
mod link;
mod outbox;
mod politeness;
mod primary;
mod reports;
mod scripts;
mod steps;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use hermes_core::ids::WorkerKey;
use hermes_core::limits::{HEARTBEAT_MS, LEASE_MS, REPORT_LEASE_MS};
use hermes_core::ports::queue::{
    DeliveredReport, Delivery, JobQueue, Lease, QueueDepth, QueueError, Receipt, WorkQueue,
};
use hermes_core::run::JobOrder;
use hermes_core::wire::{Job, JobId, Report};

use address::Address;
pub use connect::ConnectError;
use inbox::Inbox;
use jobs::Jobs;
use keys::Keys;
use link::Link;
use outbox::Outbox;
pub use politeness::RedisPoliteness;
use primary::Primary;
use reports::{Reports, parse_receipt};
use scripts::Scripts;
use steps::Core;

/// How to reach and use a server.
#[derive(Clone)]
pub struct RedisOptions {
    /// `redis://user:password@host:6379/0`; `redis+sentinel://user:password@host1:26379,host2:26379/primary-name/0`;
    /// `redis+cluster://user:password@host1:6379,host2:6379`; each with `rediss` for TLS.
    pub url: String,
    /// What all keys begin with; installations that share a server need different ones. Letters, digits, `-_.:`.
    pub prefix: String,
    /// Identity of this process, fresh with each start.
    pub identity: String,
    /// A job whose lease was not renewed for this long goes to another worker.
    pub lease: Duration,
    /// How often leases are renewed. Ended leases are looked for twice as often.
    pub heartbeat: Duration,
    /// A report that its dispatcher did not renew for this long goes to another one; it renews three times as often.
    pub report_lease: Duration,
}

impl RedisOptions {
    /// Options with the leases that the limits prescribe.
    pub fn new(url: impl Into<String>, prefix: impl Into<String>, identity: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            prefix: prefix.into(),
            identity: identity.into(),
            lease: Duration::from_millis(LEASE_MS),
            report_lease: Duration::from_millis(REPORT_LEASE_MS),
            heartbeat: Duration::from_millis(HEARTBEAT_MS),
        }
    }
}

impl fmt::Debug for RedisOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the URL: it may hold a password.
        f.debug_struct("RedisOptions").field("prefix", &self.prefix).field("identity", &self.identity).finish()
    }
}

/// The queue over Redis, seen from one process; both of its sides. Clones are handles to the same connections.
#[derive(Clone)]
pub struct RedisQueue {
    inner: Arc<Inner>,
}

struct Inner {
    core: Arc<Core>,
    readers: TaskTracker,
    jobs: Mutex<HashMap<WorkerKey, Arc<Inbox<Delivery>>>>,
    reports: Mutex<Option<Arc<Inbox<DeliveredReport>>>>,
}

impl RedisQueue {
    /// A queue on the server at `url`. It need not be up: then the queue starts without it, and goes on trying. A server
    /// that answers but can never do is refused; one that is met later is logged and taken as absent.
    ///
    /// # Errors
    /// [`ConnectError`], never `Unreachable`: somebody must change something.
    pub async fn connect(url: &str, prefix: &str, identity: &str) -> Result<Self, ConnectError> {
        Self::connect_with(&RedisOptions::new(url, prefix, identity)).await
    }

    /// The same with other leases.
    ///
    /// # Errors
    /// As [`RedisQueue::connect`].
    pub async fn connect_with(options: &RedisOptions) -> Result<Self, ConnectError> {
        let keys = Keys::new(&options.prefix).map_err(ConnectError::InvalidPrefix)?;
        let address = Address::parse(&options.url).map_err(ConnectError::InvalidUrl)?;
        let shown = address.to_string();
        let primary = Arc::new(Primary::new(address, keys.reports.clone()));
        let core = Core {
            link: Link::new(Arc::clone(&primary)),
            outbox: Outbox::default(),
            primary,
            keys,
            scripts: Scripts::new(),
            identity: options.identity.clone(),
            lease: options.lease,
            report_lease: options.report_lease,
            heartbeat: options.heartbeat,
            closed: CancellationToken::new(),
        };
        match core.link.open().await {
            Ok(()) => {}
            Err(error) if error.may_pass() => {
                tracing::warn!(redis.address = shown, %error, "starting without Redis, trying on until it answers");
            }
            Err(error) => return Err(error),
        }
        let inner = Inner {
            core: Arc::new(core),
            readers: TaskTracker::new(),
            jobs: Mutex::default(),
            reports: Mutex::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Ends every wait with [`QueueError::Closed`] and gives back what was read for nobody. It takes as long as a
    /// blocking read, half a heartbeat, and a few seconds more if the server is silent. Reports can still be sent and
    /// deliveries released afterwards.
    pub async fn close(&self) {
        self.inner.core.closed.cancel();
        self.inner.readers.close();
        self.inner.readers.wait().await;
    }

    /// The limits of outgoing calls that the processes of this prefix keep together, over the same connection.
    #[must_use]
    pub fn politeness(&self) -> RedisPoliteness {
        RedisPoliteness::new(Arc::clone(&self.inner.core))
    }

    fn jobs(&self, key: &WorkerKey) -> Arc<Inbox<Delivery>> {
        let mut inboxes = lock(&self.inner.jobs);
        if let Some(inbox) = inboxes.get(key) {
            return Arc::clone(inbox);
        }
        let core = &self.inner.core;
        let inbox = Arc::new(Inbox::open(Arc::clone(core), Jobs::new(core, key.clone()), &self.inner.readers));
        inboxes.insert(key.clone(), Arc::clone(&inbox));
        inbox
    }

    fn reports_inbox(&self) -> Arc<Inbox<DeliveredReport>> {
        let core = &self.inner.core;
        let mut inbox = lock(&self.inner.reports);
        let open = || Arc::new(Inbox::open(Arc::clone(core), Reports::new(core), &self.inner.readers));
        Arc::clone(inbox.get_or_insert_with(open))
    }
}

/// Checks the form of a URL, and shows it without its secrets.
///
/// # Errors
/// What is wrong with it, without quoting it.
pub fn check_url(url: &str) -> Result<String, String> {
    let address = Address::parse(url).map_err(|problem| format!("{problem}; write {}", address::FORMS))?;
    Ok(address.to_string())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every critical section leaves the value whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl JobQueue for RedisQueue {
    async fn publish(&self, jobs: &[Job]) -> Result<(), QueueError> {
        self.inner.core.publish(jobs).await
    }

    async fn revoke(&self, orders: &[JobOrder]) -> Result<(), QueueError> {
        self.inner.core.revoke(orders).await
    }

    async fn missing(&self, orders: &[JobOrder]) -> Result<Vec<JobId>, QueueError> {
        self.inner.core.missing(orders).await
    }

    async fn reports(&self, max: usize) -> Result<Vec<DeliveredReport>, QueueError> {
        if max == 0 {
            return Ok(Vec::new());
        }
        self.reports_inbox().take(max).await
    }

    async fn acknowledge(&self, receipts: &[String]) -> Result<(), QueueError> {
        let receipts: Vec<_> = receipts.iter().filter_map(|receipt| parse_receipt(receipt)).collect();
        self.inner.core.acknowledge(&receipts).await?;
        self.reports_inbox().held().forget(receipts.iter().map(|(entry, _)| *entry));
        Ok(())
    }

    async fn depths(&self, keys: &[WorkerKey]) -> Result<Vec<QueueDepth>, QueueError> {
        self.inner.core.depths(keys).await
    }

    async fn ping(&self) -> Result<(), QueueError> {
        self.inner.core.ping().await
    }
}

#[async_trait]
impl WorkQueue for RedisQueue {
    fn worker(&self) -> &str {
        &self.inner.core.identity
    }

    async fn receive(&self, key: &WorkerKey, max: usize) -> Result<Vec<Delivery>, QueueError> {
        if max == 0 {
            return Ok(Vec::new());
        }
        self.jobs(key).take(max).await
    }

    async fn report(&self, receipt: &Receipt, report: &Report) -> Result<(), QueueError> {
        self.inner.core.outbox.send(&self.inner.core, receipt, report).await?;
        self.jobs(&receipt.worker_key).held().forget([&*receipt.entry]);
        Ok(())
    }

    async fn notify(&self, report: &Report) -> Result<(), QueueError> {
        self.inner.core.notify(report).await
    }

    async fn renew(&self, receipts: &[Receipt]) -> Result<Vec<Lease>, QueueError> {
        // Whether or not the server can be told: they are being worked on here.
        for receipt in receipts {
            self.jobs(&receipt.worker_key).held().touch([&*receipt.entry]);
        }
        let answers = self.inner.core.renew(receipts).await?;
        for (receipt, answer) in receipts.iter().zip(&answers) {
            match answer {
                Lease::Held => {}
                Lease::Revoked | Lease::Lost => self.jobs(&receipt.worker_key).held().forget([&*receipt.entry]),
            }
        }
        Ok(answers)
    }

    async fn release(&self, deliveries: &[Delivery]) -> Result<(), QueueError> {
        self.inner.core.release(deliveries).await?;
        for Delivery { receipt, .. } in deliveries {
            self.jobs(&receipt.worker_key).held().forget([&*receipt.entry]);
        }
        Ok(())
    }
}
