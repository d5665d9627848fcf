//! Findings: what is wrong, how it is known, what to do about it, and in which order.
//!
//! `priority = 100 × severity / 10 × √reach × confidence / effort`, a quarter of it where a cause of the finding was found
//! too. The square root keeps a critical fault on few pages visible. A finding's confidence is the least one among the
//! signals that it rests on.

use std::collections::{BTreeMap, BTreeSet};

use cel::Context;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::catalogue::Catalogue;
use crate::facts::{Fact, Facts};
use crate::limits::{EVIDENCE_BYTES_MAX, EVIDENCE_DETAIL_BYTES_MAX, EVIDENCE_ITEMS_MAX, EVIDENCE_URL_BYTES_MAX};
use crate::rules::{Comparison, Effort, Evaluation, Outcome, Role, Rule, RuleBook, Severity, Shape, Threshold};
use crate::signal::EvidenceItem;
use crate::text::{clean, number_in_words, round4, value_in_words};

/// Reach that priorities assume where it is unknown.
pub(crate) const REACH_UNKNOWN: f64 = 0.25;
/// What touches anything at all touches this much.
const REACH_MIN: f64 = 0.01;
/// What a known cause leaves of a symptom's priority.
const SYMPTOM_FACTOR: f64 = 0.25;

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Id of the rule, or `service:id` for a finding that a worker made itself.
    pub id: String,
    /// What is wrong.
    pub title: String,
    /// How bad it is.
    pub severity: Severity,
    /// Id of the category; `service` for a worker's finding of no known category.
    pub category: String,
    /// The higher, the earlier; 0 to 100.
    pub priority: f64,
    /// How sure it is, 0 to 1.
    pub confidence: f64,
    /// Share of the site or of the queries that is touched, 0 to 1; `null` if unknown.
    pub reach: Option<f64>,
    /// How much work the repair is.
    pub effort: Effort,
    /// What to do.
    pub action: String,
    /// The reason in words, with values and thresholds.
    pub why: String,
    /// The rule's condition in CEL; absent for a worker's finding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// The overall score is at most this while the finding stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<u8>,
    /// How it is known.
    pub evidence: FindingEvidence,
    /// Services whose results it rests on, in alphabetical order.
    pub services: Vec<String>,
    /// Ids of the findings that likely cause this one.
    pub caused_by: Vec<String>,
    /// Findings that mean nothing while this one stands; they are not listed elsewhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub consequences: Vec<Consequence>,
    /// Whether a rule or a worker made it.
    pub origin: Origin,
    /// Who says that it is wrong: the rule's sources, or the worker.
    pub source: String,
}

/// Who made a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A rule.
    Rule,
    /// The worker of a service.
    Service,
}

/// A finding that another one makes meaningless.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consequence {
    /// Id of the finding.
    pub id: String,
    /// What is wrong.
    pub title: String,
    /// How bad it would be.
    pub severity: Severity,
}

/// How a finding is known.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FindingEvidence {
    /// Values of signals.
    pub signals: Vec<SignalEvidence>,
    /// Places, at most 20.
    pub items: Vec<EvidenceItem>,
    /// How many places there are, also where fewer are listed.
    pub total: u64,
}

/// The value of a signal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SignalEvidence {
    /// Id in the catalogue.
    pub id: String,
    /// In words.
    pub name: String,
    /// As measured.
    pub value: Value,
    /// Trust in the value, 0 to 1.
    pub quality: f64,
    /// Who measured, and how.
    pub source: String,
    /// The service that delivered it.
    pub service: String,
}

impl Finding {
    /// Sets the priority from the other members.
    pub(crate) fn prioritise(&mut self) {
        let reach = self.reach.unwrap_or(REACH_UNKNOWN).clamp(REACH_MIN, 1.0);
        let symptom = if self.caused_by.is_empty() { 1.0 } else { SYMPTOM_FACTOR };
        let impact = 100.0 * self.severity.weight() / 10.0 * reach.sqrt();
        self.priority = round4(impact * self.confidence * symptom / self.effort.cost());
    }
}

/// Sorts findings: priority, then severity, then effort, then id.
pub(crate) fn sort(findings: &mut [Finding]) {
    findings.sort_by(|a, b| {
        b.priority
            .total_cmp(&a.priority)
            .then_with(|| b.severity.cmp(&a.severity))
            .then_with(|| a.effort.cmp(&b.effort))
            .then_with(|| a.id.cmp(&b.id))
    });
}

/// The findings of all rules that fired: symptoms point at their causes, suppressed ones hang at what suppresses them.
/// In the order of the book.
pub(crate) fn of_rules(
    book: &RuleBook,
    facts: &Facts,
    context: &Context<'_, '_>,
    evaluations: &[Evaluation<'_>],
) -> Vec<Finding> {
    let fired: Vec<&Rule> =
        evaluations.iter().filter(|evaluation| evaluation.outcome == Outcome::Fired).map(|e| e.rule).collect();
    let suppressor = suppressors(&fired);
    let visible: Vec<&Rule> = fired.iter().copied().filter(|rule| !suppressor.contains_key(rule.id.as_str())).collect();
    let mut findings = Vec::with_capacity(visible.len());
    for rule in &visible {
        let mut finding = of_rule(book, facts, rule);
        let reach = rule.reach.number(context).ok();
        finding.reach = reach.map(|reach| round4(reach.clamp(REACH_MIN, 1.0)));
        finding.caused_by =
            visible.iter().filter(|cause| cause.explains.contains(&rule.id)).map(|cause| cause.id.clone()).collect();
        finding.consequences = fired
            .iter()
            .filter(|other| suppressor.get(other.id.as_str()) == Some(&rule.id.as_str()))
            .map(|other| Consequence { id: other.id.clone(), title: other.title.clone(), severity: other.severity })
            .collect();
        finding.prioritise();
        findings.push(finding);
    }
    findings
}

/// Which visible finding each suppressed one hangs at: the first in the order of the book, or what suppresses that one.
fn suppressors<'a>(fired: &[&'a Rule]) -> BTreeMap<&'a str, &'a str> {
    let mut direct: BTreeMap<&str, &str> = BTreeMap::new();
    for rule in fired {
        for other in fired.iter().filter(|other| rule.suppresses.contains(&other.id)) {
            direct.entry(&other.id).or_insert(&rule.id);
        }
    }
    let root = |mut id: &'a str| {
        // Ends: a book whose rules suppress each other in a circle is refused.
        while let Some(next) = direct.get(id) {
            id = next;
        }
        id
    };
    direct.iter().map(|(id, by)| (*id, root(by))).collect()
}

fn of_rule(book: &RuleBook, facts: &Facts, rule: &Rule) -> Finding {
    let used: Vec<(&str, &Fact)> =
        rule.needs().iter().filter_map(|id| facts.get(id).map(|fact| (id.as_str(), fact))).collect();
    let confidence = used.iter().map(|(_, fact)| fact.confidence()).fold(1.0, f64::min);
    let services: BTreeSet<&str> = used.iter().map(|(_, fact)| &*fact.service).collect();
    Finding {
        id: rule.id.clone(),
        title: rule.title.clone(),
        severity: rule.severity,
        category: rule.category.clone(),
        priority: 0.0,
        confidence: round4(confidence),
        reach: None,
        effort: rule.effort,
        action: rule.action.clone(),
        why: why(&rule.when.shape, &book.catalogue, facts).unwrap_or_else(|| rule.when.source.clone()),
        condition: Some(rule.when.source.clone()),
        gate: rule.gate,
        evidence: evidence(book, facts, rule),
        services: services.into_iter().map(str::to_owned).collect(),
        caused_by: Vec::new(),
        consequences: Vec::new(),
        origin: Origin::Rule,
        source: rule.source.clone(),
    }
}

/// The branches of a condition that hold, in words; `None` if it holds a part that has no words.
fn why(shape: &Shape, catalogue: &Catalogue, facts: &Facts) -> Option<String> {
    match shape {
        Shape::Compare(comparison) => compare_in_words(comparison, catalogue, facts),
        Shape::Opaque(_) => None,
        Shape::And(branches) => {
            let words: Option<Vec<_>> = branches.iter().map(|branch| why(branch, catalogue, facts)).collect();
            Some(words?.join(" and "))
        }
        Shape::Or(branches) => {
            let holding = branches.iter().filter(|branch| holds(branch, facts));
            let words: Option<Vec<_>> = holding.map(|branch| why(branch, catalogue, facts)).collect();
            words.filter(|words| !words.is_empty()).map(|words| words.join(", "))
        }
    }
}

/// Whether a branch is known to hold; an opaque one counts as holding, so that it is not left out of the words.
fn holds(shape: &Shape, facts: &Facts) -> bool {
    match shape {
        Shape::Compare(comparison) => {
            facts.get(&comparison.signal).and_then(|fact| comparison.holds(&fact.value)).unwrap_or(false)
        }
        Shape::Opaque(_) => true,
        Shape::And(branches) => branches.iter().all(|branch| holds(branch, facts)),
        Shape::Or(branches) => branches.iter().any(|branch| holds(branch, facts)),
    }
}

fn compare_in_words(comparison: &Comparison, catalogue: &Catalogue, facts: &Facts) -> Option<String> {
    let spec = catalogue.signal(&comparison.signal)?;
    let value = value_in_words(spec, &facts.get(&comparison.signal)?.value);
    let limit = match &comparison.threshold {
        Threshold::Bool(_) => return Some(format!("{}: {value}", spec.name)),
        Threshold::Number(number) => number_in_words(spec.kind, *number),
        Threshold::Text(text) => text.clone(),
    };
    Some(format!("{}: {value} ({} {limit})", spec.name, comparison.operator.in_words()))
}

/// The signals that the rule prints and those that it reads, and the places where the bad ones were seen.
fn evidence(book: &RuleBook, facts: &Facts, rule: &Rule) -> FindingEvidence {
    let mut ids: Vec<&str> = Vec::new();
    for id in rule.evidence.iter().chain(rule.needs()) {
        if !ids.contains(&id.as_str()) {
            ids.push(id);
        }
    }
    let mut bad: Vec<&str> = rule.evidence.iter().map(String::as_str).collect();
    faults(&rule.when.shape, &mut bad);
    let mut evidence = FindingEvidence::default();
    for id in ids {
        let (Some(fact), Some(spec)) = (facts.get(id), book.catalogue.signal(id)) else { continue };
        evidence.signals.push(SignalEvidence {
            id: id.to_owned(),
            name: spec.name.clone(),
            value: fact.value.clone(),
            quality: round4(fact.confidence()),
            source: fact.source.to_string(),
            service: fact.service.to_string(),
        });
        if let Some(seen) = fact.evidence.as_ref().filter(|_| bad.contains(&id)) {
            evidence.add(seen.total, &seen.items);
        }
    }
    evidence
}

fn faults<'a>(shape: &'a Shape, into: &mut Vec<&'a str>) {
    match shape {
        Shape::Compare(comparison) => match comparison.role {
            Role::Fault | Role::Context => into.push(&comparison.signal),
            Role::Guard => {}
        },
        Shape::And(branches) | Shape::Or(branches) => branches.iter().for_each(|branch| faults(branch, into)),
        Shape::Opaque(_) => {}
    }
}

impl FindingEvidence {
    /// Adds places, cleaned and capped; an item that is there already counts once.
    pub(crate) fn add(&mut self, total: u64, items: &[EvidenceItem]) {
        let mut doubled = 0;
        for item in items {
            let item = EvidenceItem {
                url: clean(&item.url, EVIDENCE_URL_BYTES_MAX),
                detail: clean(&item.detail, EVIDENCE_DETAIL_BYTES_MAX),
            };
            if self.items.contains(&item) {
                doubled += 1;
            } else if self.items.len() < EVIDENCE_ITEMS_MAX {
                self.items.push(item);
            }
        }
        let listed = u64::try_from(items.len()).unwrap_or(u64::MAX);
        self.total = self.total.saturating_add(total.max(listed)).saturating_sub(doubled);
    }
}

/// Keeps the items of all findings together within their limit, the first findings first. The totals stay. `true` if
/// something was left out.
pub(crate) fn limit_items(findings: &mut [Finding]) -> bool {
    let mut left = EVIDENCE_BYTES_MAX;
    let mut is_cut = false;
    for finding in findings {
        finding.evidence.items.retain(|item| {
            let bytes = item.url.len() + item.detail.len();
            let fits = bytes <= left;
            left -= if fits { bytes } else { 0 };
            is_cut |= !fits;
            fits
        });
    }
    is_cut
}
