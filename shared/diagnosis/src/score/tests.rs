//! The curves, at their published points.

use super::*;

fn close(a: f64, b: f64) {
    assert!((a - b).abs() < 0.000_5, "{a} is not {b}");
}

#[test]
fn milliseconds_score_as_their_published_distribution() {
    for (lcp_ms, expected) in [(1200.0, 0.999), (2500.0, 0.9), (3000.0, 0.784), (4000.0, 0.5), (6000.0, 0.134)] {
        close(log_normal(lcp_ms, 2500.0, 4000.0), expected);
    }
    close(log_normal(1200.0, 200.0, 600.0), 0.209);
    close(log_normal(0.5, 0.1, 0.25), 0.166);
    close(log_normal(0.0, 0.1, 0.25), 1.0);
}

#[test]
fn a_share_of_bad_pages_halves_its_score_with_every_step() {
    for (share, expected) in [(0.0, 1.0), (0.01, 0.707), (0.02, 0.5), (0.05, 0.177), (0.1, 0.031)] {
        close(half_life(share, 0.0, 0.02), expected);
    }
}

#[test]
fn where_more_is_better_the_curve_is_mirrored() {
    close(half_life(0.95, 0.95, 0.7), 1.0);
    close(half_life(0.7, 0.95, 0.7), 0.5);
    close(half_life(0.45, 0.95, 0.7), 0.25);
    close(half_life(1.0, 0.95, 0.7), 1.0);
}

#[test]
fn the_error_function_has_its_known_values() {
    close(erf(0.0), 0.0);
    close(erf(1.0), 0.842_7);
    close(erf(-1.0), -0.842_7);
    close(erf(5.0), 1.0);
}
