//! What every store must do, as sentences. An adapter provides a [`StoreWorld`] and stamps the cases out as tests with
//! [`store_conformance!`](crate::store_conformance); one that speaks SQL also provides a [`SqlWorld`] and
//! [`sql_store_conformance!`](crate::sql_store_conformance).

pub mod accept;
pub mod audit;
pub mod claim;
pub mod list;
pub mod log;
pub mod payloads;
pub mod plans;
pub mod retention;
pub mod sql;
pub mod transition;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use hermes_core::kbase::{KbaseEvent, NotedEvent};
use hermes_core::ports::store::{Change, Claim, Committed, Idempotency, Store, StoreError, Transaction};
use hermes_core::run::{Decision, Effect, Event, NewRun, decide};
use hermes_core::{Json, Plan, Run, RunId, Timestamp};

/// A test that waits for longer than this waits in vain.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A fresh, empty store with everything around it.
#[async_trait]
pub trait StoreWorld: Send + Sync + Sized {
    /// A store that nobody else uses.
    async fn fresh() -> Self;

    /// The store.
    fn store(&self) -> Arc<dyn Store>;
}

/// A world whose store can be reached with SQL, past the adapter.
#[async_trait]
pub trait SqlWorld: StoreWorld {
    /// Executes statements.
    async fn execute(&self, sql: &str) -> Result<(), sqlx::Error>;

    /// Executes a statement although it leaves rows that refer to rows which are not there.
    async fn execute_unchecked(&self, sql: &str) -> Result<(), sqlx::Error> {
        self.execute(sql).await
    }

    /// The first column of a query's rows, as text.
    async fn texts(&self, sql: &str) -> Vec<String>;

    /// The same store, without anything that the first one keeps in memory. The first one is closed.
    async fn reopened(&self) -> Arc<dyn Store>;
}

/// Stamps out one `#[tokio::test]` per case for a [`StoreWorld`].
#[macro_export]
macro_rules! store_conformance {
    ($world:ty) => {
        $crate::store_conformance!(@cases $world, accept:
            an_accepted_run_reads_back_as_it_was,
            an_unknown_run_is_not_found,
            three_hundred_runs_are_accepted_at_once,
            a_plan_of_a_thousand_services_is_stored_whole,
            the_same_key_and_request_give_the_first_run,
            the_same_key_with_another_request_is_told_apart,
            of_two_runs_with_one_key_in_a_batch_the_first_wins,
            of_concurrent_submissions_with_one_key_one_wins,
            a_duplicate_leaves_the_rest_of_its_batch_alone,
            an_id_that_is_taken_is_a_conflict_and_nothing_is_written,
            a_run_that_is_in_a_batch_twice_is_refused,
            events_with_a_gap_are_refused,
        );
        $crate::store_conformance!(@cases $world, transition:
            what_is_committed_reads_back,
            a_write_with_an_old_fence_is_refused,
            a_conflict_changes_nothing_at_all,
            a_write_to_an_unknown_run_is_a_conflict,
            a_dropped_transaction_changes_nothing,
            a_dropped_transaction_releases_its_runs,
            transactions_on_one_run_take_turns,
            transactions_over_the_same_runs_in_opposite_orders_all_end,
            new_and_changed_runs_commit_together,
            a_settled_run_can_be_opened_again,
            a_hundred_runs_change_at_once,
            an_empty_commit_is_accepted,
        );
        $crate::store_conformance!(@cases $world, claim:
            runs_are_taken_in_the_order_of_their_ids,
            taken_runs_are_given_once,
            due_runs_come_oldest_first_up_to_the_limit,
            a_run_that_is_not_due_is_not_taken,
            a_settled_run_is_never_due,
            due_runs_are_shared_without_doing_one_twice,
            the_next_wake_is_that_of_the_earliest_open_run,
            open_runs_come_by_id_in_pages,
            open_runs_are_those_that_were_accepted_by_then,
            the_time_of_a_transaction_does_not_go_backwards,
        );
        $crate::store_conformance!(@cases $world, list:
            a_listing_tells_what_the_run_tells,
            runs_are_listed_newest_first_in_pages,
            each_condition_of_a_list_holds,
            conditions_hold_together,
        );
        $crate::store_conformance!(@cases $world, log:
            events_of_a_run_come_in_order_in_pages,
            events_are_found_by_identity,
            each_condition_of_the_log_holds,
            pages_of_the_log_neither_repeat_nor_lose_events,
            the_previous_diagnosis_is_never_the_runs_own,
            a_previous_diagnosis_is_asked_for_as_of_a_time,
            a_website_without_another_run_has_no_previous_diagnosis,
            thousands_of_events_of_one_instant_keep_their_order,
        );
        $crate::store_conformance!(@cases $world, audit:
            stored_runs_come_by_id_in_pages,
            an_audit_of_whole_runs_finds_nothing,
            an_audit_reads_long_logs_to_their_end,
        );
        $crate::store_conformance!(@cases $world, plans:
            each_new_content_is_a_new_version,
            the_same_content_gives_the_version_that_is_there,
            plans_are_listed_by_id_with_their_newest_version,
            concurrent_versions_get_different_numbers,
            the_callback_key_is_drawn_once,
            a_working_store_answers_a_ping,
        );
        $crate::store_conformance!(@cases $world, retention:
            runs_that_settled_long_ago_are_removed_with_everything_that_was_theirs,
            a_run_that_is_open_or_was_tried_again_lately_is_kept,
            old_runs_go_a_few_at_a_time_however_many_remove_them,
        );
        $crate::store_conformance!(@cases $world, payloads:
            strange_payloads_survive_byte_for_byte,
            a_result_of_the_greatest_depth_can_be_read_back,
            a_payload_of_a_mebibyte_survives,
            a_strange_state_survives,
        );
    };
    (@cases $world:ty, $group:ident: $($case:ident,)*) => {
        $(
            #[tokio::test]
            async fn $case() {
                let world = <$world as $crate::conformance::store::StoreWorld>::fresh().await;
                let store = $crate::conformance::store::StoreWorld::store(&world);
                $crate::conformance::store::soon($crate::conformance::store::$group::$case(store)).await;
            }
        )*
    };
}

/// Stamps out one `#[tokio::test]` per case for a [`SqlWorld`].
#[macro_export]
macro_rules! sql_store_conformance {
    ($world:ty) => {
        $crate::sql_store_conformance!(@cases $world, audit:
            each_damage_is_found_by_an_audit,
            events_without_their_run_are_found,
        );
        $crate::sql_store_conformance!(@cases $world, sql:
            all_run_status_events_of_a_website_come_newest_first,
            the_events_of_a_run_ordered_by_time_are_its_log,
            a_damaged_state_is_left_out_of_claims_and_told_when_read,
            damaged_runs_do_not_starve_the_ones_behind_them,
            a_damaged_plan_is_told_when_its_run_is_read,
            impossible_rows_are_refused,
            everything_is_there_after_opening_again,
        );
    };
    (@cases $world:ty, $group:ident: $($case:ident,)*) => {
        $(
            #[tokio::test]
            async fn $case() {
                let world = <$world as $crate::conformance::store::StoreWorld>::fresh().await;
                $crate::conformance::store::soon($crate::conformance::store::$group::$case(&world)).await;
            }
        )*
    };
}

/// What is not here within [`PATIENCE`] never comes.
pub async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("it comes at all")
}

/// Identity of the run with this number; a higher number is newer.
#[must_use]
pub fn run_id(number: u128) -> RunId {
    RunId::from_uuid(Uuid::from_u128(number))
}

/// The plan of the tests: `second` depends on `first`.
#[must_use]
pub fn plan(id: &str) -> Arc<Plan> {
    let text = format!(
        "{{plan_id: {id}, name: A plan, max_duration_ms: 300000, services: [
            {{service: first, worker_key: one, timeout_ms: 60000}},
            {{service: second, worker_key: two, timeout_ms: 60000, depends_on: [first]}}]}}"
    );
    Arc::new(Plan::from_yaml(&text).expect("a valid plan"))
}

/// A submission for the website `site_1`.
#[must_use]
pub fn submission(number: u128) -> NewRun {
    NewRun {
        run_id: run_id(number),
        website_id: "site_1".parse().expect("valid"),
        domain: "example.com".parse().expect("valid"),
        plan: plan("plan-1"),
    }
}

/// The events that a decision records.
#[must_use]
pub fn recorded(effects: &[Effect]) -> Vec<KbaseEvent> {
    let event = |effect: &Effect| match effect {
        Effect::Record { event, .. } => Some(event.clone()),
        Effect::Publish(_) | Effect::Revoke(_) | Effect::Synthesise => None,
    };
    effects.iter().filter_map(event).collect()
}

/// The change that accepts a submission, and the run.
#[must_use]
pub fn acceptance(new: NewRun, now: Timestamp, key: Option<(&str, &str)>) -> (Run, Change) {
    let Decision { next, effects } = Run::start(new, now);
    let idempotency =
        key.map(|(key, request_hash)| Idempotency { key: key.to_owned(), request_hash: request_hash.to_owned() });
    (next.clone(), Change::Accept { run: Box::new(next), events: recorded(&effects), idempotency })
}

/// The change that `event` makes to a run; `None` if it changes nothing.
#[must_use]
pub fn change(run: &Run, event: &Event, now: Timestamp) -> Option<(Run, Change)> {
    let Decision { next, effects } = decide(run, event, now).expect("the event fits the run");
    let (taken_seq, events) = (run.state().last_seq, recorded(&effects));
    let changed = !events.is_empty();
    changed.then(|| (next.clone(), Change::Update { run: Box::new(next), taken_seq, events }))
}

/// Commits one change in a transaction that takes nothing.
pub async fn commit(store: &dyn Store, changes: Vec<Change>) -> Result<Vec<Committed>, StoreError> {
    store.begin(Claim::Nothing).await.expect("a transaction").commit(changes).await
}

/// Accepts submissions at the store's time.
pub async fn accept_all(store: &dyn Store, submissions: impl IntoIterator<Item = NewRun>) -> Vec<Run> {
    let transaction = store.begin(Claim::Nothing).await.expect("a transaction");
    let now = transaction.now();
    let (runs, changes): (Vec<_>, Vec<_>) = submissions.into_iter().map(|new| acceptance(new, now, None)).unzip();
    let done = transaction.commit(changes).await.expect("committed");
    assert!(done.iter().all(|outcome| *outcome == Committed::Done), "{done:?}");
    runs
}

/// Accepts one submission of the tests.
pub async fn accept(store: &dyn Store, number: u128) -> Run {
    accept_all(store, [submission(number)]).await.remove(0)
}

/// Accepts one submission as if `ago_ms` before the store's time: with more than five minutes it is due at once.
pub async fn accept_earlier(store: &dyn Store, number: u128, ago_ms: u64) -> Run {
    let now = store.now().await.expect("the time").minus_ms(ago_ms);
    let (run, change) = acceptance(submission(number), now, None);
    commit(store, vec![change]).await.expect("committed");
    run
}

/// Takes one run; it must be there.
pub async fn take(store: &dyn Store, id: RunId) -> (Box<dyn Transaction>, Run) {
    let mut transaction = store.begin(Claim::Runs(&[id])).await.expect("a transaction");
    let mut runs = transaction.take_runs();
    assert_eq!(runs.len(), 1, "the run is there");
    (transaction, runs.remove(0))
}

/// Ends a transaction without a change, and returns when its runs are free. Dropping it frees them a moment later.
pub async fn release(transaction: Box<dyn Transaction>) {
    assert_eq!(transaction.commit(Vec::new()).await.expect("committed"), []);
}

/// Applies one event to one run.
pub async fn apply(store: &dyn Store, id: RunId, event: &Event) -> Run {
    let (transaction, run) = take(store, id).await;
    let Some((next, change)) = change(&run, event, transaction.now()) else { return run };
    let done = transaction.commit(vec![change]).await.expect("committed");
    assert_eq!(done, [Committed::Done]);
    next
}

/// An event that someone notes under a run.
#[must_use]
pub fn note(payload: &str) -> Event {
    let payload = Json::parse(payload).expect("valid JSON");
    Event::Noted(NotedEvent { service: "crm".to_owned(), kind: "remark".to_owned(), payload })
}

/// Settles a run: cancels it and gives it this diagnosis.
pub async fn settle(store: &dyn Store, id: RunId, diagnosis: &str) -> Run {
    apply(store, id, &Event::CancelRequested).await;
    let diagnosis = Json::parse(diagnosis).expect("valid JSON");
    let run = apply(store, id, &Event::Synthesised(Ok(diagnosis))).await;
    assert!(run.status().is_settled());
    run
}

/// The whole log of a run.
pub async fn whole_log(store: &dyn Store, id: RunId) -> Vec<KbaseEvent> {
    store.run_events(id, 0, 100_000).await.expect("events")
}

/// Reads a run that must be there.
pub async fn read(store: &dyn Store, id: RunId) -> Run {
    store.run(id).await.expect("readable").expect("stored")
}
