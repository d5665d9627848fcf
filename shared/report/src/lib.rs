//! What people get to read of a diagnosis: one self-contained HTML page, the same as Markdown, and as JSON for programs.
//! Pure: data in, text out.
//!
//! A report is shown to people who did not run anything, and much of what it says comes from the site that was looked at.
//! So everything foreign is cut, loses characters that are invisible or turn the reading direction, and is escaped by the
//! one who prints it; the page runs nothing, loads nothing, and says so in its content security policy.
//!
//! Deliberately absent: every judgement. What is wrong, how bad it is and in which order was decided by the synthesis.

mod html;
mod markdown;
mod tree;
mod words;

#[cfg(test)]
mod tests;

use hermes_core::Timestamp;
use hermes_diagnosis::{Diagnosis, RuleBook};
use serde::{Deserialize, Serialize};

pub use html::{content_security_policy, html};
pub use markdown::markdown;

/// Name and version of the JSON form.
pub const SCHEMA: &str = "report/1";
/// Earlier diagnoses that a chart shows; the newest ones.
pub const HISTORY_MAX: usize = 30;

/// What a report is made from.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// The diagnosis.
    pub diagnosis: &'a Diagnosis,
    /// When it was made.
    pub made_at: Timestamp,
    /// The scores of the site until then, the oldest first; this diagnosis is the last of them. Empty: no history.
    pub history: &'a [HistoryPoint],
    /// Names for rules, categories and signals. A rule that it does not know is shown by its id.
    pub book: &'a RuleBook,
}

/// The score that a website had in one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HistoryPoint {
    /// The run.
    pub run_id: String,
    /// When its diagnosis was made.
    pub made_at: Timestamp,
    /// 0 to 100; `null` where the evidence did not carry one.
    pub score: Option<f64>,
    /// What it was at least.
    pub low: f64,
    /// What it was at most.
    pub high: f64,
    /// Confidence, 0 to 1.
    pub confidence: f64,
}

/// The JSON form.
#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    made_at: Timestamp,
    diagnosis: &'a Diagnosis,
    history: &'a [HistoryPoint],
}

impl HistoryPoint {
    /// The point that a diagnosis adds.
    #[must_use]
    pub fn of(diagnosis: &Diagnosis, made_at: Timestamp) -> Self {
        let score = &diagnosis.score;
        Self {
            run_id: diagnosis.run_id.clone(),
            made_at,
            score: score.value,
            low: score.low,
            high: score.high,
            confidence: diagnosis.confidence,
        }
    }
}

/// The report as JSON: `schema`, `made_at`, `diagnosis`, `history`.
#[must_use]
pub fn json(report: &Report<'_>) -> String {
    let Report { diagnosis, made_at, history, .. } = *report;
    let document = Document { schema: SCHEMA, made_at, diagnosis, history };
    serde_json::to_string_pretty(&document).expect("text and finite numbers serialise") + "\n"
}
