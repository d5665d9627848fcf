//! Stores that people also read with SQL, and whose rows can be damaged.

use std::sync::Arc;

use hermes_core::ports::store::{Claim, EventFilter, RunFilter, Store, StoreError};
use hermes_core::run::NewRun;
use hermes_core::{Run, RunId};

use super::{
    SqlWorld, accept, accept_all, accept_earlier, apply, note, plan, read, release, run_id, settle, submission,
    whole_log,
};

/// As people write it.
pub async fn all_run_status_events_of_a_website_come_newest_first(world: &impl SqlWorld) {
    let store = world.store();
    let site = |number| NewRun { website_id: "site_123".parse().unwrap(), ..submission(number) };
    accept_all(&*store, [site(1), submission(2), site(3)]).await;
    settle(&*store, run_id(1), "{}").await;
    settle(&*store, run_id(2), "{}").await;
    let sql = "SELECT * FROM kbase_events
        WHERE website_id = 'site_123'
          AND service = 'hermes'
          AND type = 'run_status'
        ORDER BY created_at DESC;";
    let ids = world.texts(sql).await;
    let settled = format!("evt_{}_{}", run_id(1), read(&*store, run_id(1)).await.state().last_seq);
    assert_eq!(ids.len(), 3, "{ids:?}");
    assert_eq!(ids[0], settled);
}

/// Even where all of them have the same time.
pub async fn the_events_of_a_run_ordered_by_time_are_its_log(world: &impl SqlWorld) {
    let store = world.store();
    accept_all(&*store, (1..=20).map(submission)).await;
    for number in [7, 8] {
        apply(&*store, run_id(number), &note("1")).await;
        settle(&*store, run_id(number), "{}").await;
    }
    let sql = format!("SELECT * FROM kbase_events\nWHERE run_id = '{}'\nORDER BY created_at ASC;", run_id(7));
    let log = whole_log(&*store, run_id(7)).await;
    let expected: Vec<String> = log.iter().map(|event| event.event_id.to_string()).collect();
    assert_eq!(world.texts(&sql).await, expected);
    assert_eq!(
        world.texts("SELECT * FROM kbase_events WHERE run_id = 'abc123xyz' ORDER BY created_at ASC;").await,
        [""; 0]
    );
}

fn taken(runs: &[Run]) -> Vec<RunId> {
    runs.iter().map(Run::id).collect()
}

/// Everything else goes on.
pub async fn a_damaged_state_is_left_out_of_claims_and_told_when_read(world: &impl SqlWorld) {
    let store = world.store();
    for number in 1..=3 {
        accept_earlier(&*store, number, 3_600_000).await;
    }
    let sound = world.texts(&format!("SELECT state FROM runs WHERE run_id = '{}'", run_id(2))).await.remove(0);
    let damaged = [
        "{}".to_owned(),
        "[]".to_owned(),
        sound.replace(r#""status":"started""#, r#""status":"exploded""#),
        sound.replace(&run_id(2).to_string(), &run_id(5).to_string()),
        sound.replace(r#""last_seq":2"#, r#""last_seq":3"#),
        sound.replace(r#""wake_at":"#, r#""wake_at":null,"was":"#),
    ];
    for state in damaged {
        assert_ne!(state, sound);
        let sql = format!("UPDATE runs SET state = '{}' WHERE run_id = '{}'", state.replace('\'', "''"), run_id(2));
        world.execute(&sql).await.unwrap();
        let error = store.run(run_id(2)).await.unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { table: "runs", column: "state", .. }), "{error:?}");
        let mut transaction = store.begin(Claim::Runs(&[1, 2, 3].map(run_id))).await.unwrap();
        assert_eq!(taken(&transaction.take_runs()), [1, 3].map(run_id));
        let unreadable: Vec<RunId> = transaction.unreadable().iter().map(|(id, _)| *id).collect();
        assert_eq!(unreadable, [run_id(2)], "it is told from a run that is not there");
        release(transaction).await;
        let mut transaction = store.begin(Claim::Due(10)).await.unwrap();
        assert_eq!(taken(&transaction.take_runs()), [1, 3].map(run_id));
        release(transaction).await;
        assert_eq!(taken(&store.open_runs(None, None, 10).await.unwrap()), [1, 3].map(run_id));
    }
    let listed = store.runs(&RunFilter::default(), None, 10).await.unwrap();
    assert_eq!(listed.len(), 2, "the list shows what can be read");
}

/// They are the oldest, and more than one claim takes.
pub async fn damaged_runs_do_not_starve_the_ones_behind_them(world: &impl SqlWorld) {
    let store = world.store();
    for number in 1..=6 {
        accept_earlier(&*store, number, 3_600_000).await;
    }
    world.execute(&format!("UPDATE runs SET state = '{{}}' WHERE run_id <> '{}'", run_id(6))).await.unwrap();
    let mut transaction = store.begin(Claim::Due(2)).await.unwrap();
    assert_eq!(taken(&transaction.take_runs()), [run_id(6)]);
    release(transaction).await;
    settle(&*store, run_id(6), "{}").await;
    assert_eq!(store.next_wake_ms().await.unwrap(), None, "nobody is woken for what cannot be read");
}

/// The plan is checked against its hash.
pub async fn a_damaged_plan_is_told_when_its_run_is_read(world: &impl SqlWorld) {
    accept(&*world.store(), 1).await;
    world.execute("UPDATE plans SET frozen = frozen || ' '").await.unwrap();
    let store = world.reopened().await;
    let error = store.run(run_id(1)).await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
    let mut transaction = store.begin(Claim::Runs(&[run_id(1)])).await.unwrap();
    assert_eq!(transaction.take_runs(), []);
}

/// The schema restates the state machine.
pub async fn impossible_rows_are_refused(world: &impl SqlWorld) {
    let store = world.store();
    accept(&*store, 1).await;
    accept(&*store, 2).await;
    settle(&*store, run_id(2), "{}").await;
    let (open, settled) = (run_id(1), run_id(2));
    for (change, id) in [
        ("status = 'exploded'", open),
        ("status = 'completed'", open),
        ("wake_at = NULL", open),
        ("settled_at = created_at", open),
        ("settled_at = created_at, wake_at = NULL", open),
        ("last_seq = 0", open),
        ("revision = 0", open),
        ("deadline_at = started_at", open),
        ("idempotency_key = 'k'", open),
        ("run_id = 'short'", open),
        ("status = 'running'", settled),
        ("wake_at = created_at", settled),
        ("settled_at = NULL", settled),
    ] {
        let sql = format!("UPDATE runs SET {change} WHERE run_id = '{id}'");
        assert!(world.execute(&sql).await.is_err(), "{change}");
    }
    for change in ["UPDATE kbase_events SET seq = 0 WHERE seq = 1", "UPDATE kbase_events SET seq = 2 WHERE seq = 1"] {
        assert!(world.execute(change).await.is_err(), "{change}");
    }
    assert!(world.execute("UPDATE plan_versions SET version = 0").await.is_ok(), "there is none yet");
    store.put_plan(&plan("plan-1")).await.unwrap();
    assert!(world.execute("UPDATE plan_versions SET version = 0").await.is_err());
}

/// Nothing lives in memory only.
pub async fn everything_is_there_after_opening_again(world: &impl SqlWorld) {
    let store = world.store();
    accept(&*store, 1).await;
    let run = apply(&*store, run_id(1), &note("1")).await;
    accept(&*store, 2).await;
    let settled = settle(&*store, run_id(2), "{}").await;
    let key = store.callback_key([1; 32]).await.unwrap();
    let stored = store.put_plan(&plan("plan-1")).await.unwrap();
    let (log, before) = (whole_log(&*store, run_id(1)).await, store.now().await.unwrap());
    drop(store);

    let store: Arc<dyn Store> = world.reopened().await;
    assert_eq!(read(&*store, run_id(1)).await, run);
    assert_eq!(read(&*store, run_id(2)).await, settled);
    assert_eq!(whole_log(&*store, run_id(1)).await, log);
    assert_eq!(store.callback_key([2; 32]).await.unwrap(), key);
    assert_eq!(store.plans().await.unwrap(), [stored]);
    assert_eq!(store.open_runs(None, None, 10).await.unwrap(), [run]);
    assert_eq!(store.kbase(&EventFilter::default(), None, 1).await.unwrap()[0].run_id, run_id(2));
    assert!(store.now().await.unwrap() >= before);
}
