//! The external workers: one HTTP server that plays all of them, by chance out of a seed, and remembers every execution
//! before it answers.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::clock::{Clock, Ms};
use super::dice::Dice;
use super::journal::Journal;

/// How an execution is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Manner {
    /// A result.
    Fine,
    /// A failure that may pass.
    Busy,
    /// The same, with a time after which to come again.
    Later,
    /// A failure for good.
    Broken,
    /// Nothing, until nobody waits any more.
    Hangs,
}

/// One execution, as the ledger keeps it.
#[derive(Clone, Debug, Serialize)]
pub struct Execution {
    /// Its place in the ledger.
    pub number: usize,
    /// The job as the idempotency key names it: run, service, attempt.
    pub job: String,
    /// The worker-runner that asked, and which of its lives.
    pub worker: (usize, u32),
    /// Which execution of this job, from 1.
    pub time: u32,
    /// When it began.
    pub began: Ms,
    /// When it was answered; empty in its first line.
    pub answered: Option<Ms>,
    /// How.
    pub manner: Manner,
    /// The result that was answered.
    pub result: Option<Value>,
}

/// The running workers.
#[derive(Clone)]
pub struct Services {
    shared: Arc<Shared>,
    address: SocketAddr,
}

struct Shared {
    seed: u64,
    clock: Clock,
    journal: Journal,
    ledger: Mutex<Ledger>,
}

#[derive(Default)]
struct Ledger {
    executions: Vec<Execution>,
    times: HashMap<String, u32>,
}

impl Services {
    /// Starts them.
    ///
    /// # Panics
    /// If no port is free.
    pub async fn start(seed: u64, clock: Clock, journal: Journal) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared { seed, clock, journal, ledger: Mutex::default() });
        let router = axum::Router::new().route("/{worker}/{life}/run", post(run)).with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves until the end") });
        Self { shared, address }
    }

    /// Where they listen.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every execution so far.
    #[must_use]
    pub fn executions(&self) -> Vec<Execution> {
        self.shared.ledger().executions.clone()
    }

    /// The executions that are under way for one life of a worker-runner.
    #[must_use]
    pub fn under_way(&self, worker: (usize, u32)) -> Vec<Execution> {
        let ledger = self.shared.ledger();
        ledger.executions.iter().filter(|one| one.worker == worker && one.answered.is_none()).cloned().collect()
    }

    /// The last results that were answered, at most `count`.
    #[must_use]
    pub fn last_results(&self, count: usize) -> Vec<Execution> {
        let ledger = self.shared.ledger();
        let answered = ledger.executions.iter().rev().filter(|one| one.answered.is_some() && one.result.is_some());
        answered.take(count).cloned().collect()
    }
}

impl Shared {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn begin(&self, job: String, domain: &str, worker: (usize, u32)) -> (Execution, Duration) {
        let execution = {
            let mut ledger = self.ledger();
            let time = ledger.times.entry(job.clone()).and_modify(|time| *time += 1).or_insert(1);
            let (time, number) = (*time, ledger.executions.len());
            // The id of a run is drawn anew each time; its domain is what the seed knows.
            let place = job.split_once('/').map_or("", |(_, place)| place);
            let (manner, lasts) = manner(&mut Dice::of(self.seed, &format!("{domain}/{place}/{time}")));
            let began = self.clock.now();
            let execution = Execution { number, job, worker, time, began, answered: None, manner, result: None };
            ledger.executions.push(execution.clone());
            (execution, lasts)
        };
        self.journal.write(&execution.0).await;
        execution
    }

    async fn answered(&self, number: usize, result: Option<Value>) {
        let execution = {
            let mut ledger = self.ledger();
            let execution = &mut ledger.executions[number];
            execution.answered = Some(self.clock.now());
            execution.result = result;
            execution.clone()
        };
        self.journal.write(&execution).await;
    }

    /// One execution from begin to end, whether or not anybody still waits: the effect is in the world.
    async fn execute(self: Arc<Self>, job: String, domain: String, worker: (usize, u32)) -> Response {
        let (execution, lasts) = self.begin(job, &domain, worker).await;
        self.clock.pass(lasts).await;
        let result = match execution.manner {
            Manner::Fine => Some(json!({ "execution": execution.number, "of": execution.job, "for": domain })),
            Manner::Busy | Manner::Later | Manner::Broken => None,
            Manner::Hangs => return std::future::pending().await,
        };
        self.answered(execution.number, result.clone()).await;
        let failure = |code: &str| json!({ "ok": false, "error": { "code": code, "message": "as the seed says" } });
        match execution.manner {
            Manner::Busy => (StatusCode::SERVICE_UNAVAILABLE, axum::Json(failure("upstream_error"))).into_response(),
            Manner::Later => {
                let body = axum::Json(failure("rate_limited"));
                (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "1")], body).into_response()
            }
            Manner::Broken => (StatusCode::BAD_REQUEST, axum::Json(failure("invalid_input"))).into_response(),
            Manner::Fine | Manner::Hangs => axum::Json(json!({
                "ok": true, "service": "chaos", "version": "1", "schema_version": "1", "request_id": execution.job,
                "data": result,
            }))
            .into_response(),
        }
    }
}

/// How an execution goes, and how long it takes.
fn manner(dice: &mut Dice) -> (Manner, Duration) {
    let (blink, moment) = (Duration::from_millis(2), Duration::from_millis(150));
    match dice.below(1_000) {
        0..=819 => (Manner::Fine, dice.between(blink, moment)),
        820..=899 => (Manner::Fine, dice.between(Duration::from_secs(1), Duration::from_secs(4))),
        900..=949 => (Manner::Busy, dice.between(blink, moment)),
        950..=974 => (Manner::Later, dice.between(blink, moment)),
        975..=989 => (Manner::Broken, dice.between(blink, moment)),
        _ => (Manner::Hangs, Duration::ZERO),
    }
}

async fn run(
    State(shared): State<Arc<Shared>>,
    Path((worker, life)): Path<(usize, u32)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let job = headers.get("idempotency-key").and_then(|key| key.to_str().ok()).unwrap_or_default().to_owned();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let domain = body["domain"].as_str().unwrap_or_default().to_owned();
    // A task of its own: a caller that is killed does not take the execution with it.
    let execution = tokio::spawn(shared.execute(job, domain, (worker, life)));
    execution.await.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}
