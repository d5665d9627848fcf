//! One clock for everything that the harness sees, and its relation to the database's.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

/// Milliseconds since the start of the harness.
pub type Ms = i64;

/// A monotonic clock; clones show the same time.
#[derive(Clone)]
pub struct Clock {
    start: Arc<Instant>,
}

impl Clock {
    /// Starts at 0.
    #[must_use]
    pub fn start() -> Self {
        Self { start: Arc::new(Instant::now()) }
    }

    /// The time.
    ///
    /// # Panics
    /// After some hundred million years.
    #[must_use]
    pub fn now(&self) -> Ms {
        self.start.elapsed().as_millis().try_into().expect("it does not run that long")
    }

    /// Waits until it is `at`.
    pub async fn until(&self, at: Duration) {
        tokio::time::sleep_until(*self.start + at).await;
    }

    /// Waits for this long: the pace of the harness, never a way to wait for something else.
    pub async fn pass(&self, duration: Duration) {
        tokio::time::sleep_until(Instant::now() + duration).await;
    }
}
