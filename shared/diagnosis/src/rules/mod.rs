//! The rules, as data: what they are, where they are read and checked ([`RuleBook::parse`]), and how they are evaluated.
//!
//! A rule is a condition in CEL over signals. It ends as *fired*, *passed*, *not evaluated* (a signal that it needs is
//! missing) or *not applicable* (its `applies_if` is false). Not evaluated is never passed: a rule fires as soon as the
//! signals at hand make its condition true, but it passes only if every signal that it names was measured.

mod condition;
mod evaluate;
mod parse;
mod place;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::catalogue::Catalogue;

pub(crate) use condition::{Comparison, Condition, Role, Shape, Threshold, opaque_truth};
pub(crate) use evaluate::{Evaluation, Outcome, evaluate};

/// The signals that services of ours measure.
const SHIPPED_SIGNALS: &str = include_str!("../../rules/signals.yaml");

/// The rules, the categories and the catalogue of signals, checked and compiled once.
pub struct RuleBook {
    pub(crate) catalogue: Catalogue,
    pub(crate) categories: Vec<Category>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) environment: Arc<cel::Env>,
    pub(crate) fingerprint: String,
}

/// Something wrong in a rule file or a catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The rule, signal, category or file that it is about.
    pub place: String,
    /// What is wrong, and what would be right.
    pub message: String,
    /// Line of the file, from 1, where it is known.
    pub line: Option<usize>,
}

/// A part of the overall score.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Category {
    /// `indexability`.
    pub id: String,
    /// In words.
    pub name: String,
    /// Its share of the score and of the confidence, relative to the others'.
    pub weight: f64,
}

/// One rule, checked and compiled.
#[derive(Debug)]
pub struct Rule {
    /// `IDX-001`.
    pub id: String,
    /// What is wrong when it fires.
    pub title: String,
    /// Id of its category.
    pub category: String,
    /// How bad that is.
    pub severity: Severity,
    /// How much work it is to repair.
    pub effort: Effort,
    /// The overall score is at most this while it fires.
    pub gate: Option<u8>,
    /// Signals that are always printed.
    pub evidence: Vec<String>,
    /// What to do.
    pub action: String,
    /// Ids of findings that are likely consequences.
    pub explains: Vec<String>,
    /// Ids of findings that mean nothing while this one stands.
    pub suppresses: Vec<String>,
    /// Who says so.
    pub source: String,
    pub(crate) needs: Vec<String>,
    pub(crate) applies_if: Option<Condition>,
    pub(crate) when: Condition,
    pub(crate) reach: Condition,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// A blemish.
    Low,
    /// Costs something.
    Medium,
    /// Costs much.
    High,
    /// Everything else is in vain.
    Critical,
}

/// How much work a repair is, relative to the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Effort {
    /// Small.
    S,
    /// Medium.
    M,
    /// Large.
    L,
    /// Very large.
    #[serde(rename = "XL")]
    Xl,
}

impl RuleBook {
    /// The rules that are shipped.
    ///
    /// # Panics
    /// Never: a test reads the shipped files.
    #[must_use]
    pub fn shipped() -> Self {
        match Self::parse(include_str!("../../rules/rules.yaml"), SHIPPED_SIGNALS) {
            Ok(book) => book,
            Err(problems) => unreachable!("the shipped rules are checked by a test: {problems:?}"),
        }
    }

    /// Reads, checks and compiles a rule file over the shipped catalogue of signals.
    ///
    /// # Errors
    /// Every problem of the file, with its line where that is known.
    pub fn with_rules(rules_yaml: &str) -> Result<Self, Vec<Problem>> {
        Self::parse(rules_yaml, SHIPPED_SIGNALS)
    }

    /// Reads, checks and compiles a rule file and a catalogue.
    ///
    /// # Errors
    /// Every problem of both files, not only the first one. The caller shows them to who wrote the files.
    pub fn parse(rules_yaml: &str, signals_yaml: &str) -> Result<Self, Vec<Problem>> {
        parse::parse(rules_yaml, signals_yaml)
    }

    /// The rules, in the order of the file.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The categories, causes before symptoms.
    #[must_use]
    pub fn categories(&self) -> &[Category] {
        &self.categories
    }

    /// The catalogue of signals.
    #[must_use]
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// Names what the rules decide by: ids and conditions, nothing else. Two books of one fingerprint find the same.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    pub(crate) fn rule(&self, id: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.id == id)
    }
}

impl fmt::Debug for RuleBook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RuleBook").field("rules", &self.rules.len()).finish_non_exhaustive()
    }
}

impl Rule {
    /// Ids of the signals without which it is not evaluated: those of its condition and of `applies_if`, in
    /// alphabetical order.
    #[must_use]
    pub fn needs(&self) -> &[String] {
        &self.needs
    }

    /// What it is about, in CEL; where that is false the rule does not apply.
    #[must_use]
    pub fn applies_if(&self) -> Option<&str> {
        self.applies_if.as_ref().map(|condition| condition.source.as_str())
    }

    /// The share of the site that it touches, in CEL.
    #[must_use]
    pub fn reach(&self) -> &str {
        &self.reach.source
    }

    /// Its condition in CEL.
    #[must_use]
    pub fn condition(&self) -> &str {
        &self.when.source
    }
}

impl Problem {
    pub(crate) fn new(place: &str, message: impl Into<String>) -> Self {
        Self { place: place.to_owned(), message: message.into(), line: None }
    }
}

impl std::error::Error for Problem {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        write!(f, "{}: {}", self.place, self.message)
    }
}

impl Severity {
    /// Every severity, the least one first.
    pub const ALL: [Self; 5] = [Self::Info, Self::Low, Self::Medium, Self::High, Self::Critical];

    /// Weight in scores and priorities, 0 to 10: the scale that Lighthouse uses for the impact of accessibility faults.
    #[must_use]
    pub const fn weight(self) -> f64 {
        match self {
            Self::Critical => 10.0,
            Self::High => 7.0,
            Self::Medium => 3.0,
            Self::Low => 1.0,
            Self::Info => 0.0,
        }
    }

    /// The word used in JSON and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl Effort {
    /// Cost in a priority.
    #[must_use]
    pub const fn cost(self) -> f64 {
        match self {
            Self::S => 1.0,
            Self::M => 2.0,
            Self::L => 4.0,
            Self::Xl => 8.0,
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
