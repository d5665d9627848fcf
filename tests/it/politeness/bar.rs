//! What a server sees that asks to be left alone, while two hundred workers of ten processes call it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::future::join_all;
use hermes_adapters::entropy::SystemEntropy;
use hermes_adapters::http::HttpClient;
use hermes_adapters::politeness::FleetPoliteness;
use hermes_adapters::redis::RedisQueue;
use hermes_core::ports::http::{Http, Method, Reach, Request};
use hermes_core::ports::politeness::{Limits, Policy};
use hermes_tests::harness::redis::Redis;
use hermes_worker_runner::polite::PoliteHttp;
use tokio::net::TcpListener;

const PROCESSES: usize = 10;
const WORKERS: usize = 200;
/// Every so many requests the server asks to be left alone, for a second.
const ASKS_EVERY: usize = 50;

#[derive(Default)]
struct Seen {
    requests: usize,
    answered: usize,
    asked: usize,
    closed_until: Option<Instant>,
    inside: usize,
}

async fn answer(State(seen): State<Arc<Mutex<Seen>>>) -> Response {
    let mut seen = seen.lock().expect("not poisoned");
    seen.requests += 1;
    let now = Instant::now();
    if seen.closed_until.is_some_and(|until| now < until) {
        seen.inside += 1;
    }
    if seen.requests % ASKS_EVERY == 0 {
        seen.asked += 1;
        seen.closed_until = Some(now + Duration::from_secs(1));
        let status = if seen.asked % 2 == 0 { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::TOO_MANY_REQUESTS };
        return (status, [(header::RETRY_AFTER, "1")]).into_response();
    }
    seen.answered += 1;
    StatusCode::OK.into_response()
}

/// One process: its own connection to Redis, its own memory.
async fn process(redis: &Redis, prefix: &str, number: usize) -> PoliteHttp {
    let identity = format!("process-{number}");
    let queue = RedisQueue::connect(&redis.url(), prefix, &identity).await.expect("connected");
    let limits = Limits { at_a_time: 1, interval_us: 0, ..Policy::default().sites };
    let policy = Policy { own: limits, sites: limits, wait_max_ms: 60_000 };
    let http = Arc::new(HttpClient::new().expect("there are CA certificates"));
    let politeness = Arc::new(FleetPoliteness::new(queue.politeness()));
    PoliteHttp::new(http, politeness, Arc::new(SystemEntropy), policy, &BTreeMap::new())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_workers_make_no_request_inside_the_time_that_a_server_asked_for() {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url: url::Url = format!("http://{}/", listener.local_addr().expect("bound")).parse().expect("a URL");
    let router = axum::Router::new().fallback(answer).with_state(Arc::clone(&seen));
    tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves until the test ends") });

    let redis = Redis::shared();
    let prefix = redis.prefix();
    let processes = join_all((0..PROCESSES).map(|number| process(&redis, &prefix, number))).await;
    let worker = async |number: usize| {
        let http = &processes[number % PROCESSES];
        loop {
            let request = Request {
                method: Method::Get,
                url: url.clone(),
                headers: Vec::new(),
                body: None,
                reach: Reach::Any,
                timeout: Duration::from_secs(60),
                body_bytes_max: 1_000,
            };
            // Held back for being busy, or asked to come again: as the core would, it tries again.
            if http.send(request).await.is_ok_and(|response| response.status == 200) {
                return;
            }
        }
    };
    join_all((0..WORKERS).map(worker)).await;

    let seen = seen.lock().expect("not poisoned");
    assert_eq!(seen.answered, WORKERS);
    assert!(seen.asked >= WORKERS / ASKS_EVERY, "{} times", seen.asked);
    assert_eq!(seen.inside, 0, "{} of {} requests", seen.inside, seen.requests);
}
