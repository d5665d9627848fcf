//! The store of the embedded mode.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, Row};
use tempfile::TempDir;

use hermes_adapters::sqlite::{Sqlite, owner_of};
use hermes_adapters::store::OpenError;
use hermes_core::Json;
use hermes_core::ports::store::Store;
use hermes_tests::conformance::store::{
    SqlWorld, StoreWorld, accept, accept_all, apply, note, read, run_id, settle, submission, whole_log,
};

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

/// What JSON may hold, in a row of its own and in the middle of one.
const STRANGE: &str = "{\"a\":  \"\\u0000 \\ud800 ünï🦀\", \"n\": [1e400, 1.00],\r\n \"a\": -0}";

async fn fill(store: &dyn Store) {
    accept_all(store, (1..=3).map(submission)).await;
    apply(store, run_id(1), &note(STRANGE)).await;
    settle(store, run_id(2), STRANGE).await;
}

/// All columns of all events.
const EVERYTHING: &str = "SELECT json_array(event_id, website_id, run_id, seq, service, type, payload, created_at)
                          FROM kbase_events ORDER BY created_at, run_id";

#[tokio::test]
async fn sql_shows_the_very_texts_that_came() {
    let world = SqliteWorld::fresh().await;
    let store = world.store();
    fill(&*store).await;
    for number in 1..=3 {
        let log = whole_log(&*store, run_id(number)).await;
        let payloads: Vec<&str> = log.iter().map(|event| event.payload.get()).collect();
        let sql = format!("SELECT payload FROM kbase_events WHERE run_id = '{}' ORDER BY created_at", run_id(number));
        assert_eq!(world.texts(&sql).await, payloads);
    }
    let rows = world.texts("SELECT count(*) || '' FROM kbase_log").await;
    let events = world.texts("SELECT count(*) || '' FROM kbase_events").await;
    assert_eq!((rows, events), (vec!["6".to_owned()], vec!["11".to_owned()]), "a transition is one row");
}

#[tokio::test]
async fn repairing_one_event_by_hand_leaves_its_neighbours_alone() {
    let world = SqliteWorld::fresh().await;
    let store = world.store();
    fill(&*store).await;
    let id = run_id(2);
    let mut expected = whole_log(&*store, id).await;
    let repaired = expected.iter_mut().find(|event| event.kind == "diagnosis").expect("it has settled");
    repaired.payload = Json::parse("{}").unwrap();
    let sql = format!("UPDATE kbase_events SET payload = '{{}}' WHERE run_id = '{id}' AND type = 'diagnosis'");
    world.execute(&sql).await.unwrap();
    assert_eq!(whole_log(&*store, id).await, expected);
    let within = format!(
        "INSERT INTO kbase_events (website_id, run_id, seq, service, type, payload, created_at)
         SELECT website_id, run_id, 2, service, type, payload, created_at FROM kbase_events
         WHERE run_id = '{}' AND seq = 1",
        run_id(3)
    );
    assert!(world.execute(&within).await.is_err(), "number 2 is in the row of number 1");
}

#[tokio::test]
async fn a_file_with_a_row_per_event_is_carried_over() {
    let world = SqliteWorld::fresh().await;
    fill(&*world.store()).await;
    let before = world.texts(EVERYTHING).await;
    // as the version before wrote it
    let earlier = tempfile::tempdir().unwrap();
    let migrations = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations/sqlite");
    let path = earlier.path().join("hermes.db");
    let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    Migrator::new(migrations).await.unwrap().run_to(3, &mut connection).await.unwrap();
    let copy = format!(
        "ATTACH '{}' AS newer;
         INSERT INTO plans SELECT * FROM newer.plans;
         INSERT INTO runs SELECT * FROM newer.runs;
         INSERT INTO kbase_events (website_id, run_id, seq, service, type, payload, created_at)
         SELECT website_id, run_id, seq, service, type, payload, created_at FROM newer.kbase_events;",
        world.path().display()
    );
    connection.execute(AssertSqlSafe(copy)).await.unwrap();
    connection.close().await.unwrap();

    let store = Arc::new(Sqlite::open(&path, "").await.unwrap());
    let carried = SqliteWorld { folder: earlier, store: Mutex::new(Arc::clone(&store)) };
    assert_eq!(carried.texts(EVERYTHING).await, before);
    for number in 1..=3 {
        assert_eq!(
            whole_log(&*store, run_id(number)).await,
            whole_log(&*world.store(), run_id(number)).await,
            "run {number}"
        );
    }
    settle(&*store, run_id(1), "{}").await;
}

#[tokio::test]
async fn every_query_of_the_engine_has_an_index() {
    let world = SqliteWorld::fresh().await;
    fill(&*world.store()).await;
    let mut connection = world.connection().await;
    for (query, index) in [
        ("SELECT run_id FROM runs WHERE wake_at <= '3' ORDER BY wake_at, run_id LIMIT 10", "runs_wake_at"),
        ("SELECT state FROM runs WHERE wake_at IS NOT NULL AND run_id > '' ORDER BY run_id LIMIT 10", "runs_open"),
        ("SELECT state FROM runs WHERE run_id < 'f' ORDER BY run_id DESC LIMIT 10", "sqlite_autoindex_runs_1"),
        ("SELECT state FROM runs WHERE website_id = 's' ORDER BY run_id DESC LIMIT 10", "runs_website_id"),
        (
            "SELECT state FROM runs WHERE settled_at IS NOT NULL AND status = 'failed' ORDER BY run_id DESC LIMIT 10",
            "runs_settled_status",
        ),
        ("SELECT * FROM kbase_events WHERE run_id = 'r' ORDER BY created_at", "sqlite_autoindex_kbase_log_1"),
        ("SELECT * FROM kbase_log ORDER BY created_at DESC LIMIT 10", "kbase_log_created_at"),
        (
            "SELECT * FROM kbase_events WHERE website_id = 's' AND service = 'hermes' AND type = 'run_status'
             ORDER BY created_at DESC",
            "kbase_log_of_a_website",
        ),
    ] {
        let plan = connection.fetch_all(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {query}"))).await.unwrap();
        let plan: Vec<String> = plan.iter().map(|row| row.get(3)).collect();
        assert!(plan[0].contains(index), "{query}\n{plan:?}");
    }
}
