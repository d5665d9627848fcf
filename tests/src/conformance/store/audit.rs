//! What the auditor sees: every row, in pages.

use std::sync::Arc;

use hermes_core::ports::store::{Store, StoredRun};
use hermes_core::run::Event;
use hermes_dispatcher::audit::Auditor;

use super::{SqlWorld, accept, accept_all, apply, note, run_id, settle, submission};

const SLACK_MS: u64 = 60_000;

fn keys(page: &[StoredRun]) -> Vec<String> {
    page.iter().map(|stored| stored.key.clone()).collect()
}

/// Open ones and settled ones.
pub async fn stored_runs_come_by_id_in_pages(store: Arc<dyn Store>) {
    accept_all(&*store, [4, 1, 5, 2, 3].map(submission)).await;
    settle(&*store, run_id(2), "{}").await;
    let id = |number| run_id(number).to_string();
    let first = store.stored_runs("", 2).await.unwrap();
    assert_eq!(keys(&first), [id(1), id(2)]);
    for stored in &first {
        let run = stored.run.as_ref().unwrap();
        assert_eq!(Some(run), store.run(run.id()).await.unwrap().as_ref());
        assert_eq!(stored.differing, [""; 0]);
    }
    assert_eq!(keys(&store.stored_runs(&id(2), 9).await.unwrap()), [id(3), id(4), id(5)]);
    assert_eq!(keys(&store.stored_runs(&id(5), 9).await.unwrap()), [""; 0]);
    assert_eq!(store.orphans("", None, 10).await.unwrap(), [""; 0]);
}

/// Whatever became of them, in one page or in many.
pub async fn an_audit_of_whole_runs_finds_nothing(store: Arc<dyn Store>) {
    accept_all(&*store, (1..=5).map(submission)).await;
    apply(&*store, run_id(1), &note("1")).await;
    settle(&*store, run_id(2), "{}").await;
    settle(&*store, run_id(3), "{}").await;
    apply(&*store, run_id(3), &Event::RerunRequested).await;
    for pages_of in [1, 2, 5, 100] {
        let mut auditor = Auditor::new(&*store, String::new(), SLACK_MS);
        let mut runs = 0;
        loop {
            let page = auditor.page(pages_of).await.unwrap();
            assert_eq!(page.violations, []);
            runs += page.tally.runs;
            if page.is_last {
                break;
            }
        }
        assert_eq!(runs, 5, "in pages of {pages_of}");
        assert_eq!(auditor.after(), run_id(5).to_string());
    }
}

/// More events than one page of them.
pub async fn an_audit_reads_long_logs_to_their_end(store: Arc<dyn Store>) {
    accept(&*store, 1).await;
    for _ in 0..150 {
        apply(&*store, run_id(1), &note("1")).await;
    }
    let page = Auditor::new(&*store, String::new(), SLACK_MS).page(10).await.unwrap();
    assert_eq!((page.violations, page.tally.events, page.tally.notes), (Vec::new(), 152, 150));
}

/// One damage at a time, with the codes that are found.
pub async fn each_damage_is_found_by_an_audit(world: &impl SqlWorld) {
    let store = world.store();
    accept_all(&*store, (1..=3).map(submission)).await;
    settle(&*store, run_id(2), "{}").await;
    let id = run_id(2);
    let set = |what: &str| format!("UPDATE runs SET {what} WHERE run_id = '{id}'");
    let last = |what: &str| {
        format!(
            "UPDATE kbase_events SET {what}
             WHERE run_id = '{id}' AND seq = (SELECT last_seq FROM runs WHERE run_id = '{id}')"
        )
    };
    let damages = [
        (set("status = 'completed'"), "I9"),
        (set("website_id = 'site_9'"), "I9"),
        (set("revision = 7"), "I9"),
        (set("state = '{}'"), "I22"),
        (set("last_seq = 1"), "I22"),
        (last("payload = '{}'"), "I22"),
        (last("website_id = 'site_9'"), "I22"),
        (last("seq = 99"), "I9"),
        (format!("DELETE FROM kbase_events WHERE run_id = '{id}' AND seq = 2"), "I9"),
        (format!("UPDATE kbase_events SET type = 'remark' WHERE run_id = '{id}' AND type = 'diagnosis'"), "I5"),
    ];
    for (damage, expected) in damages {
        for (table, columns) in [("runs", RUN_COLUMNS), ("kbase_events", EVENT_COLUMNS)] {
            world.execute(&format!("CREATE TABLE kept_{table} AS SELECT {columns} FROM {table}")).await.unwrap();
        }
        world.execute(&damage).await.unwrap();
        let page = Auditor::new(&*store, String::new(), SLACK_MS).page(10).await.unwrap();
        assert_eq!(page.tally.runs, 3);
        let found: Vec<_> = page.violations.iter().map(|found| (found.run_id, found.invariant.code())).collect();
        assert!(found.contains(&(Some(id), expected)), "{damage}: {:?}", page.violations);
        assert!(found.iter().all(|(run_id, _)| *run_id == Some(id)), "{damage}: {:?}", page.violations);
        restore(world).await;
    }
}

/// The columns that are written; others are derived.
const RUN_COLUMNS: &str = "run_id, website_id, domain, plan_id, plan_hash, status, revision, last_seq, created_at, \
                           started_at, deadline_at, wake_at, settled_at, idempotency_key, request_hash, state";
const EVENT_COLUMNS: &str = "website_id, run_id, seq, service, type, payload, created_at";

/// Puts the tables back as they were kept.
async fn restore(world: &impl SqlWorld) {
    for sql in [
        "DELETE FROM kbase_events".to_owned(),
        "DELETE FROM runs".to_owned(),
        format!("INSERT INTO runs ({RUN_COLUMNS}) SELECT {RUN_COLUMNS} FROM kept_runs"),
        format!("INSERT INTO kbase_events ({EVENT_COLUMNS}) SELECT {EVENT_COLUMNS} FROM kept_kbase_events"),
        "DROP TABLE kept_runs".to_owned(),
        "DROP TABLE kept_kbase_events".to_owned(),
    ] {
        world.execute(&sql).await.unwrap();
    }
}

/// Wherever its id lies between those that are there.
pub async fn events_without_their_run_are_found(world: &impl SqlWorld) {
    let store = world.store();
    accept_all(&*store, (1..=5).map(submission)).await;
    for lost in [1, 3, 5] {
        world.execute_unchecked(&format!("DELETE FROM runs WHERE run_id = '{}'", run_id(lost))).await.unwrap();
    }
    let lost = [1, 3, 5].map(|number| run_id(number).to_string());
    assert_eq!(store.orphans("", None, 10).await.unwrap(), lost);
    assert_eq!(store.orphans(&lost[0], Some(&lost[1]), 10).await.unwrap(), [lost[1].clone()]);
    for pages_of in [1, 2, 10] {
        let mut auditor = Auditor::new(&*store, String::new(), SLACK_MS);
        let mut found = Vec::new();
        loop {
            let page = auditor.page(pages_of).await.unwrap();
            found.extend(page.violations.into_iter().map(|violation| (violation.run_id, violation.invariant.code())));
            if page.is_last {
                break;
            }
        }
        assert_eq!(found, [1, 3, 5].map(|number| (Some(run_id(number)), "I22")), "in pages of {pages_of}");
    }
}
