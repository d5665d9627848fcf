//! The store's clock of the embedded mode: the machine's clock, made monotonic.

use std::sync::{Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use hermes_core::Timestamp;

/// Never goes backwards, not even against what an earlier process has stored, and never stands still.
///
/// When the machine's clock is behind (someone has corrected it), time goes on from the newest known point at the pace
/// of the monotonic clock; when it is ahead (the machine slept), time follows it.
pub(super) struct Clock {
    anchor: Mutex<(Timestamp, Instant)>,
}

impl Clock {
    /// A clock that starts at `newest` at the earliest.
    pub(super) fn after(newest: Timestamp) -> Self {
        Self { anchor: Mutex::new((newest, Instant::now())) }
    }

    /// The time.
    pub(super) fn now(&self) -> Timestamp {
        self.at(wall(), Instant::now())
    }

    fn at(&self, wall: Timestamp, instant: Instant) -> Timestamp {
        let mut anchor = self.anchor.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = instant.saturating_duration_since(anchor.1).as_millis();
        let expected = anchor.0.plus_ms(u64::try_from(passed).unwrap_or(u64::MAX));
        if wall > expected {
            *anchor = (wall, instant);
        }
        wall.max(expected)
    }
}

/// The machine's clock.
#[expect(clippy::disallowed_methods, reason = "this is where the store's clock of the embedded mode is made")]
fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const fn ms(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn it_goes_on_from_the_newest_stored_time_when_the_machine_is_behind() {
        let start = Instant::now();
        let clock = Clock { anchor: Mutex::new((ms(5_000), start)) };
        assert_eq!(clock.at(ms(1_000), start), ms(5_000));
        assert_eq!(clock.at(ms(900), start + Duration::from_millis(40)), ms(5_040));
    }

    #[test]
    fn it_follows_the_machine_when_that_is_ahead() {
        let start = Instant::now();
        let clock = Clock { anchor: Mutex::new((ms(5_000), start)) };
        assert_eq!(clock.at(ms(9_000), start), ms(9_000));
        assert_eq!(clock.at(ms(8_000), start + Duration::from_millis(7)), ms(9_007));
    }
}
