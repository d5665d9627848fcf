//! Rolling restarts of a whole fleet under load: two dispatchers and three worker-runners, each in turn told to end and
//! replaced, while clients go on.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hermes_tests::harness::fleet::{free_address, start_dispatcher, start_worker};
use hermes_tests::harness::postgres;
use hermes_tests::harness::process::{Process, run_to_end};
use hermes_tests::harness::redis::Redis;
use hermes_tests::harness::worker::{Answer, HttpWorker};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

const DISPATCHERS: usize = 2;
const WORKERS: usize = 3;
/// Attempts of the held service that a worker-runner has under way at a time.
const SLOTS: usize = 2;
/// Clients at a time whose runs have no held service, and those whose runs have one: more than all slots together, so
/// that every worker-runner has one under way when its turn comes.
const CLIENTS: (usize, usize) = (4, WORKERS * SLOTS + 2);
/// A dispatcher's turn comes when it has accepted this many runs in its life.
const BUSY: u64 = 5;

fn plan(id: &str, last: &Value) -> Value {
    let quick = |service: &str, needs: &[&str]| {
        json!({
            "service": service, "worker_key": "noop", "timeout_ms": 100_000, "params": { "delay_ms": 15 },
            "depends_on": needs,
        })
    };
    // Patient: on a busy machine, an attempt is held back for long. If draining lost one, it would be executed again.
    let services = [quick("first", &[]), quick("second", &["first"]), quick("third", &["first"]), last.clone()];
    json!({ "plan_id": id, "name": id, "max_duration_ms": 110_000, "services": services })
}

fn plans() -> [Value; 2] {
    let last =
        |key: &str| json!({ "service": "last", "worker_key": key, "timeout_ms": 100_000, "depends_on": ["second"] });
    [plan("rolling-quick", &last("noop")), plan("rolling-held", &last("held"))]
}

/// A dispatcher as clients see it: where it is, how often it accepted and how often it could not be reached.
struct Place {
    address: SocketAddr,
    accepted: watch::Sender<u64>,
    refused: watch::Sender<u64>,
}

impl Place {
    fn new() -> Self {
        Self { address: free_address(), accepted: watch::Sender::new(0), refused: watch::Sender::new(0) }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/api/orchestration/{path}", self.address)
    }
}

/// Waits for `more` of what is counted.
async fn until(counted: &watch::Sender<u64>, more: u64) {
    let enough = *counted.borrow() + more;
    let mut counted = counted.subscribe();
    let patience = std::time::Duration::from_secs(120);
    let waited = tokio::time::timeout(patience, counted.wait_for(|count| *count >= enough)).await;
    waited.expect("the load goes on").expect("the sender lives");
}

/// What all clients share.
struct Clients {
    places: Vec<Place>,
    http: reqwest::Client,
    enough: AtomicBool,
}

impl Clients {
    /// One run after the other, until it is enough; gives the accepted ones.
    async fn go_on(self: Arc<Self>, client: usize, plan: &'static str) -> Vec<String> {
        let mut accepted = Vec::new();
        while !self.enough.load(Ordering::Relaxed) {
            let number = accepted.len();
            let request = json!({
                "website_id": format!("site-{client}"), "domain": format!("r{number}.example.com"), "plan_id": plan,
                "wait": false,
            });
            let run_id = self.accepted(client + number, &format!("rolling-{client}-{number}"), &request).await;
            self.settled(client + number, &run_id).await;
            accepted.push(run_id);
        }
        accepted
    }

    /// Asks one dispatcher after the other until one accepts, always with the same key.
    async fn accepted(&self, first: usize, key: &str, request: &Value) -> String {
        for number in first.. {
            let place = &self.places[number % DISPATCHERS];
            let post = self.http.post(place.url("run")).header("idempotency-key", key);
            let sent = post.header("content-type", "application/json").body(request.to_string()).send().await;
            let Ok(answer) = sent else {
                place.refused.send_modify(|count| *count += 1);
                continue;
            };
            let status = answer.status().as_u16();
            let Ok(body) = answer.bytes().await else { continue };
            let body: Value = serde_json::from_slice(&body).expect("answers are JSON");
            match status {
                200 | 202 => {
                    place.accepted.send_modify(|count| *count += 1);
                    return body["run_id"].as_str().expect("an id").to_owned();
                }
                503 => {}
                _ => panic!("{status} {body}"),
            }
        }
        unreachable!("numbers do not end")
    }

    /// Follows the run's events, where it can, until it has settled.
    async fn settled(&self, first: usize, run_id: &str) {
        for number in first.. {
            let place = &self.places[number % DISPATCHERS];
            let events =
                self.http.get(place.url(&format!("runs/{run_id}/events"))).header("accept", "text/event-stream");
            // it ends with the run, or with the dispatcher
            if let Ok(answer) = events.send().await {
                drop(answer.bytes().await);
            }
            if let Some(run) = self.run(place, run_id).await
                && !matches!(run["status"].as_str(), Some("started" | "running") | None)
            {
                return;
            }
        }
    }

    async fn run(&self, place: &Place, run_id: &str) -> Option<Value> {
        let answer = self.http.get(place.url(&format!("runs/{run_id}"))).send().await.ok()?;
        serde_json::from_slice(&answer.bytes().await.ok()?).ok()
    }
}

/// The processes, and what the external workers of the worker-runners were asked.
struct Fleet {
    environment: Vec<(String, String)>,
    dispatchers: Vec<Process>,
    workers: Vec<(Process, HttpWorker)>,
    executions: BTreeMap<String, u32>,
    clients: Arc<Clients>,
}

impl Fleet {
    async fn start(database: &str, redis: &Redis) -> Self {
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        let places = (0..DISPATCHERS).map(|_| Place::new()).collect();
        let clients = Arc::new(Clients { places, http, enough: AtomicBool::new(false) });
        let slots = SLOTS.to_string();
        let url = redis.url();
        let prefix = redis.prefix();
        let pairs = [
            ("HERMES_DATABASE_URL", database),
            ("HERMES_REDIS_URL", &url),
            ("HERMES_REDIS_PREFIX", &prefix),
            ("HERMES_WORKER_KEYS", "noop,held"),
            ("HERMES_WORKER_CONCURRENCY", &slots),
            ("HERMES_WORKER_ALLOW_PRIVATE_TARGETS", "true"),
            // no lease ends before the test does: nothing is mended by waiting
            ("HERMES_QUEUE_LEASE_MS", "300000"),
            ("HERMES_QUEUE_HEARTBEAT_MS", "400"),
        ];
        let environment = pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
        let (dispatchers, workers, executions) = (Vec::new(), Vec::new(), BTreeMap::new());
        let mut fleet = Self { environment, dispatchers, workers, executions, clients };
        for n in 0..DISPATCHERS {
            fleet.dispatchers.push(fleet.dispatcher(n).await);
        }
        for _ in 0..WORKERS {
            let worker = fleet.worker(HttpWorker::held(Answer::Data(json!({}))).await).await;
            fleet.workers.push(worker);
        }
        fleet
    }

    async fn dispatcher(&self, n: usize) -> Process {
        let listen = ("HERMES_API_LISTEN".to_owned(), self.clients.places[n].address.to_string());
        start_dispatcher(&[self.environment.as_slice(), &[listen]].concat()).await
    }

    async fn worker(&self, external: HttpWorker) -> (Process, HttpWorker) {
        let process = start_worker(&[self.environment.as_slice(), &external.environment("held")].concat()).await;
        (process, external)
    }

    /// Ends a dispatcher that is at work, lets clients find it gone, and replaces it.
    async fn roll_dispatcher(&mut self, n: usize) {
        let clients = self.clients.clone();
        let place = &clients.places[n];
        until(&place.accepted, BUSY).await;
        assert_eq!(self.dispatchers[n].terminate().await, 0);
        until(&place.refused, 1).await;
        self.dispatchers[n] = self.dispatcher(n).await;
    }

    /// Ends a worker-runner in the middle of an attempt, which may go on once it is draining, and replaces it.
    async fn roll_worker(&mut self, n: usize) {
        let replacement = HttpWorker::start(Answer::Data(json!({}))).await;
        let (process, external) = &mut self.workers[n];
        let under_way = external.request().await;
        process.ask_to_end().await;
        process.says("stopping: nothing more is taken").await;
        external.open();
        assert_eq!(process.ended().await, 0);
        self.executed(&[under_way.headers]);
        let replacement = self.worker(replacement).await;
        let (_, external) = std::mem::replace(&mut self.workers[n], replacement);
        let others: Vec<_> = external.requests().await.into_iter().map(|request| request.headers).collect();
        self.executed(&others);
    }

    fn executed(&mut self, requests: &[reqwest::header::HeaderMap]) {
        for headers in requests {
            let key = headers["idempotency-key"].to_str().expect("it is text").to_owned();
            *self.executions.entry(key).or_default() += 1;
        }
    }

    /// All runs, each completed at its first attempts.
    async fn all_completed(&self, accepted: &[String]) {
        for run_id in accepted {
            let run = self.clients.run(&self.clients.places[0], run_id).await.expect("the dispatcher answers");
            assert_eq!(run["status"], "completed", "{run}");
            for service in run["services"].as_array().expect("services") {
                let (status, attempt) = (&service["status"], &service["attempt"]);
                assert_eq!((status, attempt), (&json!("completed"), &json!(1)), "{run}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rolling_restarts_of_everything_under_load_lose_no_run_and_count_no_attempt() {
    let (database, redis) = (postgres::database().await, Redis::shared());
    let mut fleet = Fleet::start(&database, &redis).await;
    for plan in plans() {
        let post = fleet.clients.http.post(fleet.clients.places[0].url("plans"));
        let stored = post.header("content-type", "application/json").body(plan.to_string()).send().await;
        assert_eq!(stored.expect("the dispatcher answers").status(), 201);
    }
    let (mut quick, mut held) = (JoinSet::new(), JoinSet::new());
    for client in 0..CLIENTS.0 {
        quick.spawn(fleet.clients.clone().go_on(client, "rolling-quick"));
    }
    for client in CLIENTS.0..CLIENTS.0 + CLIENTS.1 {
        held.spawn(fleet.clients.clone().go_on(client, "rolling-held"));
    }

    fleet.roll_dispatcher(0).await;
    fleet.roll_worker(0).await;
    fleet.roll_worker(1).await;
    fleet.roll_dispatcher(1).await;
    fleet.roll_worker(2).await;
    for place in &fleet.clients.places {
        until(&place.accepted, BUSY).await;
    }

    fleet.clients.enough.store(true, Ordering::Relaxed);
    let quick = quick.join_all().await.concat();
    let held = held.join_all().await.concat();
    let accepted = [quick, held.clone()].concat();
    fleet.all_completed(&accepted).await;
    for (mut process, external) in std::mem::take(&mut fleet.workers) {
        assert_eq!(process.terminate().await, 0);
        let requests: Vec<_> = external.requests().await.into_iter().map(|request| request.headers).collect();
        fleet.executed(&requests);
    }
    for dispatcher in &mut fleet.dispatchers {
        assert_eq!(dispatcher.terminate().await, 0);
    }
    assert!(fleet.executions.values().all(|times| *times == 1), "executed more than once: {:?}", fleet.executions);
    assert_eq!(fleet.executions.len(), held.len(), "each run has one attempt at its held service");

    let audit = run_to_end("hermes", &["audit", "--json", "--database", &database], &[]).await;
    let report: Value = serde_json::from_str(&audit.stdout).expect("JSON");
    assert_eq!((audit.code, &report["violations_total"]), (0, &json!(0)), "{report}");
    assert_eq!(report["counts"]["runs"], accepted.len(), "every run was promised to somebody: {report}");
}
