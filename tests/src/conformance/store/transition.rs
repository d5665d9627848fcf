//! Changes of runs that are there.

use std::sync::Arc;

use futures::future::join_all;

use hermes_core::ports::store::{Change, Claim, Committed, Store, StoreError};
use hermes_core::run::Event;
use hermes_core::{Run, RunStatus};

use super::{
    accept, accept_all, acceptance, apply, change, commit, note, read, run_id, settle, submission, take, whole_log,
};

/// Equality of the whole value, and a log without gaps.
pub async fn what_is_committed_reads_back(store: Arc<dyn Store>) {
    let id = accept(&*store, 1).await.id();
    apply(&*store, id, &note("1")).await;
    let run = settle(&*store, id, r#"{"findings": []}"#).await;
    assert_eq!(read(&*store, id).await, run);
    let log = whole_log(&*store, id).await;
    let numbers: Vec<u64> = log.iter().map(|event| event.seq).collect();
    assert_eq!(numbers, (1..=run.state().last_seq).collect::<Vec<_>>());
    assert!(log.iter().all(|event| event.run_id == id && event.event_id.seq == event.seq));
    assert_eq!(hermes_core::run::replay(Arc::clone(run.plan()), &log).unwrap(), run, "the log gives the run again");
}

/// Someone wrote between the taking and the writing: a lock was lost, or there never was one.
pub async fn a_write_with_an_old_fence_is_refused(store: Arc<dyn Store>) {
    let old = accept(&*store, 1).await;
    let newer = apply(&*store, old.id(), &note("1")).await;
    let (_, late) = change(&old, &note("2"), store.now().await.unwrap()).unwrap();
    let error = commit(&*store, vec![late]).await.unwrap_err();
    assert!(matches!(error, StoreError::Conflict(id) if id == old.id()), "{error:?}");
    assert_eq!(read(&*store, old.id()).await, newer);
    assert_eq!(whole_log(&*store, old.id()).await.len() as u64, newer.state().last_seq);
}

/// All or nothing, whatever place the refused change has in its batch.
pub async fn a_conflict_changes_nothing_at_all(store: Arc<dyn Store>) {
    let before = accept_all(&*store, (1..=3).map(submission)).await;
    let newer = apply(&*store, run_id(2), &note("1")).await;
    let now = store.now().await.unwrap();
    let mut changes: Vec<Change> = before.iter().map(|run| change(run, &note("2"), now).unwrap().1).collect();
    changes.push(acceptance(submission(4), now, Some(("key", "hash"))).1);
    let error = commit(&*store, changes).await.unwrap_err();
    assert!(matches!(error, StoreError::Conflict(id) if id == run_id(2)), "{error:?}");
    for run in [&before[0], &newer, &before[2]] {
        assert_eq!(read(&*store, run.id()).await, *run);
        assert_eq!(whole_log(&*store, run.id()).await.len() as u64, run.state().last_seq);
    }
    assert_eq!(store.run(run_id(4)).await.unwrap(), None);
    // the key was not used up
    let (_, again) = acceptance(submission(5), now, Some(("key", "hash")));
    assert_eq!(commit(&*store, vec![again]).await.unwrap(), [Committed::Done]);
}

/// It may have been deleted by hand.
pub async fn a_write_to_an_unknown_run_is_a_conflict(store: Arc<dyn Store>) {
    let now = store.now().await.unwrap();
    let (run, _) = acceptance(submission(1), now, None);
    let (_, change) = change(&run, &note("1"), now).unwrap();
    let error = commit(&*store, vec![change]).await.unwrap_err();
    assert!(matches!(error, StoreError::Conflict(id) if id == run.id()), "{error:?}");
    assert_eq!(whole_log(&*store, run.id()).await, []);
}

/// A decision that is not committed did not happen.
pub async fn a_dropped_transaction_changes_nothing(store: Arc<dyn Store>) {
    let before = accept(&*store, 1).await;
    let (transaction, taken) = take(&*store, before.id()).await;
    assert_eq!(taken, before);
    drop(transaction);
    assert_eq!(read(&*store, before.id()).await, before);
}

/// The next one does not wait for a time-out.
pub async fn a_dropped_transaction_releases_its_runs(store: Arc<dyn Store>) {
    let before = accept(&*store, 1).await;
    for _ in 0..20 {
        let (transaction, taken) = take(&*store, before.id()).await;
        assert_eq!(taken, before);
        drop(transaction);
    }
    let after = apply(&*store, before.id(), &note("1")).await;
    assert_eq!(read(&*store, before.id()).await, after);
}

/// No update is lost and none is refused: whoever comes second waits.
pub async fn transactions_on_one_run_take_turns(store: Arc<dyn Store>) {
    let before = accept(&*store, 1).await;
    let writers = (0..6).map(|_| {
        let (store, id) = (Arc::clone(&store), before.id());
        async move {
            for _ in 0..5 {
                apply(&*store, id, &note("1")).await;
            }
        }
    });
    join_all(writers.map(tokio::spawn)).await.into_iter().for_each(|ended| ended.unwrap());
    let after = read(&*store, before.id()).await;
    assert_eq!(after.state().last_seq, before.state().last_seq + 30);
    let log = whole_log(&*store, before.id()).await;
    assert!(log.windows(2).all(|pair| pair[0].created_at <= pair[1].created_at), "the time does not go backwards");
}

/// Locks are taken in one order, whatever the caller's order is.
pub async fn transactions_over_the_same_runs_in_opposite_orders_all_end(store: Arc<dyn Store>) {
    accept_all(&*store, (1..=10).map(submission)).await;
    let up: Vec<_> = (1..=10).map(run_id).collect();
    let down: Vec<_> = up.iter().rev().copied().collect();
    let writers = [up.clone(), down.clone(), up, down].map(|ids| {
        let store = Arc::clone(&store);
        async move {
            for _ in 0..5 {
                let mut transaction = store.begin(Claim::Runs(&ids)).await.unwrap();
                let now = transaction.now();
                let runs = transaction.take_runs();
                let changes: Vec<_> = runs.iter().map(|run| change(run, &note("1"), now).unwrap().1).collect();
                assert_eq!(changes.len(), 10);
                transaction.commit(changes).await.unwrap();
            }
        }
    });
    join_all(writers.map(tokio::spawn)).await.into_iter().for_each(|ended| ended.unwrap());
    for number in 1..=10 {
        assert_eq!(read(&*store, run_id(number)).await.state().last_seq, 2 + 20);
    }
}

/// One batch may carry both.
pub async fn new_and_changed_runs_commit_together(store: Arc<dyn Store>) {
    let first = accept(&*store, 1).await;
    let (transaction, run) = take(&*store, first.id()).await;
    let now = transaction.now();
    let (changed, update) = change(&run, &note("1"), now).unwrap();
    let (second, acceptance) = acceptance(submission(2), now, None);
    let outcome = transaction.commit(vec![acceptance, update]).await.unwrap();
    assert_eq!(outcome, [Committed::Done, Committed::Done]);
    assert_eq!(read(&*store, first.id()).await, changed);
    assert_eq!(read(&*store, second.id()).await, second);
}

/// A re-run is a new revision of the same row.
pub async fn a_settled_run_can_be_opened_again(store: Arc<dyn Store>) {
    let id = accept(&*store, 1).await.id();
    settle(&*store, id, "{}").await;
    assert_eq!(store.count_open().await.unwrap(), 0);
    let again = apply(&*store, id, &Event::RerunRequested).await;
    assert_eq!((again.status(), again.state().revision), (RunStatus::Started, 2));
    assert_eq!(read(&*store, id).await, again);
    assert_eq!(store.count_open().await.unwrap(), 1);
}

/// The transition is batched.
pub async fn a_hundred_runs_change_at_once(store: Arc<dyn Store>) {
    accept_all(&*store, (1..=100).map(submission)).await;
    let ids: Vec<_> = (1..=100).map(run_id).collect();
    let mut transaction = store.begin(Claim::Runs(&ids)).await.unwrap();
    let now = transaction.now();
    let (next, changes): (Vec<Run>, Vec<Change>) =
        transaction.take_runs().iter().map(|run| change(run, &Event::CancelRequested, now).unwrap()).unzip();
    assert_eq!(transaction.commit(changes).await.unwrap().len(), 100);
    for run in next {
        assert_eq!(read(&*store, run.id()).await, run);
    }
}

/// Nothing had to be changed.
pub async fn an_empty_commit_is_accepted(store: Arc<dyn Store>) {
    let id = accept(&*store, 1).await.id();
    assert_eq!(commit(&*store, Vec::new()).await.unwrap(), []);
    let (transaction, _) = take(&*store, id).await;
    assert_eq!(transaction.commit(Vec::new()).await.unwrap(), []);
}
