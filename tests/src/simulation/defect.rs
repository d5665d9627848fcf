//! Planted bugs: what the simulation must find, so that its silence means something.

use hermes_core::ports::store::Change;
use hermes_core::{EventId, Run};

/// A mechanism that is taken away, at a port; the code under test is not touched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Defect {
    /// All is as it should be.
    #[default]
    None,
    /// Runs are not locked and writes do not compare the version: the last writer wins.
    NoFence,
    /// The comparison of store and queue finds nothing missing.
    BlindReconciler,
    /// What a worker says of an earlier attempt is taken for the current one.
    AttemptIgnored,
    /// Some commits are confirmed and not kept.
    LostCommits,
}

/// What a store without fences makes of a change that was decided on an older state of the run: it is written over the
/// current one, its events numbered on.
pub(super) fn write_over(change: &mut Change, current: &[Run]) {
    let Change::Update { run, taken_seq, events } = change else { return };
    let Some(now) = current.iter().find(|now| now.id() == run.id()) else { return };
    let ahead = now.state().last_seq - *taken_seq;
    for event in events {
        event.seq += ahead;
        event.event_id = EventId { run_id: event.run_id, seq: event.seq };
    }
    let mut state = run.state().clone();
    state.last_seq += ahead;
    *taken_seq += ahead;
    **run = Run::restore(run.plan().clone(), state).expect("only the number of its last event is another");
}
