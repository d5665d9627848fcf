use super::*;

const FIXTURE: &str = include_str!("../fixtures/searxng.json");
const BASE: (&str, &str) = ("SEARXNG_URL", "http://127.0.0.1:8888/searx/");

#[tokio::test]
async fn merged_results_are_ranked_in_their_order_and_silent_engines_are_gaps() {
    let server = Server::new(|_| Ok(json(200, FIXTURE)));
    let page = searched(&[BASE], "camping tents", &server).await.expect("answered");
    assert_eq!(ranks(&page), [(1, 1, "https://rival.test/tents"), (2, 2, "https://www.peak.test/tents")]);
    assert_eq!(page.gaps, ["duckduckgo: CAPTCHA", "qwant: timeout"]);
    assert_eq!((page.features, page.estimate), (None, None));
    let requests = server.requests();
    assert_eq!(requests.len(), 1, "the site was found on the first page");
    assert_eq!(requests[0].url.path(), "/searx/search");
    for (name, value) in [("q", "camping tents"), ("format", "json"), ("language", "de-DE"), ("pageno", "1")] {
        assert_eq!(parameter(&requests[0], name).as_deref(), Some(value));
    }
    assert_eq!(parameter(&requests[0], "engines"), None);
}

#[tokio::test]
async fn one_engine_gives_its_own_positions() {
    let server = Server::new(|_| Ok(json(200, FIXTURE)));
    let page = searched(&[BASE, ("SEARXNG_ENGINE", "google")], "camping tents", &server).await.expect("answered");
    assert_eq!(ranks(&page), [(1, 1, "https://rival.test/tents"), (2, 3, "https://www.peak.test/tents")]);
    assert_eq!(parameter(&server.requests()[0], "engines").as_deref(), Some("google"));
    let trust = |pairs: &[(&str, &str)]| choose(&environment(pairs), None).expect("configured").traits().quality;
    assert!(trust(&[BASE, ("SEARXNG_ENGINE", "google")]) > trust(&[BASE]));
}

#[tokio::test]
async fn a_second_page_is_asked_for_until_the_site_is_found() {
    let server = Server::new(|request: &Request| {
        let url = match parameter(request, "pageno").as_deref() {
            Some("1") => "https://rival.test/",
            _ => "https://peak.test/",
        };
        Ok(json(200, format!(r#"{{"results":[{{"url":"{url}","title":"t"}}],"unresponsive_engines":[]}}"#)))
    });
    let page = searched(&[BASE], "tents", &server).await.expect("answered");
    assert_eq!(ranks(&page), [(1, 1, "https://rival.test/"), (2, 2, "https://peak.test/")]);
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn json_that_is_not_enabled_is_told_with_the_setting() {
    let error = searched_with(&[BASE], response(403, &[("content-type", "text/html")], "<h1>Forbidden")).await;
    let error = error.expect_err("forbidden");
    assert!(matches!(error, SearchError::Setting(_)) && error.to_string().contains("`search.formats`"), "{error}");
    assert_eq!(error.class(), hermes_core::wire::ErrorClass::NotConfigured);
}

#[tokio::test]
async fn engines_that_are_locked_out_are_another_thing_than_slow_ones_and_than_no_result() {
    let silent =
        |reason: &str| json(200, format!(r#"{{"results":[],"unresponsive_engines":[["google","{reason}"]]}}"#));
    let locked = searched_with(&[BASE], silent("Suspended: CAPTCHA")).await.expect_err("locked out");
    assert_eq!(locked, SearchError::LockedOut("google: Suspended: CAPTCHA".to_owned()));
    assert!(!locked.retryable());
    let slow = searched_with(&[BASE], silent("timeout")).await.expect_err("slow");
    assert!(matches!(&slow, SearchError::Failed(_)) && slow.retryable());
    let nothing = searched_with(&[BASE], json(200, r#"{"results":[],"unresponsive_engines":[]}"#)).await;
    assert_eq!(nothing, Ok(SearchPage::default()));
}

#[tokio::test]
async fn what_is_no_answer_is_told_apart() {
    let html = response(200, &[("content-type", "text/html")], "<html>");
    assert_eq!(
        searched_with(&[BASE], html).await,
        Err(SearchError::Malformed("a web page instead of JSON".to_owned()))
    );
    assert_eq!(
        searched_with(&[BASE], json(200, "{}")).await,
        Err(SearchError::Malformed("`results` is missing".to_owned()))
    );
    let busy = response(429, &[("retry-after", "7")], "");
    let busy = searched_with(&[BASE], busy).await.expect_err("busy");
    assert_eq!((busy.retry_after(), busy.ends_the_search()), (Some(Duration::from_secs(7)), true));
    let gone = HttpError::Timeout { host: "127.0.0.1".into(), timeout_ms: 20_000 };
    let server = Server::new(move |_| Err(gone.clone()));
    let error = searched(&[BASE], "x", &server).await.expect_err("no answer");
    assert_eq!((error.class(), error.retryable()), (hermes_core::wire::ErrorClass::Timeout, true));
}
