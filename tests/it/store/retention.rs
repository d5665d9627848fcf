//! Removing old runs over a real Postgres: by weeks, and run by run where a run has no week of its own.

use std::sync::Arc;
use std::time::Duration;

use hermes_adapters::postgres::Postgres;
use hermes_core::ports::store::{RunFilter, Store};
use hermes_core::run::Event;
use hermes_core::{RunId, Timestamp};
use hermes_tests::conformance::store::retention::{a_moment_later, remove_all, violations};
use hermes_tests::conformance::store::{
    SqlWorld, StoreWorld, accept_all, apply, note, read, run_id, settle, soon, submission, whole_log,
};
use hermes_tests::harness::fleet::Fleet;
use hermes_tests::harness::process::run_to_end;
use hermes_tests::harness::redis::Redis;
use serde_json::Value;
use sqlx::{Connection, Executor, PgConnection};

use super::partitions::{DAY_MS, WEEK_MS, id_at, later, part_of, parts, previous, run_at, week_of};
use super::postgres::{PostgresWorld, options};

const HOUR: Duration = Duration::from_secs(60 * 60);

/// A database that is ten weeks old.
async fn aged() -> (PostgresWorld, Timestamp) {
    let world = PostgresWorld::fresh().await;
    // The first part of a new database is empty, and ends with the week before.
    world.execute("DROP TABLE kbase_log_first").await.unwrap();
    world.execute("SELECT kbase_log_add_weeks(now() - interval '10 weeks', now())").await.unwrap();
    let now = world.store().now().await.unwrap();
    (world, now)
}

/// Runs of these days ago, settled now.
async fn settled_runs(store: &dyn Store, now: Timestamp, days_ago: &[i64]) -> Vec<RunId> {
    let runs = days_ago.iter().zip(1..).map(|(days, number)| run_at(later(now, -days * DAY_MS), number));
    let ids: Vec<RunId> = accept_all(store, runs).await.iter().map(|run| run.id()).collect();
    for id in &ids {
        settle(store, *id, "{}").await;
    }
    a_moment_later(store).await;
    ids
}

/// As if these runs had settled so many hours before.
async fn settled_earlier(world: &PostgresWorld, ids: &[RunId], hours: u64) {
    for id in ids {
        let earlier =
            format!("UPDATE runs SET settled_at = settled_at - interval '{hours} hours' WHERE run_id = '{id}'");
        world.execute(&earlier).await.unwrap();
    }
}

async fn listed(store: &dyn Store) -> Vec<RunId> {
    store.runs(&RunFilter::default(), None, 1_000).await.unwrap().iter().map(|run| run.summary.run_id).collect()
}

#[tokio::test]
async fn a_week_goes_as_a_whole_when_all_its_runs_are_old_and_younger_runs_stay_as_they_were() {
    let (world, now) = aged().await;
    let store = world.store();
    let ids = settled_runs(&*store, now, &[50, 50, 50, 43, 0]).await;
    settled_earlier(&world, &ids[..3], 2).await;
    let week = week_of(&world, later(now, -50 * DAY_MS)).await;
    let (younger, logs) =
        (read(&*store, ids[3]).await, [whole_log(&*store, ids[3]).await, whole_log(&*store, ids[4]).await]);
    assert!(parts(&world).await.contains(&week));

    assert_eq!(remove_all(&*store, HOUR, 2).await, 3);
    assert!(!parts(&world).await.contains(&week), "dropped");
    assert_eq!(listed(&*store).await, [ids[4], ids[3]]);
    for id in &ids[..3] {
        assert_eq!((store.run(*id).await.unwrap(), whole_log(&*store, *id).await), (None, Vec::new()));
    }
    assert_eq!(read(&*store, ids[3]).await, younger);
    assert_eq!([whole_log(&*store, ids[3]).await, whole_log(&*store, ids[4]).await], logs);
    assert_eq!(world.texts("SELECT part FROM kbase_log_removals").await, [""; 0]);
    assert_eq!(previous(&*store, ids[4]).await, ["{}"], "the history ends with what is kept");
    // a run that begins in a week that is gone is kept all the same
    accept_all(&*store, [run_at(later(now, -50 * DAY_MS), 9)]).await;
    assert_eq!(part_of(&world, id_at(later(now, -50 * DAY_MS), 9)).await, ["kbase_log_default"]);
}

#[tokio::test]
async fn a_week_with_an_open_run_is_kept_as_a_whole() {
    let (world, now) = aged().await;
    let store = world.store();
    let ids = settled_runs(&*store, now, &[50, 50]).await;
    let open = accept_all(&*store, [run_at(later(now, -50 * DAY_MS), 9)]).await.remove(0);
    assert_eq!(remove_all(&*store, Duration::ZERO, 10).await, 0);
    assert_eq!(remove_all(&*store, Duration::ZERO, 10).await, 0, "known from before");
    assert_eq!(listed(&*store).await.len(), 3);
    assert!(!whole_log(&*store, ids[0]).await.is_empty());
    settle(&*store, open.id(), "{}").await;
    a_moment_later(&*store).await;
    assert_eq!(remove_all(&*store, Duration::ZERO, 10).await, 3);
    assert_eq!(listed(&*store).await, []);
}

#[tokio::test]
async fn a_week_with_a_run_that_was_tried_again_lately_is_kept_as_a_whole() {
    let (world, now) = aged().await;
    let store = world.store();
    let ids = settled_runs(&*store, now, &[50, 50]).await;
    settled_earlier(&world, &ids, 2).await;
    apply(&*store, ids[1], &Event::RerunRequested).await;
    settle(&*store, ids[1], "{}").await;
    assert_eq!(remove_all(&*store, HOUR, 10).await, 0);
    assert_eq!(listed(&*store).await.len(), 2);
    settled_earlier(&world, &ids[1..], 2).await;
    assert_eq!(remove_all(&*store, HOUR, 10).await, 2);
}

#[tokio::test]
async fn a_week_that_has_not_ended_long_enough_ago_is_kept() {
    let (world, now) = aged().await;
    let store = world.store();
    let ids = settled_runs(&*store, now, &[0]).await;
    settled_earlier(&world, &ids, 2).await;
    assert_eq!(remove_all(&*store, HOUR, 10).await, 0);
    assert_eq!(listed(&*store).await, ids);
}

/// Each step by a process of its own, which ends after it; the auditor is silent after each.
#[tokio::test]
async fn removing_can_be_interrupted_after_each_step_and_a_run_that_is_tried_again_meanwhile_stays_whole() {
    let (world, now) = aged().await;
    let ids = settled_runs(&*world.store(), now, &[50, 50, 50, 50]).await;
    let step = async || {
        let process = Postgres::connect(&world.url, options()).await.unwrap();
        let removed = process.remove_settled(Duration::ZERO, 1).await.unwrap();
        process.close().await;
        removed
    };
    // first the weeks in which there was nothing
    while step().await.runs == 0 {}
    assert_eq!(world.texts("SELECT count(*)::text FROM kbase_log_removals").await, ["1"]);
    assert_eq!(violations(&*world.store()).await, [""; 0]);
    let again = apply(&*world.store(), ids[2], &Event::RerunRequested).await;
    let log = whole_log(&*world.store(), ids[2]).await;
    let mut gone = 1;
    loop {
        let removed = step().await;
        gone += removed.runs;
        assert_eq!(violations(&*world.store()).await, [""; 0]);
        if removed.is_all {
            break;
        }
    }
    assert_eq!(gone, 3);
    assert_eq!(read(&*world.store(), ids[2]).await, again);
    assert_eq!(whole_log(&*world.store(), ids[2]).await, log);
    settle(&*world.store(), ids[2], "{}").await;
    a_moment_later(&*world.store()).await;
    assert_eq!(remove_all(&*world.store(), Duration::ZERO, 10).await, 1);
    assert_eq!(world.texts("SELECT count(*)::text FROM kbase_log_removals").await, ["0"]);
    assert!(!parts(&world).await.contains(&week_of(&world, later(now, -50 * DAY_MS)).await));
}

#[tokio::test]
async fn many_may_remove_at_once_while_others_write() {
    let (world, now) = aged().await;
    let store = world.store();
    let ids = settled_runs(&*store, now, &[60, 60, 60, 52, 52, 45, 45, 38, 38]).await;
    let young = accept_all(&*store, [run_at(now, 90)]).await.remove(0).id();
    let removers = (0..3).map(|_| {
        let store = world.store();
        tokio::spawn(async move { remove_all(&*store, Duration::ZERO, 2).await })
    });
    let removers: Vec<_> = removers.collect();
    for _ in 0..30 {
        apply(&*store, young, &note("1")).await;
    }
    let mut gone = 0;
    for remover in removers {
        gone += soon(remover).await.unwrap();
    }
    gone += remove_all(&*store, Duration::ZERO, 2).await;
    assert_eq!(gone, ids.len() as u64);
    assert_eq!(listed(&*store).await, [young]);
    assert_eq!(violations(&*store).await, [""; 0]);
}

#[tokio::test]
async fn somebody_who_reads_the_log_for_long_delays_the_end_of_a_week_and_nothing_else() {
    let (world, now) = aged().await;
    let store = world.store();
    settled_runs(&*store, now, &[50]).await;
    let week = week_of(&world, later(now, -50 * DAY_MS)).await;
    let mut reader = PgConnection::connect(&world.url).await.unwrap();
    reader.execute("BEGIN; SELECT count(*) FROM kbase_log").await.unwrap();
    assert_eq!(remove_all(&*store, Duration::ZERO, 10).await, 1);
    assert!(parts(&world).await.contains(&week));
    accept_all(&*store, [run_at(now, 9)]).await;
    reader.execute("COMMIT").await.unwrap();
    assert_eq!(remove_all(&*store, Duration::ZERO, 10).await, 0);
    assert!(!parts(&world).await.contains(&week));
}

#[tokio::test]
async fn what_was_there_before_the_weeks_goes_run_by_run() {
    let world = PostgresWorld::fresh().await;
    let store = world.store();
    let now = store.now().await.unwrap();
    let ids = settled_runs(&*store, now, &[300, 200]).await;
    let far = run_at(later(now, 20 * WEEK_MS), 8).run_id;
    accept_all(&*store, [submission(7), run_at(later(now, 20 * WEEK_MS), 8)]).await;
    settle(&*store, far, "{}").await;
    a_moment_later(&*store).await;
    assert_eq!(part_of(&world, ids[0]).await, ["kbase_log_first"]);
    assert_eq!(remove_all(&*store, Duration::ZERO, 1).await, 2);
    assert_eq!(listed(&*store).await, [far, run_id(7)], "an id of the future waits for its time");
    assert_eq!(
        world
            .texts("SELECT count(*)::text FROM kbase_log_first WHERE run_id <> '00000000000000000000000000000007'")
            .await,
        ["0"]
    );
    assert!(parts(&world).await.contains(&"kbase_log_first".to_owned()));
    assert_eq!(violations(&*store).await, [""; 0]);
}

/// A whole dispatcher that is told to keep runs for two days.
#[tokio::test(flavor = "multi_thread")]
async fn a_dispatcher_removes_what_is_older_than_its_setting_says() {
    let (world, now) = aged().await;
    let store: Arc<dyn Store> = world.store();
    let ids = settled_runs(&*store, now, &[50, 3]).await;
    settled_earlier(&world, &ids[..1], 49).await;
    settled_earlier(&world, &ids[1..], 24).await;
    let redis = Redis::shared();
    let setting = ("HERMES_RETENTION_SETTLED_RUNS_DAYS".to_owned(), "2".to_owned());
    let mut fleet = Fleet::start(&world.url, &redis.url(), &redis.prefix(), 0, &[setting]).await;
    fleet.dispatcher.says("removed runs that settled more than 2 days ago").await;
    let status = async |path: String| reqwest::get(fleet.url(&path)).await.unwrap().status().as_u16();
    for path in ["", "/events", "/diagnosis", "/report"] {
        assert_eq!(status(format!("/api/orchestration/runs/{}{path}", ids[0])).await, 404, "{path}");
        assert_eq!(status(format!("/api/orchestration/runs/{}", ids[1])).await, 200);
    }
    let list = reqwest::get(fleet.url("/api/orchestration/runs")).await.unwrap().text().await.unwrap();
    assert!(list.contains(&ids[1].to_string()) && !list.contains(&ids[0].to_string()), "{list}");
    let events = reqwest::get(fleet.url("/api/kbase/events?limit=100")).await.unwrap().text().await.unwrap();
    assert!(events.contains(&ids[1].to_string()) && !events.contains(&ids[0].to_string()), "{events}");
    let metrics = reqwest::get(fleet.url("/metrics")).await.unwrap().text().await.unwrap();
    assert!(metrics.contains("hermes_removed_runs_total 1"), "{metrics}");
    let settled = format!("UPDATE runs SET settled_at = settled_at + interval '24 hours' WHERE run_id = '{}'", ids[1]);
    world.execute(&settled).await.unwrap();
    let audit = run_to_end("hermes", &["audit", "--json", "--database", &world.url], &[]).await;
    let report: Value = serde_json::from_str(&audit.stdout).unwrap();
    assert_eq!((audit.code, &report["violations_total"]), (0, &Value::from(0)), "{report}");
}
