//! The log: events of a run, and of everything.

use std::collections::BTreeSet;
use std::sync::Arc;

use hermes_core::kbase::{DIAGNOSIS, KbaseEvent};
use hermes_core::ports::store::{Claim, EventFilter, PreviousOf, Store};
use hermes_core::run::{Event, NewRun};
use hermes_core::{EventId, Plan, RunId, Timestamp};

use super::{accept, accept_all, apply, note, run_id, settle, submission, whole_log};

/// Gapless, from wherever the reader was.
pub async fn events_of_a_run_come_in_order_in_pages(store: Arc<dyn Store>) {
    let id = accept(&*store, 1).await.id();
    accept(&*store, 2).await;
    for number in 0..5 {
        apply(&*store, id, &note(&number.to_string())).await;
    }
    let numbers = |events: Vec<KbaseEvent>| events.iter().map(|event| event.seq).collect::<Vec<_>>();
    assert_eq!(numbers(store.run_events(id, 0, 3).await.unwrap()), [1, 2, 3]);
    assert_eq!(numbers(store.run_events(id, 3, 3).await.unwrap()), [4, 5, 6]);
    assert_eq!(numbers(store.run_events(id, 6, 3).await.unwrap()), [7]);
    assert_eq!(numbers(store.run_events(id, 7, 3).await.unwrap()), [0_u64; 0]);
}

/// Inside and outside of a transaction; missing ones are left out.
pub async fn events_are_found_by_identity(store: Arc<dyn Store>) {
    for number in [1, 2] {
        accept(&*store, number).await;
    }
    let event = |number, seq| EventId { run_id: run_id(number), seq };
    let wanted = [event(2, 1), event(1, 2), event(1, 99), event(9, 1)];
    let expected: BTreeSet<EventId> = [event(2, 1), event(1, 2)].into();
    let found = store.events(&wanted).await.unwrap();
    assert_eq!(found.iter().map(|event| event.event_id).collect::<BTreeSet<_>>(), expected);
    assert!(whole_log(&*store, run_id(2)).await.contains(&found.into_iter().max_by_key(|event| event.run_id).unwrap()));
    for claim in [Claim::Nothing, Claim::Runs(&[run_id(1)])] {
        let mut transaction = store.begin(claim).await.unwrap();
        let found = transaction.events(&wanted).await.unwrap();
        assert_eq!(found.iter().map(|event| event.event_id).collect::<BTreeSet<_>>(), expected);
        assert_eq!(transaction.events(&[]).await.unwrap(), []);
    }
}

/// One condition at a time, and all at once.
pub async fn each_condition_of_the_log_holds(store: Arc<dyn Store>) {
    let other = NewRun { website_id: "site_2".parse().unwrap(), ..submission(2) };
    accept_all(&*store, [submission(1), other]).await;
    apply(&*store, run_id(1), &note("1")).await;
    apply(&*store, run_id(2), &note("2")).await;
    let mut all = [whole_log(&*store, run_id(1)).await, whole_log(&*store, run_id(2)).await].concat();
    all.sort_by_key(|event| std::cmp::Reverse((event.created_at, event.seq, event.run_id)));
    let (site, run) = (Some("site_2".parse().unwrap()), Some(run_id(1)));
    let (service, kind) = (Some("hermes".to_owned()), Some("remark".to_owned()));
    let cases = [
        EventFilter::default(),
        EventFilter { website_id: site.clone(), ..EventFilter::default() },
        EventFilter { run_id: run, ..EventFilter::default() },
        EventFilter { service: service.clone(), ..EventFilter::default() },
        EventFilter { kind: kind.clone(), ..EventFilter::default() },
        EventFilter { website_id: site.clone(), service: Some("crm".to_owned()), kind, ..EventFilter::default() },
        EventFilter { website_id: site, run_id: run, ..EventFilter::default() },
    ];
    for filter in cases {
        let holds = |event: &&KbaseEvent| {
            filter.website_id.as_ref().is_none_or(|website_id| event.website_id == *website_id)
                && filter.run_id.is_none_or(|run_id| event.run_id == run_id)
                && filter.service.as_ref().is_none_or(|service| event.service == *service)
                && filter.kind.as_ref().is_none_or(|kind| event.kind == *kind)
        };
        let expected: Vec<KbaseEvent> = all.iter().filter(holds).cloned().collect();
        assert_eq!(store.kbase(&filter, None, 100).await.unwrap(), expected, "{filter:?}");
    }
}

/// Many events share a millisecond.
pub async fn pages_of_the_log_neither_repeat_nor_lose_events(store: Arc<dyn Store>) {
    accept_all(&*store, (1..=20).map(submission)).await;
    let all = store.kbase(&EventFilter::default(), None, 1_000).await.unwrap();
    assert_eq!(all.len(), 40);
    let mut paged: Vec<KbaseEvent> = Vec::new();
    loop {
        let before = paged.last().map(|event| (event.created_at, event.event_id));
        let page = store.kbase(&EventFilter::default(), before, 7).await.unwrap();
        if page.is_empty() {
            break;
        }
        paged.extend(page);
    }
    assert_eq!(paged, all);
}

async fn previous(store: &dyn Store, asked: &[(u128, &str)]) -> Vec<(RunId, String)> {
    let of = |(number, site): &(u128, &str)| PreviousOf {
        run_id: run_id(*number),
        website_id: site.parse().unwrap(),
        before: None,
    };
    previous_of(store, &asked.iter().map(of).collect::<Vec<_>>()).await
}

async fn previous_of(store: &dyn Store, of: &[PreviousOf]) -> Vec<(RunId, String)> {
    let mut answers = Vec::new();
    for claim in [Claim::Nothing, Claim::Runs(&[run_id(3)])] {
        let mut transaction = store.begin(claim).await.unwrap();
        let mut found = transaction.previous_diagnoses(of).await.unwrap();
        found.sort_by_key(|(id, _)| *id);
        answers.push(found.into_iter().map(|(id, payload)| (id, payload.get().to_owned())).collect::<Vec<_>>());
    }
    assert_eq!(answers[0], answers[1]);
    answers.remove(0)
}

/// A re-run compares itself with the run before it, not with its own first revision.
pub async fn the_previous_diagnosis_is_never_the_runs_own(store: Arc<dyn Store>) {
    accept_all(&*store, [1, 2, 3].map(submission)).await;
    settle(&*store, run_id(1), r#"{"of": 1}"#).await;
    settle(&*store, run_id(2), r#"{"of": 2}"#).await;
    let expected = [(1, 2), (2, 1), (3, 2)].map(|(run, of)| (run_id(run), format!(r#"{{"of": {of}}}"#)));
    assert_eq!(previous(&*store, &[(1, "site_1"), (2, "site_1"), (3, "site_1")]).await, expected);
    // a re-run of the first one makes it the newest
    apply(&*store, run_id(1), &Event::RerunRequested).await;
    settle(&*store, run_id(1), r#"{"of": "1 again"}"#).await;
    let expected = [(run_id(2), r#"{"of": "1 again"}"#.to_owned())];
    assert_eq!(previous(&*store, &[(2, "site_1")]).await, expected);
}

/// A diagnosis that is amended is compared with what it was compared with before.
pub async fn a_previous_diagnosis_is_asked_for_as_of_a_time(store: Arc<dyn Store>) {
    accept_all(&*store, [1, 2, 3].map(submission)).await;
    for number in [1, 2] {
        settle(&*store, run_id(number), &format!(r#"{{"of": {number}}}"#)).await;
        let made_at = store.now().await.unwrap();
        while store.now().await.unwrap() <= made_at {}
    }
    let made_at = |event: &KbaseEvent| event.created_at;
    let filter = EventFilter { kind: Some(DIAGNOSIS.to_owned()), ..EventFilter::default() };
    let times: Vec<Timestamp> = store.kbase(&filter, None, 2).await.unwrap().iter().map(made_at).collect();
    let [second, first] = times[..] else { panic!("two diagnoses") };
    let asked =
        |before: Option<Timestamp>| PreviousOf { run_id: run_id(3), website_id: "site_1".parse().unwrap(), before };
    for (before, expected) in
        [(None, Some(2)), (Some(second.plus_ms(1)), Some(2)), (Some(second), Some(1)), (Some(first), None)]
    {
        let expected: Vec<_> = expected.map(|of| (run_id(3), format!(r#"{{"of": {of}}}"#))).into_iter().collect();
        assert_eq!(previous_of(&*store, &[asked(before)]).await, expected, "before {before:?}");
    }
}

/// The first run of a site has nothing to compare with.
pub async fn a_website_without_another_run_has_no_previous_diagnosis(store: Arc<dyn Store>) {
    let other = NewRun { website_id: "site_2".parse().unwrap(), ..submission(2) };
    accept_all(&*store, [submission(1), other, submission(3)]).await;
    settle(&*store, run_id(2), "{}").await;
    assert_eq!(previous(&*store, &[(1, "site_1"), (2, "site_2")]).await, []);
    assert_eq!(previous(&*store, &[]).await, []);
}

/// A chain whose first service is cancelled skips or cancels all others in the same transaction.
pub async fn thousands_of_events_of_one_instant_keep_their_order(store: Arc<dyn Store>) {
    let services: Vec<String> =
        (0..1_024).map(|n| format!("{{service: s{n}, worker_key: k, timeout_ms: 1000}}")).collect();
    let text = format!("{{plan_id: wide, name: Wide, max_duration_ms: 60000, services: [{}]}}", services.join(", "));
    let plan = Arc::new(Plan::from_yaml(&text).unwrap());
    let id = accept_all(&*store, [NewRun { plan, ..submission(1) }]).await.remove(0).id();
    let run = apply(&*store, id, &Event::CancelRequested).await;
    let log = whole_log(&*store, id).await;
    assert!(log.len() > 1_000, "{} events", log.len());
    assert_eq!(log.len() as u64, run.state().last_seq);
    assert!((1..).zip(&log).all(|(seq, event)| event.seq == seq));
    let mut newest_first = store.kbase(&EventFilter::default(), None, 10_000).await.unwrap();
    newest_first.reverse();
    assert_eq!(newest_first, log);
}
