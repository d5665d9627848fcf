//! How each number was made: categories with their weights, checks that were not made, and the formulas.

use hermes_diagnosis::Diagnosis;
use hermes_diagnosis::score::CategoryScore;
use maud::{Markup, html};

use super::overview::figure;
use crate::Report;
use crate::words;

pub(super) fn render(report: &Report<'_>) -> Markup {
    let diagnosis = report.diagnosis;
    html! {
        section.making {
            h2 { "How the numbers were made" }
            @if !diagnosis.score.categories.is_empty() {
                h3 { "Score by category" }
                (categories(&diagnosis.score.categories, report))
            }
            (explanation(diagnosis))
            (not_evaluated(report))
            (warnings(diagnosis))
        }
    }
}

/// A bar of 0 to 1.
pub(super) fn bar(share: f64, tone: &str, label: &str) -> Markup {
    let width = figure(share.clamp(0.0, 1.0) * 100.0);
    html! {
        svg.bar viewBox="0 0 100 4" preserveAspectRatio="none" role="img" aria-label={ (label) ": " (words::percent(share)) } {
            rect.track x="0" y="0" width="100" height="4" {}
            rect class=(tone) x="0" y="0" width=(width) height="4" {}
        }
    }
}

fn categories(categories: &[CategoryScore], report: &Report<'_>) -> Markup {
    html! {
        table.categories {
            thead { tr {
                th scope="col" { "Category" } th scope="col" { "Score" } td {}
                th scope="col" { "Weight" } th scope="col" { "Measured" }
            } }
            tbody {
                @for category in categories {
                    @let band = words::band(category.score);
                    tr {
                        td { (words::category(report.book, &category.category)) }
                        td.number { @match category.score { Some(score) => (format!("{score:.0}")), None => "–" } }
                        td.wide-bar { @match category.score {
                            Some(score) => (bar(score / 100.0, band, "score")),
                            None => span.quiet { @if category.coverage >= 1.0 { "does not apply" } @else { "not measured" } },
                        } }
                        td.number { (words::percent(category.weight)) }
                        td.number { (words::percent(category.coverage)) }
                    }
                }
            }
        }
    }
}

fn explanation(diagnosis: &Diagnosis) -> Markup {
    let gates: Vec<u8> = diagnosis.findings.iter().filter_map(|finding| finding.gate).collect();
    html! {
        dl.formulas {
            dt { "Score" }
            dd {
                "The mean of the categories of which at least half was measured, by their weights. The bounds "
                (format!("{:.0}", diagnosis.score.low)) " to " (format!("{:.0}", diagnosis.score.high))
                " hold whatever the checks that were not made would have said."
                @if let Some(gate) = gates.iter().min() { " A fault that stands above all others caps it at " (gate) "." }
            }
            dt { "Confidence" }
            dd {
                "The share of all checks, by category weight and severity, that were decided, times the trust in what decided them: "
                (words::percent(diagnosis.confidence)) "."
            }
            dt { "Priority" }
            dd { "Severity, times the root of the share of the site that is touched, times confidence, divided by effort. A finding whose cause was found keeps a quarter of it." }
            dt { "Checks" }
            dd {
                (diagnosis.rules.fired.len()) " found a fault, " (diagnosis.rules.passed.len()) " passed, "
                (diagnosis.rules.not_applicable.len()) " did not apply to this site, "
                (diagnosis.rules.not_evaluated.len()) " could not be made, " (diagnosis.rules.out_of_scope)
                " belong to services that the plan does not have"
                "."
            }
        }
    }
}

fn not_evaluated(report: &Report<'_>) -> Markup {
    let open = &report.diagnosis.rules.not_evaluated;
    html! {
        @if !open.is_empty() {
            h3 { "Checks that were not made " span.number { (open.len()) } }
            p.hint { "Not made is not passed. Each one lacks something that was not measured." }
            table.open {
                thead { tr { th scope="col" { "Check" } th scope="col" { "Lacks" } } }
                tbody {
                    @for rule in open {
                        tr {
                            td { span.id { (words::title(&rule.id)) } " " (words::rule(report.book, &rule.id)) }
                            td { @for (place, id) in rule.missing.iter().enumerate() { @if place > 0 { ", " } (words::signal(report.book, id)) } }
                        }
                    }
                }
            }
        }
    }
}

fn warnings(diagnosis: &Diagnosis) -> Markup {
    html! {
        @if !diagnosis.warnings.is_empty() {
            h3 { "Worth knowing" }
            ul.plain {
                @for warning in &diagnosis.warnings {
                    li dir="auto" {
                        @if let Some(service) = &warning.service { bdi.id { (words::title(service)) } " " }
                        (words::text(&warning.detail))
                    }
                }
            }
        }
    }
}
