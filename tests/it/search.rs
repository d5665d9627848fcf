//! Search results and competitors in one process: `hermes up` over sites on loopback and a server of ours that answers
//! as a SearXNG does (<https://docs.searxng.org/dev/search_api.html>).

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::response::Html;
use axum::routing::get;
use hermes_tests::harness::process::Process;
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

/// Serves `router` on a free port until the test ends.
async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves until the test ends") });
    address
}

/// A shop with a home page and one page, both so many words long.
async fn shop(name: &'static str, words: usize, types: &'static str) -> SocketAddr {
    let page = move |title: &str| {
        let text = "word ".repeat(words);
        let menu = "<nav><a href=/tents>Camping tents</a> <a href=/boots>Hiking boots</a></nav>";
        let data = format!(
            r#"<script type="application/ld+json">{{"@context":"https://schema.org","@type":"{types}"}}</script>"#
        );
        Html(format!("<html lang=en><title>{title} | {name}</title>{data}{menu}<h1>{title}</h1><p>{text}"))
    };
    let router = Router::new()
        .route("/", get(move || async move { page("Outdoor equipment") }))
        .route("/tents", get(move || async move { page("Camping tents") }))
        .route("/boots", get(move || async move { page("Hiking boots") }));
    serve(router).await
}

#[derive(Deserialize)]
struct Search {
    q: String,
    format: String,
}

/// Shows the rivals before the site for every query, and the site alone for its name and for `site:`.
async fn searxng(site: SocketAddr, rivals: [SocketAddr; 2]) -> SocketAddr {
    let answer = move |query: &str| {
        let result = |address: SocketAddr, path: &str, position: u32| {
            json!({"url": format!("http://{address}{path}"), "title": "A title", "content": "", "engine": "bing",
                "engines": ["bing"], "positions": [position], "score": 1.0, "category": "general"})
        };
        let results = match query {
            "Peak Sports" => vec![result(site, "/", 1)],
            query if query.starts_with("site:") => vec![result(site, "/", 1), result(site, "/tents", 2)],
            _ => vec![result(rivals[0], "/tents", 1), result(rivals[1], "/tents", 2), result(site, "/tents", 3)],
        };
        json!({"query": query, "number_of_results": 0, "results": results, "answers": [], "corrections": [],
            "infoboxes": [], "suggestions": [], "unresponsive_engines": []})
    };
    let answer = Arc::new(answer);
    let router = Router::new().route(
        "/search",
        get(move |State(()): State<()>, Query(search): Query<Search>| async move {
            assert_eq!(search.format, "json");
            axum::Json(answer(&search.q))
        }),
    );
    serve(router).await
}

/// A plan of the two services that live on search results, as in `standard-v1`.
fn plan() -> Value {
    json!({"plan_id": "search-v1", "name": "search", "max_duration_ms": 300_000, "services": [
        {"service": "serp-intelligence", "worker_key": "serp_intel", "timeout_ms": 60_000},
        {"service": "competitive-intelligence", "worker_key": "competitive_snapshot", "timeout_ms": 120_000,
            "depends_on": ["serp-intelligence"]},
    ]})
}

#[tokio::test(flavor = "multi_thread")]
async fn search_results_and_the_competitors_in_them_are_measured_in_one_process() {
    let site = shop("Peak Sports", 100, "WebSite").await;
    let rivals = [shop("Rival", 300, "FAQPage").await, shop("Other", 200, "FAQPage").await];
    let searxng = searxng(site, rivals).await;
    let folder = TempDir::new().expect("a folder");
    let environment = [
        ("SEARXNG_URL".to_owned(), format!("http://{searxng}")),
        ("HERMES_WORKER_ALLOW_PRIVATE_TARGETS".to_owned(), "true".to_owned()),
    ];
    let data = folder.path().to_str().expect("a plain path");
    let mut up = Process::start("hermes", &["up", "--listen", "127.0.0.1:0", "--data", data], &environment);
    let api = up.says("dispatcher ready").await["api.listen"].as_str().expect("an address").to_owned();
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let post = |path: &str, body: Value| {
        let request = client.post(format!("http://{api}{path}")).header("content-type", "application/json");
        request.body(body.to_string()).send()
    };
    assert_eq!(post("/api/orchestration/plans", plan()).await.expect("it answers").status(), 201);
    let run = json!({"website_id": "s", "domain": format!("http://{site}"), "plan_id": "search-v1"});
    let told = post("/api/orchestration/run", run).await.expect("it answers").text().await.expect("a body");
    let told: Value = serde_json::from_str(&told).expect("JSON");
    let id = told
        .pointer("/runId")
        .or_else(|| told.pointer("/run_id"))
        .and_then(Value::as_str)
        .unwrap_or_else(|| panic!("{told}"));
    let read = |path: String| {
        let request = client.get(format!("http://{api}{path}")).send();
        async move { request.await.expect("it answers").text().await.expect("a body") }
    };
    let log: Value = serde_json::from_str(&read(format!("/api/orchestration/runs/{id}/events")).await).expect("JSON");
    let signals = signals(&log);
    let value = |id: &str| {
        let found = signals.iter().find(|signal| signal["id"] == id);
        found.unwrap_or_else(|| panic!("{id} was not measured: {log}"))["value"].clone()
    };
    for (id, expected) in [
        ("serp.ranked_ratio", json!(1.0)),
        ("serp.top3_ratio", json!(1.0)),
        ("serp.brand_position", json!(1)),
        ("serp.home_indexed", json!(true)),
        ("comp.competitors", json!(2)),
        ("comp.content_gap_ratio", json!(0.0)),
        // 202 words, their headings included, against 102.
        ("comp.word_gap_ratio", json!(1.9804)),
        ("comp.schema_gap", json!(1)),
    ] {
        assert_eq!(value(id), expected, "{id}");
    }
    // Three pages that differ by nothing that takes time: what matters is that a browser has loaded them.
    assert!(value("comp.lcp_gap_ms").as_i64().is_some_and(|gap| gap.abs() < 45_000));
    // An address has no rank, which is no lack.
    let nobody = signals.iter().find(|signal| signal["id"] == "comp.authority_gap").expect("told");
    assert_eq!((&nobody["value"], &nobody["n"]), (&Value::Null, &json!(0)));
    // SearXNG tells neither what stands above the results nor how many pages are in the index: unknown, not 0.
    for id in ["serp.ai_or_feature_ratio", "serp.index_ratio"] {
        let signal = signals.iter().find(|signal| signal["id"] == id).expect("told");
        assert!(signal["value"].is_null() && signal["reason"].is_string() && signal["n"].is_null(), "{signal}");
    }
    assert!(value("serp.queries").as_u64() >= Some(2));
    assert!(value("comp.share_of_voice").as_f64().is_some_and(|share| share > 0.0 && share < 1.0));
    let diagnosis = read(format!("/api/orchestration/runs/{id}/diagnosis")).await;
    assert!(diagnosis.contains("\"missing_services\":[]"), "{diagnosis}");
}

/// All signals of all results in a log.
fn signals(log: &Value) -> Vec<&Value> {
    match log {
        Value::Object(members) => {
            let own = members.get("signals").and_then(Value::as_array);
            own.map_or_else(|| members.values().flat_map(signals).collect(), |signals| signals.iter().collect())
        }
        Value::Array(items) => items.iter().flat_map(signals).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}
