//! When the next attempt is due: capped exponential back-off with full jitter, not before `Retry-After`.
//!
//! Source: Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015 (full jitter).

use crate::limits::{BACKOFF_BASE_MS, BACKOFF_CAP_MS};

/// A random number in [0, 1), drawn outside the core.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Jitter(f64);

impl Jitter {
    /// Takes a drawn number; anything outside [0, 1) is brought into it.
    #[must_use]
    pub fn new(drawn: f64) -> Self {
        if drawn.is_finite() { Self(drawn.clamp(0.0, 1.0 - f64::EPSILON)) } else { Self(0.0) }
    }
}

/// Milliseconds to wait after the `failures`-th failed attempt (from 1).
///
/// The wait is drawn evenly from 0 to `BACKOFF_BASE_MS · 2^(failures-1)`, capped; a `Retry-After` is honoured in full,
/// and the drawn wait comes on top of it so that many clients do not return in the same instant.
#[must_use]
pub fn backoff_ms(failures: u32, retry_after_ms: Option<u64>, jitter: Jitter) -> u64 {
    let doublings = failures.saturating_sub(1).min(32);
    let ceiling = BACKOFF_BASE_MS.saturating_mul(1_u64 << doublings).min(BACKOFF_CAP_MS);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "the ceiling is at most BACKOFF_CAP_MS and jitter lies in [0, 1)"
    )]
    let drawn = (ceiling as f64 * jitter.0) as u64;
    retry_after_ms.unwrap_or(0).saturating_add(drawn)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALMOST_ONE: f64 = 0.999_999_999;

    #[test]
    fn the_wait_doubles_with_each_failure_up_to_the_cap() {
        let longest = |failures| backoff_ms(failures, None, Jitter::new(ALMOST_ONE));
        assert_eq!([1, 2, 3].map(longest), [499, 999, 1_999]);
        assert_eq!(longest(30), BACKOFF_CAP_MS - 1);
        assert_eq!(longest(u32::MAX), BACKOFF_CAP_MS - 1);
    }

    #[test]
    fn full_jitter_may_wait_not_at_all() {
        assert_eq!(backoff_ms(5, None, Jitter::new(0.0)), 0);
    }

    #[test]
    fn retry_after_is_the_least_that_is_waited() {
        assert_eq!(backoff_ms(1, Some(7_000), Jitter::new(0.0)), 7_000);
        assert_eq!(backoff_ms(1, Some(7_000), Jitter::new(0.5)), 7_250);
    }

    #[test]
    fn a_jitter_outside_its_range_is_brought_into_it() {
        for drawn in [-1.0, 1.0, 2.0, f64::NAN, f64::INFINITY] {
            assert!(backoff_ms(1, None, Jitter::new(drawn)) < BACKOFF_BASE_MS, "{drawn}");
        }
    }
}
