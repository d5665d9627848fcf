//! What a diagnosis takes: the shipped rules over the results of five services.
//!
//! `cargo bench -p hermes-diagnosis`

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use hermes_core::{RunStatus, ServiceStatus};
use hermes_diagnosis::catalogue::{Kind, SignalSpec};
use hermes_diagnosis::{Input, RuleBook, ServiceOutcome, synthesise};
use serde_json::value::RawValue;
use serde_json::{Value, json};

const SERVICES: [(&str, &str); 5] = [
    ("serp-intelligence", "serp"),
    ("technical-seo", "tech"),
    ("domain-authority", "auth"),
    ("competitive-intelligence", "comp"),
    ("vitals-monitor", "vitals"),
];

/// Results with every signal of the catalogue, everything of full quality.
fn results(book: &RuleBook) -> Vec<Box<RawValue>> {
    let value = |signal: &SignalSpec| match signal.kind {
        Kind::Bool => json!(false),
        Kind::Enum => json!(signal.values[0]),
        Kind::List => json!([]),
        Kind::Int | Kind::Bytes | Kind::Days | Kind::Rank => json!(signal.good.map_or(1.0, f64::round) as u64),
        Kind::Float | Kind::Ratio | Kind::Ms => json!(signal.good.unwrap_or(0.5)),
    };
    let signals = |prefix: &str| -> Vec<Value> {
        let of_service = book.catalogue().signals().filter(|signal| signal.id.split('.').next() == Some(prefix));
        of_service
            .map(|signal| json!({"id": signal.id, "value": value(signal), "method": "crawl", "quality": 1.0}))
            .collect()
    };
    let result = |(_, prefix): &(&str, &str)| {
        json!({
            "schema": "signals/1",
            "status": "ok",
            "provider": {"name": "bench", "version": "1"},
            "coverage": {"pages_crawled": 200, "pages_known": 200},
            "signals": signals(prefix),
        })
    };
    SERVICES.iter().map(result).map(|value| serde_json::value::to_raw_value(&value).expect("JSON")).collect()
}

fn input<'a>(results: &'a [Box<RawValue>]) -> Input<'a> {
    let outcome = |(&(service, _), result): (&(&'static str, &str), &'a RawValue)| ServiceOutcome {
        service,
        display_name: service,
        required: true,
        status: ServiceStatus::Completed,
        error: None,
        error_class: None,
        duration_ms: Some(12),
        is_late: false,
        result: Some(result),
    };
    Input {
        run_id: "00000000000000000000000000000009",
        website_id: "site_123",
        domain: "example.com",
        plan_id: "standard-v1",
        run_status: RunStatus::Completed,
        revision: 1,
        services: SERVICES.iter().zip(results.iter().map(|result| &**result)).map(outcome).collect(),
        previous: None,
    }
}

fn rules(criterion: &mut Criterion) {
    let book = RuleBook::shipped();
    let full = results(&book);
    let noop: Vec<Box<RawValue>> =
        SERVICES.iter().map(|_| serde_json::value::to_raw_value(&json!({"ok": true})).expect("JSON")).collect();
    let mut group = criterion.benchmark_group("synthesise");
    group.bench_function("results with all signals", |bencher| {
        bencher.iter(|| synthesise(black_box(&book), black_box(&input(&full))));
    });
    group.bench_function("results without any signal", |bencher| {
        bencher.iter(|| synthesise(black_box(&book), black_box(&input(&noop))));
    });
    group.bench_function("read the shipped rules", |bencher| bencher.iter(RuleBook::shipped));
    group.finish();
}

criterion_group!(benches, rules);
criterion_main!(benches);
