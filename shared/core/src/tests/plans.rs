//! Frozen plans: what a run carries is what was accepted.

use proptest::prelude::*;
use serde_json::{Map, json};

use crate::plan::{LateResults, PlanSpec, ServiceSpec};
use crate::{Plan, PlanError};

/// Valid plans: service `sN` depends on some of those before it.
fn specs() -> impl Strategy<Value = PlanSpec> {
    let service = (any::<u8>(), prop::option::of("\\PC{0,20}"), any::<bool>(), 100_u64..900, 1_u32..=10, any::<i64>());
    let services = prop::collection::vec(service, 1..8).prop_map(|rows| {
        let specs = rows.into_iter().enumerate().map(|(position, row)| {
            let (bits, display_name, required, timeout_ms, max_attempts, depth) = row;
            let before = (0..position).filter(|earlier| bits & (1 << earlier) != 0);
            ServiceSpec {
                service: format!("s{position}"),
                display_name,
                worker_key: format!("key{}", bits % 3),
                depends_on: before.map(|earlier| format!("s{earlier}")).collect(),
                required,
                timeout_ms,
                max_attempts,
                params: if depth > 0 { Map::from_iter([("depth".to_owned(), json!(depth))]) } else { Map::new() },
            }
        });
        specs.collect::<Vec<_>>()
    });
    let late_results = prop_oneof![Just(LateResults::Keep), Just(LateResults::Amend)];
    let duration = 1_000_u64..=86_400_000;
    ("[A-Za-z0-9._-]{1,20}", "[a-z]\\PC{0,20}", any::<String>(), duration, late_results, services).prop_map(
        |(plan_id, name, description, max_duration_ms, late_results, services)| PlanSpec {
            plan_id,
            name,
            description,
            max_duration_ms,
            late_results,
            services,
        },
    )
}

fn plan(spec: &PlanSpec) -> Plan {
    Plan::try_from(spec.clone()).expect("valid")
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_frozen_plan_thaws_to_the_same_plan(spec in specs()) {
        let plan = plan(&spec);
        prop_assert_eq!(Plan::thaw(plan.frozen(), plan.hash().as_str()), Ok(plan.clone()));
        let read: PlanSpec = serde_json::from_str(plan.frozen()).expect("reads");
        prop_assert_eq!(read, spec);
    }

    #[test]
    fn a_frozen_plan_is_a_plan_that_people_could_have_written(spec in specs()) {
        let plan = plan(&spec);
        prop_assert_eq!(Plan::from_yaml(plan.frozen()), Ok(plan));
    }

    #[test]
    fn any_change_of_content_changes_the_hash(spec in specs(), which in 0_usize..10) {
        let mut changed = spec.clone();
        let first = &mut changed.services[0];
        match which {
            0 => changed.plan_id.push('x'),
            1 => changed.name.push('x'),
            2 => changed.description.push('x'),
            3 => changed.max_duration_ms = if spec.max_duration_ms == 5_000 { 5_001 } else { 5_000 },
            4 => first.display_name = Some(format!("{}x", first.display_name.clone().unwrap_or_default())),
            5 => first.worker_key.push('x'),
            6 => first.required = !first.required,
            7 => first.timeout_ms = if first.timeout_ms == 500 { 501 } else { 500 },
            8 => first.max_attempts = first.max_attempts % 10 + 1,
            _ => drop(first.params.insert("x".to_owned(), json!(1))),
        }
        let (before, after) = (plan(&spec), plan(&changed));
        prop_assert_ne!(before.hash(), after.hash());
    }

    #[test]
    fn a_plan_under_another_hash_is_not_thawed(spec in specs(), other in specs()) {
        let (plan, other) = (plan(&spec), plan(&other));
        prop_assume!(plan.hash() != other.hash());
        let thawed = Plan::thaw(plan.frozen(), other.hash().as_str());
        prop_assert_eq!(thawed, Err(PlanError::HashMismatch(other.hash().clone())));
    }

    #[test]
    fn every_service_is_found_at_its_position_and_depends_on_positions_of_its_dependencies(spec in specs()) {
        let plan = plan(&spec);
        for (position, (service, written)) in plan.services().iter().zip(&spec.services).enumerate() {
            prop_assert_eq!(plan.position(service.name()), Some(position));
            let names: Vec<&str> =
                service.depends_on().iter().map(|&target| plan.services()[target].name().as_str()).collect();
            prop_assert_eq!(names, written.depends_on.iter().map(String::as_str).collect::<Vec<_>>());
        }
        prop_assert_eq!(plan.position(&"no-such-service".parse().expect("valid")), None);
    }
}

fn smallest() -> PlanSpec {
    serde_json::from_value(json!({
        "plan_id": "p", "name": "P", "max_duration_ms": 60_000,
        "services": [{"service": "a", "worker_key": "k", "timeout_ms": 1_000}],
    }))
    .expect("valid")
}

/// Where the only problem of a plan lies; `None` for a valid plan.
fn place(change: impl FnOnce(&mut PlanSpec)) -> Option<String> {
    let mut spec = smallest();
    change(&mut spec);
    match Plan::try_from(spec) {
        Ok(_) => None,
        Err(PlanError::Invalid(problems)) if problems.len() == 1 => Some(problems[0].path.clone()),
        Err(error) => panic!("one problem at most, not: {error}"),
    }
}

#[test]
fn every_number_of_a_plan_is_accepted_at_its_limits_and_refused_beyond_them() {
    let duration = |ms| place(|spec| spec.max_duration_ms = ms);
    assert_eq!(duration(86_400_000), None);
    assert_eq!(duration(86_400_001).as_deref(), Some("max_duration_ms"));
    let short = |ms, timeout_ms| place(|spec| (spec.max_duration_ms, spec.services[0].timeout_ms) = (ms, timeout_ms));
    assert_eq!(short(1_000, 900), None, "all that the reserve leaves");
    assert_eq!(short(1_000, 901).as_deref(), Some("services[0].timeout_ms"));
    assert_eq!(short(999, 100).as_deref(), Some("max_duration_ms"));
    let timeout = |ms| place(|spec| spec.services[0].timeout_ms = ms);
    assert_eq!((timeout(100), timeout(58_000)), (None, None));
    for ms in [0, 99, 58_001, u64::MAX] {
        assert_eq!(timeout(ms).as_deref(), Some("services[0].timeout_ms"), "{ms}");
    }
    let attempts = |count| place(|spec| spec.services[0].max_attempts = count);
    assert_eq!((attempts(1), attempts(10)), (None, None));
    for count in [0, 11, u32::MAX] {
        assert_eq!(attempts(count).as_deref(), Some("services[0].max_attempts"), "{count}");
    }
}

#[test]
fn every_text_of_a_plan_is_accepted_at_its_limit_and_refused_beyond_it() {
    let text = |bytes: usize| "x".repeat(bytes);
    assert_eq!(place(|spec| spec.plan_id = text(128)), None);
    assert_eq!(place(|spec| spec.plan_id = text(129)).as_deref(), Some("plan_id"));
    assert_eq!(place(|spec| spec.name = text(1_024)), None);
    assert_eq!(place(|spec| spec.name = text(1_025)).as_deref(), Some("name"));
    assert_eq!(place(|spec| spec.description = text(1_024)), None);
    assert_eq!(place(|spec| spec.description = text(1_025)).as_deref(), Some("description"));
    assert_eq!(place(|spec| spec.services[0].service = text(128)), None);
    assert_eq!(place(|spec| spec.services[0].service = text(129)).as_deref(), Some("services[0].service"));
    assert_eq!(place(|spec| spec.services[0].worker_key = text(128)), None);
    assert_eq!(place(|spec| spec.services[0].worker_key = text(129)).as_deref(), Some("services[0].worker_key"));
    let display = |bytes| place(|spec| spec.services[0].display_name = Some(text(bytes)));
    assert_eq!(display(1_024), None);
    assert_eq!(display(1_025).as_deref(), Some("services[0].display_name"));
    // Eight bytes are the braces, the quotes, the colon and the key itself.
    let params =
        |bytes: usize| place(|spec| drop(spec.services[0].params.insert("x".to_owned(), text(bytes - 8).into())));
    assert_eq!(params(16 * 1_024), None);
    assert_eq!(params(16 * 1_024 + 1).as_deref(), Some("services[0].params"));
}

#[test]
fn a_frozen_plan_writes_its_defaults_out() {
    let frozen: serde_json::Value = serde_json::from_str(plan(&smallest()).frozen()).expect("JSON");
    let service = json!({
        "service": "a", "worker_key": "k", "depends_on": [], "required": true, "timeout_ms": 1_000, "max_attempts": 3,
    });
    let expected =
        json!({"plan_id": "p", "name": "P", "description": "", "max_duration_ms": 60_000, "services": [service]});
    assert_eq!(frozen, expected);
}
