//! What is missing: services without a result, why, what that costs, and what it would take.

use hermes_core::ServiceStatus;
use hermes_diagnosis::diagnosis::MissingService;
use maud::{Markup, html};

use crate::Report;
use crate::words;

pub(super) fn render(report: &Report<'_>) -> Markup {
    let missing = &report.diagnosis.missing_services;
    html! {
        @if !missing.is_empty() {
            section {
                h2 { "What is missing " span.number { (missing.len()) } }
                p.hint { "Nothing is guessed in place of it: it lowers the confidence and widens the bounds of the score." }
                @for service in missing { (one(service)) }
            }
        }
    }
}

fn one(service: &MissingService) -> Markup {
    html! {
        article.missing {
            header {
                h3 dir="auto" { (words::title(&service.display_name)) }
                p.meta {
                    span { (state(service)) }
                    @if service.required { span { "required by the plan" } }
                    span { "costs " (words::cost(service)) }
                }
            }
            @if let Some(how) = &service.how_to_enable {
                @if let Some(why) = why_alone(&service.reason, how) { p.why dir="auto" { (words::text(why)) } }
                p.action dir="auto" { (words::text(how)) }
            } @else {
                p.why dir="auto" { (words::text(&service.reason)) }
            }
        }
    }
}

/// The reason without the hint that was appended to it; the hint stands by itself.
fn why_alone<'a>(reason: &'a str, how: &str) -> Option<&'a str> {
    let why = reason.strip_suffix(how).unwrap_or(reason).trim_end();
    (!why.is_empty()).then_some(why)
}

/// How the service ended, in words.
pub(crate) fn state(service: &MissingService) -> &'static str {
    match service.status {
        ServiceStatus::Failed if service.error_class.as_deref() == Some("not_configured") => "not configured",
        ServiceStatus::Failed => "failed",
        ServiceStatus::Timeout => "did not answer in time",
        ServiceStatus::Skipped => "skipped",
        ServiceStatus::Cancelled => "cancelled",
        ServiceStatus::Completed | ServiceStatus::Pending | ServiceStatus::Queued | ServiceStatus::Running => {
            "had not ended"
        }
    }
}
