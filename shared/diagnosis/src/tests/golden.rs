//! One golden case per rule: the signals that make it fire, and those that let it pass.

use serde_json::{Value, json};

use super::{BOOK, Signals, diagnose, standard_run};
use crate::Diagnosis;

/// A rule's id, the least signals that make it fire, and the same signals with values that let it pass.
pub(super) type Case = (&'static str, Value, Value);

pub(super) fn cases() -> Vec<Case> {
    [indexability(), crawl(), content(), experience(), outside()].concat()
}

fn indexability() -> Vec<Case> {
    vec![
        ("IDX-001", json!({"tech.robots_blocks_all": true}), json!({"tech.robots_blocks_all": false})),
        (
            "IDX-002",
            json!({"tech.home_indexable": false, "tech.robots_blocks_all": false}),
            json!({"tech.home_indexable": true, "tech.robots_blocks_all": false}),
        ),
        (
            "IDX-003",
            json!({"tech.home_status": 200, "tech.robots_status": 503}),
            json!({"tech.home_status": 200, "tech.robots_status": 404}),
        ),
        (
            "IDX-004",
            json!({"tech.indexable_ratio": 0.49, "tech.noindex_linked_ratio": 0.31, "tech.robots_blocks_all": false}),
            json!({"tech.indexable_ratio": 0.49, "tech.noindex_linked_ratio": 0.3, "tech.robots_blocks_all": false}),
        ),
        ("IDX-005", json!({"tech.noindex_and_blocked": 1}), json!({"tech.noindex_and_blocked": 0})),
        ("IDX-006", json!({"tech.canonical_error_ratio": 0.021}), json!({"tech.canonical_error_ratio": 0.02})),
        (
            "IDX-007",
            json!({"tech.pages_crawled": 20, "tech.sitemap_found": false}),
            json!({"tech.pages_crawled": 20, "tech.sitemap_found": true}),
        ),
        (
            "IDX-008",
            json!({"tech.sitemap_urls": 9, "tech.sitemap_bad_url_ratio": 0.06}),
            json!({"tech.sitemap_urls": 9, "tech.sitemap_bad_url_ratio": 0.05}),
        ),
        (
            "IDX-009",
            json!({"serp.index_ratio": 0.4, "tech.indexable_ratio": 0.95, "tech.duplicate_content_ratio": 0.1}),
            json!({"serp.index_ratio": 0.5, "tech.indexable_ratio": 0.95, "tech.duplicate_content_ratio": 0.1}),
        ),
        ("IDX-010", json!({"tech.soft_404": true}), json!({"tech.soft_404": false})),
        ("IDX-011", json!({"tech.js_dependent_ratio": 0.6}), json!({"tech.js_dependent_ratio": 0.5})),
        ("IDX-012", json!({"tech.html_over_limit_pages": 1}), json!({"tech.html_over_limit_pages": 0})),
    ]
}

fn crawl() -> Vec<Case> {
    vec![
        ("CRW-001", json!({"tech.status_5xx_ratio": 0.006}), json!({"tech.status_5xx_ratio": 0.005})),
        ("CRW-002", json!({"tech.broken_link_page_ratio": 0.06}), json!({"tech.broken_link_page_ratio": 0.05})),
        (
            "CRW-003",
            json!({"tech.redirect_link_ratio": 0.0, "tech.redirect_chain_max": 3}),
            json!({"tech.redirect_link_ratio": 0.1, "tech.redirect_chain_max": 2}),
        ),
        ("CRW-004", json!({"tech.redirect_loops": 1}), json!({"tech.redirect_loops": 0})),
        (
            "CRW-005",
            json!({"tech.orphan_ratio": 0.2, "tech.depth_gt4_ratio": 0.0}),
            json!({"tech.orphan_ratio": 0.1, "tech.depth_gt4_ratio": 0.4}),
        ),
        ("CRW-006", json!({"tech.blocked_resource_ratio": 0.02}), json!({"tech.blocked_resource_ratio": 0.01})),
        (
            "CRW-007",
            json!({"tech.robots_syntax_errors": 0, "tech.robots_size_bytes": 512_001}),
            json!({"tech.robots_syntax_errors": 0, "tech.robots_size_bytes": 512_000}),
        ),
    ]
}

fn content() -> Vec<Case> {
    vec![
        (
            "CNT-001",
            json!({"tech.title_missing_ratio": 0.03, "tech.title_duplicate_ratio": 0.0}),
            json!({"tech.title_missing_ratio": 0.02, "tech.title_duplicate_ratio": 0.1}),
        ),
        ("CNT-002", json!({"tech.description_missing_ratio": 1}), json!({"tech.description_missing_ratio": 0.5})),
        (
            "CNT-003",
            json!({"serp.title_rewrite_ratio": 0.6, "tech.title_long_ratio": 0.0, "tech.title_duplicate_ratio": 0.06}),
            json!({"serp.title_rewrite_ratio": 0.6, "tech.title_long_ratio": 0.3, "tech.title_duplicate_ratio": 0.05}),
        ),
        ("CNT-004", json!({"tech.duplicate_content_ratio": 0.2}), json!({"tech.duplicate_content_ratio": 0.1})),
        (
            "CNT-005",
            json!({"tech.thin_ratio": 0.5, "serp.top10_ratio": 0.05}),
            json!({"tech.thin_ratio": 0.5, "serp.top10_ratio": 0.1}),
        ),
        ("CNT-006", json!({"serp.cannibalised_ratio": 0.2}), json!({"serp.cannibalised_ratio": 0.15})),
        (
            "CNT-007",
            json!({"tech.structured_data_ratio": 0.05, "comp.schema_gap": 1}),
            json!({"tech.structured_data_ratio": 0.05, "comp.schema_gap": 0}),
        ),
        (
            "CNT-008",
            json!({"tech.structured_data_error_ratio": 0.06}),
            json!({"tech.structured_data_error_ratio": 0.05}),
        ),
        (
            "INT-001",
            json!({"tech.hreflang_pages": 4, "tech.hreflang_error_ratio": 0.06}),
            json!({"tech.hreflang_pages": 4, "tech.hreflang_error_ratio": 0.05}),
        ),
        (
            "INT-002",
            json!({"tech.languages": ["en", "de"], "tech.hreflang_pages": 0}),
            json!({"tech.languages": ["en", "de"], "tech.hreflang_pages": 1}),
        ),
    ]
}

fn experience() -> Vec<Case> {
    vec![
        (
            "EXP-001",
            json!({"vitals.field_lcp_p75_ms": 2000, "vitals.field_inp_p75_ms": 501, "vitals.field_cls_p75": 0.0}),
            json!({"vitals.field_lcp_p75_ms": 4000, "vitals.field_inp_p75_ms": 500, "vitals.field_cls_p75": 0.25}),
        ),
        (
            "EXP-002",
            json!({"vitals.lab_lcp_ms": 2600, "vitals.lcp_dominant_part": "ttfb", "tech.ttfb_p75_ms": 100}),
            json!({"vitals.lab_lcp_ms": 2600, "vitals.lcp_dominant_part": "load_time", "tech.ttfb_p75_ms": 800}),
        ),
        (
            "EXP-003",
            json!({"vitals.lab_lcp_ms": 2600, "vitals.lcp_dominant_part": "load_time", "vitals.lab_ttfb_ms": 800}),
            json!({"vitals.lab_lcp_ms": 2500, "vitals.lcp_dominant_part": "load_time", "vitals.lab_ttfb_ms": 800}),
        ),
        (
            "EXP-004",
            json!({"vitals.lab_tbt_ms": 601, "vitals.js_bytes": 300_001}),
            json!({"vitals.lab_tbt_ms": 600, "vitals.js_bytes": 300_001}),
        ),
        (
            "EXP-005",
            json!({"vitals.lab_cls": 0.11, "tech.img_nosize_ratio": 0.11}),
            json!({"vitals.lab_cls": 0.11, "tech.img_nosize_ratio": 0.1}),
        ),
        ("EXP-006", json!({"tech.viewport_missing_ratio": 0.06}), json!({"tech.viewport_missing_ratio": 0.05})),
        (
            "EXP-007",
            json!({"vitals.http_ttfb_ms": 801, "tech.ttfb_p75_ms": 20}),
            json!({"vitals.http_ttfb_ms": 800, "tech.ttfb_p75_ms": 800}),
        ),
        (
            "EXP-008",
            json!({"vitals.asset_uncompressed_ratio": 0.0, "tech.uncompressed_ratio": 0.21}),
            json!({"vitals.asset_uncompressed_ratio": 0.2, "tech.uncompressed_ratio": 0.2}),
        ),
        ("EXP-009", json!({"vitals.asset_error_ratio": 0.01}), json!({"vitals.asset_error_ratio": 0.0})),
        ("EXP-010", json!({"vitals.asset_uncached_ratio": 0.51}), json!({"vitals.asset_uncached_ratio": 0.5})),
        ("EXP-011", json!({"vitals.template_lcp_ms": 4_001}), json!({"vitals.template_lcp_ms": 4_000})),
    ]
}

/// What is known from outside the site: security, authority, visibility, competition.
fn outside() -> Vec<Case> {
    vec![
        (
            "SEC-001",
            json!({"tech.https": true, "auth.tls_valid": false, "tech.http_redirects_to_https": true}),
            json!({"tech.https": true, "auth.tls_valid": true, "tech.http_redirects_to_https": true}),
        ),
        (
            "SEC-002",
            json!({"auth.tls_expires_days": 60, "auth.domain_expires_days": 29}),
            json!({"auth.tls_expires_days": 7, "auth.domain_expires_days": 30}),
        ),
        (
            "AUT-001",
            json!({"comp.authority_gap": 21, "tech.indexable_ratio": 0.95, "serp.top10_ratio": 0.1}),
            json!({"comp.authority_gap": 20, "tech.indexable_ratio": 0.95, "serp.top10_ratio": 0.1}),
        ),
        (
            "AUT-002",
            json!({"auth.score": 19.5, "auth.domain_age_days": 364}),
            json!({"auth.score": 19.5, "auth.domain_age_days": 365}),
        ),
        ("VIS-001", json!({"serp.striking_ratio": 0.31}), json!({"serp.striking_ratio": 0.3})),
        (
            "VIS-002",
            json!({"serp.brand_position": 4, "serp.home_indexed": true}),
            json!({"serp.brand_position": 3, "serp.home_indexed": true}),
        ),
        ("CMP-001", json!({"comp.content_gap_ratio": 0.61}), json!({"comp.content_gap_ratio": 0.6})),
        (
            "CMP-002",
            json!({"comp.lcp_gap_ms": 1001, "comp.authority_gap": 10, "serp.striking_ratio": 0.11}),
            json!({"comp.lcp_gap_ms": 1000, "comp.authority_gap": 10, "serp.striking_ratio": 0.11}),
        ),
    ]
}

pub(super) fn signals(of: &Value) -> Signals {
    of.as_object().expect("a case is an object").clone().into_iter().collect()
}

fn diagnosis(of: &Signals) -> Diagnosis {
    diagnose(&standard_run(of))
}

fn is_in(ids: &[String], id: &str) -> bool {
    ids.iter().any(|known| known == id)
}

#[test]
fn every_rule_has_a_case_that_names_exactly_what_it_needs() {
    let cases = cases();
    let covered: Vec<&str> = cases.iter().map(|(id, ..)| *id).collect();
    let shipped: Vec<&str> = BOOK.rules().iter().map(|rule| rule.id.as_str()).collect();
    assert_eq!(covered, shipped);
    for (rule, (id, fires, passes)) in BOOK.rules().iter().zip(&cases) {
        for case in [fires, passes] {
            let given: Vec<String> = signals(case).into_keys().collect();
            assert_eq!(given, rule.needs(), "{id}");
        }
    }
}

#[test]
fn every_rule_fires_on_the_least_signals_that_show_its_fault() {
    for (id, fires, _) in cases() {
        let diagnosis = diagnosis(&signals(&fires));
        assert!(is_in(&diagnosis.rules.fired, id), "{id} fires on {fires}");
        let finding = diagnosis.findings.iter().find(|finding| finding.id == id).expect("what fired is a finding");
        assert!(!finding.evidence.signals.is_empty(), "{id} has evidence");
        assert!(finding.why.contains(':'), "{id} says why: {}", finding.why);
        assert!(finding.priority > 0.0, "{id} has a priority");
        assert!(finding.reach.is_some(), "{id} has a reach");
    }
}

#[test]
fn every_rule_passes_at_its_threshold() {
    for (id, _, passes) in cases() {
        let diagnosis = diagnosis(&signals(&passes));
        assert!(is_in(&diagnosis.rules.passed, id), "{id} passes on {passes}");
        assert!(!diagnosis.findings.iter().any(|finding| finding.id == id), "{id} is no finding");
    }
}

#[test]
fn a_rule_that_lacks_a_signal_never_passes() {
    for (id, fires, passes) in cases() {
        for case in [&fires, &passes] {
            for missing in signals(case).keys() {
                let mut known = signals(case);
                known.remove(missing);
                let rules = diagnosis(&known).rules;
                assert!(!is_in(&rules.passed, id), "{id} without {missing}");
                assert!(!is_in(&rules.not_applicable, id), "{id} without {missing}");
                let lacks = rules.not_evaluated.iter().find(|rule| rule.id == id);
                let names_it = lacks.is_some_and(|rule| rule.missing.contains(missing));
                // It may fire without the signal: one branch of an `or` is enough. It never fires on the passing case.
                let fires_anyway = case == &fires && is_in(&rules.fired, id);
                assert!(names_it || fires_anyway || known.is_empty(), "{id} without {missing} is not evaluated");
            }
        }
    }
}

#[test]
fn a_null_value_is_unknown_and_not_zero() {
    for (id, _, passes) in cases() {
        for missing in signals(&passes).keys() {
            let mut known = signals(&passes);
            known.insert(missing.clone(), Value::Null);
            assert!(!is_in(&diagnosis(&known).rules.passed, id), "{id} with {missing} null");
        }
    }
}

#[test]
fn a_rule_about_what_the_site_does_not_have_is_not_applicable() {
    let cases = [
        ("IDX-007", json!({"tech.pages_crawled": 19})),
        ("IDX-008", json!({"tech.sitemap_urls": 0})),
        ("INT-001", json!({"tech.hreflang_pages": 0})),
        ("INT-002", json!({"tech.languages": ["en"]})),
        ("EXP-003", json!({"vitals.lcp_dominant_part": "ttfb"})),
    ];
    for (id, known) in cases {
        assert!(is_in(&diagnosis(&signals(&known)).rules.not_applicable, id), "{id}");
    }
}
