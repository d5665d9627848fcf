//! What is searched: plans, processes, and which faults may happen how often.

use hermes_core::plan::LateResults;

use super::core::Says;
use super::properties::{self as seen, Danger};
use super::{Fault, Mechanisms};

/// What a search covers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scope {
    pub(super) services: &'static [&'static str],
    pub(super) max_attempts: u32,
    pub(super) late_results: LateResults,
    pub(super) workers: usize,
    pub(super) dispatchers: usize,
    /// So many faults of these kinds, in every combination.
    pub(super) faults: u8,
    pub(super) kinds: &'static [Fault],
    /// How attempts end.
    pub(super) outcomes: &'static [Says],
    /// What must be reached.
    pub(super) dangers: &'static [Danger],
}

/// Two services, and a third one that needs both.
const FAN_IN: &[&str] = &["a", "b", "c after a b"];
const CHAIN: &[&str] = &["a", "c after a"];
const ALONE: &[&str] = &["a"];

/// Everything that processes and servers do to each other.
const BREAKDOWNS: &[Fault] = &[
    Fault::Crash,
    Fault::LosePush,
    Fault::Redelivery,
    Fault::SlowLook,
    Fault::Kill,
    Fault::Pause,
    Fault::Release,
    Fault::Flush,
];

/// The same, and what time and people do to a run.
const EVERYTHING: &[Fault] = &[
    Fault::Crash,
    Fault::LosePush,
    Fault::Redelivery,
    Fault::SlowLook,
    Fault::SlowJob,
    Fault::Kill,
    Fault::Pause,
    Fault::Release,
    Fault::Flush,
    Fault::Time,
    Fault::Cancel,
    Fault::Rerun,
];

/// Fan-in, where every attempt succeeds.
pub(super) const fn fan_in(faults: u8) -> Scope {
    Scope {
        services: FAN_IN,
        max_attempts: 1,
        late_results: LateResults::Keep,
        workers: 2,
        dispatchers: 2,
        faults,
        kinds: BREAKDOWNS,
        outcomes: &[Says::Completed],
        dangers: &[
            seen::SETTLED,
            seen::EXECUTED_TWICE,
            seen::SAME_REPORT_TWICE,
            seen::FORGOTTEN,
            seen::REPUBLISHED,
            seen::ORPHAN,
            seen::STALE_REPORT,
            seen::STALE_COMPARISON,
            seen::LATE_AFTER_THE_END,
        ],
    }
}

/// Fan-in, where attempts fail and are repeated.
pub(super) const fn failing_fan_in(faults: u8) -> Scope {
    Scope {
        max_attempts: 2,
        outcomes: &[Says::Completed, Says::Stumbled],
        dangers: &[seen::SETTLED, seen::STALE_REPORT],
        ..fan_in(faults)
    }
}

/// One service whose attempts end in every way.
pub(super) const fn retries(faults: u8) -> Scope {
    Scope {
        services: ALONE,
        max_attempts: 2,
        outcomes: &[Says::Completed, Says::Stumbled, Says::Failed],
        dangers: &[
            seen::SETTLED,
            seen::EXECUTED_TWICE,
            seen::STALE_REPORT,
            seen::STALE_FAILURE,
            seen::REPUBLISHED,
            seen::LATE_AFTER_THE_END,
        ],
        ..fan_in(faults)
    }
}

/// A service whose workers die of it.
pub(super) const fn poison(faults: u8) -> Scope {
    Scope {
        services: ALONE,
        kinds: &[Fault::Kill, Fault::Pause, Fault::Crash, Fault::Flush, Fault::Release],
        dangers: &[seen::SETTLED, seen::EXECUTED_TWICE, seen::POISON],
        ..fan_in(faults)
    }
}

/// Time-outs, the deadline, cancelling and running again, while things break.
pub(super) const fn time(faults: u8) -> Scope {
    Scope {
        services: CHAIN,
        max_attempts: 2,
        late_results: LateResults::Keep,
        workers: 2,
        dispatchers: 2,
        faults,
        kinds: EVERYTHING,
        outcomes: &[Says::Completed, Says::Stumbled],
        dangers: &[seen::SETTLED, seen::EXECUTED_TWICE, seen::STALE_REPORT, seen::LATE, seen::LATE_AFTER_THE_END],
    }
}

/// One service that is run again after everything that may have ended it.
pub(super) const fn rerun(faults: u8) -> Scope {
    Scope {
        services: ALONE,
        max_attempts: 1,
        outcomes: &[Says::Completed, Says::Failed],
        dangers: &[seen::SETTLED, seen::OLD_REVISION, seen::LATE],
        ..time(faults)
    }
}

/// The same under a plan that wants late results in its diagnosis.
pub(super) const fn amendments(faults: u8) -> Scope {
    Scope {
        late_results: LateResults::Amend,
        dangers: &[seen::SETTLED, seen::OLD_REVISION, seen::LATE, seen::AMENDED],
        ..rerun(faults)
    }
}

/// Whether two dispatchers may decide about the same version: not while the row is locked.
pub(super) const fn without_row_lock(faults: u8) -> (Scope, Mechanisms) {
    let scope = Scope { dangers: &[seen::SETTLED, seen::TWO_DISPATCHERS], ..fan_in(faults) };
    (scope, Mechanisms { row_lock: false, ..Mechanisms::ALL })
}
