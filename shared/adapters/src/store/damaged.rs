//! Runs whose rows cannot be read. They are left alone for a while, so that they neither starve the runs behind them
//! nor keep the timers spinning.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hermes_core::ports::store::StoreError;
use hermes_core::{Run, RunId};

/// How long an unreadable run is left alone: someone may have repaired it.
const LEFT_ALONE: Duration = Duration::from_secs(60);

/// The runs that this process could not read lately, by their id as it is stored.
#[derive(Default)]
pub(crate) struct Damaged {
    until: Mutex<HashMap<String, Instant>>,
}

/// What became of rows.
#[derive(Debug, Default)]
pub(crate) struct Restored {
    pub(crate) runs: Vec<Run>,
    /// Those that are there and cannot be read, with the reason.
    pub(crate) unreadable: Vec<(RunId, String)>,
}

impl Damaged {
    /// Logs the damage and leaves the run alone from now on.
    pub(crate) fn note(&self, run_id: &str, error: &StoreError) {
        tracing::error!(run.id = run_id, %error, "a stored run cannot be read, it is left out");
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.insert(run_id.to_owned(), Instant::now() + LEFT_ALONE);
    }

    /// Sorts what was restored into runs and the damaged ones, which are noted, each with the reason.
    pub(crate) fn sort_out(&self, restored: Vec<(String, Result<Run, StoreError>)>) -> Restored {
        let (mut runs, mut unreadable) = (Vec::with_capacity(restored.len()), Vec::new());
        for (id, run) in restored {
            match run {
                Ok(run) => runs.push(run),
                Err(error) => {
                    self.note(&id, &error);
                    // an id that is none was not asked for
                    unreadable.extend(id.parse().map(|id| (id, error.to_string())));
                }
            }
        }
        Restored { runs, unreadable }
    }

    /// The runs to leave alone.
    pub(crate) fn ids(&self) -> Vec<String> {
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        if !until.is_empty() {
            let now = Instant::now();
            until.retain(|_, end| *end > now);
        }
        until.keys().cloned().collect()
    }
}
