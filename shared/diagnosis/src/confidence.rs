//! Confidence: which share of the answer is backed, 0 to 1.
//!
//! **Evidence** is read over the rules: each category's weight, times the share of its rules (by severity) that are
//! decided, times the quality of the signals that decided them. A signal that a decided rule named and did not get counts
//! with quality 0. So an additional signal never lowers the evidence, and a missing one never raises it.
//!
//! **Completeness** is read over the services that rules know nothing about: those that the catalogue does not name, and
//! those that completed with a result of another shape than signals. Each one counts 1.0 if it is required and 0.5 if it
//! is optional; completed is all of that, anything else nothing.
//!
//! The confidence is the mean of both, weighted by the services of either kind (again 1.0 and 0.5). A plan of measuring
//! services alone has the evidence, a plan of any other services alone the completeness.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::facts::Facts;
use crate::rules::{Evaluation, Outcome, RuleBook};

/// From here on a confidence is high.
const HIGH_FROM: f64 = 0.8;
/// From here on a confidence is medium.
const MEDIUM_FROM: f64 = 0.5;

/// A confidence in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConfidenceLevel {
    /// Under 0.5: what is missing may well change the answer.
    Low,
    /// 0.5 to 0.8.
    Medium,
    /// From 0.8 on.
    High,
}

/// What a service contributes to the confidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backing {
    /// Signals, or the lack of them.
    Evidence,
    /// An answer of its own, which no rule reads.
    Answer {
        /// Whether it came.
        completed: bool,
    },
}

/// One service in the eyes of the confidence.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share<'a> {
    pub(crate) service: &'a str,
    pub(crate) required: bool,
    pub(crate) backing: Backing,
}

/// The confidence and what it was made from.
#[derive(Debug)]
pub(crate) struct Confidence {
    /// The confidence.
    pub(crate) value: f64,
    /// The share of the rules that is backed by signals.
    pub(crate) evidence: f64,
    /// What each service that does not back its share takes away, by name.
    pub(crate) lost: BTreeMap<String, f64>,
}

impl ConfidenceLevel {
    /// The word for a confidence.
    pub(crate) fn of(confidence: f64) -> Self {
        if confidence >= HIGH_FROM {
            Self::High
        } else if confidence >= MEDIUM_FROM {
            Self::Medium
        } else {
            Self::Low
        }
    }

    /// The word used in JSON and sentences.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

pub(crate) fn confidence(
    book: &RuleBook,
    facts: &Facts,
    evaluations: &[Evaluation<'_>],
    shares: &[Share<'_>],
) -> Confidence {
    let (evidence, lost_evidence) = evidence(book, facts, evaluations);
    let mut of_evidence = 0.0;
    let mut of_answers = 0.0;
    let mut answered = 0.0;
    for share in shares {
        match share.backing {
            Backing::Evidence => of_evidence += share.weight(),
            Backing::Answer { completed } => {
                of_answers += share.weight();
                answered += if completed { share.weight() } else { 0.0 };
            }
        }
    }
    let all = of_evidence + of_answers;
    if all == 0.0 {
        return Confidence { value: 0.0, evidence, lost: BTreeMap::new() };
    }
    let mut lost = BTreeMap::new();
    for share in shares {
        let loss = match share.backing {
            Backing::Evidence => lost_evidence.get(share.service).copied().unwrap_or(0.0) * of_evidence / all,
            Backing::Answer { completed: true } => 0.0,
            Backing::Answer { completed: false } => share.weight() / all,
        };
        lost.insert(share.service.to_owned(), loss);
    }
    Confidence { value: (of_evidence * evidence + answered) / all, evidence, lost }
}

impl Share<'_> {
    fn weight(self) -> f64 {
        if self.required { 1.0 } else { 0.5 }
    }
}

/// The evidence, and what the signals of each service (by name) would add to it.
fn evidence(book: &RuleBook, facts: &Facts, evaluations: &[Evaluation<'_>]) -> (f64, BTreeMap<String, f64>) {
    let weights: f64 = book.categories.iter().map(|category| category.weight).sum();
    let mut backed = 0.0;
    let mut lost = BTreeMap::new();
    for category in &book.categories {
        let of_category = || evaluations.iter().filter(|evaluation| evaluation.rule.category == category.id);
        let all: f64 = of_category().map(|evaluation| evaluation.rule.severity.weight()).sum();
        if all == 0.0 {
            continue;
        }
        for evaluation in of_category() {
            let worth = category.weight / weights * evaluation.rule.severity.weight() / all;
            backed += worth * quality(evaluation, facts);
            share_loss(book, evaluation, worth, &mut lost);
        }
    }
    (backed, lost)
}

/// Mean quality of the signals that decided a rule, missing ones as 0; 0 for an undecided rule.
fn quality(evaluation: &Evaluation<'_>, facts: &Facts) -> f64 {
    if !evaluation.outcome.is_decided() {
        return 0.0;
    }
    if evaluation.rests_on.is_empty() {
        return 1.0;
    }
    let sum: f64 = evaluation.rests_on.iter().filter_map(|id| facts.quality(id)).sum();
    #[expect(clippy::cast_precision_loss, reason = "a rule names a handful of signals")]
    let count = evaluation.rests_on.len() as f64;
    sum / count
}

/// Divides what a rule lacks among the services whose signals it lacks.
fn share_loss(book: &RuleBook, evaluation: &Evaluation<'_>, worth: f64, lost: &mut BTreeMap<String, f64>) {
    #[expect(clippy::cast_precision_loss, reason = "a rule names a handful of signals")]
    let count = |n: usize| n as f64;
    let loss = match evaluation.outcome {
        Outcome::NotEvaluated => worth,
        Outcome::Fired | Outcome::Passed => {
            worth * count(evaluation.missing.len()) / count(evaluation.rule.needs().len().max(1))
        }
        Outcome::NotApplicable => return,
    };
    let mut owners: Vec<&str> = evaluation
        .missing
        .iter()
        .filter_map(|id| book.catalogue.owner(id))
        .map(|owner| owner.service.as_str())
        .collect();
    owners.sort_unstable();
    owners.dedup();
    for owner in &owners {
        *lost.entry((*owner).to_owned()).or_insert(0.0) += loss / count(owners.len());
    }
}
