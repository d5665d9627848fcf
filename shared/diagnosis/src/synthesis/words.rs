//! The sentences of a diagnosis.

use hermes_core::wire::ErrorClass;
use hermes_core::{RunStatus, ServiceStatus};

use super::{Input, ServiceOutcome};
use crate::confidence::ConfidenceLevel;
use crate::diagnosis::Cause;
use crate::finding::Finding;
use crate::limits::TITLE_BYTES_MAX;
use crate::rules::Severity;
use crate::text::{clean, count, list};

/// One or two plain sentences: what was found, and how much of the picture there is.
pub(super) fn summary(
    input: &Input<'_>,
    findings: &[Finding],
    primary: Option<&Cause>,
    confidence: f64,
    level: ConfidenceLevel,
) -> String {
    let domain = clean(input.domain, TITLE_BYTES_MAX);
    let total = input.services.len();
    let missing: Vec<String> = input
        .services
        .iter()
        .filter(|outcome| !outcome.has_answered())
        .map(|outcome| clean(outcome.display_name, TITLE_BYTES_MAX))
        .collect();
    if missing.len() == total {
        return format!("Nothing is known about {domain}: {}.", nothing_because(input.run_status));
    }
    let found = found(&domain, findings, primary);
    let backed = format!("confidence is {confidence:.2} ({})", level.as_str());
    if missing.is_empty() {
        let services = if total == 1 { "The one service".to_owned() } else { format!("All {total} services") };
        let ended = match input.services.iter().filter(|outcome| outcome.is_late).count() {
            0 => "completed".to_owned(),
            late => format!("answered ({late} late)"),
        };
        return format!("{found} {services} {ended}; {backed}.");
    }
    let names: Vec<&str> = missing.iter().map(String::as_str).collect();
    let verb = if missing.len() == 1 { "is" } else { "are" };
    let services = count(total, "service", "services");
    format!("{found} {} of {services} {verb} missing ({}); {backed}.", missing.len(), list(&names))
}

fn nothing_because(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Cancelled => "the run was cancelled before a service completed",
        RunStatus::Timeout => "no service completed by the deadline",
        RunStatus::Started | RunStatus::Running | RunStatus::Completed | RunStatus::Failed => "no service completed",
    }
}

fn found(domain: &str, findings: &[Finding], primary: Option<&Cause>) -> String {
    if findings.is_empty() {
        return format!("No problem was found on {domain} in what was analysed.");
    }
    let of = |severity: Severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let worst = match (of(Severity::Critical), of(Severity::High)) {
        (0, 0) => String::new(),
        (0, high) => format!(", {high} of high severity"),
        (critical, _) => format!(", {critical} critical"),
    };
    let cause = primary.map(|cause| format!("; look first at: {}", cause.title)).unwrap_or_default();
    format!("{domain} has {}{worst}{cause}.", count(findings.len(), "finding", "findings"))
}

/// Whether configuring the service is what it lacks. A skipped one lacks what it depends on, and perhaps that lacks
/// nothing but a configuration.
pub(super) fn enabling_helps(outcome: &ServiceOutcome<'_>, some_unconfigured: bool) -> bool {
    is_unconfigured(outcome) || (outcome.status == ServiceStatus::Skipped && some_unconfigured)
}

/// Whether a service failed for want of configuration, or failed without a class that says otherwise.
pub(super) fn is_unconfigured(outcome: &ServiceOutcome<'_>) -> bool {
    let not_configured = ErrorClass::NotConfigured.as_str();
    outcome.status == ServiceStatus::Failed && outcome.error_class.is_none_or(|class| class == not_configured)
}

/// Why a service has no result, and how to enable it.
pub(super) fn reason(outcome: &ServiceOutcome<'_>, how_to_enable: Option<&str>) -> String {
    let why = match (outcome.error.filter(|error| !error.trim().is_empty()), outcome.status) {
        (Some(error), _) => error.trim(),
        (None, ServiceStatus::Failed) => "It failed without saying why",
        (None, ServiceStatus::Timeout) => "It did not answer in time",
        (None, ServiceStatus::Skipped) => "Dependencies failed or timed out",
        (None, ServiceStatus::Cancelled) => "The run was cancelled",
        (None, ServiceStatus::Pending | ServiceStatus::Queued | ServiceStatus::Running | ServiceStatus::Completed) => {
            "It had not ended when the diagnosis was made"
        }
    };
    match how_to_enable {
        Some(how) if !tells(why, how) => format!("{}. {how}", why.trim_end_matches('.')),
        Some(_) | None => why.to_owned(),
    }
}

/// Whether an error already names every setting that the hint names.
fn tells(why: &str, how: &str) -> bool {
    let mut settings =
        how.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| word.contains('_')).peekable();
    settings.peek().is_some() && settings.all(|setting| why.contains(setting))
}
