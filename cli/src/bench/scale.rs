//! S: how throughput moves with the number of worker-runners and dispatchers, each time on a new private system.

use std::num::NonZeroUsize;

use super::options::Bench;
use super::report::Figures;
use super::session::Session;
use super::system::System;
use super::{Executions, about};
use crate::output;

const DISPATCHERS: [usize; 3] = [1, 2, 3];
const WORKER_RUNNERS: [usize; 3] = [1, 2, 4];
/// Figures of each throughput that say how much dispatchers get in each other's way.
const HOT: [(&str, &str); 2] = [
    ("hot_percent", "of 100 batches of reports: decided without reading"),
    ("hot_conflicts", "batches that another dispatcher overtook"),
];

/// Adds one figure for each combination.
pub(super) async fn measure(bench: &Bench, figures: &mut Figures) -> anyhow::Result<Executions> {
    let mut executions = Executions { needed: 0, counted: None };
    for dispatchers in DISPATCHERS {
        for worker_runners in WORKER_RUNNERS {
            output::note(&format!("S: {dispatchers} dispatchers, {worker_runners} worker-runners …"));
            let number = |number| NonZeroUsize::new(number).expect("they stand above");
            let (dispatchers_wanted, worker_runners_wanted) = (number(dispatchers), number(worker_runners));
            let system = System::start_fleet(&bench.data, dispatchers_wanted, worker_runners_wanted).await?;
            let mut scratch = Figures::default();
            let mut session = Session { bench, system: &system, figures: &mut scratch, executions: 0 };
            let clients = bench.clients.get().max(dispatchers);
            let measured = session.throughput("T", u64::from(bench.batch), clients).await;
            let needed = session.executions;
            let is_last = (dispatchers, worker_runners) == (DISPATCHERS[2], WORKER_RUNNERS[2]);
            if is_last && !bench.wants_one_system() {
                about(&system, bench, figures).await?;
            }
            let stopped = system.stop().await;
            let name = format!("S_{dispatchers}d_{worker_runners}w_runs_per_s");
            figures.add(&name, measured?, "settled runs per second with d dispatchers and w worker-runners");
            for (figure, meaning) in HOT {
                let value = scratch.value(&format!("T_{figure}")).unwrap_or_default();
                figures.add(&format!("S_{dispatchers}d_{worker_runners}w_{figure}"), value, meaning);
            }
            executions.add(Executions { needed, counted: stopped? });
        }
    }
    Ok(executions)
}
