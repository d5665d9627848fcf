//! `vitals-monitor` with the real Chromium (Debian package `chromium`), as the whole program runs it.

use std::fs::read_dir;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::HeaderMap;
use axum::response::Html;
use axum::routing::get;
use hermes_tests::harness::process::Process;
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// A generous limit: what has not happened by then never does.
const PATIENCE: Duration = Duration::from_secs(90);

/// A site whose only script never comes; tells when a browser has asked for it.
async fn hanging_site() -> (String, Arc<Notify>) {
    let asked = Arc::new(Notify::new());
    let heard = asked.clone();
    let hang = move |headers: HeaderMap| async move {
        let agent = headers.get("user-agent").and_then(|value| value.to_str().ok()).unwrap_or_default();
        if agent.contains("Chrome/") {
            heard.notify_one();
        }
        std::future::pending::<()>().await;
    };
    let page = || async { Html("<!doctype html><title>x</title><p>hello<script src=/hang></script>") };
    let site = Router::new().route("/", get(page)).route("/hang", get(hang));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback can be bound");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move { axum::serve(listener, site).await });
    (format!("http://{address}"), asked)
}

/// State, group and arguments of every process.
fn processes() -> Vec<(String, String, String)> {
    let numbers = read_dir("/proc").expect("Linux").flatten();
    let read = |path: &Path, file: &str| std::fs::read_to_string(path.join(file)).unwrap_or_default();
    let each = numbers.filter_map(|entry| {
        let stat = read(&entry.path(), "stat");
        let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().map(str::to_owned);
        let (state, _, group) = (fields.next()?, fields.next()?, fields.next()?);
        Some((state, group, read(&entry.path(), "cmdline")))
    });
    each.collect()
}

/// Whether a living process belongs to one of the groups or was started with something in `folder`, or a browser's
/// folder is still there.
fn is_anything_left(groups: &[String], folder: &Path) -> bool {
    let name = folder.display().to_string();
    let lives = |(state, group, arguments): &(String, String, String)| {
        state != "Z" && (groups.contains(group) || arguments.contains(&name))
    };
    let folders = read_dir(folder).expect("a folder").flatten();
    let mut browsers = folders.filter(|entry| entry.file_name().to_string_lossy().starts_with("hermes-browser-"));
    browsers.next().is_some() || processes().iter().any(lives)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_killed_leaves_no_browser_behind() {
    let (site, asked) = hanging_site().await;
    let (data, temporary) = (TempDir::new().expect("a folder"), TempDir::new().expect("a folder"));
    let environment = [("TMPDIR".to_owned(), temporary.path().display().to_string())];
    let folder = data.path().display().to_string();
    let arguments = ["up", "--listen", "127.0.0.1:0", "--data", &folder, "--allow-private-targets"];
    let mut up = Process::start("hermes", &arguments, &environment);
    let address = up.says("dispatcher ready").await["api.listen"].as_str().expect("an address").to_owned();
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let run = json!({"website_id": "w", "domain": site, "plan_id": "onboarding-v1", "wait": false});
    let request = client.post(format!("http://{address}/api/orchestration/run"));
    let request = request.header("content-type", "application/json").body(run.to_string());
    assert_eq!(request.send().await.expect("it answers").status().as_u16(), 202);

    tokio::time::timeout(PATIENCE, asked.notified()).await.expect("a browser asks for the page");
    let name = temporary.path().display().to_string();
    let started =
        processes().into_iter().filter(|(_, _, arguments)| arguments.contains(&format!("--user-data-dir={name}")));
    let groups: Vec<String> = started.map(|(_, group, _)| group).collect();
    assert!(!groups.is_empty(), "a browser runs");
    up.kill().await;

    let mut look = tokio::time::interval(Duration::from_millis(50));
    let gone = async {
        while is_anything_left(&groups, temporary.path()) {
            look.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("everything is gone");
}
