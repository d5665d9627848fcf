//! The parts of L, from what every run leaves behind: the times in its log. They have milliseconds; the mean of many
//! differences is finer than that, as long as the runs do not begin in step with the clock.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use hermes_core::{RunId, Timestamp};
use serde::Deserialize;

use super::http::Connection;
use super::latency::Latencies;
use super::plans::Plan;
use super::throughput::Accepted;

/// Runs whose logs are read, at most.
const LOGS: usize = 2_000;
/// Submissions whose acceptance is measured, at most.
const ACCEPTED: usize = 500;

#[derive(Deserialize)]
struct Log {
    events: Vec<Event>,
}

#[derive(Deserialize)]
struct Event {
    service: String,
    #[serde(rename = "type")]
    kind: String,
    created_at: Timestamp,
}

/// Mean milliseconds between the transitions of standard runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Hops {
    /// From accepting the run until the result of `a` is taken up.
    pub(super) first_ms: f64,
    /// From then until the result of `e` is.
    pub(super) second_ms: f64,
}

/// Reads the logs of `runs`.
pub(super) async fn hops(connection: &mut Connection, runs: &[RunId]) -> anyhow::Result<Hops> {
    let mut hops = Vec::new();
    for run in runs.iter().rev().take(LOGS) {
        let log: Log = connection.get(&format!("/api/orchestration/runs/{run}/events")).await?.read(200)?;
        hops.push(log.hops().with_context(|| format!("the log of run {run} is not that of a standard run"))?);
    }
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of some thousand runs")]
    let mean = |part: fn(&(u64, u64)) -> u64| hops.iter().map(part).sum::<u64>() as f64 / hops.len().max(1) as f64;
    Ok(Hops { first_ms: mean(|hops| hops.0), second_ms: mean(|hops| hops.1) })
}

impl Log {
    fn hops(&self) -> Option<(u64, u64)> {
        let result =
            |service: &str| self.events.iter().find(|event| event.service == service && event.kind == "result");
        let (begun, a, e) = (self.events.first()?.created_at, result("a")?.created_at, result("e")?.created_at);
        Some((a.since_ms(begun), e.since_ms(a)))
    }
}

/// How long it takes until a submission is accepted, one at a time, each after the run before has settled.
pub(super) async fn accepting(connection: &mut Connection, plan: &Plan, count: usize) -> anyhow::Result<Latencies> {
    let (mut durations, mut runs) = (Vec::new(), Vec::new());
    for number in 0..count.min(ACCEPTED) {
        let body = plan.submission(number as u64, false);
        let begun = Instant::now();
        let answer = connection.post("/api/orchestration/run", body).await?;
        let run: Accepted = answer.read(202)?;
        durations.push(begun.elapsed());
        runs.push(run.run_id);
        until_settled(connection, run.run_id).await?;
    }
    Ok(Latencies::of(durations).with(runs))
}

/// Asks until a run has settled.
pub(super) async fn until_settled(connection: &mut Connection, run: RunId) -> anyhow::Result<()> {
    #[derive(Deserialize)]
    struct View {
        status: hermes_core::RunStatus,
    }
    loop {
        let view: View = connection.get(&format!("/api/orchestration/runs/{run}")).await?.read(200)?;
        if view.status.is_settled() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hops_of_a_run_are_read_from_its_log() {
        let event = |service: &str, kind: &str, ms| Event {
            service: service.to_owned(),
            kind: kind.to_owned(),
            created_at: Timestamp::from_millis(ms),
        };
        let mut log = Log { events: vec![event("hermes", "run_status", 100), event("b", "result", 103)] };
        assert_eq!(log.hops(), None);
        log.events.extend([event("a", "result", 104), event("e", "result", 106), event("hermes", "run_status", 106)]);
        assert_eq!(log.hops(), Some((4, 2)));
    }
}
