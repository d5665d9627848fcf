//! Random plans: small graphs with every kind of limit that a run may meet.

use std::sync::Arc;

use hermes_core::Plan;
use hermes_core::plan::{LateResults, PlanSpec, ServiceSpec};
use serde_json::Map;

use super::chance::Chance;

/// Worker keys; each process of workers serves all of them.
pub(super) const KEYS: [&str; 4] = ["one", "two", "three", POISON];
/// The key whose jobs kill the process that executes them.
pub(super) const POISON: &str = "poison";

/// Plans that differ.
pub(super) fn draw(chance: &Chance, count: usize) -> Vec<Arc<Plan>> {
    (0..count).map(|number| Arc::new(plan(chance, number))).collect()
}

fn plan(chance: &Chance, number: usize) -> Plan {
    let max_duration_ms = chance.between(4_000, 90_000);
    let services: Vec<ServiceSpec> =
        (0..chance.between(1, 7)).map(|position| service(chance, position, max_duration_ms)).collect();
    let spec = PlanSpec {
        plan_id: format!("plan-{number}"),
        name: format!("Plan {number}"),
        description: String::new(),
        max_duration_ms,
        late_results: if number.is_multiple_of(2) { LateResults::Amend } else { LateResults::Keep },
        services,
    };
    Plan::try_from(spec).expect("dependencies point backwards and time-outs fit")
}

fn service(chance: &Chance, position: u64, max_duration_ms: u64) -> ServiceSpec {
    let depends_on = (0..position).filter(|_| chance.once_in(3)).map(|target| format!("service-{target}")).collect();
    ServiceSpec {
        service: format!("service-{position}"),
        display_name: None,
        worker_key: (*if chance.once_in(15) { &POISON } else { chance.pick(&KEYS[..3]) }).to_owned(),
        depends_on,
        required: chance.once_in(2),
        timeout_ms: chance.between(300, max_duration_ms / 2),
        max_attempts: u32::try_from(chance.between(1, 4)).expect("few"),
        params: Map::new(),
    }
}
