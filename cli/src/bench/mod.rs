//! `hermes bench`: how fast it is, on this machine. `docs/performance.md` says what each figure means.
//!
//! It measures from outside: over HTTP, with the counters that every dispatcher shows, with what the system says about
//! processes, and with what Postgres and Redis say about themselves. The measured code has no part that is there for
//! the benchmark. Everything that was accepted is checked afterwards; figures of a system that loses runs are not told.

mod cost;
mod crawl;
mod guarded;
mod history;
mod http;
mod latency;
mod meter;
mod options;
mod overload;
mod parts;
mod plans;
mod processes;
mod report;
mod scale;
mod servers;
mod session;
mod system;
mod throughput;
mod verify;

use std::time::Instant;

use hermes_adapters::signals;

use crate::exit::{Exit, Failure};
use crate::output;
pub use options::{Bench, Figure};
use report::Figures;
use session::Session;
use system::System;

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
    let mut executions = Executions { needed: 0, counted: None };
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    figures.about("hermes", format!("{} ({build})", env!("CARGO_PKG_VERSION")));
    figures.about("commit", env!("HERMES_COMMIT"));
    figures.about("cores", std::thread::available_parallelism().map_or(0, std::num::NonZero::get));
    if bench.wants_one_system() {
        executions.add(measure_system(bench, figures).await?);
    }
    if bench.wants(Figure::Scale) {
        executions.add(scale::measure(bench, figures).await?);
    }
    if bench.wants(Figure::Crawl) {
        executions.add(crawl::measure(bench, figures).await?);
    }
    #[expect(clippy::cast_precision_loss, reason = "a count of executions is far below 2^52")]
    if let Some(counted) = executions.counted {
        let needed = executions.needed as f64;
        figures.add("services", needed, "services of all runs; each run was compared with what was accepted");
        figures.add("executions", counted as f64, "executions of services, as the worker-runners counted");
    }
    figures.about("seconds", begun.elapsed().as_secs());
    Ok(executions)
}

impl Executions {
    fn add(&mut self, other: Self) {
        self.needed += other.needed;
        self.counted = other.counted.map(|counted| counted + self.counted.unwrap_or(0)).or(self.counted);
    }
}

/// Everything that is measured on the system that the options describe.
async fn measure_system(bench: &Bench, figures: &mut Figures) -> anyhow::Result<Executions> {
    output::note("starting the system …");
    let system = System::open(bench).await?;
    let mut session = Session { bench, system: &system, figures, executions: 0 };
    let measured = session.all().await;
    let needed = session.executions;
    let told = about(&system, bench, figures).await;
    let stopped = system.stop().await;
    measured?;
    told?;
    Ok(Executions { needed, counted: stopped? })
}

/// What the figures are true for.
async fn about(system: &System, bench: &Bench, figures: &mut Figures) -> anyhow::Result<()> {
    let what = match (&bench.url, bench.embedded) {
        (Some(url), _) => url.to_string(),
        (None, false) if !bench.wants_one_system() => "a fleet for each figure".to_owned(),
        (None, true) => "hermes up, SQLite with synchronous=FULL".to_owned(),
        (None, false) => format!("{} dispatchers, {} worker-runners", bench.dispatchers, bench.worker_runners),
    };
    figures.about("system", what);
    if let Some((postgres, redis)) = &system.stores {
        figures.about("postgres", postgres.about().await?);
        figures.about("redis", redis.about().await?);
    }
    if bench.url.is_none() {
        let kind = processes::file_system(&bench.data).unwrap_or_else(|| "unknown".to_owned());
        figures.about("data", format!("{} ({kind})", bench.data.display()));
    }
    let Bench { seconds, warm_up, open, batch, clients, .. } = bench;
    let load = match bench.backlog {
        Some(runs) => format!("backlog of {runs} runs, {clients} clients, batches of {batch}"),
        None => {
            format!("{seconds} s after {warm_up} s, {clients} clients, batches of {batch}, at most {open} runs open")
        }
    };
    figures.about("load", load);
    if let Some(runs) = bench.history {
        figures.about("history", format!("{runs} settled runs"));
    }
    Ok(())
}
