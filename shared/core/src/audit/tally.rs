//! What an audit went through, so that "no violation" says of how much.

use serde::Serialize;

use super::Invariant;
use crate::kbase::Fact;

/// Counts of what was judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Databases that were asked for damage in themselves.
    pub stores: u64,
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
        self.stores += other.stores;
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

    /// How many things of those that `invariant` speaks of were judged.
    #[must_use]
    pub const fn checked(&self, invariant: Invariant) -> u64 {
        match invariant {
            Invariant::SettlesInTime | Invariant::LogIsTheRun => self.runs,
            Invariant::SettlesOnce | Invariant::DiagnosedOnce | Invariant::SettlementIsTrue => self.settlements,
            Invariant::DependenciesFirst | Invariant::AttemptsInOrder | Invariant::TimeLimitsKept => self.attempts,
            Invariant::TerminalIsFinal | Invariant::BelongsTogether => self.events,
            Invariant::StoreIsSound => self.stores,
            Invariant::SkipsExplained => self.skips,
        }
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
