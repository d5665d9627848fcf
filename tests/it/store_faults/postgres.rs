//! Postgres and the way to it.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use hermes_adapters::postgres::{Postgres, PostgresOptions};
use hermes_core::ports::store::{Claim, Store, StoreError};
use hermes_tests::harness::postgres::{Server, database};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};
use tokio_util::sync::CancellationToken;

use super::bench::{Bench, Course};
use super::disk::Disk;
use super::lossy::{Line, Loses};
use super::silence::Proxy;

async fn open(url: &str, options: PostgresOptions) -> Arc<Postgres> {
    let store = Postgres::connect(url, options).await.expect("it is up");
    store.migrate().await.expect("migrated");
    Arc::new(store)
}

/// Gives up soon, so that a test does not take minutes.
fn impatient() -> PostgresOptions {
    let short = Duration::from_secs(1);
    PostgresOptions {
        connections: 6,
        statement_timeout: short,
        lock_timeout: short,
        idle_transaction_timeout: short,
        patience: Duration::from_secs(2),
        read_only: false,
    }
}

async fn execute(url: &str, sql: &str) {
    let mut connection = PgConnection::connect(url).await.expect("the server answers");
    connection.execute(AssertSqlSafe(sql)).await.expect("a valid statement");
    connection.close().await.expect("closed");
}

async fn count(url: &str, sql: &str) -> i64 {
    let mut connection = PgConnection::connect(url).await.expect("the server answers");
    connection.fetch_one(AssertSqlSafe(sql)).await.expect("a valid query").get(0)
}

/// The same database, by another port.
fn through(port: u16, url: &str) -> String {
    let (_, name) = url.rsplit_once('/').expect("a name");
    format!("postgres://hermes@127.0.0.1:{port}/{name}")
}

fn port_of(url: &str) -> u16 {
    let (server, _) = url.rsplit_once('/').expect("a name");
    server.rsplit_once(':').expect("a port").1.parse().expect("a number")
}

/// Three clients submit without a break while `trouble` goes on.
async fn under_load(bench: &Bench, trouble: impl Future<Output = Course>) -> Course {
    let enough = CancellationToken::new();
    let ended = async {
        let met = trouble.await;
        enough.cancel();
        met
    };
    let (one, two, three, four) = tokio::join!(
        bench.keep_submitting("one", &enough),
        bench.keep_submitting("two", &enough),
        bench.keep_submitting("three", &enough),
        ended
    );
    let mut all = Course::default();
    for course in [one, two, three, four] {
        all.refused += course.refused;
        all.accepted.extend(course.accepted);
    }
    println!("{} runs accepted, sent away {} times", all.accepted.len(), all.refused);
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_crashes_under_load_loses_no_accepted_run() {
    let server = Arc::new(tokio::task::spawn_blocking(|| Server::start(&[])).await.expect("it starts"));
    server.execute("CREATE DATABASE faults".to_owned()).await;
    let url = server.url("faults");
    let bench = Bench::over(open(&url, PostgresOptions::default()).await).await;
    bench.employ();
    let course = under_load(&bench, async {
        let mut met = Course::default();
        for crash in 0..3 {
            for number in 0..10 {
                bench.insist(&format!("between-{crash}-{number}"), &mut met).await;
            }
            let crashing = server.clone();
            tokio::task::spawn_blocking(move || crashing.crash_and_recover()).await.expect("it recovers");
        }
        met
    })
    .await;
    assert!(course.refused > 0, "no client met a crash");
    bench.check(&course).await;
    let runs = count(&url, "SELECT count(*) FROM runs").await;
    assert_eq!(runs, i64::try_from(course.accepted.len()).expect("few"), "one run for each key");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_ended_at_random_lose_nothing() {
    let url = database().await;
    let bench = Bench::over(open(&url, PostgresOptions::default()).await).await;
    bench.employ();
    let end = "SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity
               WHERE datname = current_database() AND application_name = 'hermes' ORDER BY random() LIMIT 3) AS picked";
    let course = under_load(&bench, async {
        let (mut met, mut ended) = (Course::default(), 0);
        while ended < 100 {
            ended += count(&url, end).await;
            bench.insist(&format!("after-{ended}"), &mut met).await;
        }
        met
    })
    .await;
    bench.check(&course).await;
    let runs = count(&url, "SELECT count(*) FROM runs").await;
    assert_eq!(runs, i64::try_from(course.accepted.len()).expect("few"), "one run for each key");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_takes_effect_once() {
    for loses in [Loses::Answer, Loses::Order] {
        let url = database().await;
        let line = Line::to(port_of(&url), loses).await;
        let bench = Bench::over(open(&through(line.port, &url), PostgresOptions::default()).await).await;
        let mut course = Course::default();
        line.lose(5);
        let mut number = 0;
        while !line.is_done() {
            number += 1;
            bench.insist(&format!("key-{number}"), &mut course).await;
        }
        bench.employ();
        let id = bench.insist("last", &mut course).await;
        line.lose(5);
        bench.check(&course).await;
        for number in 0..5 {
            line.lose(1);
            let note = json!({"run_id": id, "service": "crm", "type": "seen", "payload": {"number": number}});
            let answer = bench.post("/kbase/events", None, &note).await;
            assert_eq!(answer.status, 201, "{loses:?}: {answer:?}");
            line.lose(0);
        }
        let runs = count(&url, "SELECT count(*) FROM runs").await;
        assert_eq!(runs, i64::try_from(course.accepted.len()).expect("few"), "{loses:?}: one run for each key");
        assert_eq!(count(&url, "SELECT count(*) FROM kbase_events WHERE service = 'crm'").await, 5, "{loses:?}");
        bench.audit(&bench.settled(id).await).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_into_a_void_are_given_up_told_and_replaced() {
    let url = database().await;
    let proxy = Proxy::to(format!("127.0.0.1:{}", port_of(&url))).await;
    let store = open(&through(proxy.port, &url), impatient()).await;
    let bench = Bench::over(store.clone()).await;
    bench.employ();
    let mut course = Course::default();
    bench.insist("before", &mut course).await;
    let mut number = 0;
    // more than once, should the dispatcher give up while its connections are still being gathered
    while course.refused == 0 {
        let mut held = Vec::new();
        for _ in 0..impatient().for_the_engine() {
            held.extend(store.begin(Claim::Due(1)).await);
        }
        proxy.go_silent();
        drop(held);
        number += 1;
        bench.insist(&format!("into the void {number}"), &mut course).await;
    }
    bench.check(&course).await;
}

/// The API's answers while there is no room, and after.
async fn without_room(bench: &Bench, fill: impl Future<Output = ()>, make_room: impl Future<Output = ()>) {
    let mut course = Course::default();
    bench.insist("before", &mut course).await;
    fill.await;
    let answer = bench.submit("full").await;
    assert_eq!(answer.status, 507, "{answer:?}");
    assert_eq!(answer.body["type"], "urn:hermes:problem:store-full");
    make_room.await;
    bench.employ();
    bench.insist("full", &mut course).await;
    bench.check(&course).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_says_its_disk_is_full_is_told_and_heals() {
    let url = database().await;
    let bench = Bench::over(open(&url, PostgresOptions::default()).await).await;
    let full = "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$;
                CREATE TRIGGER full_disk BEFORE INSERT ON kbase_log EXECUTE FUNCTION full_disk()";
    without_room(&bench, execute(&url, full), execute(&url, "DROP FUNCTION full_disk CASCADE")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full_is_told_and_heals() {
    let Some(disk) = Disk::of_kib(20 * 1_024) else { return };
    let server = tokio::task::spawn_blocking(|| Server::start(&[])).await.expect("it starts");
    std::fs::create_dir(disk.path()).expect("there is room for a folder");
    if let Ok(output) = Command::new("id").args(["-u"]).output()
        && output.stdout == b"0\n"
    {
        // the server runs as another user then
        let given = Command::new("chown").arg("postgres").arg(disk.path()).status().expect("chown is there");
        assert!(given.success());
    }
    server.execute(format!("CREATE TABLESPACE small LOCATION '{}'", disk.path().display())).await;
    server.execute("CREATE DATABASE faults TABLESPACE small".to_owned()).await;
    let url = server.url("faults");
    let bench = Bench::over(open(&url, PostgresOptions::default()).await).await;
    let fill = async {
        execute(&url, "CREATE TABLE ballast (bytes text); ALTER TABLE ballast ALTER bytes SET STORAGE EXTERNAL").await;
        let mut connection = PgConnection::connect(&url).await.expect("it answers");
        for bytes in [1_000_000, 100_000, 5_000] {
            let more = format!("INSERT INTO ballast SELECT repeat('x', {bytes})");
            while connection.execute(AssertSqlSafe(more.as_str())).await.is_ok() {}
        }
        // the pages that the tables have are filled up, too
        let mut number = 0;
        while bench.submit(&format!("filling-{number}")).await.status == 202 {
            number += 1;
        }
    };
    without_room(&bench, fill, async { disk.remount("size=64m") }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_run_is_told_from_an_unknown_one() {
    let url = database().await;
    let store = open(&url, PostgresOptions::default()).await;
    let bench = Bench::over(store.clone()).await;
    let id = bench.insist("damaged", &mut Course::default()).await;
    execute(&url, "UPDATE runs SET state = '{}'").await;
    let error = bench.store().run(id).await.expect_err("it cannot be read");
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
    let answer = bench.post(&format!("/orchestration/runs/{id}/cancel"), None, &json!({})).await;
    assert_eq!(answer.status, 500, "{answer:?}");
    assert_eq!(answer.body["type"], "urn:hermes:problem:stored-data-corrupt");
}
