use serde_json::{Value, json};

use super::*;
use crate::render::fixtures::plain;

fn finding() -> Value {
    json!({
        "id": "CRW-002", "title": "Internal links lead to missing pages", "severity": "high", "category": "crawl",
        "priority": 24.5, "confidence": 0.95, "reach": 0.5, "effort": "M",
        "action": "Repair the links at their template; redirect removed URLs that have inlinks to the closest equivalent",
        "why": "share of pages with broken links is 7.0 %, more than 5.0 %",
        "evidence": {
            "signals": [],
            "items": [
                {"url": "https://example.com/a", "detail": "links to /gone (404)"},
                {"url": "https://example.com/b\u{1b}[2J", "detail": ""},
                {"url": "https://example.com/c", "detail": ""},
                {"url": "https://example.com/d", "detail": ""},
            ],
            "total": 16,
        },
        "services": ["technical-seo"], "caused_by": [], "origin": "rule", "source": "Ahrefs",
    })
}

fn diagnosis(change: impl FnOnce(&mut Value)) -> Diagnosis {
    let mut value = json!({
        "schema": "diagnosis/1", "run_id": "00000000000000000000000000000001", "website_id": "site_123",
        "domain": "example.com", "plan_id": "standard-v1", "revision": 1, "run_status": "completed",
        "summary": "Internal links lead to missing pages. One service of two is missing.",
        "primary_cause": null, "supporting_causes": [], "findings": [finding()],
        "what_changed": {
            "compared_with": null, "status": "first_diagnosis", "new": [], "fixed": [], "worse": [], "better": [],
            "unchanged": 0, "not_comparable": [],
        },
        "what_to_do_next": [
            {"kind": "fix", "action": "Repair the links at their template", "title": "Broken links",
             "finding_ids": ["CRW-002"], "severity": "high", "effort": "M", "priority": 24.5},
            {"kind": "enable", "action": "set BACKLINK_AUTHORITY_BASE_URL", "title": "Domain Authority",
             "finding_ids": [], "effort": "S", "priority": 12.0},
        ],
        "services_analyzed": ["technical-seo"],
        "missing_services": [{
            "service": "domain-authority", "display_name": "Domain Authority", "status": "failed",
            "error_class": "not_configured", "reason": "Worker config invalid: No API key found", "required": false,
            "rules_not_evaluated": ["AUT-001", "AUT-002"], "confidence_lost": 0.12,
        }],
        "rules": {"fired": ["CRW-002"], "passed": [], "not_applicable": [], "not_evaluated": [], "out_of_scope": 0},
        "confidence": 0.62, "confidence_level": "medium",
        "score": {"value": 71.4, "low": 55.0, "high": 80.2, "categories": []},
        "warnings": [{"code": "crawl_truncated", "service": "technical-seo", "detail": "500 of 1,830 pages were seen"}],
    });
    change(&mut value);
    serde_json::from_value(value).expect("the shape of a diagnosis")
}

#[test]
fn a_diagnosis_says_what_is_wrong_how_it_is_known_what_to_do_and_what_is_missing() {
    let expected = "\
Diagnosis of example.com
Internal links lead to missing pages. One service of two is missing.

  Score       71 of 100, between 55 and 80
  Confidence  medium (0.62 of 1)
  Services    1 of 2: technical-seo

What is wrong (1 finding)
  1. high     Internal links lead to missing pages (CRW-002)
     Why    share of pages with broken links is 7.0 %, more than 5.0 %
     Where  https://example.com/a  links to /gone (404)
            https://example.com/b [2J
            https://example.com/c
            and 13 more
     Do     Repair the links at their template; redirect removed URLs that have
            inlinks to the closest equivalent

What is missing (1 service)
  Domain Authority (failed)
     Why    Worker config invalid: No API key found
     Costs  0.12 of confidence; 2 rules could not be checked

What to do next
  1. Broken links (effort medium): Repair the links at their template
  2. Domain Authority: set BACKLINK_AUTHORITY_BASE_URL

Worth knowing
  - technical-seo: 500 of 1,830 pages were seen

";
    assert_eq!(render(&diagnosis(|_| {}), plain(80)), expected);
}

#[test]
fn nothing_wrong_nothing_missing_is_short() {
    let clean = diagnosis(|value| {
        for list in ["findings", "missing_services", "what_to_do_next", "warnings"] {
            value[list] = json!([]);
        }
        value["score"]["value"] = Value::Null;
        value["summary"] = json!("Nothing that was measured is wrong.");
    });
    let text = render(&clean, plain(80));
    assert!(text.contains("  Score       none, too little was measured; between 55 and 80\n"), "{text}");
    assert!(text.ends_with("\nNothing that was measured is wrong.\n\n"), "{text}");
}

#[test]
fn what_changed_is_told_against_the_last_time() {
    let compared = diagnosis(|value| {
        value["what_changed"] = json!({
            "compared_with": "00000000000000000000000000000000", "status": "compared",
            "new": [{"id": "CRW-002", "title": "Broken links"}], "fixed": [],
            "worse": [{"id": "CNT-001", "title": "Titles are missing", "detail": "3 % to 9 %"}], "better": [],
            "unchanged": 4, "not_comparable": [], "score_before": 75.0, "score_change": -3.6,
        });
    });
    let text = render(&compared, plain(80));
    let expected = "\
What changed since the last time
  Score     -4, it was 75
  New       Broken links (CRW-002)
  Worse     Titles are missing (CNT-001): 3 % to 9 %
  4 findings as before
";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn what_a_site_says_cannot_command_the_terminal() {
    let hostile = "\u{1b}]0;owned\u{7}\u{9b}31m\r\nfake";
    let text = render(
        &diagnosis(|value| {
            for path in [
                "/summary",
                "/domain",
                "/findings/0/title",
                "/findings/0/why",
                "/findings/0/evidence/items/0/detail",
                "/missing_services/0/reason",
                "/missing_services/0/display_name",
                "/what_to_do_next/0/action",
                "/warnings/0/detail",
                "/services_analyzed/0",
            ] {
                *value.pointer_mut(path).expect("it is there") = json!(hostile);
            }
        }),
        plain(80),
    );
    assert!(text.chars().all(|c| !c.is_control() || c == '\n'), "{text:?}");
    assert!(!text.lines().any(|line| line.starts_with("fake")), "{text}");
}

#[test]
fn no_line_is_wider_than_the_layout() {
    for width in [60, 72, 100] {
        for line in render(&diagnosis(|_| {}), plain(width)).lines() {
            assert!(super::super::text::columns(line) <= width, "{width}: {line}");
        }
    }
}
