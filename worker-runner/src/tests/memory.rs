//! The worker-runner over the queue in memory, as the all-in-one process has it.

use std::collections::BTreeSet;
use std::sync::Arc;

use hermes_adapters::memory::MemoryQueue;
use hermes_core::run::JobOrder;
use hermes_core::wire::{Job, Outcome, Report};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::fake::{Even, LONG_MS, NoHttp, job, key};
use crate::builtin::noop::Noop;
use crate::{Ports, Registry, RunnerOptions, run};

/// Publishes `jobs`, revokes some of them once they run, and collects `count` final reports.
async fn reports(jobs: Vec<Job>, revoked: &[Job], count: usize) -> Vec<Report> {
    let queue = MemoryQueue::new();
    let (dispatcher, shutdown) = (queue.dispatcher(), CancellationToken::new());
    let ports = Ports { queue: queue.worker("worker-1"), http: Arc::new(NoHttp), entropy: Arc::new(Even) };
    let registry = Registry::default().with(key(), Arc::new(Noop));
    let token = shutdown.clone();
    let running = tokio::spawn(async move { run(ports, &registry, RunnerOptions::new(vec![key()]), token).await });
    dispatcher.publish(&jobs).await.expect("published");
    let mut finals = Vec::new();
    while finals.len() < count {
        for delivered in dispatcher.reports(64).await.expect("open") {
            dispatcher.acknowledge(&[delivered.receipt]).await.expect("open");
            if delivered.report.outcome != Outcome::Started {
                finals.push(delivered.report);
                continue;
            }
            let order = |job: &Job| JobOrder {
                id: job.id.clone(),
                worker_key: key(),
                timeout_ms: job.timeout_ms,
                remaining_ms: job.remaining_ms,
            };
            let orders: Vec<_> = revoked.iter().filter(|job| job.id == delivered.report.job).map(order).collect();
            dispatcher.revoke(&orders).await.expect("open");
        }
    }
    shutdown.cancel();
    let report = running.await.expect("no panic").expect("in order");
    assert_eq!((report.completed, report.revoked), (count as u64, revoked.len() as u64));
    finals
}

#[tokio::test(start_paused = true)]
async fn each_job_of_a_wide_fan_out_is_executed_and_reported_once() {
    let jobs: Vec<_> = (1..=1_000).map(|number| job(number, json!({"result": {"number": number}}))).collect();
    let finals = reports(jobs, &[], 1_000).await;
    let distinct: BTreeSet<_> = finals.iter().map(|report| report.job.clone()).collect();
    assert_eq!((finals.len(), distinct.len()), (1_000, 1_000));
    assert!(finals.iter().all(|report| matches!(report.outcome, Outcome::Completed { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_revoked_while_it_runs_is_never_reported() {
    let (revoked, kept) = (job(1, json!({"delay_ms": LONG_MS})), job(2, json!({"delay_ms": LONG_MS})));
    let finals = reports(vec![revoked.clone(), kept.clone()], &[revoked], 1).await;
    assert_eq!(finals[0].job, kept.id);
}
