//! What is measured on one system, figure by figure.

use std::time::Duration;

use anyhow::Context as _;
use hermes_adapters::entropy;

use super::http::Connection;
use super::options::{Bench, Figure};
use super::parts::{self, Hops};
use super::plans::Plan;
use super::report::Figures;
use super::system::System;
use super::throughput::{self, Load, Throughput};
use super::{history, latency, overload};
use crate::output;

/// So many times what it can do is submitted in O.
const OVERLOAD: f64 = 3.0;

/// Runs that the one after a quiet time is compared with.
const RUNS_BEFORE_QUIET: usize = 200;
/// Runs after short pauses, which tell how much of a quiet time it takes to be slower.
const PAUSES: usize = 20;
const PAUSE: Duration = Duration::from_millis(10);

/// One system while it is measured.
pub(super) struct Session<'a> {
    pub(super) bench: &'a Bench,
    pub(super) system: &'a System,
    pub(super) figures: &'a mut Figures,
    /// Services of all runs so far: each must be executed once.
    pub(super) executions: u64,
}

impl Session<'_> {
    /// Everything that is wanted, one after the other.
    pub(super) async fn all(&mut self) -> anyhow::Result<()> {
        let bench = self.bench;
        if let Some(count) = bench.history {
            output::note("loading history …");
            let plan = self.plan("history").await?;
            history::load(self.system, &plan, count.get()).await?;
            self.executions += plan.services;
        }
        let mut rate = None;
        let rate_is_needed = bench.wants(Figure::Overload) && bench.rate.is_none();
        if bench.wants(Figure::Throughput) || bench.wants(Figure::Cost) || rate_is_needed {
            rate = Some(self.throughput("T", u64::from(bench.batch), bench.clients.get()).await?);
        }
        if bench.wants(Figure::SinglePosts) {
            self.throughput("T1", 1, bench.single_clients.get()).await?;
        }
        if bench.wants(Figure::Latency) {
            self.latency().await?;
        }
        if bench.wants(Figure::FanOut) {
            self.fan_out().await?;
        }
        if bench.wants(Figure::History) {
            output::note("H: reading …");
            history::measure(self.system, self.figures).await?;
        }
        if bench.wants(Figure::Quiet) {
            self.quiet().await?;
        }
        if bench.wants(Figure::Overload) {
            self.overload(rate).await?;
        }
        Ok(())
    }

    async fn overload(&mut self, throughput: Option<f64>) -> anyhow::Result<()> {
        output::note("O: overload …");
        let told = self.bench.rate.and_then(|rate| u32::try_from(rate.get()).ok()).map(f64::from);
        let rate = told.or(throughput.map(|rate| rate * OVERLOAD)).context("the rate is told or was measured")?;
        let plan = self.plan("o").await?;
        let services = plan.services;
        let time = Duration::from_secs(self.bench.seconds);
        self.executions += services * overload::measure(self.system, plan, rate, time, self.figures).await?;
        Ok(())
    }

    /// A plan that only this measurement uses, also on a system that was measured before.
    async fn plan(&self, purpose: &str) -> anyhow::Result<Plan> {
        Plan::standard(&mut self.connection()?, unique(purpose)).await
    }

    fn connection(&self) -> anyhow::Result<Connection> {
        Connection::to(&self.system.servers[0])
    }

    /// Gives the runs per second.
    pub(super) async fn throughput(&mut self, name: &str, batch: u64, clients: usize) -> anyhow::Result<f64> {
        let bench = self.bench;
        let plan = self.plan(name).await?;
        let services = plan.services;
        let load = Load {
            clients,
            batch,
            open: bench.open.get().max(usize::try_from(batch)?),
            warm_up: Duration::from_secs(bench.warm_up),
            measured: Duration::from_secs(bench.seconds),
        };
        output::note(&format!("{name}: throughput …"));
        let Throughput { runs_per_second, runs, accepted, republished, hot_percent, conflicts, cost } =
            match bench.backlog {
                Some(count) => throughput::backlog(self.system, plan, load, count.get() as u64).await?,
                None => throughput::steady(self.system, plan, load).await?,
            };
        self.executions += accepted * services;
        let how = if batch == 1 { "one POST each".to_owned() } else { format!("batches of {batch}") };
        let figures = &mut *self.figures;
        figures.add(&format!("{name}_runs_per_s"), runs_per_second, &format!("settled runs per second, {how}"));
        #[expect(clippy::cast_precision_loss, reason = "a count of runs is far below 2^52")]
        let (runs, republished, conflicts) = (runs as f64, republished as f64, conflicts as f64);
        figures.add(&format!("{name}_runs"), runs, "runs that were counted for it");
        figures.add(&format!("{name}_republished"), republished, "jobs that were taken for lost, of all runs");
        figures.add(&format!("{name}_hot_percent"), hot_percent, "of 100 batches of reports: decided without reading");
        figures.add(&format!("{name}_hot_conflicts"), conflicts, "batches that another dispatcher overtook");
        let (own, others) = (cost.cores_busy(), cost.cores_of_others());
        figures.add(&format!("{name}_cores_busy"), own, "cores that were busy with it, the clients included");
        figures.add(&format!("{name}_cores_of_others"), others, "cores that were busy with something else");
        if bench.wants(Figure::Cost) && batch > 1 {
            cost.tell(figures);
        }
        Ok(runs_per_second)
    }

    async fn latency(&mut self) -> anyhow::Result<()> {
        output::note("L: latency …");
        let plan = self.plan("l").await?;
        let latencies = latency::one_by_one(self.system, &plan, self.bench.runs.get()).await?;
        self.executions += latencies.accepted.len() as u64 * plan.services;
        for (name, share) in [("L_p50_ms", 0.5), ("L_p95_ms", 0.95), ("L_p99_ms", 0.99), ("L_max_ms", 1.0)] {
            self.figures.add(name, latencies.quantile_ms(share), "ms from the POST to the summary, one run at a time");
        }
        let mut connection = self.connection()?;
        let Hops { first_ms, second_ms } = parts::hops(&mut connection, &latencies.accepted).await?;
        let rest_ms = latencies.mean_ms() - first_ms - second_ms;
        self.figures.add("L_hop_1_ms", first_ms, "ms of it, mean: from accepting to the result of a");
        self.figures.add("L_hop_2_ms", second_ms, "ms of it, mean: from there to the result of e");
        self.figures.add(
            "L_rest_ms",
            rest_ms,
            "ms of it, mean: the request before, diagnosis, commit and answer after",
        );
        let accepting = parts::accepting(&mut connection, &plan, self.bench.runs.get()).await?;
        self.executions += accepting.accepted.len() as u64 * plan.services;
        self.figures.add("L_accept_p50_ms", accepting.quantile_ms(0.5), "ms from a POST that does not wait to its 202");
        self.figures.add("L_accept_p99_ms", accepting.quantile_ms(0.99), "the same");
        Ok(())
    }

    async fn quiet(&mut self) -> anyhow::Result<()> {
        let (system, quiet) = (self.system, Duration::from_secs(self.bench.quiet));
        let plan = self.plan("q").await?;
        let before = latency::one_by_one(system, &plan, RUNS_BEFORE_QUIET).await?;
        let paused = latency::after_pauses(system, &plan, PAUSES, PAUSE, &before).await?;
        output::note(&format!("Q: {} s of quiet …", quiet.as_secs()));
        let first = latency::after_pauses(system, &plan, 1, quiet, &paused).await?;
        self.executions += first.accepted.len() as u64 * plan.services;
        self.figures.add(
            "Q_before_p50_ms",
            before.quantile_ms(0.5),
            "ms from the POST to the summary, one run right after the other",
        );
        let meaning = format!("ms, median of {PAUSES} runs, each after {} ms of quiet", PAUSE.as_millis());
        self.figures.add("Q_paused_p50_ms", paused.quantile_ms(0.5), &meaning);
        let meaning = format!("ms of the first run after {} s of quiet", quiet.as_secs());
        self.figures.add("Q_first_ms", first.quantile_ms(1.0), &meaning);
        Ok(())
    }

    async fn fan_out(&mut self) -> anyhow::Result<()> {
        output::note("F: fan-out …");
        let width = self.bench.width;
        let plan = Plan::wide(&mut self.connection()?, unique("f"), width).await?;
        let latencies = latency::one_by_one(self.system, &plan, self.bench.wide_runs.get()).await?;
        self.executions += latencies.accepted.len() as u64 * plan.services;
        let meaning = format!("ms from the POST to the summary, one run of {width} services and a join: median");
        self.figures.add("F_ms", latencies.quantile_ms(0.5), &meaning);
        self.figures.add("F_max_ms", latencies.quantile_ms(1.0), "the longest of them");
        Ok(())
    }
}

fn unique(purpose: &str) -> String {
    format!("bench-{}-{}", purpose.to_ascii_lowercase(), entropy::process_id())
}
