//! Findings: causes in order of priority, and what each one explains under it.

use hermes_diagnosis::Finding;
use hermes_diagnosis::finding::FindingEvidence;
use hermes_diagnosis::signal::EvidenceItem;
use maud::{Markup, html};

use crate::Report;
use crate::tree::{Branch, branches};
use crate::words::{self, count};

/// Places that are shown at once; the others open with a click, and on paper.
const PLACES_AT_ONCE: usize = 3;

pub(super) fn render(report: &Report<'_>) -> Markup {
    let total = report.diagnosis.findings.len() as u64;
    html! {
        @if total > 0 {
            section {
                h2 { "What is wrong " span.number { (total) } }
                p.hint { "In order of priority. What a cause likely explains stands under it." }
                @for (place, branch) in branches(report.diagnosis).iter().enumerate() { (card(place + 1, branch, report)) }
            }
        } @else if !report.diagnosis.services_analyzed.is_empty() {
            section { h2 { "What is wrong" } p.lead { "Nothing that was measured is wrong." } }
        }
    }
}

fn card(place: usize, branch: &Branch<'_>, report: &Report<'_>) -> Markup {
    let finding = branch.root;
    html! {
        article class={ "finding " (finding.severity.as_str()) } {
            (head(Some(place), finding, report))
            (body(finding, report))
            @if !branch.symptoms.is_empty() {
                div.under {
                    h4 { "Likely caused by this" }
                    @for symptom in &branch.symptoms {
                        article class={ "finding symptom " (symptom.severity.as_str()) } {
                            (head(None, symptom, report))
                            (body(symptom, report))
                        }
                    }
                }
            }
        }
    }
}

fn head(place: Option<usize>, finding: &Finding, report: &Report<'_>) -> Markup {
    html! {
        header {
            h3 dir="auto" {
                @if let Some(place) = place { span.place { (place) } }
                (words::title(&finding.title))
            }
            p.meta {
                span.severity { (finding.severity.as_str()) }
                span { (words::category(report.book, &finding.category)) }
                span { (words::effort(finding.effort)) }
                @if let Some(reach) = finding.reach { span { "touches " (words::percent(reach)) } }
                span { (words::percent(finding.confidence)) " sure" }
                span.id { (words::title(&finding.id)) }
            }
        }
    }
}

fn body(finding: &Finding, report: &Report<'_>) -> Markup {
    html! {
        @if !finding.why.is_empty() { p.why dir="auto" { (words::text(&finding.why)) } }
        @if !finding.action.is_empty() { p.action dir="auto" { (words::text(&finding.action)) } }
        @if let Some(gate) = finding.gate {
            p.gate { "While this stands, the overall score is " (gate) " at most." }
        }
        (places(&finding.evidence))
        (signals(&finding.evidence, report))
        @if !finding.consequences.is_empty() {
            div.hidden {
                h4 { "Means nothing until this is repaired" }
                ul { @for hidden in &finding.consequences { li { bdi { (words::title(&hidden.title)) } } } }
            }
        }
        p.source dir="auto" { "Source: " (words::text(&finding.source)) }
    }
}

fn places(evidence: &FindingEvidence) -> Markup {
    let (first, rest) = evidence.items.split_at(evidence.items.len().min(PLACES_AT_ONCE));
    let unlisted = evidence.total.saturating_sub(evidence.items.len() as u64);
    html! {
        @if !first.is_empty() {
            h4 { "Where" @if evidence.total > 1 { span.number { (words::grouped(evidence.total)) } } }
            ul.places { @for item in first { (self::place(item)) } }
            @if !rest.is_empty() {
                details {
                    summary { (count(rest.len() as u64, "more place", "more places")) }
                    ul.places { @for item in rest { (self::place(item)) } }
                }
            }
            @if unlisted > 0 { p.more { "and " (count(unlisted, "other", "others")) " that are not listed" } }
        }
    }
}

fn place(item: &EvidenceItem) -> Markup {
    html! {
        li {
            @if let Some(url) = words::web_address(&item.url) {
                a href=(url) rel="noopener noreferrer nofollow" dir="ltr" { (url) }
            } @else if !item.url.is_empty() {
                span.url dir="ltr" { (hermes_diagnosis::clean(&item.url, words::URL_BYTES_MAX)) }
            }
            @if !item.detail.is_empty() { span.detail dir="auto" { (words::text(&item.detail)) } }
        }
    }
}

fn signals(evidence: &FindingEvidence, report: &Report<'_>) -> Markup {
    html! {
        @if !evidence.signals.is_empty() {
            table.signals {
                thead { tr { th scope="col" { "Measured" } th scope="col" { "Value" } th scope="col" { "By" } th scope="col" { "Trust" } } }
                tbody {
                    @for signal in &evidence.signals {
                        tr {
                            td { (words::title(&signal.name)) }
                            td.value dir="auto" { (words::value(report.book, signal)) }
                            td.by { (words::title(&signal.source)) }
                            td.trust { (words::percent(signal.quality)) }
                        }
                    }
                }
            }
        }
    }
}
