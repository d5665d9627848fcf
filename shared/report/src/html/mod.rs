//! The report as one HTML page. No script, no external resource, no inline style: the style sheet is allowed by its digest,
//! and bars and charts are drawn with SVG attributes.

mod chart;
mod findings;
mod making;
mod missing;
mod overview;

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hermes_diagnosis::diagnosis::StepKind;
use hermes_diagnosis::diff::{Change, ChangeStatus, WhatChanged};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use crate::Report;
use crate::words::{self, count};

pub(crate) use missing::state as missing_state;

/// The whole style sheet, as it stands in the page.
const STYLE: &str = include_str!("style.css");

static POLICY: LazyLock<String> = LazyLock::new(|| {
    let digest = STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    format!("default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'")
});

/// The content security policy of every page: nothing is loaded, run, framed or sent, and only its own style sheet
/// applies. Who serves the page over HTTP sends it as a header too, with `frame-ancestors 'none'`.
#[must_use]
pub fn content_security_policy() -> &'static str {
    &POLICY
}

/// The report as one HTML page.
#[must_use]
pub fn html(report: &Report<'_>) -> String {
    let diagnosis = report.diagnosis;
    let domain = words::title(&diagnosis.domain);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(content_security_policy());
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                meta name="robots" content="noindex";
                title { "Diagnosis of " (domain) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    (overview::render(report))
                    (next_steps(report))
                    (changes(report))
                    (chart::render(report.history))
                    (findings::render(report))
                    (missing::render(report))
                    (making::render(report))
                }
                footer {
                    p {
                        "Made by Hermes on " (words::moment(report.made_at)) ". Run " code { (words::title(&diagnosis.run_id)) }
                        @if diagnosis.revision > 1 { ", revision " (diagnosis.revision) }
                        ", plan " code { (words::title(&diagnosis.plan_id)) } "."
                    }
                }
            }
        }
    };
    page.into_string()
}

fn next_steps(report: &Report<'_>) -> Markup {
    let steps = &report.diagnosis.what_to_do_next;
    let repairs: Vec<_> = steps.iter().filter(|step| step.kind == StepKind::Fix).collect();
    html! {
        @if !repairs.is_empty() {
            section {
                h2 { "What to do next" }
                ol.steps {
                    @for step in repairs {
                        li {
                            p.do dir="auto" { (words::text(&step.action)) }
                            p.about {
                                bdi { (words::title(&step.title)) }
                                span.tag { (words::effort(step.effort)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn changes(report: &Report<'_>) -> Markup {
    let changed = &report.diagnosis.what_changed;
    html! {
        @match changed.status {
            ChangeStatus::FirstDiagnosis => {}
            ChangeStatus::NotComparable => section {
                h2 { "Since the last time" }
                p { "The previous diagnosis cannot be compared: " (words::text(changed.reason.as_deref().unwrap_or("no reason is known"))) "." }
            }
            ChangeStatus::Compared => section {
                h2 { "Since the last time" }
                p.lead { (change_summary(changed)) }
                (change_list("New", "bad", &changed.new))
                (change_list("Worse", "bad", &changed.worse))
                (change_list("Better", "good", &changed.better))
                (change_list("Fixed", "good", &changed.fixed))
            }
        }
    }
}

/// The comparison in a sentence or two.
pub(crate) fn change_summary(changed: &WhatChanged) -> String {
    let score = match (changed.score_before, changed.score_change) {
        (Some(before), Some(change)) if change.abs() < 0.5 => format!("The score stayed at {before:.0}. "),
        (Some(before), Some(change)) => {
            let way = if change > 0.0 { "rose" } else { "fell" };
            format!("The score {way} by {:.0}, from {before:.0}. ", change.abs())
        }
        _ => String::new(),
    };
    let same = count((changed.unchanged + changed.within_noise.len()) as u64, "finding is", "findings are");
    let unseen = match changed.not_comparable.len() as u64 {
        0 => String::new(),
        unseen => format!("; {} be compared", count(unseen, "other cannot", "others cannot")),
    };
    format!("{score}{same} as before{unseen}.")
}

fn change_list(label: &str, tone: &str, list: &[Change]) -> Markup {
    html! {
        @if !list.is_empty() {
            div.change {
                h3 class=(tone) { (label) span.number { (list.len()) } }
                ul {
                    @for change in list {
                        li {
                            bdi { (words::title(&change.title)) }
                            @if let Some(detail) = &change.detail { span.detail { (words::text(detail)) } }
                        }
                    }
                }
            }
        }
    }
}
