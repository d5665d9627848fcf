//! Evaluates every rule of a book against facts.

use cel::Context;

use super::{Rule, RuleBook, Shape};
use crate::facts::Facts;

/// What became of one rule.
#[derive(Debug)]
pub(crate) struct Evaluation<'a> {
    pub(crate) rule: &'a Rule,
    pub(crate) outcome: Outcome,
    /// Ids of the signals that the outcome rests on.
    pub(crate) rests_on: &'a [String],
    /// Signals that the rule names and that are unknown; also where it fired without them.
    pub(crate) missing: Vec<&'a str>,
    /// What went wrong while evaluating, where no missing signal explains it.
    pub(crate) error: Option<String>,
}

/// How a rule ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Its condition holds.
    Fired,
    /// Everything that it names is known, and its condition does not hold.
    Passed,
    /// It is about something that the site does not have.
    NotApplicable,
    /// Something that it needs is unknown.
    NotEvaluated,
}

impl Outcome {
    /// Whether the rule says something about the site.
    pub(crate) fn is_decided(self) -> bool {
        match self {
            Self::Fired | Self::Passed | Self::NotApplicable => true,
            Self::NotEvaluated => false,
        }
    }
}

/// Evaluates all rules, in the order of the book.
pub(crate) fn evaluate<'a>(book: &'a RuleBook, facts: &Facts, context: &Context<'_, '_>) -> Vec<Evaluation<'a>> {
    book.rules.iter().map(|rule| evaluate_one(rule, facts, context)).collect()
}

fn evaluate_one<'a>(rule: &'a Rule, facts: &Facts, context: &Context<'_, '_>) -> Evaluation<'a> {
    let needs = rule.needs();
    let is_unknown = |id: &&str| facts.get(id).is_none() && !facts.is_vacuous(id);
    let missing: Vec<&str> = needs.iter().map(String::as_str).filter(is_unknown).collect();
    // Without a single signal there is nothing to ask; a run of other services pays nothing for these rules.
    let (outcome, error) = if missing.len() == needs.len() && !needs.is_empty() {
        (Outcome::NotEvaluated, None)
    } else {
        decide(rule, facts, context, missing.is_empty())
    };
    let rests_on = match (&rule.applies_if, outcome) {
        (Some(applies_if), Outcome::NotApplicable) if applies_if.truth(context) == Ok(false) => &applies_if.signals,
        (Some(_) | None, _) => needs,
    };
    Evaluation { rule, outcome, rests_on, error: error.filter(|_| missing.is_empty()), missing }
}

fn decide(rule: &Rule, facts: &Facts, context: &Context<'_, '_>, all_known: bool) -> (Outcome, Option<String>) {
    match rule.applies_if.as_ref().map(|applies_if| applies_if.truth(context)) {
        Some(Ok(false)) => return (Outcome::NotApplicable, None),
        Some(Err(error)) => return (Outcome::NotEvaluated, Some(error)),
        Some(Ok(true)) | None => {}
    }
    if is_vacuous(&rule.when.shape, facts) {
        return (Outcome::NotApplicable, None);
    }
    match rule.when.truth(context) {
        Ok(true) => (Outcome::Fired, None),
        Ok(false) if all_known => (Outcome::Passed, None),
        Ok(false) => (Outcome::NotEvaluated, None),
        // Nothing is unknown, so what could not be told was a branch about nothing, and the other branches do not hold.
        Err(_)
            if all_known && rule.when.signals.iter().any(|id| facts.is_vacuous(id)) && !is_opaque(&rule.when.shape) =>
        {
            (Outcome::Passed, None)
        }
        Err(error) => (Outcome::NotEvaluated, Some(error)),
    }
}

/// Whether a condition cannot hold because there is nothing that it could be about.
fn is_vacuous(shape: &Shape, facts: &Facts) -> bool {
    match shape {
        Shape::Compare(comparison) => facts.is_vacuous(&comparison.signal),
        Shape::And(branches) => branches.iter().any(|branch| is_vacuous(branch, facts)),
        Shape::Or(branches) => branches.iter().all(|branch| is_vacuous(branch, facts)),
        Shape::Opaque(_) => false,
    }
}

fn is_opaque(shape: &Shape) -> bool {
    match shape {
        Shape::Compare(_) => false,
        Shape::And(branches) | Shape::Or(branches) => branches.iter().any(is_opaque),
        Shape::Opaque(_) => true,
    }
}
