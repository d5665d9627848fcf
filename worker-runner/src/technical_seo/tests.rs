mod judgement;

use std::time::Duration;

use hermes_core::ports::http::{HttpError, Method, Reach};
use hermes_diagnosis::signal::{MeasurementStatus, Signal};
use serde_json::{Value, json};

use super::*;
use crate::site::fake::FakeSite;

const GOOD_HEAD: &str = "<html lang=en><meta name=viewport content='width=device-width'>\
    <meta name=description content='What this page is about'>";

fn good(title: &str, body: &str) -> String {
    let words: String = (0..250).map(|word| format!("{title}{word} ")).collect();
    format!("{GOOD_HEAD}<title>{title}</title><h1>{title}</h1>{body}{words}")
}

async fn measured(site: &FakeSite, domain: &str, params: Value) -> Measurement {
    let domain: Domain = domain.parse().expect("valid");
    let options = CrawlOptions::from_params(&params, Reach::Any).expect("valid");
    audit(site, &domain, &options, Instant::now() + Duration::from_secs(100)).await.expect("reachable")
}

fn signal<'a>(measurement: &'a Measurement, id: &str) -> &'a Signal {
    measurement.signals.iter().find(|signal| signal.id == id).unwrap_or_else(|| panic!("{id} was not measured"))
}

fn value(measurement: &Measurement, id: &str) -> Value {
    signal(measurement, id).value.clone()
}

fn number_seen(measurement: &Measurement, id: &str) -> Option<u64> {
    signal(measurement, id).n
}

fn has(measurement: &Measurement, id: &str) -> bool {
    measurement.signals.iter().any(|signal| signal.id == id)
}

fn evidence<'a>(measurement: &'a Measurement, id: &str) -> Vec<&'a str> {
    let found = signal(measurement, id).evidence.as_ref();
    found.map(|found| found.items.iter().map(|item| item.url.as_str()).collect()).unwrap_or_default()
}

fn warned(measurement: &Measurement, code: &str) -> bool {
    measurement.warnings.iter().any(|warning| warning.code == code)
}

#[tokio::test]
async fn a_small_clean_site_is_measured_whole() {
    let site = FakeSite::new()
        .text("http://127.0.0.1/robots.txt", "User-agent: *\nDisallow:\nSitemap: http://127.0.0.1/map.xml")
        .text(
            "http://127.0.0.1/map.xml",
            "<urlset><url><loc>http://127.0.0.1/</loc></url><url><loc>http://127.0.0.1/a</loc></url></urlset>",
        )
        .page("http://127.0.0.1/", &good("Home", "<a href=/a>Page a</a><a href=/f.pdf>File</a>"))
        .page("http://127.0.0.1/a", &good("Page a", "<a href=/>Home</a>"))
        .answer("http://127.0.0.1/f.pdf", 200, &[("content-type", "application/pdf")], "x");
    let found = measured(&site, "http://127.0.0.1", json!({})).await;
    assert_eq!((found.status, found.warnings.as_slice()), (MeasurementStatus::Ok, [].as_slice()));
    for (id, expected) in [
        ("tech.pages_crawled", json!(2)),
        ("tech.pages_known", json!(2)),
        ("tech.crawl_truncated", json!(false)),
        ("tech.home_status", json!(200)),
        ("tech.home_indexable", json!(true)),
        ("tech.robots_status", json!(200)),
        ("tech.robots_blocks_all", json!(false)),
        ("tech.robots_syntax_errors", json!(0)),
        ("tech.sitemap_found", json!(true)),
        ("tech.sitemap_urls", json!(2)),
        ("tech.sitemap_bad_url_ratio", json!(0.0)),
        ("tech.sitemap_coverage_ratio", json!(1.0)),
        ("tech.orphan_ratio", json!(0.0)),
        ("tech.indexable_ratio", json!(1.0)),
        ("tech.soft_404", json!(false)),
        ("tech.status_4xx_ratio", json!(0.0)),
        ("tech.broken_internal_links", json!(0)),
        ("tech.title_missing_ratio", json!(0.0)),
        ("tech.description_duplicate_ratio", json!(1.0)),
        ("tech.h1_missing_ratio", json!(0.0)),
        ("tech.thin_ratio", json!(0.0)),
        ("tech.languages", json!(["en"])),
        ("tech.ttfb_p75_ms", json!(20)),
    ] {
        assert_eq!(value(&found, id), expected, "{id}");
    }
    assert!(site.requests().contains(&(Method::Head, "http://127.0.0.1/f.pdf".to_owned())));
    assert_eq!(found.coverage.expect("crawled").pages_crawled, 2);
}

#[tokio::test]
async fn every_url_is_asked_for_once_whatever_its_spelling() {
    let links = "<a href='/a#x'>1</a><a href='http://127.0.0.1:80/a'>2</a><a href='/%61'>3</a><a href='/b/../a'>4</a>";
    let site = FakeSite::new().page("http://127.0.0.1/", links).page("http://127.0.0.1/a", "<a href=/>home</a>");
    measured(&site, "http://127.0.0.1", json!({})).await;
    assert_eq!(site.count("http://127.0.0.1/a"), 1);
    assert_eq!(site.count("http://127.0.0.1/"), 1);
}

#[tokio::test]
async fn broken_links_are_counted_by_target_and_by_link() {
    let site = FakeSite::new()
        .page("http://127.0.0.1/", "<a href=/gone>1</a><a href=/gone#x>2</a><a href=/a>3</a><a href=/moved>4</a>")
        .page("http://127.0.0.1/a", "<a href=/gone>1</a><a href=/closed>2</a><a href=/no.zip>3</a>")
        .redirect("http://127.0.0.1/moved", 301, "/gone")
        .answer("http://127.0.0.1/closed", 403, &[], "");
    let found = measured(&site, "http://127.0.0.1", json!({})).await;
    let targets = ["http://127.0.0.1/gone", "http://127.0.0.1/moved", "http://127.0.0.1/no.zip"];
    assert_eq!(evidence(&found, "tech.broken_internal_links"), targets);
    assert_eq!(value(&found, "tech.broken_internal_links"), json!(3));
    assert_eq!(value(&found, "tech.links_to_broken_targets"), json!(5));
    assert_eq!(signal(&found, "tech.broken_internal_links").n, Some(7));
    assert_eq!(value(&found, "tech.broken_link_page_ratio"), json!(1.0));
    let detail = &signal(&found, "tech.broken_internal_links").evidence.as_ref().expect("found").items[0].detail;
    assert_eq!(detail, "HTTP 404; 3 links on 2 pages, first on http://127.0.0.1/");
    // /gone and /closed beside two pages
    assert_eq!(value(&found, "tech.status_4xx_ratio"), json!(0.5));
}

#[tokio::test]
async fn redirects_chains_and_circles_are_told_apart() {
    let site = FakeSite::new()
        .page("http://127.0.0.1/", "<a href=/1>chain</a><a href=/x>circle</a><a href=/away>away</a><a href=/p>p</a>")
        .redirect("http://127.0.0.1/1", 301, "/2")
        .redirect("http://127.0.0.1/2", 302, "/3")
        .redirect("http://127.0.0.1/3", 302, "/p")
        .page("http://127.0.0.1/p", "<title>p</title>")
        .redirect("http://127.0.0.1/x", 302, "/y")
        .redirect("http://127.0.0.1/y", 302, "/x")
        .redirect("http://127.0.0.1/away", 302, "https://other.test/");
    let found = measured(&site, "http://127.0.0.1", json!({})).await;
    assert_eq!(value(&found, "tech.redirect_chain_max"), json!(3));
    assert_eq!(value(&found, "tech.redirect_loops"), json!(2));
    assert_eq!(value(&found, "tech.redirect_link_ratio"), json!(0.75));
    assert_eq!(evidence(&found, "tech.broken_internal_links"), ["http://127.0.0.1/x"]);
    assert!(site.requests().iter().all(|(_, url)| !url.contains("other.test")));
}

#[tokio::test]
async fn redirects_without_end_end_with_the_budget_of_requests() {
    let mut site = FakeSite::new().page("http://127.0.0.1/", "<a href=/0>on and on</a>");
    for hop in 0..200 {
        site = site.redirect(&format!("http://127.0.0.1/{hop}"), 302, &format!("/{}", hop + 1));
    }
    let found = measured(&site, "http://127.0.0.1", json!({"pages": 5})).await;
    assert!(site.requests().len() < 60, "{}", site.requests().len());
    assert_eq!(value(&found, "tech.crawl_truncated"), json!(true));
    let broken = signal(&found, "tech.broken_internal_links").evidence.as_ref().expect("found");
    assert!(broken.items[0].detail.starts_with("more than 20 redirects"));
}

#[tokio::test]
async fn pages_that_are_not_for_the_index_are_not_judged() {
    let site = FakeSite::new()
        .page("http://127.0.0.1/", &good("Home", "<a href=/n>1</a><a href=/c>2</a><a href=/r>3</a><a href=/f>4</a>"))
        .page("http://127.0.0.1/n", "<meta name=robots content=noindex>")
        .page("http://127.0.0.1/c", "<link rel=canonical href='http://127.0.0.1/'>")
        .page("http://127.0.0.1/r", "<meta http-equiv=refresh content='0;url=/'>")
        .page("http://127.0.0.1/f", "<link rel=canonical href='https://other.test/f'>");
    let found = measured(&site, "http://127.0.0.1", json!({})).await;
    assert_eq!(value(&found, "tech.pages_crawled"), json!(5));
    assert_eq!(value(&found, "tech.indexable_ratio"), json!(0.2));
    assert_eq!(signal(&found, "tech.title_missing_ratio").n, Some(2));
    assert_eq!(evidence(&found, "tech.title_missing_ratio"), ["http://127.0.0.1/f"]);
    assert_eq!(value(&found, "tech.noindex_linked_ratio"), json!(0.25));
    assert_eq!(value(&found, "tech.canonical_foreign_ratio"), json!(0.5));
}

#[tokio::test]
async fn canonicals_that_lead_wrong_are_told_with_their_reason() {
    let site = FakeSite::new()
        .page("http://127.0.0.1/", &good("Home", "<a href=/1>1</a><a href=/2>2</a><a href=/3>3</a><a href=/4>4</a>"))
        .page("http://127.0.0.1/1", "<link rel=canonical href='http://127.0.0.1/gone'><a href=/gone>x</a>")
        .page("http://127.0.0.1/2", "<link rel=canonical href='/2'>")
        .page("http://127.0.0.1/3", "<link rel=canonical href='http://127.0.0.1/'>other text")
        .page("http://127.0.0.1/4", "<link rel=canonical href='http://127.0.0.1/4'><a href=/5>5</a>")
        .page("http://127.0.0.1/5", "<link rel=canonical href='file:///home/5.html'>");
    let found = measured(&site, "http://127.0.0.1", json!({})).await;
    let wrong = signal(&found, "tech.canonical_error_ratio");
    assert_eq!((wrong.value.clone(), wrong.n), (json!(0.8), Some(5)));
    let details: Vec<&str> =
        wrong.evidence.as_ref().expect("found").items.iter().map(|item| item.detail.as_str()).collect();
    assert_eq!(
        details,
        [
            "canonical http://127.0.0.1/gone is broken: HTTP 404",
            "canonical is no absolute URL: /2",
            "canonical is the home page, which has another text",
            "canonical is no web address: file:///home/5.html",
        ]
    );
}

#[tokio::test]
async fn titles_and_texts_are_compared_over_the_site() {
    let long = "t".repeat(61);
    let site = FakeSite::new()
        .page("http://127.0.0.1/", &good("Same", "<a href=/a>a</a><a href=/b>b</a><a href=/c>c</a>"))
        .page("http://127.0.0.1/a", &good(&long, ""))
        .page("http://127.0.0.1/b", "<title> Same\n</title>short text")
        .page("http://127.0.0.1/c", "<title></title>short  text");
    let found = measured(&site, "http://127.0.0.1", json!({})).await;
    assert_eq!(evidence(&found, "tech.title_long_ratio"), ["http://127.0.0.1/a"]);
    assert_eq!(evidence(&found, "tech.title_duplicate_ratio"), ["http://127.0.0.1/", "http://127.0.0.1/b"]);
    assert_eq!(evidence(&found, "tech.title_missing_ratio"), ["http://127.0.0.1/c"]);
    assert_eq!(evidence(&found, "tech.duplicate_content_ratio"), ["http://127.0.0.1/c"]);
    assert_eq!(evidence(&found, "tech.thin_ratio"), ["http://127.0.0.1/b", "http://127.0.0.1/c"]);
}

#[tokio::test]
async fn hreflang_needs_valid_codes_and_return_links() {
    let alternate =
        |code: &str, path: &str| format!("<link rel=alternate hreflang={code} href='http://127.0.0.1{path}'>");
    let both = format!("{}{}", alternate("en", "/"), alternate("de", "/de"));
    let site = FakeSite::new()
        .page("http://127.0.0.1/", &format!("{both}<a href=/de>de</a><a href=/fr>fr</a><a href=/uk>uk</a>"))
        .page("http://127.0.0.1/de", &both)
        .page("http://127.0.0.1/fr", &format!("{}{}", alternate("fr", "/fr"), alternate("en", "/")))
        .page("http://127.0.0.1/uk", &alternate("en-UK", "/uk"));
    let found = measured(&site, "http://127.0.0.1", json!({})).await;
    assert_eq!(value(&found, "tech.hreflang_pages"), json!(4));
    assert_eq!(evidence(&found, "tech.hreflang_error_ratio"), ["http://127.0.0.1/fr", "http://127.0.0.1/uk"]);
}

#[tokio::test]
async fn a_page_budget_cuts_the_crawl_and_is_told() {
    let mut site = FakeSite::new();
    for page in 0..50 {
        let links = format!("<a href=/{}>a</a><a href=/{}>b</a>", page * 2 + 1, page * 2 + 2);
        let path = if page == 0 { String::new() } else { page.to_string() };
        site = site.page(&format!("http://127.0.0.1/{path}"), &links);
    }
    let found = measured(&site, "http://127.0.0.1", json!({"pages": 10})).await;
    assert_eq!(value(&found, "tech.pages_crawled"), json!(10));
    assert_eq!(value(&found, "tech.crawl_truncated"), json!(true));
    assert_eq!(value(&found, "tech.pages_known"), json!(21));
    assert_eq!(found.status, MeasurementStatus::Partial);
    assert!(warned(&found, "crawl_truncated"));
}

#[tokio::test(start_paused = true)]
async fn a_crawl_that_runs_out_of_time_reports_what_it_has_before_the_deadline() {
    let mut site = FakeSite::new();
    for page in 0..100 {
        let path = if page == 0 { String::new() } else { page.to_string() };
        site = site.page(&format!("http://site.test/{path}"), &format!("<a href=/{}>next</a>", page + 1));
    }
    let domain: Domain = "http://site.test".parse().expect("valid");
    let deadline = Instant::now() + Duration::from_secs(20);
    let found = audit(&site, &domain, &CrawlOptions::default(), deadline).await.expect("reachable");
    assert!(Instant::now() + REPORT_RESERVE <= deadline, "the reserve was kept");
    let crawled = value(&found, "tech.pages_crawled").as_u64().expect("number");
    assert!((25..40).contains(&crawled), "two requests per second for 18 s, not {crawled}");
    assert_eq!(value(&found, "tech.crawl_truncated"), json!(true));
}

#[tokio::test(start_paused = true)]
async fn the_crawl_delay_of_robots_txt_is_kept() {
    let site = FakeSite::new()
        .text("http://site.test/robots.txt", "User-agent: *\nCrawl-delay: 5")
        .page("http://site.test/", "<a href=/a>a</a><a href=/b>b</a>")
        .page("http://site.test/a", "")
        .page("http://site.test/b", "");
    let start = Instant::now();
    let found = measured(&site, "http://site.test", json!({})).await;
    assert_eq!(value(&found, "tech.pages_crawled"), json!(3));
    // sitemap, soft 404, other host and two pages: five requests, five seconds apart
    assert_eq!(start.elapsed().as_secs() / 5, 4);
}

#[tokio::test]
async fn what_robots_txt_forbids_is_not_asked_for() {
    let site = FakeSite::new()
        .text("http://127.0.0.1/robots.txt", "User-agent: *\nDisallow: /private\n\nUser-agent: Googlebot\nDisallow: /g")
        .page("http://127.0.0.1/", "<a href=/private/x>x</a><a href=/g>g</a>")
        .page("http://127.0.0.1/g", "<meta name=robots content=noindex>");
    let found = measured(&site, "http://127.0.0.1", json!({})).await;
    assert_eq!(site.count("http://127.0.0.1/private/x"), 0);
    assert_eq!(value(&found, "tech.indexable_ratio"), json!(0.5));
    let both = signal(&found, "tech.noindex_and_blocked");
    assert!(both.value.is_null() && both.reason.is_some(), "what was not read is not known");
}

#[tokio::test]
async fn a_site_that_is_blocked_whole_gives_the_signals_of_robots_txt() {
    let site = FakeSite::new().text("http://127.0.0.1/robots.txt", "User-agent: *\nDisallow: /");
    let found = measured(&site, "http://127.0.0.1", json!({})).await;
    assert_eq!(value(&found, "tech.robots_blocks_all"), json!(true));
    assert_eq!(value(&found, "tech.home_indexable"), json!(false));
    assert!(warned(&found, "blocked_by_robots") && !has(&found, "tech.title_missing_ratio"));
    assert_eq!(site.requests().len(), 1);
}

#[tokio::test]
async fn a_broken_robots_txt_means_that_nothing_is_read() {
    let site = FakeSite::new().answer("http://127.0.0.1/robots.txt", 503, &[], "");
    let found = measured(&site, "http://127.0.0.1", json!({})).await;
    assert_eq!(value(&found, "tech.robots_status"), json!(503));
    assert_eq!(value(&found, "tech.robots_blocks_all"), json!(false));
    assert_eq!(found.status, MeasurementStatus::Partial);
    let why = "robots.txt of 127.0.0.1 answers with an error, so that nothing may be read";
    let audits: Vec<_> = found.signals.iter().filter(|signal| signal.id.starts_with("tech.audit_")).collect();
    let untold = audits.iter().filter(|signal| signal.value.is_null() && signal.reason.as_deref() == Some(why));
    assert_eq!((audits.len(), untold.count()), (10, 9));
}

#[tokio::test(start_paused = true)]
async fn a_site_that_only_answers_with_errors_is_left_alone() {
    let links: String = (0..50).map(|page| format!("<a href=/{page}>x</a>")).collect();
    let mut site = FakeSite::new().page("http://127.0.0.1/", &links);
    for page in 0..50 {
        site = site.answer(&format!("http://127.0.0.1/{page}"), 500, &[], "");
    }
    let found = measured(&site, "http://127.0.0.1", json!({})).await;
    assert!(warned(&found, "server_errors"));
    assert!(site.requests().len() < 25, "it went on asking");
}

#[tokio::test(start_paused = true)]
async fn an_overloaded_server_is_given_a_pause_and_asked_once_more() {
    let site = FakeSite::new().page("http://127.0.0.1/", "<a href=/busy>busy</a>").answer(
        "http://127.0.0.1/busy",
        503,
        &[("retry-after", "3")],
        "",
    );
    let found = measured(&site, "http://127.0.0.1", json!({})).await;
    assert_eq!(site.count("http://127.0.0.1/busy"), 2);
    assert_eq!(value(&found, "tech.status_5xx_ratio"), json!(0.5));
    assert_eq!(value(&found, "tech.broken_internal_links"), json!(0), "busy is not broken");
}

#[tokio::test]
async fn a_page_that_breaks_off_once_is_asked_for_again_and_then_counts_as_broken() {
    let error = HttpError::Protocol { host: "127.0.0.1".into(), detail: "unexpected end".into() };
    let site = FakeSite::new().page("http://127.0.0.1/", "<a href=/x>x</a>").fail("http://127.0.0.1/x", error);
    let found = measured(&site, "http://127.0.0.1", json!({})).await;
    assert_eq!(site.count("http://127.0.0.1/x"), 2);
    assert_eq!(evidence(&found, "tech.broken_internal_links"), ["http://127.0.0.1/x"]);
}

#[tokio::test]
async fn foreign_sitemap_urls_are_ignored_with_a_warning_and_orphans_are_found() {
    let foreign = "<urlset><url><loc>https://www.other.test/</loc></url></urlset>";
    let site = FakeSite::new().page("http://127.0.0.1/", "x").text("http://127.0.0.1/sitemap.xml", foreign);
    let found = measured(&site, "http://127.0.0.1", json!({})).await;
    assert!(warned(&found, "sitemap_foreign"));
    for id in ["tech.sitemap_bad_url_ratio", "tech.orphan_ratio"] {
        assert_eq!((value(&found, id), number_seen(&found, id)), (json!(null), Some(0)), "{id}: there is none");
    }

    let own =
        "<urlset><url><loc>http://127.0.0.1/lonely</loc></url><url><loc>http://127.0.0.1/gone</loc></url></urlset>";
    let site = FakeSite::new()
        .page("http://127.0.0.1/", "x")
        .page("http://127.0.0.1/lonely", "y")
        .text("http://127.0.0.1/sitemap.xml", own);
    let found = measured(&site, "http://127.0.0.1", json!({})).await;
    assert_eq!(evidence(&found, "tech.orphan_ratio"), ["http://127.0.0.1/lonely"]);
    assert_eq!(evidence(&found, "tech.sitemap_bad_url_ratio"), ["http://127.0.0.1/gone"]);
    assert_eq!(value(&found, "tech.sitemap_coverage_ratio"), json!(0.5));
}

#[tokio::test]
async fn orphans_are_only_looked_for_in_a_whole_crawl() {
    let listed = "<urlset><url><loc>http://127.0.0.1/1</loc></url></urlset>";
    let mut site =
        FakeSite::new().page("http://127.0.0.1/", "<a href=/1>1</a>").text("http://127.0.0.1/sitemap.xml", listed);
    for page in 1..9 {
        site = site.page(&format!("http://127.0.0.1/{page}"), &format!("<a href=/{}>next</a>", page + 1));
    }
    let found = measured(&site, "http://127.0.0.1", json!({"pages": 4})).await;
    assert!(!has(&found, "tech.orphan_ratio"), "what was not read may hold the missing links");
}

#[tokio::test]
async fn what_a_site_has_none_of_is_told_apart_from_what_was_not_measured() {
    let site = FakeSite::new().page("http://127.0.0.1/", "<title>t</title>");
    let found = measured(&site, "http://127.0.0.1", json!({})).await;
    for id in ["tech.robots_syntax_errors", "tech.canonical_error_ratio", "tech.structured_data_error_ratio"] {
        assert_eq!((value(&found, id), number_seen(&found, id)), (json!(null), Some(0)), "{id}");
    }
}

#[tokio::test]
async fn depth_is_counted_in_clicks_and_redirects_are_no_clicks() {
    let site = FakeSite::new()
        .page("http://127.0.0.1/", "<a href=/1>x</a>")
        .redirect("http://127.0.0.1/1", 301, "/one")
        .page("http://127.0.0.1/one", "<a href=/2>x</a>")
        .page("http://127.0.0.1/2", "<a href=/3>x</a>")
        .page("http://127.0.0.1/3", "<a href=/4>x</a>")
        .page("http://127.0.0.1/4", "<a href=/5>x</a>")
        .page("http://127.0.0.1/5", "");
    let found = measured(&site, "http://127.0.0.1", json!({})).await;
    assert_eq!(evidence(&found, "tech.depth_gt4_ratio"), ["http://127.0.0.1/5"]);
}

#[tokio::test]
async fn soft_404_https_and_the_second_host_are_probed() {
    let missing = "https://a.test/hermes-asks-for-a-page-that-cannot-exist-7f3a9c";
    let site = FakeSite::new()
        .answer(
            "https://a.test/",
            200,
            &[("content-type", "text/html"), ("strict-transport-security", "max-age=9")],
            "x",
        )
        .page(missing, "not here, sorry")
        .redirect("http://a.test/", 301, "https://a.test/")
        .page("https://www.a.test/", "<title>the same</title>");
    let found = measured(&site, "a.test", json!({})).await;
    for (id, expected) in [
        ("tech.https", true),
        ("tech.hsts", true),
        ("tech.soft_404", true),
        ("tech.http_redirects_to_https", true),
        ("tech.duplicate_hosts", true),
    ] {
        assert_eq!(value(&found, id), json!(expected), "{id}");
    }
}

#[tokio::test]
async fn an_unreachable_site_is_an_error_that_says_whether_to_retry() {
    let error = HttpError::Connect { host: "a.test".into(), detail: "connection refused".into() };
    let site = FakeSite::new().fail("http://a.test/robots.txt", error);
    let domain: Domain = "http://a.test".parse().expect("valid");
    let deadline = Instant::now() + Duration::from_secs(10);
    let error = audit(&site, &domain, &CrawlOptions::default(), deadline).await.expect_err("nothing there");
    assert_eq!(error.to_string(), "site unreachable: connection to a.test failed (connection refused)");
    assert!(error.retryable());
}

#[tokio::test]
async fn the_same_site_gives_the_same_measurement_every_time() {
    let links: String = (0..30).map(|page| format!("<a href=/{page}>x</a><a href=/gone{page}>y</a>")).collect();
    let mut site = FakeSite::new().page("http://127.0.0.1/", &links);
    for page in 0..30 {
        site = site.page(&format!("http://127.0.0.1/{page}"), &format!("<title>{}</title>", page % 3));
    }
    let first = measured(&site, "http://127.0.0.1", json!({})).await;
    assert_eq!(measured(&site, "http://127.0.0.1", json!({})).await, first);
}
