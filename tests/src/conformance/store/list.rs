//! Lists of runs.

use std::sync::Arc;

use hermes_core::ports::store::{RunFilter, RunListing, Store};
use hermes_core::run::NewRun;
use hermes_core::{RunId, RunStatus};

use super::{accept, accept_all, accept_earlier, plan, run_id, settle, submission};

async fn list(store: &dyn Store, filter: &RunFilter) -> Vec<RunId> {
    ids(&store.runs(filter, None, 100).await.unwrap())
}

fn ids(listings: &[RunListing]) -> Vec<RunId> {
    listings.iter().map(|listing| listing.summary.run_id).collect()
}

/// Open and settled.
pub async fn a_listing_tells_what_the_run_tells(store: Arc<dyn Store>) {
    let open = accept(&*store, 1).await;
    accept(&*store, 2).await;
    let settled = settle(&*store, run_id(2), "{}").await;
    let expected = [settled, open].map(|run| RunListing {
        summary: run.summary(),
        created_at: run.state().created_at,
        revision: run.state().revision,
    });
    assert_eq!(store.runs(&RunFilter::default(), None, 10).await.unwrap(), expected);
}

/// By id: ids are drawn in the order of time.
pub async fn runs_are_listed_newest_first_in_pages(store: Arc<dyn Store>) {
    accept_all(&*store, [4, 1, 5, 2, 3].map(submission)).await;
    let all = RunFilter::default();
    let first = store.runs(&all, None, 2).await.unwrap();
    assert_eq!(ids(&first), [5, 4].map(run_id));
    let second = store.runs(&all, Some(run_id(4)), 2).await.unwrap();
    assert_eq!(ids(&second), [3, 2].map(run_id));
    let last = store.runs(&all, Some(run_id(2)), 2).await.unwrap();
    assert_eq!(ids(&last), [run_id(1)]);
    assert_eq!(store.runs(&all, Some(run_id(1)), 2).await.unwrap(), []);
}

/// One condition at a time.
pub async fn each_condition_of_a_list_holds(store: Arc<dyn Store>) {
    let early = accept_earlier(&*store, 1, 100_000).await.state().created_at;
    let submissions = [
        submission(2),
        NewRun { website_id: "site_2".parse().unwrap(), ..submission(3) },
        NewRun { domain: "example.org".parse().unwrap(), ..submission(4) },
        NewRun { plan: plan("plan-2"), ..submission(5) },
        submission(6),
    ];
    accept_all(&*store, submissions).await;
    settle(&*store, run_id(6), "{}").await;
    let cases = [
        (RunFilter { status: Some(RunStatus::Cancelled), ..RunFilter::default() }, vec![6]),
        (RunFilter { status: Some(RunStatus::Started), ..RunFilter::default() }, vec![5, 4, 3, 2, 1]),
        (RunFilter { status: Some(RunStatus::Failed), ..RunFilter::default() }, vec![]),
        (RunFilter { plan_id: Some("plan-2".parse().unwrap()), ..RunFilter::default() }, vec![5]),
        (RunFilter { website_id: Some("site_2".parse().unwrap()), ..RunFilter::default() }, vec![3]),
        (RunFilter { domain: Some("example.org".to_owned()), ..RunFilter::default() }, vec![4]),
        (RunFilter { domain: Some("' OR true --".to_owned()), ..RunFilter::default() }, vec![]),
        (RunFilter { since: Some(early), ..RunFilter::default() }, vec![6, 5, 4, 3, 2, 1]),
        (RunFilter { since: Some(early.plus_ms(1)), ..RunFilter::default() }, vec![6, 5, 4, 3, 2]),
        (RunFilter { until: Some(early), ..RunFilter::default() }, vec![]),
        (RunFilter { until: Some(early.plus_ms(1)), ..RunFilter::default() }, vec![1]),
    ];
    for (filter, expected) in cases {
        let expected: Vec<RunId> = expected.into_iter().map(run_id).collect();
        assert_eq!(list(&*store, &filter).await, expected, "{filter:?}");
    }
}

/// All given conditions must hold.
pub async fn conditions_hold_together(store: Arc<dyn Store>) {
    let other_site = |number| NewRun { website_id: "site_2".parse().unwrap(), ..submission(number) };
    accept_all(&*store, [submission(1), other_site(2), submission(3), other_site(4)]).await;
    settle(&*store, run_id(1), "{}").await;
    settle(&*store, run_id(2), "{}").await;
    let filter = RunFilter {
        status: Some(RunStatus::Cancelled),
        website_id: Some("site_2".parse().unwrap()),
        plan_id: Some("plan-1".parse().unwrap()),
        domain: Some("example.com".to_owned()),
        ..RunFilter::default()
    };
    assert_eq!(list(&*store, &filter).await, [run_id(2)]);
    assert_eq!(ids(&store.runs(&filter, Some(run_id(2)), 10).await.unwrap()), []);
}
