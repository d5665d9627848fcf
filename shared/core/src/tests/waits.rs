//! Properties of the back-off.

use proptest::prelude::*;

use crate::limits::{BACKOFF_BASE_MS, BACKOFF_CAP_MS};
use crate::run::{Jitter, backoff_ms};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn without_retry_after_no_wait_reaches_the_cap(failures in any::<u32>(), drawn in any::<f64>()) {
        prop_assert!(backoff_ms(failures, None, Jitter::new(drawn)) < BACKOFF_CAP_MS);
    }

    #[test]
    fn no_wait_reaches_the_ceiling_of_its_failure(failures in 1_u32..7, drawn in 0.0..1.0_f64) {
        let ceiling = BACKOFF_BASE_MS << (failures - 1);
        prop_assert!(backoff_ms(failures, None, Jitter::new(drawn)) < ceiling);
    }

    #[test]
    fn a_greater_draw_never_waits_less(failures in any::<u32>(), one in 0.0..1.0_f64, two in 0.0..1.0_f64) {
        let (low, high) = (one.min(two), one.max(two));
        let wait = |drawn| backoff_ms(failures, None, Jitter::new(drawn));
        prop_assert!(wait(low) <= wait(high));
    }

    #[test]
    fn a_later_failure_never_waits_less_at_the_same_draw(failures in 0_u32..u32::MAX, drawn in 0.0..1.0_f64) {
        let wait = |failures| backoff_ms(failures, None, Jitter::new(drawn));
        prop_assert!(wait(failures) <= wait(failures + 1));
    }

    #[test]
    fn retry_after_is_added_and_never_shortened(failures in any::<u32>(), drawn in 0.0..1.0_f64, asked in any::<u64>()) {
        let own = backoff_ms(failures, None, Jitter::new(drawn));
        prop_assert_eq!(backoff_ms(failures, Some(asked), Jitter::new(drawn)), asked.saturating_add(own));
        prop_assert_eq!(backoff_ms(failures, Some(asked), Jitter::new(0.0)), asked);
    }
}

#[test]
fn the_middle_of_the_draw_is_the_middle_of_the_wait_up_to_the_cap() {
    let waits: Vec<u64> = (1..=9).map(|failures| backoff_ms(failures, None, Jitter::new(0.5))).collect();
    assert_eq!(waits, [250, 500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000]);
}

#[test]
fn no_failure_waits_as_the_first_does() {
    assert_eq!(backoff_ms(0, None, Jitter::new(0.5)), backoff_ms(1, None, Jitter::new(0.5)));
}
