//! Scores of whole diagnoses.

use serde_json::{Value, json};

use super::{Signals, all_good, diagnose, good_but, standard_run};
use crate::score::Score;

fn score(signals: &Signals) -> Score {
    diagnose(&standard_run(signals)).score
}

fn category(signals: &Signals, id: &str) -> f64 {
    let categories = score(signals).categories;
    let found = categories.into_iter().find(|category| category.category == id).expect("a category of the book");
    found.score.expect("is measured")
}

fn without(mut signals: Signals, ids: &[&str]) -> Signals {
    for id in ids {
        signals.remove(*id).expect("was known");
    }
    signals
}

#[test]
fn a_check_whose_fault_exists_scores_half_at_most() {
    // JavaScript of 310 kB is nearly fine by its own curve, but together with the blocked thread it is the fault.
    let signals = good_but(&[("vitals.lab_tbt_ms", json!(601)), ("vitals.js_bytes", json!(310_000))]);
    let passing = good_but(&[("vitals.lab_tbt_ms", json!(600)), ("vitals.js_bytes", json!(310_000))]);
    let lost = category(&passing, "experience") - category(&signals, "experience");
    assert!(lost > 3.0, "the check weighs 3 of 29 and loses 0.4: {lost}");
}

#[test]
fn one_branch_of_an_or_is_enough_for_the_fault_to_exist() {
    // A millisecond over the limit is nearly fine by the curve, but the rule fires.
    let ttfb = |ms: u32| {
        category(&good_but(&[("vitals.http_ttfb_ms", json!(ms)), ("tech.ttfb_p75_ms", json!(20))]), "experience")
    };
    assert!(ttfb(800) - ttfb(801) > 3.0, "the check weighs 3 of 36 and loses 0.4");
}

#[test]
fn a_guard_that_stops_holding_lifts_no_score() {
    let with =
        |indexable: f64| good_but(&[("serp.index_ratio", json!(0.3)), ("tech.indexable_ratio", json!(indexable))]);
    assert!(category(&with(0.85), "indexability") <= category(&with(0.95), "indexability"));
}

#[test]
fn a_fault_with_an_unknown_branch_scores_as_if_that_were_as_bad_as_can_be() {
    let known = good_but(&[("vitals.field_lcp_p75_ms", json!(4_100))]);
    let half_known = without(known.clone(), &["vitals.field_inp_p75_ms"]);
    assert!(category(&half_known, "experience") < category(&known, "experience"));
    assert!(score(&half_known).low < score(&known).low);
}

#[test]
fn a_gate_that_could_not_be_told_caps_what_the_score_is_at_least() {
    let score = score(&without(all_good(), &["tech.robots_blocks_all"]));
    assert_eq!(score.low, 30.0);
    assert!(score.value.expect("is scored") > 90.0);
}

#[test]
fn a_category_of_which_less_than_half_is_known_has_a_score_but_no_say() {
    let bad = [("tech.soft_404", json!(true)), ("tech.canonical_error_ratio", json!(0.5))];
    let of_two: Signals = good_but(&bad)
        .into_iter()
        .filter(|(id, _)| !id.starts_with("tech.") || bad.iter().any(|(bad, _)| bad == id))
        .collect();
    let score = score(&of_two);
    let indexability = &score.categories[0];
    assert_eq!(indexability.score, Some(0.0));
    assert!(indexability.coverage < 0.5);
    assert_eq!(score.value, None, "and without the crawl there is no score at all");
}

#[test]
fn bounds_assume_nothing_about_what_was_not_measured() {
    let score = score(&without(all_good(), &["auth.score", "auth.domain_age_days", "comp.authority_gap"]));
    // Authority weighs 0.08, competition lacks the lighter one of its rules, and everything measured is (nearly) perfect.
    assert_eq!(score.high, 99.2);
    assert!((score.low - (99.2 - 8.0 - 5.0 / 4.0)).abs() < 0.2, "{score:?}");
}

#[test]
fn no_directed_signal_of_a_rule_can_get_worse_and_lift_a_score() {
    for (id, fires, passes) in super::golden::cases() {
        for case in [fires, passes] {
            let mut signals = all_good();
            signals.extend(super::golden::signals(&case));
            let before = score(&signals);
            for signal in case.as_object().expect("a case is an object").keys() {
                for by in [0.05, 0.5, 3.0] {
                    let Some(value) = super::properties::worse_value(signal, &signals[signal], by) else { continue };
                    check(id, signal, &signals, value, &before);
                }
            }
        }
    }
}

fn check(id: &str, signal: &str, signals: &Signals, value: Value, before: &Score) {
    let mut changed = signals.clone();
    let told = format!("{id}: {signal} from {} to {value}", signals[signal]);
    changed.insert(signal.to_owned(), value);
    let after = score(&changed);
    assert!(after.value <= before.value && after.low <= before.low && after.high <= before.high, "{told}");
    for (before, after) in before.categories.iter().zip(&after.categories) {
        assert!(after.score <= before.score, "{told}: {before:?} {after:?}");
    }
}
