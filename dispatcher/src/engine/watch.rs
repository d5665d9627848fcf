//! Wakes those who wait for a run: waiting POSTs and event streams. Best effort within this process; a watcher also
//! looks again by itself, because another dispatcher may have changed the run.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hermes_core::limits::WATCH_POLL_MS;
use hermes_core::{Run, RunId};
use tokio::sync::watch;

/// What a run became last in this process; nothing before its first change.
type Last = Option<Arc<Run>>;
type Table = Arc<Mutex<HashMap<RunId, watch::Sender<Last>>>>;

/// The watchers of this process.
#[derive(Clone, Default)]
pub(super) struct Watchers {
    table: Table,
}

/// Waits for changes of one run.
pub struct Watcher {
    run_id: RunId,
    changes: watch::Receiver<Last>,
    table: Table,
}

impl Watchers {
    pub(super) fn watch(&self, run_id: RunId) -> Watcher {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let changes = table.entry(run_id).or_insert_with(|| watch::channel(None).0).subscribe();
        Watcher { run_id, changes, table: self.table.clone() }
    }

    /// Tells what a run has become.
    pub(super) fn wake(&self, run: &Run) {
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = table.get(&run.id()) {
            sender.send_replace(Some(Arc::new(run.clone())));
        }
    }
}

impl Watcher {
    /// Returns what the run has become since the last call (or since the watcher was made), as it is committed. After
    /// `WATCH_POLL_MS` without news it returns nothing: then look for yourself. A change between two calls is not missed.
    pub async fn changed(&mut self) -> Option<Arc<Run>> {
        match tokio::time::timeout(Duration::from_millis(WATCH_POLL_MS), self.changes.changed()).await {
            Ok(Ok(())) => self.changes.borrow_and_update().clone(),
            // Neither a closed channel nor the poll interval is an error.
            Ok(Err(_)) | Err(_) => None,
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(entry) = table.entry(self.run_id)
            && entry.get().receiver_count() <= 1
        {
            entry.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use hermes_core::run::NewRun;
    use hermes_core::{Plan, Timestamp};

    use super::*;

    const PLAN: &str =
        "{plan_id: p-v1, name: P, max_duration_ms: 3000, services: [{service: a, worker_key: a, timeout_ms: 1000}]}";

    fn run() -> Run {
        let new = NewRun {
            run_id: run_id(),
            website_id: "site".parse().expect("valid"),
            domain: "example.com".parse().expect("valid"),
            plan: Arc::new(Plan::from_yaml(PLAN).expect("valid")),
        };
        Run::start(new, Timestamp::from_millis(0)).next
    }

    fn run_id() -> RunId {
        "00000000000000000000000000000001".parse().expect("valid")
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_between_two_looks_is_not_missed() {
        let watchers = Watchers::default();
        let mut watcher = watchers.watch(run_id());
        watchers.wake(&run());
        let before = tokio::time::Instant::now();
        assert_eq!(watcher.changed().await.as_deref(), Some(&run()));
        assert_eq!(before.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_wake_up_a_watcher_looks_again_by_itself() {
        let mut watcher = Watchers::default().watch(run_id());
        let before = tokio::time::Instant::now();
        assert_eq!(watcher.changed().await, None);
        assert_eq!(before.elapsed(), Duration::from_millis(WATCH_POLL_MS));
    }

    #[tokio::test]
    async fn the_last_watcher_leaves_no_entry_behind() {
        let watchers = Watchers::default();
        let (one, two) = (watchers.watch(run_id()), watchers.watch(run_id()));
        drop(one);
        assert_eq!(watchers.table.lock().expect("not poisoned").len(), 1);
        drop(two);
        assert!(watchers.table.lock().expect("not poisoned").is_empty());
    }
}
