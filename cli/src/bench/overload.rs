//! O: more is submitted than can be done, at a fixed rate and whatever the answers. What was accepted must be done all
//! the same, accepting must stay fast, and when it is over, everything must be as before.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hermes_core::RunId;
use tokio::task::JoinSet;
use url::Url;

use super::http::Connection;
use super::latency::{self, Latencies};
use super::meter::Meter;
use super::plans::Plan;
use super::report::Figures;
use super::system::System;
use super::throughput::Accepted;
use super::verify;

/// Connections that submit. A submission that finds none free waits, and its latency counts from when it was due.
const CONNECTIONS: usize = 256;
/// Runs before, whose median says what is usual, and after which it is asked whether it is usual again.
const USUAL_RUNS: usize = 50;
/// As fast as before, within this factor.
const USUAL_FACTOR: f64 = 2.0;

/// What the submitters share.
struct Schedule {
    plan: Plan,
    begun: Instant,
    every: Duration,
    count: u64,
    next: AtomicU64,
}

/// What became of the submissions of one connection.
#[derive(Default)]
struct Outcome {
    accepted: Vec<RunId>,
    durations: Vec<Duration>,
    refused: u64,
    refused_without_advice: u64,
}

/// Submits `rate` runs per second for a while; adds the figures, and gives how many runs there were in all.
pub(super) async fn measure(
    system: &System,
    plan: Plan,
    rate: f64,
    time: Duration,
    figures: &mut Figures,
) -> anyhow::Result<u64> {
    let usual = latency::one_by_one(system, &plan, USUAL_RUNS).await?;
    let usual_ms = usual.quantile_ms(0.5);
    let id = format!("{}-over", plan.id);
    let overload = Plan::standard(&mut Connection::to(&system.servers[0])?, id).await?;
    let mut meter = Meter::of(&system.servers)?;
    let before = meter.read().await?.settled;
    let outcome = submit(&system.servers, overload.clone(), rate, time).await?;
    let over = Instant::now();
    let settled_at_end = meter.read().await?.settled - before;
    let after = until_usual(system, &plan, usual_ms * USUAL_FACTOR).await?;
    let back = over.elapsed();
    let accepted = outcome.accepted.len() as u64;
    meter.until(before + accepted + after, |_| ()).await?;
    let mut connection = Connection::to(&system.servers[0])?;
    let listed = verify::compare_with(&mut connection, &overload, &outcome.accepted, outcome.refused).await?;

    #[expect(clippy::cast_precision_loss, reason = "counts of runs are far below 2^52")]
    let number = |count: u64| count as f64;
    let latencies = Latencies::of(outcome.durations);
    figures.add("O_rate_per_s", rate, "runs per second that were submitted");
    figures.add("O_accepted", number(accepted), "runs that were accepted; all of them have completed");
    figures.add("O_refused", number(outcome.refused), "submissions that were refused with 429 or 503");
    figures.add("O_refused_without_advice", number(outcome.refused_without_advice), "of these without Retry-After");
    figures.add("O_settled_per_s", number(settled_at_end) / time.as_secs_f64(), "settled runs per second meanwhile");
    figures.add("O_accept_p50_ms", latencies.quantile_ms(0.5), "ms from when a submission was due to its 202");
    figures.add("O_accept_p99_ms", latencies.quantile_ms(0.99), "the same");
    figures.add(
        "O_back_s",
        back.as_secs_f64(),
        "seconds from the last submission until a run is as fast as before, times two",
    );
    Ok(listed + usual.accepted.len() as u64 + after)
}

async fn submit(servers: &[Url], plan: Plan, rate: f64, time: Duration) -> anyhow::Result<Outcome> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of runs")]
    let count = (rate * time.as_secs_f64()) as u64;
    let every = Duration::from_secs_f64(1.0 / rate);
    let schedule = Arc::new(Schedule { plan, begun: Instant::now(), every, count, next: AtomicU64::new(0) });
    let servers = servers.iter().cycle().take(CONNECTIONS);
    let mut submitters: JoinSet<_> = servers.map(|server| schedule.clone().follow(server.clone())).collect();
    let mut all = Outcome::default();
    while let Some(outcome) = submitters.join_next().await {
        let outcome = outcome??;
        all.accepted.extend(outcome.accepted);
        all.durations.extend(outcome.durations);
        all.refused += outcome.refused;
        all.refused_without_advice += outcome.refused_without_advice;
    }
    Ok(all)
}

/// One run after the other until one is that fast; gives how many there were.
async fn until_usual(system: &System, plan: &Plan, usual_ms: f64) -> anyhow::Result<u64> {
    let mut connection = Connection::to(&system.servers[0])?;
    for count in 1.. {
        let (_, duration) = latency::one(&mut connection, plan, count).await?;
        if duration.as_secs_f64() * 1e3 <= usual_ms {
            return Ok(count);
        }
    }
    unreachable!("it goes on until it returns")
}

impl Schedule {
    async fn follow(self: Arc<Self>, server: Url) -> anyhow::Result<Outcome> {
        let mut connection = Connection::to(&server)?;
        let mut outcome = Outcome::default();
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.count {
                return Ok(outcome);
            }
            let due = self.begun + self.every.mul_f64(f64::from(u32::try_from(number)?));
            tokio::time::sleep_until(due.into()).await;
            let answer = connection.post("/api/orchestration/run", self.plan.submission(number, false)).await?;
            match answer.status {
                429 | 503 => {
                    outcome.refused += 1;
                    outcome.refused_without_advice += u64::from(answer.retry_after.is_none());
                }
                _ => {
                    outcome.accepted.push(answer.read::<Accepted>(202)?.run_id);
                    outcome.durations.push(due.elapsed());
                }
            }
        }
    }
}
