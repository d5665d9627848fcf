//! The report as Markdown (CommonMark with tables), for tickets and mails.

use std::fmt::Write;

use hermes_diagnosis::Finding;
use hermes_diagnosis::diagnosis::StepKind;
use hermes_diagnosis::diff::{Change, ChangeStatus};
use hermes_diagnosis::signal::EvidenceItem;

use crate::Report;
use crate::html::change_summary;
use crate::html::missing_state;
use crate::tree::branches;
use crate::words::{self, count};

/// Places that are listed for a finding; the JSON form has all that are stored.
const PLACES_LISTED: usize = 5;

/// The report as Markdown. Nothing foreign can start a heading, a link, an image or raw HTML.
#[must_use]
pub fn markdown(report: &Report<'_>) -> String {
    let mut out = String::new();
    overview(report, &mut out);
    next_steps(report, &mut out);
    changes(report, &mut out);
    history(report, &mut out);
    findings(report, &mut out);
    missing(report, &mut out);
    making(report, &mut out);
    out
}

/// Foreign text in which no character means anything to Markdown.
fn plain(text: &str) -> String {
    let text = words::text(text);
    let mut out = String::with_capacity(text.len() + 8);
    for (place, c) in text.chars().enumerate() {
        let is_marker = matches!(
            c,
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '<' | '>' | '(' | ')' | '#' | '|' | '!' | '~' | '&' | '^'
        );
        // Only at the beginning of a line do these make lists, rules and headings.
        let begins = place == 0 && matches!(c, '-' | '+' | '=' | ':');
        if is_marker || begins {
            out.push('\\');
        }
        out.push(c);
    }
    // `1.` at the beginning is a list, too.
    match out.find(|c: char| !c.is_ascii_digit()) {
        Some(end) if end > 0 && out[end..].starts_with('.') => format!("{}\\{}", &out[..end], &out[end..]),
        Some(_) | None => out,
    }
}

fn overview(report: &Report<'_>, out: &mut String) {
    let (diagnosis, score) = (report.diagnosis, &report.diagnosis.score);
    let value = score.value.map_or_else(|| "none".to_owned(), |value| format!("{value:.0} of 100"));
    let (analysed, missing) = (diagnosis.services_analyzed.len(), diagnosis.missing_services.len());
    let _ = write!(
        out,
        "# Diagnosis of {}\n\n**{}.** {}\n\n| | |\n|---|---|\n| Score | {value}, between {:.0} and {:.0} |\n\
         | Confidence | {} ({}) |\n| Services | {analysed} of {} answered |\n| Made | {} |\n| Run | {} |\n",
        plain(&diagnosis.domain),
        words::verdict(diagnosis),
        plain(&diagnosis.summary),
        score.low,
        score.high,
        words::percent(diagnosis.confidence),
        diagnosis.confidence_level.as_str(),
        analysed + missing,
        words::moment(report.made_at),
        plain(&diagnosis.run_id),
    );
    if let Some(late) = words::late(diagnosis) {
        let _ = write!(out, "\n{}\n", plain(&late));
    }
    if let Some(cause) = &diagnosis.primary_cause {
        let _ = write!(out, "\nLook first at: **{}**. {}\n", plain(&cause.title), plain(&cause.why));
    }
}

fn next_steps(report: &Report<'_>, out: &mut String) {
    let steps: Vec<_> = report.diagnosis.what_to_do_next.iter().filter(|step| step.kind == StepKind::Fix).collect();
    if steps.is_empty() {
        return;
    }
    out.push_str("\n## What to do next\n\n");
    for (place, step) in (1..).zip(steps) {
        let (action, title) = (plain(&step.action), plain(&step.title));
        let _ = writeln!(out, "{place}. {action} ({title}; {})", words::effort(step.effort));
    }
}

fn changes(report: &Report<'_>, out: &mut String) {
    let changed = &report.diagnosis.what_changed;
    match changed.status {
        ChangeStatus::FirstDiagnosis => return,
        ChangeStatus::NotComparable => {
            let reason = changed.reason.as_deref().unwrap_or("no reason is known");
            let _ = write!(
                out,
                "\n## Since the last time\n\nThe previous diagnosis cannot be compared: {}.\n",
                plain(reason)
            );
            return;
        }
        ChangeStatus::Compared => {}
    }
    let _ = write!(out, "\n## Since the last time\n\n{}\n", change_summary(changed));
    let mut list = |label: &str, changes: &[Change]| {
        for (place, change) in changes.iter().enumerate() {
            let detail = change.detail.as_deref().map(|detail| format!(": {}", plain(detail))).unwrap_or_default();
            let gap = if place == 0 { "\n" } else { "" };
            let _ = writeln!(out, "{gap}- **{label}**: {}{detail}", plain(&change.title));
        }
    };
    list("New", &changed.new);
    list("Worse", &changed.worse);
    list("Better", &changed.better);
    list("Fixed", &changed.fixed);
}

fn history(report: &Report<'_>, out: &mut String) {
    if report.history.len() < 2 {
        return;
    }
    out.push_str("\n## The score over time\n\n| made | score | between | confidence |\n|---|---:|---:|---:|\n");
    for point in report.history {
        let score = point.score.map_or_else(|| "–".to_owned(), |score| format!("{score:.0}"));
        let made = words::moment(point.made_at);
        let confidence = words::percent(point.confidence);
        let _ = writeln!(out, "| {made} | {score} | {:.0} and {:.0} | {confidence} |", point.low, point.high);
    }
}

fn findings(report: &Report<'_>, out: &mut String) {
    let total = report.diagnosis.findings.len();
    if total == 0 {
        return;
    }
    let _ = write!(out, "\n## What is wrong ({})\n", count(total as u64, "finding", "findings"));
    for (place, branch) in (1..).zip(branches(report.diagnosis)) {
        let _ = write!(out, "\n### {place}. {}\n\n", plain(&branch.root.title));
        finding(branch.root, report, out);
        for symptom in branch.symptoms {
            let _ = write!(out, "\n#### Likely caused by this: {}\n\n", plain(&symptom.title));
            finding(symptom, report, out);
        }
    }
}

fn finding(finding: &Finding, report: &Report<'_>, out: &mut String) {
    let reach = finding.reach.map(|reach| format!(", touches {}", words::percent(reach))).unwrap_or_default();
    let _ = writeln!(
        out,
        "{} · {} · {}{reach} · {} sure · {}\n",
        finding.severity,
        plain(&words::category(report.book, &finding.category)),
        words::effort(finding.effort),
        words::percent(finding.confidence),
        plain(&finding.id),
    );
    if !finding.why.is_empty() {
        let _ = writeln!(out, "- Why: {}", plain(&finding.why));
    }
    if !finding.action.is_empty() {
        let _ = writeln!(out, "- Do: {}", plain(&finding.action));
    }
    for signal in &finding.evidence.signals {
        let value = plain(&words::value(report.book, signal));
        let trust = words::percent(signal.quality);
        let _ =
            writeln!(out, "- Measured: {}: {value} ({}, trust {trust})", plain(&signal.name), plain(&signal.source));
    }
    let listed = finding.evidence.items.iter().take(PLACES_LISTED);
    for item in listed.clone() {
        let _ = writeln!(out, "- Where: {}", place(item));
    }
    let more = finding.evidence.total.saturating_sub(listed.count() as u64);
    if more > 0 && !finding.evidence.items.is_empty() {
        let _ = writeln!(out, "- and {more} more");
    }
    for hidden in &finding.consequences {
        let _ = writeln!(out, "- Means nothing until this is repaired: {}", plain(&hidden.title));
    }
}

fn place(item: &EvidenceItem) -> String {
    let link = words::web_address(&item.url).filter(|url| !url.contains(['<', '>', ' ', '\\', '|']));
    let url = link.map_or_else(|| plain(&item.url), |url| format!("<{url}>"));
    match (url.is_empty(), item.detail.is_empty()) {
        (false, false) => format!("{url} {}", plain(&item.detail)),
        (false, true) => url,
        (true, _) => plain(&item.detail),
    }
}

fn missing(report: &Report<'_>, out: &mut String) {
    let missing = &report.diagnosis.missing_services;
    if missing.is_empty() {
        return;
    }
    let _ = write!(out, "\n## What is missing ({})\n\n", count(missing.len() as u64, "service", "services"));
    for service in missing {
        let name = plain(&service.display_name);
        let _ = writeln!(
            out,
            "- **{name}** ({}; costs {}): {}",
            missing_state(service),
            words::cost(service),
            plain(&service.reason)
        );
    }
}

fn making(report: &Report<'_>, out: &mut String) {
    let diagnosis = report.diagnosis;
    out.push_str("\n## How the numbers were made\n\n| category | score | weight | measured |\n|---|---:|---:|---:|\n");
    for category in &diagnosis.score.categories {
        let score = category.score.map_or_else(|| "–".to_owned(), |score| format!("{score:.0}"));
        let name = plain(&words::category(report.book, &category.category));
        let (weight, measured) = (words::percent(category.weight), words::percent(category.coverage));
        let _ = writeln!(out, "| {name} | {score} | {weight} | {measured} |");
    }
    let open = &diagnosis.rules.not_evaluated;
    if !open.is_empty() {
        let _ = write!(out, "\nChecks that were not made ({}); not made is not passed:\n\n", open.len());
        for rule in open {
            let lacks: Vec<String> = rule.missing.iter().map(|id| plain(&words::signal(report.book, id))).collect();
            let _ = writeln!(
                out,
                "- {} {}: lacks {}",
                plain(&rule.id),
                plain(&words::rule(report.book, &rule.id)),
                lacks.join(", ")
            );
        }
    }
    for (place, warning) in diagnosis.warnings.iter().enumerate() {
        let about = warning.service.as_deref().map(|service| format!("{}: ", plain(service))).unwrap_or_default();
        let gap = if place == 0 { "\nWorth knowing:\n\n" } else { "" };
        let _ = writeln!(out, "{gap}- {about}{}", plain(&warning.detail));
    }
}
