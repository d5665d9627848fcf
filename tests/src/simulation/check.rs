//! What must hold: after each commit, and in the end.

use std::collections::BTreeSet;
use std::time::Duration;

use hermes_core::audit::{Invariant, audit_run};
use hermes_core::kbase::{DIAGNOSIS, Fact, KbaseEvent, LATE_RESULT};
use hermes_core::limits::{LEASE_MS, RECONCILE_EVERY_MS};
use hermes_core::ports::queue::JobQueue as _;
use hermes_core::ports::store::Store as _;
use hermes_core::wire::JobId;
use hermes_core::{Run, RunId};
use tokio::time::Instant;

use super::plans::KEYS;
use super::world::World;

/// Once the faults have stopped, every run settles within this: the longest plan, twice for a re-run, and time to
/// recover.
pub(super) const PATIENCE: Duration = Duration::from_secs(300);
/// After the faults, what was lost is found within this: leases end, comparisons are made, pauses of outages pass.
const RECOVERED: Duration = Duration::from_millis(2 * LEASE_MS + 4 * RECONCILE_EVERY_MS);

/// One run was written by `process`.
pub(super) async fn safety(world: &World, process: &str, id: RunId) {
    let Some((run, log)) = load(world, id).await else {
        world.ledger.violation(format!("{id} was committed and is not there"));
        return;
    };
    let last = log.last().map_or("nothing", |event| event.kind.as_str());
    world.step(&format!("{process} commits {id} up to {} ({last})", run.state().last_seq));
    for violation in audit_run(&run, &log, world.now().await) {
        // While store and processes are away, a run may be overdue; in the end that is judged by other means.
        if !matches!(violation.invariant, Invariant::SettlesInTime | Invariant::TimeLimitsKept) {
            world.ledger.violation(violation.to_string());
        }
    }
    answers_belong_to_their_attempts(world, id, &log);
}

async fn load(world: &World, id: RunId) -> Option<(Run, Vec<KbaseEvent>)> {
    let run = world.store.run(id).await.expect("the store in memory always answers")?;
    let log = world.store.run_events(id, 0, usize::MAX).await.expect("the store in memory always answers");
    Some((run, log))
}

/// Results and errors of the simulated services tell which attempt they are from.
fn answers_belong_to_their_attempts(world: &World, id: RunId, log: &[KbaseEvent]) {
    for event in log {
        let Ok(fact) = Fact::from_columns(&event.service, &event.kind, &event.payload) else {
            world.ledger.violation(format!("event {} of {id} cannot be read", event.seq));
            continue;
        };
        let (service, attempt, answer) = match &fact {
            Fact::ServiceCompleted(result) => (&result.service, result.attempt, result.data.get().to_owned()),
            Fact::AttemptFailed { service, attempt, error, .. } => (service, *attempt, error.message.clone()),
            _ => continue,
        };
        let job = JobId { run_id: id, service: service.clone(), attempt };
        let speaks_of_another = answer.contains(&id.to_string()) && !answer.contains(&job.to_string());
        if speaks_of_another {
            world.ledger.violation(format!("the answer of {job} is from another attempt: {answer}"));
        }
    }
}

/// The faults have stopped: what waits must come, every accepted run must settle, and nothing may be left over.
pub(super) async fn liveness(world: &World) {
    tokio::time::sleep(RECOVERED).await;
    world.ledger.book().calm_from = Some(world.now().await);
    nothing_waits_in_vain(world).await;
    let deadline = Instant::now() + PATIENCE;
    while !open_runs(world).await.is_empty() && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    for run in open_runs(world).await {
        world.ledger.violation(format!("{} never settles: {:?}", run.id(), run.status()));
    }
    tokio::time::sleep(RECOVERED).await;
    let keys = KEYS.map(|key| key.parse().expect("valid"));
    for depth in world.queue.depths(&keys).await.expect("the queue in memory always answers") {
        if depth.waiting + depth.leased > 0 {
            world.ledger.violation(format!("jobs are left over: {depth:?}"));
        }
    }
}

/// Every job that somebody must execute is known to the queue, unless its result comes by another way.
async fn nothing_waits_in_vain(world: &World) {
    let now = world.now().await;
    for run in open_runs(world).await {
        let orders = run.open_jobs(now);
        let missing = world.queue.missing(&orders).await.expect("the queue in memory always answers");
        // What was committed in this very moment is still on its way.
        let fresh: BTreeSet<_> = run
            .services()
            .filter(|(_, state)| state.queued_at.is_some_and(|at| now.since_ms(at) < RECONCILE_EVERY_MS * 2))
            .map(|(service, _)| service.name().clone())
            .collect();
        for job in missing.iter().filter(|job| !fresh.contains(&job.service)) {
            world.ledger.violation(format!("{job} is to be executed and the queue does not know it"));
        }
    }
}

async fn open_runs(world: &World) -> Vec<Run> {
    world.store.open_runs(None, None, usize::MAX).await.expect("the store in memory always answers")
}

/// What clients were told still holds, and every run has its one answer.
pub(super) async fn results(world: &World) {
    let accepted = world.ledger.book().accepted.clone();
    for (key, id) in accepted {
        match load(world, id).await {
            None => world.ledger.violation(format!("{id} was accepted for {key} and is lost")),
            Some((run, _)) if run.diagnosis_event_id().is_none() && run.state().synthesis_error.is_none() => {
                world.ledger.violation(format!("{id} has neither a diagnosis nor the reason why there is none"));
            }
            Some((run, log)) => judge(world, &run, &log),
        }
    }
}

fn judge(world: &World, run: &Run, log: &[KbaseEvent]) {
    if log.iter().any(|event| event.kind == LATE_RESULT) {
        world.ledger.saw("late result");
    }
    if log.windows(2).any(|pair| pair[0].kind == LATE_RESULT && pair[1].kind == DIAGNOSIS) {
        world.ledger.saw("diagnosis amended");
    }
    if run.awaits_amendment() {
        world.ledger.violation(format!("{} has not counted what came late, and its plan wants that", run.id()));
    }
    if run.services().any(|(_, state)| state.error.as_ref().is_some_and(|error| error.class.as_str() == "poison")) {
        world.ledger.saw("poison");
    }
    let (settled_at, deadline) = (run.state().settled_at, run.state().deadline_at);
    if settled_at.is_some_and(|at| at > deadline) {
        if world.ledger.book().calm_from.is_some_and(|calm| calm < deadline) {
            world.ledger.violation(format!("{} settled after its deadline although all was well", run.id()));
        }
        world.ledger.saw("settled after the deadline");
    }
}
