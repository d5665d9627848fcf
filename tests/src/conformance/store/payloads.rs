//! What workers may send, and databases may stumble over.

use std::sync::Arc;

use hermes_core::json::JSON_DEPTH_MAX;
use hermes_core::kbase::Fact;
use hermes_core::ports::store::{Claim, EventFilter, Store};
use hermes_core::run::{Event, Jitter, NewRun};
use hermes_core::wire::{Outcome, Report, WIRE_VERSION};
use hermes_core::{Json, RunId};

use super::{accept, apply, commit, note, read, run_id, submission, whole_log};

fn nested(levels: usize) -> String {
    format!("{}{}", "[".repeat(levels), "]".repeat(levels))
}

async fn newest_payload(store: &dyn Store, id: RunId) -> String {
    whole_log(store, id).await.last().unwrap().payload.get().to_owned()
}

/// Blanks, order of members, doubled members and notations of numbers included.
pub async fn strange_payloads_survive_byte_for_byte(store: Arc<dyn Store>) {
    let id = accept(&*store, 1).await.id();
    let payloads = [
        r#""\u0000""#.to_owned(),
        r#"{"a\u0000b": "\u0000\u0001\u001f"}"#.to_owned(),
        r#"["\ud800", "\udfff\ud800", "\ud83d"]"#.to_owned(),
        r#"[1e400, -1E+999, 1.0, 1.00, -0, 0e0, 1e-400]"#.to_owned(),
        format!("[{}, 0.{}]", "9".repeat(5_000), "1".repeat(5_000)),
        r#"{"a": 1, "a": 2, "b":3 ,  "a" : 4}"#.to_owned(),
        r#"{"'": "''", "\"": "\\\"", "$1": "?", ";": "--", "{}": "%s"}"#.to_owned(),
        "\"ünïcödé 漢字 🦀 \u{202e}\u{feff}\u{10ffff}\u{7f}\u{2028}\"".to_owned(),
        "{\"many lines\": [\r\n\t1 ]}".to_owned(),
        nested(JSON_DEPTH_MAX),
        "null".to_owned(),
        "\"\"".to_owned(),
    ];
    for payload in payloads {
        apply(&*store, id, &note(&payload)).await;
        assert_eq!(newest_payload(&*store, id).await, payload);
    }
    let listed = store.kbase(&EventFilter::default(), None, 100).await.unwrap();
    assert_eq!(listed.len(), whole_log(&*store, id).await.len());
}

/// The largest permitted result.
pub async fn a_payload_of_a_mebibyte_survives(store: Arc<dyn Store>) {
    let id = accept(&*store, 1).await.id();
    let payload = format!("\"{}\"", "🦀 x\\u0000".repeat(100_000));
    assert!(payload.len() > 1_024 * 1_024);
    apply(&*store, id, &note(&payload)).await;
    assert_eq!(newest_payload(&*store, id).await, payload);
}

/// A run's state and columns with everything that their types permit.
pub async fn a_strange_state_survives(store: Arc<dyn Store>) {
    let domain = "http://ex-ample.com/ünï?q='\";DROP TABLE runs;--\\u0000%00".parse().unwrap();
    let website_id = "@:/._-".parse().unwrap();
    let transaction = store.begin(Claim::Nothing).await.unwrap();
    let new = NewRun { domain, website_id, ..submission(1) };
    let (run, change) = super::acceptance(new, transaction.now(), Some(("' ; \\ 漢字", "''")));
    drop(transaction);
    commit(&*store, vec![change]).await.unwrap();
    assert_eq!(read(&*store, run_id(1)).await, run);

    let order = run.open_jobs(run.state().created_at).remove(0);
    let report = |outcome| Event::Reported {
        report: Report { v: WIRE_VERSION, job: order.id.clone(), worker: "\0'\"\u{10ffff}".to_owned(), outcome },
        jitter: Jitter::new(0.0),
    };
    apply(&*store, run_id(1), &report(Outcome::Started)).await;
    let result = Json::parse(r#"{"\u0000": "\ud800"}"#).unwrap();
    let after = apply(&*store, run_id(1), &report(Outcome::Completed { duration_ms: u64::MAX >> 1, result })).await;
    assert_eq!(read(&*store, run_id(1)).await, after);
}

/// The log wraps a result, and so is deeper than what was accepted; it must read back all the same.
pub async fn a_result_of_the_greatest_depth_can_be_read_back(store: Arc<dyn Store>) {
    let run = accept(&*store, 1).await;
    let order = run.open_jobs(run.state().created_at).remove(0);
    let result = Json::parse(&nested(JSON_DEPTH_MAX)).unwrap();
    let outcome = Outcome::Completed { duration_ms: 1, result: result.clone() };
    let report = Report { v: WIRE_VERSION, job: order.id.clone(), worker: "w".to_owned(), outcome };
    apply(&*store, run.id(), &Event::Reported { report, jitter: Jitter::new(0.0) }).await;
    let run = read(&*store, run.id()).await;
    let wanted: Vec<_> = run.result_events().map(|(_, id)| id).collect();
    let found = store.events(&wanted).await.unwrap().remove(0);
    match Fact::from_columns(&found.service, &found.kind, &found.payload).unwrap() {
        Fact::ServiceCompleted(completed) => assert_eq!(completed.data, result),
        other => panic!("{other:?}"),
    }
}
