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
    assert_eq!(BOOK.rules().len(), 48);
    assert_eq!(BOOK.catalogue().signals().count(), 151);
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
    assert_eq!(diagnosis.rules.fired.len(), 39);
    assert!(diagnosis.score.value.expect("is scored") <= 30.0);
}

const SIGNALS: &str = "
schema: catalogue/1
services:
  - {prefix: tech, service: technical-seo, display_name: Technical SEO}
signals:
  - {id: tech.loops, name: loops, type: int, better: lower, good: 0, poor: 3, needs: none}
  - {id: tech.kind, name: kind, type: enum, better: none, values: [a, b], needs: none}
";

fn rules(rules: &str) -> String {
    format!("schema: rules/1\ncategories:\n  - {{id: crawl, name: Crawling, weight: 1}}\nrules:\n{rules}")
}

fn rule(id: &str, rest: &str) -> String {
    let head = "category: crawl, severity: high, effort: S, title: t, action: a, source: s, reach: '1.0'";
    format!("  - {{id: {id}, {head}, {rest}}}\n")
}

fn problems(rules_yaml: &str, signals_yaml: &str) -> Vec<String> {
    RuleBook::parse(rules_yaml, signals_yaml)
        .expect_err("is refused")
        .iter()
        .map(|problem| format!("{}: {}", problem.place, problem.message))
        .collect()
}

#[test]
fn a_small_book_is_accepted() {
    let book = RuleBook::parse(&rules(&rule("A", "when: tech.loops > 1")), SIGNALS).expect("is right");
    assert_eq!(book.rules()[0].needs(), ["tech.loops"]);
}

#[test]
fn every_problem_of_a_book_is_told_and_not_only_the_first() {
    let yaml = rules(
        &[
            rule("A", "when: tech.unheard_of > 1"),
            rule("A", "when: tech.loops > 1"),
            rule("B", "when: 'tech.loops >'"),
            rule("C", "when: tech.loops + 1"),
            rule("D", "when: tech.loops < 1"),
            rule("E", "when: tech.loops > 1, explains: [F], suppresses: [Z]"),
            rule("F", "when: tech.loops > 1, explains: [E], gate: 101"),
            rule("G", "when: tech.loops > 1, applies_if: tech.loops > 0, evidence: [tech.none]"),
            rule("H", "when: tech.loops > 1, surprise: 1"),
            rule("I", "when: tech.loops > 1.5 && tech.kind > 3"),
        ]
        .concat(),
    );
    let found = problems(&yaml, SIGNALS);
    for expected in [
        "A: when: reads 'tech.unheard_of', which is not in the catalogue",
        "C: when: gives a int where true or false is due",
        "D: fires although every signal is good; compare with values beyond `good` of the catalogue",
        "E: explains itself: E -> F -> E",
        "E: suppresses 'Z', which is no rule",
        "F: a gate is a score, 0 to 100",
        "G: applies_if: 'tech.loops' must be a signal with `better: none`",
        "G: evidence 'tech.none' is not in the catalogue",
    ] {
        assert!(found.iter().any(|problem| problem == expected), "{expected}\nin\n{}", found.join("\n"));
    }
    for expected in ["B: when: ", "H: unknown field `surprise`", "I: when: "] {
        assert!(found.iter().any(|problem| problem.starts_with(expected)), "{expected}\nin\n{}", found.join("\n"));
    }
}

#[test]
fn an_id_stands_in_a_book_once() {
    let twice = [rule("A", "when: tech.loops > 1"), rule("A", "when: tech.loops > 2")].concat();
    assert_eq!(problems(&rules(&twice), SIGNALS), ["A: this id stands in the file twice"]);
}

#[test]
fn a_catalogue_that_contradicts_itself_is_refused() {
    let signals = "
schema: catalogue/2
services:
  - {prefix: tech, service: technical-seo, display_name: Technical SEO}
  - {prefix: tech, service: other, display_name: Other}
signals:
  - {id: tech.loops, name: loops, type: int, better: higher, good: 0, poor: 3, needs: none}
  - {id: tech.flag, name: flag, type: bool, better: lower, needs: none}
  - {id: tech.kind, name: kind, type: enum, better: none, needs: none}
  - {id: elsewhere.x, name: x, type: int, better: none, needs: none}
  - {id: nodot, name: x, type: int, better: none, needs: none}
  - {id: tech.typo, name: x, type: number, better: none, needs: none}
";
    let found = problems(&rules(""), signals).join("\n");
    for expected in [
        "signals: schema is 'catalogue/2', expected 'catalogue/1'",
        "other: this prefix or service stands in the catalogue twice",
        "tech.loops: control points good 0 and poor 3 contradict 'better'",
        "tech.flag: 'better' does not fit the type",
        "tech.kind: exactly an enum names its values",
        "elsewhere.x: no service has the prefix 'elsewhere'",
        "nodot: an id is a prefix, a dot and a name",
        "tech.typo: unknown variant `number`",
    ] {
        assert!(found.contains(expected), "{expected}\nin\n{found}");
    }
}

#[test]
fn a_file_that_is_no_yaml_is_told_with_its_place() {
    let found = problems("rules: [", SIGNALS).join("\n");
    assert!(found.starts_with("rules: not readable: ") && found.contains("line"), "{found}");
}

#[test]
fn a_problem_says_its_line_and_the_signal_that_was_meant() {
    let yaml = format!(
        "{}  - id: B\n    title: t\n    category: crawl\n    severity: high\n    effort: S\n    gate: 101\n    when: >-\n      tech.lops > 1\n    \
         reach: '1.0'\n    evidence: [tech.none]\n    action: a\n    source: s\n",
        rules(&rule("A", "when: tech.loops > 1"))
    );
    let told: Vec<String> =
        RuleBook::parse(&yaml, SIGNALS).expect_err("is refused").iter().map(ToString::to_string).collect();
    for expected in [
        "line 12: B: when: reads 'tech.lops', which is not in the catalogue; did you mean 'tech.loops'?",
        "line 11: B: a gate is a score, 0 to 100",
        "line 15: B: evidence 'tech.none' is not in the catalogue",
    ] {
        assert!(told.iter().any(|line| line == expected), "{expected}\nin\n{}\nof\n{yaml}", told.join("\n"));
    }
    let twice = rules(&[rule("A", "when: tech.loops > 1"), rule("A", "when: tech.loops > 2")].concat());
    let told = RuleBook::parse(&twice, SIGNALS).expect_err("is refused")[0].to_string();
    assert!(told.starts_with("line 6: A: "), "{told}");
}
