//! The audits of technical-seo on small pages of our own (`tests/audit_pages`) are those that Lighthouse 13.5.0 gave for
//! the same pages. `scripts/audits --record` asked it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, header};
use hermes_adapters::http::HttpClient;
use hermes_core::ports::http::Reach;
use hermes_diagnosis::signal::Measurement;
use hermes_worker_runner::technical_seo::{CrawlOptions, audit};
use serde_json::json;
use tokio::net::TcpListener;

const PAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/audit_pages");
/// Outcome and number of items of each audit, by its name.
type Audits = BTreeMap<String, (String, u64)>;
/// A site whose robots.txt answers with an error: our robot may not read its page, and says so.
const UNREAD: &str = "robots-503";
/// Where ours say something else on purpose, and what.
const ON_PURPOSE: [(&str, &str, (&str, u64)); 1] = [
    // Lighthouse takes `max-snippet:` for the name of a robot, and does not see the noindex behind it.
    ("plain/robots-header-value.html", "is-crawlable", ("fail", 1)),
];

/// Serves one folder until the runtime ends; gives its address.
async fn serve(folder: PathBuf) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback can be bound");
    let origin = format!("http://{}", listener.local_addr().expect("bound"));
    let site = Router::new().fallback(answer).with_state((folder, origin.clone()));
    tokio::spawn(async move { axum::serve(listener, site).await });
    origin
}

async fn answer(State((folder, origin)): State<(PathBuf, String)>, request: Request) -> Response<Body> {
    let path = folder.join(request.uri().path().trim_start_matches('/'));
    let beside = |ending: &str| std::fs::read_to_string(format!("{}{ending}", path.display())).ok();
    let Some(text) = beside("") else { return Response::builder().status(404).body(Body::empty()).expect("plain") };
    let kind = if path.extension().is_some_and(|ending| ending == "html") { "text/html" } else { "text/plain" };
    let status: u16 = beside(".status").map_or(200, |status| status.trim().parse().expect("a status"));
    let mut response = Response::builder().status(status).header(header::CONTENT_TYPE, kind);
    for line in beside(".headers").unwrap_or_default().replace("{{origin}}", &origin).lines() {
        let (name, value) = line.split_once(": ").expect("a header field");
        response = response.header(name, value);
    }
    response.body(text.replace("{{origin}}", &origin).into()).expect("header fields are valid")
}

/// The audits among the signals that have an outcome, under the names that Lighthouse has for them.
fn audits(measurement: &Measurement) -> Audits {
    let named = measurement.signals.iter().filter_map(|one| Some((one.id.strip_prefix("tech.audit_")?, one)));
    // Those that could not be made have a reason instead of an outcome.
    named
        .filter_map(|(name, one)| {
            let total = one.evidence.as_ref().map_or(0, |evidence| evidence.total);
            Some((name.replace('_', "-"), (one.value.as_str()?.to_owned(), total)))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audits_of_pages_of_our_own_are_those_of_lighthouse() {
    let record = std::fs::read_to_string(Path::new(PAGES).join("lighthouse.json")).expect("it was recorded");
    let record: BTreeMap<String, Audits> = serde_json::from_str(&record).expect("outcomes and items");
    let mut sites: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for page in record.keys() {
        let (site, name) = page.split_once('/').expect("a site and a page");
        sites.entry(site).or_default().push(name);
    }
    let http = HttpClient::new().expect("an HTTP client can be made");
    let options = CrawlOptions::from_params(&json!({ "pages": 1 }), Reach::Any).expect("valid");
    let deadline = tokio::time::Instant::now() + Duration::from_secs(600);
    let mut differences = Vec::new();
    for (site, names) in sites {
        let origin = serve(Path::new(PAGES).join(site)).await;
        for name in names {
            let page = format!("{site}/{name}");
            let url = format!("{origin}/{name}").parse().expect("valid");
            let found = audits(&audit(&http, &url, &options, deadline).await.expect("it answers"));
            for (name, theirs) in &record[&page] {
                let on_purpose = ON_PURPOSE.iter().find(|(at, audit, _)| *at == page && audit == name);
                let expected = on_purpose.map_or(theirs.clone(), |(.., (outcome, items))| ((*outcome).into(), *items));
                let is_unread = site == UNREAD && name != "robots-txt" && !found.contains_key(name);
                if found.get(name) != Some(&expected) && !is_unread {
                    differences.push(format!("{page} {name}: {:?} instead of {expected:?}", found.get(name)));
                }
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn every_page_of_ours_was_shown_to_lighthouse() {
    let record = std::fs::read_to_string(Path::new(PAGES).join("lighthouse.json")).expect("it was recorded");
    let record: BTreeMap<String, Audits> = serde_json::from_str(&record).expect("outcomes and items");
    let mut pages = 0;
    for site in std::fs::read_dir(PAGES).expect("there are sites").filter_map(Result::ok) {
        for page in std::fs::read_dir(site.path()).into_iter().flatten().filter_map(Result::ok) {
            let name = format!("{}/{}", site.file_name().display(), page.file_name().display());
            if name.ends_with(".html") {
                pages += 1;
                assert!(record.contains_key(&name), "{name} is not in the record");
            }
        }
    }
    assert!(pages > 50 && record.values().all(|audits| audits.len() == 10), "{pages}");
}
