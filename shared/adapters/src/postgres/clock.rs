//! The server's clock, carried on by this process for a moment: asking for the time would be a round trip for every
//! batch of new runs and of reports.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hermes_core::Timestamp;

/// A reading is carried on for this long. Clocks drift apart by a fraction of a millisecond in it.
const CARRIED: Duration = Duration::from_secs(1);
/// A reading that took longer says too little about when it was made.
const ROUND_TRIP_MAX: Duration = Duration::from_millis(20);

/// The last reading of the server's clock.
#[derive(Default)]
pub(super) struct Clock {
    last: Mutex<Option<Reading>>,
}

#[derive(Clone, Copy)]
struct Reading {
    at: Instant,
    now: Timestamp,
}

impl Clock {
    /// The server's time, if it was read a moment ago. At most one round trip behind; never ahead, as far as the clocks
    /// run alike, so that nothing times out early.
    pub(super) fn now(&self) -> Option<Timestamp> {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = last?.at.elapsed();
        let passed_ms = u64::try_from(passed.as_millis()).ok()?;
        (passed < CARRIED).then(|| last.map(|last| last.now.plus_ms(passed_ms)))?
    }

    /// Notes a reading that was asked for at `asked`.
    pub(super) fn note(&self, asked: Instant, now: Timestamp) {
        let arrived = Instant::now();
        let reading = (arrived - asked <= ROUND_TRIP_MAX).then_some(Reading { at: arrived, now });
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = reading;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_is_carried_on_for_a_moment_and_then_no_more() {
        let (clock, read) = (Clock::default(), Timestamp::from_millis(1_000));
        assert_eq!(clock.now(), None);
        clock.note(Instant::now(), read);
        assert!(clock.now().is_some_and(|now| now >= read && now.since_ms(read) < 1_000));
        let long_ago = Reading { at: Instant::now().checked_sub(CARRIED).expect("the machine is up"), now: read };
        *clock.last.lock().expect("not poisoned") = Some(long_ago);
        assert_eq!(clock.now(), None);
    }

    #[test]
    fn a_reading_that_was_long_under_way_is_not_carried_on() {
        let clock = Clock::default();
        let asked = Instant::now().checked_sub(ROUND_TRIP_MAX * 2).expect("the machine is up");
        clock.note(asked, Timestamp::from_millis(1_000));
        assert_eq!(clock.now(), None);
    }
}
