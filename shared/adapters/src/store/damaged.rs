//! Runs whose rows cannot be read. They are left alone for a while, so that they neither starve the runs behind them
//! nor keep the timers spinning.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hermes_core::ports::store::StoreError;

/// How long an unreadable run is left alone: someone may have repaired it.
const LEFT_ALONE: Duration = Duration::from_secs(60);

/// The runs that this process could not read lately, by their id as it is stored.
#[derive(Default)]
pub(crate) struct Damaged {
    until: Mutex<HashMap<String, Instant>>,
}

impl Damaged {
    /// Logs the damage and leaves the run alone from now on.
    pub(crate) fn note(&self, run_id: &str, error: &StoreError) {
        tracing::error!(run.id = run_id, %error, "a stored run cannot be read, it is left out");
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.insert(run_id.to_owned(), Instant::now() + LEFT_ALONE);
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
