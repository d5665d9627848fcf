//! What changed since the site's previous diagnosis.
//!
//! Findings are matched by id. A finding that is gone because nobody looked (its rule was not evaluated, its service is
//! missing) is not fixed, and one that is there because nobody looked last time is not new: both are not comparable. A
//! finding is worse or better if a signal that it rests on moved the bad or the good way by more than its noise.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::catalogue::{Better, Catalogue, Kind, SignalSpec};
use crate::diagnosis::{RuleOutcomes, SCHEMA};
use crate::finding::{Finding, FindingEvidence, Origin, SignalEvidence};
use crate::rules::{RuleBook, Severity};
use crate::text::{clean, round1};

/// A change of a share of things by less than this means nothing, whatever it is relative to.
const RATIO_NOISE: f64 = 0.01;
/// Relative change of the number of places of a worker's finding that means nothing.
const TOTAL_NOISE: f64 = 0.1;

/// The difference to the previous diagnosis. The lists are ordered by id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WhatChanged {
    /// The run whose diagnosis it was compared with.
    pub compared_with: Option<String>,
    /// Whether it was compared.
    pub status: ChangeStatus,
    /// Why it was not compared, if it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Findings that were not there.
    pub new: Vec<Change>,
    /// Findings that are gone.
    pub fixed: Vec<Change>,
    /// Findings that got worse.
    pub worse: Vec<Change>,
    /// Findings that got better and are still there.
    pub better: Vec<Change>,
    /// Number of findings that stayed as they were.
    pub unchanged: usize,
    /// Ids of findings of either diagnosis that the other one could not see.
    pub not_comparable: Vec<String>,
    /// Overall score then, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score_before: Option<f64>,
    /// Overall score now less the one then; absent if one of them is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score_change: Option<f64>,
}

/// Whether there was anything to compare with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeStatus {
    /// The site had no diagnosis before.
    FirstDiagnosis,
    /// It had, and it was compared.
    Compared,
    /// It had, but not in a form that can be compared.
    NotComparable,
}

/// One finding that changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Id of the finding.
    pub id: String,
    /// What is, or was, wrong.
    pub title: String,
    /// What moved, for worse and better.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// What is compared of the diagnosis being made.
pub(crate) struct Current<'a> {
    pub(crate) findings: &'a [Finding],
    pub(crate) rules: &'a RuleOutcomes,
    pub(crate) services_analyzed: &'a [String],
    pub(crate) score: Option<f64>,
}

/// What is compared of the previous diagnosis: as little as possible, so that older shapes stay readable.
#[derive(Deserialize)]
struct Previous {
    schema: String,
    run_id: String,
    #[serde(default)]
    findings: Vec<PreviousFinding>,
    #[serde(default)]
    services_analyzed: Vec<String>,
    #[serde(default)]
    rules: PreviousRules,
    #[serde(default)]
    score: PreviousScore,
}

#[derive(Deserialize)]
struct PreviousFinding {
    id: String,
    title: String,
    severity: Severity,
    #[serde(default)]
    evidence: FindingEvidence,
    #[serde(default)]
    consequences: Vec<PreviousConsequence>,
}

#[derive(Deserialize)]
struct PreviousConsequence {
    id: String,
    title: String,
}

#[derive(Default, Deserialize)]
struct PreviousRules {
    #[serde(default)]
    fired: Vec<String>,
    #[serde(default)]
    passed: Vec<String>,
    #[serde(default)]
    not_applicable: Vec<String>,
}

#[derive(Default, Deserialize)]
struct PreviousScore {
    #[serde(default)]
    value: Option<f64>,
}

/// A finding of either side: its title, and the finding itself unless another one hides it.
struct Side<'a, F> {
    title: &'a str,
    finding: Option<&'a F>,
}

/// Compares with the previous diagnosis. Whatever that is, this is no error.
pub(crate) fn what_changed(book: &RuleBook, current: &Current<'_>, previous: Option<&str>) -> WhatChanged {
    let Some(previous) = previous else { return empty(ChangeStatus::FirstDiagnosis, None, None) };
    match serde_json::from_str::<Previous>(previous) {
        Ok(previous) if previous.schema == SCHEMA => compare(book, current, &previous),
        Ok(previous) => {
            let reason = format!("the previous diagnosis is of schema '{}'", clean(&previous.schema, 64));
            empty(ChangeStatus::NotComparable, Some(clean(&previous.run_id, 128)), Some(reason))
        }
        Err(_) => {
            let reason = "the previous diagnosis is of a shape that this version does not read";
            empty(ChangeStatus::NotComparable, run_id_of(previous), Some(reason.to_owned()))
        }
    }
}

fn run_id_of(previous: &str) -> Option<String> {
    let value: Value = serde_json::from_str(previous).ok()?;
    value.get("run_id").and_then(Value::as_str).map(|id| clean(id, 128))
}

fn empty(status: ChangeStatus, compared_with: Option<String>, reason: Option<String>) -> WhatChanged {
    WhatChanged {
        compared_with,
        status,
        reason,
        new: Vec::new(),
        fixed: Vec::new(),
        worse: Vec::new(),
        better: Vec::new(),
        unchanged: 0,
        not_comparable: Vec::new(),
        score_before: None,
        score_change: None,
    }
}

fn compare(book: &RuleBook, current: &Current<'_>, previous: &Previous) -> WhatChanged {
    let mut changed = empty(ChangeStatus::Compared, Some(previous.run_id.clone()), None);
    let now = now_by_id(current.findings);
    let then = then_by_id(&previous.findings);
    let ids: BTreeSet<&str> = now.keys().chain(then.keys()).copied().collect();
    for id in ids {
        match (now.get(id), then.get(id)) {
            (Some(now), Some(then)) => changed.add_both(&book.catalogue, id, now, then),
            (Some(now), None) if previous.looked_for(book, id) => changed.new.push(Change::plain(id, now.title)),
            (None, Some(then)) if current.looked_for(book, id) => changed.fixed.push(Change::plain(id, then.title)),
            (Some(_), None) | (None, Some(_)) => changed.not_comparable.push(id.to_owned()),
            (None, None) => {}
        }
    }
    changed.score_before = previous.score.value;
    changed.score_change = current.score.zip(previous.score.value).map(|(now, then)| round1(now - then));
    changed
}

fn now_by_id(findings: &[Finding]) -> BTreeMap<&str, Side<'_, Finding>> {
    let mut by_id = BTreeMap::new();
    for finding in findings {
        for hidden in &finding.consequences {
            by_id.entry(hidden.id.as_str()).or_insert(Side { title: hidden.title.as_str(), finding: None });
        }
        by_id.insert(finding.id.as_str(), Side { title: &finding.title, finding: Some(finding) });
    }
    by_id
}

fn then_by_id(findings: &[PreviousFinding]) -> BTreeMap<&str, Side<'_, PreviousFinding>> {
    let mut by_id = BTreeMap::new();
    for finding in findings {
        for hidden in &finding.consequences {
            by_id.entry(hidden.id.as_str()).or_insert(Side { title: hidden.title.as_str(), finding: None });
        }
        by_id.insert(finding.id.as_str(), Side { title: &finding.title, finding: Some(finding) });
    }
    by_id
}

/// The service of a worker's finding, from its id; `None` for a rule's.
fn service_of(id: &str) -> Option<&str> {
    id.split_once(':').map(|(service, _)| service)
}

impl Previous {
    fn looked_for(&self, book: &RuleBook, id: &str) -> bool {
        match service_of(id) {
            Some(service) => self.services_analyzed.iter().any(|name| name == service),
            None => {
                let rules = &self.rules;
                let mut seen = rules.fired.iter().chain(&rules.passed).chain(&rules.not_applicable);
                book.rule(id).is_some() && seen.any(|seen| seen == id)
            }
        }
    }
}

impl Current<'_> {
    fn looked_for(&self, book: &RuleBook, id: &str) -> bool {
        match service_of(id) {
            Some(service) => self.services_analyzed.iter().any(|name| name == service),
            None => {
                let rules = self.rules;
                book.rule(id).is_some() && rules.passed.iter().chain(&rules.not_applicable).any(|seen| seen == id)
            }
        }
    }
}

impl Change {
    fn plain(id: &str, title: &str) -> Self {
        Self { id: clean(id, 200), title: clean(title, 200), detail: None }
    }
}

/// Which way a finding moved.
enum Moved {
    Worse(String),
    Better(String),
    Not,
}

impl WhatChanged {
    fn add_both(&mut self, catalogue: &Catalogue, id: &str, now: &Side<'_, Finding>, then: &Side<'_, PreviousFinding>) {
        let moved = match (now.finding, then.finding) {
            (Some(now), Some(then)) => moved(catalogue, now, then),
            // Hidden on one side: it is still there, and its values say nothing.
            (Some(_) | None, None) | (None, Some(_)) => Moved::Not,
        };
        let change = |detail: String| Change { detail: Some(detail), ..Change::plain(id, now.title) };
        match moved {
            Moved::Worse(detail) => self.worse.push(change(detail)),
            Moved::Better(detail) => self.better.push(change(detail)),
            Moved::Not => self.unchanged += 1,
        }
    }
}

fn moved(catalogue: &Catalogue, now: &Finding, then: &PreviousFinding) -> Moved {
    match now.origin {
        Origin::Rule => moved_by_signals(catalogue, &now.evidence.signals, &then.evidence.signals),
        Origin::Service => moved_by_claim(now, then),
    }
}

/// One signal that got worse outweighs others that got better.
fn moved_by_signals(catalogue: &Catalogue, now: &[SignalEvidence], then: &[SignalEvidence]) -> Moved {
    let mut result = Moved::Not;
    for signal in now {
        let Some(before) = then.iter().find(|before| before.id == signal.id) else { continue };
        let Some(spec) = catalogue.signal(&signal.id) else { continue };
        let Some(is_worse) = direction(spec, &before.value, &signal.value) else { continue };
        let words = |value: &Value| crate::text::value_in_words(spec, value);
        let detail = format!("{}: {}, was {}", spec.name, words(&signal.value), clean(&words(&before.value), 200));
        match (is_worse, &result) {
            (true, _) => return Moved::Worse(detail),
            (false, Moved::Not) => result = Moved::Better(detail),
            (false, Moved::Worse(_) | Moved::Better(_)) => {}
        }
    }
    result
}

/// Whether the value got worse (`true`) or better (`false`) by more than noise.
fn direction(spec: &SignalSpec, before: &Value, now: &Value) -> Option<bool> {
    if let (Some(before), Some(now)) = (before.as_bool(), now.as_bool()) {
        return match spec.better {
            Better::True if before != now => Some(!now),
            Better::False if before != now => Some(now),
            Better::True | Better::False | Better::Lower | Better::Higher | Better::None => None,
        };
    }
    let (before, now) = (before.as_f64()?, now.as_f64()?);
    let floor = if spec.kind == Kind::Ratio { RATIO_NOISE } else { 0.0 };
    if (now - before).abs() <= floor.max(spec.noise() * before.abs().max(now.abs())) {
        return None;
    }
    match spec.better {
        Better::Lower => Some(now > before),
        Better::Higher => Some(now < before),
        Better::True | Better::False | Better::None => None,
    }
}

fn moved_by_claim(now: &Finding, then: &PreviousFinding) -> Moved {
    if now.severity != then.severity {
        let detail = format!("severity: {}, was {}", now.severity, then.severity);
        return if now.severity > then.severity { Moved::Worse(detail) } else { Moved::Better(detail) };
    }
    #[expect(clippy::cast_precision_loss, reason = "counts of places are compared within ten percent")]
    let (total, before) = (now.evidence.total as f64, then.evidence.total as f64);
    if (total - before).abs() <= TOTAL_NOISE * total.max(before) {
        return Moved::Not;
    }
    let detail = format!("places: {}, were {}", now.evidence.total, then.evidence.total);
    if total > before { Moved::Worse(detail) } else { Moved::Better(detail) }
}
