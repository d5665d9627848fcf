//! What changed between two diagnoses of a website.
//!
//! Findings are matched by id. What only one diagnosis has is new or fixed if the other one looked for it by the same rule
//! and something that the rule reads really moved; if everything moved by no more than measuring twice may do, it is within
//! noise. A finding that is gone because nobody looked (its rule was not evaluated, its service is missing) is not fixed,
//! and one that is there because nobody looked last time is not new: both are not comparable, and it is said why. A
//! finding that both have is worse or better if a signal that it rests on moved the bad or the good way by more than noise.

mod snapshot;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::catalogue::{Better, Catalogue, SignalSpec};
use crate::diagnosis::{RuleOutcomes, SCHEMA};
use crate::finding::{Finding, Origin, SignalEvidence};
use crate::rules::RuleBook;
use crate::text::{clean, list, round1};
use snapshot::{Snapshot, SnapshotFinding};

/// Relative change of the number of places of a worker's finding that means nothing.
const TOTAL_NOISE: f64 = 0.1;

/// The difference to an earlier diagnosis. The lists are ordered by id.
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
    /// Findings that came or went while nothing that they rest on moved by more than noise: near a threshold, chance
    /// decides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub within_noise: Vec<Change>,
    /// Findings of either diagnosis that the other one could not see.
    pub not_comparable: Vec<NotComparable>,
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

/// One finding that cannot be compared. Older diagnoses have the id alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "NotComparableForm")]
pub struct NotComparable {
    /// Id of the finding.
    pub id: String,
    /// What is, or was, wrong.
    pub title: String,
    /// Why: a service is missing, a rule was not evaluated, or it was another rule.
    pub because: String,
}

/// The forms in which it was stored.
#[derive(Deserialize)]
#[serde(untagged)]
enum NotComparableForm {
    Id(String),
    Full { id: String, title: String, because: String },
}

impl From<NotComparableForm> for NotComparable {
    fn from(form: NotComparableForm) -> Self {
        match form {
            NotComparableForm::Id(id) => Self { id, title: String::new(), because: String::new() },
            NotComparableForm::Full { id, title, because } => Self { id, title, because },
        }
    }
}

/// What is compared of the diagnosis being made.
pub(crate) struct Current<'a> {
    pub(crate) website_id: &'a str,
    pub(crate) domain: &'a str,
    pub(crate) findings: &'a [Finding],
    pub(crate) rules: &'a RuleOutcomes,
    pub(crate) measured: &'a BTreeMap<String, Value>,
    pub(crate) services_analyzed: &'a [String],
    pub(crate) score: Option<f64>,
}

/// Compares with the previous diagnosis. Whatever that is, this is no error.
pub(crate) fn what_changed(book: &RuleBook, current: &Current<'_>, previous: Option<&str>) -> WhatChanged {
    let Some(previous) = previous else { return empty(ChangeStatus::FirstDiagnosis, None, None) };
    match Snapshot::read(previous) {
        Ok(previous) => compare(book, &previous, &Snapshot::of(current)),
        Err(unread) => unread.into_answer(),
    }
}

/// Compares two diagnoses as they were serialised, by whichever version: what changed from the earlier to the later one.
/// Whatever they are, this is no error.
#[must_use]
pub fn between(book: &RuleBook, earlier: &str, later: &str) -> WhatChanged {
    match (Snapshot::read(earlier), Snapshot::read(later)) {
        (Ok(earlier), Ok(later)) => compare(book, &earlier, &later),
        (Err(unread), _) | (Ok(_), Err(unread)) => unread.into_answer(),
    }
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
        within_noise: Vec::new(),
        not_comparable: Vec::new(),
        score_before: None,
        score_change: None,
    }
}

fn compare(book: &RuleBook, then: &Snapshot, now: &Snapshot) -> WhatChanged {
    if let Some(reason) = then.differs_in_site(now) {
        return empty(ChangeStatus::NotComparable, Some(then.run_id.clone()), Some(reason));
    }
    let mut changed = empty(ChangeStatus::Compared, Some(then.run_id.clone()), None);
    let (before, after) = (then.sides(), now.sides());
    let ids: BTreeSet<&str> = before.keys().chain(after.keys()).copied().collect();
    let pair = Pair { book, then, now };
    for id in ids {
        match (before.get(id), after.get(id)) {
            (Some(before), Some(after)) => changed.add_both(book, id, before, after),
            (None, Some(after)) => changed.add_one(&pair, id, after, Side::After),
            (Some(before), None) => changed.add_one(&pair, id, before, Side::Before),
            (None, None) => {}
        }
    }
    changed.score_before = then.score.value;
    changed.score_change = now.score.value.zip(then.score.value).map(|(now, then)| round1(now - then));
    changed
}

/// Which of the two diagnoses has a finding.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Before,
    After,
}

/// A finding of either side: its title, and the finding itself unless another one hides it.
struct Seen<'a> {
    title: &'a str,
    finding: Option<&'a SnapshotFinding>,
}

/// Both diagnoses, for what only one of them has.
struct Pair<'a> {
    book: &'a RuleBook,
    then: &'a Snapshot,
    now: &'a Snapshot,
}

impl Snapshot {
    fn sides(&self) -> BTreeMap<&str, Seen<'_>> {
        let mut by_id = BTreeMap::new();
        for finding in &self.findings {
            for hidden in &finding.consequences {
                by_id.entry(hidden.id.as_str()).or_insert(Seen { title: hidden.title.as_str(), finding: None });
            }
            by_id.insert(finding.id.as_str(), Seen { title: &finding.title, finding: Some(finding) });
        }
        by_id
    }
}

/// The service of a worker's finding, from its id; `None` for a rule's.
fn service_of(id: &str) -> Option<&str> {
    id.split_once(':').map(|(service, _)| service)
}

impl Pair<'_> {
    /// Why the diagnosis without the finding could not have had it; `None` if it could.
    fn unseen(&self, id: &str, seen: &Seen<'_>, side: Side) -> Option<String> {
        let (other, which) = match side {
            Side::Before => (self.now, "later"),
            Side::After => (self.then, "earlier"),
        };
        if let Some(service) = service_of(id) {
            let looked = other.services_analyzed.iter().any(|name| name == service);
            return (!looked).then(|| format!("{} has no result in the {which} diagnosis", self.display_name(service)));
        }
        if let Some(open) = other.rules.not_evaluated.iter().find(|open| open.id == id) {
            return Some(format!("not checked in the {which} diagnosis: {}", self.lacks(&open.missing)));
        }
        if !other.rules.decided(id) {
            return Some(format!("the {which} diagnosis had no such rule, or no service for it"));
        }
        let same_book = self.then.rules.book == self.now.rules.book;
        (!same_book && !self.is_same_rule(id, seen, side))
            .then(|| "the diagnoses were made with different rules".to_owned())
    }

    /// Whether the other diagnosis found it too and does not list it, because it has too many.
    fn is_left_out(&self, id: &str, side: Side) -> bool {
        let other = match side {
            Side::Before => self.now,
            Side::After => self.then,
        };
        other.rules.fired.iter().any(|fired| fired == id)
    }

    /// Whether the rule of a finding is known to be the same on both sides, although the books are not: the side without the
    /// finding was made with the book at hand, and that has the finding's condition.
    fn is_same_rule(&self, id: &str, seen: &Seen<'_>, side: Side) -> bool {
        let other = match side {
            Side::Before => self.now,
            Side::After => self.then,
        };
        let condition = seen.finding.and_then(|finding| finding.condition.as_deref());
        other.rules.book == self.book.fingerprint()
            && condition.is_some()
            && self.book.rule(id).map(|rule| rule.condition()) == condition
    }

    fn lacks(&self, missing: &[String]) -> String {
        let names: Vec<&str> = missing
            .iter()
            .map(|id| self.book.catalogue.signal(id).map_or(id.as_str(), |spec| spec.name.as_str()))
            .collect();
        let owners: BTreeSet<&str> = missing
            .iter()
            .filter_map(|id| self.book.catalogue.owner(id))
            .map(|owner| owner.display_name.as_str())
            .collect();
        let owners: Vec<&str> = owners.into_iter().collect();
        format!("{} unknown ({})", list(&names), list(&owners))
    }

    fn display_name(&self, service: &str) -> String {
        self.book.catalogue.service(service).map_or_else(|| clean(service, 64), |known| known.display_name.clone())
    }

    /// Whether everything that the finding's rule reads is known on both sides and moved by no more than noise.
    fn moved_by_noise_alone(&self, id: &str) -> bool {
        let Some(rule) = self.book.rule(id) else { return false };
        let mut is_known = false;
        for signal in rule.needs() {
            let Some(spec) = self.book.catalogue.signal(signal) else { return false };
            match (self.then.measured.get(signal), self.now.measured.get(signal)) {
                (Some(before), Some(now)) if spec.differs(before, now) => return false,
                (Some(_), Some(_)) => is_known = true,
                (Some(_), None) | (None, Some(_)) => return false,
                (None, None) => {}
            }
        }
        is_known
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
    fn add_one(&mut self, pair: &Pair<'_>, id: &str, seen: &Seen<'_>, side: Side) {
        if pair.is_left_out(id, side) {
            self.unchanged += 1;
        } else if let Some(because) = pair.unseen(id, seen, side) {
            self.refuse(id, seen.title, because);
        } else if pair.moved_by_noise_alone(id) {
            self.within_noise.push(Change::plain(id, seen.title));
        } else {
            let list = match side {
                Side::Before => &mut self.fixed,
                Side::After => &mut self.new,
            };
            list.push(Change::plain(id, seen.title));
        }
    }

    fn refuse(&mut self, id: &str, title: &str, because: String) {
        let Change { id, title, .. } = Change::plain(id, title);
        self.not_comparable.push(NotComparable { id, title, because });
    }

    fn add_both(&mut self, book: &RuleBook, id: &str, before: &Seen<'_>, after: &Seen<'_>) {
        let moved = match (before.finding, after.finding) {
            (Some(before), Some(after)) if before.condition != after.condition => {
                let because = "the rule was another one in the earlier diagnosis";
                return self.refuse(id, &after.title, because.to_owned());
            }
            (Some(before), Some(after)) => moved(&book.catalogue, before, after),
            // Hidden on one side: it is still there, and its values say nothing.
            (Some(_) | None, None) | (None, Some(_)) => Moved::Not,
        };
        let change = |detail: String| Change { detail: Some(detail), ..Change::plain(id, after.title) };
        match moved {
            Moved::Worse(detail) => self.worse.push(change(detail)),
            Moved::Better(detail) => self.better.push(change(detail)),
            Moved::Not => self.unchanged += 1,
        }
    }
}

fn moved(catalogue: &Catalogue, before: &SnapshotFinding, now: &SnapshotFinding) -> Moved {
    match now.origin {
        Origin::Rule => moved_by_signals(catalogue, &before.evidence.signals, &now.evidence.signals),
        Origin::Service => moved_by_claim(before, now),
    }
}

/// One signal that got worse outweighs others that got better.
fn moved_by_signals(catalogue: &Catalogue, before: &[SignalEvidence], now: &[SignalEvidence]) -> Moved {
    let mut result = Moved::Not;
    for signal in now {
        let Some(before) = before.iter().find(|before| before.id == signal.id) else { continue };
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
    if !spec.differs(before, now) {
        return None;
    }
    if let (Some(_), Some(now)) = (before.as_bool(), now.as_bool()) {
        return match spec.better {
            Better::True => Some(!now),
            Better::False => Some(now),
            Better::Lower | Better::Higher | Better::None => None,
        };
    }
    let (before, now) = (before.as_f64()?, now.as_f64()?);
    match spec.better {
        Better::Lower => Some(now > before),
        Better::Higher => Some(now < before),
        Better::True | Better::False | Better::None => None,
    }
}

fn moved_by_claim(before: &SnapshotFinding, now: &SnapshotFinding) -> Moved {
    if now.severity != before.severity {
        let detail = format!("severity: {}, was {}", now.severity, before.severity);
        return if now.severity > before.severity { Moved::Worse(detail) } else { Moved::Better(detail) };
    }
    #[expect(clippy::cast_precision_loss, reason = "counts of places are compared within ten percent")]
    let (total, earlier) = (now.evidence.total as f64, before.evidence.total as f64);
    if (total - earlier).abs() <= TOTAL_NOISE * total.max(earlier) {
        return Moved::Not;
    }
    let detail = format!("places: {}, were {}", now.evidence.total, before.evidence.total);
    if total > earlier { Moved::Worse(detail) } else { Moved::Better(detail) }
}
