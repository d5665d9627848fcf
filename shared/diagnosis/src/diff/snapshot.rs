//! What is compared of a diagnosis: as little as possible, so that older shapes stay readable.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{ChangeStatus, Current, SCHEMA, WhatChanged, empty};
use crate::diagnosis::NotEvaluated;
use crate::finding::{Finding, Origin, SignalEvidence};
use crate::rules::Severity;
use crate::text::clean;

/// One diagnosis.
#[derive(Deserialize)]
pub(super) struct Snapshot {
    schema: String,
    pub(super) run_id: String,
    #[serde(default)]
    website_id: Option<String>,
    #[serde(default)]
    domain: Option<String>,
    #[serde(default)]
    pub(super) findings: Vec<SnapshotFinding>,
    #[serde(default)]
    pub(super) services_analyzed: Vec<String>,
    #[serde(default)]
    pub(super) rules: SnapshotRules,
    #[serde(default)]
    pub(super) measured: BTreeMap<String, Value>,
    #[serde(default)]
    pub(super) score: SnapshotScore,
}

#[derive(Deserialize)]
pub(super) struct SnapshotFinding {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) severity: Severity,
    #[serde(default)]
    pub(super) condition: Option<String>,
    #[serde(default = "rule")]
    pub(super) origin: Origin,
    #[serde(default)]
    pub(super) evidence: SnapshotEvidence,
    #[serde(default)]
    pub(super) consequences: Vec<SnapshotConsequence>,
}

/// Places are not compared, only their number.
#[derive(Default, Deserialize)]
pub(super) struct SnapshotEvidence {
    #[serde(default)]
    pub(super) signals: Vec<SignalEvidence>,
    #[serde(default)]
    pub(super) total: u64,
}

#[derive(Deserialize)]
pub(super) struct SnapshotConsequence {
    pub(super) id: String,
    pub(super) title: String,
}

#[derive(Default, Deserialize)]
pub(super) struct SnapshotRules {
    #[serde(default)]
    pub(super) book: String,
    #[serde(default)]
    pub(super) fired: Vec<String>,
    #[serde(default)]
    passed: Vec<String>,
    #[serde(default)]
    not_applicable: Vec<String>,
    #[serde(default)]
    pub(super) not_evaluated: Vec<NotEvaluated>,
}

#[derive(Default, Deserialize)]
pub(super) struct SnapshotScore {
    #[serde(default)]
    pub(super) value: Option<f64>,
}

/// A text that is no diagnosis of this schema.
pub(super) struct Unread {
    run_id: Option<String>,
    reason: String,
}

fn rule() -> Origin {
    Origin::Rule
}

impl Unread {
    pub(super) fn into_answer(self) -> WhatChanged {
        empty(ChangeStatus::NotComparable, self.run_id, Some(self.reason))
    }
}

impl Snapshot {
    /// Reads a diagnosis as it was serialised, by whichever version.
    pub(super) fn read(text: &str) -> Result<Self, Unread> {
        match serde_json::from_str::<Self>(text) {
            Ok(snapshot) if snapshot.schema == SCHEMA => Ok(snapshot),
            Ok(snapshot) => Err(Unread {
                run_id: Some(clean(&snapshot.run_id, 128)),
                reason: format!("the earlier diagnosis is of schema '{}'", clean(&snapshot.schema, 64)),
            }),
            Err(_) => {
                let value: Option<Value> = serde_json::from_str(text).ok();
                let run_id = value.as_ref().and_then(|value| value.get("run_id")).and_then(Value::as_str);
                let reason = "the earlier diagnosis is of a shape that this version does not read".to_owned();
                Err(Unread { run_id: run_id.map(|id| clean(id, 128)), reason })
            }
        }
    }

    /// The diagnosis being made.
    pub(super) fn of(current: &Current<'_>) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            run_id: String::new(),
            website_id: Some(current.website_id.to_owned()),
            domain: Some(current.domain.to_owned()),
            findings: current.findings.iter().map(SnapshotFinding::of).collect(),
            services_analyzed: current.services_analyzed.to_vec(),
            rules: SnapshotRules {
                book: current.rules.book.clone(),
                fired: current.rules.fired.clone(),
                passed: current.rules.passed.clone(),
                not_applicable: current.rules.not_applicable.clone(),
                not_evaluated: current.rules.not_evaluated.clone(),
            },
            measured: current.measured.clone(),
            score: SnapshotScore { value: current.score },
        }
    }

    /// In which way the two are about different sites, if they are.
    pub(super) fn differs_in_site(&self, other: &Self) -> Option<String> {
        let pairs = [(&self.website_id, &other.website_id, "website"), (&self.domain, &other.domain, "site")];
        pairs.into_iter().find_map(|(then, now, what)| match (then, now) {
            (Some(then), Some(now)) if then != now => Some(format!(
                "the diagnoses are of different {what}s: '{}' and '{}'",
                clean(then, 128),
                clean(now, 128)
            )),
            (Some(_), Some(_)) | (None, _) | (_, None) => None,
        })
    }
}

impl SnapshotFinding {
    fn of(finding: &Finding) -> Self {
        Self {
            id: finding.id.clone(),
            title: finding.title.clone(),
            severity: finding.severity,
            condition: finding.condition.clone(),
            origin: finding.origin,
            evidence: SnapshotEvidence { signals: finding.evidence.signals.clone(), total: finding.evidence.total },
            consequences: finding
                .consequences
                .iter()
                .map(|hidden| SnapshotConsequence { id: hidden.id.clone(), title: hidden.title.clone() })
                .collect(),
        }
    }
}

impl SnapshotRules {
    /// Whether the rule said something about the site.
    pub(super) fn decided(&self, id: &str) -> bool {
        self.fired.iter().chain(&self.passed).chain(&self.not_applicable).any(|decided| decided == id)
    }
}
