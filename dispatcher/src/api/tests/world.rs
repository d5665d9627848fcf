//! A dispatcher under test: the router, the engine behind it, and words for what clients and workers do.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, header};
use axum::response::Response;
use hermes_core::plan::PlanSpec;
use hermes_core::ports::store::Store;
use hermes_core::run::{Event, Jitter};
use hermes_core::wire::{ErrorClass, JobId, Outcome, Report, ServiceError, WIRE_VERSION};
use hermes_core::{Json, Plan, Run, RunId};
use hermes_diagnosis::RuleBook;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::fakes::{FakeEntropy, FakeQueue, SwitchedStore};
use crate::api::{ApiOptions, router};
use crate::engine::{Engine, EngineParts};

static BOOK: LazyLock<Arc<RuleBook>> = LazyLock::new(|| Arc::new(RuleBook::shipped()));

pub(super) struct World {
    pub(super) store: SwitchedStore,
    pub(super) queue: FakeQueue,
    pub(super) engine: Engine,
    pub(super) shutdown: CancellationToken,
    router: Router,
}

/// What a client got.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
    pub(super) body: Value,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }

    pub(super) fn run_id(&self) -> RunId {
        self.body["run_id"].as_str().expect("a run id").parse().expect("a run id")
    }

    /// Status and the last part of the problem's type.
    pub(super) fn problem(&self) -> (u16, &str) {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        assert_eq!(self.body["success"], false);
        let slug = self.body["type"].as_str().and_then(|text| text.rsplit(':').next());
        (self.status, slug.expect("a type"))
    }
}

/// `two-steps`: `b` depends on `a`; a minute at most.
pub(super) fn two_steps() -> Value {
    json!({
        "plan_id": "standard-v1",
        "name": "Two steps",
        "description": "One after the other",
        "max_duration_ms": 60_000,
        "services": [
            {"service": "a", "displayName": "Service A", "workerKey": "key_a", "timeoutMs": 20_000, "maxAttempts": 2},
            {"service": "b", "workerKey": "key_b", "dependsOn": ["a"], "timeoutMs": 20_000, "required": false},
        ],
    })
}

pub(super) fn submission() -> Value {
    json!({"website_id": "site_123", "domain": "example.com"})
}

impl World {
    pub(super) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(super) async fn with(change: impl FnOnce(&mut ApiOptions)) -> Self {
        let (store, queue, shutdown) = (SwitchedStore::new(), FakeQueue::default(), CancellationToken::new());
        let spec: PlanSpec = serde_json::from_value(two_steps()).expect("a plan");
        store.put_plan(&Plan::try_from(spec).expect("valid")).await.expect("stored");
        let parts = EngineParts {
            store: Arc::new(store.clone()),
            queue: Arc::new(queue.clone()),
            book: BOOK.clone(),
            entropy: Arc::new(FakeEntropy::default()),
            public_url: None,
            retention: None,
        };
        let engine = Engine::start(parts, &TaskTracker::new(), CancellationToken::new()).await.expect("starts");
        let mut options = ApiOptions { shutdown: shutdown.clone(), ..ApiOptions::default() };
        change(&mut options);
        let router = router(engine.clone(), options);
        Self { store, queue, engine, shutdown, router }
    }

    /// The API, for a listener.
    pub(super) fn router(&self) -> Router {
        self.router.clone()
    }

    /// Sends a request and gives the response as soon as it begins.
    pub(super) fn open(&self, request: Request<Body>) -> impl Future<Output = Response> + Send + 'static {
        let router = self.router.clone();
        async move { router.oneshot(request).await.expect("infallible") }
    }

    /// Sends a request and reads the whole response.
    pub(super) fn send(&self, request: Request<Body>) -> impl Future<Output = Answer> + Send + 'static {
        let response = self.open(request);
        async move {
            let (parts, body) = response.await.into_parts();
            let text = String::from_utf8(body.collect().await.expect("a body").to_bytes().to_vec()).expect("text");
            let body = serde_json::from_str(&text).unwrap_or(Value::Null);
            Answer { status: parts.status.as_u16(), headers: parts.headers, text, body }
        }
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).expect("a request")).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(post(path, body)).await
    }

    /// Submits a run without waiting for it.
    pub(super) async fn submitted(&self) -> RunId {
        let mut body = submission();
        body["wait"] = json!(false);
        let answer = self.post("/api/orchestration/run", &body).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        answer.run_id()
    }

    /// The only run there is, as soon as there is one.
    pub(super) async fn the_run(&self) -> RunId {
        loop {
            if let Some(run) = self.store.open_runs(None, None, 1).await.expect("read").first() {
                return run.id();
            }
            tokio::task::yield_now().await;
        }
    }

    /// Plays a worker that ends the current attempt at a service.
    pub(super) async fn report(&self, run_id: RunId, service: &str, outcome: Outcome) -> Run {
        let service = service.parse().expect("a name");
        let run = self.store.run(run_id).await.expect("read").expect("there");
        let attempt = run.service(&service).expect("of the plan").attempt;
        let job = JobId { run_id, service, attempt };
        let report = Report { v: WIRE_VERSION, job, worker: "test".to_owned(), outcome };
        let event = Event::Reported { report, jitter: Jitter::new(0.0) };
        self.engine.command(run_id, event).await.expect("applied")
    }

    pub(super) async fn complete(&self, run_id: RunId, service: &str) -> Run {
        let result = Json::parse(r#"{"signals": []}"#).expect("valid");
        self.report(run_id, service, Outcome::Completed { duration_ms: 5, result }).await
    }

    pub(super) async fn fail(&self, run_id: RunId, service: &str) -> Run {
        let error = ServiceError::new(ErrorClass::NotConfigured, "Worker config invalid: No API key found");
        let failed = Outcome::Failed { duration_ms: 5, error, retryable: false, retry_after_ms: None };
        self.report(run_id, service, failed).await
    }

    /// Completes everything.
    pub(super) async fn settle(&self, run_id: RunId) {
        self.complete(run_id, "a").await;
        let run = self.complete(run_id, "b").await;
        assert!(run.status().is_settled(), "{:?}", run.status());
    }

    /// A run that is settled, everything completed.
    pub(super) async fn settled(&self) -> RunId {
        let run_id = self.submitted().await;
        self.settle(run_id).await;
        run_id
    }
}

pub(super) fn post(path: &str, body: &Value) -> Request<Body> {
    let request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
    request.body(Body::from(body.to_string())).expect("a request")
}

/// The same request with one more header.
pub(super) fn with(mut request: Request<Body>, name: &'static str, value: &str) -> Request<Body> {
    request.headers_mut().insert(name, value.parse().expect("a header value"));
    request
}
