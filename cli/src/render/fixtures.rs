//! Runs for the tests of what is shown.

use serde_json::{Value, json};

use super::Layout;
use crate::client::{RunView, ServiceView};

pub(crate) const fn plain(width: usize) -> Layout {
    Layout { width, colour: false }
}

fn view(status: &str, completed_at: Option<&str>, services: &[Value]) -> RunView {
    let of = |wanted: &str| services.iter().filter(|service| service["status"] == wanted).count();
    let id = "00000000000000000000000000000001";
    let value = json!({
        "success": true, "run_id": id, "status": status, "revision": 1,
        "created_at": "2025-01-27T10:00:00.000Z", "deadline_at": "2025-01-27T10:05:00.000Z",
        "summary": {
            "runId": id, "websiteId": "site_123", "domain": "example.com", "planId": "standard-v1", "status": status,
            "startedAt": "2025-01-27T10:00:00.000Z", "completedAt": completed_at,
            "durationMs": completed_at.map(|_| 150_000), "servicesCompleted": of("completed"),
            "servicesFailed": of("failed"), "servicesTimeout": of("timeout"), "servicesSkipped": of("skipped"),
            "servicesTotal": services.len(), "diagnosisEventId": null, "error": null,
        },
        "services": services,
    });
    serde_json::from_value(value).expect("the shape of the API")
}

/// A service as the API shows it; `rest` replaces and adds members.
fn service(name: &str, display_name: &str, status: &str, rest: &Value) -> Value {
    let mut value = json!({
        "service": name, "display_name": display_name, "worker_key": "k", "required": true, "status": status,
        "attempt": 1, "max_attempts": 3, "duration_ms": null, "error": null, "error_class": null, "caused_by": null,
        "waiting": null,
    });
    for (key, member) in rest.as_object().expect("an object") {
        value[key] = member.clone();
    }
    value
}

const NAMES: [(&str, &str); 5] = [
    ("serp-intelligence", "SERP & Keyword Intelligence"),
    ("technical-seo", "Technical SEO"),
    ("domain-authority", "Domain Authority"),
    ("competitive-intelligence", "Competitive Intelligence"),
    ("vitals-monitor", "Core Web Vitals"),
];

fn all(states: [(&str, Value); 5]) -> Vec<Value> {
    NAMES.iter().zip(states).map(|((name, shown), (status, rest))| service(name, shown, status, &rest)).collect()
}

pub(crate) fn run_under_way() -> RunView {
    let retry = json!({"for": "retry", "at": "2025-01-27T10:00:30.000Z"});
    let worker = json!({"for": "worker", "worker_key": "competitive_snapshot", "since": null});
    let states = [
        ("completed", json!({"duration_ms": 45_000})),
        ("running", json!({"waiting": {"for": "result", "worker": "w", "by_callback": false}})),
        ("pending", json!({"waiting": retry, "error": "503 from the provider, which is busy"})),
        ("queued", json!({"waiting": worker})),
        ("pending", json!({"attempt": 0, "waiting": {"for": "dependencies", "services": ["technical-seo"]}})),
    ];
    view("running", None, &all(states))
}

pub(crate) fn settled_run() -> RunView {
    let no_key = "Worker config invalid: No API key found";
    let states = [
        ("failed", json!({"duration_ms": 0, "error": no_key, "error_class": "not_configured"})),
        ("completed", json!({"duration_ms": 42_000})),
        ("timeout", json!({"duration_ms": 30_000, "error": "no answer within 30000 ms", "error_class": "timeout"})),
        (
            "skipped",
            json!({"attempt": 0, "error": "Dependencies failed or timed out", "caused_by": "serp-intelligence"}),
        ),
        ("completed", json!({"duration_ms": 1_234})),
    ];
    view("completed", Some("2025-01-27T10:02:30.000Z"), &all(states))
}

#[test]
fn the_fixtures_have_the_shape_of_the_api() {
    let services: Vec<ServiceView> = settled_run().services;
    assert_eq!(services.len(), run_under_way().services.len());
}
