//! Removing what settled long ago.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use hermes_core::ports::store::{Committed, EventFilter, Removed, RunFilter, Store, StoreError};
use hermes_core::run::Event;
use hermes_dispatcher::audit::Auditor;

use super::{accept, accept_all, acceptance, apply, change, commit, note, run_id, settle, submission, whole_log};

/// Longer than anything that a test leaves alone takes.
const HOUR: Duration = Duration::from_secs(60 * 60);

/// Removes step by step until it is all; gives how many runs are gone.
pub async fn remove_all(store: &dyn Store, keep: Duration, limit: usize) -> u64 {
    let mut runs = 0;
    loop {
        let removed = store.remove_settled(keep, limit).await.unwrap();
        runs += removed.runs;
        if removed.is_all {
            return runs;
        }
    }
}

/// Waits until what has settled so far settled before any time that is read from now on.
pub async fn a_moment_later(store: &dyn Store) {
    let now = store.now().await.unwrap();
    while store.now().await.unwrap() <= now {}
}

/// What an auditor finds in the whole store.
pub async fn violations(store: &dyn Store) -> Vec<String> {
    let page = Auditor::new(store, String::new(), 60_000).page(1_000).await.unwrap();
    assert!(page.is_last);
    page.violations.iter().map(ToString::to_string).collect()
}

/// The page, the log, the list, the key, and the part of a previous diagnosis.
pub async fn runs_that_settled_long_ago_are_removed_with_everything_that_was_theirs(store: Arc<dyn Store>) {
    let now = store.now().await.unwrap();
    let keyed = |number| acceptance(submission(number), now, Some(("key", "hash"))).1;
    commit(&*store, vec![keyed(1)]).await.unwrap();
    let open = accept(&*store, 2).await;
    settle(&*store, run_id(1), "{}").await;
    a_moment_later(&*store).await;

    assert_eq!(remove_all(&*store, HOUR, 10).await, 0, "it settled a moment ago");
    assert!(store.run(run_id(1)).await.unwrap().is_some());
    assert_eq!(remove_all(&*store, Duration::ZERO, 10).await, 1);
    assert_eq!(store.run(run_id(1)).await.unwrap(), None);
    assert_eq!(whole_log(&*store, run_id(1)).await, []);
    let events = store.kbase(&EventFilter::default(), None, 100).await.unwrap();
    assert!(events.iter().all(|event| event.run_id == open.id()), "{events:?}");
    let listed = store.runs(&RunFilter::default(), None, 10).await.unwrap();
    assert_eq!(listed.iter().map(|run| run.summary.run_id).collect::<Vec<_>>(), [open.id()]);
    assert_eq!(violations(&*store).await, [""; 0]);
    assert_eq!(commit(&*store, vec![keyed(3)]).await.unwrap(), [Committed::Done], "the key is free again");
}

/// Whatever has settled before.
pub async fn a_run_that_is_open_or_was_tried_again_lately_is_kept(store: Arc<dyn Store>) {
    accept_all(&*store, (1..=3).map(submission)).await;
    settle(&*store, run_id(1), "{}").await;
    settle(&*store, run_id(2), "{}").await;
    let again = apply(&*store, run_id(2), &Event::RerunRequested).await;
    a_moment_later(&*store).await;
    assert_eq!(remove_all(&*store, Duration::ZERO, 10).await, 1);
    assert_eq!(store.run(run_id(1)).await.unwrap(), None);
    assert_eq!(store.run(run_id(2)).await.unwrap(), Some(again.clone()));
    assert!(store.run(run_id(3)).await.unwrap().is_some());
    // and what a removed run gets too late changes nothing
    let (_, late) = change(&again, &note("1"), store.now().await.unwrap()).unwrap();
    settle(&*store, run_id(2), "{}").await;
    a_moment_later(&*store).await;
    assert_eq!(remove_all(&*store, HOUR, 10).await, 0, "its second revision settled a moment ago");
    assert_eq!(remove_all(&*store, Duration::ZERO, 10).await, 1);
    let refused = commit(&*store, vec![late]).await.unwrap_err();
    assert!(matches!(refused, StoreError::Conflict(id) if id == run_id(2)), "{refused:?}");
    assert_eq!(whole_log(&*store, run_id(2)).await, []);
    assert_eq!(violations(&*store).await, [""; 0]);
}

/// Each run once.
pub async fn old_runs_go_a_few_at_a_time_however_many_remove_them(store: Arc<dyn Store>) {
    accept_all(&*store, (1..=20).map(submission)).await;
    for number in 1..=17 {
        settle(&*store, run_id(number), "{}").await;
    }
    a_moment_later(&*store).await;
    let removed = store.remove_settled(Duration::ZERO, 4).await.unwrap();
    assert!((1..=4).contains(&removed.runs) && !removed.is_all, "{removed:?}");
    assert_eq!(store.runs(&RunFilter::default(), None, 100).await.unwrap().len() as u64, 20 - removed.runs);
    assert_eq!(violations(&*store).await, [""; 0]);
    let others = join_all((0..3).map(|_| remove_all(&*store, Duration::ZERO, 4))).await;
    let late = remove_all(&*store, Duration::ZERO, 4).await;
    assert_eq!(removed.runs + others.iter().sum::<u64>() + late, 17);
    assert_eq!(store.runs(&RunFilter::default(), None, 100).await.unwrap().len(), 3);
    let nothing = Removed { is_all: true, ..Removed::default() };
    assert_eq!(store.remove_settled(Duration::ZERO, 4).await.unwrap(), nothing);
    assert_eq!(violations(&*store).await, [""; 0]);
}
