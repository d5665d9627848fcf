//! The diagnosis as it is stored and shown. Members stand in the order in which they are serialised.

use std::collections::BTreeMap;

use hermes_core::{RunStatus, ServiceStatus};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::confidence::ConfidenceLevel;
use crate::diff::WhatChanged;
use crate::finding::Finding;
use crate::rules::{Effort, Severity};
use crate::score::Score;

/// Name and version of this schema, the `schema` member of a diagnosis.
pub const SCHEMA: &str = "diagnosis/1";

/// What a run found out about a website.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// The run.
    pub run_id: String,
    /// The website, as the customer calls it.
    pub website_id: String,
    /// Its domain or seed URL.
    pub domain: String,
    /// The plan of the run.
    pub plan_id: String,
    /// Revision of the run: 1, and one more with every re-run.
    pub revision: u32,
    /// How the run ended.
    pub run_status: RunStatus,
    /// One or two plain sentences.
    pub summary: String,
    /// What to look at first; `null` if nothing is wrong.
    pub primary_cause: Option<Cause>,
    /// What to look at next.
    pub supporting_causes: Vec<Cause>,
    /// Everything that is wrong, by priority.
    pub findings: Vec<Finding>,
    /// The difference to the site's previous diagnosis.
    pub what_changed: WhatChanged,
    /// What to do, in order.
    pub what_to_do_next: Vec<NextStep>,
    /// Services that answered, in the order of the plan.
    pub services_analyzed: Vec<String>,
    /// Those of them that had timed out and answered afterwards.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub late_services: Vec<String>,
    /// Services that did not, in the order of the plan, and what that costs.
    pub missing_services: Vec<MissingService>,
    /// What became of the rules.
    pub rules: RuleOutcomes,
    /// Values of the signals that rules read, by id: what a later diagnosis is compared with.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub measured: BTreeMap<String, Value>,
    /// Share of the answer that is backed, 0 to 1.
    pub confidence: f64,
    /// The same in a word.
    pub confidence_level: ConfidenceLevel,
    /// Scores.
    pub score: Score,
    /// What the reader should know about the making of the diagnosis.
    pub warnings: Vec<DiagnosisWarning>,
}

/// A finding as a cause.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cause {
    /// Id of the finding.
    pub finding_id: String,
    /// What is wrong.
    pub title: String,
    /// How bad it is.
    pub severity: Severity,
    /// Id of its category.
    pub category: String,
    /// How sure it is, 0 to 1.
    pub confidence: f64,
    /// The reason in words.
    pub why: String,
    /// Ids of the findings that it explains or makes meaningless.
    pub explains: Vec<String>,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NextStep {
    /// Whether something is to be repaired, or to be made known.
    pub kind: StepKind,
    /// What to do.
    pub action: String,
    /// What it is about: a finding's title, or a service's name.
    pub title: String,
    /// Ids of the findings that it repairs; empty for [`StepKind::Enable`].
    pub finding_ids: Vec<String>,
    /// How bad the finding is; absent for [`StepKind::Enable`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// How much work it is.
    pub effort: Effort,
    /// A finding's priority; for [`StepKind::Enable`] the confidence to be gained, times 100.
    pub priority: f64,
}

/// What kind of step it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    /// Repair a finding.
    Fix,
    /// Configure a service, so that more is known.
    Enable,
}

/// A service without a result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MissingService {
    /// Its name in the plan.
    pub service: String,
    /// Its name for people.
    pub display_name: String,
    /// How it ended.
    pub status: ServiceStatus,
    /// Class of the error, if it failed with one: `not_configured`, `auth` …
    pub error_class: Option<String>,
    /// Why it has no result, and how to enable it where that is known.
    pub reason: String,
    /// Whether the plan requires it.
    pub required: bool,
    /// What to configure; absent where it is not known or would not help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub how_to_enable: Option<String>,
    /// Ids of the rules that could not be evaluated without it.
    pub rules_not_evaluated: Vec<String>,
    /// Confidence that its absence costs, 0 to 1.
    pub confidence_lost: f64,
}

/// What became of the rules that have to do with the services of the run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleOutcomes {
    /// Which conditions they had: the fingerprint of the rule book. Empty in older diagnoses.
    #[serde(default)]
    pub book: String,
    /// Ids of those whose condition holds.
    pub fired: Vec<String>,
    /// Ids of those that looked at everything and found nothing.
    pub passed: Vec<String>,
    /// Ids of those about something that the site does not have.
    pub not_applicable: Vec<String>,
    /// Those that could not be told, and why.
    pub not_evaluated: Vec<NotEvaluated>,
    /// Number of those that draw only on services which the plan does not have.
    pub out_of_scope: usize,
}

/// A rule that could not be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotEvaluated {
    /// Id of the rule.
    pub id: String,
    /// Ids of the signals that it lacks.
    pub missing: Vec<String>,
}

/// What the reader should know about the making of the diagnosis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiagnosisWarning {
    /// `unknown_signals`, `crawl_truncated` …
    pub code: String,
    /// The service that it is about, if it is about one.
    pub service: Option<String>,
    /// In words.
    pub detail: String,
}
