//! The clients: each wants one run, asks any dispatcher, and asks again with the same key until it is told the run's id,
//! which it writes down.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::clock::{Clock, Ms};
use super::dice::Dice;
use super::journal::Journal;
use super::plans::PLANS;

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Clients at a time.
const CLIENTS: usize = 48;
/// Milliseconds between two tries of a client, at most.
const AGAIN_MS: u64 = 400;

/// What a client wrote down: a dispatcher has promised it this run.
#[derive(Clone, Debug, Serialize)]
pub struct Promise {
    /// The client's key.
    pub key: String,
    /// The run.
    pub run_id: String,
    /// The plan it asked for.
    pub plan: String,
    /// When the promise came.
    pub at: Ms,
    /// How often it had to ask.
    pub tries: u32,
    /// The status of the answer: 202 or 200.
    pub status: u16,
}

/// What all clients saw.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Seen {
    /// Answers by status; 0 stands for no answer.
    pub statuses: BTreeMap<u16, u64>,
    /// Answers that break a promise of the API.
    pub wrong: Vec<String>,
    /// Cancellations that were accepted.
    pub cancelled: u64,
}

/// All clients.
#[derive(Clone)]
pub struct Clients {
    shared: Arc<Shared>,
}

struct Shared {
    seed: u64,
    clock: Clock,
    journal: Journal,
    dispatchers: Vec<SocketAddr>,
    http: reqwest::Client,
    promises: Mutex<Vec<Promise>>,
    seen: Mutex<Seen>,
}

/// One answer, as far as clients care.
struct Answer {
    status: u16,
    run_id: Option<String>,
}

impl Clients {
    /// Clients that know these dispatchers.
    ///
    /// # Panics
    /// If there can be no HTTP client.
    #[must_use]
    pub fn new(seed: u64, clock: Clock, journal: Journal, dispatchers: Vec<SocketAddr>) -> Self {
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().expect("an HTTP client");
        let (promises, seen) = (Mutex::default(), Mutex::default());
        Self { shared: Arc::new(Shared { seed, clock, journal, dispatchers, http, promises, seen }) }
    }

    /// Lets `runs` clients come, spread over `span` from now on; returns when each has a promise.
    pub async fn submit(&self, runs: u32, span: Duration) {
        let begin = Duration::from_millis(self.shared.clock.now().unsigned_abs());
        let (at_once, mut clients) = (Arc::new(Semaphore::new(CLIENTS)), JoinSet::new());
        for number in 0..runs {
            self.shared.clock.until(begin + span * number / runs).await;
            let permit = at_once.clone().acquire_owned().await.expect("never closed");
            let shared = self.shared.clone();
            clients.spawn(async move {
                shared.one_client(number).await;
                drop(permit);
            });
            while let Some(ended) = clients.try_join_next() {
                ended.expect("a client does not panic");
            }
        }
        while let Some(ended) = clients.join_next().await {
            ended.expect("a client does not panic");
        }
    }

    /// Everything that was promised.
    #[must_use]
    pub fn promises(&self) -> Vec<Promise> {
        lock(&self.shared.promises).clone()
    }

    /// What they saw.
    #[must_use]
    pub fn seen(&self) -> Seen {
        lock(&self.shared.seen).clone()
    }
}

impl Shared {
    async fn one_client(&self, number: u32) {
        let mut dice = Dice::of(self.seed, &format!("client {number}"));
        let key = format!("chaos-{}-{number}", self.seed);
        let plan = *dice.pick(&PLANS);
        let request = json!({
            "website_id": format!("site-{}", number % 50), "domain": format!("r{number}.example.com"),
            "plan_id": plan, "wait": false,
        });
        let mut tries = 0;
        let (status, run_id) = loop {
            tries += 1;
            if let Answer { status, run_id: Some(run_id) } = self.ask(&key, &request, &mut dice).await {
                break (status, run_id);
            }
            self.clock.pass(Duration::from_millis(1 + dice.below(AGAIN_MS))).await;
        };
        let at = self.clock.now();
        let promise = Promise { key: key.clone(), run_id: run_id.clone(), plan: plan.to_owned(), at, tries, status };
        self.journal.write(&promise).await;
        lock(&self.promises).push(promise);
        self.afterwards(&key, &request, &run_id, &mut dice).await;
    }

    /// Some ask once more, some change their mind.
    async fn afterwards(&self, key: &str, request: &Value, run_id: &str, dice: &mut Dice) {
        if dice.happens(100)
            && let Answer { run_id: Some(other), .. } = self.ask(key, request, dice).await
            && other != run_id
        {
            self.wrong(format!("key {key} was promised run {run_id} and then run {other}"));
        }
        if dice.happens(20) {
            let url = format!("http://{}/api/orchestration/runs/{run_id}/cancel", dice.pick(&self.dispatchers));
            if let Ok(answer) = self.http.post(url).send().await
                && answer.status().is_success()
            {
                lock(&self.seen).cancelled += 1;
            }
        }
    }

    async fn ask(&self, key: &str, request: &Value, dice: &mut Dice) -> Answer {
        let url = format!("http://{}/api/orchestration/run", dice.pick(&self.dispatchers));
        let sent = self.http.post(url).header("idempotency-key", key).header("content-type", "application/json");
        let Ok(answer) = sent.body(request.to_string()).send().await else {
            self.count(0);
            return Answer { status: 0, run_id: None };
        };
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        self.count(status);
        let body = answer.bytes().await;
        let body: Option<Value> = body.ok().and_then(|body| serde_json::from_slice(&body).ok());
        let run_id = body.as_ref().and_then(|body| body["run_id"].as_str()).map(str::to_owned);
        match status {
            200 | 202 => Answer { status, run_id },
            503 if headers.contains_key("retry-after") => Answer { status, run_id: None },
            504 => Answer { status, run_id: None },
            _ => {
                self.wrong(format!("key {key} was answered {status} {}", body.unwrap_or_default()));
                Answer { status, run_id: None }
            }
        }
    }

    fn count(&self, status: u16) {
        *lock(&self.seen).statuses.entry(status).or_default() += 1;
    }

    fn wrong(&self, what: String) {
        lock(&self.seen).wrong.push(what);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
