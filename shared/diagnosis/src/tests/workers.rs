//! Results of workers that others wrote.

use serde_json::{Value, json};

use super::{Service, diagnose};
use crate::finding::Origin;
use crate::limits::{EVIDENCE_ITEMS_MAX, FOREIGN_FINDINGS_MAX, TITLE_BYTES_MAX};
use crate::{Diagnosis, Effort, Severity};

fn of(result: &Value) -> Diagnosis {
    diagnose(&[Service::completed("stock-audit", result)])
}

fn codes(diagnosis: &Diagnosis) -> Vec<&str> {
    diagnosis.warnings.iter().map(|warning| warning.code.as_str()).collect()
}

#[test]
fn a_workers_findings_are_taken_over() {
    let diagnosis = of(&json!({"findings": [{
        "id": "low-stock",
        "title": "Stock is low",
        "severity": "critical",
        "detail": "3 articles are sold out",
        "action": "Order them.",
        "effort": "S",
        "evidence": {"total": 3, "items": [{"url": "https://example.com/a", "detail": "0 left"}]},
    }]}));
    let [finding] = diagnosis.findings.as_slice() else { panic!("one finding") };
    assert_eq!(finding.id, "stock-audit:low-stock");
    assert_eq!((finding.severity, finding.effort), (Severity::Critical, Effort::S));
    assert_eq!((finding.why.as_str(), finding.action.as_str()), ("3 articles are sold out", "Order them."));
    assert_eq!((finding.evidence.total, finding.evidence.items.len()), (3, 1));
    assert_eq!((finding.origin, finding.category.as_str()), (Origin::Service, "service"));
    assert_eq!(finding.services, ["stock-audit"]);
    assert_eq!(diagnosis.primary_cause.expect("a cause").finding_id, "stock-audit:low-stock");
    assert_eq!(diagnosis.confidence, 1.0);
}

#[test]
fn the_envelope_of_the_worker_contract_is_opened() {
    let diagnosis = of(&json!({"ok": true, "service": "x", "data": {"findings": [{"title": "Inside"}]}}));
    assert_eq!(diagnosis.findings[0].id, "stock-audit:inside");
    assert_eq!(diagnosis.findings[0].severity, Severity::Medium);
}

#[test]
fn evidence_may_be_a_text_or_a_list() {
    let of_evidence =
        |evidence: Value| of(&json!({"findings": [{"title": "x", "evidence": evidence}]})).findings[0].evidence.clone();
    assert_eq!(of_evidence(json!("seen in the log")).items[0].detail, "seen in the log");
    assert_eq!(of_evidence(json!(["https://example.com/a", "b"])).items[0].url, "https://example.com/a");
    assert_eq!(of_evidence(json!({"url": "https://example.com/b"})).total, 1);
    assert_eq!(of_evidence(json!(7)).total, 0);
    let many = of_evidence(Value::from((0..50).map(|n| n.to_string()).collect::<Vec<_>>()));
    assert_eq!((many.items.len(), many.total), (EVIDENCE_ITEMS_MAX, 50));
}

#[test]
fn foreign_text_is_cleaned_and_cut() {
    let diagnosis =
        of(&json!({"findings": [{"title": format!("\u{202e}evil\u{1b}[31m {}", "x".repeat(9_999)), "id": "a\nb"}]}));
    let finding = &diagnosis.findings[0];
    assert!(finding.title.starts_with("evil [31m x") && finding.title.len() <= TITLE_BYTES_MAX, "{}", finding.title);
    assert_eq!(finding.id, "stock-audit:a b");
}

#[test]
fn findings_of_the_same_id_stay_apart() {
    let diagnosis = of(&json!({"findings": [{"title": "Same"}, {"title": "Same"}]}));
    let ids: Vec<&str> = diagnosis.findings.iter().map(|finding| finding.id.as_str()).collect();
    assert_eq!(ids, ["stock-audit:same", "stock-audit:same-2"]);
}

#[test]
fn findings_of_the_same_priority_severity_and_effort_stand_by_id() {
    let result = json!({"findings": [{"title": "Same"}]});
    let diagnosis = diagnose(&[Service::completed("beta", &result), Service::completed("alpha", &result)]);
    let ids: Vec<&str> = diagnosis.findings.iter().map(|finding| finding.id.as_str()).collect();
    assert_eq!(ids, ["alpha:same", "beta:same"]);
}

#[test]
fn too_many_findings_are_cut_and_told() {
    let many: Vec<Value> = (0..FOREIGN_FINDINGS_MAX + 5).map(|n| json!({"title": format!("number {n}")})).collect();
    let diagnosis = of(&json!({"findings": many}));
    assert_eq!(diagnosis.findings.len(), FOREIGN_FINDINGS_MAX);
    assert_eq!(codes(&diagnosis), ["too_many_findings"]);
}

#[test]
fn rubbish_counts_as_analysed_with_a_warning() {
    for rubbish in [json!(null), json!("text"), json!([1]), json!(7)] {
        let diagnosis = of(&rubbish);
        assert_eq!(diagnosis.services_analyzed, ["stock-audit"]);
        assert_eq!(codes(&diagnosis), ["unusable_result"], "{rubbish}");
    }
    let diagnosis = of(&json!({"findings": [7, {"severity": "high"}], "signals": {"not": "a list"}}));
    assert_eq!(codes(&diagnosis), ["unusable_findings"]);
}

#[test]
fn a_signal_that_nobody_knows_or_that_has_another_type_is_ignored_with_a_warning() {
    let signal = |id: &str, value: Value| json!({"id": id, "value": value});
    let diagnosis = of(&json!({"signals": [
        signal("tech.soft_404", json!("yes")),
        signal("weather.rain", json!(true)),
        signal("tech.redirect_loops", json!(2)),
    ]}));
    assert_eq!(codes(&diagnosis), ["unknown_signals", "unusable_signals"]);
    assert_eq!(diagnosis.rules.fired, ["CRW-004"]);
    assert_eq!(diagnosis.findings[0].services, ["stock-audit"]);
}

#[test]
fn of_two_values_for_one_signal_the_owners_counts() {
    let signal = |loops: u32, quality: f64| json!({"signals": [{"id": "tech.redirect_loops", "value": loops, "quality": quality}]});
    let owner = Service::completed("technical-seo", &signal(0, 0.4));
    let other = Service::completed("a-second-opinion", &signal(5, 1.0));
    for services in [[owner.clone(), other.clone()], [other, owner]] {
        let diagnosis = diagnose(&services);
        assert!(diagnosis.rules.passed.contains(&"CRW-004".to_owned()));
        assert_eq!(codes(&diagnosis), ["doubled_signals"]);
    }
}

#[test]
fn a_workers_warnings_are_passed_on() {
    let diagnosis = of(&json!({"warnings": [{"code": "crawl_truncated", "detail": "page budget"}, "plain text"]}));
    assert_eq!(codes(&diagnosis), ["crawl_truncated", "worker_warning"]);
    assert_eq!(diagnosis.warnings[0].service.as_deref(), Some("stock-audit"));
    assert_eq!(diagnosis.warnings[1].detail, "plain text");
}

#[test]
fn hostile_results_are_bounded_in_all() {
    let item = |n: usize| json!({"url": format!("https://example.com/{n}/{}", "a".repeat(3_000)), "detail": "b".repeat(3_000)});
    let items: Vec<Value> = (0..30).map(item).collect();
    let mut findings = vec![json!({"title": "x", "severity": "critical", "evidence": items}); 3];
    findings.extend(vec![json!({"title": "y".repeat(900), "detail": "z".repeat(900)}); 50]);
    let result = json!({"findings": findings});
    let services: Vec<Service> = (0..10).map(|n| Service::completed(&format!("worker-{n}"), &result)).collect();
    let diagnosis = diagnose(&services);
    assert!(serde_json::to_string(&diagnosis).expect("serialises").len() < 1_000_000);
    assert_eq!(codes(&diagnosis), ["too_many_findings", "evidence_cut"]);
    assert_eq!(diagnosis.findings[0].evidence.total, 30);
}
