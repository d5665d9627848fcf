//! The pages beside the home page, with a browser that is played.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use hermes_core::Domain;
use hermes_core::ports::browser::{Browser, BrowserError, LargestPaint, PageLoad, Visit};
use hermes_core::ports::http::Reach;
use hermes_diagnosis::signal::{Measurement, MeasurementStatus, Signal};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::site::fake::FakeSite;
use crate::vitals_monitor::{Instruments, VitalsOptions, measure};

const HOME: &str = "<title>home</title><a href=/shop/hat>hat</a><a href=/shop/shoe>shoe</a><a href=/shop/shoe>buy</a>\
                    <a href=/about>about</a><a href=/blog/first>blog</a>";

/// Shows each page as it is told to; a load takes as long as its largest paint, and five seconds of quiet.
#[derive(Debug, Default)]
struct PlayedBrowser {
    /// By path: when the largest paints come as a phone, in turn (the last one stays), and the document.
    pages: HashMap<&'static str, (Vec<f64>, &'static str)>,
    /// What happens instead of a load.
    broken: HashMap<&'static str, BrowserError>,
    visits: Mutex<Vec<(String, &'static str)>>,
}

#[async_trait]
impl Browser for PlayedBrowser {
    async fn load(&self, visit: Visit) -> Result<PageLoad, BrowserError> {
        let path = visit.url.path().to_owned();
        let before = {
            let mut visits = self.visits.lock().expect("not poisoned");
            visits.push((path.clone(), visit.profile.name));
            visits.iter().filter(|one| **one == (path.clone(), "mobile")).count()
        };
        if let Some(error) = self.broken.get(path.as_str()) {
            return Err(error.clone());
        }
        let (paints, html) = self.pages.get(path.as_str()).expect("a page of the site");
        let at_ms = if visit.profile.is_mobile { paints[before.min(paints.len()) - 1] } else { 300.0 };
        tokio::time::advance(Duration::from_millis(5_000 + at_ms as u64)).await;
        Ok(PageLoad {
            status: Some(200),
            ttfb_ms: Some(10.0),
            fcp_ms: Some(at_ms),
            lcp: Some(LargestPaint { at_ms, element: "h1".to_owned(), ..LargestPaint::default() }),
            html: Some((*html).to_owned()),
            machine_seconds: [0.01, 0.01],
            ..PageLoad::default()
        })
    }
}

fn site() -> FakeSite {
    FakeSite::new()
        .page("http://127.0.0.1/", HOME)
        .page("http://127.0.0.1/shop/shoe", "<title>shoe</title>")
        .page("http://127.0.0.1/about", HOME)
        .page("http://127.0.0.1/blog/first", "<title>first</title>")
}

fn browser() -> PlayedBrowser {
    let words: &'static str = Box::leak(format!("<title>shoe</title>{}", "<p>word".repeat(99)).into_boxed_str());
    PlayedBrowser {
        pages: HashMap::from([
            ("/", (vec![2_000.0], HOME)),
            ("/shop/shoe", (vec![5_000.0, 6_000.0, 5_500.0], words)),
            ("/blog/first", (vec![3_000.0], "<title>first</title>")),
        ]),
        ..PlayedBrowser::default()
    }
}

async fn measured(site: &FakeSite, browser: &PlayedBrowser, seconds: u64, params: Value) -> Measurement {
    let domain: Domain = "http://127.0.0.1".parse().expect("valid");
    let options = VitalsOptions::from_params(&params, Reach::Any).expect("valid");
    let instruments = Instruments { browser: Some(browser), ..Instruments::plain(site) };
    let deadline = Instant::now() + Duration::from_secs(seconds);
    let found = measure(instruments, &domain, &options, deadline).await.expect("reachable");
    assert!(Instant::now() < deadline, "it ends before its deadline");
    found
}

fn signal<'a>(measurement: &'a Measurement, id: &str) -> &'a Signal {
    measurement.signals.iter().find(|signal| signal.id == id).unwrap_or_else(|| panic!("{id} was not told"))
}

fn visits(browser: &PlayedBrowser) -> Vec<(String, &'static str)> {
    browser.visits.lock().expect("not poisoned").clone()
}

#[tokio::test(start_paused = true)]
async fn one_page_of_each_kind_is_loaded_after_the_home_page_and_the_slowest_three_times() {
    let (site, browser) = (site(), browser());
    let found = measured(&site, &browser, 180, json!({})).await;
    assert_eq!(found.status, MeasurementStatus::Ok);
    assert_eq!(found.warnings, []);
    let all = visits(&browser);
    assert!(all[..6].iter().all(|(path, _)| path == "/"), "{all:?}");
    let expected = [
        ("/shop/shoe", "desktop"),
        ("/blog/first", "desktop"),
        ("/shop/shoe", "mobile"),
        ("/blog/first", "mobile"),
        ("/shop/shoe", "mobile"),
        ("/shop/shoe", "mobile"),
    ];
    assert_eq!(all[6..], expected.map(|(path, profile)| (path.to_owned(), profile)));
    let slowest = signal(&found, "vitals.template_lcp_ms");
    assert_eq!((&slowest.value, slowest.n), (&json!(5_500.0), Some(2)));
    assert!((0.7..0.9).contains(&slowest.quality), "three loads that differ by 18 %: {}", slowest.quality);
    let seen = &slowest.evidence.as_ref().expect("told").items;
    assert_eq!(seen[0].url, "http://127.0.0.1/shop/shoe");
    assert_eq!(
        seen[0].detail,
        "one of /shop/…: largest paint after 5000 ms, 6000 ms, 5500 ms as a phone; 300 ms as a desktop computer"
    );
    assert_eq!(seen[1].url, "http://127.0.0.1/blog/first");
    // The page under /about is the home page under another address: it stands for nothing.
    assert_eq!(signal(&found, "vitals.templates").value, json!(2));
    let scripted = signal(&found, "tech.js_dependent_ratio");
    assert_eq!((&scripted.value, scripted.n, scripted.quality), (&json!(0.3333), Some(3), 0.95));
    assert_eq!(scripted.evidence.as_ref().expect("told").items[0].url, "http://127.0.0.1/shop/shoe");
    assert_eq!(signal(&found, "vitals.lab_lcp_ms").value, json!(2_000.0));
}

#[tokio::test(start_paused = true)]
async fn the_plan_says_how_many_pages_and_none_leaves_their_signals_out() {
    let (site, browser) = (site(), browser());
    let found = measured(&site, &browser, 180, json!({"templates": 0})).await;
    assert_eq!(visits(&browser).len(), 6);
    assert_eq!(site.count("http://127.0.0.1/shop/shoe"), 0);
    assert!(found.signals.iter().all(|signal| !signal.id.starts_with("vitals.template")));
    let scripted = signal(&found, "tech.js_dependent_ratio");
    assert_eq!((scripted.n, scripted.quality), (Some(1), 0.48), "one of four kinds");
}

#[tokio::test(start_paused = true)]
async fn where_the_time_ends_the_home_page_is_whole_and_what_is_missing_is_said() {
    let (site, browser) = (site(), browser());
    let found = measured(&site, &browser, 66, json!({})).await;
    assert_eq!(found.status, MeasurementStatus::Ok);
    assert_eq!(signal(&found, "vitals.lab_runs").value, json!(3));
    let missing = signal(&found, "vitals.template_lcp_ms");
    assert!(missing.value.is_null() && missing.reason.is_some());
    assert_eq!(found.warnings.len(), 1);
    assert_eq!(found.warnings[0].code, "fewer_templates");
    assert!(found.warnings[0].detail.contains("0 of 2 pages"), "{}", found.warnings[0].detail);
    assert_eq!(signal(&found, "tech.js_dependent_ratio").n, Some(3), "the quick loads did fit");
}

#[tokio::test(start_paused = true)]
async fn a_page_that_the_browser_cannot_load_is_left_out_and_said() {
    let (site, mut browser) = (site(), browser());
    browser.broken.insert("/shop/shoe", BrowserError::Page("net::ERR_FAILED".to_owned()));
    let found = measured(&site, &browser, 180, json!({})).await;
    assert_eq!(signal(&found, "vitals.template_lcp_ms").value, json!(3_000.0));
    assert_eq!(visits(&browser).iter().filter(|(path, _)| path == "/shop/shoe").count(), 1);
    let told = &found.warnings[0];
    assert_eq!(told.code, "fewer_templates");
    assert!(told.detail.starts_with("the page does not load (net::ERR_FAILED)"), "{}", told.detail);
}

#[tokio::test(start_paused = true)]
async fn robots_txt_is_kept_and_a_home_page_without_other_kinds_has_nothing_to_tell() {
    let closed = "User-agent: *\nDisallow: /shop/\nDisallow: /blog/\nDisallow: /about";
    let (site, browser) = (site().text("http://127.0.0.1/robots.txt", closed), browser());
    let found = measured(&site, &browser, 180, json!({})).await;
    assert_eq!(visits(&browser).len(), 6);
    let slowest = signal(&found, "vitals.template_lcp_ms");
    assert_eq!((slowest.value.is_null(), slowest.n), (true, Some(0)));
    assert_eq!(signal(&found, "tech.js_dependent_ratio").quality, 0.95);
}
