//! What holds whatever was measured.

use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

use super::{
    BOOK, STANDARD, Service, Signals, diagnose, diagnose_after, measurement, nothing_there, raw, standard_run,
    standard_run_of_quality,
};
use crate::catalogue::{Better, Kind, SignalSpec};
use crate::diff::{ChangeStatus, NotComparable, between};

fn config() -> ProptestConfig {
    ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() }
}

/// A value of the signal's type, often near its control points, where things change.
fn value_of(spec: &SignalSpec) -> BoxedStrategy<Value> {
    let values = spec.values.clone();
    let (good, poor) = (spec.good.unwrap_or(0.0), spec.poor.unwrap_or(1_000.0));
    match spec.kind {
        Kind::Bool => any::<bool>().prop_map(Value::from).boxed(),
        Kind::Enum => select(values).prop_map(Value::from).boxed(),
        Kind::List => select(vec![json!([]), json!(["en"]), json!(["en", "de"])]).boxed(),
        Kind::Ratio => {
            prop_oneof![0.0..=1.0, select(vec![0.0, good, poor.min(1.0), 1.0])].prop_map(Value::from).boxed()
        }
        Kind::Int | Kind::Bytes | Kind::Days | Kind::Rank => {
            prop_oneof![Just(0), Just(1), 0_i64..600, 0_i64..2_000_000].prop_map(Value::from).boxed()
        }
        Kind::Float | Kind::Ms => {
            let span = 3.0 * good.abs().max(poor.abs());
            prop_oneof![0.0..=span, select(vec![0.0, good, poor])].prop_map(Value::from).boxed()
        }
    }
}

/// Any part of the catalogue, with any values.
fn signals() -> impl Strategy<Value = Signals> {
    let one = |spec: &SignalSpec| {
        let id = spec.id.clone();
        // So rules with one signal and with three are both decided, and both undecided, often enough.
        let value = prop_oneof![19 => value_of(spec), 1 => Just(nothing_there())];
        proptest::option::weighted(0.8, value).prop_map(move |value| value.map(|value| (id.clone(), value)))
    };
    let all: Vec<_> = BOOK.catalogue().signals().map(one).collect();
    all.prop_map(|all| all.into_iter().flatten().collect())
}

/// The value moved the bad way by a part of its range; `None` where no way is bad.
fn worse(spec: &SignalSpec, value: &Value, by: f64) -> Option<Value> {
    let moved = |sign: f64| {
        let value = value.as_f64().expect("a directed signal that is not a truth is a number");
        let range = spec.good.unwrap_or(0.0).abs().max(spec.poor.unwrap_or(0.0).abs()).max(1.0);
        let moved = value + sign * by * range;
        match spec.kind {
            Kind::Ratio => Value::from(moved.clamp(0.0, 1.0)),
            Kind::Float | Kind::Ms => Value::from(moved.max(0.0)),
            Kind::Int | Kind::Bytes | Kind::Days | Kind::Rank | Kind::Bool | Kind::Enum | Kind::List => {
                Value::from(if sign > 0.0 { moved.ceil() } else { moved.floor() }.max(0.0))
            }
        }
    };
    match spec.better {
        Better::Lower => Some(moved(1.0)),
        Better::Higher => Some(moved(-1.0)),
        Better::True => Some(json!(false)),
        Better::False => Some(json!(true)),
        Better::None => None,
    }
}

/// A quality that differs from signal to signal.
fn some_quality(id: &str) -> f64 {
    f64::from(id.bytes().fold(0_u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte))) / 255.0
}

/// [`worse`] for a signal of the shipped catalogue.
pub(super) fn worse_value(id: &str, value: &Value, by: f64) -> Option<Value> {
    worse(BOOK.catalogue().signal(id).expect("in the catalogue"), value, by)
}

fn failed(services: &[Service], which: usize) -> Vec<Service> {
    let mut services = services.to_vec();
    services[which] = Service::failed(&services[which].name, "refused", Some("auth"));
    services
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_worse_value_never_raises_a_score(signals in signals(), which: Index, by in 0.01..2.0_f64) {
        prop_assume!(!signals.is_empty());
        let id = signals.keys().nth(which.index(signals.len())).expect("within").clone();
        let spec = BOOK.catalogue().signal(&id).expect("in the catalogue");
        prop_assume!(signals[&id] != nothing_there());
        let Some(value) = worse(spec, &signals[&id], by) else { return Ok(()) };
        let mut changed = signals.clone();
        changed.insert(id.clone(), value.clone());
        let before = diagnose(&standard_run(&signals)).score;
        let after = diagnose(&standard_run(&changed)).score;
        // A value that is bad enough decides a rule that lacks another one, which may be what the evidence for a score lacked.
        if let (Some(before), Some(after)) = (before.value, after.value) {
            prop_assert!(after <= before, "{} {} -> {}: {} {}", id, signals[&id], value, before, after);
        }
        prop_assert!(after.low <= before.low && after.high <= before.high, "{}: {:?} {:?}", id, before, after);
        for (before, after) in before.categories.iter().zip(&after.categories) {
            if let (Some(score_before), Some(score_after)) = (before.score, after.score) {
                prop_assert!(score_after <= score_before, "{}: {:?} {:?}", id, before, after);
            }
        }
    }

    #[test]
    fn the_order_of_signals_does_not_matter(signals in signals(), seed in any::<u64>()) {
        let services = standard_run(&signals);
        let mut shuffled = services.clone();
        for (service, (_, prefix)) in shuffled.iter_mut().zip(STANDARD) {
            let own: Signals = signals.iter().filter(|(id, _)| id.starts_with(&format!("{prefix}."))).map(|(id, value)| (id.clone(), value.clone())).collect();
            let mut result = measurement(&own);
            let list = result["signals"].as_array_mut().expect("a list");
            list.sort_by_key(|signal| signal["id"].as_str().expect("an id").bytes().fold(seed, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte)).rotate_left(7)));
            *service = Service::completed(&service.name, &result);
        }
        prop_assert_eq!(serde_json::to_string(&diagnose(&services))?, serde_json::to_string(&diagnose(&shuffled))?);
    }

    #[test]
    fn the_order_of_services_changes_no_figure(signals in signals(), turn in 1..5_usize) {
        let services = standard_run_of_quality(&signals, some_quality);
        let mut turned = services.clone();
        turned.rotate_left(turn);
        let (one, other) = (diagnose(&services), diagnose(&turned));
        prop_assert_eq!((&one.findings, &one.score, one.confidence), (&other.findings, &other.score, other.confidence));
        prop_assert_eq!((&one.rules, &one.measured), (&other.rules, &other.measured));
    }

    #[test]
    fn a_value_of_null_is_as_unknown_as_no_value(signals in signals(), which: Index) {
        prop_assume!(!signals.is_empty());
        let id = signals.keys().nth(which.index(signals.len())).expect("within").clone();
        let (mut absent, mut null) = (signals.clone(), signals);
        absent.remove(&id);
        null.insert(id, Value::Null);
        let bytes = |signals| serde_json::to_string(&diagnose(&standard_run(signals)));
        prop_assert_eq!(bytes(&absent)?, bytes(&null)?);
    }

    #[test]
    fn a_result_that_says_everything_twice_says_no_more(signals in signals()) {
        let once = standard_run_of_quality(&signals, some_quality);
        let mut twice = once.clone();
        for service in &mut twice {
            let mut result: Value = serde_json::from_str(service.result.as_ref().expect("completed").get())?;
            let list = result["signals"].as_array_mut().expect("a list");
            list.extend(list.clone());
            *service = Service::completed(&service.name, &result);
        }
        let (once, mut twice) = (diagnose(&once), diagnose(&twice));
        twice.warnings.retain(|warning| warning.code != "doubled_signals");
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn what_is_new_one_way_is_fixed_the_other_way(one in signals(), other in signals()) {
        let (one, other) = (raw(&diagnose(&standard_run(&one))), raw(&diagnose(&standard_run(&other))));
        let there = between(&BOOK, one.get(), other.get());
        let back = between(&BOOK, other.get(), one.get());
        prop_assert_eq!((&there.new, &there.fixed), (&back.fixed, &back.new));
        prop_assert_eq!((&there.within_noise, there.unchanged), (&back.within_noise, back.unchanged));
        let ids = |list: &[NotComparable]| list.iter().map(|one| one.id.clone()).collect::<Vec<_>>();
        prop_assert_eq!(ids(&there.not_comparable), ids(&back.not_comparable));
    }

    #[test]
    fn nothing_changes_from_a_diagnosis_to_the_same_diagnosis(signals in signals()) {
        let services = standard_run(&signals);
        let first = diagnose(&services);
        prop_assert_eq!(first.what_changed.status, ChangeStatus::FirstDiagnosis);
        let second = diagnose_after(&services, &raw(&first));
        prop_assert_eq!(second.what_changed.status, ChangeStatus::Compared);
        prop_assert!(second.what_changed.new.is_empty() && second.what_changed.fixed.is_empty());
        prop_assert!(second.what_changed.worse.is_empty() && second.what_changed.better.is_empty());
        prop_assert!(second.what_changed.not_comparable.is_empty());
        prop_assert_eq!(second.what_changed.unchanged, first.rules.fired.len());
        prop_assert_eq!(&second.findings, &first.findings);
    }

    #[test]
    fn a_service_that_fails_never_makes_a_diagnosis_surer_or_hides_what_others_found(signals in signals(), which in 0..5_usize) {
        let services = standard_run_of_quality(&signals, some_quality);
        let with = diagnose(&services);
        let without = diagnose(&failed(&services, which));
        let prefix = format!("{}.", STANDARD[which].1);
        prop_assert!(without.confidence <= with.confidence);
        prop_assert!(without.score.low <= with.score.low, "{:?} {:?}", with.score, without.score);
        prop_assert!(without.score.high >= with.score.high, "{:?} {:?}", with.score, without.score);
        for finding in &with.findings {
            let rule = BOOK.rule(&finding.id).expect("a rule's finding");
            let stays = without.rules.fired.contains(&finding.id);
            let draws_on_it = rule.needs().iter().any(|id| id.starts_with(&prefix));
            let is_open = without.rules.not_evaluated.iter().any(|open| open.id == finding.id);
            prop_assert!(stays || (draws_on_it && is_open), "{}", finding.id);
        }
    }

    #[test]
    fn one_more_signal_never_makes_a_diagnosis_less_sure(signals in signals(), which: Index) {
        prop_assume!(!signals.is_empty());
        let mut fewer = signals.clone();
        let id = signals.keys().nth(which.index(signals.len())).expect("within");
        fewer.remove(id);
        let run = |signals| diagnose(&standard_run_of_quality(signals, some_quality));
        let (with, without) = (run(&signals), run(&fewer));
        prop_assert!(without.confidence <= with.confidence, "{}: {} {}", id, with.confidence, without.confidence);
        prop_assert!(without.score.low <= with.score.low && without.score.high >= with.score.high, "{}", id);
    }

    #[test]
    fn every_figure_keeps_its_bounds_and_findings_their_order(signals in signals()) {
        let diagnosis = diagnose(&standard_run(&signals));
        prop_assert!((0.0..=1.0).contains(&diagnosis.confidence));
        let score = &diagnosis.score;
        prop_assert!(0.0 <= score.low && score.low <= score.high && score.high <= 100.0);
        prop_assert!(score.value.is_none_or(|value| score.low <= value && value <= score.high), "{:?}", score);
        for finding in &diagnosis.findings {
            prop_assert!((0.0..=100.0).contains(&finding.priority) && (0.0..=1.0).contains(&finding.confidence));
            prop_assert!(!finding.evidence.signals.is_empty(), "{} has evidence", finding.id);
        }
        prop_assert!(diagnosis.findings.is_sorted_by(|a, b| a.priority >= b.priority));
        let outcomes = &diagnosis.rules;
        let all = outcomes.fired.len() + outcomes.passed.len() + outcomes.not_applicable.len() + outcomes.not_evaluated.len();
        prop_assert_eq!(all, BOOK.rules().len());
        prop_assert_eq!(serde_json::from_str::<crate::Diagnosis>(&serde_json::to_string(&diagnosis)?)?, diagnosis);
    }

    #[test]
    fn no_answer_of_a_worker_makes_the_diagnosis_fail(answer in any_json(), previous in any_json()) {
        for answer in [answer.clone(), json!({"findings": answer}), json!({"findings": [answer], "signals": [answer]})] {
            let services = [Service::completed("odd", &answer), Service::completed("technical-seo", &answer)];
            let diagnosis = diagnose_after(&services, &raw(&previous));
            prop_assert_eq!(&diagnosis.services_analyzed, &["odd", "technical-seo"]);
        }
    }
}

/// JSON that looks a little like results.
fn any_json() -> impl Strategy<Value = Value> {
    let word = select(vec![
        "id",
        "title",
        "severity",
        "value",
        "schema",
        "signals/1",
        "tech.https",
        "quality",
        "",
        "\u{202e}",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 5, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::hash_map(word.clone().prop_map(str::to_owned), inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}
