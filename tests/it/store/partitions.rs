//! The log in parts by week: over a real Postgres.

use std::path::Path;

use hermes_adapters::postgres::Postgres;
use hermes_core::ports::store::{PreviousOf, Store};
use hermes_core::run::NewRun;
use hermes_core::{RunId, Timestamp};
use hermes_tests::conformance::store::{
    SqlWorld, StoreWorld, accept_all, note, read, run_id, settle, submission, take, whole_log,
};
use hermes_tests::harness::postgres::empty_database;
use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use uuid::Uuid;

use super::postgres::{PostgresWorld, options};

pub(super) const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
pub(super) const WEEK_MS: i64 = 7 * DAY_MS;

/// A run of this time: a UUID version 7.
pub(super) fn id_at(at: Timestamp, number: u128) -> RunId {
    let ms = u128::try_from(at.as_millis()).unwrap();
    RunId::from_uuid(Uuid::from_u128((ms << 80) | (7 << 76) | (2 << 62) | number))
}

pub(super) fn run_at(at: Timestamp, number: u128) -> NewRun {
    NewRun { run_id: id_at(at, number), ..submission(number) }
}

pub(super) fn later(at: Timestamp, ms: i64) -> Timestamp {
    Timestamp::from_millis(at.as_millis() + ms)
}

/// In which part the rows of a run lie.
pub(super) async fn part_of(world: &PostgresWorld, id: RunId) -> Vec<String> {
    world.texts(&format!("SELECT DISTINCT tableoid::regclass::text FROM kbase_log WHERE run_id = '{id}'")).await
}

/// The part for the week of a time, as the migration names it.
pub(super) async fn week_of(world: &PostgresWorld, at: Timestamp) -> String {
    let sql = "SELECT 'kbase_log_' || to_char(date_trunc('week', '$at'::timestamptz AT TIME ZONE 'UTC'), 'YYYYMMDD')";
    world.texts(&sql.replace("$at", &at.to_string())).await.remove(0)
}

pub(super) async fn parts(world: &PostgresWorld) -> Vec<String> {
    world.texts("SELECT relid::regclass::text FROM pg_partition_tree('kbase_log') WHERE isleaf ORDER BY 1").await
}

/// Forgets the parts of the coming weeks.
async fn forget_weeks(world: &PostgresWorld) {
    for part in parts(world).await.iter().filter(|part| part.starts_with("kbase_log_2")) {
        world.execute(&format!("DROP TABLE {part}")).await.unwrap();
    }
}

pub(super) async fn previous(store: &dyn Store, of: RunId) -> Vec<String> {
    let (mut transaction, _) = take(store, of).await;
    let asked = PreviousOf { run_id: of, website_id: "site_1".parse().unwrap(), before: None };
    let found = transaction.previous_diagnoses(&[asked]).await.unwrap();
    found.into_iter().map(|(_, diagnosis)| diagnosis.get().to_owned()).collect()
}

#[tokio::test]
async fn each_run_lies_in_the_part_of_its_week_and_ids_without_a_time_in_the_first() {
    let world = PostgresWorld::fresh().await;
    let store = world.store();
    let now = store.now().await.unwrap();
    let (this_week, next_week) = (run_at(now, 1), run_at(later(now, WEEK_MS), 2));
    let (no_time, long_ago) = (submission(3), run_at(later(now, -300 * DAY_MS), 4));
    let ids = [&this_week, &next_week, &no_time, &long_ago].map(|run| run.run_id);
    accept_all(&*store, [this_week, next_week, no_time, long_ago]).await;
    let weeks = [week_of(&world, now).await, week_of(&world, later(now, WEEK_MS)).await];
    assert_eq!(part_of(&world, ids[0]).await, [weeks[0].clone()]);
    assert_eq!(part_of(&world, ids[1]).await, [weeks[1].clone()]);
    assert_eq!(part_of(&world, ids[2]).await, ["kbase_log_first"]);
    assert_eq!(part_of(&world, ids[3]).await, ["kbase_log_first"]);
    assert_eq!(world.texts("SELECT count(*)::text FROM kbase_log_default").await, ["0"]);
    // what happens to a run later lies beside what happened first
    settle(&*store, ids[3], "{}").await;
    assert_eq!(part_of(&world, ids[3]).await, ["kbase_log_first"]);
}

#[tokio::test]
async fn each_part_is_kept_as_the_log_was() {
    let world = PostgresWorld::fresh().await;
    let kept = |part: &str| {
        format!(
            "SELECT concat_ws(' ', array_to_string(reloptions, ','), (SELECT attcompression FROM pg_attribute
                 WHERE attrelid = pg_class.oid AND attname = 'payloads'),
                 (SELECT count(*) FROM pg_index WHERE indrelid = pg_class.oid), (SELECT count(*) FROM pg_constraint
                 WHERE conrelid = pg_class.oid AND contype IN ('c', 'p')))
             FROM pg_class WHERE oid = '{part}'::regclass"
        )
    };
    let first = world.texts(&kept("kbase_log_first")).await;
    assert!(first[0].contains("autovacuum_freeze_min_age=0"), "{first:?}");
    let parts = parts(&world).await;
    assert_eq!(parts.len(), 7, "the first, this week, four more and the default: {parts:?}");
    for part in parts {
        let found = world.texts(&kept(&part)).await;
        let sorted = |text: &str| {
            let mut words: Vec<String> = text.split([',', ' ']).map(str::to_owned).collect();
            words.sort_unstable();
            words
        };
        assert_eq!(sorted(&found[0]), sorted(&first[0]), "{part}");
    }
}

#[tokio::test]
async fn parts_are_made_once_however_many_make_them_at_once() {
    let world = PostgresWorld::fresh().await;
    let expected = parts(&world).await;
    assert_eq!(world.store().make_room().await.unwrap(), [""; 0], "they are there");
    forget_weeks(&world).await;
    let makers = (0..4).map(|_| {
        let store = world.store();
        tokio::spawn(async move { store.make_room().await.unwrap() })
    });
    let mut made = Vec::new();
    for maker in makers.collect::<Vec<_>>() {
        made.extend(maker.await.unwrap());
    }
    made.sort_unstable();
    assert_eq!(made.len(), 5, "each by one of them: {made:?}");
    assert_eq!(parts(&world).await, expected);
}

#[tokio::test]
async fn what_nobody_made_a_part_for_is_kept_and_moves_when_there_is_one() {
    let world = PostgresWorld::fresh().await;
    let store = world.store();
    let now = store.now().await.unwrap();
    forget_weeks(&world).await;
    let far = run_at(later(now, 10 * WEEK_MS), 2);
    let ids = [id_at(now, 1), far.run_id];
    accept_all(&*store, [run_at(now, 1), far]).await;
    settle(&*store, ids[0], r#"{"of": 1}"#).await;
    let log = whole_log(&*store, ids[0]).await;
    assert_eq!(part_of(&world, ids[0]).await, ["kbase_log_default"]);
    assert_eq!(store.make_room().await.unwrap().len(), 5);
    assert_eq!(part_of(&world, ids[0]).await, [week_of(&world, now).await]);
    assert_eq!(whole_log(&*store, ids[0]).await, log);
    assert_eq!(part_of(&world, ids[1]).await, ["kbase_log_default"], "its week is still far");
    assert_eq!(previous(&*store, ids[1]).await, [r#"{"of": 1}"#]);
}

#[tokio::test]
async fn the_previous_diagnosis_is_found_in_whatever_part_it_lies() {
    let world = PostgresWorld::fresh().await;
    let store = world.store();
    let now = store.now().await.unwrap();
    let ago = [300, 200, 20, 3, 0].map(|days| later(now, -days * DAY_MS));
    let runs = ago.iter().zip(1..).map(|(at, number)| run_at(*at, number));
    let ids: Vec<RunId> = accept_all(&*store, runs).await.iter().map(|run| run.id()).collect();
    assert_eq!(previous(&*store, ids[4]).await, [""; 0]);
    for (number, id) in ids[..4].iter().enumerate() {
        let before = store.now().await.unwrap();
        while store.now().await.unwrap() <= before {}
        settle(&*store, *id, &format!("{number}")).await;
        assert_eq!(previous(&*store, ids[4]).await, [number.to_string()]);
    }
    // it is that of the run that settled last, and while that is tried again, too
    hermes_tests::conformance::store::apply(&*store, ids[0], &hermes_core::run::Event::RerunRequested).await;
    assert_eq!(previous(&*store, ids[4]).await, ["3"]);
    settle(&*store, ids[0], r#""again""#).await;
    assert_eq!(previous(&*store, ids[4]).await, [r#""again""#]);
    hermes_tests::conformance::store::apply(&*store, ids[0], &hermes_core::run::Event::RerunRequested).await;
    assert_eq!(previous(&*store, ids[4]).await, [r#""again""#]);
    // a diagnosis that could not be made does not hide the one before it
    let event = format!("UPDATE kbase_events SET type = 'note' WHERE run_id = '{}' AND type = 'diagnosis'", ids[0]);
    world.execute(&event).await.unwrap();
    assert_eq!(previous(&*store, ids[4]).await, ["3"]);
}

#[tokio::test]
async fn lookups_by_run_open_the_parts_of_their_runs_only() {
    let world = PostgresWorld::fresh().await;
    world.execute("SELECT kbase_log_add_weeks(now(), now() + interval '60 weeks')").await.unwrap();
    assert!(parts(&world).await.len() > 60);
    let now = world.store().now().await.unwrap();
    let id = id_at(now, 1);
    let week = week_of(&world, now).await;
    // the engine's statements, planned once for all
    let queries = [
        (
            "text",
            "SELECT * FROM kbase_log WHERE run_id = $1 AND last_seq > 0 ORDER BY first_seq LIMIT 9",
            format!("'{id}'"),
        ),
        (
            "text[], text, text",
            "SELECT * FROM kbase_log WHERE (run_id, first_seq) IN (
                 SELECT batch.run_id, batch.first_seq FROM UNNEST($1) AS wanted (run_id) CROSS JOIN LATERAL (
                     SELECT run_id, first_seq FROM kbase_log
                     WHERE run_id = wanted.run_id AND run_id BETWEEN $2 AND $3 AND first_seq <= 7
                     ORDER BY first_seq DESC LIMIT 1
                 ) AS batch
             ) AND run_id BETWEEN $2 AND $3",
            format!("ARRAY['{id}'], '{id}', '{id}'"),
        ),
    ];
    for (types, query, arguments) in queries {
        let plan = format!(
            "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off;
             SET plan_cache_mode = force_generic_plan; PREPARE lookup ({types}) AS {query};
             EXPLAIN EXECUTE lookup ({arguments})"
        );
        let plan = world.texts(&plan).await.join("\n");
        assert!(plan.contains(&format!("{week}_pkey")), "{query}\n{plan}");
        let opened: Vec<&str> =
            plan.lines().filter(|line| line.contains(" on kbase_log_") && !line.contains(&week)).collect();
        assert_eq!(opened, [""; 0], "{query}\n{plan}");
        assert!(!plan.contains("Seq Scan"), "{query}\n{plan}");
    }
}

/// A database as the build before left it, with what that wrote.
async fn before_weeks(sql: &str) -> PostgresWorld {
    let world = PostgresWorld::at(empty_database().await).await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations/postgres");
    let all = Migrator::new(folder).await.unwrap();
    let known = all.iter().filter(|migration| migration.version < 5).cloned().collect::<Vec<_>>();
    let older = Migrator { migrations: known.into(), ..Migrator::DEFAULT };
    older.run(&mut PgConnection::connect(&world.url).await.unwrap()).await.unwrap();
    world.execute(sql).await.unwrap();
    world
}

/// What the build before writes.
fn old_row(id: RunId) -> String {
    format!(
        r#"INSERT INTO kbase_log (run_id, first_seq, last_seq, website_id, created_at, diagnosed, heads, payloads)
           VALUES ('{id}', 1, 2, 'site_1', now(), false, '[["hermes","a"],["hermes","b"]]', '[1, {{"b": "\u0000"}}]');"#
    )
}

#[tokio::test]
async fn an_existing_log_becomes_the_first_part_as_it_is() {
    let now = Postgres::connect(&empty_database().await, options()).await.unwrap().now().await.unwrap();
    let (old, none, today, future) =
        (id_at(later(now, -100 * DAY_MS), 1), run_id(2), id_at(now, 3), id_at(later(now, 40 * WEEK_MS), 4));
    let events = "SELECT run_id || seq || service || type || payload::text FROM kbase_events ORDER BY run_id, seq";
    let file = |table: &str| format!("SELECT pg_relation_filenode('{table}')::text");
    for beyond in [false, true] {
        let mut rows = vec![old, none, today];
        rows.extend(beyond.then_some(future));
        let world = before_weeks(&rows.iter().map(|id| old_row(*id)).collect::<String>()).await;
        let before = (world.texts(events).await, world.texts(&file("kbase_log")).await);
        // a process of the build before goes on with what it has prepared
        let mut other = PgConnection::connect(&world.url).await.unwrap();
        let insert = old_row(id_at(later(now, WEEK_MS), 5)).replace("5', 1, 2", "5', $1, $1 + 1");
        let insert = insert.trim_end_matches(';');
        let count = "SELECT count(*) FROM kbase_events WHERE run_id = $1";
        sqlx::query(AssertSqlSafe(insert)).bind(1_i64).execute(&mut other).await.unwrap();
        let counted: i64 = sqlx::query_scalar(count).bind(old.to_string()).fetch_one(&mut other).await.unwrap();
        assert_eq!(counted, 2);

        world.postgres().migrate().await.unwrap();
        sqlx::query(AssertSqlSafe(insert)).bind(3_i64).execute(&mut other).await.unwrap();
        let counted: i64 = sqlx::query_scalar(count).bind(old.to_string()).fetch_one(&mut other).await.unwrap();
        assert_eq!(counted, 2);
        other
            .execute(AssertSqlSafe(format!(
                "DELETE FROM kbase_events WHERE run_id = '{}'",
                id_at(later(now, WEEK_MS), 5)
            )))
            .await
            .unwrap();
        assert_eq!(world.texts(events).await, before.0);
        assert_eq!(world.texts(&file("kbase_log_first")).await, before.1, "nothing was copied");
        for id in [old, none, today] {
            assert_eq!(part_of(&world, id).await, ["kbase_log_first"]);
        }
        if beyond {
            assert_eq!(part_of(&world, future).await, ["kbase_log_default"]);
        }
        let constraints = "SELECT count(*)::text FROM pg_constraint WHERE conname = 'kbase_log_first_bound'";
        assert_eq!(world.texts(constraints).await, ["0"]);
        // the weeks go on where the first part ends
        let far = later(now, 3 * WEEK_MS);
        accept_all(&*world.store(), [run_at(far, 6)]).await;
        assert_eq!(part_of(&world, id_at(far, 6)).await, [week_of(&world, far).await]);
    }
}

#[tokio::test]
async fn the_migration_can_be_interrupted_after_each_step() {
    let text = include_str!("../../../migrations/postgres/0005_weeks.sql");
    let steps: Vec<&str> = text.split_inclusive("COMMIT;").collect();
    assert!(steps.len() > 4);
    let now = Postgres::connect(&empty_database().await, options()).await.unwrap().now().await.unwrap();
    let id = id_at(now, 1);
    for done in 1..=steps.len() {
        let world = before_weeks(&old_row(id)).await;
        world.execute(&steps[..done].concat()).await.unwrap();
        // the build before goes on, also for days
        let tomorrow = id_at(later(now, DAY_MS), 2);
        world.execute(&old_row(tomorrow)).await.unwrap();
        world.postgres().migrate().await.unwrap();
        world.postgres().check_schema().await.unwrap();
        assert_eq!(world.texts("SELECT count(*)::text FROM kbase_log_first").await, ["2"], "after {done} steps");
        let run = accept_all(&*world.store(), [run_at(now, 3)]).await.remove(0);
        hermes_tests::conformance::store::apply(&*world.store(), run.id(), &note("1")).await;
        assert_eq!(read(&*world.store(), run.id()).await.id(), run.id());
    }
}

/// Both go on for as long as they like: the one lists parts that the other has dropped before their turn comes.
#[tokio::test]
async fn a_part_that_goes_while_its_indexes_are_checked_is_no_damage() {
    let world = PostgresWorld::fresh().await;
    world.execute("CREATE EXTENSION amcheck").await.unwrap();
    let postgres = world.postgres();
    let come_and_go = async {
        loop {
            for part in parts(&world).await.iter().filter(|part| part.starts_with("kbase_log_2")) {
                // as the engine does it: whoever checks may be in the way
                let _ = world.execute(&format!("SET LOCAL lock_timeout = '250ms'; DROP TABLE {part}")).await;
            }
            postgres.make_room().await.unwrap();
        }
    };
    let check = async {
        for _ in 0..20 {
            assert_eq!(postgres.damage().await.unwrap(), Some(Vec::new()));
        }
    };
    tokio::select! {
        () = come_and_go => {}
        () = check => {}
    }
}
