//! What a person sees of a run in the logs. The sentences go to the target `hermes::run` with the facts beside them as
//! fields; the development format prints the sentence alone.

use hermes_core::kbase::{Fact, KbaseEvent, RunEnd, ServiceEnd};
use hermes_core::{Run, ServiceStatus};
use tracing::{Level, enabled, event};

/// Target of these lines.
const TARGET: &str = "hermes::run";

/// Logs a recorded event.
pub(super) fn log(run: &Run, recorded: &KbaseEvent, fact: &Fact) {
    if !enabled!(target: TARGET, Level::INFO) {
        return;
    }
    for line in lines(run, recorded, fact) {
        event!(
            target: TARGET,
            Level::INFO,
            run.id = %recorded.run_id,
            event.seq = recorded.seq,
            service.name = recorded.service,
            event.kind = recorded.kind,
            "{line}"
        );
    }
}

fn lines(run: &Run, event: &KbaseEvent, fact: &Fact) -> Vec<String> {
    let id = event.run_id;
    match fact {
        Fact::RunStarted(start) => {
            let again = if start.revision == 1 { "" } else { "Again: " };
            vec![
                format!("=== {again}Starting Orchestrated Run for {} ===", start.domain),
                format!("[Run {id}] Started for {} using plan {}", start.domain, start.plan_id),
            ]
        }
        Fact::WaveQueued { wave, services } => {
            let names: Vec<&str> = services.iter().map(|queued| queued.service.as_str()).collect();
            let first = format!("[Run {id}] Wave {wave}: Submitting {} services: {}", names.len(), names.join(", "));
            let each = names.iter().map(|name| format!("[Run {id}] Starting service: {name}"));
            std::iter::once(first).chain(each).collect()
        }
        Fact::ServiceStarted { .. } => Vec::new(),
        Fact::ServiceDeferred { service, .. } => {
            vec![format!("[Run {id}] … {service} was taken by its worker and will be delivered later")]
        }
        Fact::AttemptFailed { service, attempt, error, retry_at } => {
            let wait_ms = retry_at.since_ms(event.created_at);
            vec![format!("[Run {id}] ↻ {service} attempt {attempt} failed: {}; again in {wait_ms}ms", error.message)]
        }
        Fact::ServiceCompleted(result) => {
            vec![format!("[Run {id}] ✓ {} completed in {}ms", result.service, result.duration_ms)]
        }
        Fact::ServiceEnded(end) => vec![format!("[Run {id}] {}", ended(end))],
        Fact::LateReported { service, attempt, .. } => {
            vec![format!("[Run {id}] … {service} attempt {attempt} reported too late, which is kept")]
        }
        // A settlement and its diagnosis are of one moment.
        Fact::Diagnosed { .. } if run.state().settled_at != Some(event.created_at) => {
            vec![format!("[Run {id}] ✓ Diagnosis amended with what came late: event_id={}", event.event_id)]
        }
        Fact::Diagnosed { .. } => vec![
            format!("[Run {id}] Finalizing: {}", counts(run)),
            format!("[Run {id}] ✓ Diagnosis written: event_id={}", event.event_id),
        ],
        Fact::RunSettled(end) => settled(event, end),
        Fact::Noted(noted) => vec![format!("[Run {id}] {} noted {}", noted.service, noted.kind)],
    }
}

fn ended(end: &ServiceEnd) -> String {
    let (service, message) = (&end.service, &end.error.message);
    match end.status {
        ServiceStatus::Timeout => format!("⏱ {service} timed out: {message}"),
        ServiceStatus::Skipped => {
            let chain: Vec<String> = end.cause.iter().map(|link| format!("{} {}", link.service, link.status)).collect();
            format!("- {service} skipped: {message} ({})", chain.join(" ← "))
        }
        ServiceStatus::Cancelled => format!("- {service} cancelled"),
        ServiceStatus::Failed
        | ServiceStatus::Pending
        | ServiceStatus::Queued
        | ServiceStatus::Running
        | ServiceStatus::Completed => format!("✗ {service} failed: {message}"),
    }
}

fn counts(run: &Run) -> String {
    format!(
        "{} completed, {} failed, {} timeout, {} skipped",
        run.count(ServiceStatus::Completed),
        run.count(ServiceStatus::Failed),
        run.count(ServiceStatus::Timeout),
        run.count(ServiceStatus::Skipped)
    )
}

fn settled(event: &KbaseEvent, end: &RunEnd) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(error) = &end.synthesis_error {
        lines.push(format!("[Run {}] ✗ No diagnosis: {error}", event.run_id));
    }
    lines.push(format!("[Run {}] ✓ Run finalized with status: {}", event.run_id, end.status));
    lines.push(format!("=== Run Complete: {} ===", end.status));
    lines.push(format!("Duration: {}ms", end.duration_ms));
    lines.push(format!(
        "Services: {}/{} completed, {} failed, {} timeout",
        end.services_completed, end.services_total, end.services_failed, end.services_timeout
    ));
    if let Some(event_id) = end.diagnosis_event_id {
        lines.push(format!("Diagnosis: {event_id}"));
    }
    lines
}
