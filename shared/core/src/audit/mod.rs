//! The auditor: whether what a store holds of a run is what must hold of every run.
//!
//! It walks the log by itself and compares, instead of trusting the code that wrote it: [`replay`](crate::run::replay)
//! shares its one door with [`decide`](crate::run::decide), the walk shares nothing with either but the codec.
//! It is pure: a store's rows come in, violations go out. Events come one by one, so that no log needs to fit in memory.

mod invariant;
mod settlement;
mod tally;
mod walk;

use crate::ids::{EventId, ServiceName};
use crate::kbase::{Fact, KbaseEvent};
use crate::limits::{AUDIT_DETAIL_BYTES_MAX, AUDIT_SLACK_MS, AUDIT_VIOLATIONS_PER_RUN_MAX};
use crate::run::{Replay, ReplayError, Run, RunState};
use crate::time::Timestamp;
use crate::wire::printable;
use std::collections::BTreeSet;

pub use invariant::{Invariant, Violation};
pub use tally::Tally;

use walk::Walk;

/// Judges a stored run by its log: all its events, in order. `now` is the store's clock when the run was read.
#[must_use]
pub fn audit_run(run: &Run, events: &[KbaseEvent], now: Timestamp) -> Vec<Violation> {
    let mut audit = RunAudit::new(run, now, AUDIT_SLACK_MS);
    for event in events {
        audit.take(event);
    }
    audit.finish().0
}

/// A run being judged, event by event.
pub struct RunAudit<'a> {
    run: &'a Run,
    now: Timestamp,
    slack_ms: u64,
    replay: Result<Replay, ReplayError>,
    walk: Walk,
    tally: Tally,
    seq: u64,
    /// The log cannot be followed from here on; what it would say of other invariants means nothing.
    broken: bool,
    found: Found,
}

/// Violations of one run, at most [`AUDIT_VIOLATIONS_PER_RUN_MAX`].
#[derive(Default)]
struct Found(Vec<(Invariant, String)>);

impl Found {
    fn add(&mut self, invariant: Invariant, detail: impl AsRef<str>) {
        if self.0.len() < AUDIT_VIOLATIONS_PER_RUN_MAX {
            self.0.push((invariant, printable(detail.as_ref(), AUDIT_DETAIL_BYTES_MAX)));
        }
    }
}

impl<'a> RunAudit<'a> {
    /// Begins with the stored run. `slack_ms` is how much later than due something may happen.
    #[must_use]
    pub fn new(run: &'a Run, now: Timestamp, slack_ms: u64) -> Self {
        Self {
            run,
            now,
            slack_ms,
            replay: Ok(Replay::of(run.plan().clone())),
            walk: Walk::of(run.plan().clone(), slack_ms),
            tally: Tally { runs: 1, services: run.plan().services().len() as u64, ..Tally::default() },
            seq: 0,
            broken: false,
            found: Found::default(),
        }
    }

    /// Takes the next event of the run's log.
    pub fn take(&mut self, event: &KbaseEvent) {
        self.tally.events += 1;
        if self.broken {
            return;
        }
        match self.read(event) {
            Ok(fact) => {
                self.seq = event.seq;
                self.check_identity(event, &fact);
                if let Ok(replay) = &mut self.replay
                    && let Err(error) = replay.push(event, &fact)
                {
                    self.replay = Err(error);
                }
                self.tally.count(&fact);
                self.walk.take(event.seq, event.created_at, &fact, &mut self.found);
            }
            Err((invariant, detail)) => {
                self.broken = true;
                self.found.add(invariant, detail);
            }
        }
    }

    /// The event as a fact that can follow the ones before.
    fn read(&self, event: &KbaseEvent) -> Result<Fact, (Invariant, String)> {
        let (expected, found) = (self.seq + 1, event.seq);
        if found != expected {
            return Err((Invariant::LogIsTheRun, format!("event {found} stands where {expected} is due")));
        }
        let fact = Fact::from_columns(&event.service, &event.kind, &event.payload)
            .map_err(|error| (Invariant::BelongsTogether, format!("event {found}: {error}")))?;
        if found == 1 && !matches!(fact, Fact::RunStarted(_)) {
            return Err((Invariant::LogIsTheRun, "the first event does not start the run".to_owned()));
        }
        match fact.services().into_iter().find(|name| self.run.plan().position(name).is_none()) {
            Some(name) => {
                let detail = format!("event {found} names service '{name}', which the plan does not have");
                Err((Invariant::BelongsTogether, detail))
            }
            None => Ok(fact),
        }
    }

    fn check_identity(&mut self, event: &KbaseEvent, fact: &Fact) {
        let (plan, state) = (self.run.plan(), self.run.state());
        let seq = event.seq;
        let mut foreign = |what: &str, found: &dyn std::fmt::Display, expected: &dyn std::fmt::Display| {
            let detail = format!("event {seq} names {what} {found}, the run has {expected}");
            self.found.add(Invariant::BelongsTogether, detail);
        };
        let due = EventId { run_id: state.run_id, seq };
        if event.run_id != state.run_id {
            foreign("run", &event.run_id, &state.run_id);
        } else if event.event_id != due {
            foreign("itself", &event.event_id, &due);
        }
        if event.website_id != state.website_id {
            foreign("website", &event.website_id, &state.website_id);
        }
        let (plan_id, domain) = match fact {
            Fact::RunStarted(start) => (&start.plan_id, &start.domain),
            Fact::RunSettled(end) => (&end.plan_id, &end.domain),
            _ => return,
        };
        if plan_id != plan.id() {
            foreign("plan", plan_id, plan.id());
        }
        if domain != &state.domain {
            foreign("domain", domain, &state.domain);
        }
    }

    /// The verdict, when all events have been taken, and what was counted on the way.
    #[must_use]
    pub fn finish(mut self) -> (Vec<Violation>, Tally) {
        self.check_wake_up();
        let last_seq = self.run.state().last_seq;
        if !self.broken && self.seq != last_seq {
            let detail = format!("the log ends with event {}, the run says {last_seq}", self.seq);
            self.found.add(Invariant::LogIsTheRun, detail);
        } else if !self.broken {
            self.walk.finish(&mut self.found);
            self.compare();
        }
        let run_id = Some(self.run.id());
        let violation = |(invariant, detail)| Violation { run_id, invariant, detail };
        (self.found.0.into_iter().map(violation).collect(), self.tally)
    }

    fn check_wake_up(&mut self) {
        let state = self.run.state();
        if state.status.is_settled() {
            return;
        }
        let Some(wake_at) = state.wake_at else {
            self.found.add(Invariant::SettlesInTime, "the run is open and has no wake-up: it is stuck");
            return;
        };
        let overdue_ms = self.now.since_ms(wake_at.min(state.deadline_at));
        if overdue_ms > self.slack_ms {
            let detail = format!("the run is open and was due at {wake_at}, {overdue_ms} ms ago: it is stuck");
            self.found.add(Invariant::SettlesInTime, detail);
        }
    }

    /// The stored run must be the fold of its log, by the code that wrote it and by the walk that did not.
    fn compare(&mut self) {
        let replayed = std::mem::replace(&mut self.replay, Err(ReplayError::Empty)).and_then(Replay::finish);
        match replayed {
            Ok(replayed) if replayed.state() == self.run.state() => {
                if self.found.0.is_empty()
                    && let Some(detail) = self.walk.difference(self.run.state())
                {
                    self.found.add(Invariant::LogIsTheRun, detail);
                }
            }
            Ok(replayed) => {
                let detail =
                    format!("the row differs from its log: {}", differences(self.run.state(), replayed.state()));
                self.found.add(Invariant::LogIsTheRun, detail);
            }
            // Reported with the event at which it happened.
            Err(_) if !self.found.0.is_empty() => {}
            Err(error) => self.found.add(Invariant::LogIsTheRun, format!("the log cannot be replayed: {error}")),
        }
    }
}

/// The members in which two states differ, in words.
fn differences(row: &RunState, log: &RunState) -> String {
    let value = |state| serde_json::to_value(state).unwrap_or_default();
    let mut differing = Vec::new();
    collect_differences("", &value(row), &value(log), &mut differing);
    differing.join("; ")
}

fn collect_differences(path: &str, row: &serde_json::Value, log: &serde_json::Value, into: &mut Vec<String>) {
    use serde_json::Value::{Array, Object};
    match (row, log) {
        _ if row == log => {}
        (Object(row), Object(log)) => {
            // a member without a value is left out
            let keys: BTreeSet<&String> = row.keys().chain(log.keys()).collect();
            for key in keys {
                let value = |of: &serde_json::Map<_, _>| of.get(key).cloned().unwrap_or_default();
                collect_differences(&format!("{path}.{key}"), &value(row), &value(log), into);
            }
        }
        (Array(row), Array(log)) if row.len() == log.len() => {
            for (position, (row, log)) in row.iter().zip(log).enumerate() {
                collect_differences(&format!("{path}[{position}]"), row, log, into);
            }
        }
        _ => into.push(format!("{} is {row}, by the log {log}", path.trim_start_matches('.'))),
    }
}

/// `event 5: service 'a' …`
fn of_service(seq: u64, name: &ServiceName, rest: &str) -> String {
    format!("event {seq}: service '{name}' {rest}")
}

#[cfg(test)]
mod tests;
