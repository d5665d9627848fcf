mod browser;

use std::sync::atomic::{AtomicUsize, Ordering};

use hermes_adapters::entropy::SystemEntropy;
use hermes_adapters::memory::MemoryPoliteness;
use hermes_core::ports::http::{Method, Reach};
use hermes_core::ports::politeness::PolitenessUnavailable;
use hermes_core::wire::ErrorClass;
use tokio::time::Instant;

use super::*;
use crate::builtin::sites::TechnicalSeo;
use crate::service::ServiceOutcome;
use crate::site::fake::FakeSite;
use crate::tests::{execute, job_for};

fn polite(inner: Arc<dyn Http>, policy: Policy) -> PoliteHttp {
    PoliteHttp::new(inner, Arc::new(MemoryPoliteness::default()), Arc::new(SystemEntropy), policy, &BTreeMap::new())
}

fn get(url: &str) -> Request {
    Request {
        method: Method::Get,
        url: url.parse().expect("valid"),
        headers: Vec::new(),
        body: None,
        reach: Reach::Any,
        timeout: Duration::from_secs(10),
        body_bytes_max: 1_000,
    }
}

#[tokio::test(start_paused = true)]
async fn requests_to_a_stranger_keep_their_distance_and_those_to_this_machine_need_none() {
    let site = FakeSite::new().page("https://example.com/", "").page("http://127.0.0.1:8080/", "");
    let http = polite(Arc::new(site), Policy::default());
    for (url, tenths) in [("https://example.com/", 20), ("http://127.0.0.1:8080/", 0)] {
        let start = Instant::now();
        let sent = (0..21).map(|_| http.send(get(url)));
        for answer in futures::future::join_all(sent).await {
            assert_eq!(answer.expect("answered").status, 200);
        }
        assert_eq!(start.elapsed().as_millis() / 100, tenths, "{url}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_asks_for_a_moment_gets_it_and_one_that_asks_for_long_costs_no_time() {
    for (seconds, waits) in [("3", true), ("120", false)] {
        let busy = FakeSite::new()
            .answer("https://example.com/", 429, &[("retry-after", seconds)], "")
            .page("https://example.com/a", "");
        let site = Arc::new(busy);
        let http = polite(site.clone(), Policy::default());
        assert_eq!(http.send(get("https://example.com/")).await.expect("answered").status, 429);
        let start = Instant::now();
        let next = http.send(get("https://example.com/a")).await;
        if waits {
            assert_eq!(next.expect("answered").status, 200);
            assert_eq!(start.elapsed().as_secs(), 3);
        } else {
            let error = next.expect_err("held back");
            assert_eq!(
                error.to_string(),
                "requests to example.com are held back: it asked to be left alone; again in 120 s"
            );
            assert_eq!((start.elapsed().as_millis(), site.count("https://example.com/a")), (0, 0));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_is_down_is_not_called_again_and_again() {
    let down = HttpError::Connect { host: "example.com".into(), detail: "connection refused".into() };
    let site = Arc::new(FakeSite::new().fail("https://example.com/", down.clone()));
    let http = polite(site.clone(), Policy::default());
    for _ in 0..10 {
        assert_eq!(http.send(get("https://example.com/")).await.expect_err("down"), down);
    }
    let error = http.send(get("https://example.com/")).await.expect_err("held back");
    assert!(matches!(error, HttpError::HeldBack { reason: Reason::Open, retry_after_ms: 30_000, .. }), "{error:?}");
    assert_eq!(site.count("https://example.com/"), 10);
}

#[tokio::test(start_paused = true)]
async fn a_diagnosis_of_a_host_that_is_left_alone_fails_at_once_and_says_when_to_come_again() {
    let site = Arc::new(FakeSite::new().answer("https://example.com/x", 429, &[("retry-after", "90")], ""));
    let http = polite(site.clone(), Policy::default());
    http.send(get("https://example.com/x")).await.expect("answered");
    let outcome = execute(&TechnicalSeo { reach: Reach::Public }, &job_for("crawl_render"), &http).await;
    let ServiceOutcome::Failed { error, retryable: true, retry_after_ms: Some(90_000) } = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(error.class, ErrorClass::RateLimited);
    assert!(error.message.contains("example.com are held back: it asked to be left alone"), "{}", error.message);
    assert_eq!(site.requests().len(), 1, "nothing more was sent");
}

/// Never answers, and counts.
#[derive(Default)]
struct Silent(AtomicUsize);

#[async_trait]
impl Http for Silent {
    async fn send(&self, _: Request) -> Result<Response, HttpError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_dropped_gives_its_permit_back() {
    let silent = Arc::new(Silent::default());
    let policy = Policy::default();
    let one = Limits { at_a_time: 1, interval_us: 0, ..policy.sites };
    let http = polite(silent.clone(), Policy { sites: one, ..policy });
    for number in 1..=3 {
        let start = Instant::now();
        let send = http.send(get("https://example.com/"));
        tokio::time::timeout(Duration::from_secs(1), send).await.expect_err("it never answers");
        assert_eq!((silent.0.load(Ordering::Relaxed), start.elapsed().as_secs()), (number, 1));
    }
}

/// Limits that cannot be asked about.
struct Away;

#[async_trait]
impl Politeness for Away {
    async fn ask(&self, _: &Ask<'_>) -> Result<Admission, PolitenessUnavailable> {
        Err(PolitenessUnavailable("away".to_owned()))
    }

    async fn tell(&self, _: &Target, _: &Limits, _: Permit, _: Went) -> Result<(), PolitenessUnavailable> {
        Err(PolitenessUnavailable("away".to_owned()))
    }
}

#[tokio::test]
async fn requests_go_on_when_nobody_keeps_the_limits() {
    let site = FakeSite::new().page("https://example.com/", "");
    let http =
        PoliteHttp::new(Arc::new(site), Arc::new(Away), Arc::new(SystemEntropy), Policy::default(), &BTreeMap::new());
    assert_eq!(http.send(get("https://example.com/")).await.expect("answered").status, 200);
}

#[test]
fn an_answer_says_what_it_says_about_its_target() {
    let answer = |status, headers: &[(&str, &str)]| {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Ok(Response {
            status,
            version: "HTTP/1.1".to_owned(),
            headers,
            body: Vec::new(),
            truncated: false,
            content_encoding: None,
            ttfb_ms: 1,
            total_ms: 1,
        })
    };
    let host = || "h".to_owned();
    let timeout = || Err(HttpError::Timeout { host: host(), timeout_ms: 1 });
    for (outcome, is_patient, expected) in [
        (answer(200, &[]), true, Went::Answered),
        (answer(500, &[]), true, Went::Answered),
        (answer(404, &[("retry-after", "5")]), true, Went::Answered),
        (answer(429, &[]), true, Went::Asked { retry_after_ms: None }),
        (answer(429, &[("retry-after", "5")]), true, Went::Asked { retry_after_ms: Some(5_000) }),
        (answer(503, &[("retry-after", "5")]), true, Went::Asked { retry_after_ms: Some(5_000) }),
        (answer(503, &[]), true, Went::Failed),
        (answer(502, &[]), true, Went::Failed),
        (timeout(), true, Went::Failed),
        (timeout(), false, Went::Unknown),
        (Err(HttpError::Dns { host: host(), detail: "no".into() }), true, Went::Unknown),
    ] {
        assert_eq!(went(&outcome, is_patient), expected, "{outcome:?}");
    }
}

/// Keeps what requests call themselves.
#[derive(Default)]
struct Names(std::sync::Mutex<Vec<String>>);

#[async_trait]
impl Http for Names {
    async fn send(&self, request: Request) -> Result<Response, HttpError> {
        let named = request.headers.into_iter().find(|(name, _)| name == "user-agent");
        self.0.lock().expect("not poisoned").push(named.map_or_else(String::new, |(_, value)| value));
        Ok(crate::site::fake::response(200, &[("content-type", "text/html")], "<title>x</title>"))
    }
}

#[tokio::test(start_paused = true)]
async fn every_request_of_a_crawl_says_where_its_operator_is_reached() {
    let names = Arc::new(Names::default());
    let http = polite(names.clone(), Policy::default()).signed(Some("https://operator.test/robot"));
    let outcome = execute(&TechnicalSeo { reach: Reach::Public }, &job_for("crawl_render"), &http).await;
    assert!(matches!(outcome, ServiceOutcome::Completed(_)), "{outcome:?}");
    let signed = format!("{}; +https://operator.test/robot)", USER_AGENT.trim_end_matches(')'));
    let seen = names.0.lock().expect("not poisoned").clone();
    assert!(seen.len() > 1 && seen.iter().all(|name| *name == signed), "{seen:?}");
}
