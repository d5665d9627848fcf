//! `hermes bench`: how fast it is, on this machine. `docs/performance.md` says what each figure means.
//!
//! It measures from outside: over HTTP, with the counters that every dispatcher shows, with what the system says about
//! processes, and with what Postgres and Redis say about themselves. The measured code has no part that is there for
//! the benchmark. Everything that was accepted is checked afterwards; figures of a system that loses runs are not told.

mod cost;
mod guarded;
mod http;
mod latency;
mod meter;
mod options;
mod plans;
mod processes;
mod report;
mod servers;
mod system;
mod throughput;
mod verify;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use hermes_adapters::{entropy, signals};

use crate::exit::{Exit, Failure};
use crate::output;
use http::Connection;
pub use options::{Bench, Figure};
use plans::Plan;
use report::Figures;
use system::System;
use throughput::{Load, Throughput};

/// Measures, and tells what it measured. What was executed more often than it must be is told beside the figures, as a
/// failure: they are true, but the system is not in order.
///
/// # Errors
/// If the system does not start, breaks or loses a run.
pub(crate) async fn execute(bench: Bench) -> Result<Exit, Failure> {
    let interrupted = signals::shutdown_token().map_err(anyhow::Error::from)?;
    let mut figures = Figures::default();
    let measured = tokio::select! {
        biased;
        () = interrupted.cancelled() => None,
        measured = measure(&bench, &mut figures) => Some(measured?),
    };
    let Some(executions) = measured else { return Ok(Exit::Cancelled) };
    if bench.json {
        output::note(&figures.table());
        output::print(&figures.json());
    } else {
        output::print(&figures.table());
    }
    let Executions { needed, counted } = executions;
    if counted.is_some_and(|counted| counted != needed) {
        output::note(&format!("hermes: {needed} services were executed {} times", counted.unwrap_or_default()));
        return Ok(Exit::Failed);
    }
    Ok(Exit::Complete)
}

/// How often services were executed, and how often they had to be.
struct Executions {
    needed: u64,
    /// As the worker-runners say at their end.
    counted: Option<u64>,
}

async fn measure(bench: &Bench, figures: &mut Figures) -> anyhow::Result<Executions> {
    let begun = Instant::now();
    output::note("starting the system …");
    let system = System::open(bench).await?;
    let mut session = Session { bench, system: &system, figures, executions: 0 };
    let measured = session.all().await;
    let needed = session.executions;
    let told = about(&system, bench, figures).await;
    let stopped = system.stop().await;
    measured?;
    told?;
    let executions = Executions { needed, counted: stopped? };
    #[expect(clippy::cast_precision_loss, reason = "a count of executions is far below 2^52")]
    if let Some(counted) = executions.counted {
        figures.add("services", needed as f64, "services of all runs; each run was compared with what was accepted");
        figures.add("executions", counted as f64, "executions of services, as the worker-runners counted");
    }
    figures.about("seconds", begun.elapsed().as_secs());
    Ok(executions)
}

/// One system while it is measured.
struct Session<'a> {
    bench: &'a Bench,
    system: &'a System,
    figures: &'a mut Figures,
    /// Services of all runs so far: each must be executed once.
    executions: u64,
}

impl Session<'_> {
    async fn all(&mut self) -> anyhow::Result<()> {
        let bench = self.bench;
        if bench.wants(Figure::Throughput) || bench.wants(Figure::Cost) {
            self.throughput("T", u64::from(bench.batch), bench.clients.get()).await?;
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
        Ok(())
    }

    /// A plan that only this measurement uses, also on a system that was measured before.
    async fn plan(&self, purpose: &str) -> anyhow::Result<Plan> {
        Plan::standard(&mut self.connection()?, unique(purpose)).await
    }

    fn connection(&self) -> anyhow::Result<Connection> {
        Connection::to(&self.system.servers[0])
    }

    async fn throughput(&mut self, name: &str, batch: u64, clients: usize) -> anyhow::Result<()> {
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
        let Throughput { runs_per_second, runs, accepted, republished, cost } = match bench.backlog {
            Some(count) => throughput::backlog(self.system, plan, load, count.get() as u64).await?,
            None => throughput::steady(self.system, plan, load).await?,
        };
        self.executions += accepted * services;
        let how = if batch == 1 { "one POST each".to_owned() } else { format!("batches of {batch}") };
        let figures = &mut *self.figures;
        figures.add(&format!("{name}_runs_per_s"), runs_per_second, &format!("settled runs per second, {how}"));
        #[expect(clippy::cast_precision_loss, reason = "a count of runs is far below 2^52")]
        let (runs, republished) = (runs as f64, republished as f64);
        figures.add(&format!("{name}_runs"), runs, "runs that were counted for it");
        figures.add(&format!("{name}_republished"), republished, "jobs that were taken for lost, of all runs");
        figures.add(
            &format!("{name}_cores_busy"),
            cost.cores_busy(),
            "cores that were busy, the benchmark's own share included",
        );
        if bench.wants(Figure::Cost) && batch > 1 {
            cost.tell(figures);
        }
        Ok(())
    }

    async fn latency(&mut self) -> anyhow::Result<()> {
        output::note("L: latency …");
        let plan = self.plan("l").await?;
        let latencies = latency::one_by_one(self.system, &plan, self.bench.runs.get()).await?;
        self.executions += latencies.accepted * plan.services;
        for (name, share) in [("L_p50_ms", 0.5), ("L_p95_ms", 0.95), ("L_p99_ms", 0.99), ("L_max_ms", 1.0)] {
            self.figures.add(name, latencies.quantile_ms(share), "ms from the POST to the summary, one run at a time");
        }
        Ok(())
    }

    async fn fan_out(&mut self) -> anyhow::Result<()> {
        output::note("F: fan-out …");
        let width = self.bench.width;
        let plan = Plan::wide(&mut self.connection()?, unique("f"), width).await?;
        let latencies = latency::one_by_one(self.system, &plan, self.bench.wide_runs.get()).await?;
        self.executions += latencies.accepted * plan.services;
        let meaning = format!("ms from the POST to the summary, one run of {width} services and a join: median");
        self.figures.add("F_ms", latencies.quantile_ms(0.5), &meaning);
        self.figures.add("F_max_ms", latencies.quantile_ms(1.0), "the longest of them");
        Ok(())
    }
}

fn unique(purpose: &str) -> String {
    format!("bench-{}-{}", purpose.to_ascii_lowercase(), entropy::process_id())
}

/// What the figures are true for.
async fn about(system: &System, bench: &Bench, figures: &mut Figures) -> anyhow::Result<()> {
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    figures.about("hermes", format!("{} ({build})", env!("CARGO_PKG_VERSION")));
    figures.about("commit", commit());
    figures.about("cores", std::thread::available_parallelism().map_or(0, std::num::NonZero::get));
    let what = match (&bench.url, bench.embedded) {
        (Some(url), _) => url.to_string(),
        (None, true) => "hermes up, SQLite with synchronous=FULL".to_owned(),
        (None, false) => format!("{} dispatchers, {} worker-runners", bench.dispatchers, bench.worker_runners),
    };
    figures.about("system", what);
    if let Some((postgres, redis)) = &system.stores {
        figures.about("postgres", postgres.about().await?);
        figures.about("redis", redis.about().await?);
    }
    let Bench { seconds, warm_up, open, batch, clients, .. } = bench;
    let load = match bench.backlog {
        Some(runs) => format!("backlog of {runs} runs, {clients} clients, batches of {batch}"),
        None => {
            format!("{seconds} s after {warm_up} s, {clients} clients, batches of {batch}, at most {open} runs open")
        }
    };
    figures.about("load", load);
    Ok(())
}

/// The commit that this program was built from: what the build was told, else that of the sources if they are still
/// where they were.
fn commit() -> String {
    if let Some(told) = option_env!("HERMES_COMMIT") {
        return told.to_owned();
    }
    let sources = Path::new(env!("CARGO_MANIFEST_DIR"));
    let described =
        Command::new("git").arg("-C").arg(sources).args(["describe", "--always", "--dirty", "--abbrev=12"]).output();
    let text = described.ok().filter(|output| output.status.success()).map(|output| output.stdout);
    text.map_or_else(|| "unknown".to_owned(), |text| String::from_utf8_lossy(&text).trim().to_owned())
}
