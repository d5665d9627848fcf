//! An unchanged site that is measured again and again: what was timed, ranked and estimated wavers, and nothing changed.
//!
//! Spreads are those of repeated runs on one machine: medians of three lab runs within some percent, blocking time within
//! tens of percent (Lighthouse 13.5 with applied throttling saw 1,014 to 2,904 ms on one page), three of twenty queries at
//! the border of a page of results. Every value that wavers stands at the threshold of its rule, where it matters most.

use serde_json::{Value, json};

use super::{BOOK, Service, Signals, good_but, input, raw, standard_run};
use crate::diff::{WhatChanged, between};
use crate::{Input, RuleBook, synthesise};

/// Runs of one site.
const REPEATS: usize = 30;
/// Sites, each with chances of its own.
const SITES: u64 = 8;

/// Chance that is the same every time: SplitMix64 (Steele, Lea, Flood 2014).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 to 1.
    fn share(&mut self) -> f64 {
        f64::from(u32::try_from(self.next() >> 32).expect("32 bits")) / f64::from(u32::MAX)
    }

    /// About normal: mean 0, deviation 1.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.share()).sum::<f64>() - 6.0
    }

    /// `around`, with a relative deviation and one in its own unit.
    fn about(&mut self, around: f64, relative: f64, absolute: f64) -> Value {
        let value = around * (relative * self.normal()).exp() + absolute * self.normal();
        json!((value.max(0.0) * 1_000.0).round() / 1_000.0)
    }

    /// A share of twenty queries, of which three may count or not.
    fn queries(&mut self, around: f64) -> Value {
        let border = (0..3).filter(|_| self.share() < 0.5).count();
        json!((around + (f64::from(u32::try_from(border).expect("few")) - 1.5) / 20.0).clamp(0.0, 1.0))
    }
}

/// One measurement of a site with faults that stand still and values that waver at their thresholds.
fn measured(chance: &mut Chance) -> Signals {
    let part = if chance.share() < 0.2 { "ttfb" } else { "load_delay" };
    good_but(&[
        ("tech.broken_link_page_ratio", json!(0.07)),
        ("tech.title_duplicate_ratio", json!(0.2)),
        ("tech.img_nosize_ratio", json!(0.3)),
        ("tech.thin_ratio", json!(0.5)),
        ("tech.description_missing_ratio", json!(0.8)),
        ("tech.soft_404", json!(true)),
        ("tech.sitemap_found", json!(false)),
        ("tech.structured_data_ratio", json!(0.05)),
        ("tech.ttfb_p75_ms", chance.about(780.0, 0.12, 20.0)),
        ("vitals.http_ttfb_ms", chance.about(790.0, 0.12, 20.0)),
        ("vitals.lab_ttfb_ms", chance.about(700.0, 0.12, 20.0)),
        ("vitals.lab_lcp_ms", chance.about(2_480.0, 0.05, 0.0)),
        ("vitals.lcp_dominant_part", json!(part)),
        ("vitals.lab_tbt_ms", chance.about(600.0, 0.2, 20.0)),
        ("vitals.js_bytes", chance.about(305_000.0, 0.01, 0.0)),
        ("vitals.lab_cls", chance.about(0.1, 0.0, 0.006)),
        ("vitals.field_lcp_p75_ms", chance.about(3_990.0, 0.01, 0.0)),
        ("serp.top10_ratio", chance.queries(0.1)),
        ("serp.striking_ratio", chance.queries(0.3)),
        ("serp.title_rewrite_ratio", chance.queries(0.5)),
        ("serp.cannibalised_ratio", chance.queries(0.15)),
        ("serp.index_ratio", chance.about(0.5, 0.12, 0.0)),
        ("serp.brand_position", json!(2 + chance.next() % 3)),
        ("comp.content_gap_ratio", chance.queries(0.6)),
        ("comp.authority_gap", chance.about(20.0, 0.0, 1.0)),
        ("comp.lcp_gap_ms", chance.about(1_000.0, 0.0, 80.0)),
    ])
}

/// False changes among the findings that were compared, each run with the one before it and with the first one.
fn false_changes(book: &RuleBook) -> (usize, usize) {
    let (mut wrong, mut compared) = (0, 0);
    for site in 0..SITES {
        let mut chance = Chance(site);
        let runs: Vec<_> = (0..REPEATS)
            .map(|_| {
                let services: Vec<Service> = standard_run(&measured(&mut chance));
                raw(&synthesise(book, &Input { ..input(&services) }).expect("is a run"))
            })
            .collect();
        let pairs = runs.windows(2).map(|pair| (&pair[0], &pair[1])).chain(runs[2..].iter().map(|run| (&runs[0], run)));
        for (before, after) in pairs {
            let WhatChanged { new, fixed, worse, better, unchanged, within_noise, not_comparable, .. } =
                between(book, before.get(), after.get());
            assert!(not_comparable.is_empty());
            let changes = new.len() + fixed.len() + worse.len() + better.len();
            wrong += changes;
            compared += changes + unchanged + within_noise.len();
        }
    }
    (wrong, compared)
}

#[test]
fn thirty_repeats_of_an_unchanged_site_give_under_one_percent_of_false_changes() {
    let (wrong, compared) = false_changes(&BOOK);
    assert!(compared > 5_000, "{compared}");
    assert!(wrong * 100 < compared, "{wrong} of {compared}");
}

#[test]
fn without_tolerances_the_same_repeats_give_many() {
    let is_noise = |line: &&str| !line.trim_start().starts_with("noise");
    let exact: Vec<&str> = include_str!("../../rules/signals.yaml").lines().filter(is_noise).collect();
    let book = RuleBook::parse(include_str!("../../rules/rules.yaml"), &exact.join("\n")).expect("is right");
    let (wrong, compared) = false_changes(&book);
    assert!(wrong * 100 > 20 * compared, "{wrong} of {compared}");
}
