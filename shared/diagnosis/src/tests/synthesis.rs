//! What a diagnosis says: causes before symptoms, gates, reasons, next steps, what is missing.

use hermes_core::{RunStatus, ServiceStatus};
use serde_json::json;

use super::{
    BOOK, Service, all_good, diagnose, good_but, input, measurement, nothing_there, raw, standard_run,
    standard_run_without,
};
use crate::diagnosis::StepKind;
use crate::{Finding, Input, Severity, SynthesisError, synthesise};

fn finding<'a>(findings: &'a [Finding], id: &str) -> &'a Finding {
    findings.iter().find(|finding| finding.id == id).unwrap_or_else(|| panic!("{id} is a finding"))
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let services = standard_run(&good_but(&[("tech.soft_404", json!(true))]));
    let one = serde_json::to_string(&diagnose(&services)).expect("serialises");
    let two = serde_json::to_string(&diagnose(&services)).expect("serialises");
    assert_eq!(one, two);
}

#[test]
fn a_gate_caps_the_score_and_comes_first() {
    let signals = good_but(&[("tech.home_status", json!(503)), ("serp.brand_position", json!(40))]);
    let diagnosis = diagnose(&standard_run(&signals));
    assert_eq!(diagnosis.score.value, Some(30.0));
    assert_eq!(diagnosis.score.high, 30.0);
    let primary = diagnosis.primary_cause.expect("something is wrong");
    assert_eq!(primary.finding_id, "IDX-003");
    assert_eq!(primary.explains, ["VIS-002"]);
}

#[test]
fn a_symptom_keeps_a_quarter_of_its_priority_and_names_its_cause() {
    let symptom = [("serp.brand_position", json!(40))];
    let alone = diagnose(&standard_run(&good_but(&symptom)));
    let [symptom] = symptom;
    let caused = diagnose(&standard_run(&good_but(&[symptom, ("tech.home_indexable", json!(false))])));
    let (alone, caused) = (finding(&alone.findings, "VIS-002"), finding(&caused.findings, "VIS-002"));
    assert_eq!(caused.caused_by, ["IDX-002"]);
    assert_eq!(caused.priority, alone.priority / 4.0);
    assert!(alone.caused_by.is_empty());
}

#[test]
fn what_means_nothing_beside_its_cause_hangs_at_it_and_is_not_counted() {
    let signals = good_but(&[
        ("tech.robots_blocks_all", json!(true)),
        ("tech.description_missing_ratio", json!(1.0)),
        ("tech.title_missing_ratio", json!(1.0)),
    ]);
    let diagnosis = diagnose(&standard_run(&signals));
    let ids: Vec<&str> = diagnosis.findings.iter().map(|finding| finding.id.as_str()).collect();
    assert_eq!(ids, ["IDX-001"]);
    let hidden: Vec<&str> = diagnosis.findings[0].consequences.iter().map(|hidden| hidden.id.as_str()).collect();
    assert_eq!(hidden, ["CNT-001", "CNT-002"]);
    assert_eq!(diagnosis.rules.fired, ["IDX-001", "CNT-001", "CNT-002"]);
}

#[test]
fn two_causes_of_slowness_exclude_each_other() {
    for (part, expected) in [("ttfb", "EXP-002"), ("load_delay", "EXP-003")] {
        let signals = good_but(&[("vitals.lab_lcp_ms", json!(3200)), ("vitals.lcp_dominant_part", json!(part))]);
        let diagnosis = diagnose(&standard_run(&signals));
        assert_eq!(diagnosis.rules.fired, [expected], "{part}");
    }
}

#[test]
fn a_finding_says_why_with_values_and_thresholds() {
    let signals = good_but(&[
        ("tech.title_missing_ratio", json!(0.031)),
        ("vitals.lab_cls", json!(0.3)),
        ("tech.img_nosize_ratio", json!(0.25)),
    ]);
    let diagnosis = diagnose(&standard_run(&signals));
    assert_eq!(finding(&diagnosis.findings, "CNT-001").why, "pages without a title: 3.1 % (over 2 %)");
    let both = "layout shift (lab): 0.3 (over 0.1) and images without dimensions: 25 % (over 10 %)";
    assert_eq!(finding(&diagnosis.findings, "EXP-005").why, both);
    assert_eq!(finding(&diagnosis.findings, "EXP-005").services, ["technical-seo", "vitals-monitor"]);
}

#[test]
fn priority_is_severity_times_root_of_reach_times_confidence_by_effort() {
    let diagnosis = diagnose(&standard_run(&good_but(&[("tech.broken_link_page_ratio", json!(0.25))])));
    // 100 × 7/10 × √0.25 × 1 / 2
    assert_eq!(diagnosis.findings[0].priority, 17.5);
}

#[test]
fn a_small_sample_lowers_the_confidence_of_a_share_but_not_of_a_fact() {
    let signals = good_but(&[
        ("tech.thin_ratio", json!(0.0)),
        ("tech.description_missing_ratio", json!(0.9)),
        ("tech.soft_404", json!(true)),
    ]);
    let mut services = standard_run(&signals);
    let own = signals.iter().filter(|(id, _)| id.starts_with("tech.")).map(|(id, value)| (id.clone(), value.clone()));
    let mut result = measurement(&own.collect());
    result["coverage"] = json!({"pages_crawled": 50, "pages_known": 4_000});
    services[1] = Service::completed("technical-seo", &result);
    let diagnosis = diagnose(&services);
    assert_eq!(finding(&diagnosis.findings, "CNT-002").confidence, 0.5);
    assert_eq!(finding(&diagnosis.findings, "IDX-010").confidence, 1.0);
}

#[test]
fn a_share_of_nothing_makes_its_rule_not_applicable_and_costs_no_confidence() {
    let signals =
        good_but(&[("tech.canonical_error_ratio", nothing_there()), ("tech.title_missing_ratio", nothing_there())]);
    let diagnosis = diagnose(&standard_run(&signals));
    assert_eq!(diagnosis.confidence, 1.0);
    assert!(diagnosis.rules.not_applicable.contains(&"IDX-006".to_owned()));
    assert!(diagnosis.rules.passed.contains(&"CNT-001".to_owned()), "its other branch was measured");
}

#[test]
fn a_missing_service_says_why_what_it_costs_and_how_to_enable_it() {
    let mut services = standard_run_without(&all_good(), &["serp-intelligence"]);
    services[0].error = Some("Worker config invalid: No API key found".to_owned());
    services[3] = Service {
        status: ServiceStatus::Skipped,
        ..Service::failed("competitive-intelligence", "Dependencies failed or timed out", Some("dependencies"))
    };
    let diagnosis = diagnose(&services);
    let [serp, comp] = diagnosis.missing_services.as_slice() else { panic!("two are missing") };
    assert!(serp.reason.starts_with("Worker config invalid: No API key found. Set SEARXNG_URL"), "{}", serp.reason);
    assert_eq!(serp.error_class.as_deref(), Some("not_configured"));
    assert!(serp.rules_not_evaluated.contains(&"VIS-001".to_owned()));
    assert!(serp.confidence_lost > 0.1);
    assert_eq!(comp.status, ServiceStatus::Skipped);
    assert!(comp.how_to_enable.is_some());
    let enable: Vec<&str> = diagnosis
        .what_to_do_next
        .iter()
        .filter(|step| step.kind == StepKind::Enable)
        .map(|step| step.title.as_str())
        .collect();
    assert_eq!(enable, ["serp-intelligence", "competitive-intelligence"]);
    assert_eq!(diagnosis.services_analyzed, ["technical-seo", "domain-authority", "vitals-monitor"]);
}

#[test]
fn a_reason_that_names_the_settings_is_not_told_twice() {
    let mut services = standard_run_without(&all_good(), &["serp-intelligence"]);
    let error = "no provider of search results is configured: set SEARXNG_URL=http://127.0.0.1:8888";
    services[0].error = Some(error.to_owned());
    let diagnosis = diagnose(&services);
    assert_eq!(diagnosis.missing_services[0].reason, error);
    assert!(diagnosis.missing_services[0].how_to_enable.is_some());
}

#[test]
fn a_service_that_broke_is_not_told_to_be_configured() {
    let mut services = standard_run_without(&all_good(), &["serp-intelligence"]);
    services[0].error_class = Some("server_error".to_owned());
    let diagnosis = diagnose(&services);
    assert_eq!(diagnosis.missing_services[0].how_to_enable, None);
    assert_eq!(diagnosis.missing_services[0].reason, "no provider is configured");
    assert!(diagnosis.what_to_do_next.is_empty());
}

#[test]
fn the_summary_says_what_was_found_and_how_much_of_the_picture_there_is() {
    let good = diagnose(&standard_run(&all_good()));
    assert_eq!(
        good.summary,
        "No problem was found on example.com in what was analysed. All 5 services completed; confidence is 1.00 (high)."
    );
    let signals = good_but(&[("tech.soft_404", json!(true)), ("tech.description_missing_ratio", json!(0.9))]);
    let partial = diagnose(&standard_run_without(&signals, &["serp-intelligence"]));
    assert_eq!(
        partial.summary,
        "example.com has 2 findings, 1 of high severity; look first at: Missing pages answer 200 (soft 404). \
         1 of 5 services is missing (serp-intelligence); confidence is 0.79 (medium)."
    );
}

#[test]
fn a_run_in_which_nothing_completed_is_diagnosed_too() {
    let services = [Service::failed("technical-seo", "it panicked", Some("panic"))];
    let cases = [
        (RunStatus::Failed, "Nothing is known about example.com: no service completed."),
        (RunStatus::Timeout, "Nothing is known about example.com: no service completed by the deadline."),
        (RunStatus::Cancelled, "Nothing is known about example.com: the run was cancelled before a service completed."),
    ];
    for (run_status, summary) in cases {
        let diagnosis = synthesise(&BOOK, &Input { run_status, ..input(&services) }).expect("is a run");
        assert_eq!(diagnosis.summary, summary);
        assert_eq!(diagnosis.confidence, 0.0);
        assert_eq!(diagnosis.score.value, None);
        assert_eq!((diagnosis.score.low, diagnosis.score.high), (0.0, 100.0));
        assert_eq!(diagnosis.primary_cause, None);
    }
    let none = synthesise(&BOOK, &input(&[])).expect("a plan without services is no error here");
    assert_eq!(none.confidence, 0.0);
}

#[test]
fn one_action_for_two_findings_is_one_step() {
    let finding =
        |id: &str, severity: &str| json!({"id": id, "title": id, "severity": severity, "action": "Restart it."});
    let result = json!({"findings": [finding("a", "high"), finding("b", "low")]});
    let diagnosis = diagnose(&[Service::completed("servers", &result)]);
    assert_eq!(diagnosis.what_to_do_next.len(), 1);
    assert_eq!(diagnosis.what_to_do_next[0].finding_ids, ["servers:a", "servers:b"]);
    assert_eq!(diagnosis.what_to_do_next[0].severity, Some(Severity::High));
}

#[test]
fn a_service_named_twice_is_no_run() {
    let services = [Service::completed("a", &json!({})), Service::completed("a", &json!({}))];
    let error = synthesise(&BOOK, &input(&services)).expect_err("is refused");
    assert_eq!(error, SynthesisError::DoubledService { service: "a".to_owned() });
}

#[test]
fn only_what_a_completed_service_answered_is_read() {
    let mut services = standard_run(&good_but(&[("tech.soft_404", json!(true))]));
    services[1].status = ServiceStatus::Timeout;
    let diagnosis = diagnose(&services);
    assert!(diagnosis.findings.is_empty());
    assert_eq!(diagnosis.missing_services[0].status, ServiceStatus::Timeout);
    assert_eq!(raw(&diagnosis).get(), raw(&diagnose(&services)).get());
}

#[test]
fn the_members_that_customers_read_are_filled_from_what_was_measured() {
    let signals = good_but(&[
        ("tech.soft_404", json!(true)),
        ("tech.redirect_loops", json!(2)),
        ("tech.title_missing_ratio", json!(0.5)),
    ]);
    let before = diagnose(&standard_run(&good_but(&[("tech.redirect_loops", json!(2))])));
    let mut services = standard_run_without(&signals, &["serp-intelligence"]);
    services[4] = Service { status: ServiceStatus::Timeout, ..Service::failed("vitals-monitor", "too slow", None) };
    let diagnosis = synthesise(&BOOK, &Input { previous: Some(&raw(&before)), ..input(&services) }).expect("is a run");
    let value = serde_json::to_value(&diagnosis).expect("JSON");
    assert_eq!(value["primary_cause"]["finding_id"], "CRW-004");
    assert_eq!(value["supporting_causes"][0]["finding_id"], "IDX-010");
    assert_eq!(value["supporting_causes"][0]["explains"], json!(["CNT-001"]));
    assert_eq!(value["what_changed"]["new"][0]["id"], "CNT-001");
    assert_eq!(value["what_to_do_next"][0]["finding_ids"], json!(["CRW-004"]));
    assert_eq!(value["missing_services"][0]["service"], "serp-intelligence");
    assert_eq!(value["missing_services"][1]["status"], "timeout");
    let confidence = value["confidence"].as_f64().expect("a number");
    assert!(confidence < before.confidence, "{confidence}");
}
