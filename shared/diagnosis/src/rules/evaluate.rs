//! Evaluates every rule of a book against facts.

use cel::Context;

use super::{Rule, RuleBook};
use crate::facts::Facts;

/// What became of one rule.
#[derive(Debug)]
pub(crate) struct Evaluation<'a> {
    pub(crate) rule: &'a Rule,
    pub(crate) outcome: Outcome,
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
pub(crate) fn evaluate<'a>(book: &'a RuleBook, facts: &Facts) -> Vec<Evaluation<'a>> {
    let context = facts.context(book);
    book.rules.iter().map(|rule| evaluate_one(rule, facts, &context)).collect()
}

fn evaluate_one<'a>(rule: &'a Rule, facts: &Facts, context: &Context<'_, '_>) -> Evaluation<'a> {
    let needs = rule.needs();
    let missing: Vec<&str> = needs.iter().map(String::as_str).filter(|id| facts.get(id).is_none()).collect();
    let undecided = |error: Option<String>, missing: Vec<&'a str>| Evaluation {
        rule,
        outcome: Outcome::NotEvaluated,
        error: error.filter(|_| missing.is_empty()),
        missing,
    };
    // Without a single signal there is nothing to ask; a run of other services pays nothing for these rules.
    if missing.len() == needs.len() && !needs.is_empty() {
        return undecided(None, missing);
    }
    if let Some(applies_if) = &rule.applies_if {
        if applies_if.signals.iter().any(|id| facts.get(id).is_none()) {
            return undecided(None, missing);
        }
        match applies_if.truth(context) {
            Ok(true) => {}
            Ok(false) => return Evaluation { rule, outcome: Outcome::NotApplicable, missing, error: None },
            Err(error) => return undecided(Some(error), missing),
        }
    }
    match rule.when.truth(context) {
        Ok(true) => Evaluation { rule, outcome: Outcome::Fired, missing, error: None },
        Ok(false) if missing.is_empty() => Evaluation { rule, outcome: Outcome::Passed, missing, error: None },
        Ok(false) => undecided(None, missing),
        Err(error) => undecided(Some(error), missing),
    }
}
