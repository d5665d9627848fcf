//! The auditor over real databases, as a command, and in the background of a dispatcher.

use std::sync::Arc;
use std::time::Duration;

use hermes_adapters::entropy::SystemEntropy;
use hermes_adapters::memory::{MemoryQueue, MemoryStore};
use hermes_adapters::postgres::{Postgres, PostgresOptions};
use hermes_adapters::settings::DatabaseUrl;
use hermes_adapters::sqlite::Sqlite;
use hermes_adapters::store::{OpenError, ReadOnly};
use hermes_core::Timestamp;
use hermes_core::limits::AUDIT_EVERY_MS;
use hermes_core::ports::store::{Change, Store};
use hermes_core::run::Event;
use hermes_diagnosis::RuleBook;
use hermes_dispatcher::engine::{Engine, EngineParts};
use hermes_tests::conformance::store::{
    accept, accept_all, apply, change, commit, note, plan, read, run_id, settle, submission,
};
use hermes_tests::harness::postgres::{database, empty_database};
use hermes_tests::harness::process::{Ended, run_to_end};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Three runs: one is open, one has settled, one was tried again.
async fn fill(store: &dyn Store) {
    accept_all(store, (1..=3).map(submission)).await;
    settle(store, run_id(2), "{}").await;
    settle(store, run_id(3), "{}").await;
    apply(store, run_id(3), &Event::RerunRequested).await;
}

/// What is planted, and the code that must be told.
fn corruptions() -> Vec<(String, &'static str)> {
    let id = run_id(2);
    vec![
        (format!("UPDATE kbase_events SET type = 'remark' WHERE run_id = '{id}' AND type = 'diagnosis'"), "I5"),
        (format!("DELETE FROM kbase_events WHERE run_id = '{id}' AND seq = 2"), "I9"),
    ]
}

async fn audit(database: &str, more: &[&str]) -> (Ended, Value) {
    let arguments = [&["audit", "--json", "--database", database], more].concat();
    let ended = run_to_end("hermes", &arguments, &[]).await;
    let report = serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{}{}", ended.stdout, ended.stderr));
    (ended, report)
}

/// Sound, in parts, then damaged: the same for both databases.
async fn each_planted_corruption_is_found(database: &str, execute: impl AsyncFn(&str)) {
    let (sound, report) = audit(database, &[]).await;
    assert_eq!((sound.code, &report["violations_total"]), (0, &Value::from(0)), "{}", sound.stdout);
    assert_eq!((&report["complete"], &report["counts"]["runs"]), (&true.into(), &3.into()));
    assert_eq!(report["counts"]["reruns"], 1);

    let (part, report) = audit(database, &["--limit", "1"]).await;
    let first = run_id(1).to_string();
    assert_eq!((part.code, report["last_run"].as_str()), (0, Some(first.as_str())));
    assert_eq!(report["complete"], false);
    let (rest, report) = audit(database, &["--after", &first]).await;
    assert_eq!((rest.code, &report["counts"]["runs"]), (0, &2.into()));
    assert_eq!(report["last_run"], run_id(3).to_string());

    for (sql, code) in corruptions() {
        execute(&sql).await;
        let (ended, report) = audit(database, &[]).await;
        assert_eq!(ended.code, 1, "{}", ended.stdout);
        let violation = &report["violations"][0];
        assert_eq!(
            (violation["invariant"].as_str(), violation["run_id"].as_str()),
            (Some(code), Some(&*run_id(2).to_string()))
        );
    }
    let told = run_to_end("hermes", &["audit", "--database", database], &[]).await;
    assert_eq!(told.code, 1);
    assert!(told.stdout.starts_with(&format!("I9 run {}: ", run_id(2))), "{}", told.stdout);
    assert!(told.stdout.contains("1 violation found."), "{}", told.stdout);
}

#[tokio::test]
async fn a_corruption_in_postgres_is_found() {
    let url = database().await;
    let store = Postgres::connect(&url, PostgresOptions::default()).await.expect("it answers");
    fill(&store).await;
    let execute = async |sql: &str| {
        let mut connection = PgConnection::connect(&url).await.expect("it answers");
        sqlx::query(AssertSqlSafe(sql)).execute(&mut connection).await.expect("a statement");
    };
    each_planted_corruption_is_found(&url, execute).await;
}

#[tokio::test]
async fn a_corruption_in_sqlite_is_found_while_another_process_has_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("hermes.db");
    let store = Sqlite::open(&path, "").await.expect("it opens");
    fill(&store).await;
    let execute = async |sql: &str| {
        let mut connection =
            SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.expect("it opens");
        sqlx::query(AssertSqlSafe(sql)).execute(&mut connection).await.expect("a statement");
    };
    each_planted_corruption_is_found(&format!("sqlite:{}", path.display()), execute).await;
    accept(&store, 4).await;
    store.close().await.expect("the reader took nothing from it");
}

#[tokio::test]
async fn a_sqlite_file_that_nobody_has_open_is_audited_and_damage_of_the_file_is_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("hermes.db");
    let store = Sqlite::open(&path, "").await.expect("it opens");
    fill(&store).await;
    store.close().await.expect("closed");
    let mut connection = SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.expect("it opens");
    // one run without its row, and another that refers to a plan which is not there
    let stray = format!(
        "PRAGMA foreign_keys = OFF; DELETE FROM runs WHERE run_id = '{}';
         UPDATE runs SET plan_hash = replace(plan_hash, substr(plan_hash, 1, 32), '{}') WHERE run_id = '{}'",
        run_id(1),
        "0".repeat(32),
        run_id(2)
    );
    sqlx::raw_sql(AssertSqlSafe(stray)).execute(&mut connection).await.expect("a statement");
    connection.close().await.expect("closed");
    let (ended, report) = audit(&format!("sqlite:{}", path.display()), &[]).await;
    assert_eq!(ended.code, 1);
    let found = report["violations"].as_array().expect("a list");
    let codes: Vec<_> = found.iter().map(|violation| violation["invariant"].as_str().unwrap_or_default()).collect();
    assert_eq!(codes, ["I17", "I22", "I22"], "{found:?}");
}

#[tokio::test]
async fn wrong_use_and_a_database_that_cannot_be_audited_are_told() {
    for arguments in [&["audit", "--after", "x"][..], &["audit", "--database", "mysql://x/y"]] {
        assert_eq!(run_to_end("hermes", arguments, &[]).await.code, 2, "{arguments:?}");
    }
    let empty = empty_database().await;
    let ended = run_to_end("hermes", &["audit", "--database", &empty], &[]).await;
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("hermes migrate"), "{}", ended.stderr);
    let missing = run_to_end("hermes", &["audit", "--database", "sqlite:/nowhere/hermes.db"], &[]).await;
    assert_eq!(missing.code, 1);
    assert!(!std::path::Path::new("/nowhere").exists());
}

#[tokio::test]
async fn what_is_opened_for_reading_cannot_be_written() {
    let url = DatabaseUrl::parse(&database().await).expect("a URL");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("hermes.db");
    Sqlite::open(&path, "").await.expect("it opens").close().await.expect("closed");
    for url in [url, DatabaseUrl::Sqlite(path)] {
        let database = ReadOnly::open(&url).await.expect("it opens");
        assert!(database.store().put_plan(&plan("plan-1")).await.is_err(), "{url}");
        assert!(database.store().callback_key([1; 32]).await.is_err(), "{url}");
        assert_eq!(database.store().plans().await.expect("readable"), [], "{url}");
    }
}

#[tokio::test]
async fn a_file_without_our_schema_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("other.db");
    std::fs::write(&path, "").expect("written");
    let refused = ReadOnly::open(&DatabaseUrl::Sqlite(path)).await.err().expect("refused");
    assert!(matches!(refused, OpenError::Outdated(_)), "{refused:?}");
}

/// Commits a change whose event tells of another website than its run.
async fn plant_a_lie(store: &dyn Store) {
    let run = read(store, run_id(1)).await;
    let (_, change) = change(&run, &note("1"), store.now().await.expect("the time")).expect("it changes the run");
    let Change::Update { run, taken_seq, mut events } = change else { panic!("an update") };
    events[0].website_id = "site_9".parse().expect("valid");
    commit(store, vec![Change::Update { run, taken_seq, events }]).await.expect("committed");
}

#[tokio::test(start_paused = true)]
async fn a_dispatcher_finds_a_violation_in_the_background_and_counts_it_once() {
    let start = tokio::time::Instant::now();
    let clock = move || Timestamp::EPOCH.plus_ms(u64::try_from(start.elapsed().as_millis()).expect("a short test"));
    let store = MemoryStore::new(Arc::new(clock));
    accept(&store, 1).await;
    let parts = EngineParts {
        store: Arc::new(store.clone()),
        queue: MemoryQueue::new().dispatcher(),
        book: Arc::new(RuleBook::shipped()),
        entropy: Arc::new(SystemEntropy),
        public_url: None,
        retention: None,
    };
    let engine = Engine::start(parts, &TaskTracker::new(), CancellationToken::new()).await.expect("it starts");
    let count = |name: &str| -> u64 {
        let text = engine.metrics().render();
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name}: {text}"));
        line.trim().parse().expect("a number")
    };
    let round = async |runs: u64| {
        while count("hermes_audit_runs_total") < runs {
            tokio::time::advance(Duration::from_millis(AUDIT_EVERY_MS / 10)).await;
        }
    };
    let violations = r#"hermes_audit_violations_total{invariant="I22"}"#;
    round(2).await;
    assert_eq!(count(violations), 0);
    plant_a_lie(&store).await;
    round(4).await;
    assert_eq!(count(violations), 1, "and it is told once");
    assert_eq!(count(r#"hermes_audit_violations_total{invariant="I3"}"#), 0);
}
