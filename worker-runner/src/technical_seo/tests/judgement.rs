//! What is judged page by page: who may index it, what it repeats, whether it is there at all, and who answered.

use super::*;

const HTML: (&str, &str) = ("content-type", "text/html");

#[tokio::test]
async fn each_searcher_is_judged_by_what_is_said_to_it() {
    let site = FakeSite::new()
        .text("http://127.0.0.1/robots.txt", "User-agent: *\nDisallow:\n\nUser-agent: bingbot\nDisallow: /b")
        .page("http://127.0.0.1/", &good("Home", "<a href=/b>b</a><a href=/g>g</a><a href=/n>n</a>"))
        .page("http://127.0.0.1/b", &good("b", ""))
        .answer("http://127.0.0.1/g", 200, &[HTML, ("x-robots-tag", "googlebot: noindex")], good("g", ""))
        .answer("http://127.0.0.1/n", 200, &[HTML, ("x-robots-tag", "none")], good("n", ""));
    let found = measured(&site, "http://127.0.0.1", json!({})).await;
    assert_eq!(value(&found, "tech.indexable_any_ratio"), json!(0.75));
    assert_eq!(value(&found, "tech.indexable_googlebot_ratio"), json!(0.5));
    assert_eq!(value(&found, "tech.indexable_bingbot_ratio"), json!(0.5));
    assert_eq!(evidence(&found, "tech.robots_differences"), ["http://127.0.0.1/b", "http://127.0.0.1/g"]);
}

#[tokio::test]
async fn a_page_that_changes_a_few_words_of_another_is_a_near_duplicate() {
    let (text, other) = (good("Same", ""), good("Other", ""));
    let site = FakeSite::new()
        .page("http://127.0.0.1/", &format!("{text}<a href=/a>a</a><a href=/b>b</a><a href=/c>c</a>"))
        .page("http://127.0.0.1/a", &text.replace("Same100 ", "changed "))
        .page("http://127.0.0.1/b", &other)
        .page("http://127.0.0.1/c", &other);
    let found = measured(&site, "http://127.0.0.1", json!({})).await;
    assert_eq!(value(&found, "tech.duplicate_content_ratio"), json!(0.5));
    let items = &signal(&found, "tech.duplicate_content_ratio").evidence.as_ref().expect("found").items;
    assert!(items[0].url.ends_with("/a") && items[0].detail.starts_with("nearly the same text as http://127.0.0.1/ ("));
    assert_eq!(items[1].detail, "same text as http://127.0.0.1/b");
}

#[tokio::test]
async fn pages_that_say_they_are_not_there_are_soft_404s() {
    let missing = "http://127.0.0.1/hermes-asks-for-a-page-that-cannot-exist-7f3a9c";
    let words = "Sorry, we looked everywhere and there is nothing of that kind in our shop any more";
    let site = FakeSite::new()
        .page("http://127.0.0.1/", &good("Home", "<a href=/old>1</a><a href=/gone>2</a><a href=/http>3</a>"))
        .page(missing, words)
        .page("http://127.0.0.1/old", words)
        .page("http://127.0.0.1/gone", "<title>Page not found</title>Nothing here")
        .page("http://127.0.0.1/http", &good("What 404 means", ""));
    let found = measured(&site, "http://127.0.0.1", json!({})).await;
    assert_eq!(value(&found, "tech.soft_404"), json!(true));
    assert_eq!(evidence(&found, "tech.soft_404_pages"), ["http://127.0.0.1/old", "http://127.0.0.1/gone"]);
}

#[tokio::test]
async fn a_bot_wall_in_the_middle_of_a_crawl_is_no_page_and_no_broken_link() {
    let wall = "<title>Just a moment...</title><p>Checking your browser";
    let site = FakeSite::new()
        .page("http://127.0.0.1/", &good("Home", "<a href=/a>a</a><a href=/b>b</a>"))
        .answer("http://127.0.0.1/a", 403, &[HTML, ("cf-mitigated", "challenge")], wall)
        .answer("http://127.0.0.1/b", 200, &[HTML], wall);
    let found = measured(&site, "http://127.0.0.1", json!({})).await;
    assert!(warned(&found, "blocked_by_waf"));
    assert_eq!(value(&found, "tech.pages_crawled"), json!(1));
    assert_eq!(value(&found, "tech.broken_internal_links"), json!(0));
    assert_eq!(value(&found, "tech.status_4xx_ratio"), json!(0.0), "the wall says nothing about the page");
}

#[tokio::test]
async fn a_site_that_puts_sessions_into_its_links_is_read_once() {
    let links = |session: u32| {
        (0..3).map(|page| format!("<a href='/{page};jsessionid=S{session}{page}'>x</a>")).collect::<String>()
    };
    let mut site = FakeSite::new().page("http://127.0.0.1/", &links(9));
    for page in 0..3 {
        site = site.page(&format!("http://127.0.0.1/{page}"), &links(page));
    }
    let found = measured(&site, "http://127.0.0.1", json!({})).await;
    assert_eq!(value(&found, "tech.pages_crawled"), json!(4));
    assert!(warned(&found, "session_ids"));
    assert!(site.requests().iter().all(|(_, url)| !url.contains("jsessionid")));
}

#[tokio::test(start_paused = true)]
async fn a_site_that_says_it_is_overloaded_is_asked_more_slowly_from_then_on() {
    let mut site = FakeSite::new()
        .page("http://site.test/", &(0..8).map(|page| format!("<a href=/{page}>x</a>")).collect::<String>());
    site = site.answer("http://site.test/0", 503, &[("retry-after", "1")], "");
    for page in 1..8 {
        site = site.page(&format!("http://site.test/{page}"), "");
    }
    let found = measured(&site, "http://site.test", json!({})).await;
    assert_eq!(value(&found, "tech.pages_crawled"), json!(8));
    assert!(warned(&found, "slowed_down"));
}

#[tokio::test]
async fn the_home_page_has_its_ten_audits_also_where_it_is_an_error() {
    let audits = |found: &Measurement| {
        let all = found.signals.iter().filter(|signal| signal.id.starts_with("tech.audit_"));
        all.map(|signal| signal.value.as_str().expect("text").to_owned()).collect::<Vec<_>>()
    };
    let site = FakeSite::new().page("http://127.0.0.1/", "<title>t</title><a target=x>a</a><a rel=x>b</a>");
    let found = measured(&site, "http://127.0.0.1", json!({})).await;
    assert_eq!(audits(&found).len(), 10);
    assert_eq!(value(&found, "tech.audit_document_title"), json!("pass"));
    let anchors = signal(&found, "tech.audit_crawlable_anchors");
    assert_eq!((&anchors.value, anchors.evidence.as_ref().map(|found| found.total)), (&json!("fail"), Some(2)));

    let broken = FakeSite::new().answer("http://127.0.0.1/", 404, &[HTML], "<title>t</title>");
    let found = measured(&broken, "http://127.0.0.1", json!({})).await;
    assert_eq!(value(&found, "tech.audit_http_status_code"), json!("fail"));
    assert_eq!(audits(&found).iter().filter(|value| *value == "not_applicable").count(), 9);
}
