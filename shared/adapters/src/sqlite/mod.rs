//! The store of the embedded mode: one SQLite file, one process, one writer.
//!
//! Writes take the single writing connection in turn and are durable when they return (WAL with `synchronous=FULL`); reads go over a few read-only connections and see the last commit. There is no skipping of
//! locked runs, because nobody else can hold a lock.

mod audit;
mod checkpoint;
mod clock;
mod error;
mod lock;
mod read;
mod retention;
mod transaction;
mod write;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hermes_core::kbase::KbaseEvent;
use hermes_core::ports::store::{
    Claim, EventFilter, Removed, RunFilter, RunListing, Store, StoreError, StoredPlan, StoredRun, Transaction,
};
use hermes_core::{EventId, Plan, PlanId, Run, RunId, Timestamp};
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};

use self::writer::Writer;
use crate::store::{Damaged, OpenError, PlanCache, StoredTime};

pub use lock::owner_of;

/// The schema, compiled in.
static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/sqlite");

/// Read-only connections: the API of one laptop.
const READERS: u32 = 4;
/// How long a statement waits for a lock, and a caller for a connection.
const WAIT: Duration = Duration::from_secs(10);
/// The first SQLite without the bug that lets a checkpoint damage the file when it races with a reset of the log.
const VERSION_MIN: (u32, u32, u32) = (3, 51, 3);

/// The store of the embedded mode. The file is released by [`Self::close`], or when the value goes.
pub struct Sqlite {
    inner: Arc<Inner>,
}

struct Inner {
    readers: SqlitePool,
    clock: Arc<clock::Clock>,
    plans: PlanCache,
    damaged: Damaged,
    /// `None` for one who only reads.
    writer: Option<Writer>,
}

impl Inner {
    fn new(readers: SqlitePool, clock: clock::Clock, writer: Option<Writer>) -> Self {
        Self { readers, clock: Arc::new(clock), plans: PlanCache::default(), damaged: Damaged::default(), writer }
    }

    fn writer(&self) -> Result<&Writer, StoreError> {
        self.writer.as_ref().ok_or_else(|| StoreError::Defect("the file is open for reading only".to_owned()))
    }
}

impl Sqlite {
    /// Opens the file, creating it and bringing its schema up to date where needed. `owner_note` is what
    /// [`owner_of`] gives to others who want the file: the address at which this process can be reached, if it has one.
    ///
    /// # Errors
    /// [`OpenError::InUse`] if another process has the file, [`OpenError::Refused`] for a SQLite that is too old or a
    /// schema that is newer than this program, else [`OpenError::Unavailable`].
    pub async fn open(path: impl AsRef<Path>, owner_note: &str) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let lock = lock::Lock::take(path, owner_note).await?;
        let failed = |error: sqlx::Error| {
            OpenError::Unavailable(format!("cannot open {}: {}", path.display(), error::words(&error)))
        };
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            // lists are sorted there, and need no folder for temporary files
            .pragma("temp_store", "memory")
            .busy_timeout(WAIT);
        check_version(rusqlite::version())?;
        let first = pool(1).connect_with(options.clone()).await.map_err(failed)?;
        MIGRATIONS.run(&first).await.map_err(|error| match error {
            MigrateError::VersionMissing(_) => {
                OpenError::Refused(format!("{} was written by a newer version of hermes: use that", path.display()))
            }
            other => OpenError::Refused(format!("cannot use {}: {other}", path.display())),
        })?;
        let clock = clock_of(&first).await.map_err(failed)?;
        let writer = Writer::open(path, lock);
        let writer =
            writer.map_err(|error| OpenError::Unavailable(format!("cannot open {}: {error}", path.display())))?;
        let readers = pool(READERS).connect_with(options.read_only(true)).await.map_err(failed)?;
        // not before another one is open: the last one to go folds the log into the file
        first.close().await;
        Ok(Self { inner: Arc::new(Inner::new(readers, clock, Some(writer))) })
    }

    /// Opens the file for reading only, also while another process has it: it takes no lock and changes nothing in the
    /// file. SQLite itself needs to write beside it (`-shm`), so the folder must be writable.
    ///
    /// # Errors
    /// [`OpenError::Outdated`] for a schema that is older than this program, else [`OpenError::Unavailable`].
    pub async fn open_to_read(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let failed = |error: sqlx::Error| {
            OpenError::Unavailable(format!("cannot read {}: {}", path.display(), error::words(&error)))
        };
        let options = SqliteConnectOptions::new().filename(path).read_only(true).busy_timeout(WAIT);
        let readers = pool(READERS).connect_with(options).await.map_err(failed)?;
        let applied: Result<Vec<i64>, _> =
            sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success").fetch_all(&readers).await;
        // A file without that table is empty, or none of ours.
        let applied = match applied {
            Err(sqlx::Error::Database(_)) => Vec::new(),
            other => other.map_err(failed)?,
        };
        if let Some(missing) = MIGRATIONS.iter().find(|migration| !applied.contains(&migration.version)) {
            let (version, what) = (missing.version, &missing.description);
            return Err(OpenError::Outdated(format!("{} lacks version {version} ({what})", path.display())));
        }
        let clock = clock_of(&readers).await.map_err(failed)?;
        Ok(Self { inner: Arc::new(Inner::new(readers, clock, None)) })
    }

    /// Changes what [`owner_of`] gives to others.
    ///
    /// # Errors
    /// If the lock file cannot be written.
    pub fn announce(&self, owner_note: &str) -> std::io::Result<()> {
        self.inner.writer.as_ref().map_or(Ok(()), |writer| writer.lock().announce(owner_note))
    }

    /// Closes all connections, folds the log into the file and lets others have it.
    ///
    /// # Errors
    /// If the lock cannot be released; it goes with the value then.
    pub async fn close(&self) -> std::io::Result<()> {
        self.inner.readers.close().await;
        match &self.inner.writer {
            Some(writer) => writer.close().await,
            None => Ok(()),
        }
    }
}

fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(WAIT)
        .max_lifetime(None)
        .idle_timeout(None)
        .test_before_acquire(false)
}

/// A clock that does not go back behind what was recorded.
async fn clock_of(connections: &SqlitePool) -> Result<clock::Clock, sqlx::Error> {
    let newest: Option<StoredTime> =
        sqlx::query_scalar("SELECT created_at FROM kbase_log ORDER BY created_at DESC LIMIT 1")
            .fetch_optional(connections)
            .await?;
    Ok(clock::Clock::after(newest.map_or(Timestamp::EPOCH, StoredTime::timestamp)))
}

fn check_version(version: &str) -> Result<(), OpenError> {
    let mut parts = version.split('.').map_while(|part| part.parse::<u32>().ok());
    let found = (parts.next().unwrap_or(0), parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    if found >= VERSION_MIN {
        return Ok(());
    }
    let (major, minor, patch) = VERSION_MIN;
    Err(OpenError::Refused(format!(
        "SQLite {version} can damage its file; build with the bundled one, {major}.{minor}.{patch} or newer"
    )))
}

#[async_trait]
impl Store for Sqlite {
    async fn begin(&self, claim: Claim<'_>) -> Result<Box<dyn Transaction>, StoreError> {
        Ok(Box::new(transaction::begin(Arc::clone(&self.inner), claim).await?))
    }

    async fn run(&self, id: RunId) -> Result<Option<Run>, StoreError> {
        self.inner.run(id).await
    }

    async fn runs(
        &self,
        filter: &RunFilter,
        after: Option<RunId>,
        limit: usize,
    ) -> Result<Vec<RunListing>, StoreError> {
        self.inner.runs(filter, after, limit).await
    }

    async fn open_runs(
        &self,
        after: Option<RunId>,
        accepted_by: Option<Timestamp>,
        limit: usize,
    ) -> Result<Vec<Run>, StoreError> {
        self.inner.open_runs(after, accepted_by, limit).await
    }

    async fn stored_runs(&self, after: &str, limit: usize) -> Result<Vec<StoredRun>, StoreError> {
        self.inner.stored_runs(after, limit).await
    }

    async fn orphans(&self, after: &str, up_to: Option<&str>, limit: usize) -> Result<Vec<String>, StoreError> {
        self.inner.orphans(after, up_to, limit).await
    }

    async fn count_open(&self) -> Result<u64, StoreError> {
        self.inner.count_open().await
    }

    async fn next_wake_ms(&self) -> Result<Option<u64>, StoreError> {
        self.inner.next_wake_ms().await
    }

    async fn now(&self) -> Result<Timestamp, StoreError> {
        Ok(self.inner.clock.now())
    }

    async fn run_events(&self, id: RunId, after: u64, limit: usize) -> Result<Vec<KbaseEvent>, StoreError> {
        self.inner.run_events(id, after, limit).await
    }

    async fn events(&self, wanted: &[EventId]) -> Result<Vec<KbaseEvent>, StoreError> {
        read::events(&self.inner.readers, wanted).await
    }

    async fn kbase(
        &self,
        filter: &EventFilter,
        before: Option<(Timestamp, EventId)>,
        limit: usize,
    ) -> Result<Vec<KbaseEvent>, StoreError> {
        self.inner.kbase(filter, before, limit).await
    }

    async fn put_plan(&self, plan: &Plan) -> Result<StoredPlan, StoreError> {
        self.inner.put_plan(plan).await
    }

    async fn plan(&self, id: &PlanId) -> Result<Option<StoredPlan>, StoreError> {
        self.inner.newest_plan(id).await
    }

    async fn plans(&self) -> Result<Vec<StoredPlan>, StoreError> {
        self.inner.newest_plans().await
    }

    async fn callback_key(&self, fresh: [u8; 32]) -> Result<[u8; 32], StoreError> {
        self.inner.callback_key(fresh).await
    }

    async fn remove_settled(&self, keep: Duration, limit: usize) -> Result<Removed, StoreError> {
        self.inner.remove_settled(keep, limit).await
    }

    fn commits_take_turns(&self) -> bool {
        true
    }

    async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1").execute(&self.inner.readers).await.map_err(error::of)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sqlite_that_can_damage_its_file_is_refused() {
        assert!(check_version("3.51.3").is_ok());
        assert!(check_version("3.54.1").is_ok());
        assert!(check_version("4.0.0").is_ok());
        let error = check_version("3.40.1").expect_err("too old").to_string();
        assert!(error.contains("3.40.1") && error.contains("3.51.3"), "{error}");
    }
}
