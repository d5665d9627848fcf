//! What must hold of every run, whatever fails: the names, the codes and the sentences.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::ids::RunId;

/// Something that holds of every run that Hermes ever kept. The code is stable: metrics, reports and people use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// I3.
    SettlesInTime,
    /// I4.
    SettlesOnce,
    /// I5.
    DiagnosedOnce,
    /// I6.
    DependenciesFirst,
    /// I7.
    AttemptsInOrder,
    /// I8.
    TerminalIsFinal,
    /// I9.
    LogIsTheRun,
    /// I13.
    TimeLimitsKept,
    /// I17.
    StoreIsSound,
    /// I21.
    SkipsExplained,
    /// I22.
    BelongsTogether,
    /// I23.
    SettlementIsTrue,
}

impl Invariant {
    /// All of them, in the order of their codes.
    pub const ALL: [Self; 12] = [
        Self::SettlesInTime,
        Self::SettlesOnce,
        Self::DiagnosedOnce,
        Self::DependenciesFirst,
        Self::AttemptsInOrder,
        Self::TerminalIsFinal,
        Self::LogIsTheRun,
        Self::TimeLimitsKept,
        Self::StoreIsSound,
        Self::SkipsExplained,
        Self::BelongsTogether,
        Self::SettlementIsTrue,
    ];

    /// The stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::SettlesInTime => "I3",
            Self::SettlesOnce => "I4",
            Self::DiagnosedOnce => "I5",
            Self::DependenciesFirst => "I6",
            Self::AttemptsInOrder => "I7",
            Self::TerminalIsFinal => "I8",
            Self::LogIsTheRun => "I9",
            Self::TimeLimitsKept => "I13",
            Self::StoreIsSound => "I17",
            Self::SkipsExplained => "I21",
            Self::BelongsTogether => "I22",
            Self::SettlementIsTrue => "I23",
        }
    }

    /// What holds, in a sentence.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::SettlesInTime => {
                "every run settles by its deadline, and an open one has a wake-up that is not overdue"
            }
            Self::SettlesOnce => "each revision of a run settles once, at its end, and so does each of its services",
            Self::DiagnosedOnce => "each settlement carries one diagnosis, or the reason why there is none",
            Self::DependenciesFirst => "no service is queued before all that it depends on has completed",
            Self::AttemptsInOrder => {
                "attempts are numbered without gaps, one is open at most, and only the open one is answered"
            }
            Self::TerminalIsFinal => "nothing but a re-run changes what has settled",
            Self::LogIsTheRun => "the log of a run is whole, and its replay is the stored run",
            Self::TimeLimitsKept => "no attempt is queued past its time, and none is timed out before it",
            Self::StoreIsSound => "the database finds no damage in itself",
            Self::SkipsExplained => "every skipped service names the chain to the one that did not complete",
            Self::BelongsTogether => "every event names its run, website and plan, every run and event can be read",
            Self::SettlementIsTrue => "the status and counts of a settlement follow from how its services ended",
        }
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}

impl Serialize for Invariant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

/// A run of which an invariant does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// The run; `None` for what belongs to no run.
    pub run_id: Option<RunId>,
    /// What does not hold.
    pub invariant: Invariant,
    /// What was found instead, with the number of the event where there is one.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.run_id {
            Some(run_id) => write!(f, "{} run {run_id}: {}", self.invariant, self.detail),
            None => write!(f, "{}: {}", self.invariant, self.detail),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_invariant_has_its_own_code_and_a_sentence() {
        let codes: std::collections::BTreeSet<&str> = Invariant::ALL.iter().map(|invariant| invariant.code()).collect();
        assert_eq!(codes.len(), Invariant::ALL.len());
        assert!(Invariant::ALL.is_sorted());
        assert!(Invariant::ALL.iter().all(|invariant| invariant.sentence().len() > 20));
    }
}
