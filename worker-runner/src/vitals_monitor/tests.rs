use hermes_diagnosis::signal::{MeasurementStatus, Signal};
use serde_json::{Value, json};

use super::*;
use crate::site::fake::FakeSite;

async fn measured(site: &FakeSite, domain: &str, params: Value) -> Result<Measurement, SiteError> {
    let domain: Domain = domain.parse().expect("valid");
    let options = VitalsOptions::from_params(&params, Reach::Any).expect("valid");
    measure(Instruments::plain(site), &domain, &options, Instant::now() + Duration::from_secs(60)).await
}

fn signal<'a>(measurement: &'a Measurement, id: &str) -> &'a Signal {
    measurement.signals.iter().find(|signal| signal.id == id).unwrap_or_else(|| panic!("{id} was not measured"))
}

fn value(measurement: &Measurement, id: &str) -> Value {
    signal(measurement, id).value.clone()
}

fn warnings(measurement: &Measurement) -> Vec<&str> {
    measurement.warnings.iter().map(|warning| warning.code.as_str()).collect()
}

fn shop() -> FakeSite {
    let long = "x".repeat(2_000);
    FakeSite::new()
        .page(
            "http://127.0.0.1/",
            "<link rel=stylesheet href=/s.css><script src=/j.js></script><script src=/j.js></script>\
             <img src=/i.png><img src=/gone.png><script src='https://cdn.test/x.js'></script>",
        )
        .answer(
            "http://127.0.0.1/s.css",
            200,
            &[("content-type", "text/css"), ("cache-control", "max-age=31536000")],
            long.clone(),
        )
        .answer("http://127.0.0.1/j.js", 200, &[("content-type", "text/javascript")], long)
        .answer("http://127.0.0.1/i.png", 200, &[("content-type", "image/png"), ("cache-control", "max-age=60")], "png")
}

#[tokio::test]
async fn the_home_page_and_its_assets_are_measured_in_part() {
    let site = shop();
    let found = measured(&site, "http://127.0.0.1", json!({})).await.expect("reachable");
    assert_eq!(found.status, MeasurementStatus::Partial);
    assert_eq!(warnings(&found), ["no_browser", "browser_failed", "foreign_assets"]);
    let page = 230;
    for (id, expected) in [
        ("vitals.lab_available", json!(false)),
        ("vitals.http_ttfb_ms", json!(20)),
        ("vitals.http_version", json!("HTTP/1.1")),
        ("vitals.home_redirects", json!(0)),
        ("vitals.page_requests", json!(6)),
        ("vitals.head_blocking_assets", json!(2)),
        ("vitals.script_bytes", json!(2_000)),
        ("vitals.asset_error_ratio", json!(0.25)),
        ("vitals.asset_uncompressed_ratio", json!(1.0)),
        ("vitals.asset_uncached_ratio", json!(0.6667)),
    ] {
        assert_eq!(value(&found, id), expected, "{id}");
    }
    let bytes = value(&found, "vitals.page_bytes").as_u64().expect("number");
    assert!((4_003..4_003 + page).contains(&bytes), "{bytes}");
    assert_eq!(signal(&found, "vitals.http_ttfb_ms").n, Some(3));
    assert_eq!(site.count("http://127.0.0.1/j.js"), 1);
    assert_eq!(site.count("https://cdn.test/x.js"), 0);
}

#[tokio::test]
async fn a_sum_of_which_a_part_is_missing_is_unknown() {
    let found = measured(&shop(), "http://127.0.0.1", json!({"assets": 1})).await.expect("reachable");
    let bytes = signal(&found, "vitals.page_bytes");
    assert!(bytes.value.is_null() && bytes.reason.is_some());
    assert!(warnings(&found).contains(&"assets_left_out"));
}

#[tokio::test]
async fn what_robots_txt_forbids_is_not_asked_for() {
    let site = shop().text("http://127.0.0.1/robots.txt", "User-agent: *\nDisallow: /j.js");
    measured(&site, "http://127.0.0.1", json!({})).await.expect("reachable");
    assert_eq!(site.count("http://127.0.0.1/j.js"), 0);
    let closed = FakeSite::new().text("http://127.0.0.1/robots.txt", "User-agent: *\nDisallow: /");
    let error = measured(&closed, "http://127.0.0.1", json!({})).await.expect_err("forbidden");
    assert_eq!(error.to_string(), "robots.txt of 127.0.0.1 does not allow HermesBot to read the home page");
}

#[tokio::test]
async fn an_error_page_is_not_measured() {
    for (status, retryable) in [(404, false), (500, false), (502, true)] {
        let site = FakeSite::new().answer("http://127.0.0.1/", status, &[], "");
        let error = measured(&site, "http://127.0.0.1", json!({})).await.expect_err("no page");
        assert_eq!(error.to_string(), format!("the home page http://127.0.0.1/ answers HTTP {status}"));
        assert_eq!(error.retryable(), retryable);
    }
}

#[tokio::test(start_paused = true)]
async fn a_measurement_that_runs_out_of_time_reports_what_it_has_before_the_deadline() {
    let images: String = (0..60).map(|image| format!("<img src=/{image}.png>")).collect();
    let site = FakeSite::new().page("http://a.test/", &images);
    let domain: Domain = "http://a.test".parse().expect("valid");
    let deadline = Instant::now() + Duration::from_secs(5);
    let found =
        measure(Instruments::plain(&site), &domain, &VitalsOptions::default(), deadline).await.expect("reachable");
    assert!(Instant::now() < deadline);
    assert!(warnings(&found).contains(&"assets_left_out"));
}

#[test]
fn parameters_that_are_unknown_or_out_of_range_are_named() {
    for (params, word) in [
        (json!({"asset": 1}), "asset"),
        (json!({"assets": 1_000}), "assets"),
        (json!({"samples": 0}), "samples"),
        (json!({"templates": 5}), "templates must be 0 to 4, not 5"),
        (json!({"requests_per_second": -1}), "requests_per_second"),
        (json!([]), "no object"),
    ] {
        let error = VitalsOptions::from_params(&params, Reach::Public).expect_err("wrong");
        assert!(error.to_string().contains(word), "{error}");
    }
}
