//! One `POST /run`: what is sent to an external worker.

use std::collections::BTreeMap;
use std::time::Duration;

use hermes_core::json::Json;
use hermes_core::limits::RESULT_BYTES_MAX;
use hermes_core::ports::http::{Http, Method, Reach, Request};
use hermes_core::wire::Job;
use hermes_core::{Domain, RunId, ServiceName, WebsiteId};
use serde::Serialize;

use super::answer::{self, CallOutcome};
use super::config::WorkerConfig;
use crate::redact::Redactor;

/// The body of `POST /run`. Members that older workers read under another name are there twice.
#[derive(Debug, Serialize)]
struct RunBody<'a> {
    run_id: RunId,
    website_id: &'a WebsiteId,
    site_id: &'a WebsiteId,
    domain: &'a Domain,
    site_domain: &'a Domain,
    service: &'a ServiceName,
    attempt: u32,
    /// Milliseconds after which nobody waits for the answer.
    timeout_ms: u64,
    params: &'a Json,
    upstream: &'a BTreeMap<ServiceName, Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    callback_url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    callback_token: Option<&'a str>,
}

/// Lets an external worker do one attempt. `timeout` is what the attempt has left; the whole exchange ends within it.
///
/// Never fails as a function: whatever goes wrong is an outcome of the attempt. Dropping the future aborts the call.
pub async fn run(http: &dyn Http, config: &WorkerConfig, job: &Job, timeout: Duration) -> CallOutcome {
    let callback_token = job.callback.as_ref().map_or("", |callback| &callback.token);
    let redactor = Redactor::new([config.api_key().expose(), callback_token]);
    let answer = http.send(request(config, job, timeout)).await;
    answer::judge(answer, config.endpoint("run").as_str(), job.callback.is_some(), &redactor)
}

fn request(config: &WorkerConfig, job: &Job, timeout: Duration) -> Request {
    let id = job.id.to_string();
    let key = config.api_key().expose();
    let headers = [
        ("Accept", "application/json".to_owned()),
        ("Content-Type", "application/json".to_owned()),
        ("x-api-key", key.to_owned()),
        ("Authorization", format!("Bearer {key}")),
        ("X-Request-Id", id.clone()),
        ("Idempotency-Key", id),
    ];
    let callback = job.callback.as_ref();
    let body = RunBody {
        run_id: job.id.run_id,
        website_id: &job.website_id,
        site_id: &job.website_id,
        domain: &job.domain,
        site_domain: &job.domain,
        service: &job.id.service,
        attempt: job.id.attempt,
        timeout_ms: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX),
        params: &job.params,
        upstream: &job.upstream,
        callback_url: callback.map(|callback| callback.url.as_str()),
        callback_token: callback.map(|callback| callback.token.as_str()),
    };
    Request {
        method: Method::Post,
        url: config.endpoint("run"),
        headers: headers.map(|(name, value)| (name.to_owned(), value)).into(),
        body: Some(serde_json::to_vec(&body).expect("names and carried JSON serialise")),
        // The operator configured this very address.
        reach: Reach::Any,
        timeout,
        body_bytes_max: RESULT_BYTES_MAX,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;
    use hermes_core::ports::http::{HttpError, Response};
    use hermes_core::wire::{Callback, ErrorClass, JobId, WIRE_VERSION};
    use serde_json::{Value, json};

    use super::*;

    /// Answers every request alike and keeps the last one.
    struct Fake {
        answer: Result<Response, HttpError>,
        seen: Mutex<Option<Request>>,
    }

    #[async_trait]
    impl Http for Fake {
        async fn send(&self, request: Request) -> Result<Response, HttpError> {
            *self.seen.lock().expect("not poisoned") = Some(request);
            self.answer.clone()
        }
    }

    fn job(callback: bool) -> Job {
        let upstream =
            [("serp-intelligence".parse().expect("valid"), Json::parse(r#"{"signals": [1.0]}"#).expect("valid"))];
        Job {
            v: WIRE_VERSION,
            id: JobId {
                run_id: RunId::from_uuid(uuid::Uuid::from_u128(9)),
                service: "competitive-intelligence".parse().expect("valid"),
                attempt: 2,
            },
            worker_key: "competitive_snapshot".parse().expect("valid"),
            website_id: "site_123".parse().expect("valid"),
            domain: "example.com".parse().expect("valid"),
            params: Json::parse("{}").expect("valid"),
            timeout_ms: 60_000,
            remaining_ms: 60_000,
            upstream: upstream.into(),
            callback: callback
                .then(|| Callback { url: "https://hermes.example/cb".to_owned(), token: "token-canary".to_owned() }),
        }
    }

    fn config() -> WorkerConfig {
        let key = "competitive_snapshot".parse().expect("valid");
        WorkerConfig::from_lookup(&key, &|variable| {
            Some(if variable.ends_with("_API_KEY") { "key-canary" } else { "https://worker.example/api/" }.to_owned())
        })
        .expect("valid")
        .expect("configured")
    }

    async fn sent(job: &Job, answer: Result<Response, HttpError>) -> (Request, CallOutcome) {
        let fake = Fake { answer, seen: Mutex::new(None) };
        let outcome = run(&fake, &config(), job, Duration::from_millis(1_500)).await;
        (fake.seen.into_inner().expect("not poisoned").expect("a request was sent"), outcome)
    }

    fn response(status: u16, body: &str) -> Result<Response, HttpError> {
        Ok(Response {
            status,
            version: "HTTP/1.1".to_owned(),
            headers: Vec::new(),
            body: body.into(),
            truncated: false,
            content_encoding: None,
            ttfb_ms: 1,
            total_ms: 1,
        })
    }

    #[tokio::test]
    async fn the_request_has_the_headers_and_members_that_workers_read() {
        let (request, outcome) = sent(&job(true), response(202, "")).await;
        assert_eq!(outcome, CallOutcome::Accepted);
        assert_eq!((request.method, request.url.as_str()), (Method::Post, "https://worker.example/api/run"));
        assert_eq!((request.reach, request.timeout), (Reach::Any, Duration::from_millis(1_500)));
        assert_eq!(request.body_bytes_max, RESULT_BYTES_MAX);
        let id = "00000000000000000000000000000009/competitive-intelligence/2";
        for (name, value) in [
            ("Accept", "application/json"),
            ("Content-Type", "application/json"),
            ("x-api-key", "key-canary"),
            ("Authorization", "Bearer key-canary"),
            ("X-Request-Id", id),
            ("Idempotency-Key", id),
        ] {
            assert!(request.headers.contains(&(name.to_owned(), value.to_owned())), "{name}");
        }
        let body: Value = serde_json::from_slice(&request.body.expect("a body")).expect("JSON");
        let expected = json!({
            "run_id": "00000000000000000000000000000009", "website_id": "site_123", "site_id": "site_123",
            "domain": "example.com", "site_domain": "example.com", "service": "competitive-intelligence", "attempt": 2,
            "timeout_ms": 1500, "params": {}, "upstream": {"serp-intelligence": {"signals": [1.0]}},
            "callback_url": "https://hermes.example/cb", "callback_token": "token-canary",
        });
        assert_eq!(body, expected);
    }

    #[tokio::test]
    async fn without_a_callback_none_is_offered_and_a_202_cannot_be_kept() {
        let (request, outcome) = sent(&job(false), response(202, "")).await;
        assert!(!String::from_utf8(request.body.expect("a body")).expect("UTF-8").contains("callback"));
        let CallOutcome::Failed(failure) = outcome else { panic!("{outcome:?}") };
        assert_eq!((failure.error.class, failure.retryable), (ErrorClass::InvalidResult, false));
    }

    #[tokio::test]
    async fn neither_the_key_nor_the_token_comes_back_in_an_error() {
        let echo = "x-api-key: key-canary, callback_token: token-canary";
        let error_body = json!({"ok": false, "error": {"code": "key-canary", "message": echo}}).to_string();
        for answer in [
            response(500, echo),
            response(401, &error_body),
            response(200, &error_body),
            response(200, &format!("<html>{echo}")),
            response(200, echo),
            response(418, &format!("{}{echo}", "x".repeat(170))),
        ] {
            let (_, outcome) = sent(&job(true), answer).await;
            assert!(matches!(outcome, CallOutcome::Failed(_)), "{outcome:?}");
            assert!(!format!("{outcome:?}").contains("canary"), "{outcome:?}");
        }
    }
}
