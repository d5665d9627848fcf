//! From what one load showed to its figures, by the definitions of web-vitals and Lighthouse.

use hermes_core::ports::browser::{PageLoad, Shift};

/// A session window of layout shifts ends when nothing shifted for this long …
const WINDOW_GAP_MS: f64 = 1_000.0;
/// … and is no longer than this.
const WINDOW_MS_MAX: f64 = 5_000.0;
/// What a task may take before it blocks.
const TASK_MS: f64 = 50.0;

/// The parts of the largest contentful paint, in the order in which they follow each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct PaintParts {
    pub(super) ttfb_ms: f64,
    pub(super) load_delay_ms: f64,
    pub(super) load_time_ms: f64,
    pub(super) render_delay_ms: f64,
}

impl PaintParts {
    /// The longest part, as the catalogue names it; of equal ones the first.
    pub(super) fn dominant(&self) -> &'static str {
        let named = [
            ("ttfb", self.ttfb_ms),
            ("load_delay", self.load_delay_ms),
            ("load_time", self.load_time_ms),
            ("render_delay", self.render_delay_ms),
        ];
        named.into_iter().reduce(|best, part| if part.1 > best.1 { part } else { best }).map_or("ttfb", |part| part.0)
    }
}

/// Cumulative layout shift: the largest sum of a session window (web-vitals, `onCLS`).
pub(super) fn layout_shift(shifts: &[Shift]) -> f64 {
    let (mut largest, mut sum, mut first_at, mut last_at) = (0.0_f64, 0.0, f64::MIN, f64::MIN);
    for shift in shifts {
        let belongs = shift.at_ms - last_at < WINDOW_GAP_MS && shift.at_ms - first_at < WINDOW_MS_MAX;
        if !belongs {
            sum = 0.0;
            first_at = shift.at_ms;
        }
        sum += shift.value;
        last_at = shift.at_ms;
        largest = largest.max(sum);
    }
    largest
}

/// Total blocking time: what long tasks take beyond 50 ms each, from the first paint to the end of the observation. A task
/// that was under way at the first paint counts with what came after it (Lighthouse, `total-blocking-time`).
pub(super) fn blocking_ms(load: &PageLoad) -> Option<f64> {
    let fcp = load.fcp_ms?;
    let parts = load.long_tasks.iter().map(|task| {
        let end = task.at_ms + task.duration_ms;
        (end - task.at_ms.max(fcp) - TASK_MS).max(0.0)
    });
    // A sum of nothing is -0.0.
    Some(parts.sum::<f64>() + 0.0)
}

/// What the time until the largest contentful paint went into (web-vitals, attribution of `onLCP`).
pub(super) fn paint_parts(load: &PageLoad) -> Option<PaintParts> {
    let paint = load.lcp.as_ref()?;
    let ttfb = load.ttfb_ms?.clamp(0.0, paint.at_ms);
    let (asked, came) = paint.resource_ms.unwrap_or((ttfb, ttfb));
    let asked = asked.clamp(ttfb, paint.at_ms);
    let came = came.clamp(asked, paint.at_ms);
    Some(PaintParts {
        ttfb_ms: ttfb,
        load_delay_ms: asked - ttfb,
        load_time_ms: came - asked,
        render_delay_ms: paint.at_ms - came,
    })
}

/// How long rendering waited for style sheets and scripts: from the request of the first to the end of the last one, or
/// to the first paint if that came before.
pub(super) fn render_blocking_ms(load: &PageLoad) -> Option<f64> {
    let fcp = load.fcp_ms?;
    let early = load.blocking.iter().filter(|resource| resource.from_ms < fcp);
    let from = early.clone().map(|resource| resource.from_ms).fold(f64::MAX, f64::min);
    let to = early.map(|resource| resource.to_ms.min(fcp)).fold(f64::MIN, f64::max);
    Some((to - from).max(0.0))
}

/// Where a value scores 0.9 and 0.5 on Lighthouse's log-normal curve.
#[derive(Clone, Copy, Debug)]
pub(super) struct Curve {
    /// The value up to which a page is good.
    pub(super) p10: f64,
    median: f64,
}

/// The curves of one profile.
#[derive(Clone, Copy, Debug)]
pub(super) struct Curves {
    pub(super) fcp: Curve,
    pub(super) lcp: Curve,
    pub(super) tbt: Curve,
    cls: Curve,
}

const fn curve(p10: f64, median: f64) -> Curve {
    Curve { p10, median }
}

/// Lighthouse 13, mobile.
pub(super) const MOBILE: Curves = Curves {
    fcp: curve(1_800.0, 3_000.0),
    lcp: curve(2_500.0, 4_000.0),
    tbt: curve(200.0, 600.0),
    cls: curve(0.1, 0.25),
};

/// Lighthouse 13, desktop.
pub(super) const DESKTOP: Curves = Curves {
    fcp: curve(934.0, 1_600.0),
    lcp: curve(1_200.0, 2_400.0),
    tbt: curve(150.0, 350.0),
    cls: curve(0.1, 0.25),
};

/// The performance score, 0 to 100: Lighthouse's weights FCP 10, LCP 25, TBT 30, CLS 25 over their sum; it has no speed
/// index, to which Lighthouse gives the remaining 10.
pub(super) fn performance_score(curves: &Curves, fcp: f64, lcp: f64, tbt: f64, cls: f64) -> f64 {
    let weighted = 10.0 * score(curves.fcp, fcp)
        + 25.0 * score(curves.lcp, lcp)
        + 30.0 * score(curves.tbt, tbt)
        + 25.0 * score(curves.cls, cls);
    weighted / 90.0 * 100.0
}

/// The share of sites that are worse, if their values are distributed log-normally.
fn score(curve: Curve, value: f64) -> f64 {
    /// The inverse of the complementary error function at one fifth.
    const INVERSE_ERFC_ONE_FIFTH: f64 = 0.906_193_802_436_823_2;
    if value <= 0.0 {
        return 1.0;
    }
    let standard = INVERSE_ERFC_ONE_FIFTH * (value / curve.median).ln() / -(curve.p10 / curve.median).ln();
    (1.0 - error_function(standard)) / 2.0
}

/// Abramowitz and Stegun, 7.1.26: at most 1.5e-7 off.
fn error_function(x: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.327_591_1 * x.abs());
    let polynomial =
        t * (0.254_829_592 + t * (-0.284_496_736 + t * (1.421_413_741 + t * (-1.453_152_027 + t * 1.061_405_429))));
    (1.0 - polynomial * (-x * x).exp()).copysign(x)
}

#[cfg(test)]
mod tests {
    use hermes_core::ports::browser::{Blocking, LargestPaint, LongTask};

    use super::*;

    fn shifts(of: &[(f64, f64)]) -> Vec<Shift> {
        of.iter().map(|(at_ms, value)| Shift { at_ms: *at_ms, value: *value, elements: Vec::new() }).collect()
    }

    fn close(one: f64, other: f64) -> bool {
        (one - other).abs() < 0.001
    }

    #[test]
    fn layout_shifts_are_summed_within_windows_and_the_worst_window_counts() {
        assert!(close(layout_shift(&[]), 0.0));
        assert!(close(layout_shift(&shifts(&[(0.0, 0.1), (999.0, 0.1), (2_500.0, 0.15)])), 0.2));
        // A window is at most five seconds long, however dense its shifts.
        let dense: Vec<(f64, f64)> = (0..12).map(|half| (f64::from(half) * 500.0, 0.01)).collect();
        assert!(close(layout_shift(&shifts(&dense)), 0.1));
    }

    #[test]
    fn only_what_comes_after_the_first_paint_and_beyond_fifty_milliseconds_blocks() {
        let task = |at_ms, duration_ms| LongTask { at_ms, duration_ms };
        let load = PageLoad {
            fcp_ms: Some(1_000.0),
            long_tasks: vec![task(0.0, 900.0), task(900.0, 200.0), task(2_000.0, 80.0), task(3_000.0, 50.0)],
            ..PageLoad::default()
        };
        assert_eq!(blocking_ms(&load), Some(50.0 + 30.0));
        assert_eq!(blocking_ms(&PageLoad::default()), None);
        let free = blocking_ms(&PageLoad { long_tasks: Vec::new(), ..load }).expect("it was painted");
        assert_eq!(serde_json::json!(free).to_string(), "0.0");
    }

    #[test]
    fn the_parts_of_the_largest_paint_add_up_to_it() {
        let load = |resource_ms| PageLoad {
            ttfb_ms: Some(100.0),
            lcp: Some(LargestPaint { at_ms: 1_000.0, resource_ms, ..LargestPaint::default() }),
            ..PageLoad::default()
        };
        let image = paint_parts(&load(Some((300.0, 900.0)))).expect("painted");
        let parts = [image.ttfb_ms, image.load_delay_ms, image.load_time_ms, image.render_delay_ms];
        assert_eq!((parts, image.dominant()), ([100.0, 200.0, 600.0, 100.0], "load_time"));
        let text = paint_parts(&load(None)).expect("painted");
        assert_eq!((text.render_delay_ms, text.dominant()), (900.0, "render_delay"));
        // An image from a cache, or one whose times the server hides, does not make a part negative.
        let early = paint_parts(&load(Some((0.0, 0.0)))).expect("painted");
        assert_eq!((early.load_delay_ms, early.load_time_ms, early.render_delay_ms), (0.0, 0.0, 900.0));
    }

    #[test]
    fn rendering_waits_from_the_first_request_to_the_last_end_before_the_paint() {
        let resource = |from_ms, to_ms| Blocking { url: String::new(), from_ms, to_ms };
        let load = |blocking| PageLoad { fcp_ms: Some(1_000.0), blocking, ..PageLoad::default() };
        assert_eq!(render_blocking_ms(&load(vec![])), Some(0.0));
        let waits = load(vec![resource(100.0, 400.0), resource(200.0, 900.0), resource(950.0, 2_000.0)]);
        assert_eq!(render_blocking_ms(&waits), Some(900.0));
        assert_eq!(render_blocking_ms(&load(vec![resource(1_200.0, 2_000.0)])), Some(0.0));
    }

    #[test]
    fn scores_meet_their_control_points_and_those_of_lighthouse() {
        for curves in [MOBILE, DESKTOP] {
            for curve in [curves.fcp, curves.lcp, curves.tbt, curves.cls] {
                assert!(close(score(curve, curve.p10), 0.9) && close(score(curve, curve.median), 0.5), "{curve:?}");
            }
        }
        assert!(close(performance_score(&MOBILE, 0.0, 0.0, 0.0, 0.0), 100.0));
        assert!(performance_score(&MOBILE, 9e4, 9e4, 9e4, 9.0) < 1.0);
    }
}
