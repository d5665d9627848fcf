//! T: settled runs per second. Clients submit as fast as they may, with a bound on the runs that are open, so that what
//! is measured is a steady state and not a queue that grows.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hermes_core::RunId;
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::cost::{Cost, Usage};
use super::http::Connection;
use super::meter::{Counts, LOOK_EVERY, Meter};
use super::plans::Plan;
use super::system::System;
use super::verify;

/// How submissions come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    /// Connections that submit at the same time.
    pub(super) clients: usize,
    /// Runs in one request; 1 is a POST for each run.
    pub(super) batch: u64,
    /// Runs that are open at the same time, at most.
    pub(super) open: usize,
    /// How long it goes on before it is measured.
    pub(super) warm_up: Duration,
    /// How long it is measured.
    pub(super) measured: Duration,
}

/// What was measured.
pub(super) struct Throughput {
    pub(super) runs_per_second: f64,
    pub(super) runs: u64,
    /// Runs in all, warm-up and end included.
    pub(super) accepted: u64,
    /// Jobs that the reconciler took for lost; without a fault there should be none.
    pub(super) republished: u64,
    /// Of a hundred committed batches of reports, how many had their runs at hand.
    pub(super) hot_percent: f64,
    /// Batches that another dispatcher overtook.
    pub(super) conflicts: u64,
    pub(super) cost: Cost,
}

/// What the clients share.
struct Submitter {
    plan: Plan,
    batch: u64,
    next: AtomicU64,
    /// One permit for each run that may still be opened.
    room: Semaphore,
    stop: CancellationToken,
}

impl Throughput {
    fn of(runs: u64, seconds: f64, accepted: &[RunId], counted: Counts, cost: Cost) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "a count of runs is far below 2^52")]
        let (runs_per_second, hot_percent) =
            (runs as f64 / seconds, 100.0 * counted.hot as f64 / (counted.hot + counted.taken).max(1) as f64);
        Self {
            runs_per_second,
            runs,
            accepted: accepted.len() as u64,
            republished: counted.republished,
            hot_percent,
            conflicts: counted.conflicts,
            cost,
        }
    }
}

/// Measures a steady state, waits until everything has settled, and checks it.
pub(super) async fn steady(system: &System, plan: Plan, load: Load) -> anyhow::Result<Throughput> {
    let mut meter = Meter::of(&system.servers)?;
    let before = meter.read().await?;
    let submitter = Arc::new(Submitter {
        plan,
        batch: load.batch,
        next: AtomicU64::new(0),
        room: Semaphore::new(load.open),
        stop: CancellationToken::new(),
    });
    let mut clients = start_clients(&submitter, &system.servers, load.clients);
    let mut freed = before.settled;
    let mut free = |settled: u64| {
        submitter.room.add_permits(usize::try_from(settled - freed).expect("a number of open runs"));
        freed = settled;
    };
    go_on(&mut meter, load.warm_up, &mut clients, &mut free).await?;
    let usage = Usage::read(system).await?;
    let (first, begun) = (meter.read().await?, Instant::now());
    go_on(&mut meter, load.measured, &mut clients, &mut free).await?;
    let (last, seconds) = (meter.read().await?, begun.elapsed().as_secs_f64());
    let runs = last.settled - first.settled;
    let cost = Usage::read(system).await?.since(&usage, runs, seconds);
    submitter.stop.cancel();
    let mut accepted = Vec::new();
    while let Some(ids) = clients.join_next().await {
        accepted.extend(ids??);
    }
    let counted = check(&mut meter, system, &submitter.plan, before, &accepted, free).await?;
    Ok(Throughput::of(runs, seconds, &accepted, counted, cost))
}

/// Submits `count` runs as fast as they are taken and measures until the last has settled, as benchmarks of other
/// systems do.
pub(super) async fn backlog(system: &System, plan: Plan, load: Load, count: u64) -> anyhow::Result<Throughput> {
    let mut meter = Meter::of(&system.servers)?;
    let before = meter.read().await?;
    let usage = Usage::read(system).await?;
    let submitter = Arc::new(Submitter {
        plan,
        batch: load.batch.min(count),
        next: AtomicU64::new(0),
        room: Semaphore::new(usize::try_from(count).expect("a number of runs")),
        stop: CancellationToken::new(),
    });
    let begun = Instant::now();
    let mut clients = start_clients(&submitter, &system.servers, load.clients);
    let mut accepted = Vec::new();
    // The room is never given back; what does not fill a batch is not submitted.
    let count = count - count % submitter.batch;
    while submitter.room.available_permits() >= usize::try_from(submitter.batch).unwrap_or(1) {
        tokio::time::sleep(LOOK_EVERY).await;
        while let Some(ids) = clients.try_join_next() {
            accepted.extend(ids??);
        }
    }
    submitter.stop.cancel();
    while let Some(ids) = clients.join_next().await {
        accepted.extend(ids??);
    }
    let ended = meter.until(before.settled + count, |_| ()).await?;
    let seconds = (ended - begun).as_secs_f64();
    let cost = Usage::read(system).await?.since(&usage, count, seconds);
    let counted = check(&mut meter, system, &submitter.plan, before, &accepted, |_| ()).await?;
    Ok(Throughput::of(count, seconds, &accepted, counted, cost))
}

async fn check(
    meter: &mut Meter,
    system: &System,
    plan: &Plan,
    before: Counts,
    accepted: &[RunId],
    tell: impl FnMut(u64),
) -> anyhow::Result<Counts> {
    let count = accepted.len() as u64;
    meter.until(before.settled + count, tell).await?;
    verify::compare(&mut Connection::to(&system.servers[0])?, plan, accepted).await?;
    let counted = meter.read().await? - before;
    verify::counts(counted, plan, count)?;
    Ok(counted)
}

type Clients = JoinSet<anyhow::Result<Vec<RunId>>>;

fn start_clients(submitter: &Arc<Submitter>, servers: &[Url], clients: usize) -> Clients {
    let servers = servers.iter().cycle().take(clients.max(servers.len()));
    servers.map(|server| submitter.clone().submit_until_stopped(server.clone())).collect()
}

/// Lets the load go on for a while, and makes room for new runs as others settle.
async fn go_on(
    meter: &mut Meter,
    time: Duration,
    clients: &mut Clients,
    free: &mut impl FnMut(u64),
) -> anyhow::Result<()> {
    let end = Instant::now() + time;
    while Instant::now() < end {
        free(meter.read().await?.settled);
        if let Some(ended) = clients.try_join_next() {
            ended??;
            anyhow::bail!("a client ended before it was told to");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

impl Submitter {
    async fn submit_until_stopped(self: Arc<Self>, server: Url) -> anyhow::Result<Vec<RunId>> {
        let mut connection = Connection::to(&server)?;
        let mut accepted = Vec::new();
        let permits = u32::try_from(self.batch).expect("a batch has at most a thousand runs");
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ok(accepted),
                room = self.room.acquire_many(permits) => room.expect("it is never closed").forget(),
            }
            let first = self.next.fetch_add(self.batch, Ordering::Relaxed);
            if self.batch == 1 {
                accepted.push(self.submit_one(&mut connection, first).await?);
            } else {
                accepted.extend(self.submit_batch(&mut connection, first).await?);
            }
        }
    }

    /// Submits one run; as often as it takes, if the system has too much to do.
    async fn submit_one(&self, connection: &mut Connection, number: u64) -> anyhow::Result<RunId> {
        loop {
            let answer = connection.post("/api/orchestration/run", self.plan.submission(number, false)).await?;
            if answer.retry_after.is_none() {
                return Ok(answer.read::<Accepted>(202)?.run_id);
            }
            tokio::time::sleep(AGAIN_AFTER).await;
        }
    }

    /// Submits a batch, and what was refused of it again.
    async fn submit_batch(&self, connection: &mut Connection, first: u64) -> anyhow::Result<Vec<RunId>> {
        let mut accepted = Vec::new();
        loop {
            let (first, count) = (first + accepted.len() as u64, self.batch - accepted.len() as u64);
            let answer = connection.post("/api/orchestration/runs/batch", self.plan.batch(first, count)).await?;
            let results = if answer.retry_after.is_some() { Vec::new() } else { answer.read::<Batch>(200)?.results };
            for result in results {
                match result {
                    BatchItem { run_id: Some(run_id), .. } => accepted.push(run_id),
                    BatchItem { problem: Some(problem), .. } if problem == OVERLOADED => {}
                    BatchItem { detail, .. } => anyhow::bail!("a run was refused: {}", detail.unwrap_or_default()),
                }
            }
            if accepted.len() as u64 == self.batch {
                return Ok(accepted);
            }
            tokio::time::sleep(AGAIN_AFTER).await;
        }
    }
}

/// `type` of the answer to a submission that the system has no time for.
const OVERLOADED: &str = "urn:hermes:problem:overloaded";
/// When what was refused of a batch is submitted again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
pub(super) struct Accepted {
    pub(super) run_id: RunId,
}

#[derive(Deserialize)]
struct Batch {
    results: Vec<BatchItem>,
}

/// One run of a batch: its id, or why there is none.
#[derive(Deserialize)]
struct BatchItem {
    run_id: Option<RunId>,
    #[serde(rename = "type")]
    problem: Option<String>,
    detail: Option<String>,
}
