//! What an audit went through, so that "no violation" says of how much.

use serde::Serialize;

use crate::kbase::Fact;

/// Counts of what was judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Runs.
    pub runs: u64,
    /// Events of their logs.
    pub events: u64,
    /// Services of their plans.
    pub services: u64,
    /// Revisions that settled.
    pub settlements: u64,
    /// Revisions after the first.
    pub reruns: u64,
    /// Attempts that were handed to the queue.
    pub attempts: u64,
    /// Attempts that were answered, late ones included: each was executed at least once.
    pub executions: u64,
    /// Times that a worker said it had begun an attempt. Short attempts are over before they would say so.
    pub starts: u64,
    /// Reports that came too late to count.
    pub late_results: u64,
    /// Services that were skipped.
    pub skips: u64,
    /// Diagnoses.
    pub diagnoses: u64,
    /// Events that others wrote under a run.
    pub notes: u64,
}

impl Tally {
    /// Adds what another part of the audit went through.
    pub const fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.events += other.events;
        self.services += other.services;
        self.settlements += other.settlements;
        self.reruns += other.reruns;
        self.attempts += other.attempts;
        self.executions += other.executions;
        self.starts += other.starts;
        self.late_results += other.late_results;
        self.skips += other.skips;
        self.diagnoses += other.diagnoses;
        self.notes += other.notes;
    }

    pub(super) fn count(&mut self, fact: &Fact) {
        match fact {
            Fact::RunStarted(start) => self.reruns += u64::from(start.revision > 1),
            Fact::WaveQueued { services, .. } => self.attempts += services.len() as u64,
            Fact::ServiceStarted { .. } => self.starts += 1,
            Fact::ServiceDeferred { .. } => {}
            Fact::AttemptFailed { .. } | Fact::ServiceCompleted(_) => self.executions += 1,
            Fact::ServiceEnded(end) => {
                self.executions += u64::from(end.answered);
                self.skips += u64::from(end.status == crate::status::ServiceStatus::Skipped);
            }
            Fact::LateReported { .. } => {
                self.late_results += 1;
                self.executions += 1;
            }
            Fact::Diagnosed { .. } => self.diagnoses += 1,
            Fact::RunSettled(_) => self.settlements += 1,
            Fact::Noted(_) => self.notes += 1,
        }
    }
}
