//! From loads to signals, with a browser that is played.

use std::collections::VecDeque;
use std::sync::Mutex;

use async_trait::async_trait;
use hermes_core::ports::browser::{LargestPaint, Listed, LoadEnd, LongTask, Shift, Transfer};
use hermes_diagnosis::signal::{Measurement, MeasurementStatus, Signal};
use serde_json::json;

use super::*;
use crate::site::report::Report;

/// Gives what a test has put in, in turn, and takes the time that it says for each.
#[derive(Debug)]
struct PlayedBrowser {
    answers: Mutex<VecDeque<Result<PageLoad, BrowserError>>>,
    took: Duration,
    visits: Mutex<Vec<Visit>>,
}

#[async_trait]
impl Browser for PlayedBrowser {
    async fn load(&self, visit: Visit) -> Result<PageLoad, BrowserError> {
        self.visits.lock().expect("not poisoned").push(visit);
        tokio::time::advance(self.took).await;
        let answer = self.answers.lock().expect("not poisoned").pop_front();
        answer.unwrap_or(Err(BrowserError::Broken("nothing more".to_owned())))
    }
}

/// A load whose largest paint comes at `lcp_ms`.
fn load(lcp_ms: f64) -> PageLoad {
    PageLoad {
        status: Some(200),
        ttfb_ms: Some(100.0),
        fcp_ms: Some(lcp_ms / 2.0),
        lcp: Some(LargestPaint {
            at_ms: lcp_ms,
            element: "main > img".to_owned(),
            url: Some("https://a.test/hero.png".to_owned()),
            resource_ms: Some((200.0, lcp_ms - 100.0)),
        }),
        shifts: vec![Shift { at_ms: 50.0, value: 0.12, elements: vec!["div#banner".to_owned()] }],
        long_tasks: vec![LongTask { at_ms: lcp_ms, duration_ms: 450.0 }],
        requests: 12,
        transfer_bytes: 5_000,
        script_bytes: 2_000,
        largest: vec![Transfer { url: "https://a.test/hero.png".to_owned(), bytes: 3_000 }],
        console_errors: Listed { total: 1, first: vec!["oops".to_owned()] },
        machine_seconds: [0.01, 0.01],
        ..PageLoad::default()
    }
}

/// Runs with 100 s; each visit takes `seconds`.
async fn played(answers: Vec<Result<PageLoad, BrowserError>>, seconds: u64) -> (Lab, PlayedBrowser) {
    let took = Duration::from_secs(seconds);
    let browser = PlayedBrowser { answers: Mutex::new(answers.into()), took, visits: Mutex::default() };
    let url = Url::parse("https://a.test/").expect("valid");
    let mut loader = Loader::new(&browser, Reach::Public);
    let lab = run(&mut loader, &url, Instant::now() + Duration::from_secs(100)).await;
    (lab, browser)
}

fn told(lab: &Lab) -> Measurement {
    let mut report = Report::default();
    signals::report(&mut report, &Url::parse("https://a.test/").expect("valid"), lab);
    report.finish("test", MeasurementStatus::Ok, None)
}

fn signal<'a>(measurement: &'a Measurement, id: &str) -> &'a Signal {
    measurement.signals.iter().find(|signal| signal.id == id).unwrap_or_else(|| panic!("{id} was not measured"))
}

fn codes(measurement: &Measurement) -> Vec<&str> {
    measurement.warnings.iter().map(|warning| warning.code.as_str()).collect()
}

fn six(lcp_ms: [f64; 6]) -> Vec<Result<PageLoad, BrowserError>> {
    lcp_ms.into_iter().map(|lcp| Ok(load(lcp))).collect()
}

#[tokio::test(start_paused = true)]
async fn the_figures_are_medians_of_three_loads_of_each_profile_with_their_evidence() {
    let (lab, browser) = played(six([3_000.0, 900.0, 3_200.0, 1_000.0, 3_100.0, 950.0]), 5).await;
    let profiles: Vec<&str> =
        browser.visits.lock().expect("not poisoned").iter().map(|visit| visit.profile.name).collect();
    assert_eq!(profiles, ["mobile", "desktop", "mobile", "desktop", "mobile", "desktop"]);
    assert!(lab.is_complete());
    let found = told(&lab);
    assert_eq!(codes(&found), Vec::<&str>::new());
    for (id, expected) in [
        ("vitals.lab_available", json!(true)),
        ("vitals.lab_runs", json!(3)),
        ("vitals.lab_lcp_ms", json!(3_100.0)),
        ("vitals.lab_fcp_ms", json!(1_550.0)),
        ("vitals.lab_tbt_ms", json!(400.0)),
        ("vitals.lab_cls", json!(0.12)),
        ("vitals.lab_ttfb_ms", json!(100.0)),
        ("vitals.lab_spread", json!(0.0645)),
        ("vitals.lcp_dominant_part", json!("load_time")),
        ("vitals.desktop_lcp_ms", json!(950.0)),
        ("vitals.transfer_bytes", json!(5_000)),
        ("vitals.js_bytes", json!(2_000)),
        ("vitals.lab_requests", json!(12)),
        ("vitals.console_errors", json!(1)),
    ] {
        assert_eq!(signal(&found, id).value, expected, "{id}");
    }
    let lcp = signal(&found, "vitals.lab_lcp_ms");
    let item = &lcp.evidence.as_ref().expect("evidence").items[0];
    assert_eq!(item.url, "https://a.test/hero.png");
    assert!(item.detail.starts_with("main > img: 100 ms to the first byte"), "{}", item.detail);
    assert!(lcp.quality == 0.9 && signal(&found, "vitals.lab_tbt_ms").quality <= 0.6);
    let moved = &signal(&found, "vitals.lab_cls").evidence.as_ref().expect("evidence").items[0];
    assert!(moved.detail.contains("div#banner"), "{}", moved.detail);
}

#[tokio::test(start_paused = true)]
async fn loads_that_differ_and_a_noisy_machine_are_trusted_less() {
    let quality = |lab: &Lab| signal(&told(lab), "vitals.lab_lcp_ms").quality;
    let (calm, _) = played(six([3_000.0; 6]), 5).await;
    let (spread, _) = played(six([3_000.0, 1.0, 4_000.0, 1.0, 2_500.0, 1.0]), 5).await;
    let on_a_busy_machine = |lcp_ms: [f64; 6]| {
        let mut loads = six(lcp_ms);
        for load in loads.iter_mut().take(1).flatten() {
            load.machine_seconds = [0.01, 0.014];
        }
        loads
    };
    let (noisy, _) = played(on_a_busy_machine([3_000.0, 1.0, 4_000.0, 1.0, 2_500.0, 1.0]), 5).await;
    assert!(quality(&spread) < quality(&calm) && quality(&noisy) < quality(&spread));
    assert!(codes(&told(&noisy)).contains(&"noisy_machine"));
    assert_eq!(signal(&told(&noisy), "vitals.js_bytes").quality, 0.9, "bytes are the same on a slow machine");
    let (steady, _) = played(on_a_busy_machine([3_000.0; 6]), 5).await;
    assert_eq!(quality(&steady), quality(&calm), "what does not change does not depend on the machine");
    let (once, _) = played(on_a_busy_machine([3_000.0; 6]).into_iter().take(1).collect(), 5).await;
    assert_eq!(quality(&once), 0.42, "one load cannot show that");
}

#[tokio::test(start_paused = true)]
async fn where_the_time_does_not_reach_there_are_fewer_loads_and_it_is_said() {
    let (lab, browser) = played(six([3_000.0; 6]), 30).await;
    assert_eq!((lab.mobile.len(), lab.desktop.len()), (2, 1));
    let found = told(&lab);
    assert_eq!(codes(&found), ["fewer_loads"]);
    assert_eq!(found.warnings[0].detail, "the time allowed 2 of 3 loads as a phone and 1 as a desktop computer");
    assert_eq!(signal(&found, "vitals.lab_runs").value, 2);
    assert!(signal(&found, "vitals.lab_lcp_ms").quality < 0.85);
    let visits = browser.visits.lock().expect("not poisoned");
    assert!(visits.iter().all(|visit| visit.timeout <= Duration::from_millis(VISIT_MS)));
}

#[tokio::test(start_paused = true)]
async fn a_browser_that_fails_is_tried_twice_and_one_that_cannot_do_it_once() {
    for (error, visits) in [
        (BrowserError::Broken("it crashed".to_owned()), 2),
        (BrowserError::Page("net::ERR_FAILED".to_owned()), 2),
        (BrowserError::Stuck("its scripts do not let go".to_owned()), 2),
        (BrowserError::Hostile("it never stays".to_owned()), 1),
        (BrowserError::Missing("none".to_owned()), 1),
        (BrowserError::Busy, 1),
    ] {
        let (lab, browser) = played(vec![Err(error.clone()); 6], 1).await;
        assert_eq!(browser.visits.lock().expect("not poisoned").len(), visits, "{error}");
        let found = told(&lab);
        assert_eq!(signal(&found, "vitals.lab_available").value, false);
        assert_eq!(codes(&found), ["browser_failed"]);
        assert!(found.warnings[0].detail.starts_with(&error.to_string()));
        assert_eq!(found.signals.len(), 1, "unknown is not zero");
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_page_that_only_the_browser_gets_is_not_measured() {
    let turned_away = PageLoad { status: Some(403), ..load(100.0) };
    let (lab, _) = played(vec![Ok(turned_away); 6], 1).await;
    assert!(lab.mobile.is_empty() && lab.desktop.is_empty());
    assert_eq!(codes(&told(&lab)), ["browser_turned_away"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_cut_off_or_refused_is_said_and_an_empty_page_has_no_paints() {
    let mut loads = six([3_000.0; 6]);
    for load in loads.iter_mut().flatten() {
        load.end = LoadEnd::Stalled;
        load.refused = vec!["10.0.0.1 (10.0.0.1 is not a public address)".to_owned()];
        load.lcp = None;
        load.fcp_ms = None;
    }
    let (lab, _) = played(loads, 1).await;
    let found = told(&lab);
    assert_eq!(codes(&found), ["load_cut_off", "refused_targets"]);
    let lcp = signal(&found, "vitals.lab_lcp_ms");
    assert!(lcp.value.is_null() && lcp.reason.as_deref() == Some("nothing was painted"));
    assert!(found.signals.iter().all(|signal| signal.id != "vitals.lab_score"));
}

#[tokio::test(start_paused = true)]
async fn loads_on_a_busy_machine_are_made_again_and_the_calmest_count() {
    let busy = |lcp_ms| PageLoad { machine_seconds: [0.01, 0.02], ..load(lcp_ms) };
    let mut answers = six([9_000.0, 900.0, 3_000.0, 900.0, 3_100.0, 900.0]);
    answers[0] = Ok(busy(9_000.0));
    answers.extend([Ok(busy(8_000.0)), Ok(load(3_200.0))]);
    let (mut lab, browser) = played(answers, 5).await;
    assert_eq!(signal(&told(&lab), "vitals.lab_lcp_ms").value, json!(3_100.0), "of 9,000, 3,000 and 3,100");
    let url = Url::parse("https://a.test/").expect("valid");
    let mut loader = Loader::new(&browser, Reach::Public);
    repeat(&mut loader, &url, &mut lab, Instant::now() + Duration::from_secs(100)).await;
    // The first one more was no better, the second one was; the desktop's were calm.
    assert_eq!((lab.mobile.len(), lab.desktop.len(), lab.shortfall.clone()), (5, 3, None));
    let found = told(&lab);
    let lcp = signal(&found, "vitals.lab_lcp_ms");
    assert_eq!((&lcp.value, lcp.n, lcp.quality), (&json!(3_100.0), Some(3), 0.9));
    assert_eq!(signal(&found, "vitals.lab_runs").value, 3);
    assert_eq!(codes(&found), Vec::<&str>::new());
}

#[tokio::test(start_paused = true)]
async fn loads_for_which_there_was_no_time_are_made_up_for_when_there_is() {
    let (mut lab, browser) = played([six([3_000.0; 6]), six([3_000.0; 6])].concat(), 30).await;
    assert_eq!(codes(&told(&lab)), ["fewer_loads"]);
    let url = Url::parse("https://a.test/").expect("valid");
    let mut loader = Loader::new(&browser, Reach::Public);
    complete(&mut loader, &url, &mut lab, Instant::now() + Duration::from_secs(100)).await;
    assert!(lab.is_complete());
    assert_eq!(codes(&told(&lab)), Vec::<&str>::new());
}

#[tokio::test(start_paused = true)]
async fn milliseconds_that_mean_nothing_beside_a_good_value_cost_no_trust() {
    let mut loads = six([3_000.0; 6]);
    for (load, ttfb) in loads.iter_mut().flatten().zip([8.0, 8.0, 25.0, 8.0, 14.0, 8.0]) {
        load.ttfb_ms = Some(ttfb);
    }
    let (lab, _) = played(loads, 1).await;
    assert_eq!(signal(&told(&lab), "vitals.lab_ttfb_ms").quality, 0.9);
}

#[tokio::test(start_paused = true)]
async fn a_load_that_was_cut_off_does_not_count_where_there_are_enough_others() {
    let mut loads = six([3_000.0; 6]);
    loads[0] = Ok(PageLoad { end: LoadEnd::TimeLimit, ..load(100.0) });
    let (mut lab, _) = played(loads, 5).await;
    assert_eq!(signal(&told(&lab), "vitals.lab_lcp_ms").quality, 0.32, "cut off, and far apart");
    lab.add(Profile::MOBILE, load(3_000.0));
    let lcp = signal(&told(&lab), "vitals.lab_lcp_ms").clone();
    assert_eq!((lcp.value, lcp.quality), (json!(3_000.0), 0.9));
}
