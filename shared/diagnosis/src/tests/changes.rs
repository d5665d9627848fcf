//! What changed since last time.

use serde_json::{Value, json};

use super::BOOK;
use super::{Service, Signals, all_good, diagnose, diagnose_after, good_but, raw, standard_run, standard_run_without};
use crate::diff::{Change, ChangeStatus, NotComparable, WhatChanged, between};

fn ids(changes: &[Change]) -> Vec<&str> {
    changes.iter().map(|change| change.id.as_str()).collect()
}

fn unseen(list: &[NotComparable]) -> Vec<&str> {
    list.iter().map(|one| one.id.as_str()).collect()
}

fn changed(before: &Signals, after: &Signals) -> WhatChanged {
    let before = diagnose(&standard_run(before));
    diagnose_after(&standard_run(after), &raw(&before)).what_changed
}

#[test]
fn what_appeared_is_new_and_what_went_is_fixed() {
    let before = good_but(&[("tech.soft_404", json!(true)), ("tech.redirect_loops", json!(1))]);
    let after = good_but(&[("tech.redirect_loops", json!(1)), ("tech.viewport_missing_ratio", json!(0.5))]);
    let changed = changed(&before, &after);
    assert_eq!(changed.status, ChangeStatus::Compared);
    assert_eq!(changed.compared_with.as_deref(), Some("run_1"));
    assert_eq!(ids(&changed.new), ["EXP-006"]);
    assert_eq!(ids(&changed.fixed), ["IDX-010"]);
    assert_eq!(changed.unchanged, 1);
    assert!(changed.score_change.is_some());
}

#[test]
fn a_value_that_moved_by_more_than_its_noise_is_worse_or_better() {
    let share = |share: f64| good_but(&[("tech.broken_link_page_ratio", json!(share))]);
    let worse = changed(&share(0.10), &share(0.30));
    assert_eq!(ids(&worse.worse), ["CRW-002"]);
    assert_eq!(worse.worse[0].detail.as_deref(), Some("pages with a broken internal link: 30 %, was 10 %"));
    assert_eq!(ids(&changed(&share(0.30), &share(0.10)).better), ["CRW-002"]);
    assert_eq!(ids(&changed(&share(0.100), &share(0.105)).worse), ["CRW-002"], "what was counted is exact");
    assert_eq!(changed(&share(0.100), &share(0.100)).unchanged, 1);
}

#[test]
fn a_lab_value_that_wavers_is_unchanged() {
    let lcp =
        |lcp: u32| good_but(&[("vitals.lab_lcp_ms", json!(lcp)), ("vitals.lcp_dominant_part", json!("load_time"))]);
    assert_eq!(changed(&lcp(3_000), &lcp(3_400)).unchanged, 1);
    assert_eq!(ids(&changed(&lcp(3_000), &lcp(4_000)).worse), ["EXP-003"]);
}

#[test]
fn what_nobody_looked_at_is_neither_fixed_nor_new() {
    let signals = good_but(&[("serp.brand_position", json!(9))]);
    let with = diagnose(&standard_run(&signals));
    let without = diagnose(&standard_run_without(&signals, &["serp-intelligence"]));
    let gone = diagnose_after(&standard_run_without(&signals, &["serp-intelligence"]), &raw(&with)).what_changed;
    assert_eq!(gone.fixed, Vec::new());
    assert_eq!(unseen(&gone.not_comparable), ["VIS-002"]);
    let because = &gone.not_comparable[0].because;
    assert_eq!(
        because,
        "not checked in the later diagnosis: position for the brand name, home page in the index unknown (SERP & Keyword \
         Intelligence)"
    );
    let back = diagnose_after(&standard_run(&signals), &raw(&without)).what_changed;
    assert_eq!(back.new, Vec::new());
    assert_eq!(unseen(&back.not_comparable), ["VIS-002"]);
}

#[test]
fn what_a_new_cause_hides_is_not_fixed() {
    let before = good_but(&[("tech.title_missing_ratio", json!(0.5))]);
    let after = good_but(&[("tech.title_missing_ratio", json!(0.5)), ("tech.robots_blocks_all", json!(true))]);
    let changed = changed(&before, &after);
    assert_eq!(ids(&changed.new), ["IDX-001"]);
    assert_eq!(changed.fixed, Vec::new());
    assert_eq!(changed.unchanged, 1);
}

#[test]
fn a_workers_own_findings_are_compared_by_severity_and_number_of_places() {
    let run = |findings: Value| [Service::completed("links", &json!({"findings": findings}))];
    let one = |severity: &str, total: u32| json!([{"id": "x", "title": "x", "severity": severity, "evidence": {"total": total, "items": []}}]);
    let after = |before: Value, after: Value| diagnose_after(&run(after), &raw(&diagnose(&run(before)))).what_changed;
    assert_eq!(ids(&after(one("low", 9), one("high", 9)).worse), ["links:x"]);
    assert_eq!(ids(&after(one("low", 9), one("low", 3)).better), ["links:x"]);
    assert_eq!(after(one("low", 100), one("low", 105)).unchanged, 1);
    assert_eq!(ids(&after(one("low", 9), json!([])).fixed), ["links:x"]);
    let failed = [Service::failed("links", "down", Some("connection"))];
    let gone = diagnose_after(&failed, &raw(&diagnose(&run(one("low", 9))))).what_changed;
    assert_eq!(unseen(&gone.not_comparable), ["links:x"]);
    assert_eq!(gone.not_comparable[0].because, "links has no result in the later diagnosis");
}

#[test]
fn a_previous_diagnosis_of_another_shape_is_not_comparable_and_no_error() {
    let services = standard_run(&all_good());
    for (previous, compared_with) in [
        (json!({"schema": "diagnosis/0", "run_id": "old"}), Some("old")),
        (json!({"run_id": "older", "findings": "none"}), Some("older")),
        (json!({"schema": "diagnosis/1", "run_id": "odd", "findings": [{"id": 1}]}), Some("odd")),
        (json!([1, 2]), None),
        (json!(null), None),
    ] {
        let changed = diagnose_after(&services, &raw(&previous)).what_changed;
        assert_eq!(changed.status, ChangeStatus::NotComparable, "{previous}");
        assert_eq!(changed.compared_with.as_deref(), compared_with, "{previous}");
        assert!(changed.reason.is_some());
    }
}

#[test]
fn what_comes_or_goes_at_a_threshold_within_noise_is_neither_new_nor_fixed() {
    let lcp =
        |lcp: u32| good_but(&[("vitals.lab_lcp_ms", json!(lcp)), ("vitals.lcp_dominant_part", json!("load_time"))]);
    let came = changed(&lcp(2_450), &lcp(2_560));
    assert_eq!((ids(&came.within_noise), came.new.len()), (vec!["EXP-003"], 0));
    let went = changed(&lcp(2_560), &lcp(2_450));
    assert_eq!((ids(&went.within_noise), went.fixed.len()), (vec!["EXP-003"], 0));
    assert_eq!(ids(&changed(&lcp(1_500), &lcp(2_560)).new), ["EXP-003"]);
    assert_eq!(ids(&changed(&lcp(3_900), &lcp(2_400)).fixed), ["EXP-003"]);
}

#[test]
fn a_cause_that_turns_into_another_one_by_chance_is_no_change() {
    let part = |part: &str| good_but(&[("vitals.lab_lcp_ms", json!(3_200)), ("vitals.lcp_dominant_part", json!(part))]);
    let turned = changed(&part("ttfb"), &part("load_delay"));
    assert_eq!(ids(&turned.within_noise), ["EXP-002", "EXP-003"]);
    assert!(turned.new.is_empty() && turned.fixed.is_empty());
}

#[test]
fn diagnoses_of_different_sites_are_not_comparable() {
    let then = diagnose(&standard_run(&all_good()));
    for (member, what) in [("website_id", "different websites"), ("domain", "different sites")] {
        let mut other = serde_json::to_value(&then).expect("JSON");
        other[member] = json!("elsewhere");
        let changed = between(&BOOK, raw(&other).get(), raw(&then).get());
        assert_eq!(changed.status, ChangeStatus::NotComparable);
        assert!(changed.reason.as_deref().is_some_and(|reason| reason.contains(what)), "{:?}", changed.reason);
    }
}

#[test]
fn what_other_rules_found_is_not_new_and_not_fixed() {
    let fault = diagnose(&standard_run(&good_but(&[("tech.soft_404", json!(true))])));
    let fine = diagnose(&standard_run(&all_good()));
    let of_other_rules = |diagnosis: &crate::Diagnosis| {
        let mut other = serde_json::to_value(diagnosis).expect("JSON");
        other["rules"]["book"] = json!("0123456789abcdef");
        raw(&other)
    };
    let came = between(&BOOK, of_other_rules(&fine).get(), raw(&fault).get());
    assert_eq!((came.new.len(), unseen(&came.not_comparable)), (0, vec!["IDX-010"]));
    assert_eq!(came.not_comparable[0].because, "the diagnoses were made with different rules");
    // The condition that found it then is the one that does not find it now.
    let went = between(&BOOK, of_other_rules(&fault).get(), raw(&fine).get());
    assert_eq!(ids(&went.fixed), ["IDX-010"]);
    let mut changed_rule = serde_json::to_value(&fault).expect("JSON");
    changed_rule["rules"]["book"] = json!("0123456789abcdef");
    changed_rule["findings"][0]["condition"] = json!("tech.soft_404 != false");
    let both = between(&BOOK, raw(&changed_rule).get(), raw(&fault).get());
    assert_eq!((both.unchanged, unseen(&both.not_comparable)), (0, vec!["IDX-010"]));
}

#[test]
fn a_diagnosis_from_before_values_were_kept_is_compared_as_far_as_it_goes() {
    let lcp = |lcp: u32| {
        let signals = good_but(&[("vitals.lab_lcp_ms", json!(lcp)), ("vitals.lcp_dominant_part", json!("load_time"))]);
        let mut value = serde_json::to_value(diagnose(&standard_run(&signals))).expect("JSON");
        value.as_object_mut().expect("an object").remove("measured");
        value["what_changed"]["not_comparable"] = json!(["OLD-1"]);
        value
    };
    assert_eq!(ids(&between(&BOOK, raw(&lcp(2_450)).get(), raw(&lcp(2_560)).get()).new), ["EXP-003"]);
    let read: crate::Diagnosis = serde_json::from_value(lcp(2_450)).expect("an older shape");
    assert_eq!(unseen(&read.what_changed.not_comparable), ["OLD-1"]);
}
