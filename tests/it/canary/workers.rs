//! Secrets of workers, from every source: the workers fail, and repeat what they were sent.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::extract::{Path as Segment, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use hermes_tests::harness::fleet::Fleet;
use hermes_tests::harness::postgres;
use hermes_tests::harness::process::run_to_end;
use hermes_tests::harness::redis::Redis;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{CANARY, everything, monitor, nothing_is_told};

type Keys = Arc<Mutex<BTreeMap<String, String>>>;

/// A worker that says everything that it was sent, in the way that its path names.
async fn echo(State(keys): State<Keys>, Segment(way): Segment<String>, headers: HeaderMap, body: String) -> Response {
    let text = |value: &axum::http::HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let said: String = headers.iter().map(|(name, value)| format!("{name}: {} ", text(value))).collect();
    let key = headers.get("x-api-key").map(text).unwrap_or_default();
    keys.lock().expect("not poisoned").insert(way.clone(), key.clone());
    let error = json!({"ok": false, "error": {"code": key, "message": format!("{said} {body}")}});
    match way.as_str() {
        "succeeds" => {
            axum::Json(json!({"ok": true, "data": {"said": said, "findings": [{"title": key}]}})).into_response()
        }
        "html" => ([(header::CONTENT_TYPE, "text/html")], format!("<html>{said}")).into_response(),
        "redirects" => {
            (StatusCode::FOUND, [(header::LOCATION, format!("https://{key}@worker.example/{key}"))]).into_response()
        }
        "rejects" => (StatusCode::UNAUTHORIZED, axum::Json(error)).into_response(),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, said).into_response(),
    }
}

/// A command in the place of `bws` that knows one worker whole and one key by name.
async fn bws(folder: &Path, base_url: &str) -> String {
    let listed =
        |key: &str, value: String| json!({"object": "secret", "id": "1", "key": key, "value": value, "note": ""});
    let whole = json!({"base_url": format!("{base_url}/html"), "api_key": format!("{CANARY}-bws-whole")});
    let list = json!([
        listed("Worker of links", whole.to_string()),
        listed("COMPETITIVE_SNAPSHOT_API_KEY", format!("{CANARY}-bws-named")),
        listed("Unused", format!("{CANARY}-bws-unused")),
    ]);
    let path = folder.join("bws");
    std::fs::write(folder.join("list.json"), list.to_string()).expect("the folder is ours");
    let script = format!("#!/bin/sh\necho \"token $BWS_ACCESS_TOKEN\" >&2\ncat '{}/list.json'\n", folder.display());
    // By another process: a descriptor that is open for writing here could be inherited by a child of another test, and
    // a file that somebody writes cannot be executed.
    std::fs::write(folder.join("script"), script).expect("the folder is ours");
    let copied = std::process::Command::new("cp").arg(folder.join("script")).arg(&path).status().expect("cp is there");
    assert!(copied.success());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).expect("the file is ours");
    path.display().to_string()
}

async fn environment_of(folder: &Path, base_url: &str) -> Vec<(String, String)> {
    let file = folder.join("crawl");
    std::fs::write(&file, format!("{CANARY}-file\n")).expect("the folder is ours");
    let token = folder.join("token");
    std::fs::write(&token, format!("{CANARY}-token\n")).expect("the folder is ours");
    [
        ("SERP_INTEL_BASE_URL", format!("{base_url}/succeeds")),
        ("SERP_INTEL_API_KEY", format!("{CANARY}-environment")),
        ("CRAWL_RENDER_BASE_URL", format!("{base_url}/fails")),
        ("CRAWL_RENDER_API_KEY_FILE", file.display().to_string()),
        ("CORE_WEB_VITALS_BASE_URL", format!("{base_url}/rejects")),
        ("CORE_WEB_VITALS_API_KEY", format!("{CANARY}-\"quoted\"/slashed")),
        ("COMPETITIVE_SNAPSHOT_BASE_URL", format!("{base_url}/redirects")),
        ("HERMES_SECRETS_SOURCE", "bitwarden".to_owned()),
        ("HERMES_SECRETS_BITWARDEN_COMMAND", bws(folder, base_url).await),
        ("HERMES_SECRETS_BITWARDEN_WORKERS", "backlink_authority=Worker of links".to_owned()),
        ("BWS_ACCESS_TOKEN_FILE", token.display().to_string()),
        ("HERMES_LOG_FILTER", "debug".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_of_any_source_shows_up_in_logs_queue_database_or_answers() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let base_url = format!("http://{}", listener.local_addr().expect("it is bound"));
    let keys = Keys::default();
    let router = axum::Router::new().route("/{way}/run", post(echo)).with_state(Arc::clone(&keys));
    tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves until the test ends") });
    let environment = environment_of(folder.path(), &base_url).await;

    let (database_url, redis) = (postgres::database().await, Redis::start_own());
    let heard = monitor(&redis).await;
    let fleet = Fleet::start(&database_url, &redis.url(), "canary", 1, &environment).await;
    let request = json!({ "website_id": "site_1", "domain": "example.com", "plan_id": "standard-v1" });
    let (_, answer) = fleet.post("/api/orchestration/run", &request).await;
    let run_id = answer["run_id"].as_str().expect("an id").to_owned();
    fleet.settled(&run_id).await;

    // All of them were really used: without this, nothing would show up in vain.
    let used: Vec<String> = keys.lock().expect("not poisoned").values().cloned().collect();
    let expected = ["file", "bws-whole", "bws-named", "\"quoted\"/slashed", "environment"];
    assert_eq!(used, expected.map(|rest| format!("{CANARY}-{rest}")), "in the order of the ways");

    let mut seen = everything(&fleet, &run_id, &heard, &database_url).await;
    seen.push(("the answer", answer.to_string()));
    let doctor =
        run_to_end("hermes", &["doctor", "--json", "--data", &folder.path().display().to_string()], &environment).await;
    let told: Value = serde_json::from_str(&doctor.stdout).expect("JSON");
    assert_eq!(told["values"].as_array().map(Vec::len), Some(10), "{told}");
    seen.push(("the doctor", doctor.stdout + &doctor.stderr));
    nothing_is_told(&seen, &run_id);
}
