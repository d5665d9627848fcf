//! The store of a fleet.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};

use hermes_adapters::postgres::{Postgres, PostgresOptions};
use hermes_adapters::store::OpenError;
use hermes_core::ports::store::{Claim, Store, StoreError};
use hermes_tests::conformance::store::{
    SqlWorld, StoreWorld, accept, accept_all, accept_earlier, apply, note, read, run_id, soon, submission, take,
};
use hermes_tests::harness::postgres::{Server, database, empty_database};

pub(super) struct PostgresWorld {
    pub(super) url: String,
    store: Mutex<Arc<Postgres>>,
}

pub(super) fn options() -> PostgresOptions {
    PostgresOptions { connections: 8, ..PostgresOptions::default() }
}

impl PostgresWorld {
    pub(super) fn postgres(&self) -> Arc<Postgres> {
        Arc::clone(&self.store.lock().unwrap())
    }

    pub(super) async fn at(url: String) -> Self {
        let store = Postgres::connect(&url, options()).await.unwrap();
        Self { url, store: Mutex::new(Arc::new(store)) }
    }

    async fn connection(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.unwrap()
    }
}

#[async_trait]
impl StoreWorld for PostgresWorld {
    async fn fresh() -> Self {
        Self::at(database().await).await
    }

    fn store(&self) -> Arc<dyn Store> {
        self.postgres()
    }
}

#[async_trait]
impl SqlWorld for PostgresWorld {
    async fn execute(&self, sql: &str) -> Result<(), sqlx::Error> {
        let mut connection = self.connection().await;
        connection.execute(AssertSqlSafe(sql)).await?;
        connection.close().await
    }

    async fn texts(&self, sql: &str) -> Vec<String> {
        // the simple protocol, as psql uses it: every value comes as text
        let rows = self.connection().await.fetch_all(sqlx::raw_sql(AssertSqlSafe(sql))).await.unwrap();
        rows.iter().map(|row| row.try_get_raw(0).unwrap().as_str().unwrap().to_owned()).collect()
    }

    async fn reopened(&self) -> Arc<dyn Store> {
        self.postgres().close().await;
        let again = Arc::new(Postgres::connect(&self.url, options()).await.unwrap());
        *self.store.lock().unwrap() = Arc::clone(&again);
        again
    }
}

hermes_tests::store_conformance!(PostgresWorld);
hermes_tests::sql_store_conformance!(PostgresWorld);

#[tokio::test]
async fn a_server_without_fsync_is_refused() {
    let server = tokio::task::spawn_blocking(|| Server::start(&[("fsync", "off")])).await.unwrap();
    let error = Postgres::connect(&server.url("postgres"), options()).await.err().expect("refused");
    assert!(matches!(error, OpenError::Refused(_)), "{error:?}");
    assert!(error.to_string().contains("set fsync = on"), "{error}");
}

#[tokio::test]
async fn a_database_that_answers_before_its_commits_are_durable_is_refused() {
    let world = PostgresWorld::fresh().await;
    let name = world.url.rsplit_once('/').unwrap().1;
    world.execute(&format!("ALTER DATABASE {name} SET synchronous_commit = off")).await.unwrap();
    let error = Postgres::connect(&world.url, options()).await.err().expect("refused");
    assert!(error.to_string().contains("set synchronous_commit = on"), "{error}");
}

#[tokio::test]
async fn a_schema_that_is_not_current_names_the_command_that_helps() {
    let url = empty_database().await;
    let postgres = Postgres::connect(&url, options()).await.unwrap();
    let error = postgres.check_schema().await.expect_err("there is none");
    assert!(matches!(error, OpenError::Outdated(_)), "{error:?}");
    assert!(error.to_string().contains("run `hermes migrate`"), "{error}");
    postgres.migrate().await.unwrap();
    postgres.check_schema().await.unwrap();
    postgres.migrate().await.expect("a second time changes nothing");
}

#[tokio::test]
async fn many_processes_may_migrate_at_once() {
    let url = empty_database().await;
    let migrations = (0..4).map(|_| {
        let url = url.clone();
        tokio::spawn(async move { Postgres::connect(&url, options()).await.unwrap().migrate().await.unwrap() })
    });
    for migration in migrations.collect::<Vec<_>>() {
        soon(migration).await.unwrap();
    }
}

#[tokio::test]
async fn a_newer_schema_is_accepted() {
    let world = PostgresWorld::fresh().await;
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (9999, 'of a later version', true, '', 0)";
    world.execute(newer).await.unwrap();
    world.postgres().check_schema().await.unwrap();
    world.postgres().migrate().await.unwrap();
}

#[tokio::test]
async fn no_error_shows_the_password() {
    let urls = [
        "postgres://hermes:s3cret@127.0.0.1:1/hermes",
        "postgres://hermes:s3cret@127.0.0.1:port/hermes",
        "postgres//hermes:s3cret@127.0.0.1/hermes",
        "postgres://hermes:s3cret@127.0.0.1/hermes?sslmode=s3cret",
    ];
    for url in urls {
        let error = Postgres::connect(url, options()).await.err().expect(url);
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
    }
}

#[tokio::test]
async fn limits_in_the_wrong_order_are_refused() {
    let options = PostgresOptions { patience: Duration::from_secs(5), ..options() };
    let error = Postgres::connect("postgres://127.0.0.1/hermes", options).await.err().expect("refused");
    assert!(error.to_string().contains("wrong order"), "{error}");
}

#[tokio::test]
async fn due_runs_that_are_locked_are_skipped() {
    let store = PostgresWorld::fresh().await.store();
    for number in [1, 2] {
        accept_earlier(&*store, number, 3_600_000).await;
    }
    let (_held, _) = take(&*store, run_id(1)).await;
    let mut other = store.begin(Claim::Due(10)).await.unwrap();
    assert_eq!(other.take_runs()[0].id(), run_id(2));
}

#[tokio::test]
async fn a_lock_that_is_not_released_is_unavailable_after_the_time_out() {
    let world = PostgresWorld::fresh().await;
    accept(&*world.store(), 1).await;
    let impatient = PostgresOptions { lock_timeout: Duration::from_millis(100), ..options() };
    let other = Postgres::connect(&world.url, impatient).await.unwrap();
    let (_held, _) = take(&*world.store(), run_id(1)).await;
    let error = other.begin(Claim::Runs(&[run_id(1)])).await.err().expect("locked");
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
}

#[tokio::test]
async fn a_cut_connection_is_unavailable_and_the_next_one_works() {
    let world = PostgresWorld::fresh().await;
    let store = world.store();
    accept(&*store, 1).await;
    let (transaction, run) = take(&*store, run_id(1)).await;
    let others = "SELECT pg_terminate_backend(pid, 5000)::text FROM pg_stat_activity
                  WHERE datname = current_database() AND pid <> pg_backend_pid()";
    assert!(!world.texts(others).await.is_empty());
    let (_, change) =
        hermes_tests::conformance::store::change(&run, &note("1"), transaction.now()).expect("a note changes the run");
    let error = transaction.commit(vec![change]).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    // each connection that died shows once at most
    let mut tries = 0;
    while store.ping().await.is_err() {
        tries += 1;
        assert!(tries <= 8);
    }
    assert_eq!(read(&*store, run_id(1)).await, run);
    apply(&*store, run_id(1), &note("1")).await;
}

#[tokio::test]
async fn a_transaction_that_stands_idle_loses_its_locks() {
    let world = PostgresWorld::fresh().await;
    accept(&*world.store(), 1).await;
    let idle = PostgresOptions { idle_transaction_timeout: Duration::from_secs(1), ..options() };
    let stopped = Postgres::connect(&world.url, idle).await.unwrap();
    let (transaction, run) = take(&stopped, run_id(1)).await;
    // waits for the lock until the server ends the other one
    let newer = apply(&*world.store(), run_id(1), &note("1")).await;
    let (_, late) =
        hermes_tests::conformance::store::change(&run, &note("2"), transaction.now()).expect("a note changes the run");
    let error = transaction.commit(vec![late]).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    assert_eq!(read(&*world.store(), run_id(1)).await, newer);
}

#[tokio::test]
async fn statements_that_a_migration_has_changed_are_prepared_anew() {
    let world = PostgresWorld::fresh().await;
    let store = world.store();
    accept_all(&*store, [submission(1)].into_iter()).await;
    // each connection in its turn
    let connections = PostgresOptions::default().connections;
    for _ in 0..connections {
        read(&*store, run_id(1)).await;
    }
    world.execute("ALTER TABLE runs ALTER COLUMN plan_hash TYPE varchar(64)").await.unwrap();
    let mut refused = 0;
    for _ in 0..2 * connections {
        match store.run(run_id(1)).await {
            Ok(run) => assert!(run.is_some()),
            Err(error) => {
                assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
                refused += 1;
            }
        }
    }
    assert_eq!(refused, 1, "then all connections are new");
}

#[tokio::test]
async fn every_query_of_the_engine_has_an_index() {
    let world = PostgresWorld::fresh().await;
    accept_all(&*world.store(), (1..=300).map(submission)).await;
    // as in real life: most runs have settled
    let history = "UPDATE runs SET status = 'completed', settled_at = created_at, wake_at = NULL
                   WHERE run_id > '00000000000000000000000000000005'; ANALYZE runs; ANALYZE kbase_log";
    world.execute(history).await.unwrap();
    let queries = [
        ("SELECT run_id FROM runs WHERE wake_at <= now() ORDER BY wake_at, run_id LIMIT 10", "runs_wake_at"),
        (
            "SELECT run_id FROM runs WHERE wake_at IS NOT NULL AND run_id > '' ORDER BY run_id LIMIT 10",
            "runs_open|runs_wake_at",
        ),
        ("SELECT wake_at FROM runs WHERE wake_at IS NOT NULL ORDER BY wake_at LIMIT 1", "runs_wake_at"),
        ("SELECT run_id FROM runs WHERE run_id < 'f' ORDER BY run_id DESC LIMIT 10", "runs_pkey"),
        ("SELECT run_id FROM runs WHERE website_id = 's' ORDER BY run_id DESC LIMIT 10", "runs_website_id"),
        (
            "SELECT run_id FROM runs WHERE settled_status = 'failed' ORDER BY run_id DESC LIMIT 10",
            "runs_settled_status",
        ),
        ("SELECT * FROM kbase_events WHERE run_id = 'r' ORDER BY created_at", "kbase_log_default_pkey"),
        (
            "SELECT * FROM kbase_log ORDER BY created_at DESC FETCH FIRST 10 ROWS WITH TIES",
            "kbase_log_first_created_at",
        ),
        (
            "SELECT * FROM kbase_events WHERE website_id = 's' AND service = 'hermes' AND type = 'run_status'
             ORDER BY created_at DESC",
            "kbase_log_first_of_a_website",
        ),
        (
            "SELECT run_id FROM runs WHERE website_id = 's' AND settled_at IS NOT NULL
             ORDER BY settled_at DESC, run_id DESC LIMIT 1",
            "runs_settled_of_a_website",
        ),
        ("SELECT run_id FROM runs WHERE website_id = 's' AND settled_at IS NULL AND revision > 1", "runs_reopened"),
    ];
    for (query, index) in queries {
        // tables are too small here for the planner to prefer an index
        let plan =
            world.texts(&format!("SET enable_seqscan = off; SET enable_bitmapscan = off; EXPLAIN {query}")).await;
        let plan = plan.join("\n");
        assert!(index.split('|').any(|index| plan.contains(index)), "{query}\n{plan}");
    }
}
