//! The messages between dispatchers and workers, word by word.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::limits::ERROR_BYTES_MAX;
use crate::wire::{Callback, ErrorClass, Job, JobId, Outcome, Report, ServiceError, WIRE_VERSION, printable};
use crate::{Json, RunId};

const RUN: &str = "00000000000000000000000000000009";

const CLASSES: [ErrorClass; 22] = [
    ErrorClass::NotConfigured,
    ErrorClass::NotFound,
    ErrorClass::Authentication,
    ErrorClass::InvalidInput,
    ErrorClass::RateLimited,
    ErrorClass::HtmlInsteadOfJson,
    ErrorClass::UnexpectedRedirect,
    ErrorClass::Timeout,
    ErrorClass::DeadlinePassed,
    ErrorClass::Dns,
    ErrorClass::Tls,
    ErrorClass::Connection,
    ErrorClass::ServerError,
    ErrorClass::WorkerError,
    ErrorClass::InvalidResult,
    ErrorClass::ResultTooLarge,
    ErrorClass::TargetRefused,
    ErrorClass::Panic,
    ErrorClass::Poison,
    ErrorClass::Dependencies,
    ErrorClass::Cancelled,
    ErrorClass::Unknown,
];

fn id(service: &str, attempt: u32) -> JobId {
    let run_id = RunId::from_uuid(uuid::Uuid::from_u128(9));
    JobId { run_id, service: service.parse().expect("valid"), attempt }
}

fn job(callback: Option<Callback>) -> Job {
    Job {
        v: WIRE_VERSION,
        id: id("tech", 1),
        worker_key: "crawl_render".parse().expect("valid"),
        website_id: "site_123".parse().expect("valid"),
        domain: "example.com".parse().expect("valid"),
        params: Json::parse(r#"{"depth":2}"#).expect("valid"),
        timeout_ms: 60_000,
        remaining_ms: 298_000,
        upstream: [("serp".parse().expect("valid"), Json::parse("[1]").expect("valid"))].into(),
        callback,
    }
}

#[test]
fn every_class_is_written_as_its_own_word() {
    for class in CLASSES {
        assert_eq!(serde_json::to_value(class).expect("writes"), class.as_str());
        assert_eq!(serde_json::from_value::<ErrorClass>(class.as_str().into()).expect("reads"), class);
        assert_eq!(class.to_string(), class.as_str());
        let is_plain = class.as_str().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        assert!(is_plain, "{class} is one lower-case word");
    }
    let words: std::collections::BTreeSet<&str> = CLASSES.map(ErrorClass::as_str).into();
    assert_eq!(words.len(), CLASSES.len(), "no two classes share a word");
    assert!(serde_json::from_value::<ErrorClass>("bad_luck".into()).is_err());
}

#[test]
fn a_job_has_these_members_and_no_others() {
    let mut expected = json!({
        "v": 1,
        "id": {"run_id": RUN, "service": "tech", "attempt": 1},
        "worker_key": "crawl_render",
        "website_id": "site_123",
        "domain": "example.com",
        "params": {"depth": 2},
        "timeout_ms": 60_000,
        "remaining_ms": 298_000,
        "upstream": {"serp": [1]},
    });
    assert_eq!(serde_json::to_value(job(None)).expect("writes"), expected);
    let callback = Callback { url: "https://h.example/cb".to_owned(), token: "t".to_owned() };
    expected["callback"] = json!({"url": "https://h.example/cb", "token": "t"});
    let with_callback = job(Some(callback));
    assert_eq!(serde_json::to_value(&with_callback).expect("writes"), expected);
    let text = serde_json::to_string(&with_callback).expect("writes");
    assert_eq!(serde_json::from_str::<Job>(&text).expect("reads"), with_callback);
}

#[test]
fn a_jobs_debug_text_never_shows_its_token() {
    let callback = Callback { url: "https://h.example/cb".to_owned(), token: "s3cret".to_owned() };
    let text = format!("{:?}", job(Some(callback)));
    assert!(text.contains("https://h.example/cb") && !text.contains("s3cret"), "{text}");
}

#[test]
fn every_outcome_has_its_shape() {
    let error = ServiceError::new(ErrorClass::RateLimited, "slow down");
    let failed = |retry_after_ms| {
        let error = error.clone();
        Outcome::Failed { duration_ms: 7, error, retryable: true, retry_after_ms }
    };
    let result = Json::parse(r#"{"x":1}"#).expect("valid");
    let written = json!({"class": "rate_limited", "message": "slow down"});
    for (outcome, shape) in [
        (Outcome::Started, json!("started")),
        (Outcome::Deferred, json!("deferred")),
        (Outcome::Completed { duration_ms: 5, result }, json!({"completed": {"duration_ms": 5, "result": {"x": 1}}})),
        (failed(None), json!({"failed": {"duration_ms": 7, "error": written, "retryable": true}})),
        (
            failed(Some(9)),
            json!({"failed": {"duration_ms": 7, "error": written, "retryable": true, "retry_after_ms": 9}}),
        ),
    ] {
        let report = Report { v: WIRE_VERSION, job: id("tech", 2), worker: "w".to_owned(), outcome };
        let text = serde_json::to_string(&report).expect("writes");
        let job = json!({"run_id": RUN, "service": "tech", "attempt": 2});
        let expected = json!({"v": 1, "job": job, "worker": "w", "outcome": shape});
        assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), expected);
        assert_eq!(serde_json::from_str::<Report>(&text).expect("reads"), report);
    }
}

#[test]
fn a_damaged_report_is_refused() {
    let job = format!(r#""job":{{"run_id":"{RUN}","service":"a","attempt":1}}"#);
    for text in [
        format!(r#"{{"v":1,{job},"worker":"w"}}"#),
        format!(r#"{{"v":1,{job},"worker":"w","outcome":"finished"}}"#),
        format!(r#"{{"v":1,{job},"worker":"w","outcome":{{"completed":{{"duration_ms":1}}}}}}"#),
        format!(r#"{{"v":1,{job},"worker":"w","outcome":{{"completed":{{"duration_ms":-1,"result":{{}}}}}}}}"#),
        format!(r#"{{"v":1,{job},"outcome":"started"}}"#),
        format!(r#"{{{job},"worker":"w","outcome":"started"}}"#),
        r#"{"v":1,"job":"a/1","worker":"w","outcome":"started"}"#.to_owned(),
    ] {
        assert!(serde_json::from_str::<Report>(&text).is_err(), "{text}");
    }
}

#[test]
fn a_job_id_is_read_with_every_name_that_a_service_may_have() {
    for service in ["a", "a.b", "-", "_", "...", "1", "technical-seo"] {
        let id = id(service, 1);
        assert_eq!(id.to_string(), format!("{RUN}/{service}/1"));
        assert_eq!(id.to_string().parse(), Ok(id));
    }
}

#[test]
fn what_is_no_job_id_is_refused() {
    for text in [
        "",
        "/",
        "//",
        "///",
        RUN,
        &format!("{RUN}/a"),
        &format!("{RUN}/a/"),
        &format!("{RUN}//1"),
        &format!("{RUN}/a/b/1"),
        &format!("{RUN}/a/1/"),
        &format!("{RUN}/a/1/2"),
        &format!("{RUN}/a/-1"),
        &format!("{RUN}/a/4294967296"),
        &format!("{RUN}/a b/1"),
        &format!("/{RUN}/a/1"),
        &format!("{RUN}/a/1 "),
    ] {
        let refusal = text.parse::<JobId>().expect_err(text);
        assert_eq!(
            (refusal.what, refusal.problem.as_str()),
            ("job_id", "a job id looks like <run id>/<service>/<attempt>")
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_job_id_reads_back_what_it_writes(
        bits in any::<u128>(), service in "[A-Za-z0-9._-]{1,128}", attempt in any::<u32>()
    ) {
        let run_id = RunId::from_uuid(uuid::Uuid::from_u128(bits));
        let id = JobId { run_id, service: service.parse().expect("valid"), attempt };
        prop_assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn a_printable_text_is_the_longest_beginning_that_fits_with_blanks_for_control_characters(
        text in any::<String>(), bytes_max in 0_usize..40
    ) {
        let cut = printable(&text, bytes_max);
        prop_assert!(cut.len() <= bytes_max);
        prop_assert!(!cut.contains(char::is_control));
        let kept = cut.chars().count();
        for (before, after) in text.chars().zip(cut.chars()) {
            prop_assert_eq!(after, if before.is_control() { ' ' } else { before });
        }
        if let Some(next) = text.chars().nth(kept) {
            let width = if next.is_control() { 1 } else { next.len_utf8() };
            prop_assert!(cut.len() + width > bytes_max, "one more would have fitted");
        }
        prop_assert_eq!(printable(&cut, bytes_max), cut.clone(), "it is printable now");
    }

    #[test]
    fn no_error_is_longer_than_its_limit_whatever_was_answered(text in any::<String>(), times in 1_usize..200) {
        let error = ServiceError::new(ErrorClass::Unknown, text.repeat(times));
        prop_assert!(error.message.len() <= ERROR_BYTES_MAX);
    }
}
