//! Open runs that this process wrote last, with their results: a report about one of them is decided without reading.
//!
//! Nothing here is true: another process may have written a run since. Whoever decides on a run from here writes it with
//! its fence, and takes it from the store when the fence does not hold. What is not here is read, so anything may be
//! left out at any time; runs leave when they settle, and the oldest ones when there are too many.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hermes_core::limits::{HOT_RESULTS_BYTES_MAX, HOT_RUNS_MAX};
use hermes_core::{EventId, Json, Run, RunId, Timestamp};

/// Results by the events that carry them. An event never changes, so a result that is known stays right.
pub(super) type Results = BTreeMap<EventId, Json>;

/// A run as it was when this process wrote it.
#[derive(Clone)]
pub(super) struct HotRun {
    pub(super) run: Run,
    pub(super) results: Results,
    /// When it was written, by the store's clock.
    pub(super) written_at: Timestamp,
}

impl HotRun {
    fn bytes(&self) -> usize {
        self.results.values().map(|result| result.get().len()).sum()
    }
}

/// The hot runs of this process.
#[derive(Default)]
pub(super) struct Hot {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// By id, and so the oldest first.
    runs: BTreeMap<RunId, HotRun>,
    bytes: usize,
}

impl Inner {
    fn remove(&mut self, id: RunId) {
        if let Some(gone) = self.runs.remove(&id) {
            self.bytes -= gone.bytes();
        }
    }
}

impl Hot {
    /// All of these runs, or nothing if one of them is not here.
    pub(super) fn all(&self, ids: &[RunId]) -> Option<Vec<HotRun>> {
        let inner = self.inner();
        ids.iter().map(|id| inner.runs.get(id).cloned()).collect()
    }

    /// Whether the run is here: open, as far as this process knows.
    pub(super) fn has(&self, id: RunId) -> bool {
        self.inner().runs.contains_key(&id)
    }

    /// Keeps a run as it was just written; a settled one leaves. An older state never replaces a newer one.
    pub(super) fn keep(&self, run: &Run, results: Results, now: Timestamp) {
        let mut inner = self.inner();
        let is_newer = |known: &HotRun| known.run.state().last_seq > run.state().last_seq;
        if inner.runs.get(&run.id()).is_some_and(is_newer) {
            return;
        }
        inner.remove(run.id());
        if run.status().is_settled() {
            return;
        }
        let hot = HotRun { run: run.clone(), results, written_at: now };
        inner.bytes += hot.bytes();
        inner.runs.insert(run.id(), hot);
        while inner.runs.len() > HOT_RUNS_MAX || inner.bytes > HOT_RESULTS_BYTES_MAX {
            let oldest = *inner.runs.keys().next().expect("there are too many");
            inner.remove(oldest);
        }
    }

    /// Leaves out runs that may be different in the store.
    pub(super) fn forget(&self, ids: &[RunId]) {
        let mut inner = self.inner();
        for id in ids {
            inner.remove(*id);
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
