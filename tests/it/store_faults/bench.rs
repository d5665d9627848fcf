//! A dispatcher with its API in this process, workers that complete what they get, and a client that does not give up.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hermes_adapters::entropy::SystemEntropy;
use hermes_adapters::memory::MemoryQueue;
use hermes_core::audit::audit_run;
use hermes_core::ports::store::{Store, StoreError};
use hermes_core::wire::{Outcome, Report, WIRE_VERSION};
use hermes_core::{Json, Plan, Run, RunId};
use hermes_diagnosis::RuleBook;
use hermes_dispatcher::api::Hosts;
use hermes_dispatcher::engine::EngineParts;
use reqwest::header::RETRY_AFTER;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// A test that waits for longer waits in vain.
const PATIENCE: Duration = Duration::from_secs(120);
/// No answer of the API may take longer.
const ANSWER: Duration = Duration::from_secs(30);
/// Events of one run that are looked at.
const LOG: usize = 1_000;

const PLAN: &str = "
plan_id: steps-v1
name: Two at once, then one
max_duration_ms: 300000
services:
  - {service: a, worker_key: works, timeout_ms: 100000}
  - {service: b, worker_key: works, timeout_ms: 100000}
  - {service: c, worker_key: works, timeout_ms: 100000, depends_on: [a, b]}
";

pub(super) struct Bench {
    store: Arc<dyn Store>,
    queue: MemoryQueue,
    address: String,
    client: reqwest::Client,
    end: CancellationToken,
}

/// What the API answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Value,
    pub(super) retry_after: bool,
}

/// What a client went through.
#[derive(Debug, Default)]
pub(super) struct Course {
    /// The run of each key, as it was promised.
    pub(super) accepted: BTreeMap<String, RunId>,
    /// How often it was sent away.
    pub(super) refused: u64,
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

impl Bench {
    /// A dispatcher over this store. It must answer at first.
    pub(super) async fn over(store: Arc<dyn Store>) -> Self {
        let (queue, end) = (MemoryQueue::new(), CancellationToken::new());
        store.put_plan(&Plan::from_yaml(PLAN).expect("valid")).await.expect("stored");
        let parts = EngineParts {
            store: store.clone(),
            queue: queue.dispatcher(),
            book: Arc::new(RuleBook::shipped()),
            entropy: Arc::new(SystemEntropy),
            public_url: None,
            retention: None,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = format!("http://{}/api", listener.local_addr().expect("bound"));
        let running = hermes_dispatcher::run(parts, listener, Hosts::Local, end.clone());
        tokio::spawn(async move { running.await.expect("a dispatcher outlives every fault of its store") });
        let client =
            reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).timeout(ANSWER).build().expect("a client");
        // The faults come later: a process that finds no store when it starts says so and ends.
        client.get(address.replace("/api", "/livez")).send().await.expect("it serves");
        Self { store, queue, address, client, end }
    }

    /// A worker that completes everything at once.
    pub(super) fn employ(&self) {
        let worker = self.queue.worker("worker-1");
        tokio::spawn(async move {
            let key = "works".parse().expect("valid");
            while let Ok(jobs) = worker.receive(&key, 64).await {
                for job in jobs {
                    let result = Json::parse("{}").expect("valid");
                    let outcome = Outcome::Completed { duration_ms: 1, result };
                    let report =
                        Report { v: WIRE_VERSION, job: job.job.id.clone(), worker: "worker-1".to_owned(), outcome };
                    if worker.report(&job.receipt, &report).await.is_err() {
                        return;
                    }
                }
            }
        });
    }

    pub(super) async fn post(&self, path: &str, key: Option<&str>, body: &Value) -> Answer {
        let mut request =
            self.client.post(format!("{}{path}", self.address)).header("content-type", "application/json");
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let response = request.body(body.to_string()).send().await.expect("an answer in time");
        let (status, retry_after) = (response.status().as_u16(), response.headers().contains_key(RETRY_AFTER));
        let body = response.bytes().await.expect("a whole answer");
        Answer { status, retry_after, body: serde_json::from_slice(&body).expect("JSON") }
    }

    /// One try at submitting a run.
    pub(super) async fn submit(&self, key: &str) -> Answer {
        let body = json!({"website_id": "site", "domain": "example.com", "plan_id": "steps-v1", "wait": false});
        self.post("/orchestration/run", Some(key), &body).await
    }

    /// Submits until it is accepted; every refusal must be a 503 that says when to try again.
    pub(super) async fn insist(&self, key: &str, course: &mut Course) -> RunId {
        let insisting = async {
            loop {
                let answer = self.submit(key).await;
                if matches!(answer.status, 200 | 202) {
                    return run_id(&answer);
                }
                assert_eq!((answer.status, answer.retry_after), (503, true), "{answer:?}");
                course.refused += 1;
                tokio::task::yield_now().await;
            }
        };
        let id = tokio::time::timeout(PATIENCE, insisting).await.expect("it heals by itself");
        course.accepted.insert(key.to_owned(), id);
        id
    }

    /// Submits one run after the other until `enough`.
    pub(super) async fn keep_submitting(&self, name: &str, enough: &CancellationToken) -> Course {
        let mut course = Course::default();
        let mut number = 0;
        while !enough.is_cancelled() {
            number += 1;
            self.insist(&format!("{name}-{number}"), &mut course).await;
        }
        course
    }

    /// The run, once it has settled.
    pub(super) async fn settled(&self, id: RunId) -> Run {
        let settling = async {
            loop {
                match self.store.run(id).await {
                    Ok(Some(run)) if run.status().is_settled() => return run,
                    Ok(Some(_)) | Err(StoreError::Unavailable(_)) => tokio::task::yield_now().await,
                    Ok(None) => panic!("run {id} was accepted and is not there"),
                    Err(error) => panic!("{error}"),
                }
            }
        };
        tokio::time::timeout(PATIENCE, settling).await.expect("an accepted run settles")
    }

    /// Everything that was accepted is there, has completed, and no auditor finds anything.
    pub(super) async fn check(&self, course: &Course) {
        for (key, id) in &course.accepted {
            let run = self.settled(*id).await;
            assert_eq!(run.status().as_str(), "completed", "{key}");
            self.audit(&run).await;
            let again = self.insist(key, &mut Course::default()).await;
            assert_eq!(again, *id, "one key, one run");
        }
    }

    pub(super) async fn audit(&self, run: &Run) {
        let log = self.store.run_events(run.id(), 0, LOG).await.expect("readable");
        assert_eq!(audit_run(run, &log, self.store.now().await.expect("it answers")), []);
    }

    pub(super) fn store(&self) -> &dyn Store {
        self.store.as_ref()
    }
}

pub(super) fn run_id(answer: &Answer) -> RunId {
    answer.body["run_id"].as_str().unwrap_or_else(|| panic!("{answer:?}")).parse().expect("an id")
}
