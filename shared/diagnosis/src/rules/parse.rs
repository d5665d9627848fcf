//! Reads and checks a rule file. Every problem is reported, so that one look repairs the file.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Category, Condition, Effort, Outcome, Problem, Rule, RuleBook, Severity, evaluate};
use crate::catalogue::{Catalogue, SignalSpec};
use crate::facts::Facts;
use crate::limits::{TEXT_BYTES_MAX, TITLE_BYTES_MAX};

/// Bytes of a digest that tell rule books apart.
const FINGERPRINT_BYTES: usize = 8;
/// Name and version of the rule file's schema.
const SCHEMA: &str = "rules/1";

/// The file as it stands; rules are read one by one, so that every problem is told.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleFile {
    schema: String,
    categories: Vec<Category>,
    rules: Vec<Value>,
}

/// A rule as it stands in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleSpec {
    id: String,
    title: String,
    category: String,
    severity: Severity,
    effort: Effort,
    #[serde(default)]
    gate: Option<u8>,
    #[serde(default)]
    applies_if: Option<String>,
    when: String,
    reach: String,
    #[serde(default)]
    evidence: Vec<String>,
    action: String,
    #[serde(default)]
    explains: Vec<String>,
    #[serde(default)]
    suppresses: Vec<String>,
    source: String,
}

pub(super) fn parse(rules_yaml: &str, signals_yaml: &str) -> Result<RuleBook, Vec<Problem>> {
    read(rules_yaml, signals_yaml).map_err(|mut problems| {
        for problem in &mut problems {
            super::place::locate(problem, rules_yaml);
            super::place::locate(problem, signals_yaml);
        }
        problems
    })
}

fn read(rules_yaml: &str, signals_yaml: &str) -> Result<RuleBook, Vec<Problem>> {
    let mut problems = Vec::new();
    let catalogue = Catalogue::parse(signals_yaml, &mut problems);
    let file = match serde_saphyr::from_str::<RuleFile>(rules_yaml) {
        Ok(file) => file,
        Err(error) => {
            problems.push(Problem::new("rules", format!("not readable: {error}")));
            return Err(problems);
        }
    };
    if file.schema != SCHEMA {
        problems.push(Problem::new("rules", format!("schema is '{}', expected '{SCHEMA}'", file.schema)));
    }
    check_categories(&file.categories, &mut problems);
    let rules = read_rules(file.rules, &file.categories, &catalogue, &mut problems);
    check_references(&rules, &mut problems);
    let environment = Arc::new(cel::Env::stdlib());
    let fingerprint = fingerprint(&rules);
    let book = RuleBook { catalogue, categories: file.categories, rules, environment, fingerprint };
    try_samples(&book, &mut problems);
    if problems.is_empty() { Ok(book) } else { Err(problems) }
}

/// A digest of ids and conditions, whatever their order.
fn fingerprint(rules: &[Rule]) -> String {
    let mut parts: Vec<String> = rules
        .iter()
        .map(|rule| {
            let applies_if = rule.applies_if.as_ref().map_or("", |condition| &condition.source);
            format!("{}\0{applies_if}\0{}\n", rule.id, rule.when.source)
        })
        .collect();
    parts.sort();
    let digest = Sha256::digest(parts.concat().as_bytes());
    hex::encode(&digest[..FINGERPRINT_BYTES])
}

fn check_categories(categories: &[Category], problems: &mut Vec<Problem>) {
    let mut seen = BTreeSet::new();
    for category in categories {
        if !seen.insert(category.id.as_str()) {
            problems.push(Problem::new(&category.id, "this category stands in the file twice"));
        }
        if !(category.weight.is_finite() && category.weight > 0.0) {
            problems.push(Problem::new(&category.id, "a category's weight is a number above 0"));
        }
    }
}

fn read_rules(
    values: Vec<Value>,
    categories: &[Category],
    catalogue: &Catalogue,
    problems: &mut Vec<Problem>,
) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::with_capacity(values.len());
    for (index, value) in values.into_iter().enumerate() {
        let id = value.get("id").and_then(Value::as_str).map_or_else(|| format!("rule {}", index + 1), str::to_owned);
        let spec = match serde_json::from_value::<RuleSpec>(value) {
            Ok(spec) => spec,
            Err(error) => {
                problems.push(Problem::new(&id, error.to_string()));
                continue;
            }
        };
        if rules.iter().any(|rule| rule.id == spec.id) {
            problems.push(Problem::new(&id, "this id stands in the file twice"));
        }
        check_texts(&spec, categories, catalogue, problems);
        rules.extend(compile(spec, catalogue, problems));
    }
    rules
}

fn check_texts(spec: &RuleSpec, categories: &[Category], catalogue: &Catalogue, problems: &mut Vec<Problem>) {
    let mut complain = |message: String| problems.push(Problem::new(&spec.id, message));
    if spec.id.trim().is_empty() || spec.id.contains(|c: char| c.is_whitespace() || c == ':') {
        complain("an id has no blanks and no colon".to_owned());
    }
    for (name, text, bytes_max) in [
        ("title", &spec.title, TITLE_BYTES_MAX),
        ("action", &spec.action, TEXT_BYTES_MAX),
        ("source", &spec.source, TEXT_BYTES_MAX),
    ] {
        if text.trim().is_empty() || text.len() > bytes_max {
            complain(format!("{name} has 1 to {bytes_max} bytes"));
        }
    }
    if !categories.iter().any(|category| category.id == spec.category) {
        complain(format!("category '{}' is not one of the file's categories", spec.category));
    }
    if spec.gate.is_some_and(|gate| gate > 100) {
        complain("a gate is a score, 0 to 100".to_owned());
    }
    for signal in spec.evidence.iter().filter(|signal| catalogue.signal(signal).is_none()) {
        complain(format!("evidence '{signal}' is not in the catalogue"));
    }
}

fn compile(spec: RuleSpec, catalogue: &Catalogue, problems: &mut Vec<Problem>) -> Option<Rule> {
    let mut expression = |name: &str, source: &str| match Condition::compile(source, catalogue) {
        Ok(condition) => Some(condition),
        Err(messages) => {
            problems.extend(messages.into_iter().map(|message| Problem::new(&spec.id, format!("{name}: {message}"))));
            None
        }
    };
    let applies_if = spec.applies_if.as_deref().map(|source| expression("applies_if", source));
    let when = expression("when", &spec.when);
    let reach = expression("reach", &spec.reach);
    // A directed signal here would let a worse value take a check out of the score.
    for signal in applies_if.iter().flatten().flat_map(|condition| &condition.signals) {
        if catalogue.signal(signal).is_some_and(SignalSpec::is_directed) {
            problems
                .push(Problem::new(&spec.id, format!("applies_if: '{signal}' must be a signal with `better: none`")));
        }
    }
    let applies_if = match applies_if {
        Some(condition) => Some(condition?),
        None => None,
    };
    let (when, reach) = (when?, reach?);
    let named = when.signals.iter().chain(applies_if.iter().flat_map(|condition| &condition.signals));
    let needs: BTreeSet<String> = named.cloned().collect();
    Some(Rule {
        id: spec.id,
        title: spec.title,
        category: spec.category,
        severity: spec.severity,
        effort: spec.effort,
        gate: spec.gate,
        evidence: spec.evidence,
        action: spec.action,
        explains: spec.explains,
        suppresses: spec.suppresses,
        source: spec.source,
        applies_if,
        needs: needs.into_iter().collect(),
        when,
        reach,
    })
}

/// Causes form no circle, and every id that is named exists.
fn check_references(rules: &[Rule], problems: &mut Vec<Problem>) {
    let known: BTreeMap<&str, &Rule> = rules.iter().map(|rule| (rule.id.as_str(), rule)).collect();
    for rule in rules {
        for (name, ids) in [("explains", &rule.explains), ("suppresses", &rule.suppresses)] {
            for id in ids.iter().filter(|id| !known.contains_key(id.as_str())) {
                problems.push(Problem::new(&rule.id, format!("{name} '{id}', which is no rule")));
            }
        }
        if let Some(path) = circle(&rule.id, &known) {
            problems.push(Problem::new(&rule.id, format!("explains itself: {}", path.join(" -> "))));
        }
    }
}

/// A way from a rule back to itself, if there is one.
fn circle<'a>(start: &'a str, known: &BTreeMap<&'a str, &'a Rule>) -> Option<Vec<&'a str>> {
    let mut stack = vec![vec![start]];
    let mut seen = BTreeSet::new();
    while let Some(path) = stack.pop() {
        let Some(rule) = path.last().and_then(|id| known.get(id)) else { continue };
        for next in rule.explains.iter().chain(&rule.suppresses) {
            let mut longer = path.clone();
            longer.push(next);
            if next == start {
                return Some(longer);
            }
            if seen.insert(next.as_str()) {
                stack.push(longer);
            }
        }
    }
    None
}

/// Evaluates every expression once with typed values: mixed-up types are an error of the file, not of a run.
fn try_samples(book: &RuleBook, problems: &mut Vec<Problem>) {
    let good = Facts::of_samples(book.catalogue.signals().map(|spec| (spec, spec.good_sample())));
    let poor = Facts::of_samples(book.catalogue.signals().map(|spec| (spec, spec.poor_sample())));
    for facts in [&good, &poor] {
        let context = facts.context(book);
        for rule in &book.rules {
            if let Err(error) = rule.when.truth(&context) {
                problems.push(Problem::new(&rule.id, format!("when: {error}")));
            }
            if let Some(Err(error)) = rule.applies_if.as_ref().map(|condition| condition.truth(&context)) {
                problems.push(Problem::new(&rule.id, format!("applies_if: {error}")));
            }
            if let Err(error) = rule.reach.number(&context) {
                problems.push(Problem::new(&rule.id, format!("reach: {error}")));
            }
        }
    }
    for evaluation in evaluate(book, &good, &good.context(book)) {
        if evaluation.outcome == Outcome::Fired {
            problems.push(Problem::new(
                &evaluation.rule.id,
                "fires although every signal is good; compare with values beyond `good` of the catalogue",
            ));
        }
    }
    // The two samples share their mistakes.
    let mut seen = BTreeSet::new();
    problems.retain(|problem| seen.insert((problem.place.clone(), problem.message.clone())));
}
