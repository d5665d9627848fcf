//! The pace of requests to one site: a distance in time, longer while the site is slow or says that it is overloaded.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// Answers that are looked at together.
const WINDOW: usize = 8;
/// A site is slow if it takes so many times as long as at first …
const SLOW_TIMES: u64 = 2;
/// … and so much longer: differences below it are those of the network.
const SLOW_BY_MS: u64 = 50;
/// The distance is at most so many times the one that was asked for …
const FACTOR_MAX: u32 = 16;
/// … and never made longer than this.
const DISTANCE_MAX: Duration = Duration::from_secs(10);

/// Gives requests to one site their turns, so that they keep a distance in time. Cheap when the distance is zero: a
/// site of the operator's own is not spared.
#[derive(Debug)]
pub(super) struct Pacer {
    distance: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    next: Instant,
    /// How many times the distance is kept.
    factor: u32,
    slowest: u32,
    /// How long the first answers took, in the middle; none until they are there.
    first_ms: Option<u64>,
    last_ms: VecDeque<u64>,
}

impl Pacer {
    pub(super) fn new(distance: Duration) -> Self {
        let state = State { next: Instant::now(), factor: 1, slowest: 1, first_ms: None, last_ms: VecDeque::new() };
        Self { distance, state: Mutex::new(state) }
    }

    /// The same, with another distance.
    pub(super) fn at_distance(self, distance: Duration) -> Self {
        Self { distance, ..self }
    }

    /// Waits for the next turn.
    pub(super) async fn turn(&self) {
        if self.distance.is_zero() {
            return;
        }
        let at = {
            let mut state = self.state.lock().await;
            let at = state.next.max(Instant::now());
            state.next = at + self.kept(state.factor);
            at
        };
        tokio::time::sleep_until(at).await;
    }

    /// Lets nobody have a turn for `pause`.
    pub(super) async fn hold(&self, pause: Duration) {
        let mut state = self.state.lock().await;
        state.next = state.next.max(Instant::now() + pause);
    }

    /// Takes in how long an answer took, and whether it said that the site is overloaded.
    pub(super) async fn answered(&self, ttfb_ms: u64, overloaded: bool) {
        if self.distance.is_zero() {
            return;
        }
        self.state.lock().await.answered(ttfb_ms, overloaded);
    }

    /// The longest distance that was kept, if it was longer than the one asked for.
    pub(super) async fn slowed_to(&self) -> Option<Duration> {
        let slowest = self.state.lock().await.slowest;
        (slowest > 1 && !self.distance.is_zero()).then(|| self.kept(slowest))
    }

    fn kept(&self, factor: u32) -> Duration {
        (self.distance * factor).min(self.distance.max(DISTANCE_MAX))
    }
}

impl State {
    fn answered(&mut self, ttfb_ms: u64, overloaded: bool) {
        if overloaded {
            self.slow_down();
            return;
        }
        self.last_ms.push_back(ttfb_ms);
        if self.last_ms.len() < WINDOW {
            return;
        }
        let mut sorted: Vec<u64> = self.last_ms.drain(..).collect();
        sorted.sort_unstable();
        let now = sorted[WINDOW / 2];
        let first = *self.first_ms.get_or_insert(now);
        if now >= first * SLOW_TIMES && now >= first + SLOW_BY_MS {
            self.slow_down();
        } else {
            self.factor = (self.factor / 2).max(1);
        }
    }

    fn slow_down(&mut self) {
        self.factor = (self.factor * 2).min(FACTOR_MAX);
        self.slowest = self.slowest.max(self.factor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn turns(pacer: &Pacer, count: usize, ttfb_ms: u64) -> Duration {
        let start = Instant::now();
        for _ in 0..count {
            pacer.turn().await;
            pacer.answered(ttfb_ms, false).await;
        }
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_site_that_takes_twice_as_long_is_asked_half_as_often_until_it_recovers() {
        let pacer = Pacer::new(Duration::from_millis(500));
        turns(&pacer, WINDOW, 100).await;
        assert_eq!(turns(&pacer, WINDOW, 100).await.as_millis() / 100, 40, "as fast as at first");
        turns(&pacer, WINDOW, 200).await;
        assert_eq!(turns(&pacer, WINDOW, 200).await.as_millis() / 100, 75, "the first turn was given before");
        assert_eq!(pacer.slowed_to().await, Some(Duration::from_secs(2)));
        turns(&pacer, WINDOW * 3, 100).await;
        assert_eq!(turns(&pacer, WINDOW, 100).await.as_millis() / 100, 40);
    }

    #[tokio::test(start_paused = true)]
    async fn overload_slows_down_at_once_and_within_bounds() {
        let pacer = Pacer::new(Duration::from_secs(1));
        for _ in 0..9 {
            pacer.answered(10, true).await;
        }
        assert_eq!(pacer.slowed_to().await, Some(DISTANCE_MAX));
        let slow = Pacer::new(Duration::from_secs(30));
        slow.answered(10, true).await;
        assert_eq!(slow.slowed_to().await, Some(Duration::from_secs(30)), "what was asked for is not cut");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_distance_nobody_waits() {
        let pacer = Pacer::new(Duration::ZERO);
        pacer.answered(10, true).await;
        assert_eq!(turns(&pacer, 100, 1_000).await, Duration::ZERO);
        assert_eq!(pacer.slowed_to().await, None);
    }
}
