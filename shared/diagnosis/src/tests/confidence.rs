//! How much a diagnosis is backed, and what each missing service costs.

use serde_json::json;

use super::{BOOK, Service, all_good, diagnose, good_but, measurement, standard_run, standard_run_without};
use crate::ConfidenceLevel;

const SERP: &str = "serp-intelligence";
const TECH: &str = "technical-seo";
const AUTH: &str = "domain-authority";
const COMP: &str = "competitive-intelligence";
const VITALS: &str = "vitals-monitor";

#[test]
fn each_missing_service_costs_its_share_of_the_rules() {
    // Vitals cost a hundredth more than with the rules about browsers alone: four rules of the category of experience read
    // what can be measured over plain HTTP.
    let table: [(&[&str], f64); 9] = [
        (&[], 1.00),
        (&[COMP], 0.90),
        (&[VITALS], 0.88),
        (&[AUTH], 0.89),
        (&[SERP, COMP], 0.74),
        (&[SERP, COMP, AUTH], 0.63),
        (&[SERP, COMP, VITALS], 0.62),
        (&[SERP, COMP, AUTH, VITALS], 0.51),
        (&[TECH], 0.29),
    ];
    for (missing, expected) in table {
        let diagnosis = diagnose(&standard_run_without(&all_good(), missing));
        assert_eq!((diagnosis.confidence * 100.0).round() / 100.0, expected, "without {missing:?}");
    }
}

#[test]
fn what_missing_services_cost_adds_up_to_what_is_lost() {
    let diagnosis = diagnose(&standard_run_without(&all_good(), &[SERP, COMP]));
    let lost: f64 = diagnosis.missing_services.iter().map(|missing| missing.confidence_lost).sum();
    assert!((lost + diagnosis.confidence - 1.0).abs() < 0.001, "{lost} + {}", diagnosis.confidence);
    assert_eq!(diagnosis.confidence_level, ConfidenceLevel::Medium);
}

#[test]
fn without_the_crawl_there_are_findings_but_no_overall_score() {
    let signals = good_but(&[("serp.brand_position", json!(9))]);
    let diagnosis = diagnose(&standard_run_without(&signals, &[TECH]));
    assert_eq!(diagnosis.score.value, None);
    assert_eq!(diagnosis.confidence_level, ConfidenceLevel::Low);
    assert_eq!(diagnosis.findings[0].id, "VIS-002");
    assert!(diagnosis.score.low < 30.0 && diagnosis.score.high > 90.0, "the bounds stay: {:?}", diagnosis.score);
}

#[test]
fn a_doubtful_measurement_backs_less_than_a_sure_one() {
    let mut services = standard_run(&all_good());
    let sure = diagnose(&services).confidence;
    let mut result = measurement(&all_good());
    for signal in result["signals"].as_array_mut().expect("a list") {
        signal["quality"] = json!(0.6);
    }
    services[1] = Service::completed(TECH, &result);
    let doubtful = diagnose(&services).confidence;
    assert!(doubtful < sure, "{doubtful} < {sure}");
}

#[test]
fn a_plan_of_services_that_no_rule_knows_is_as_sure_as_it_is_complete() {
    let mut services = vec![
        Service::completed("billing", &json!({"ok": true})),
        Service::completed("inventory", &json!({"rows": 3})),
        Service::failed("mail", "connection refused", Some("unreachable")),
    ];
    services[2].required = false;
    let diagnosis = diagnose(&services);
    assert_eq!(diagnosis.confidence, 0.8);
    assert_eq!(diagnosis.missing_services[0].confidence_lost, 0.2);
    assert_eq!(diagnosis.score.value, None);
    assert_eq!(diagnosis.rules.not_evaluated, Vec::new());
    assert_eq!(diagnosis.rules.out_of_scope, BOOK.rules().len());
}

#[test]
fn a_mixed_plan_weighs_evidence_and_answers_by_their_services() {
    let mut services = standard_run_without(&all_good(), &[SERP, COMP]);
    services.push(Service::completed("billing", &json!({})));
    let diagnosis = diagnose(&services);
    let evidence = diagnose(&services[..5]).confidence;
    assert!((diagnosis.confidence - (5.0 * evidence + 1.0) / 6.0).abs() < 0.001, "{}", diagnosis.confidence);
    assert!(diagnosis.score.value.is_some());
}

#[test]
fn workers_that_answer_in_a_form_of_their_own_count_as_answers_but_make_no_score() {
    let services: Vec<Service> =
        [SERP, TECH, AUTH, COMP, VITALS].iter().map(|name| Service::completed(name, &json!({"pages": 3}))).collect();
    let diagnosis = diagnose(&services);
    assert_eq!(diagnosis.confidence, 1.0);
    assert_eq!(diagnosis.score.value, None);
    assert_eq!(diagnosis.rules.not_evaluated.len(), BOOK.rules().len());
}

#[test]
fn a_fault_that_is_known_by_one_signal_of_three_is_backed_by_a_third() {
    let known = good_but(&[("vitals.field_lcp_p75_ms", json!(5_000))]);
    let mut third = known.clone();
    third.remove("vitals.field_inp_p75_ms");
    third.remove("vitals.field_cls_p75");
    let lost = diagnose(&standard_run(&known)).confidence - diagnose(&standard_run(&third)).confidence;
    // Experience weighs 0.15, the rule 7 of the 39 of its category.
    assert!((lost - 0.15 * 7.0 / 39.0 * 2.0 / 3.0).abs() < 0.000_1, "{lost}");
}
