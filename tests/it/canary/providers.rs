//! Keys of providers: they are refused, or served, by somebody who repeats the request in his answer.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hermes_tests::harness::fleet::Fleet;
use hermes_tests::harness::postgres;
use hermes_tests::harness::redis::Redis;
use serde_json::json;
use tokio::net::TcpListener;

use super::{CANARY, everything, monitor, nothing_is_told};

/// The first part of the paths under which a secret came.
type Used = Arc<Mutex<BTreeSet<String>>>;

/// The password is sent as Basic authentication.
fn basic() -> String {
    STANDARD.encode(format!("{CANARY}-login:{CANARY}-password"))
}

/// Every provider at once: says who asks for what with which key, in each place that an answer of one of them has.
async fn repeat(State(used): State<Used>, uri: Uri, headers: HeaderMap) -> Response {
    let said: String = headers.values().filter_map(|value| value.to_str().ok()).collect::<Vec<_>>().join(" ");
    let said = format!("{uri} {said}");
    let provider = uri.path().split('/').nth(1).unwrap_or_default().to_owned();
    if said.contains(CANARY) || said.contains(&basic()) {
        used.lock().expect("not poisoned").insert(provider.clone());
    }
    let url = format!("https://rival.example/?{}", said.replace(' ', "+"));
    let result = json!({"url": url, "link": url, "title": said, "description": said, "snippet": said, "position": 1});
    match provider.as_str() {
        "brave" => axum::Json(json!({"web": {"results": [result]}})).into_response(),
        "serpapi" => axum::Json(json!({"organic_results": [result], "search_information": {}})).into_response(),
        "dataforseo" => axum::Json(json!({"status_code": 40100, "status_message": said})).into_response(),
        _ => (StatusCode::UNAUTHORIZED, axum::Json(json!({"error": {"message": said}}))).into_response(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_key_of_a_provider_shows_up_although_they_repeat_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let used = Used::default();
    let page = || async { Html("<html lang=en><title>Peak Sports</title><h1>Tents</h1><p>Many tents for sale.") };
    let router = axum::Router::new().route("/", get(page)).fallback(repeat).with_state(Arc::clone(&used));
    tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves until the test ends") });
    let secret = |name: &str| (name.to_owned(), format!("{CANARY}-{}", name.to_ascii_lowercase()));
    let mut environment: Vec<(String, String)> =
        ["BRAVE_API_KEY", "SERPAPI_API_KEY", "SEARCH_CONSOLE_TOKEN"].map(secret).to_vec();
    environment.push(("DATAFORSEO_LOGIN".to_owned(), format!("{CANARY}-login")));
    environment.push(("DATAFORSEO_PASSWORD".to_owned(), format!("{CANARY}-password")));
    for provider in ["BRAVE", "SERPAPI", "SEARCH_CONSOLE", "DATAFORSEO"] {
        let place = format!("http://{address}/{}", provider.to_ascii_lowercase());
        environment.push((format!("{provider}_ENDPOINT"), place));
    }
    environment.push(("HERMES_LOG_FILTER".to_owned(), "debug".to_owned()));

    let (database_url, redis) = (postgres::database().await, Redis::start_own());
    let heard = monitor(&redis).await;
    let fleet = Fleet::start(&database_url, &redis.url(), "canary", 1, &environment).await;
    let services = ["brave", "serpapi", "dataforseo", "search-console"].map(|provider| {
        let params = json!({"provider": provider, "queries": ["tents"], "brand": "Peak Sports"});
        json!({"service": format!("serp-{provider}"), "worker_key": "serp_intel", "timeout_ms": 60_000,
                "max_attempts": 1, "params": params})
    });
    let plan = json!({"plan_id": "canary-v1", "name": "Canary", "max_duration_ms": 200_000, "services": services});
    let (status, answer) = fleet.post("/api/orchestration/plans", &plan).await;
    assert_eq!(status, 201, "{answer}");
    let run = json!({"website_id": "s", "domain": format!("http://{address}"), "plan_id": "canary-v1"});
    let run_id = fleet.submit(&run).await;
    fleet.settled(&run_id).await;

    // All of them were really used: without this, nothing would show up in vain.
    let all = ["brave", "dataforseo", "search_console", "serpapi"].map(str::to_owned);
    assert_eq!(*used.lock().expect("not poisoned"), BTreeSet::from(all));
    let seen = everything(&fleet, &run_id, &heard, &database_url).await;
    nothing_is_told(&seen, &run_id);
    for (place, text) in &seen {
        assert!(!text.contains(&basic()), "in {place}");
    }
}
