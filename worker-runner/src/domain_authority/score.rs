//! `auth.score`: one number of 0 to 100 from whatever sources know the domain.
//!
//! A rank `r` in a list of `N` domains counts as `100 (1 - ln r / ln N)`: each factor of ten in rank is worth the same.
//! The score is the median of the sources. How far they are apart is its quality. A domain that no source lists has no
//! score but an upper bound: unknown is not zero.

/// Domains in the lists of a million: Tranco, Majestic.
pub const MILLION: u64 = 1_000_000;
/// Domains in the web graph of Common Crawl, about; 120 to 133 million in the releases of 2025 and 2026.
pub const COMMON_CRAWL_DOMAINS: u64 = 130_000_000;

/// Trust in a score that one source alone gives: that of a top list's rank.
pub const QUALITY_OF_ONE: f64 = 0.7;
/// Trust in a score on which several sources agree to the point.
const QUALITY_OF_AGREEMENT: f64 = 0.9;
/// Trust in a score whose sources contradict each other.
const QUALITY_MIN: f64 = 0.3;

/// What one source says of the domain.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// Name of the source, as people know it.
    pub source: &'static str,
    /// A page about it, for attribution.
    pub url: String,
    /// Where the domain stands.
    pub place: Place,
    /// What was said, in words: `rank 1,234 of 2026-11-22`.
    pub said: String,
}

/// Where a domain stands by one source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Place {
    /// On the scale of 0 to 100.
    Scored(f64),
    /// Listed nowhere among so many; it ranks below them, if at all.
    Unlisted {
        /// How many domains the source knows or keeps.
        among: u64,
    },
    /// The source knows no such domain and does not say among how many.
    Unknown,
}

/// The score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Score {
    /// 0 to 100, one decimal.
    Known {
        /// The median of the sources.
        value: f64,
        /// Lowest and highest source.
        range: (f64, f64),
        /// Trust in it, 0 to 1.
        quality: f64,
    },
    /// No source lists the domain: it is below this.
    Below(f64),
    /// No source answered.
    Unknown,
}

/// Rank `rank` (from 1) of `of` on the scale of 0 to 100.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "lists have fewer than 2^52 entries")]
pub fn of_rank(rank: u64, of: u64) -> f64 {
    let share = (rank.max(1) as f64).ln() / (of.max(2) as f64).ln();
    (100.0 * (1.0 - share)).clamp(0.0, 100.0)
}

/// What sources say together that each know something.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Agreement {
    /// Their median.
    pub(crate) value: f64,
    /// The least and the most that one of them says.
    pub(crate) range: (f64, f64),
    /// How far it can be trusted: by their spread, if there are several.
    pub(crate) quality: f64,
}

/// Takes several figures on the scale of 0 to 100 for one; `None` of nothing.
pub(crate) fn agreement(mut values: Vec<f64>) -> Option<Agreement> {
    values.sort_by(f64::total_cmp);
    let (low, high) = (*values.first()?, *values.last()?);
    let middle = values.len() / 2;
    let median = match values.len() % 2 {
        0 => f64::midpoint(values[middle - 1], values[middle]),
        _ => values[middle],
    };
    let quality = match values.len() {
        1 => QUALITY_OF_ONE,
        _ => (QUALITY_OF_AGREEMENT * (1.0 - (high - low) / 100.0)).max(QUALITY_MIN),
    };
    Some(Agreement { value: one_decimal(median), range: (one_decimal(low), one_decimal(high)), quality })
}

/// The score that the standings amount to.
#[must_use]
pub fn score(standings: &[Standing]) -> Score {
    let values = standings.iter().filter_map(|standing| match standing.place {
        Place::Scored(value) => Some(value),
        Place::Unlisted { .. } | Place::Unknown => None,
    });
    match agreement(values.collect()) {
        Some(Agreement { value, range, quality }) => Score::Known { value, range, quality },
        None => bound(standings),
    }
}

/// Whoever is not among the first `n` of all domains of the web is below rank `n` of them; the longest list binds most.
fn bound(standings: &[Standing]) -> Score {
    let longest = standings.iter().filter_map(|standing| match standing.place {
        Place::Unlisted { among } => Some(among),
        Place::Scored(_) | Place::Unknown => None,
    });
    longest.max().map_or(Score::Unknown, |among| Score::Below(one_decimal(of_rank(among, COMMON_CRAWL_DOMAINS))))
}

/// The same text on every machine, and no more than there is to know.
#[must_use]
pub fn one_decimal(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(place: Place) -> Standing {
        Standing { source: "a list", url: String::new(), place, said: String::new() }
    }

    fn scored(values: &[f64]) -> Score {
        score(&values.iter().map(|value| standing(Place::Scored(*value))).collect::<Vec<_>>())
    }

    #[test]
    fn each_factor_of_ten_in_rank_is_worth_the_same() {
        let scores = [1, 10, 100, 1_000, 1_000_000].map(|rank| one_decimal(of_rank(rank, MILLION)));
        assert_eq!(scores, [100.0, 83.3, 66.7, 50.0, 0.0]);
        assert_eq!(one_decimal(of_rank(1_000_000, COMMON_CRAWL_DOMAINS)), 26.1);
        assert_eq!(one_decimal(of_rank(9, 1)), 0.0, "what cannot be is cut to the scale");
    }

    #[test]
    fn the_score_is_the_median_and_the_spread_is_its_quality() {
        let Score::Known { value, range, quality } = scored(&[40.0, 60.0, 41.0]) else { panic!("known") };
        assert_eq!((value, range), (41.0, (40.0, 60.0)));
        assert!((quality - 0.72).abs() < 1e-9, "{quality}");
        let Score::Known { value, .. } = scored(&[40.0, 60.0]) else { panic!("known") };
        assert_eq!(value, 50.0);
        let Score::Known { quality, .. } = scored(&[0.0, 100.0]) else { panic!("known") };
        assert_eq!(quality, QUALITY_MIN);
        let Score::Known { quality, .. } = scored(&[55.5]) else { panic!("known") };
        assert_eq!(quality, QUALITY_OF_ONE);
    }

    #[test]
    fn a_domain_that_no_list_has_is_below_a_bound_and_never_zero() {
        let unlisted = standing(Place::Unlisted { among: MILLION });
        assert_eq!(score(std::slice::from_ref(&unlisted)), Score::Below(26.1));
        assert_eq!(score(&[unlisted, standing(Place::Scored(33.0))]), scored(&[33.0]));
        assert_eq!(score(&[standing(Place::Unknown)]), Score::Unknown);
        assert_eq!(score(&[]), Score::Unknown);
    }
}
