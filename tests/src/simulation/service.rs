//! Services that behave as services do: most answer, some fail, hang, panic, answer later, or take their process along.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hermes_core::Json;
use hermes_core::run::Event;
use hermes_core::wire::{ErrorClass, JobId, Outcome, Report, ServiceError, WIRE_VERSION};
use hermes_worker_runner::{AttemptContext, Service, ServiceOutcome};
use serde_json::json;

use super::plans::POISON;
use super::process::Process;
use super::world::World;

/// The service of every worker key.
pub(super) struct Fickle(pub(super) Arc<Process>);

/// A result that tells from which attempt it is.
fn result_of(job: &JobId) -> Json {
    Json::of(&json!({ "job": job.to_string() }))
}

#[async_trait]
impl Service for Fickle {
    async fn run(&self, attempt: &AttemptContext<'_>) -> ServiceOutcome {
        let (world, job) = (&self.0.world, &attempt.job.id);
        self.0.alive(async {}).await;
        world.begun(&self.0.name, job);
        if attempt.job.worker_key.as_str() == POISON {
            world.ledger.saw("poisonous job executed");
            self.0.kill();
        }
        let takes_ms = world.chance.between(1, 4_000);
        self.0.alive(tokio::time::sleep(Duration::from_millis(takes_ms))).await;
        if !world.faults_on() {
            return ServiceOutcome::Completed(result_of(job));
        }
        match world.chance.below(100) {
            0..60 => ServiceOutcome::Completed(result_of(job)),
            60..72 => failed(job, true, None),
            72..77 => failed(job, true, Some(world.chance.between(100, 20_000))),
            77..82 => failed(job, false, None),
            82..90 => std::future::pending().await,
            // Without the hook that prints it.
            90..92 => std::panic::resume_unwind(Box::new(format!("a planted panic of {job}"))),
            92..98 => {
                deliver_later(world, job.clone());
                ServiceOutcome::Deferred
            }
            _ => std::future::pending().await,
        }
    }
}

fn failed(job: &JobId, retryable: bool, retry_after_ms: Option<u64>) -> ServiceOutcome {
    // As a result does, the error tells from which attempt it is.
    let error = ServiceError::new(ErrorClass::ServerError, job.to_string());
    ServiceOutcome::Failed { error, retryable, retry_after_ms }
}

/// The result comes by callback, more than once, or never.
fn deliver_later(world: &Arc<World>, job: JobId) {
    let world = Arc::clone(world);
    tokio::spawn(async move {
        for _ in 0..world.chance.below(4) {
            tokio::time::sleep(Duration::from_millis(world.chance.between(1, 6_000))).await;
            let outcome = Outcome::Completed { duration_ms: 1, result: result_of(&job) };
            let report = Report { v: WIRE_VERSION, job: job.clone(), worker: "callback".to_owned(), outcome };
            let Some(engine) = world.any_dispatcher() else { continue };
            let event = Event::Reported { report, jitter: engine.entropy().jitter() };
            // Whether it counts is for the core to say; a dispatcher that dies answers nothing.
            let told = engine.command(job.run_id, event);
            drop(tokio::time::timeout(Duration::from_secs(5), told).await);
        }
    });
}
