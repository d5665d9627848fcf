//! Open runs that this process wrote last, with their results: a report about one of them is decided without reading.
//!
//! Nothing here is true: another process may have written a run since. Whoever decides on a run from here writes it with
//! its fence, and takes it from the store when the fence does not hold. What is not here is read, so anything may be
//! left out at any time; runs leave when they settle, and the oldest ones when there are too many.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hermes_core::limits::{HOT_BYTES_MAX, HOT_RUNS_MAX};
use hermes_core::run::ServiceState;
use hermes_core::{EventId, Json, Run, RunId, Timestamp};

/// Results by the events that carry them. An event never changes, so a result that is known stays right.
pub(crate) type Results = BTreeMap<EventId, Json>;

/// A run as it was when this process wrote it.
#[derive(Clone)]
pub(super) struct HotRun {
    pub(super) run: Run,
    pub(super) results: Results,
    /// When it was written, by the store's clock.
    pub(super) written_at: Timestamp,
}

impl HotRun {
    /// Memory, roughly: texts within the states are short.
    fn bytes(&self) -> usize {
        let services = self.run.state().services.len() * size_of::<ServiceState>();
        services + self.results.values().map(|result| result.get().len()).sum::<usize>()
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
        while inner.runs.len() > HOT_RUNS_MAX || inner.bytes > HOT_BYTES_MAX {
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hermes_core::Plan;
    use hermes_core::run::{Event, NewRun, decide};

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(0);

    fn run(number: u128) -> Run {
        let plan =
            "{plan_id: p-v1, name: P, max_duration_ms: 3000, services: [{service: a, worker_key: a, timeout_ms: 900}]}";
        let new = NewRun {
            run_id: RunId::from_uuid(uuid::Uuid::from_u128(number)),
            website_id: "site".parse().expect("valid"),
            domain: "example.com".parse().expect("valid"),
            plan: Arc::new(Plan::from_yaml(plan).expect("valid")),
        };
        Run::start(new, NOW).next
    }

    fn result_of(run: &Run, bytes: usize) -> Results {
        let text = format!("\"{}\"", "x".repeat(bytes));
        Results::from([(EventId { run_id: run.id(), seq: 3 }, Json::parse(&text).expect("valid"))])
    }

    #[test]
    fn runs_are_given_together_or_not_at_all() {
        let (hot, one, other) = (Hot::default(), run(1), run(2));
        hot.keep(&one, Results::new(), NOW);
        assert!(hot.all(&[one.id(), other.id()]).is_none());
        hot.keep(&other, Results::new(), NOW);
        assert_eq!(hot.all(&[one.id(), other.id()]).map(|runs| runs.len()), Some(2));
        hot.forget(&[one.id()]);
        assert!(!hot.has(one.id()) && hot.has(other.id()));
    }

    #[test]
    fn an_older_state_never_replaces_a_newer_one_and_a_settled_run_leaves() {
        let (hot, older) = (Hot::default(), run(1));
        let newer = decide(&older, &Event::CancelRequested, NOW).expect("it is open").next;
        hot.keep(&newer, Results::new(), NOW);
        hot.keep(&older, Results::new(), NOW);
        let kept = hot.all(&[older.id()]).expect("it waits for its diagnosis").remove(0);
        assert_eq!(kept.run, newer);
        let settled = decide(&newer, &Event::Synthesised(Err("none".to_owned())), NOW).expect("it is due").next;
        hot.keep(&settled, Results::new(), NOW);
        assert!(!hot.has(older.id()));
    }

    #[test]
    fn the_oldest_runs_make_room_when_their_results_become_too_large() {
        let hot = Hot::default();
        for number in 1..=5 {
            let run = run(number);
            hot.keep(&run, result_of(&run, HOT_BYTES_MAX / 4), NOW);
        }
        let kept: Vec<bool> = (1..=5).map(|number| hot.has(run(number).id())).collect();
        assert_eq!(kept, [false, false, true, true, true]);
        hot.forget(&[3, 4, 5].map(|number| run(number).id()));
        assert_eq!(hot.inner().bytes, 0);
    }
}
