//! A diagnosis as it is made: from measured signals, by the shipped rules.

use std::sync::LazyLock;

use hermes_core::{RunStatus, ServiceStatus, Timestamp};
use hermes_diagnosis::catalogue::{Better, Kind, SignalSpec};
use hermes_diagnosis::{Diagnosis, Input, RuleBook, ServiceOutcome, synthesise};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use crate::{HistoryPoint, Report};

pub(super) static BOOK: LazyLock<RuleBook> = LazyLock::new(RuleBook::shipped);

/// Two services that answered and three that did not.
pub(super) fn diagnosis(title_of_a_page: &str) -> Diagnosis {
    let signal = |id: &str, value: Value| {
        let item = |n: u32| json!({"url": format!("https://example.com/shop/{n}"), "detail": title_of_a_page});
        let items: Vec<Value> = (1..=5).map(item).collect();
        json!({
            "id": id, "value": value, "method": "crawl", "quality": 0.95,
            "evidence": {"total": 1_234, "items": items},
        })
    };
    let crawl = json!({
        "schema": "signals/1", "status": "ok", "provider": {"name": "builtin-crawler", "version": "0.1.0"},
        "coverage": {"pages_crawled": 500, "pages_known": 1830},
        "signals": ([fine("tech."), vec![
            signal("tech.broken_link_page_ratio", json!(0.31)),
            signal("tech.title_missing_ratio", json!(0.03)), signal("tech.title_duplicate_ratio", json!(0.4)),
            signal("tech.duplicate_content_ratio", json!(0.22)),
            signal("tech.soft_404", json!(true)), signal("tech.ttfb_p75_ms", json!(1300)),
        ]].concat()),
        "findings": [{
            "id": "own", "title": title_of_a_page, "severity": "high", "detail": title_of_a_page,
            "action": title_of_a_page, "evidence": [title_of_a_page, "javascript:alert(1)"],
        }],
        "warnings": [{"code": "crawl_truncated", "detail": title_of_a_page}],
    });
    let vitals = json!({
        "schema": "signals/1", "status": "ok", "provider": {"name": "chromium", "version": "156"},
        "signals": ([fine("vitals."), vec![
            signal("vitals.lab_lcp_ms", json!(4200)), signal("vitals.lcp_dominant_part", json!("ttfb")),
            signal("vitals.http_ttfb_ms", json!(1400)),
        ]].concat()),
    });
    let (crawl, vitals) = (to_raw_value(&crawl).expect("JSON"), to_raw_value(&vitals).expect("JSON"));
    let services = vec![
        absent("serp-intelligence", title_of_a_page, "No provider is configured"),
        completed("technical-seo", "Technical SEO", &crawl),
        absent("domain-authority", "Domain Authority", "No provider is configured"),
        completed("vitals-monitor", "Core Web Vitals", &vitals),
    ];
    synthesise(&BOOK, &input(services)).expect("is a run")
}

/// What nothing below complains about, for the signals of a service; a value of more trust goes before it.
fn fine(prefix: &str) -> Vec<Value> {
    let value = |spec: &SignalSpec| match (spec.kind, spec.better) {
        (Kind::Bool, better) => json!(better != Better::False),
        (Kind::Ratio, Better::Higher) => json!(1.0),
        (Kind::Ratio | Kind::Float | Kind::Ms, _) => json!(0.0),
        (Kind::Enum, _) => json!(spec.values[0]),
        (Kind::List, _) => json!(["en"]),
        (Kind::Int | Kind::Bytes | Kind::Days | Kind::Rank, _) => json!(0),
    };
    let own = BOOK.catalogue().signals().filter(|spec| spec.id.starts_with(prefix));
    own.map(|spec| json!({"id": spec.id, "value": value(spec), "method": "crawl", "quality": 0.9})).collect()
}

/// The gate stands, and hides what the crawl found.
pub(super) fn gated() -> Diagnosis {
    let signals: Vec<Value> = [
        ("tech.robots_blocks_all", json!(true)),
        ("tech.soft_404", json!(true)),
        ("tech.title_missing_ratio", json!(0.5)),
    ]
    .into_iter()
    .map(|(id, value)| json!({"id": id, "value": value, "method": "crawl", "quality": 1.0}))
    .collect();
    let result = to_raw_value(&json!({"schema": "signals/1", "signals": signals})).expect("JSON");
    let services = vec![completed("technical-seo", "Technical SEO", &result)];
    synthesise(&BOOK, &input(services)).expect("is a run")
}

fn input(services: Vec<ServiceOutcome<'_>>) -> Input<'_> {
    Input {
        run_id: "00000000000000000000000000000001",
        website_id: "site_1",
        domain: "example.com",
        plan_id: "standard-v1",
        run_status: RunStatus::Completed,
        revision: 1,
        services,
        previous: None,
    }
}

fn completed<'a>(service: &'a str, display_name: &'a str, result: &'a RawValue) -> ServiceOutcome<'a> {
    ServiceOutcome {
        service,
        display_name,
        required: true,
        status: ServiceStatus::Completed,
        error: None,
        error_class: None,
        duration_ms: Some(40_000),
        is_late: false,
        result: Some(result),
    }
}

fn absent<'a>(service: &'a str, display_name: &'a str, error: &'a str) -> ServiceOutcome<'a> {
    ServiceOutcome {
        service,
        display_name,
        required: true,
        status: ServiceStatus::Failed,
        error: Some(error),
        error_class: Some("not_configured"),
        duration_ms: Some(1),
        is_late: false,
        result: None,
    }
}

pub(super) fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

/// Four runs, one of them without a score.
pub(super) fn history() -> Vec<HistoryPoint> {
    let point = |day: u32, score: Option<f64>, low: f64, high: f64| HistoryPoint {
        run_id: format!("{day:032}"),
        made_at: at(&format!("2026-11-{day:02}T07:00:00.000Z")),
        score,
        low,
        high,
        confidence: 0.7,
    };
    vec![
        point(2, Some(48.0), 30.0, 74.0),
        point(9, Some(55.4), 38.0, 80.0),
        point(16, None, 10.0, 95.0),
        point(23, Some(61.0), 45.0, 85.0),
    ]
}

pub(super) fn report<'a>(diagnosis: &'a Diagnosis, history: &'a [HistoryPoint]) -> Report<'a> {
    Report { diagnosis, made_at: at("2026-11-23T07:00:00.000Z"), history, book: &BOOK }
}
