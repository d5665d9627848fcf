//! What a plan may be, and what is said about one that is not.

use proptest::prelude::*;

use super::{LateResults, Plan, PlanError, PlanHash, PlanProblem, PlanSpec, ServiceSpec};
use crate::limits::{PLAN_DEPENDENCIES_MAX, PLAN_SERVICES_MAX};

const GOOD: &str = "
plan_id: custom-v1
name: Custom Run
description: Custom service combination
max_duration_ms: 180000
services:
  - service: serp-intelligence
    display_name: SERP
    worker_key: serp_intel
    timeout_ms: 60000
  - service: competitive-intelligence
    worker_key: competitive_snapshot
    depends_on: [serp-intelligence]
    required: false
    timeout_ms: 60000
    max_attempts: 1
    params: {depth: 2}
";

fn spec(services: Vec<ServiceSpec>) -> PlanSpec {
    PlanSpec {
        plan_id: "p".to_owned(),
        name: "P".to_owned(),
        description: String::new(),
        max_duration_ms: 60_000,
        late_results: LateResults::Keep,
        services,
    }
}

fn service(name: &str, depends_on: &[&str]) -> ServiceSpec {
    ServiceSpec {
        service: name.to_owned(),
        display_name: None,
        worker_key: "k".to_owned(),
        depends_on: depends_on.iter().map(|name| (*name).to_owned()).collect(),
        required: true,
        timeout_ms: 1_000,
        max_attempts: 1,
        params: serde_json::Map::new(),
    }
}

fn problems(spec: PlanSpec) -> Vec<String> {
    match Plan::try_from(spec) {
        Err(PlanError::Invalid(problems)) => problems.iter().map(PlanProblem::to_string).collect(),
        other => panic!("expected problems, got {other:?}"),
    }
}

#[test]
fn a_good_plan_is_read_with_its_defaults() {
    let plan = Plan::from_yaml(GOOD).expect("good");
    let [serp, competitive] = plan.services() else { panic!("two services") };
    assert_eq!((plan.name(), plan.description()), ("Custom Run", "Custom service combination"));
    assert_eq!((serp.required(), serp.max_attempts(), serp.depends_on()), (true, 3, &[][..]));
    assert!(!competitive.required());
    assert_eq!(competitive.display_name(), "competitive-intelligence");
    assert_eq!(competitive.depends_on(), [0]);
    assert_eq!(competitive.params().get(), r#"{"depth":2}"#);
}

#[test]
fn a_plan_with_two_problems_names_both() {
    let error = Plan::try_from(spec(vec![service("a", &["x"]), service("b", &["y"])])).expect_err("two problems");
    let PlanError::Invalid(problems) = &error else { panic!("expected problems, got {error:?}") };
    let [first, second] = &problems[..] else { panic!("expected two problems, got {problems:?}") };
    assert_eq!(error.to_string(), format!("{first}; {second}"));
}

#[test]
fn the_names_of_the_original_system_are_read_as_well() {
    let text = r#"{"planId":"custom-v1","name":"Custom Run","maxRunDurationMs":180000,"services":[
        {"service":"new-service","displayName":"New Service","workerKey":"new_worker","dependsOn":[],"required":true,
         "timeoutMs":60000}]}"#;
    let plan = Plan::from_yaml(text).expect("JSON is YAML, camelCase is accepted");
    assert_eq!(plan.services()[0].worker_key().as_str(), "new_worker");
}

#[test]
fn a_frozen_plan_thaws_to_itself() {
    let plan = Plan::from_yaml(GOOD).expect("good");
    assert_eq!(Plan::thaw(plan.frozen(), plan.hash().as_str()).expect("its own hash"), plan);
}

#[test]
fn a_plan_that_was_frozen_before_a_default_was_written_out_keeps_its_text_and_hash() {
    let today = Plan::from_yaml(GOOD).expect("good");
    let earlier = today.frozen().replace(r#","max_attempts":3"#, "");
    assert_ne!(earlier, today.frozen());
    let hash = PlanHash::of(&earlier).to_string();
    let thawed = Plan::thaw(&earlier, &hash).expect("its own hash");
    assert_eq!((thawed.frozen(), thawed.hash().as_str()), (earlier.as_str(), hash.as_str()));
    assert_eq!(thawed.services(), today.services());
}

#[test]
fn a_hash_is_written_as_its_digits_and_padded_like_text() {
    let hash = PlanHash::of("");
    let of_nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!((hash.to_string(), format!("{hash:>66}")), (of_nothing.to_owned(), format!("  {of_nothing}")));
}

#[test]
fn a_frozen_plan_that_was_touched_is_refused() {
    let plan = Plan::from_yaml(GOOD).expect("good");
    let touched = plan.frozen().replace("60000", "60001");
    assert!(matches!(Plan::thaw(&touched, plan.hash().as_str()), Err(PlanError::HashMismatch(_))));
}

#[test]
fn the_hash_is_of_the_content_not_of_the_spelling() {
    let spelled = GOOD.replace("display_name: SERP", "displayName: \"SERP\"").replace("{depth: 2}", "{\"depth\": 2}");
    let (one, two) = (Plan::from_yaml(GOOD).expect("good"), Plan::from_yaml(&spelled).expect("good"));
    assert_eq!(one.hash(), two.hash());
    let changed = Plan::from_yaml(&GOOD.replace("depth: 2", "depth: 3")).expect("good");
    assert_ne!(one.hash(), changed.hash());
}

#[test]
fn an_unknown_member_is_refused_with_its_place() {
    let error = Plan::from_yaml(&GOOD.replace("required: false", "requierd: false")).expect_err("misspelt");
    let text = error.to_string();
    assert!(text.contains("requierd") && text.contains("line"), "{text}");
}

#[test]
fn a_cycle_is_printed_as_its_path() {
    let found =
        problems(spec(vec![service("a", &["c"]), service("b", &["a"]), service("c", &["b"]), service("d", &["a"])]));
    assert_eq!(found, ["services: depend on each other in a cycle: a → c → b → a"]);
}

#[test]
fn a_cycle_is_found_although_one_of_it_waits_for_a_service_outside_first() {
    let services = [service("z", &[]), service("c", &["y", "d"]), service("d", &["c"]), service("y", &["z"])];
    assert_eq!(problems(spec(services.to_vec())), ["services: depend on each other in a cycle: c → d → c"]);
}

#[test]
fn each_of_two_cycles_is_printed_once() {
    let found = problems(spec(vec![
        service("lead-in", &["a"]),
        service("a", &["b"]),
        service("b", &["a"]),
        service("x", &["y"]),
        service("y", &["x"]),
    ]));
    assert_eq!(
        found,
        [
            "services: depend on each other in a cycle: a → b → a",
            "services: depend on each other in a cycle: x → y → x"
        ]
    );
}

#[test]
fn a_service_that_depends_on_itself_is_no_cycle_but_its_own_problem() {
    assert_eq!(problems(spec(vec![service("a", &["a"])])), ["services[0].depends_on[0]: 'a' depends on itself"]);
}

#[test]
fn unknown_and_repeated_dependencies_are_named_with_their_place() {
    assert_eq!(
        problems(spec(vec![service("a", &[]), service("b", &["a", "x", "a"])])),
        ["services[1].depends_on[1]: 'x' is no service of this plan", "services[1].depends_on[2]: 'a' is listed twice"]
    );
}

#[test]
fn a_doubled_service_is_named_with_both_places() {
    assert_eq!(
        problems(spec(vec![service("a", &[]), service("a", &[])])),
        ["services[1].service: 'a' is already the name of services[0]"]
    );
}

#[test]
fn an_empty_plan_is_refused() {
    assert_eq!(problems(spec(vec![])), ["services: is empty; a plan needs at least one service"]);
}

#[test]
fn a_time_out_longer_than_the_run_is_refused_and_the_reserve_explained() {
    let mut long = service("a", &[]);
    long.timeout_ms = 58_001;
    assert_eq!(
        problems(spec(vec![long])),
        [
            "services[0].timeout_ms: is 58001, longer than the run: of max_duration_ms 60000, 58000 are for services and \
          the rest for synthesis"
        ]
    );
}

#[test]
fn every_problem_is_reported_not_the_first_one_only() {
    let mut broken = service("a b", &["x"]);
    broken.timeout_ms = 1;
    broken.max_attempts = 0;
    broken.worker_key = String::new();
    let mut spec = spec(vec![broken, service("hermes", &[])]);
    spec.plan_id = "p p".to_owned();
    spec.name = " ".to_owned();
    spec.max_duration_ms = 1;
    let found = problems(spec);
    let places: Vec<&str> = found.iter().map(|text| text.split(':').next().expect("a place")).collect();
    assert_eq!(
        places,
        [
            "plan_id",
            "name",
            "max_duration_ms",
            "services[0].service",
            "services[0].worker_key",
            "services[0].timeout_ms",
            "services[0].max_attempts",
            "services[1].service",
            "services[1].timeout_ms",
            "services[0].depends_on[0]",
        ]
    );
}

#[test]
fn as_many_services_and_dependencies_as_the_limits_say_are_accepted_and_one_more_is_not() {
    let wide = |count: usize| spec((0..count).map(|n| service(&format!("s{n}"), &[])).collect());
    assert!(Plan::try_from(wide(PLAN_SERVICES_MAX)).is_ok());
    assert_eq!(problems(wide(PLAN_SERVICES_MAX + 1)), ["services: has 1025 services, at most 1024 are allowed"]);

    let dense = |edges: usize| {
        let mut left = edges;
        let names: Vec<String> = (0..200).map(|n| format!("s{n}")).collect();
        let services = (0..200).map(|n| {
            let count = left.min(n);
            left -= count;
            service(&names[n], &names[..count].iter().map(String::as_str).collect::<Vec<_>>())
        });
        spec(services.collect())
    };
    assert!(Plan::try_from(dense(PLAN_DEPENDENCIES_MAX)).is_ok());
    assert_eq!(
        problems(dense(PLAN_DEPENDENCIES_MAX + 1)),
        ["services: have 8193 dependencies in all, at most 8192 are allowed"]
    );
}

#[test]
fn parameters_beyond_their_limit_are_refused() {
    let mut fat = service("a", &[]);
    fat.params.insert("x".to_owned(), "y".repeat(20_000).into());
    assert!(problems(spec(vec![fat]))[0].starts_with("services[0].params: has 20008 bytes"));
}

#[test]
fn a_chain_of_the_greatest_length_in_the_worst_order_is_valid() {
    let services = (0..PLAN_SERVICES_MAX).map(|n| {
        let next = format!("s{}", n + 1);
        let depends_on: Vec<&str> = if n + 1 < PLAN_SERVICES_MAX { vec![&next] } else { vec![] };
        service(&format!("s{n}"), &depends_on)
    });
    assert!(Plan::try_from(spec(services.collect())).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_is_accepted_exactly_if_its_services_can_be_put_in_an_order(
        edges in prop::collection::vec((0_usize..7, 0_usize..7), 0..12)
    ) {
        let names: Vec<String> = (0..7).map(|n| format!("s{n}")).collect();
        let mut targets = vec![std::collections::BTreeSet::new(); 7];
        for (from, to) in edges {
            targets[from].insert(to);
        }
        let services = names.iter().enumerate().map(|(n, name)| {
            service(name, &targets[n].iter().map(|to| names[*to].as_str()).collect::<Vec<_>>())
        });
        let accepted = Plan::try_from(spec(services.collect())).is_ok();
        // The oracle takes away, seven times over, whatever depends on nothing that is left.
        let mut left: std::collections::BTreeSet<usize> = (0..7).collect();
        for _ in 0..7 {
            let open: Vec<usize> = left.iter().copied().filter(|n| targets[*n].is_disjoint(&left)).collect();
            left.retain(|n| !open.contains(n));
        }
        prop_assert_eq!(accepted, left.is_empty());
    }

    #[test]
    fn no_text_makes_the_reader_of_plans_panic(text in "\\PC{0,200}") {
        drop(Plan::from_yaml(&text));
    }
}
