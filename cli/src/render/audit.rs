//! What an audit found, and of how much.

use hermes_core::audit::{Invariant, Tally, Violation};
use serde::Serialize;

use super::text::clean;

/// Violations that a report lists; all are counted.
const LISTED_MAX: usize = 10_000;

/// What an audit found; with `--json` this is the document.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Where, without a password.
    pub database: String,
    /// Whether every run was judged.
    pub complete: bool,
    /// The last run that was judged: another audit can begin after it.
    pub last_run: Option<String>,
    /// How much was judged.
    pub counts: Tally,
    /// What must hold, of how many things that was looked at, and how often it did not.
    pub invariants: Vec<Checked>,
    /// How often something did not hold.
    pub violations_total: u64,
    /// The first of them.
    pub violations: Vec<Violation>,
}

/// One invariant in a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// Its code.
    pub code: Invariant,
    /// What holds.
    pub holds: &'static str,
    /// Of how many things that was looked at.
    pub checked: u64,
    /// How often it did not hold.
    pub violations: u64,
}

impl Report {
    /// Before anything was judged.
    #[must_use]
    pub fn new(database: String) -> Self {
        let checked = |code: Invariant| Checked { code, holds: code.sentence(), checked: 0, violations: 0 };
        Self {
            database,
            complete: false,
            last_run: None,
            counts: Tally::default(),
            invariants: Invariant::ALL.map(checked).to_vec(),
            violations_total: 0,
            violations: Vec::new(),
        }
    }

    /// Adds a part of the audit.
    pub fn add(&mut self, violations: Vec<Violation>, tally: &Tally) {
        self.counts.add(tally);
        for line in &mut self.invariants {
            line.checked = self.counts.checked(line.code);
            line.violations += violations.iter().filter(|found| found.invariant == line.code).count() as u64;
        }
        self.violations_total += violations.len() as u64;
        let room = LISTED_MAX.saturating_sub(self.violations.len());
        self.violations.extend(violations.into_iter().take(room));
    }
}

/// A violation as it is told when it is found.
#[must_use]
pub fn line(violation: &Violation) -> String {
    format!("{}\n", clean(&violation.to_string()))
}

/// The end of an audit: what was judged, and what that proves.
#[must_use]
pub fn render(report: &Report) -> String {
    let Tally { runs, events, settlements, reruns, attempts, executions, late_results, skips, .. } = report.counts;
    let services = report.counts.services;
    let mut out = format!(
        "Judged {runs} runs of {}: {services} services, {events} events, {settlements} settlements, {reruns} re-runs, \
         {attempts} attempts, {executions} answered executions, {late_results} late results, {skips} skips.\n\n",
        clean(&report.database)
    );
    out.push_str("CODE  CHECKED     VIOLATIONS  WHAT HOLDS\n");
    for Checked { code, holds, checked, violations } in &report.invariants {
        out.push_str(&format!("{code:<4}  {checked:<10}  {violations:<10}  {holds}\n"));
    }
    out.push('\n');
    out.push_str(&match report.violations_total {
        0 => "No violation found.\n".to_owned(),
        1 => "1 violation found.\n".to_owned(),
        many => format!("{many} violations found.\n"),
    });
    if let (false, Some(last)) = (report.complete, &report.last_run) {
        out.push_str(&format!(
            "Not all runs were judged. The last one was {last}: --after {last} goes on behind it.\n"
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut report = Report::new("sqlite:hermes.db".to_owned());
        let violation = Violation {
            run_id: None,
            invariant: Invariant::AttemptsInOrder,
            detail: "event 4: service 'a' is \u{1b}[31mwrong".to_owned(),
        };
        report.add(vec![violation], &Tally { runs: 2, attempts: 5, ..Tally::default() });
        report
    }

    #[test]
    fn a_report_says_what_was_looked_at_and_where_to_go_on() {
        let mut report = report();
        report.last_run = Some("00000000000000000000000000000002".to_owned());
        let text = render(&report);
        assert!(text.starts_with("Judged 2 runs of sqlite:hermes.db: 0 services"), "{text}");
        assert!(text.contains("I7    5           1           attempts are numbered"), "{text}");
        assert!(text.contains("\n1 violation found.\n"), "{text}");
        assert!(text.contains("--after 00000000000000000000000000000002 goes on"), "{text}");
        report.complete = true;
        assert!(!render(&report).contains("--after"));
        assert_eq!(render(&Report::new(String::new())).matches("No violation found.").count(), 1);
    }

    #[test]
    fn a_violation_is_a_line_without_control_characters() {
        assert_eq!(line(&report().violations[0]), "I7: event 4: service 'a' is  [31mwrong\n");
    }

    #[test]
    fn a_report_is_json_with_codes() {
        let json = serde_json::to_value(report()).expect("JSON");
        assert_eq!(json["violations"][0]["invariant"], "I7");
        assert_eq!(json["violations_total"], 1);
        assert_eq!(json["counts"]["attempts"], 5);
        assert_eq!(json["invariants"][0]["code"], "I3");
        assert_eq!(json["invariants"][0]["checked"], 2);
    }
}
