//! The protocol of Hermes as a model that is searched exhaustively.
//!
//! One run; the store, the queue, workers and dispatchers around it; everything that may happen to them, in every order.
//! The decisions are those of the real core. What the engine, the adapters and the workers do around a decision is written
//! again here, step by step as it is there: `dispatcher/src/engine`, `shared/adapters/src/redis/lua`,
//! `shared/adapters/src/postgres/transaction.rs`, `worker-runner/src`. A step is what one process does without anybody
//! else seeing it half done: a transaction from its lock to its commit is two steps, a Lua script is one.
//!
//! * What is certain to happen if nothing breaks is free; each **fault** costs one of a scope's faults, and a scope covers
//!   every combination of so many faults at all moments.
//! * A mechanism can be left out. Every variant without a mechanism that matters must be found wrong: `mutants.rs`.
//! * `MODEL_SCOPE=full` searches larger scopes, in minutes instead of seconds.
//!
//! Deliberately absent: several runs (nothing is shared between them but row locks in one order), batches (a batch is
//! several inputs in one transaction), loss of committed transactions, workers that lie.

mod complete;
mod core;
mod mutants;
mod properties;
mod scopes;
mod state;
mod steps;

use stateright::{Model, Property};

use self::core::Core;
use self::scopes::Scope;
use self::state::{Dispatcher, Queue, Seen, State, Worker};
use self::steps::Action;

/// What may go wrong, or is done to a run from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// A dispatcher dies, at any border: before the commit, between commit and publication, before the acknowledgement.
    /// It also stands for a commit that fails, and for one whose answer is lost.
    Crash,
    /// A publication does not arrive, and its dispatcher goes on.
    LosePush,
    /// A report is delivered to a second dispatcher while the first one is still at it.
    Redelivery,
    /// The reconciler reads the store, and is slow to ask the queue.
    SlowLook,
    /// A worker dies.
    Kill,
    /// An attempt takes so long that its worker says that it has started.
    SlowJob,
    /// The lease of a worker that is still at its job ends: a pause, a cut, a clock.
    Pause,
    /// A worker that stops hands its job back.
    Release,
    /// The queue loses everything.
    Flush,
    /// A running attempt is overdue, or the deadline passes.
    Time,
    /// Somebody cancels the run.
    Cancel,
    /// Somebody runs again what did not complete.
    Rerun,
}

/// What the protocol rests on. Everything is on in Hermes.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a mechanism of its own, and leaving one out is the purpose")]
struct Mechanisms {
    /// A run is locked from its reading to its writing.
    row_lock: bool,
    /// A run is written only over the version that was read.
    version_fence: bool,
    /// The timers lock and compare versions like everybody else.
    fenced_timers: bool,
    /// Due runs are woken.
    timers: bool,
    /// What the queue has lost is published again.
    reconciler: bool,
    /// A job whose worker is gone goes to another one.
    leases_end: bool,
    /// A failure counts for its own attempt only.
    compares_attempts: bool,
    commits_before_publishing: bool,
    commits_before_acknowledging: bool,
    /// A report and the acknowledgement of its job are one step.
    reports_atomically: bool,
    /// The queue counts the workers that a job has ended.
    counts_deaths: bool,
}

impl Mechanisms {
    const ALL: Self = Self {
        row_lock: true,
        version_fence: true,
        fenced_timers: true,
        timers: true,
        reconciler: true,
        leases_end: true,
        compares_attempts: true,
        commits_before_publishing: true,
        commits_before_acknowledging: true,
        reports_atomically: true,
        counts_deaths: true,
    };
}

/// The model: a scope, the mechanisms, and the real core.
struct Protocol {
    scope: Scope,
    mechanisms: Mechanisms,
    core: Core,
}

impl Protocol {
    fn new(scope: Scope, mechanisms: Mechanisms) -> Self {
        let core = Core::new(&scope, mechanisms.compares_attempts);
        Self { scope, mechanisms, core }
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    /// The run was accepted and committed; its first jobs are not published yet.
    fn init_states(&self) -> Vec<State> {
        let (run, publish) = self.core.accept();
        let mut dispatchers = vec![Dispatcher::Idle; self.scope.dispatchers];
        dispatchers[0] = Dispatcher::Telling { publish, revoke: core::Set::default(), report: None };
        let state = State {
            run,
            queue: Queue::default(),
            workers: vec![Worker::Idle; self.scope.workers],
            dispatchers,
            faults_left: self.scope.faults,
            seen: Seen::default(),
        };
        vec![state.sorted()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.steps(state, &mut |action, _| actions.push(action));
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let after = self.after(before, action);
        (after != *before).then_some(after)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all(&self.scope)
    }
}
