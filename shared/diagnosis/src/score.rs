//! Scores: a check per rule, from the values of its signals; a mean per category; an overall score with bounds.
//!
//! A check scores 0 to 1. A comparison scores by the curve of its signal, or 0 and 1 where the catalogue has no control
//! points; `||` scores as its worst branch, `&&` as its best one, because all branches must be bad for the fault to exist.
//! Comparisons that hold while a signal is good only tell one cause from another and do not score. A check whose fault
//! exists scores 0.5 at most. A check whose fault is known while another branch of it is unknown scores 0, as that branch may
//! be as bad as can be, and does not count as measured. So neither a worse value nor a missing one raises a score.
//!
//! The overall score is the weighted mean of the categories of which at least half was measured. Next to it stand the
//! bounds that hold whatever the unmeasured checks would have said: nothing is guessed. A gate that fired caps all three;
//! a gate that could not be evaluated caps the lower bound. Suppressed findings keep their effect on the score.

use cel::Context;
use serde::{Deserialize, Serialize};

use crate::catalogue::{Better, Kind, SignalSpec};
use crate::facts::Facts;
use crate::rules::{Comparison, Evaluation, Outcome, Role, RuleBook, Shape, opaque_truth};
use crate::text::{round1, round4};

/// Below this confidence there is no overall score, only findings.
pub const CONFIDENCE_FOR_A_SCORE: f64 = 0.35;
/// Share of a category's check weight that must be settled for it to count in the overall score.
const COVERAGE_TO_COUNT: f64 = 0.5;
/// The most that a check whose fault exists can score.
const FAULT_SCORE_MAX: f64 = 0.5;

/// The overall score and how it was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// 0 to 100; `null` where the evidence does not carry one.
    pub value: Option<f64>,
    /// What it is at least, if everything unmeasured is bad.
    pub low: f64,
    /// What it is at most, if everything unmeasured is good.
    pub high: f64,
    /// By category, causes before symptoms.
    pub categories: Vec<CategoryScore>,
}

/// The score of one category.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CategoryScore {
    /// Id of the category.
    pub category: String,
    /// 0 to 100; `null` if nothing of it was measured.
    pub score: Option<f64>,
    /// Its share of the overall score.
    pub weight: f64,
    /// Share of its checks, by weight, about which everything is known.
    pub coverage: f64,
}

/// Sums over categories, in category weights.
#[derive(Debug, Default)]
struct Totals {
    applicable: f64,
    low: f64,
    high: f64,
    counted: f64,
    value: f64,
}

/// Sums of one category, in check weights.
#[derive(Debug, Default)]
struct Tally {
    all: f64,
    /// Of checks about which everything is known.
    settled: f64,
    applicable: f64,
    /// Of checks that have points.
    scored: f64,
    /// What they have at least.
    points: f64,
    /// What all applicable checks have at most.
    points_max: f64,
}

/// Scores evaluations. Below [`CONFIDENCE_FOR_A_SCORE`] of `trust` no overall score is given.
pub(crate) fn score(
    book: &RuleBook,
    facts: &Facts,
    context: &Context<'_, '_>,
    evaluations: &[Evaluation<'_>],
    trust: f64,
) -> Score {
    let checks = Checks { book, facts, context };
    let weights: f64 = book.categories.iter().map(|category| category.weight).sum();
    let mut totals = Totals::default();
    let mut categories = Vec::with_capacity(book.categories.len());
    for category in &book.categories {
        let weight = category.weight / weights;
        let of_category = evaluations.iter().filter(|evaluation| evaluation.rule.category == category.id);
        let tally = Tally::of(of_category, &checks);
        totals.add(weight, &tally);
        categories.push(CategoryScore {
            category: category.id.clone(),
            score: tally.mean().map(|mean| round1(100.0 * mean)),
            weight: round4(weight),
            coverage: round4(tally.coverage()),
        });
    }
    let fired_gate = gate(evaluations, Outcome::Fired);
    let unknown_gate = gate(evaluations, Outcome::NotEvaluated);
    let low = totals.share(totals.low, 0.0).min(fired_gate).min(unknown_gate);
    let high = totals.share(totals.high, 1.0).min(fired_gate);
    let mean = (totals.counted > 0.0 && trust >= CONFIDENCE_FOR_A_SCORE).then(|| 100.0 * totals.value / totals.counted);
    let value = mean.map(|mean| mean.min(fired_gate).clamp(low, high));
    Score { value: value.map(round1), low: round1(low), high: round1(high), categories }
}

/// The lowest cap among the gates that ended so.
fn gate(evaluations: &[Evaluation<'_>], outcome: Outcome) -> f64 {
    let caps = evaluations.iter().filter(|evaluation| evaluation.outcome == outcome).filter_map(|e| e.rule.gate);
    caps.map(f64::from).fold(100.0, f64::min)
}

impl Totals {
    fn add(&mut self, weight: f64, tally: &Tally) {
        if tally.applicable > 0.0 {
            self.applicable += weight;
            self.low += weight * tally.points / tally.applicable;
            self.high += weight * tally.points_max / tally.applicable;
        }
        if let Some(mean) = tally.mean().filter(|_| tally.coverage() >= COVERAGE_TO_COUNT) {
            self.counted += weight;
            self.value += weight * mean;
        }
    }

    /// A sum as a score of 0 to 100; `if_none` (0 to 1) where no check applies.
    fn share(&self, sum: f64, if_none: f64) -> f64 {
        100.0 * if self.applicable > 0.0 { sum / self.applicable } else { if_none }
    }
}

impl Tally {
    fn of<'a>(evaluations: impl Iterator<Item = &'a Evaluation<'a>>, checks: &Checks<'_>) -> Self {
        let mut tally = Self::default();
        for evaluation in evaluations {
            let weight = evaluation.rule.severity.weight();
            tally.all += weight;
            match evaluation.outcome {
                Outcome::NotApplicable => tally.settled += weight,
                Outcome::NotEvaluated => {
                    tally.applicable += weight;
                    tally.points_max += weight;
                }
                Outcome::Fired | Outcome::Passed => {
                    let points = weight * checks.points(evaluation);
                    tally.applicable += weight;
                    tally.scored += weight;
                    tally.points_max += points;
                    if evaluation.missing.is_empty() {
                        tally.settled += weight;
                        tally.points += points;
                    }
                }
            }
        }
        tally
    }

    fn mean(&self) -> Option<f64> {
        (self.scored > 0.0).then(|| self.points / self.scored)
    }

    fn coverage(&self) -> f64 {
        if self.all > 0.0 { self.settled / self.all } else { 0.0 }
    }
}

/// What checks are scored with.
struct Checks<'a> {
    book: &'a RuleBook,
    facts: &'a Facts,
    context: &'a Context<'a, 'a>,
}

/// The score of a branch, 0 to 1, and whether its fault exists.
#[derive(Clone, Copy)]
struct Points {
    points: f64,
    is_fault: bool,
}

/// What a branch says about quality.
enum Branch {
    /// So much.
    Scored(Points),
    /// Nothing: it only tells one cause from another.
    Silent,
    /// A value that it needs is unknown.
    Unknown,
}

impl Checks<'_> {
    /// The score of a check that fired or passed, 0 to 1.
    fn points(&self, evaluation: &Evaluation<'_>) -> f64 {
        match self.branch(&evaluation.rule.when.shape) {
            Branch::Scored(scored) if scored.is_fault => scored.points.min(FAULT_SCORE_MAX),
            Branch::Scored(scored) => scored.points,
            Branch::Silent | Branch::Unknown => {
                if evaluation.outcome == Outcome::Fired {
                    0.0
                } else {
                    1.0
                }
            }
        }
    }

    fn branch(&self, shape: &Shape) -> Branch {
        match shape {
            Shape::Compare(comparison) => self.compare(comparison),
            Shape::Opaque(expression) => opaque_truth(expression, self.context).map_or(Branch::Unknown, Branch::of),
            Shape::And(branches) => self.all(branches),
            Shape::Or(branches) => self.any(branches),
        }
    }

    fn all(&self, branches: &[Shape]) -> Branch {
        let mut best: Option<Points> = None;
        for branch in branches {
            match self.branch(branch) {
                Branch::Unknown => return Branch::Unknown,
                Branch::Silent => {}
                Branch::Scored(next) => {
                    best = Some(best.map_or(next, |best| Points {
                        points: best.points.max(next.points),
                        is_fault: best.is_fault && next.is_fault,
                    }));
                }
            }
        }
        best.map_or(Branch::Silent, Branch::Scored)
    }

    /// One branch that is known to be bad is enough, so unknown ones are passed over.
    fn any(&self, branches: &[Shape]) -> Branch {
        let mut worst: Option<Points> = None;
        for branch in branches {
            match self.branch(branch) {
                Branch::Unknown | Branch::Silent => {}
                Branch::Scored(next) => {
                    worst = Some(worst.map_or(next, |worst| Points {
                        points: worst.points.min(next.points),
                        is_fault: worst.is_fault || next.is_fault,
                    }));
                }
            }
        }
        worst.map_or(Branch::Unknown, Branch::Scored)
    }

    fn compare(&self, comparison: &Comparison) -> Branch {
        let Some(fact) = self.facts.get(&comparison.signal) else { return Branch::Unknown };
        let Some(is_fault) = comparison.holds(&fact.value) else { return Branch::Unknown };
        match comparison.role {
            Role::Guard => Branch::Silent,
            Role::Context => Branch::of(is_fault),
            Role::Fault => {
                let spec = self.book.catalogue.signal(&comparison.signal);
                let on_curve = spec.zip(fact.value.as_f64()).and_then(|(spec, value)| curve(spec, value));
                on_curve.map_or_else(|| Branch::of(is_fault), |points| Branch::Scored(Points { points, is_fault }))
            }
        }
    }
}

impl Branch {
    /// A branch without a curve: the fault exists, or it does not.
    fn of(is_fault: bool) -> Self {
        Self::Scored(Points { points: if is_fault { 0.0 } else { 1.0 }, is_fault })
    }
}

/// The score of a value on the curve of its signal, 0 to 1; `None` without two control points.
pub(crate) fn curve(spec: &SignalSpec, value: f64) -> Option<f64> {
    let (good, poor) = (spec.good?, spec.poor?);
    match (spec.better, spec.kind) {
        (Better::Lower, Kind::Ms | Kind::Bytes | Kind::Float) if good > 0.0 => Some(log_normal(value, good, poor)),
        (Better::Lower | Better::Higher, _) => Some(half_life(value, good, poor)),
        (Better::True | Better::False | Better::None, _) => None,
    }
}

/// 1 up to `good`, 0.5 at `poor`, and half of that with every further step of the same width. Works both ways: `poor` may
/// be the greater or the smaller one.
fn half_life(value: f64, good: f64, poor: f64) -> f64 {
    let steps = (value - good) / (poor - good);
    if steps <= 0.0 { 1.0 } else { 0.5_f64.powf(steps) }
}

/// The curve of metrics with a published distribution: 0.9 at `p10`, 0.5 at `median`, clamped to the band that the value
/// lies in, so that rounding never moves a value over a border.
fn log_normal(value: f64, p10: f64, median: f64) -> f64 {
    /// The argument at which the complementary error function is 0.2, so that `p10` scores 0.9.
    const INVERSE_ERFC_OF_ONE_FIFTH: f64 = 0.906_193_802_436_823_2;
    if value <= 0.0 {
        return 1.0;
    }
    let standard = (value / median).ln() * INVERSE_ERFC_OF_ONE_FIFTH / -(p10 / median).ln();
    let score = (1.0 - erf(standard)) / 2.0;
    if value <= p10 {
        score.clamp(0.9, 1.0)
    } else if value <= median {
        score.clamp(0.5, 0.9)
    } else {
        score.clamp(0.0, 0.5)
    }
}

/// The error function by Abramowitz and Stegun, formula 7.1.26: off by 1.5e-7 at most, and the same on every machine.
fn erf(x: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.327_591_1 * x.abs());
    let polynomial =
        t * (0.254_829_592 + t * (-0.284_496_736 + t * (1.421_413_741 + t * (-1.453_152_027 + t * 1.061_405_429))));
    (1.0 - polynomial * (-x * x).exp()).copysign(x)
}

#[cfg(test)]
mod tests;
