//! The store of the embedded mode.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, Row};
use tempfile::TempDir;

use hermes_adapters::sqlite::{Sqlite, owner_of};
use hermes_adapters::store::OpenError;
use hermes_core::ports::store::Store;
use hermes_tests::conformance::store::{SqlWorld, StoreWorld, accept, read, run_id};

struct SqliteWorld {
    folder: TempDir,
    store: Mutex<Arc<Sqlite>>,
}

impl SqliteWorld {
    fn path(&self) -> PathBuf {
        self.folder.path().join("hermes.db")
    }

    fn sqlite(&self) -> Arc<Sqlite> {
        Arc::clone(&self.store.lock().unwrap())
    }

    async fn connection(&self) -> SqliteConnection {
        SqliteConnectOptions::new().filename(self.path()).connect().await.unwrap()
    }
}

#[async_trait]
impl StoreWorld for SqliteWorld {
    async fn fresh() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Sqlite::open(folder.path().join("hermes.db"), "").await.unwrap();
        Self { folder, store: Mutex::new(Arc::new(store)) }
    }

    fn store(&self) -> Arc<dyn Store> {
        self.sqlite()
    }
}

#[async_trait]
impl SqlWorld for SqliteWorld {
    async fn execute(&self, sql: &str) -> Result<(), sqlx::Error> {
        let mut connection = self.connection().await;
        connection.execute(AssertSqlSafe(sql)).await?;
        connection.close().await
    }

    async fn execute_unchecked(&self, sql: &str) -> Result<(), sqlx::Error> {
        self.execute(&format!("PRAGMA foreign_keys = OFF; {sql}")).await
    }

    async fn texts(&self, sql: &str) -> Vec<String> {
        let rows = self.connection().await.fetch_all(AssertSqlSafe(sql)).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    async fn reopened(&self) -> Arc<dyn Store> {
        self.sqlite().close().await.unwrap();
        let again = Arc::new(Sqlite::open(self.path(), "").await.unwrap());
        *self.store.lock().unwrap() = Arc::clone(&again);
        again
    }
}

hermes_tests::store_conformance!(SqliteWorld);
hermes_tests::sql_store_conformance!(SqliteWorld);

#[tokio::test]
async fn a_second_opening_is_refused_and_names_the_owner() {
    let world = SqliteWorld::fresh().await;
    world.sqlite().announce("http://127.0.0.1:5000").unwrap();
    let error = Sqlite::open(world.path(), "me").await.err().expect("it is in use");
    assert!(matches!(error, OpenError::InUse(_)), "{error:?}");
    assert!(error.to_string().contains("in use by another process (http://127.0.0.1:5000)"), "{error}");
    assert_eq!(owner_of(world.path()).as_deref(), Some("http://127.0.0.1:5000"));
}

#[tokio::test]
async fn a_file_that_nobody_has_open_has_no_owner() {
    let world = SqliteWorld::fresh().await;
    assert_eq!(owner_of(world.folder.path().join("other.db")), None);
    assert_eq!(owner_of(world.path()).as_deref(), Some(""));
    world.sqlite().close().await.unwrap();
    assert_eq!(owner_of(world.path()), None);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hermes.db");
    std::fs::write(&path, "just some text, and enough of it to be read as the header of a file".repeat(100)).unwrap();
    let error = Sqlite::open(&path, "").await.err().expect("no database");
    assert!(error.to_string().contains("hermes.db"), "{error}");
    assert_eq!(owner_of(&path), None);
}

#[tokio::test]
async fn writes_are_synced_before_they_return() {
    let world = SqliteWorld::fresh().await;
    accept(&*world.store(), 1).await;
    // the mode of the file; the level of syncing belongs to each connection and is set where they are opened
    assert_eq!(world.texts("PRAGMA journal_mode").await, ["wal"]);
    assert_eq!(world.texts("PRAGMA integrity_check").await, ["ok"]);
    assert_eq!(world.texts("PRAGMA foreign_key_check").await, [""; 0]);
}

#[tokio::test]
async fn times_are_readable_and_hold_the_number_of_the_event() {
    let world = SqliteWorld::fresh().await;
    let run = accept(&*world.store(), 1).await;
    let at = run.state().created_at.to_string();
    let seconds = at.strip_suffix('Z').unwrap();
    assert_eq!(world.texts("SELECT created_at FROM runs").await, std::slice::from_ref(&at));
    let expected = [format!("{seconds}000001Z"), format!("{seconds}000002Z")];
    assert_eq!(world.texts("SELECT created_at FROM kbase_events ORDER BY seq").await, expected);
}

#[tokio::test]
async fn the_clock_does_not_go_back_behind_what_is_stored() {
    let world = SqliteWorld::fresh().await;
    accept(&*world.store(), 1).await;
    world.execute("UPDATE kbase_events SET created_at = '2999-01-01T00:00:00.000000001Z' WHERE seq = 1").await.unwrap();
    let store = world.reopened().await;
    assert!(store.now().await.unwrap() >= "2999-01-01T00:00:00.000Z".parse().unwrap());
    assert_eq!(read(&*store, run_id(1)).await.id(), run_id(1));
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_refused() {
    let world = SqliteWorld::fresh().await;
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (9999, 'of a later version', true, '', 0)";
    world.execute(newer).await.unwrap();
    world.sqlite().close().await.unwrap();
    let error = Sqlite::open(world.path(), "").await.err().expect("refused");
    assert!(error.to_string().contains("newer version of hermes"), "{error}");
}
