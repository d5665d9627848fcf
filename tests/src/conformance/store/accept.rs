//! New runs.

use std::sync::Arc;

use futures::future::join_all;

use hermes_core::Plan;
use hermes_core::ports::store::{Change, Claim, Committed, RunFilter, Store, StoreError};
use hermes_core::run::NewRun;

use super::{accept, accept_all, acceptance, commit, read, run_id, submission, whole_log};

/// Equality of the whole value, and of its log.
pub async fn an_accepted_run_reads_back_as_it_was(store: Arc<dyn Store>) {
    let transaction = store.begin(Claim::Nothing).await.unwrap();
    let (run, change) = acceptance(submission(1), transaction.now(), Some(("key", "hash")));
    let Change::Accept { events, .. } = change.clone() else { panic!("an acceptance") };
    assert_eq!(transaction.commit(vec![change]).await.unwrap(), [Committed::Done]);
    assert_eq!(read(&*store, run.id()).await, run);
    assert_eq!(whole_log(&*store, run.id()).await, events);
    assert!(events.len() > 1, "the start and the first wave");
}

/// Nothing, not an error.
pub async fn an_unknown_run_is_not_found(store: Arc<dyn Store>) {
    assert_eq!(store.run(run_id(7)).await.unwrap(), None);
    assert_eq!(whole_log(&*store, run_id(7)).await, []);
}

/// More than fit into one page or one statement of any store.
pub async fn three_hundred_runs_are_accepted_at_once(store: Arc<dyn Store>) {
    let runs = accept_all(&*store, (1..=300).map(submission)).await;
    assert_eq!(store.count_open().await.unwrap(), 300);
    assert_eq!(store.runs(&RunFilter::default(), None, 1_000).await.unwrap().len(), 300);
    assert_eq!(read(&*store, run_id(300)).await, runs[299]);
}

/// The largest permitted plan.
pub async fn a_plan_of_a_thousand_services_is_stored_whole(store: Arc<dyn Store>) {
    let services: Vec<String> =
        (0..1_024).map(|n| format!("{{service: s{n}, worker_key: k, timeout_ms: 1000}}")).collect();
    let text = format!("{{plan_id: wide, name: Wide, max_duration_ms: 60000, services: [{}]}}", services.join(", "));
    let plan = Arc::new(Plan::from_yaml(&text).unwrap());
    let run = accept_all(&*store, [NewRun { plan, ..submission(1) }]).await.remove(0);
    assert_eq!(read(&*store, run.id()).await, run);
}

/// A repeated request is answered with the run that it made the first time.
pub async fn the_same_key_and_request_give_the_first_run(store: Arc<dyn Store>) {
    let now = store.now().await.unwrap();
    let (_, first) = acceptance(submission(1), now, Some(("key", "hash")));
    let (second, again) = acceptance(submission(2), now, Some(("key", "hash")));
    assert_eq!(commit(&*store, vec![first]).await.unwrap(), [Committed::Done]);
    let duplicate = Committed::Duplicate { run_id: run_id(1), same_request: true };
    assert_eq!(commit(&*store, vec![again]).await.unwrap(), [duplicate]);
    assert_eq!(store.run(second.id()).await.unwrap(), None);
    assert_eq!(whole_log(&*store, second.id()).await, []);
    assert_eq!(store.count_open().await.unwrap(), 1);
}

/// The key is the same, the request is not: the client made a mistake and is told.
pub async fn the_same_key_with_another_request_is_told_apart(store: Arc<dyn Store>) {
    let now = store.now().await.unwrap();
    let (_, first) = acceptance(submission(1), now, Some(("key", "hash")));
    let (_, other) = acceptance(submission(2), now, Some(("key", "another")));
    commit(&*store, vec![first]).await.unwrap();
    let duplicate = Committed::Duplicate { run_id: run_id(1), same_request: false };
    assert_eq!(commit(&*store, vec![other]).await.unwrap(), [duplicate]);
}

/// Requests that came together share a commit.
pub async fn of_two_runs_with_one_key_in_a_batch_the_first_wins(store: Arc<dyn Store>) {
    let now = store.now().await.unwrap();
    let changes = [(3, "key", "hash"), (1, "key", "hash"), (2, "key", "another"), (4, "a key before", "hash")]
        .map(|(number, key, hash)| acceptance(submission(number), now, Some((key, hash))).1);
    let expected = [
        Committed::Done,
        Committed::Duplicate { run_id: run_id(3), same_request: true },
        Committed::Duplicate { run_id: run_id(3), same_request: false },
        Committed::Done,
    ];
    assert_eq!(commit(&*store, changes.to_vec()).await.unwrap(), expected);
    assert_eq!(store.count_open().await.unwrap(), 2);

    // and all of them again, when the key belongs to a stored run
    let again = [(5, "key", "hash"), (6, "key", "another")]
        .map(|(number, key, hash)| acceptance(submission(number), now, Some((key, hash))).1);
    assert_eq!(commit(&*store, again.to_vec()).await.unwrap(), expected[1..3]);
}

/// Several dispatchers are given the same request at the same time.
pub async fn of_concurrent_submissions_with_one_key_one_wins(store: Arc<dyn Store>) {
    let now = store.now().await.unwrap();
    let submissions = (1..=8).map(|number| {
        let (_, change) = acceptance(submission(number), now, Some(("key", "hash")));
        let store = Arc::clone(&store);
        async move { commit(&*store, vec![change]).await.unwrap().remove(0) }
    });
    let outcomes = join_all(submissions).await;
    let won: Vec<_> = (1..=8).zip(&outcomes).filter(|(_, outcome)| **outcome == Committed::Done).collect();
    assert_eq!(won.len(), 1, "{outcomes:?}");
    let duplicate = Committed::Duplicate { run_id: run_id(won[0].0), same_request: true };
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == duplicate).count(), 7, "{outcomes:?}");
    assert_eq!(store.count_open().await.unwrap(), 1);
}

/// One client's repetition is no reason to refuse another's request.
pub async fn a_duplicate_leaves_the_rest_of_its_batch_alone(store: Arc<dyn Store>) {
    let now = store.now().await.unwrap();
    commit(&*store, vec![acceptance(submission(1), now, Some(("key", "hash"))).1]).await.unwrap();
    let changes = vec![
        acceptance(submission(2), now, None).1,
        acceptance(submission(3), now, Some(("key", "hash"))).1,
        acceptance(submission(4), now, Some(("other", "hash"))).1,
    ];
    let outcome = commit(&*store, changes).await.unwrap();
    let duplicate = Committed::Duplicate { run_id: run_id(1), same_request: true };
    assert_eq!(outcome, [Committed::Done, duplicate, Committed::Done]);
    for (number, events) in [(2, 2), (3, 0), (4, 2)] {
        assert_eq!(whole_log(&*store, run_id(number)).await.len(), events, "run {number}");
    }
}

/// A repetition after a commit with unknown outcome, without a key.
pub async fn an_id_that_is_taken_is_a_conflict_and_nothing_is_written(store: Arc<dyn Store>) {
    let run = accept(&*store, 1).await;
    let now = store.now().await.unwrap();
    let changes = [2, 1].map(|number| acceptance(submission(number), now, None).1);
    let error = commit(&*store, changes.to_vec()).await.unwrap_err();
    assert!(matches!(error, StoreError::Conflict(id) if id == run.id()), "{error:?}");
    assert_eq!(store.run(run_id(2)).await.unwrap(), None);
    assert_eq!(read(&*store, run.id()).await, run);
}

/// No decision produces that.
pub async fn a_run_that_is_in_a_batch_twice_is_refused(store: Arc<dyn Store>) {
    let now = store.now().await.unwrap();
    let changes = [1, 1].map(|number| acceptance(submission(number), now, None).1);
    let error = commit(&*store, changes.to_vec()).await.unwrap_err();
    assert!(matches!(error, StoreError::Defect(_)), "{error:?}");
    assert_eq!(store.count_open().await.unwrap(), 0);
}

/// The log is gapless.
pub async fn events_with_a_gap_are_refused(store: Arc<dyn Store>) {
    let (_, change) = acceptance(submission(1), store.now().await.unwrap(), None);
    let Change::Accept { run, mut events, idempotency } = change else { panic!("an acceptance") };
    events.remove(0);
    let error = commit(&*store, vec![Change::Accept { run, events, idempotency }]).await.unwrap_err();
    assert!(matches!(error, StoreError::Defect(_)), "{error:?}");
    assert_eq!(store.run(run_id(1)).await.unwrap(), None);
}
