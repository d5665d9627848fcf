//! Which runs a transaction takes, and when runs want to be looked at.

use std::collections::BTreeSet;
use std::sync::Arc;

use hermes_core::ports::store::{Change, Claim, Store};
use hermes_core::run::{Event, decide};
use hermes_core::{Run, RunId, Timestamp};

use super::{accept, accept_all, accept_earlier, change, note, recorded, release, run_id, settle, submission};

const HOUR_MS: u64 = 3_600_000;

fn ids(runs: &[Run]) -> Vec<RunId> {
    runs.iter().map(Run::id).collect()
}

/// Unknown ids are left out.
pub async fn runs_are_taken_in_the_order_of_their_ids(store: Arc<dyn Store>) {
    accept_all(&*store, [3, 1, 2].map(submission)).await;
    let wanted = [run_id(3), run_id(9), run_id(1)];
    let mut transaction = store.begin(Claim::Runs(&wanted)).await.unwrap();
    assert_eq!(ids(&transaction.take_runs()), [run_id(1), run_id(3)]);
    release(transaction).await;
    let mut transaction = store.begin(Claim::Runs(&[run_id(9)])).await.unwrap();
    assert_eq!(transaction.take_runs(), []);
}

/// The second call gives none.
pub async fn taken_runs_are_given_once(store: Arc<dyn Store>) {
    let run = accept(&*store, 1).await;
    let mut transaction = store.begin(Claim::Runs(&[run.id()])).await.unwrap();
    assert_eq!(transaction.take_runs(), [run]);
    assert_eq!(transaction.take_runs(), []);
    let mut nothing = store.begin(Claim::Nothing).await.unwrap();
    assert_eq!(nothing.take_runs(), []);
}

/// The one that waits longest first.
pub async fn due_runs_come_oldest_first_up_to_the_limit(store: Arc<dyn Store>) {
    for (number, hours) in [(1, 2), (2, 5), (3, 1), (4, 4)] {
        accept_earlier(&*store, number, hours * HOUR_MS).await;
    }
    let mut transaction = store.begin(Claim::Due(3)).await.unwrap();
    assert_eq!(ids(&transaction.take_runs()), [2, 4, 1].map(run_id));
    release(transaction).await;
    let mut transaction = store.begin(Claim::Due(100)).await.unwrap();
    assert_eq!(ids(&transaction.take_runs()), [2, 4, 1, 3].map(run_id));
}

/// Its time is still to come.
pub async fn a_run_that_is_not_due_is_not_taken(store: Arc<dyn Store>) {
    accept(&*store, 1).await;
    let mut transaction = store.begin(Claim::Due(10)).await.unwrap();
    assert_eq!(transaction.take_runs(), []);
}

/// However long ago it settled.
pub async fn a_settled_run_is_never_due(store: Arc<dyn Store>) {
    let id = accept_earlier(&*store, 1, HOUR_MS).await.id();
    settle(&*store, id, "{}").await;
    let mut transaction = store.begin(Claim::Due(10)).await.unwrap();
    assert_eq!(transaction.take_runs(), []);
    assert_eq!(store.next_wake_ms().await.unwrap(), None);
}

/// Several dispatchers turn the same timers.
pub async fn due_runs_are_shared_without_doing_one_twice(store: Arc<dyn Store>) {
    for number in 1..=30 {
        accept_earlier(&*store, number, HOUR_MS).await;
    }
    let timers = (0..3).map(|_| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let mut done = Vec::new();
            loop {
                let mut transaction = store.begin(Claim::Due(4)).await.unwrap();
                let (now, runs) = (transaction.now(), transaction.take_runs());
                if runs.is_empty() {
                    return done;
                }
                done.extend(ids(&runs));
                transaction.commit(runs.iter().map(|run| expired(run, now)).collect()).await.unwrap();
                // other timers get their turn, even where nothing waits
                tokio::task::yield_now().await;
            }
        })
    });
    let mut done = Vec::new();
    for timer in timers.collect::<Vec<_>>() {
        done.extend(timer.await.unwrap());
    }
    assert_eq!(done.len(), done.iter().collect::<BTreeSet<_>>().len(), "none was done twice");
    assert_eq!(done.len(), 30);
}

/// Past its deadline a run settles in one transaction.
fn expired(run: &Run, now: Timestamp) -> Change {
    let woken = decide(run, &Event::Woken, now).unwrap();
    let settled = decide(&woken.next, &Event::Synthesised(Err("no diagnosis".to_owned())), now).unwrap();
    let events = [recorded(&woken.effects), recorded(&settled.effects)].concat();
    Change::Update { run: Box::new(settled.next), taken_seq: run.state().last_seq, events }
}

/// Nothing open, nothing to wait for.
pub async fn the_next_wake_is_that_of_the_earliest_open_run(store: Arc<dyn Store>) {
    assert_eq!(store.next_wake_ms().await.unwrap(), None);
    assert_eq!(store.count_open().await.unwrap(), 0);
    let run = accept(&*store, 1).await;
    let longest = run.state().wake_at.unwrap().since_ms(run.state().created_at);
    let next = store.next_wake_ms().await.unwrap().unwrap();
    assert!(next > 0 && next <= longest, "{next} of {longest}");
    accept_earlier(&*store, 2, HOUR_MS).await;
    assert_eq!(store.next_wake_ms().await.unwrap(), Some(0));
    assert_eq!(store.count_open().await.unwrap(), 2);
}

/// The reconciler walks through all of them.
pub async fn open_runs_come_by_id_in_pages(store: Arc<dyn Store>) {
    let runs = accept_all(&*store, (1..=7).map(submission)).await;
    settle(&*store, run_id(4), "{}").await;
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let page = store.open_runs(after, None, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 2);
        after = Some(last.id());
        found.extend(page);
    }
    let expected: Vec<Run> = runs.into_iter().filter(|run| run.id() != run_id(4)).collect();
    assert_eq!(found, expected);
}

/// The reconciler has nothing to look for in runs that are younger than their jobs may be without being compared.
pub async fn open_runs_are_those_that_were_accepted_by_then(store: Arc<dyn Store>) {
    let old = accept_earlier(&*store, 2, HOUR_MS).await;
    let young = accept(&*store, 1).await;
    let accepted = old.state().created_at;
    assert_eq!(store.open_runs(None, Some(accepted), 10).await.unwrap(), std::slice::from_ref(&old));
    assert_eq!(store.open_runs(None, Some(accepted.minus_ms(1)), 10).await.unwrap(), []);
    assert_eq!(store.open_runs(Some(old.id()), Some(accepted), 10).await.unwrap(), []);
    assert_eq!(store.open_runs(None, Some(young.state().created_at), 10).await.unwrap(), [young, old]);
}

/// Each is at least as late as the newest event of a run that it took.
pub async fn the_time_of_a_transaction_does_not_go_backwards(store: Arc<dyn Store>) {
    let id = accept(&*store, 1).await.id();
    let mut newest = store.now().await.unwrap();
    for _ in 0..20 {
        let mut transaction = store.begin(Claim::Runs(&[id])).await.unwrap();
        let now = transaction.now();
        assert!(now >= newest, "{now} < {newest}");
        newest = now;
        let (_, change) = change(&transaction.take_runs()[0], &note("1"), now).unwrap();
        transaction.commit(vec![change]).await.unwrap();
    }
}
