//! How many searchers click on a position: an assumption, since answers above the results change it from query to query.
//!
//! Published averages for position 1: 27.6 % (Backlinko, 4 million results) and 28.5 % (Sistrix); for position 2: 15.7 %
//! (Sistrix); for position 10: 2.5 % (both); for the ten results of the second page together: 0.63 % (Backlinko). What lies
//! between two of them is interpolated geometrically, each position losing the same share.

use std::collections::BTreeMap;

use crate::site::SiteError;

/// Positions that a curve may describe.
pub const POSITION_MAX: u32 = 100;
/// The published averages, as positions with the share of searchers who click there.
const PUBLISHED: &[(u32, f64)] = &[(1, 0.276), (2, 0.157), (10, 0.025), (11, 0.000_63), (20, 0.000_63)];

/// Shares of clicks by position.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve(Vec<(u32, f64)>);

impl Default for Curve {
    fn default() -> Self {
        Self(PUBLISHED.to_vec())
    }
}

impl Curve {
    /// A curve through the given positions and shares.
    ///
    /// # Errors
    /// It does not begin at position 1, a share is not above 0 and at most 1, or a later position has more clicks.
    pub fn through(points: &BTreeMap<u32, f64>) -> Result<Self, SiteError> {
        let wrong = |text: &str| Err(SiteError::Options(format!("ctr_curve {text}")));
        if points.keys().next() != Some(&1) || points.keys().next_back() > Some(&POSITION_MAX) {
            return wrong("must begin at position 1 and end at position 100 at the latest");
        }
        if points.values().any(|share| !(*share > 0.0 && *share <= 1.0)) {
            return wrong("must have shares above 0, up to 1");
        }
        let points: Vec<(u32, f64)> = points.iter().map(|(position, share)| (*position, *share)).collect();
        if points.windows(2).any(|pair| pair[1].1 > pair[0].1) {
            return wrong("must not rise: a later position has no more clicks");
        }
        Ok(Self(points))
    }

    /// The share of searchers who click at a position (from 1); nothing behind the last one that is known.
    #[must_use]
    pub fn at(&self, position: u32) -> f64 {
        let next = self.0.partition_point(|(known, _)| *known < position);
        let Some(&(to, last)) = self.0.get(next) else { return 0.0 };
        if to == position {
            return last;
        }
        let Some(&(from, first)) = next.checked_sub(1).and_then(|before| self.0.get(before)) else { return 0.0 };
        let way = f64::from(position - from) / f64::from(to - from);
        first * (last / first).powf(way)
    }

    /// Its points in words, for whoever reads a result.
    #[must_use]
    pub fn in_words(&self) -> String {
        let points: Vec<String> =
            self.0.iter().map(|(position, share)| format!("{position}: {:.2} %", share * 100.0)).collect();
        points.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(points: &[(u32, f64)]) -> Result<Curve, SiteError> {
        Curve::through(&points.iter().copied().collect())
    }

    #[test]
    fn the_published_points_hold_and_the_second_page_has_its_sum() {
        let curve = Curve::default();
        assert_eq!([1, 2, 10].map(|position| curve.at(position)), [0.276, 0.157, 0.025]);
        let second_page: f64 = (11..=20).map(|position| curve.at(position)).sum();
        assert!((second_page - 0.0063).abs() < 1e-9, "{second_page}");
        assert_eq!((curve.at(0), curve.at(21)), (0.0, 0.0));
    }

    #[test]
    fn between_two_points_each_position_loses_the_same_share() {
        let curve = Curve::default();
        let losses: Vec<f64> = (2..10).map(|position| curve.at(position + 1) / curve.at(position)).collect();
        assert!(losses.iter().all(|loss| (loss - losses[0]).abs() < 1e-9 && *loss < 1.0), "{losses:?}");
    }

    #[test]
    fn a_curve_of_ones_own_is_checked() {
        assert!((through(&[(1, 0.4), (3, 0.1)]).expect("valid").at(2) - 0.2).abs() < 1e-9);
        for (points, word) in [
            (vec![], "position 1"),
            (vec![(2, 0.1)], "position 1"),
            (vec![(1, 0.1), (101, 0.1)], "position 100"),
            (vec![(1, 0.0)], "above 0"),
            (vec![(1, 0.1), (2, 0.2)], "not rise"),
        ] {
            let error = through(&points).expect_err("wrong");
            assert!(error.to_string().contains(word), "{error}");
        }
    }
}
