//! Nothing lost, nothing twice: what was accepted is compared with what the list of runs shows, run by run.

use std::collections::BTreeSet;

use hermes_core::limits::PAGE_RUNS_MAX;
use hermes_core::ports::store::RunListing;
use hermes_core::{RunId, RunStatus};
use serde::Deserialize;

use super::http::Connection;
use super::meter::Counts;
use super::plans::Plan;

/// Differences that are told one by one.
const TOLD: usize = 5;

#[derive(Deserialize)]
struct Page {
    runs: Vec<RunListing>,
    next_cursor: Option<RunId>,
}

/// Compares the accepted runs of a plan that nobody else uses with the list. They must have settled.
pub(super) async fn compare(connection: &mut Connection, plan: &Plan, accepted: &[RunId]) -> anyhow::Result<()> {
    compare_with(connection, plan, accepted, 0).await.map(|_| ())
}

/// The same where so many submissions were refused: each may have been written all the same. Gives how many runs there
/// are.
pub(super) async fn compare_with(
    connection: &mut Connection,
    plan: &Plan,
    accepted: &[RunId],
    refused: u64,
) -> anyhow::Result<u64> {
    let mut missing: BTreeSet<RunId> = accepted.iter().copied().collect();
    let mut wrong = Vec::new();
    if missing.len() != accepted.len() {
        wrong.push(format!("{} runs were accepted twice", accepted.len() - missing.len()));
    }
    let (mut listed, mut more) = (0, 0);
    let mut cursor = String::new();
    loop {
        let path = format!("/api/orchestration/runs?plan={}&limit={PAGE_RUNS_MAX}{cursor}", plan.id);
        let page: Page = connection.get(&path).await?.read(200)?;
        listed += page.runs.len() as u64;
        for run in &page.runs {
            more += u64::from(!missing.remove(&run.summary.run_id));
            wrong.extend(flaw(run, plan));
        }
        match page.next_cursor {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    if more > refused {
        wrong.push(format!("{} runs are in the list and were not accepted, or are there twice", more - refused));
    }
    wrong.extend(missing.iter().map(|lost| format!("run {lost} was accepted and is lost")));
    let told = wrong.iter().take(TOLD).cloned().collect::<Vec<_>>().join("; ");
    anyhow::ensure!(wrong.is_empty(), "{} of {} runs are not as they must be: {told}", wrong.len(), accepted.len());
    Ok(listed)
}

/// What is wrong with a settled run of services that do nothing.
fn flaw(listed: &RunListing, plan: &Plan) -> Option<String> {
    let run = &listed.summary;
    let (completed, total) = (u64::from(run.services_completed), u64::from(run.services_total));
    let is_right = run.status == RunStatus::Completed
        && completed == plan.services
        && total == plan.services
        && run.diagnosis_event_id.is_some();
    (!is_right).then(|| {
        let diagnosis = if run.diagnosis_event_id.is_some() { "a" } else { "no" };
        format!(
            "run {} is {}, {completed} of {total} services completed, {diagnosis} diagnosis",
            run.run_id, run.status
        )
    })
}

/// Compares what the dispatchers counted for `runs` runs of a plan with what it must be. A job may be published again
/// by mistake, which does nothing.
pub(super) fn counts(counted: Counts, plan: &Plan, runs: u64) -> anyhow::Result<()> {
    let (services, republished) = (runs * plan.services, counted.republished);
    let expected = Counts { settled: runs, services, republished, ..Counts::default() };
    anyhow::ensure!(counted == expected, "the dispatchers counted {counted:?} instead of {expected:?}");
    Ok(())
}
