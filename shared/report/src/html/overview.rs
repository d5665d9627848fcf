//! The first thing that a reader sees: whose site, the verdict, the score with its bounds, and how much is backed.

use hermes_diagnosis::Diagnosis;
use hermes_diagnosis::diagnosis::Cause;
use hermes_diagnosis::score::CONFIDENCE_FOR_A_SCORE;
use maud::{Markup, html};

use super::making::bar;
use crate::Report;
use crate::words::{self, count};

pub(super) fn render(report: &Report<'_>) -> Markup {
    let diagnosis = report.diagnosis;
    html! {
        header.top {
            p.brand { "Site diagnosis" }
            p.date { (words::moment(report.made_at)) }
        }
        section.overview {
            div.verdict {
                p.site dir="auto" { (words::title(&diagnosis.domain)) }
                h1 { (words::verdict(diagnosis)) }
                p.lead dir="auto" { (words::text(&diagnosis.summary)) }
            }
            (score(diagnosis))
            (figures(report))
        }
        @if let Some(cause) = &diagnosis.primary_cause { (primary(cause, report)) }
    }
}

fn score(diagnosis: &Diagnosis) -> Markup {
    let score = &diagnosis.score;
    let (low, high) = (score.low.clamp(0.0, 100.0), score.high.clamp(0.0, 100.0));
    let shown = score.value.map_or_else(|| "–".to_owned(), |value| format!("{value:.0}"));
    let label = match score.value {
        Some(value) => format!("Score {value:.0} of 100, between {low:.0} and {high:.0}"),
        None => format!("No score; between {low:.0} and {high:.0}"),
    };
    html! {
        div.score {
            svg viewBox="0 0 120 120" role="img" aria-label=(label) {
                circle.track cx="60" cy="60" r="46" pathLength="100" {}
                circle class={ "bounds " (words::band(score.value)) } cx="60" cy="60" r="55.5" pathLength="100"
                    stroke-dasharray={ (figure(high - low)) " 100" } stroke-dashoffset={ "-" (figure(low)) }
                    transform="rotate(-90 60 60)" {}
                @if let Some(value) = score.value {
                    circle class={ "value " (words::band(score.value)) } cx="60" cy="60" r="46" pathLength="100"
                        stroke-dasharray={ (figure(value.clamp(0.0, 100.0))) " 100" } transform="rotate(-90 60 60)" {}
                }
                text.big x="60" y="69" text-anchor="middle" { (shown) }
                @if score.value.is_some() { text.small x="60" y="84" text-anchor="middle" { "of 100" } }
            }
            p.bounds {
                @if score.value.is_some() { "between " (figure(low.round())) " and " (figure(high.round())) }
                @else { "too little is known for a score" }
            }
        }
    }
}

/// A number for an attribute or a sentence, without idle decimals.
pub(super) fn figure(number: f64) -> String {
    let text = format!("{number:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn figures(report: &Report<'_>) -> Markup {
    let diagnosis = report.diagnosis;
    let (analysed, missing) = (diagnosis.services_analyzed.len() as u64, diagnosis.missing_services.len() as u64);
    let checks = diagnosis.rules.fired.len() + diagnosis.rules.passed.len() + diagnosis.rules.not_applicable.len();
    let open = diagnosis.rules.not_evaluated.len();
    html! {
        dl.figures {
            div {
                dt { "Confidence" }
                dd { strong { (words::percent(diagnosis.confidence)) } " " (diagnosis.confidence_level.as_str()) }
                (bar(diagnosis.confidence, words::level_band(diagnosis.confidence_level), "confidence"))
            }
            div {
                dt { "Services" }
                dd { strong { (analysed) } " of " (analysed + missing) " answered" }
                (bar(share(analysed, analysed + missing), "plain", "services"))
            }
            div {
                dt { "Checks" }
                dd { strong { (checks) } " of " (checks + open) " made" }
                (bar(share(checks as u64, (checks + open) as u64), "plain", "checks"))
            }
        }
        @if let Some(late) = words::late(diagnosis) { p.note { (late) } }
        @if diagnosis.score.value.is_none() && diagnosis.confidence < CONFIDENCE_FOR_A_SCORE {
            p.note { "Below " (words::percent(CONFIDENCE_FOR_A_SCORE)) " of confidence there is no overall score, only findings." }
        }
    }
}

fn share(part: u64, whole: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts of services and checks are small")]
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn primary(cause: &Cause, report: &Report<'_>) -> Markup {
    let also = &report.diagnosis.supporting_causes;
    html! {
        section class={ "primary " (cause.severity.as_str()) } {
            p.label { "Look here first" }
            h2 dir="auto" { (words::title(&cause.title)) }
            p dir="auto" { (words::text(&cause.why)) }
            @if !cause.explains.is_empty() {
                p.explains { "Explains or hides " (count(cause.explains.len() as u64, "other finding", "other findings")) "." }
            }
            @if !also.is_empty() {
                p.also {
                    "Then: "
                    @for (place, next) in also.iter().enumerate() {
                        @if place > 0 { " · " }
                        bdi { (words::title(&next.title)) }
                    }
                }
            }
        }
    }
}
