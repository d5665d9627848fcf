//! L: one run at a time, from the POST to its summary. Q: the first one after a quiet time. F: the same for one run of many services and a join.

use std::time::{Duration, Instant};

use hermes_core::{RunId, RunStatus, RunSummary};
use serde::Deserialize;

use super::http::Connection;
use super::meter::Meter;
use super::plans::Plan;
use super::system::System;
use super::verify;

/// Runs before those that count: connections, caches and plans of statements are made by them.
const WARM_UP_SHARE: usize = 10;

/// Durations of single runs.
pub(super) struct Latencies {
    /// Sorted.
    durations: Vec<Duration>,
    /// All runs, those of the warm-up included.
    pub(super) accepted: Vec<RunId>,
}

#[derive(Deserialize)]
struct Settled {
    run_id: RunId,
    status: RunStatus,
    #[expect(dead_code, reason = "that it is there and can be read is what the client waits for")]
    summary: RunSummary,
}

/// When a refused run is submitted again.
const AGAIN_AFTER: Duration = Duration::from_millis(20);

/// Starts `count` runs one after the other and waits for each; then checks them.
pub(super) async fn one_by_one(system: &System, plan: &Plan, count: usize) -> anyhow::Result<Latencies> {
    let mut meter = Meter::of(&system.servers)?;
    let before = meter.read().await?;
    let mut connection = Connection::to(&system.servers[0])?;
    let mut accepted = Vec::new();
    let mut durations = Vec::with_capacity(count);
    let warm_up = count / WARM_UP_SHARE;
    for number in 0..warm_up + count {
        let (run_id, duration) = one(&mut connection, plan, number as u64).await?;
        accepted.push(run_id);
        if number >= warm_up {
            durations.push(duration);
        }
    }
    verify::compare(&mut connection, plan, &accepted).await?;
    // A dispatcher counts after the commit, and answers at the commit.
    meter.until(before.settled + accepted.len() as u64, |_| ()).await?;
    verify::counts(meter.read().await? - before, plan, accepted.len() as u64)?;
    Ok(Latencies::of(durations).with(accepted))
}

/// Starts `count` runs more, each after a `pause` in which nothing is submitted, and over a new connection; then checks
/// them and those `before`.
pub(super) async fn after_pauses(
    system: &System,
    plan: &Plan,
    count: usize,
    pause: Duration,
    before: &Latencies,
) -> anyhow::Result<Latencies> {
    let mut accepted = before.accepted.clone();
    let mut durations = Vec::with_capacity(count);
    for _ in 0..count {
        tokio::time::sleep(pause).await;
        let mut connection = Connection::to(&system.servers[0])?;
        let (run_id, duration) = one(&mut connection, plan, accepted.len() as u64).await?;
        accepted.push(run_id);
        durations.push(duration);
    }
    verify::compare(&mut Connection::to(&system.servers[0])?, plan, &accepted).await?;
    Ok(Latencies::of(durations).with(accepted))
}

/// Starts one run and waits for it; time during which it was refused counts.
pub(super) async fn one(connection: &mut Connection, plan: &Plan, number: u64) -> anyhow::Result<(RunId, Duration)> {
    let body = plan.submission(number, true);
    let begun = Instant::now();
    let mut answer = connection.post("/api/orchestration/run", body.clone()).await?;
    while answer.retry_after.is_some() {
        tokio::time::sleep(AGAIN_AFTER).await;
        answer = connection.post("/api/orchestration/run", body.clone()).await?;
    }
    let settled: Settled = answer.read(200)?;
    let duration = begun.elapsed();
    anyhow::ensure!(settled.status == RunStatus::Completed, "run {} is {}", settled.run_id, settled.status);
    Ok((settled.run_id, duration))
}

impl Latencies {
    /// Durations in any order.
    pub(super) fn of(mut durations: Vec<Duration>) -> Self {
        durations.sort_unstable();
        Self { durations, accepted: Vec::new() }
    }

    /// These, measured while `runs` were accepted.
    pub(super) fn with(self, runs: Vec<RunId>) -> Self {
        Self { accepted: runs, ..self }
    }

    /// The mean of all, in milliseconds.
    pub(super) fn mean_ms(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a list of some thousand")]
        let count = self.durations.len().max(1) as f64;
        self.durations.iter().sum::<Duration>().as_secs_f64() * 1e3 / count
    }

    /// Milliseconds that a share of the runs did not exceed, such as 0.99.
    pub(super) fn quantile_ms(&self, share: f64) -> f64 {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a position in a list of some thousand"
        )]
        let position = (self.durations.len() as f64 * share) as usize;
        self.durations
            .get(position.min(self.durations.len().saturating_sub(1)))
            .map_or(f64::NAN, |duration| duration.as_secs_f64() * 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_read_from_the_sorted_durations() {
        let latencies = Latencies::of((1..=100).rev().map(Duration::from_millis).collect());
        assert!((latencies.quantile_ms(0.5) - 51.0).abs() < 1e-9);
        assert!((latencies.quantile_ms(0.99) - 100.0).abs() < 1e-9);
        assert!((Latencies::of(vec![Duration::from_millis(7)]).quantile_ms(0.99) - 7.0).abs() < 1e-9);
    }
}
