//! Facts and rows convert into each other without loss, and the shapes that people query stay what they are.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::fact::{CauseLink, Fact, NotedEvent, QueuedService, RunEnd, RunStart, ServiceEnd, ServiceOutcome};
use super::{RESERVED_TYPES, ServiceResult};
use crate::ids::{EventId, RunId, ServiceName};
use crate::json::Json;
use crate::status::{RunStatus, ServiceStatus};
use crate::time::Timestamp;
use crate::wire::{ErrorClass, ServiceError};

fn name(text: &str) -> ServiceName {
    text.parse().expect("valid")
}

fn error(class: ErrorClass, message: &str) -> ServiceError {
    ServiceError { class, message: message.to_owned() }
}

fn json(text: &str) -> Json {
    Json::parse(text).expect("valid")
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("valid")
}

fn ended(status: ServiceStatus) -> ServiceEnd {
    ServiceEnd {
        service: name("tech"),
        status,
        attempt: 2,
        duration_ms: None,
        answered: false,
        error: error(ErrorClass::Tls, "handshake"),
        cause: vec![],
    }
}

fn start(revision: u32) -> RunStart {
    RunStart {
        status: RunStatus::Started,
        plan_id: "standard-v1".parse().expect("valid"),
        plan_name: "Standard".to_owned(),
        domain: "example.com".parse().expect("valid"),
        started_at: at("2025-01-27T10:00:00.000Z"),
        timeout_at: at("2025-01-27T10:05:00.000Z"),
        services_planned: vec![name("serp"), name("tech")],
        revision,
    }
}

fn end(status: RunStatus) -> RunEnd {
    RunEnd {
        status,
        plan_id: "standard-v1".parse().expect("valid"),
        domain: "example.com".parse().expect("valid"),
        started_at: at("2025-01-27T10:00:00.000Z"),
        completed_at: at("2025-01-27T10:00:09.001Z"),
        duration_ms: 9_001,
        services_completed: 1,
        services_failed: 0,
        services_timeout: 0,
        services_skipped: 0,
        services_cancelled: 2,
        services_total: 3,
        diagnosis_event_id: Some(EventId { run_id: RunId::from_uuid(uuid::Uuid::from_u128(9)), seq: 7 }),
        synthesis_error: None,
        service_results: vec![ServiceOutcome {
            service: name("serp"),
            status: ServiceStatus::Completed,
            duration_ms: Some(1),
            error: None,
        }],
    }
}

/// The row of a fact as `service`, `type`, payload.
fn row(fact: &Fact) -> (String, String, Value) {
    let (service, kind, payload) = fact.columns();
    (service, kind, payload.read().expect("JSON"))
}

fn read(service: &str, kind: &str, payload: &Value) -> Result<Fact, String> {
    Fact::from_columns(service, kind, &Json::of(payload)).map_err(|error| error.to_string())
}

#[track_caller]
fn reads_back(fact: &Fact) {
    let (service, kind, payload) = fact.columns();
    assert_eq!(Fact::from_columns(&service, &kind, &payload).as_ref(), Ok(fact));
}

#[test]
fn a_wave_lists_its_services_with_attempt_and_time_out() {
    let services = vec![QueuedService { service: name("tech"), attempt: 2, timeout_ms: 60_000 }];
    let fact = Fact::WaveQueued { wave: 3, services };
    let payload = json!({"wave": 3, "services": [{"service": "tech", "attempt": 2, "timeout_ms": 60_000}]});
    assert_eq!(row(&fact), ("hermes".to_owned(), "wave".to_owned(), payload));
    reads_back(&fact);
}

#[test]
fn a_start_shows_the_worker_and_a_deferral_says_that_it_is_one() {
    let status = |payload| ("tech".to_owned(), "service_status".to_owned(), payload);
    let started = Fact::ServiceStarted { service: name("tech"), attempt: 1, worker: "w-1".to_owned() };
    assert_eq!(row(&started), status(json!({"status": "running", "attempt": 1, "worker": "w-1"})));
    let deferred = Fact::ServiceDeferred { service: name("tech"), attempt: 1 };
    assert_eq!(row(&deferred), status(json!({"status": "running", "attempt": 1, "deferred": true})));
    reads_back(&started);
    reads_back(&deferred);
}

#[test]
fn an_attempt_that_will_be_followed_shows_its_error_and_when() {
    let fact = Fact::AttemptFailed {
        service: name("tech"),
        attempt: 1,
        error: error(ErrorClass::RateLimited, "slow down"),
        retry_at: at("2025-01-27T10:00:05.000Z"),
    };
    let payload = json!({
        "status": "pending", "attempt": 1, "error": "slow down", "error_class": "rate_limited",
        "retry_at": "2025-01-27T10:00:05.000Z",
    });
    assert_eq!(row(&fact), ("tech".to_owned(), "service_status".to_owned(), payload));
    reads_back(&fact);
}

#[test]
fn every_way_to_end_without_a_result_has_the_same_members() {
    for status in [ServiceStatus::Failed, ServiceStatus::Timeout, ServiceStatus::Skipped, ServiceStatus::Cancelled] {
        let fact = Fact::ServiceEnded(ended(status));
        let payload = json!({"status": status.as_str(), "attempt": 2, "error": "handshake", "error_class": "tls"});
        assert_eq!(row(&fact), ("tech".to_owned(), "service_status".to_owned(), payload));
        reads_back(&fact);
    }
}

#[test]
fn an_end_shows_duration_answer_and_cause_where_there_are_any() {
    let link = |service: &str, status| CauseLink { service: name(service), status, error: format!("{service}!") };
    let fact = Fact::ServiceEnded(ServiceEnd {
        duration_ms: Some(0),
        answered: true,
        cause: vec![link("b", ServiceStatus::Skipped), link("a", ServiceStatus::Timeout)],
        ..ended(ServiceStatus::Skipped)
    });
    let payload = json!({
        "status": "skipped", "attempt": 2, "duration_ms": 0, "error": "handshake", "error_class": "tls",
        "answered": true,
        "cause": [
            {"service": "b", "status": "skipped", "error": "b!"},
            {"service": "a", "status": "timeout", "error": "a!"},
        ],
    });
    assert_eq!(row(&fact).2, payload);
    reads_back(&fact);
}

#[test]
fn a_result_carries_the_workers_data_letter_by_letter() {
    let data = r#"{ "b": 1.50, "a": [1e3,"\u00e4"] }"#;
    let result = ServiceResult { service: name("tech"), attempt: 1, duration_ms: 45_000, data: json(data) };
    let fact = Fact::ServiceCompleted(result);
    let (service, kind, payload) = fact.columns();
    assert_eq!((service.as_str(), kind.as_str()), ("tech", "result"));
    assert_eq!(payload.get(), format!(r#"{{"status":"completed","attempt":1,"duration_ms":45000,"data":{data}}}"#));
    reads_back(&fact);
}

#[test]
fn what_came_too_late_shows_its_data_or_its_error() {
    let late = |result: Option<Json>, error| Fact::LateReported { service: name("tech"), attempt: 1, result, error };
    let result = late(Some(json(r#"{"x":1}"#)), None);
    assert_eq!(row(&result), ("tech".to_owned(), "late_result".to_owned(), json!({"attempt": 1, "data": {"x": 1}})));
    let failure = late(None, Some(error(ErrorClass::Panic, "oh")));
    assert_eq!(row(&failure).2, json!({"attempt": 1, "error": "oh", "error_class": "panic"}));
    reads_back(&result);
    reads_back(&failure);
}

#[test]
fn a_diagnosis_is_the_whole_payload() {
    let fact = Fact::Diagnosed { diagnosis: json(r#"{"confidence":0.5}"#) };
    assert_eq!(row(&fact), ("hermes".to_owned(), "diagnosis".to_owned(), json!({"confidence": 0.5})));
    reads_back(&fact);
}

#[test]
fn the_number_of_a_revision_is_shown_from_the_second_on() {
    assert_eq!(row(&Fact::RunStarted(start(1))).2.get("revision"), None);
    assert_eq!(row(&Fact::RunStarted(start(2))).2["revision"], 2);
    reads_back(&Fact::RunStarted(start(1)));
    reads_back(&Fact::RunStarted(start(2)));
}

#[test]
fn a_run_status_event_is_a_start_or_an_end_by_its_status_alone() {
    for status in [RunStatus::Completed, RunStatus::Failed, RunStatus::Timeout, RunStatus::Cancelled] {
        let fact = Fact::RunSettled(end(status));
        assert_eq!(row(&fact).2["status"], status.as_str());
        reads_back(&fact);
    }
    let (_, _, mut payload) = row(&Fact::RunSettled(end(RunStatus::Failed)));
    payload["status"] = "started".into();
    let refusal = read("hermes", "run_status", &payload).expect_err("an end's members under a start's status");
    assert!(refusal.contains("missing field `plan_name`"), "{refusal}");
}

#[test]
fn cancelled_services_are_counted_in_an_end_only_where_there_are_any() {
    assert_eq!(row(&Fact::RunSettled(end(RunStatus::Cancelled))).2["services_cancelled"], 2);
    let none = RunEnd { services_cancelled: 0, ..end(RunStatus::Completed) };
    assert_eq!(row(&Fact::RunSettled(none.clone())).2.get("services_cancelled"), None);
    reads_back(&Fact::RunSettled(none));
}

#[test]
fn a_damaged_payload_is_refused_with_its_place() {
    let number = json!(1);
    for (service, kind, payload, reason) in [
        ("hermes", "run_status", json!({}), "missing field `status`"),
        ("hermes", "run_status", json!({"status": "done"}), "unknown variant `done`"),
        ("hermes", "run_status", json!({"status": "started"}), "missing field `plan_id`"),
        ("hermes", "run_status", json!({"status": "failed"}), "missing field `plan_id`"),
        ("hermes", "wave", json!({"wave": 1}), "missing field `services`"),
        ("hermes", "wave", json!({"wave": -1, "services": []}), "invalid value: integer `-1`"),
        ("hermes", "wave", json!({"wave": 1, "services": [{}]}), "missing field `service`"),
        ("tech", "service_status", number.clone(), "invalid type: integer `1`"),
        ("tech", "service_status", json!({"status": "running"}), "missing field `attempt`"),
        ("tech", "service_status", json!({"status": "pending", "attempt": 1}), "without 'retry_at'"),
        ("tech", "service_status", json!({"status": "queued", "attempt": 1}), "status 'queued' does not occur"),
        ("tech", "service_status", json!({"status": "completed", "attempt": 1}), "status 'completed' does not occur"),
        ("tech", "service_status", json!({"status": "failed", "attempt": 1, "error_class": "bad luck"}), "bad luck"),
        ("tech", "service_status", json!({"status": "pending", "attempt": 1, "retry_at": "soon"}), "'soon'"),
        ("tech", "result", json!({"status": "completed", "attempt": 1, "duration_ms": 1}), "missing field `data`"),
        ("tech", "result", json!({"attempt": 1, "duration_ms": 1, "data": {}}), "missing field `status`"),
        ("tech", "late_result", json!({}), "missing field `attempt`"),
        ("te ch", "result", json!({}), "' ' is not allowed"),
        ("", "service_status", json!({}), "it is empty"),
    ] {
        let refusal = read(service, kind, &payload).expect_err("damaged");
        let place = format!("event of service '{service}' and type '{kind}' cannot be read: ");
        assert!(refusal.starts_with(&place) && refusal.contains(reason), "{refusal}, expected {reason}");
    }
}

#[test]
fn members_of_a_later_version_are_passed_over() {
    for fact in [Fact::RunStarted(start(2)), Fact::ServiceEnded(ended(ServiceStatus::Failed))] {
        let (service, kind, mut payload) = row(&fact);
        payload["of_a_later_version"] = json!({"x": [1]});
        assert_eq!(read(&service, &kind, &payload), Ok(fact));
    }
}

#[test]
fn an_event_without_an_error_class_is_of_class_unknown() {
    let fact = read("tech", "service_status", &json!({"status": "failed", "attempt": 1, "error": "old"}));
    let Ok(Fact::ServiceEnded(end)) = fact else { panic!("an end, not {fact:?}") };
    assert_eq!(end.error, error(ErrorClass::Unknown, "old"));
    let fact = read("tech", "late_result", &json!({"attempt": 1, "error": "old"}));
    let Ok(Fact::LateReported { error: Some(found), result: None, .. }) = fact else { panic!("late, not {fact:?}") };
    assert_eq!(found, error(ErrorClass::Unknown, "old"));
}

#[test]
fn an_event_of_another_type_is_a_note_whoever_speaks() {
    for service in ["hermes", "tech", "someone else", ""] {
        let fact = read(service, "email_request", &json!([1]));
        assert!(matches!(&fact, Ok(Fact::Noted(noted)) if noted.service == service), "{fact:?}");
    }
}

#[test]
fn the_reserved_types_are_exactly_those_that_the_engine_writes() {
    let late = Fact::LateReported { service: name("a"), attempt: 1, result: None, error: None };
    let result = ServiceResult { service: name("a"), attempt: 1, duration_ms: 0, data: json("{}") };
    let written: std::collections::BTreeSet<String> = [
        Fact::RunStarted(start(1)),
        Fact::RunSettled(end(RunStatus::Failed)),
        Fact::WaveQueued { wave: 1, services: vec![] },
        Fact::ServiceStarted { service: name("a"), attempt: 1, worker: String::new() },
        Fact::ServiceDeferred { service: name("a"), attempt: 1 },
        Fact::ServiceEnded(ended(ServiceStatus::Failed)),
        Fact::ServiceCompleted(result),
        late,
        Fact::Diagnosed { diagnosis: json("{}") },
    ]
    .iter()
    .map(|fact| fact.columns().1)
    .collect();
    assert_eq!(written, RESERVED_TYPES.map(str::to_owned).into_iter().collect());
}

#[test]
fn an_event_is_written_with_its_id_and_its_type() {
    let run_id = RunId::from_uuid(uuid::Uuid::from_u128(9));
    let event = super::KbaseEvent {
        event_id: EventId { run_id, seq: 3 },
        website_id: "site_123".parse().expect("valid"),
        run_id,
        seq: 3,
        service: "tech".to_owned(),
        kind: "result".to_owned(),
        payload: json(r#"{"x":1}"#),
        created_at: at("2025-01-27T10:00:00.000Z"),
    };
    let written = json!({
        "event_id": "evt_00000000000000000000000000000009_3", "website_id": "site_123",
        "run_id": "00000000000000000000000000000009", "seq": 3, "service": "tech", "type": "result",
        "payload": {"x": 1}, "created_at": "2025-01-27T10:00:00.000Z",
    });
    assert_eq!(serde_json::to_value(&event).expect("writes"), written);
    let text = serde_json::to_string(&event).expect("writes");
    assert_eq!(serde_json::from_str::<super::KbaseEvent>(&text).expect("reads"), event);
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        Just(String::new()),
        Just("\u{0}\u{1b}[0m\u{7f}\u{85}".to_owned()),
        Just("\u{202e}\"\\/'\u{1f600}\u{feff}".to_owned()),
    ]
}

fn times() -> impl Strategy<Value = Timestamp> {
    (0_i64..253_402_300_799_999).prop_map(Timestamp::from_millis)
}

fn names() -> impl Strategy<Value = ServiceName> {
    "[A-Za-z0-9._-]{1,128}".prop_map(|text| name(&text))
}

fn classes() -> impl Strategy<Value = ErrorClass> {
    prop::sample::select(vec![ErrorClass::Dns, ErrorClass::Timeout, ErrorClass::HtmlInsteadOfJson, ErrorClass::Unknown])
}

fn errors() -> impl Strategy<Value = ServiceError> {
    (classes(), texts()).prop_map(|(class, message)| ServiceError { class, message })
}

fn ends() -> impl Strategy<Value = ServiceEnd> {
    let statuses = prop::sample::select(vec![
        ServiceStatus::Failed,
        ServiceStatus::Timeout,
        ServiceStatus::Skipped,
        ServiceStatus::Cancelled,
    ]);
    let links =
        (names(), statuses.clone(), texts()).prop_map(|(service, status, error)| CauseLink { service, status, error });
    let rest = (any::<Option<u64>>(), any::<bool>(), errors(), prop::collection::vec(links, 0..4));
    (names(), statuses, any::<u32>(), rest).prop_map(|(service, status, attempt, rest)| {
        let (duration_ms, answered, error, cause) = rest;
        ServiceEnd { service, status, attempt, duration_ms, answered, error, cause }
    })
}

fn contents() -> impl Strategy<Value = Json> {
    (texts(), any::<i64>(), any::<bool>()).prop_map(|(text, number, nothing)| {
        Json::of(&json!({ "text": text, "number": number, "maybe": if nothing { Value::Null } else { json!([]) } }))
    })
}

fn facts() -> impl Strategy<Value = Fact> {
    let queued = (names(), any::<u32>(), any::<u64>()).prop_map(|(service, attempt, timeout_ms)| QueuedService {
        service,
        attempt,
        timeout_ms,
    });
    let result = (names(), any::<u32>(), any::<u64>(), contents());
    let noted = (texts(), texts(), contents());
    prop_oneof![
        (any::<u32>(), prop::collection::vec(queued, 0..4))
            .prop_map(|(wave, services)| Fact::WaveQueued { wave, services }),
        (names(), any::<u32>(), texts()).prop_map(|(service, attempt, worker)| Fact::ServiceStarted {
            service,
            attempt,
            worker
        }),
        (names(), any::<u32>()).prop_map(|(service, attempt)| Fact::ServiceDeferred { service, attempt }),
        (names(), any::<u32>(), errors(), times()).prop_map(|(service, attempt, error, retry_at)| {
            Fact::AttemptFailed { service, attempt, error, retry_at }
        }),
        ends().prop_map(Fact::ServiceEnded),
        result.prop_map(|(service, attempt, duration_ms, data)| {
            Fact::ServiceCompleted(ServiceResult { service, attempt, duration_ms, data })
        }),
        (names(), any::<u32>(), prop::option::of(contents()), prop::option::of(errors()))
            .prop_map(|(service, attempt, result, error)| Fact::LateReported { service, attempt, result, error }),
        contents().prop_map(|diagnosis| Fact::Diagnosed { diagnosis }),
        noted.prop_filter_map("the engine's own types", |(service, kind, payload)| {
            let free = !RESERVED_TYPES.contains(&kind.as_str());
            free.then_some(Fact::Noted(NotedEvent { service, kind, payload }))
        }),
        (texts(), times(), any::<u64>(), texts()).prop_map(|(message, completed_at, duration_ms, why)| {
            let mut settled = end(RunStatus::Failed);
            (settled.completed_at, settled.duration_ms) = (completed_at, duration_ms);
            settled.synthesis_error = Some(why);
            settled.service_results[0].error = Some(message);
            Fact::RunSettled(settled)
        }),
        (texts(), times(), any::<u32>()).prop_map(|(plan_name, timeout_at, revision)| {
            Fact::RunStarted(RunStart { plan_name, timeout_at, ..start(revision) })
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_fact_reads_back_from_its_row_whatever_its_texts_and_numbers(fact in facts()) {
        let (service, kind, payload) = fact.columns();
        prop_assert_eq!(Fact::from_columns(&service, &kind, &payload), Ok(fact));
    }

    #[test]
    fn no_row_makes_the_reader_panic(
        service in prop::sample::select(vec!["hermes", "tech", "te ch"]), kind in 0_usize..7, payload in contents()
    ) {
        let kind = RESERVED_TYPES.get(kind).copied().unwrap_or("note");
        drop(Fact::from_columns(service, kind, &payload));
    }
}
