//! The diagnosis: what the results of a run's services mean. Pure: no I/O, no clock, no randomness; the same input gives
//! the same bytes.
//!
//! * [`signal`]: what a measuring service reports.
//! * [`conforms`]: whether a result is of the schema that workers are given (`schema/signals-1.schema.json`).
//! * [`catalogue`]: which signals there are, and which service they come from (`rules/signals.yaml`).
//! * [`rules`]: conditions over signals (`rules/rules.yaml`), read, checked and evaluated; a rule that lacks a signal is
//!   *not evaluated*, never *passed*.
//! * [`finding`]: what is wrong, with evidence, priority and cause.
//! * [`score`]: scores with bounds, recomputable from the stored signals.
//! * [`confidence`]: how much of the answer is backed, and what each missing service costs.
//! * [`diff`]: what changed since last time.
//! * [`synthesis`]: [`synthesise`], which makes the [`Diagnosis`] from all that.
//!
//! Causes stand before symptoms: a finding that another one explains keeps a quarter of its priority and names its cause; a
//! finding that another one makes meaningless hangs at that one and is not counted. A gate caps the score.
//!
//! A plan of services that no rule knows is diagnosed too: from the findings that their workers report.
//!
//! Deliberately absent: measuring, storing, and every word on how a report looks.

pub mod catalogue;
pub mod confidence;
pub mod conforms;
mod derived;
pub mod diagnosis;
pub mod diff;
mod facts;
pub mod finding;
mod intake;
pub mod limits;
pub mod rules;
pub mod score;
pub mod signal;
pub mod synthesis;
#[cfg(test)]
mod tests;
mod text;

pub use catalogue::Catalogue;
pub use confidence::ConfidenceLevel;
pub use diagnosis::Diagnosis;
pub use finding::Finding;
pub use rules::{Effort, Problem, RuleBook, Severity};
pub use synthesis::{Input, ServiceOutcome, SynthesisError, synthesise};
pub use text::clean;
