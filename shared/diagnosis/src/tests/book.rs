//! The rule book: what is shipped, and what is refused.

use super::{BOOK, all_good, all_poor, diagnose, standard_run};
use crate::RuleBook;

fn is_send_and_sync<T: Send + Sync>() {}

#[test]
fn the_shipped_rules_have_no_problem() {
    let rules = include_str!("../../rules/rules.yaml");
    let signals = include_str!("../../rules/signals.yaml");
    if let Err(problems) = RuleBook::parse(rules, signals) {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        panic!("{}", lines.join("\n"));
    }
    is_send_and_sync::<RuleBook>();
    assert_eq!(BOOK.rules().len(), 43);
    assert_eq!(BOOK.catalogue().signals().count(), 112);
}

#[test]
fn nothing_fires_where_every_signal_is_good() {
    let diagnosis = diagnose(&standard_run(&all_good()));
    assert_eq!(diagnosis.rules.fired, Vec::<String>::new());
    assert_eq!(diagnosis.rules.not_evaluated, Vec::new());
    // Not 100: the samples of milliseconds stand at the control point that scores 0.9.
    assert_eq!(diagnosis.score.value, Some(99.2));
    assert_eq!((diagnosis.score.low, diagnosis.score.high), (99.2, 99.2));
    assert_eq!(diagnosis.confidence, 1.0);
}

#[test]
fn nearly_everything_fires_where_every_signal_is_poor() {
    let diagnosis = diagnose(&standard_run(&all_poor()));
    // The others need a pattern in which something is good.
    assert_eq!(diagnosis.rules.fired.len(), 34);
    assert!(diagnosis.score.value.expect("is scored") <= 30.0);
}
