//! The diagnosis for a person: what is wrong, how it is known, what to do, what is missing, and what to trust.

use hermes_diagnosis::diagnosis::{MissingService, NextStep, StepKind};
use hermes_diagnosis::diff::{ChangeStatus, WhatChanged};
use hermes_diagnosis::{ConfidenceLevel, Diagnosis, Effort, Finding, Severity};

use super::text::{Layout, Paint, clean, count, cut, wrap};

/// Places that are shown for a finding; the API has more.
const PLACES_SHOWN: usize = 3;
/// Findings that are shown in full; the further ones get a line each.
const FINDINGS_IN_FULL: usize = 12;

/// The whole diagnosis.
#[must_use]
pub fn render(diagnosis: &Diagnosis, layout: Layout) -> String {
    let mut out = String::new();
    out.push_str(&heading(&format!("Diagnosis of {}", diagnosis.domain), layout));
    out.push_str(&wrap(&diagnosis.summary, "", layout.width));
    out.push('\n');
    out.push_str(&figures(diagnosis, layout));
    // Where nothing was measured, nothing being wrong would be no news.
    if !diagnosis.services_analyzed.is_empty() || !diagnosis.findings.is_empty() {
        out.push_str(&findings(&diagnosis.findings, layout));
    }
    out.push_str(&missing(&diagnosis.missing_services, layout));
    out.push_str(&changes(&diagnosis.what_changed, layout));
    out.push_str(&next_steps(&diagnosis.what_to_do_next, layout));
    out.push_str(&warnings(diagnosis, layout));
    out
}

fn heading(text: &str, layout: Layout) -> String {
    layout.paint(Paint::Bold, &cut(&clean(text), layout.width)) + "\n"
}

/// Score, confidence and what they rest on.
fn figures(diagnosis: &Diagnosis, layout: Layout) -> String {
    let score = &diagnosis.score;
    let bounds = format!("between {:.0} and {:.0}", score.low, score.high);
    let score = match score.value {
        Some(value) => {
            let paint = match value {
                90.0.. => Paint::Green,
                50.0.. => Paint::Yellow,
                _ => Paint::Red,
            };
            format!("{} of 100, {bounds}", layout.paint(paint, &format!("{value:.0}")))
        }
        None => format!("none, too little was measured; {bounds}"),
    };
    let level = diagnosis.confidence_level;
    let paint = match level {
        ConfidenceLevel::High => Paint::Green,
        ConfidenceLevel::Medium => Paint::Yellow,
        ConfidenceLevel::Low => Paint::Red,
    };
    let confidence = format!("{} ({:.2} of 1)", layout.paint(paint, level.as_str()), diagnosis.confidence);
    let (analysed, missing) = (&diagnosis.services_analyzed, diagnosis.missing_services.len());
    let services = format!("{} of {}: {}", analysed.len(), analysed.len() + missing, analysed.join(", "));
    format!(
        "  Score       {score}\n  Confidence  {confidence}\n{}\n",
        wrap(services.trim_end_matches(": "), "  Services    ", layout.width)
    )
}

fn findings(findings: &[Finding], layout: Layout) -> String {
    if findings.is_empty() {
        return wrap("Nothing that was measured is wrong.", "", layout.width) + "\n";
    }
    let mut out = heading(&format!("What is wrong ({})", count(findings.len(), "finding", "findings")), layout);
    for (number, finding) in (1..).zip(findings) {
        out.push_str(&title(number, finding, layout));
        if number <= FINDINGS_IN_FULL {
            out.push_str(&details(finding, layout));
            out.push('\n');
        }
    }
    if findings.len() > FINDINGS_IN_FULL {
        out.push('\n');
    }
    out
}

fn title(number: usize, finding: &Finding, layout: Layout) -> String {
    let (word, paint) = severity(finding.severity);
    let rest = wrap(&format!("{} ({})", finding.title, finding.id), "", layout.width.saturating_sub(14));
    let mut out = String::new();
    for (row, line) in rest.lines().enumerate() {
        let before = if row == 0 {
            format!("{number:>3}. {}", layout.paint(paint, &format!("{word:<8}")))
        } else {
            " ".repeat(13)
        };
        out.push_str(&format!("{before} {line}\n"));
    }
    out
}

fn details(finding: &Finding, layout: Layout) -> String {
    let mut out = wrap(&finding.why, "     Why    ", layout.width);
    let evidence = &finding.evidence;
    let shown = &evidence.items[..evidence.items.len().min(PLACES_SHOWN)];
    for (number, item) in shown.iter().enumerate() {
        let label = if number == 0 { "     Where  " } else { "            " };
        let detail = if item.detail.is_empty() { String::new() } else { format!("  {}", item.detail) };
        out.push_str(&cut(&clean(&format!("{label}{}{detail}", item.url)), layout.width));
        out.push('\n');
    }
    let more = evidence.total.saturating_sub(shown.len() as u64);
    if more > 0 && !shown.is_empty() {
        out.push_str(&layout.paint(Paint::Dim, &format!("            and {more} more")));
        out.push('\n');
    }
    out.push_str(&wrap(&finding.action, "     Do     ", layout.width));
    if !finding.caused_by.is_empty() {
        out.push_str(&wrap(&format!("likely {}", finding.caused_by.join(", ")), "     Cause  ", layout.width));
    }
    if !finding.consequences.is_empty() {
        let ids: Vec<&str> = finding.consequences.iter().map(|consequence| consequence.id.as_str()).collect();
        out.push_str(&wrap(&format!("makes meaningless: {}", ids.join(", ")), "            ", layout.width));
    }
    out
}

fn missing(missing: &[MissingService], layout: Layout) -> String {
    if missing.is_empty() {
        return String::new();
    }
    let mut out = heading(&format!("What is missing ({})", count(missing.len(), "service", "services")), layout);
    for service in missing {
        let required = if service.required { ", required" } else { "" };
        let head = format!("  {} ({}{required})", service.display_name, service.status);
        out.push_str(&layout.paint(Paint::Yellow, &cut(&clean(&head), layout.width)));
        out.push('\n');
        out.push_str(&wrap(&service.reason, "     Why    ", layout.width));
        let rules = service.rules_not_evaluated.len();
        let rules = if rules == 0 {
            String::new()
        } else {
            format!("; {} could not be checked", count(rules, "rule", "rules"))
        };
        let cost = format!("{:.2} of confidence{rules}", service.confidence_lost);
        out.push_str(&wrap(&cost, "     Costs  ", layout.width));
    }
    out + "\n"
}

fn changes(changed: &WhatChanged, layout: Layout) -> String {
    match changed.status {
        ChangeStatus::FirstDiagnosis => return String::new(),
        ChangeStatus::NotComparable => {
            let reason = changed.reason.as_deref().unwrap_or("no reason is known");
            let text = format!("Not comparable with the previous diagnosis: {reason}");
            return wrap(&text, "", layout.width) + "\n";
        }
        ChangeStatus::Compared => {}
    }
    let mut out = heading("What changed since the last time", layout);
    out.push_str(&super::diff::lines(changed, layout));
    out + "\n"
}

fn next_steps(steps: &[NextStep], layout: Layout) -> String {
    if steps.is_empty() {
        return String::new();
    }
    let mut out = heading("What to do next", layout);
    for (number, step) in (1..).zip(steps) {
        let about = match step.kind {
            StepKind::Fix => format!("{} (effort {}): {}", step.title, effort(step.effort), step.action),
            StepKind::Enable => format!("{}: {}", step.title, step.action),
        };
        out.push_str(&wrap(&about, &format!("{number:>3}. "), layout.width));
    }
    out + "\n"
}

fn warnings(diagnosis: &Diagnosis, layout: Layout) -> String {
    if diagnosis.warnings.is_empty() {
        return String::new();
    }
    let mut out = heading("Worth knowing", layout);
    for warning in &diagnosis.warnings {
        let about = warning.service.as_deref().map(|service| format!("{service}: ")).unwrap_or_default();
        out.push_str(&wrap(&format!("{about}{}", warning.detail), "  - ", layout.width));
    }
    out + "\n"
}

const fn severity(severity: Severity) -> (&'static str, Paint) {
    match severity {
        Severity::Info => ("info", Paint::Dim),
        Severity::Low => ("low", Paint::Dim),
        Severity::Medium => ("medium", Paint::Yellow),
        Severity::High => ("high", Paint::Red),
        Severity::Critical => ("critical", Paint::Red),
    }
}

const fn effort(effort: Effort) -> &'static str {
    match effort {
        Effort::S => "small",
        Effort::M => "medium",
        Effort::L => "large",
        Effort::Xl => "very large",
    }
}

#[cfg(test)]
mod tests;
