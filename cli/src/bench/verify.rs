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
    let mut comparison = Comparison::with(accepted);
    let mut cursor = String::new();
    loop {
        let path = format!("/api/orchestration/runs?plan={}&limit={PAGE_RUNS_MAX}{cursor}", plan.id);
        let page: Page = connection.get(&path).await?.read(200)?;
        page.runs.iter().for_each(|run| comparison.take(run, plan));
        match page.next_cursor {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return comparison.finish(refused),
        }
    }
}

/// What was accepted, on its way through the list.
struct Comparison {
    missing: BTreeSet<RunId>,
    listed: u64,
    /// Runs in the list that are not missing in it any more, or never were.
    more: u64,
    wrong: Vec<String>,
}

impl Comparison {
    fn with(accepted: &[RunId]) -> Self {
        let missing: BTreeSet<RunId> = accepted.iter().copied().collect();
        let twice = accepted.len() - missing.len();
        let wrong = if twice == 0 { Vec::new() } else { vec![format!("{twice} runs were accepted twice")] };
        Self { missing, listed: 0, more: 0, wrong }
    }

    fn take(&mut self, run: &RunListing, plan: &Plan) {
        self.listed += 1;
        self.more += u64::from(!self.missing.remove(&run.summary.run_id));
        self.wrong.extend(flaw(run, plan));
    }

    fn finish(mut self, refused: u64) -> anyhow::Result<u64> {
        if self.more > refused {
            let more = self.more - refused;
            self.wrong.push(format!("{more} runs are in the list and were not accepted, or are there twice"));
        }
        self.wrong.extend(self.missing.iter().map(|lost| format!("run {lost} was accepted and is lost")));
        let told = self.wrong.iter().take(TOLD).cloned().collect::<Vec<_>>().join("; ");
        anyhow::ensure!(self.wrong.is_empty(), "{} things are not as they must be: {told}", self.wrong.len());
        Ok(self.listed)
    }
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
/// by mistake, which does nothing, and batches may be decided in more than one way.
pub(super) fn counts(counted: Counts, plan: &Plan, runs: u64) -> anyhow::Result<()> {
    let expected = Counts { settled: runs, services: runs * plan.services, attempts_failed: 0, late: 0, ..counted };
    anyhow::ensure!(counted == expected, "the dispatchers counted {counted:?} instead of {expected:?}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn id(number: u32) -> RunId {
        format!("{number:032x}").parse().expect("32 digits")
    }

    /// What the comparison says about these runs, each with how many of two services completed.
    fn judged(accepted: &[u32], listed: &[(u32, u32)], refused: u64) -> Result<u64, String> {
        let plan = Plan { id: "p".to_owned(), services: 2 };
        let mut comparison = Comparison::with(&accepted.iter().copied().map(id).collect::<Vec<_>>());
        for &(number, completed) in listed {
            let run = json!({
                "runId": id(number), "websiteId": "w", "domain": "example.com", "planId": "p", "status": "completed",
                "startedAt": "2025-01-27T10:00:00.000Z", "servicesCompleted": completed, "servicesFailed": 2 - completed,
                "servicesTimeout": 0, "servicesSkipped": 0, "servicesTotal": 2,
                "diagnosisEventId": format!("evt_{}_9", id(number)), "createdAt": "2025-01-27T10:00:00.000Z", "revision": 1
            });
            comparison.take(&serde_json::from_value(run).expect("a listing"), &plan);
        }
        comparison.finish(refused).map_err(|error| error.to_string())
    }

    #[test]
    fn what_was_accepted_is_there_once_and_nothing_else_is() {
        assert_eq!(judged(&[1, 2], &[(2, 2), (1, 2)], 0), Ok(2));
        let says = |accepted: &[u32], listed: &[(u32, u32)], words: &str| {
            let error = judged(accepted, listed, 0).expect_err(words);
            assert!(error.contains(words), "{error}");
        };
        says(&[1, 2], &[(2, 2)], "is lost");
        says(&[1], &[(1, 2), (3, 2)], "were not accepted");
        says(&[1], &[(1, 2), (1, 2)], "there twice");
        says(&[1, 1], &[(1, 2)], "accepted twice");
        says(&[1], &[(1, 1)], "1 of 2 services");
    }

    #[test]
    fn a_refused_submission_may_have_been_written_all_the_same() {
        assert_eq!(judged(&[1], &[(1, 2), (7, 2)], 1), Ok(2));
        assert!(judged(&[1], &[(1, 2), (7, 2), (8, 2)], 1).is_err());
    }
}
