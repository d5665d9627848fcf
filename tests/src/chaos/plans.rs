//! The plans that run under faults: a dependency, a diamond, a chain.

use std::time::Duration;

use serde_json::{Value, json};

/// Worker keys of the services, each an external HTTP worker.
pub const KEYS: [&str; 5] = ["chaos_alpha", "chaos_beta", "chaos_gamma", "chaos_delta", "chaos_epsilon"];

/// The variables with which a worker-runner finds the services at `base`.
#[must_use]
pub fn variables(base: &str) -> Vec<(String, String)> {
    let of = |key: &str| {
        let key = key.to_uppercase();
        [(format!("{key}_BASE_URL"), base.to_owned()), (format!("{key}_API_KEY"), "key-of-the-test".to_owned())]
    };
    KEYS.iter().flat_map(|key| of(key)).collect()
}

/// Ids of the plans.
pub const PLANS: [&str; 3] = ["chaos-standard", "chaos-diamond", "chaos-chain"];

/// How long a service and a run may take, so that a job survives the end of a lease and a run that is hit badly still
/// ends soon.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// One attempt.
    pub service: Duration,
    /// The run.
    pub run: Duration,
}

impl Limits {
    /// The limits that go with a lease.
    #[must_use]
    pub fn of(lease: Duration) -> Self {
        let service = lease * 3 + Duration::from_secs(3);
        Self { service, run: service * 5 }
    }
}

/// The plans as the API takes them.
#[must_use]
pub fn plans(limits: Limits) -> Vec<Value> {
    let [a, b, c, d, e] = KEYS;
    let shapes: [&[(&str, &[&str])]; 3] = [
        &[(a, &[]), (b, &[]), (c, &[]), (d, &[a]), (e, &[])],
        &[(a, &[]), (b, &[a]), (c, &[a]), (d, &[b, c])],
        &[(a, &[]), (b, &[a]), (c, &[b])],
    ];
    PLANS.iter().zip(shapes).map(|(id, services)| plan(id, services, limits)).collect()
}

fn plan(id: &str, services: &[(&str, &[&str])], limits: Limits) -> Value {
    let named = |key: &str| format!("service-{}", key.replace('_', "-"));
    let services: Vec<Value> = services
        .iter()
        .map(|(key, needs)| {
            json!({
                "service": named(key), "worker_key": key, "timeout_ms": limits.service.as_millis() as u64,
                "depends_on": needs.iter().map(|key| named(key)).collect::<Vec<_>>(), "max_attempts": 3,
            })
        })
        .collect();
    json!({ "plan_id": id, "name": id, "max_duration_ms": limits.run.as_millis() as u64, "services": services })
}
