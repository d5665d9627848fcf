//! The crawler against sites that nobody here wrote: documentation of Debian packages, served by nginx. Its counts must
//! equal those of `independent_parse/count.py`, which shares no code with it, and its audits of home pages those that
//! Lighthouse 13.5.0 gave for the same pages (`lighthouse URL --only-categories=seo`, Chromium 156).
//!
//! Needs the Debian packages `nginx-light`, `python3-lxml`, `python3.11-doc`, `mkdocs-doc`, `apache2-doc`,
//! `python-django-doc`, `postgresql-doc-15` and `chromium`.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use hermes_adapters::browser::Chromium;
use hermes_adapters::http::HttpClient;
use hermes_core::ports::http::Reach;
use hermes_diagnosis::signal::{Measurement, MeasurementStatus, Method, Signal};
use hermes_tests::harness::nginx::Nginx;
use hermes_worker_runner::technical_seo::{CrawlOptions, audit};
use hermes_worker_runner::vitals_monitor::{Instruments, VitalsOptions, measure};
use serde_json::{Value, json};

const PYTHON_DOC: &str = "/usr/share/doc/python3.11/html";
const MKDOCS_DOC: &str = "/usr/share/doc/mkdocs/html";
const APACHE_DOC: &str = "/usr/share/doc/apache2-doc/manual";
const DJANGO_DOC: &str = "/usr/share/doc/python-django-doc/html";
const POSTGRESQL_DOC: &str = "/usr/share/doc/postgresql-doc-15/html";
const COUNT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/independent_parse/count.py");
const PACKAGES: &str = "install nginx-light, python3-lxml, python3.11-doc, mkdocs-doc, apache2-doc, python-django-doc \
    and postgresql-doc-15";

/// nginx over the documentation in `root`.
fn serve(root: &str) -> Nginx {
    assert!(Path::new(root).join("index.html").exists(), "{root} is missing: {PACKAGES}");
    Nginx::serve(&[("localhost", root)])
}

/// What the independent parse counts.
fn independent_count(url: &str) -> Value {
    let has_lxml = |python: &&&str| {
        Command::new(python).args(["-c", "import lxml"]).output().is_ok_and(|output| output.status.success())
    };
    let python = ["python3", "/usr/bin/python3"];
    let python = python.iter().find(has_lxml).unwrap_or_else(|| panic!("no Python with lxml: {PACKAGES}"));
    let output = Command::new(python).arg(COUNT).arg(url).output().expect("Python was started before");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("it prints JSON")
}

async fn crawl(url: &str) -> Measurement {
    let http = HttpClient::new().expect("an HTTP client can be made");
    let options = CrawlOptions::from_params(&json!({ "pages": 5_000 }), Reach::Any).expect("valid");
    let deadline = tokio::time::Instant::now() + Duration::from_secs(3_600);
    audit(&http, &url.parse().expect("valid"), &options, deadline).await.expect("nginx answers")
}

fn signal<'a>(measurement: &'a Measurement, id: &str) -> &'a Signal {
    measurement.signals.iter().find(|signal| signal.id == id).unwrap_or_else(|| panic!("{id} was not measured"))
}

/// How many things the evidence of a signal stands for.
fn total(signal: &Signal) -> u64 {
    signal.evidence.as_ref().map_or(0, |evidence| evidence.total)
}

/// The same counts, from the signals.
fn counts(measurement: &Measurement) -> Value {
    let signal = |id| signal(measurement, id);
    json!({
        "pages": signal("tech.pages_crawled").value,
        "judged_pages": signal("tech.description_missing_ratio").n,
        "missing_descriptions": total(signal("tech.description_missing_ratio")),
        "long_titles": total(signal("tech.title_long_ratio")),
        "internal_links": signal("tech.broken_internal_links").n,
        "broken_targets": signal("tech.broken_internal_links").value,
        "links_to_broken_targets": signal("tech.links_to_broken_targets").value,
    })
}

async fn compare(root: &str) -> Value {
    let server = serve(root);
    let measurement = crawl(&server.url()).await;
    assert_eq!(signal(&measurement, "tech.crawl_truncated").value, false, "{:?}", measurement.warnings);
    let found = counts(&measurement);
    let mut expected = independent_count(&server.url());
    let members = found.as_object().expect("an object");
    expected.as_object_mut().expect("an object").retain(|name, _| members.contains_key(name));
    assert_eq!(found, expected);
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn the_crawl_of_mkdocs_own_pages_counts_what_an_independent_parse_counts() {
    let found = compare(MKDOCS_DOC).await;
    assert!(found["pages"].as_u64() > Some(15) && found["broken_targets"].as_u64() > Some(5), "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_crawl_of_python_s_pages_counts_what_an_independent_parse_counts() {
    let found = compare(PYTHON_DOC).await;
    assert!(found["pages"].as_u64() > Some(500) && found["long_titles"].as_u64() > Some(200), "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bytes_of_a_real_home_page_are_those_of_its_files() {
    let server = serve(MKDOCS_DOC);
    let http = HttpClient::new().expect("an HTTP client can be made");
    let options = VitalsOptions::from_params(&Value::Null, Reach::Any).expect("valid");
    let deadline = tokio::time::Instant::now() + Duration::from_secs(600);
    let url = server.url();
    let instruments = Instruments::plain(&http);
    let measurement =
        measure(instruments, &url.parse().expect("valid"), &options, deadline).await.expect("nginx answers");
    let bytes = signal(&measurement, "vitals.page_bytes");
    let evidence = bytes.evidence.as_ref().expect("the page itself at least");
    assert!(evidence.total > 5 && evidence.total == evidence.items.len() as u64, "{evidence:?}");
    let on_disk = evidence.items.iter().map(|item| {
        let path = item.url.strip_prefix(&url).expect("of this server").replace("%20", " ");
        let path = if path.is_empty() { "index.html" } else { &path };
        std::fs::metadata(Path::new(MKDOCS_DOC).join(path)).expect("the file that was served").len()
    });
    assert_eq!(bytes.value, on_disk.sum::<u64>());
    assert_eq!(signal(&measurement, "vitals.http_version").value, "HTTP/1.1");
    assert_eq!(signal(&measurement, "vitals.asset_error_ratio").value, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_home_page_is_measured_in_a_browser_and_over_plain_http() {
    let server = serve(MKDOCS_DOC);
    let http = HttpClient::new().expect("an HTTP client can be made");
    let browser = Chromium::find(&std::env::vars().collect());
    let instruments = Instruments { browser: Some(&browser), ..Instruments::plain(&http) };
    let options = VitalsOptions::from_params(&Value::Null, Reach::Any).expect("valid");
    let deadline = tokio::time::Instant::now() + Duration::from_secs(900);
    let found = measure(instruments, &server.url().parse().expect("valid"), &options, deadline).await.expect("answers");
    assert_eq!(found.status, MeasurementStatus::Ok, "{:?}", found.warnings);
    let number = |id| signal(&found, id).value.as_f64().unwrap_or_else(|| panic!("{id} is no number"));
    assert_eq!(number("vitals.lab_runs"), 3.0);
    assert!(number("vitals.lab_fcp_ms") <= number("vitals.lab_lcp_ms"));
    // The phone waits for its network, the desktop computer does not.
    assert!(number("vitals.desktop_lcp_ms") < number("vitals.lab_lcp_ms"));
    assert!(number("vitals.lab_ttfb_ms") < number("vitals.lab_fcp_ms"));
    assert!((0.0..=100.0).contains(&number("vitals.lab_score")));
    assert!(number("vitals.js_bytes") > 0.0 && number("vitals.transfer_bytes") > number("vitals.js_bytes"));
    // Nothing was compressed: what the browser received is what plain HTTP read, and heads beside it.
    assert!(number("vitals.transfer_bytes") >= number("vitals.page_bytes"));
    for (id, method) in [("vitals.lab_lcp_ms", Method::Lab), ("vitals.page_bytes", Method::Crawl)] {
        assert_eq!(signal(&found, id).method, method);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_crawl_of_postgresql_s_pages_finds_no_broken_link_as_there_is_none() {
    let found = compare(POSTGRESQL_DOC).await;
    assert!(found["pages"].as_u64() > Some(1_100) && found["broken_targets"] == 0, "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_crawl_of_django_s_pages_counts_what_an_independent_parse_counts() {
    let found = compare(DJANGO_DOC).await;
    assert!(found["pages"].as_u64() > Some(300) && found["broken_targets"].as_u64() > Some(50), "{found}");
}

/// All of its eleven languages, from a root that refreshes to one of them.
#[tokio::test(flavor = "multi_thread")]
async fn the_crawl_of_apache_s_pages_counts_what_an_independent_parse_counts() {
    let found = compare(APACHE_DOC).await;
    assert!(found["pages"].as_u64() > Some(2_600) && found["missing_descriptions"].as_u64() > Some(2_000), "{found}");
}

/// The audits that fail on a page, with their items, and those that do not apply; all others passed.
async fn audits(root: &str, path: &str) -> (Vec<(String, u64)>, Vec<String>) {
    let server = serve(root);
    let http = HttpClient::new().expect("an HTTP client can be made");
    let options = CrawlOptions::from_params(&json!({ "pages": 1 }), Reach::Any).expect("valid");
    let deadline = tokio::time::Instant::now() + Duration::from_secs(600);
    let url = format!("{}{path}", server.url());
    let measurement = audit(&http, &url.parse().expect("valid"), &options, deadline).await.expect("nginx answers");
    let audits = measurement.signals.iter().filter_map(|one| Some((one.id.strip_prefix("tech.audit_")?, one)));
    let (mut failed, mut not_applicable, mut all) = (Vec::new(), Vec::new(), 0);
    for (name, one) in audits {
        all += 1;
        match one.value.as_str() {
            Some("pass") => {}
            Some("fail") => failed.push((name.replace('_', "-"), total(one))),
            Some("not_applicable") => not_applicable.push(name.replace('_', "-")),
            _ => panic!("{one:?}"),
        }
    }
    assert_eq!(all, 10);
    not_applicable.sort();
    (failed, not_applicable)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audits_of_real_home_pages_are_those_of_lighthouse() {
    for (root, path, failed, not_applicable) in [
        (PYTHON_DOC, "index.html", ("meta-description", 1), vec!["robots-txt"]),
        (PYTHON_DOC, "library/functions.html", ("meta-description", 1), vec!["robots-txt"]),
        (APACHE_DOC, "en/index.html", ("meta-description", 1), vec!["canonical", "robots-txt"]),
        (MKDOCS_DOC, "index.html", ("crawlable-anchors", 1), vec!["image-alt", "robots-txt"]),
        (DJANGO_DOC, "index.html", ("meta-description", 1), vec!["canonical", "image-alt", "robots-txt"]),
    ] {
        let found = audits(root, path).await;
        let expected = (vec![(failed.0.to_owned(), failed.1)], not_applicable.into_iter().map(str::to_owned).collect());
        assert_eq!(found, expected, "{root}/{path}");
    }
}
