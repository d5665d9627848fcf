//! The shipped plan `standard-v1` as a whole: `hermes up`, a documentation tree behind nginx under names of the web, the
//! real Chromium, and servers of ours in the shapes of the sources: a name server, a registry, a SearXNG, Open PageRank,
//! Tranco, the Chrome UX Report.
//!
//! Names lead to this machine by `libnss_wrapper.so` (Debian package `libnss-wrapper`) for our process and by a switch for
//! the browser. Further needs the Debian packages `nginx-light`, `mkdocs-doc` and `chromium`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use axum::Router;
use axum::extract::{Path as Segment, Query, RawQuery};
use axum::routing::{get, post};
use hermes_adapters::browser::Chromium;
use hermes_tests::harness::nginx::Nginx;
use hermes_tests::harness::process::Process;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::Mutex;

use super::authority::{DOMAIN, SITE, name_server};

const MKDOCS_DOC: &str = "/usr/share/doc/mkdocs/html";
const RIVALS: [&str; 3] = ["docs.example.com", "www.example.net", "www.example.org"];

/// Serves `router` on a free port until the test ends.
async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves until the test ends") });
    address
}

/// A SearXNG (<https://docs.searxng.org/dev/search_api.html>) that shows the rivals before the site, except for its name.
async fn searxng(port: u16) -> SocketAddr {
    let answer =
        async move |Query(asked): Query<BTreeMap<String, String>>| {
            let pages = match asked["q"].to_lowercase().as_str() {
                "mkdocs" => vec![(SITE, "/")],
                of_site if of_site.starts_with("site:") => vec![(SITE, "/"), (SITE, "/getting-started.html")],
                _ => vec![
                    (RIVALS[0], "/getting-started.html"),
                    (RIVALS[1], "/user-guide/index.html"),
                    (RIVALS[2], "/about/license.html"),
                    (SITE, "/getting-started.html"),
                ],
            };
            let results: Vec<Value> = (1..).zip(pages).map(|(position, (host, path))| {
            json!({"url": format!("http://{host}:{port}{path}"), "title": "Getting Started - MkDocs", "content": "",
                "engine": "bing", "engines": ["bing"], "positions": [position], "score": 1.0, "category": "general"})
        }).collect();
            axum::Json(json!({"query": asked["q"], "number_of_results": 20, "results": results, "answers": [],
            "corrections": [], "infoboxes": [], "suggestions": [], "unresponsive_engines": []}))
        };
    serve(Router::new().route("/search", get(answer))).await
}

/// What is known without a key: a registry (RFC 9224, RFC 9083) and Tranco (<https://tranco-list.eu/api_documentation>).
async fn keyless() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let bootstrap = json!({"version": "1.0", "services": [[["uk"], [format!("http://{address}/rdap/")]]]}).to_string();
    let registration = json!({"objectClassName": "domain", "ldhName": DOMAIN, "events": [
        {"eventAction": "registration", "eventDate": "1996-08-01T00:00:00Z"},
        {"eventAction": "expiration", "eventDate": "2999-08-01T00:00:00Z"}
    ]});
    let tranco = async |Segment(name): Segment<String>| {
        let rank = if name == DOMAIN { 8_000 } else { 1_000 };
        json!({"ranks": [{"date": "2026-11-21", "rank": rank}], "domain": name}).to_string()
    };
    let router = Router::new()
        .route("/dns.json", get(async move || bootstrap))
        .route("/rdap/domain/{name}", get(async move || registration.to_string()))
        .route("/tranco/ranks/domain/{name}", get(tranco));
    tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves until the test ends") });
    address
}

/// What free keys open: Open PageRank (<https://www.domcop.com/openpagerank/documentation>) and the Chrome UX Report
/// (<https://developer.chrome.com/docs/crux/api>).
async fn keyed() -> SocketAddr {
    let page_rank = async |RawQuery(query): RawQuery| {
        let query = query.unwrap_or_default();
        let domains = url::form_urlencoded::parse(query.as_bytes()).map(|(_, domain)| domain.into_owned());
        let entries: Vec<Value> = domains
            .map(|domain| {
                let decimal = if domain == DOMAIN { 3.5 } else { 5.0 };
                json!({"status_code": 200, "error": "", "page_rank_integer": 4, "page_rank_decimal": decimal,
                "rank": "12043", "domain": domain})
            })
            .collect();
        json!({"status_code": 200, "response": entries}).to_string()
    };
    let p75 = |value: Value| json!({"histogram": [], "percentiles": {"p75": value}});
    let record = json!({"record": {"key": {"formFactor": "PHONE"}, "metrics": {
        "largest_contentful_paint": p75(json!(1785)), "interaction_to_next_paint": p75(json!(120)),
        "cumulative_layout_shift": p75(json!("0.05")), "experimental_time_to_first_byte": p75(json!(400))
    }, "collectionPeriod": {"lastDate": {"year": 2026, "month": 11, "day": 20}}}});
    let router = Router::new()
        .route("/opr/getPageRank", get(page_rank))
        .route("/crux/records:queryRecord", post(async move || axum::Json(record)));
    serve(router).await
}

/// Both runs load pages all the time, which one browser does on a machine: after each other neither waits in vain.
static TURN: Mutex<()> = Mutex::const_new(());

/// The names of the sites, for our process and for the browser, and what needs no key.
struct World {
    folder: TempDir,
    nginx: Nginx,
    environment: Vec<(String, String)>,
}

impl World {
    async fn start() -> Self {
        assert!(Path::new(MKDOCS_DOC).join("index.html").exists(), "install mkdocs-doc");
        let folder = tempfile::tempdir().expect("a folder");
        let own = folder.path().join("site");
        let root = own.to_str().expect("a plain path");
        let nginx = Nginx::serve(&[
            (SITE, root),
            (DOMAIN, root),
            (RIVALS[0], MKDOCS_DOC),
            (RIVALS[1], MKDOCS_DOC),
            (RIVALS[2], MKDOCS_DOC),
        ]);
        publish(Path::new(MKDOCS_DOC), &own, &format!("http://{SITE}:{}/", nginx.port()));
        let hosts = folder.path().join("hosts");
        let names = [SITE, RIVALS[0], RIVALS[1], RIVALS[2]];
        std::fs::write(&hosts, names.map(|name| format!("127.0.0.1 {name}\n")).concat()).expect("written");
        let (dns, sources) = (name_server().await, keyless().await);
        let set = |name: &str, value: String| (name.to_owned(), value);
        let environment = vec![
            set("LD_PRELOAD", wrapper().display().to_string()),
            set("NSS_WRAPPER_HOSTS", hosts.display().to_string()),
            set("CHROMIUM_PATH", browser(folder.path(), &names).display().to_string()),
            set("HERMES_WORKER_ALLOW_PRIVATE_TARGETS", "true".to_owned()),
            set("DNS_ENDPOINT", dns.to_string()),
            set("RDAP_BOOTSTRAP_ENDPOINT", format!("http://{sources}/dns.json")),
            set("TRANCO_ENDPOINT", format!("http://{sources}/tranco")),
        ];
        Self { folder, nginx, environment }
    }

    /// Runs `standard-v1` for the site to its end and gives the diagnosis.
    async fn diagnosis(&self) -> Value {
        let data = self.folder.path().join("data");
        let arguments = ["up", "--listen", "127.0.0.1:0", "--data", data.to_str().expect("a plain path")];
        let mut up = Process::start("hermes", &arguments, &self.environment);
        let api = up.says("dispatcher ready").await["api.listen"].as_str().expect("an address").to_owned();
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let site = format!("http://{SITE}:{}/", self.nginx.port());
        let run = json!({"website_id": "s", "domain": site, "plan_id": "standard-v1"});
        let request = client.post(format!("http://{api}/api/orchestration/run"));
        let request = request.header("content-type", "application/json").body(run.to_string());
        let told = request.send().await.expect("it answers").text().await.expect("a body");
        let told: Value = serde_json::from_str(&told).expect("JSON");
        let id = told["runId"].as_str().or(told["run_id"].as_str()).unwrap_or_else(|| panic!("{told}"));
        let answer = client.get(format!("http://{api}/api/orchestration/runs/{id}/diagnosis")).send().await;
        let text = answer.expect("it answers").text().await.expect("a body");
        let mut told: Value = serde_json::from_str(&text).expect("JSON");
        told["diagnosis"].take()
    }
}

/// Copies a documentation tree as its authors would publish it at `home`: canonicals and sitemap name that place.
fn publish(from: &Path, to: &Path, home: &str) {
    std::fs::create_dir(to).expect("the folder is ours");
    for entry in std::fs::read_dir(from).expect("it is there").flatten() {
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            publish(&source, &target, home);
        } else if let Ok(text) = std::fs::read_to_string(&source) {
            std::fs::write(target, text.replace("https://www.mkdocs.org/", home)).expect("written");
        } else {
            std::fs::copy(source, target).expect("copied");
        }
    }
}

/// Whether only a browser tells a signal. On a machine that is busy with other things there may be no time for it.
fn takes_a_browser(id: &str) -> bool {
    const OTHERS: [&str; 5] = [
        "vitals.lcp_dominant_part",
        "vitals.js_bytes",
        "vitals.template_lcp_ms",
        "comp.lcp_gap_ms",
        "tech.js_dependent_ratio",
    ];
    id.starts_with("vitals.lab_") || OTHERS.contains(&id)
}

/// How sure the diagnosis must be at least, by what the services say about the machine, which other tests use meanwhile.
fn least_confidence(diagnosis: &Value) -> f64 {
    let warnings = diagnosis["warnings"].as_array().unwrap_or_else(|| panic!("{diagnosis}"));
    let codes: Vec<&str> = warnings.iter().filter_map(|warning| warning["code"].as_str()).collect();
    let warned = |code: &str| codes.contains(&code);
    if ["load_cut_off", "fewer_loads", "fewer_templates"].into_iter().any(warned) {
        0.83
    } else if warned("noisy_machine") {
        0.89
    } else {
        0.9
    }
}

/// The library that lets our process look names up in a file.
fn wrapper() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").expect("there are libraries").flatten().map(|entry| entry.path());
    let found = folders.map(|folder| folder.join("libnss_wrapper.so")).find(|library| library.exists());
    found.expect("install libnss-wrapper")
}

/// The real browser, which looks these names up on this machine.
fn browser(folder: &Path, names: &[&str]) -> PathBuf {
    let found = Chromium::find(&std::env::vars().collect());
    let program = found.program().expect("install chromium").display().to_string();
    let rules: Vec<String> = names.iter().map(|name| format!("MAP {name} 127.0.0.1")).collect();
    let rules = rules.join(", ");
    let script = folder.join("chromium");
    std::fs::write(&script, format!("#!/bin/sh\nexec {program} '--host-resolver-rules={rules}' \"$@\"\n"))
        .expect("written");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
    script
}

#[tokio::test(flavor = "multi_thread")]
async fn the_standard_plan_with_all_free_sources_misses_nothing_and_is_sure_of_itself() {
    let _turn = TURN.lock().await;
    let mut world = World::start().await;
    let (searxng, keyed) = (searxng(world.nginx.port()).await, keyed().await);
    let set = |name: &str, value: String| (name.to_owned(), value);
    world.environment.extend([
        set("SEARXNG_URL", format!("http://{searxng}")),
        set("SEARXNG_ENGINE", "bing".to_owned()),
        set("OPEN_PAGERANK_ENDPOINT", format!("http://{keyed}/opr")),
        set("OPEN_PAGERANK_API_KEY", "key".to_owned()),
        set("CRUX_ENDPOINT", format!("http://{keyed}/crux")),
        set("CRUX_API_KEY", "key".to_owned()),
    ]);
    let diagnosis = world.diagnosis().await;
    assert_eq!(diagnosis["missing_services"], json!([]), "{diagnosis}");
    assert_eq!(diagnosis["services_analyzed"].as_array().map(Vec::len), Some(5));
    // 20 in the index, of as many pages as the crawl knows.
    assert!(
        diagnosis["measured"]["serp.index_ratio"].as_f64().is_some_and(|ratio| ratio > 0.8 && ratio < 1.3),
        "{diagnosis}"
    );
    // Competitors have 50 by Open PageRank and by Tranco, the site 35 and 34.9.
    assert_eq!(diagnosis["measured"]["comp.authority_gap"], json!(15.1), "{diagnosis}");
    let undecided = diagnosis["rules"]["not_evaluated"].as_array().unwrap_or_else(|| panic!("{diagnosis}"));
    let missing = undecided.iter().filter_map(|rule| rule["missing"].as_array()).flatten().filter_map(Value::as_str);
    assert_eq!(missing.filter(|id| !takes_a_browser(id)).collect::<Vec<_>>(), [""; 0], "{diagnosis}");
    assert_eq!(diagnosis["confidence_level"], "high");
    let least = least_confidence(&diagnosis);
    assert!(diagnosis["confidence"].as_f64().is_some_and(|confidence| confidence > least), "{diagnosis}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_standard_plan_without_any_provider_says_what_is_missing_and_how_to_enable_it() {
    let _turn = TURN.lock().await;
    let diagnosis = World::start().await.diagnosis().await;
    let missing = diagnosis["missing_services"].as_array().unwrap_or_else(|| panic!("{diagnosis}"));
    let named: Vec<&str> = missing.iter().filter_map(|service| service["service"].as_str()).collect();
    assert_eq!(named, ["serp-intelligence", "competitive-intelligence"], "{diagnosis}");
    assert_eq!((&missing[0]["error_class"], &missing[1]["status"]), (&json!("not_configured"), &json!("skipped")));
    let how = missing[0]["how_to_enable"].as_str().unwrap_or_else(|| panic!("{diagnosis}"));
    assert!(how.contains("SEARXNG_URL"), "{how}");
    let lost: f64 = missing.iter().filter_map(|service| service["confidence_lost"].as_f64()).sum();
    assert!(lost > 0.15, "{diagnosis}");
    assert!(
        diagnosis["confidence"].as_f64().is_some_and(|confidence| (0.6..0.75).contains(&confidence)),
        "{diagnosis}"
    );
}
