//! Pages that a browser loads, under the same limits as everything else.

use std::collections::VecDeque;
use std::sync::Mutex;

use hermes_core::ports::browser::{BrowserError, PageLoad, Profile, Visit};

use super::*;

/// Loads what a test has put in, in turn, and keeps for whose robot.
#[derive(Debug, Default)]
struct Scripted {
    answers: Mutex<VecDeque<Result<PageLoad, BrowserError>>>,
    robots: Mutex<Vec<String>>,
}

#[async_trait]
impl Browser for Scripted {
    async fn load(&self, visit: Visit) -> Result<PageLoad, BrowserError> {
        self.robots.lock().expect("not poisoned").push(visit.robot.clone());
        let next = self.answers.lock().expect("not poisoned").pop_front().expect("nobody loads more often");
        next.map(|load| PageLoad { url: if load.url.is_empty() { visit.url.to_string() } else { load.url }, ..load })
    }
}

fn scripted(answers: Vec<Result<PageLoad, BrowserError>>) -> Arc<Scripted> {
    Arc::new(Scripted { answers: Mutex::new(answers.into()), ..Scripted::default() })
}

fn visit(url: &str) -> Visit {
    Visit {
        least: Duration::ZERO,
        url: url.parse().expect("valid"),
        profile: Profile::MOBILE,
        reach: Reach::Public,
        robot: String::new(),
        timeout: Duration::from_secs(60),
    }
}

fn status(status: u16, retry_after: Option<&str>) -> Result<PageLoad, BrowserError> {
    Ok(PageLoad { status: Some(status), retry_after: retry_after.map(str::to_owned), ..PageLoad::default() })
}

#[tokio::test(start_paused = true)]
async fn a_browser_leaves_alone_who_asked_the_robot_and_the_robot_who_asked_the_browser() {
    let busy = FakeSite::new()
        .answer("https://example.com/", 429, &[("retry-after", "120")], "")
        .page("https://example.org/", "");
    let http = polite(Arc::new(busy), Policy::default());
    let browser = http.browser(scripted(vec![status(503, Some("90"))]));
    http.send(get("https://example.com/")).await.expect("answered");
    let error = browser.load(visit("https://example.com/")).await.expect_err("held back");
    assert_eq!(error.to_string(), "loads from example.com are held back: it asked to be left alone; again in 120 s");

    browser.load(visit("https://example.org/")).await.expect("it answers");
    let error = http.send(get("https://example.org/")).await.expect_err("held back");
    assert!(matches!(error, HttpError::HeldBack { retry_after_ms: 90_000, .. }), "{error:?}");
}

#[tokio::test]
async fn the_browser_says_where_the_operator_of_the_robot_is_reached() {
    let http = polite(Arc::new(FakeSite::new()), Policy::default()).signed(Some("robots@operator.test"));
    let inner = scripted(vec![status(200, None)]);
    let visit = Visit { robot: "(compatible; HermesBot/1)".to_owned(), ..visit("https://example.com/") };
    http.browser(inner.clone()).load(visit).await.expect("it answers");
    assert_eq!(*inner.robots.lock().expect("not poisoned"), ["(compatible; HermesBot/1; robots@operator.test)"]);
}

#[tokio::test(start_paused = true)]
async fn a_short_wait_is_waited_for_within_the_time_of_the_visit() {
    let browser = polite(Arc::new(FakeSite::new()), Policy::default())
        .browser(scripted(vec![status(429, Some("3")), status(200, None)]));
    browser.load(visit("https://example.com/")).await.expect("it answers");
    let start = Instant::now();
    assert_eq!(browser.load(visit("https://example.com/")).await.expect("it answers").status, Some(200));
    assert_eq!(start.elapsed().as_secs(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_refuses_connections_is_taken_for_down_and_one_that_leads_elsewhere_is_not() {
    let refused = || Err(BrowserError::Page("net::ERR_CONNECTION_REFUSED".to_owned()));
    let elsewhere =
        || Ok(PageLoad { status: Some(502), url: "https://example.net/".to_owned(), ..PageLoad::default() });
    let http = polite(Arc::new(FakeSite::new()), Policy::default());
    let down = http.browser(scripted((0..10).map(|_| refused()).collect()));
    let leading = http.browser(scripted((0..11).map(|_| elsewhere()).collect()));
    for _ in 0..10 {
        down.load(visit("https://example.com/")).await.expect_err("down");
        leading.load(visit("https://example.org/")).await.expect("another host fails");
    }
    let error = down.load(visit("https://example.com/")).await.expect_err("held back");
    assert!(matches!(error, BrowserError::HeldBack { reason: Reason::Open, .. }), "{error:?}");
    leading.load(visit("https://example.org/")).await.expect("it is not to blame");
}

/// Shape: <https://developer.chrome.com/docs/crux/api>, errors of Google's APIs.
#[tokio::test(start_paused = true)]
async fn a_quota_of_the_chrome_ux_report_that_is_used_up_holds_the_next_question_back() {
    const API: &str = "https://chromeuxreport.googleapis.com/v1/records:queryRecord";
    let used_up = r#"{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}"#;
    let web = FakeSite::new().page("https://example.com/", "<title>t</title>").answer(
        API,
        429,
        &[("retry-after", "60")],
        used_up,
    );
    let web = Arc::new(web);
    let http = polite(web.clone(), Policy::default());
    let environment = BTreeMap::from([("CRUX_API_KEY".to_owned(), "key".to_owned())]);
    let crux = crate::vitals_monitor::field::Crux::configured(&environment).expect("well");
    let service = crate::builtin::sites::VitalsMonitor { reach: Reach::Public, browser: None, crux };
    for _ in 0..2 {
        let ServiceOutcome::Completed(result) = execute(&service, &job_for("core_web_vitals"), &http).await else {
            panic!("it completes without")
        };
        assert!(result.get().contains("field_failed"), "{}", result.get());
    }
    assert_eq!(web.count(API), 1, "the second was not sent");
}
