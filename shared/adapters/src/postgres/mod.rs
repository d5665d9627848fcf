//! The store of a fleet: Postgres 15 or newer, used by any number of dispatchers at once.
//!
//! Correctness rests on three things only: the row lock of a taken run, the fence `last_seq` of each write, and unique
//! keys; all under READ COMMITTED. The database's clock decides.
//!
//! Deliberately absent: retries (the engine repeats a transition, which is idempotent) and reading from replicas.

mod audit;
mod clock;
mod connect;
mod error;
mod partitions;
mod previous;
mod read;
mod retention;
mod server;
mod transaction;
mod write;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hermes_core::kbase::KbaseEvent;
use hermes_core::ports::store::{
    Claim, EventFilter, Removed, RunFilter, RunListing, Store, StoreError, StoredPlan, StoredRun, Transaction,
};
use hermes_core::{EventId, Plan, PlanId, Run, RunId, Timestamp};
use sqlx::migrate::Migrator;

use crate::store::{Damaged, OpenError, PlanCache};

/// The schema, compiled in.
static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/postgres");

/// How a process uses the database.
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    /// Connections at most; two or more, because a third of them is for lists, so that these never keep the engine waiting.
    pub connections: u32,
    /// How long the server works at one statement at most.
    pub statement_timeout: Duration,
    /// How long a statement waits for another transaction's lock at most.
    pub lock_timeout: Duration,
    /// How long a transaction may stand open without a statement: a dispatcher that was stopped loses its locks then.
    pub idle_transaction_timeout: Duration,
    /// How long an operation may take in all, connecting included, before this side gives it up: longer than the
    /// time-outs above, which the server keeps. It ends waiting for a server that has vanished.
    pub patience: Duration,
    /// For reading only: the server refuses every write, and one that loses commits or is a replica will do.
    pub read_only: bool,
}

impl PostgresOptions {
    /// How many of the connections are for lists.
    #[must_use]
    pub const fn for_lists(&self) -> u32 {
        self.connections.div_ceil(3)
    }

    /// How many are for what the engine reads and writes.
    #[must_use]
    pub const fn for_the_engine(&self) -> u32 {
        self.connections.saturating_sub(self.for_lists())
    }
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            connections: 10,
            statement_timeout: Duration::from_secs(10),
            lock_timeout: Duration::from_secs(5),
            idle_transaction_timeout: Duration::from_secs(10),
            patience: Duration::from_secs(12),
            read_only: false,
        }
    }
}

/// The store of a fleet.
pub struct Postgres {
    inner: Arc<Inner>,
}

struct Inner {
    link: connect::Link,
    clock: clock::Clock,
    plans: PlanCache,
    damaged: Damaged,
    weeks: retention::Weeks,
}

impl Postgres {
    /// Connects, and checks that the server keeps what it has committed. The schema is not looked at: see
    /// [`Self::migrate`] and [`Self::check_schema`].
    ///
    /// # Errors
    /// [`OpenError::Unavailable`] if the server cannot be reached or refuses the login, [`OpenError::Refused`] for a
    /// URL that cannot be read, for limits in the wrong order and for settings under which an accepted run could be
    /// lost. No text contains the password.
    pub async fn connect(url: &str, options: PostgresOptions) -> Result<Self, OpenError> {
        let link = connect::Link::open(url, options).await?;
        Ok(Self {
            inner: Arc::new(Inner {
                link,
                clock: clock::Clock::default(),
                plans: PlanCache::default(),
                damaged: Damaged::default(),
                weeks: retention::Weeks::default(),
            }),
        })
    }

    /// Brings the schema up to date. Several processes may do this at once: they wait for each other.
    ///
    /// # Errors
    /// [`OpenError::Unavailable`] if the server goes away, [`OpenError::Refused`] if a migration fails or one that was
    /// applied before differs from ours.
    pub async fn migrate(&self) -> Result<(), OpenError> {
        self.inner.link.migrate(&MIGRATIONS).await
    }

    /// Checks that all migrations of this program were applied. Newer ones are accepted: an update of the schema comes
    /// before the update of the processes.
    ///
    /// # Errors
    /// [`OpenError::Outdated`] if one is missing, else [`OpenError::Unavailable`].
    pub async fn check_schema(&self) -> Result<(), OpenError> {
        self.inner.link.check_schema(&MIGRATIONS).await
    }

    /// Closes all connections, after their current statements.
    pub async fn close(&self) {
        self.inner.link.close().await;
    }
}

#[async_trait]
impl Store for Postgres {
    async fn begin(&self, claim: Claim<'_>) -> Result<Box<dyn Transaction>, StoreError> {
        let taken = transaction::begin(Arc::clone(&self.inner), claim);
        Ok(Box::new(self.inner.link.within(taken).await?))
    }

    async fn run(&self, id: RunId) -> Result<Option<Run>, StoreError> {
        self.inner.link.within(self.inner.run(id)).await
    }

    async fn runs(
        &self,
        filter: &RunFilter,
        after: Option<RunId>,
        limit: usize,
    ) -> Result<Vec<RunListing>, StoreError> {
        self.inner.link.within(self.inner.runs(filter, after, limit)).await
    }

    async fn open_runs(
        &self,
        after: Option<RunId>,
        accepted_by: Option<Timestamp>,
        limit: usize,
    ) -> Result<Vec<Run>, StoreError> {
        self.inner.link.within(self.inner.open_runs(after, accepted_by, limit)).await
    }

    async fn stored_runs(&self, after: &str, limit: usize) -> Result<Vec<StoredRun>, StoreError> {
        self.inner.link.within(self.inner.stored_runs(after, limit)).await
    }

    async fn orphans(&self, after: &str, up_to: Option<&str>, limit: usize) -> Result<Vec<String>, StoreError> {
        self.inner.link.within(self.inner.orphans(after, up_to, limit)).await
    }

    async fn count_open(&self) -> Result<u64, StoreError> {
        self.inner.link.within(self.inner.count_open()).await
    }

    async fn next_wake_ms(&self) -> Result<Option<u64>, StoreError> {
        self.inner.link.within(self.inner.next_wake_ms()).await
    }

    async fn now(&self) -> Result<Timestamp, StoreError> {
        self.inner.link.within(self.inner.now()).await
    }

    async fn run_events(&self, id: RunId, after: u64, limit: usize) -> Result<Vec<KbaseEvent>, StoreError> {
        self.inner.link.within(self.inner.run_events(id, after, limit)).await
    }

    async fn events(&self, wanted: &[EventId]) -> Result<Vec<KbaseEvent>, StoreError> {
        let pool = self.inner.link.pool();
        self.inner.link.within(read::events(&pool, wanted)).await
    }

    async fn kbase(
        &self,
        filter: &EventFilter,
        before: Option<(Timestamp, EventId)>,
        limit: usize,
    ) -> Result<Vec<KbaseEvent>, StoreError> {
        self.inner.link.within(self.inner.kbase(filter, before, limit)).await
    }

    async fn put_plan(&self, plan: &Plan) -> Result<StoredPlan, StoreError> {
        self.inner.link.within(self.inner.put_plan(plan)).await
    }

    async fn plan(&self, id: &PlanId) -> Result<Option<StoredPlan>, StoreError> {
        self.inner.link.within(self.inner.newest_plan(id)).await
    }

    async fn plans(&self) -> Result<Vec<StoredPlan>, StoreError> {
        self.inner.link.within(self.inner.newest_plans()).await
    }

    async fn callback_key(&self, fresh: [u8; 32]) -> Result<[u8; 32], StoreError> {
        self.inner.link.within(self.inner.callback_key(fresh)).await
    }

    async fn make_room(&self) -> Result<Vec<String>, StoreError> {
        self.inner.link.within(self.inner.make_room()).await
    }

    async fn remove_settled(&self, keep: Duration, limit: usize) -> Result<Removed, StoreError> {
        self.inner.link.within(self.inner.remove_settled(keep, limit)).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.now().await.map(|_| ())
    }
}
