//! Wakes those who wait for a run: waiting POSTs and event streams. Best effort within this process; a watcher also
//! looks again by itself, because another dispatcher may have changed the run.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hermes_core::RunId;
use hermes_core::limits::WATCH_POLL_MS;
use tokio::sync::watch;

type Table = Arc<Mutex<HashMap<RunId, watch::Sender<()>>>>;

/// The watchers of this process.
#[derive(Clone, Default)]
pub(super) struct Watchers {
    table: Table,
}

/// Waits for changes of one run.
pub struct Watcher {
    run_id: RunId,
    changes: watch::Receiver<()>,
    table: Table,
}

impl Watchers {
    pub(super) fn watch(&self, run_id: RunId) -> Watcher {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let changes = table.entry(run_id).or_insert_with(|| watch::channel(()).0).subscribe();
        Watcher { run_id, changes, table: self.table.clone() }
    }

    pub(super) fn wake(&self, run_id: RunId) {
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = table.get(&run_id) {
            sender.send_replace(());
        }
    }
}

impl Watcher {
    /// Returns when the run may have changed since the last call (or since the watcher was made), and at least every
    /// `WATCH_POLL_MS`. A change between two calls is not missed.
    pub async fn changed(&mut self) {
        // Neither a closed channel nor the poll interval is an error: the caller looks again in any case.
        let _ = tokio::time::timeout(Duration::from_millis(WATCH_POLL_MS), self.changes.changed()).await;
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
    use super::*;

    fn run_id() -> RunId {
        "00000000000000000000000000000001".parse().expect("valid")
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_between_two_looks_is_not_missed() {
        let watchers = Watchers::default();
        let mut watcher = watchers.watch(run_id());
        watchers.wake(run_id());
        let before = tokio::time::Instant::now();
        watcher.changed().await;
        assert_eq!(before.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_wake_up_a_watcher_looks_again_by_itself() {
        let mut watcher = Watchers::default().watch(run_id());
        let before = tokio::time::Instant::now();
        watcher.changed().await;
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
