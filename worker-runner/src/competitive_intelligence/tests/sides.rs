//! What needs measurements of both sides: loading times by one browser, ranks by one source.

use hermes_core::ports::http::HttpError;
use hermes_diagnosis::signal::Method;

use super::*;
use crate::competitive_intelligence::standing::{self, Standing};

const OPR: &str = "https://openpagerank.com/api/v1.0/getPageRank?";

#[tokio::test(start_paused = true)]
async fn pages_of_both_sides_are_loaded_once_each_by_the_same_browser_and_ours_first() {
    let browser = PlayedBrowser::painting(&PAINTS);
    let found = compared_with(Some(&browser), 120, &world(), json!({}), &three_queries()).await.expect("competitors");
    let gap = signal(&found, "comp.lcp_gap_ms");
    // One load each: 0.62; two competitors: 0.6.
    assert_eq!((gap.method, gap.quality, gap.n), (Method::Lab, 0.6, Some(2)));
    let pages = ["https://peak.test/tents", "https://rival.test/tents", "https://other.test/boots"];
    assert_eq!(browser.visited(), pages);
    let visits = browser.visits.lock().expect("not poisoned");
    assert!(visits.iter().all(|visit| visit.profile.is_mobile && visit.reach == Reach::Public));
    let evidence = gap.evidence.as_ref().expect("told");
    assert_eq!(evidence.items[0].detail, "1900 ms until main > img was painted");
    assert_eq!(evidence.items[2].detail, "3000 ms until main > img was painted, on the site's own page");
}

#[tokio::test(start_paused = true)]
async fn without_a_browser_or_time_for_it_loading_times_stay_unknown_and_the_rest_is_told() {
    let browser = PlayedBrowser::painting(&PAINTS);
    for (browser, seconds, why) in [
        (None, 120, "this process was started without a browser"),
        (Some(&browser as &dyn Browser), 12, "there was no time to load it"),
    ] {
        let found = compared_with(browser, seconds, &world(), json!({}), &three_queries()).await.expect("competitors");
        let gap = signal(&found, "comp.lcp_gap_ms");
        assert!(gap.value.is_null() && gap.reason.as_ref().is_some_and(|reason| reason.contains(why)), "{gap:?}");
        assert_eq!((found.status, warnings(&found)), (MeasurementStatus::Partial, vec!["speed_not_compared"]));
        assert_eq!(signal(&found, "comp.word_gap_ratio").value, json!(4.0));
    }
    assert!(browser.visited().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_page_that_does_not_load_leaves_the_other_side_smaller_or_nothing() {
    let half = PlayedBrowser::painting(&[PAINTS[0], PAINTS[2]]);
    let found = compared_with(Some(&half), 120, &world(), json!({}), &three_queries()).await.expect("competitors");
    let gap = signal(&found, "comp.lcp_gap_ms");
    assert_eq!((&gap.value, gap.quality, gap.n), (&json!(900), 0.4, Some(1)));
    assert_eq!((found.status, warnings(&found)), (MeasurementStatus::Partial, vec!["competitors_not_loaded"]));
    let others = PlayedBrowser::painting(&[PAINTS[1], PAINTS[2]]);
    let found = compared_with(Some(&others), 120, &world(), json!({}), &three_queries()).await.expect("competitors");
    assert!(signal(&found, "comp.lcp_gap_ms").value.is_null());
    assert_eq!(others.visited(), ["https://peak.test/tents"], "the others would be of no use");
}

/// Asks about `example.com` and two competitors.
async fn standing(environment: &[(&str, &str)], web: &FakeSite, domain: &str) -> Standing {
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let sources = Sources::new(&environment, None, None, Reach::Public).expect("configured well");
    let rivals = ["https://www.rival.co.uk/", "https://other.net/", "http://127.0.0.1/"].map(|home| Rival {
        domain: home.to_owned(),
        seeds: vec![Url::parse(home).expect("valid")],
        page: None,
    });
    let deadline = Instant::now() + Duration::from_secs(60);
    standing::compare(web, Ok(&sources), &domain.parse().expect("valid"), &rivals, deadline).await
}

/// Source of the shape: https://www.domcop.com/openpagerank/documentation, sample response.
fn page_ranks(decimals: &[(&str, f64)]) -> String {
    let entry = |(domain, decimal): &(&str, f64)| {
        json!({"status_code": if *decimal > 0.0 { 200 } else { 404 }, "error": "", "page_rank_integer": 1,
            "page_rank_decimal": decimal, "rank": "1", "domain": domain})
    };
    json!({"status_code": 200, "response": decimals.iter().map(entry).collect::<Vec<_>>()}).to_string()
}

/// Source of the shape: https://tranco-list.eu/api_documentation, "Ranks of a domain".
fn tranco(web: FakeSite, ranks: &[(&str, u64)]) -> FakeSite {
    ranks.iter().fold(web, |web, (domain, rank)| {
        let ranks = json!({"ranks": [{"date": "2026-11-21", "rank": rank}], "domain": domain}).to_string();
        web.answer(&format!("https://tranco-list.eu/api/ranks/domain/{domain}"), 200, &[], ranks)
    })
}

#[tokio::test(start_paused = true)]
async fn each_free_source_that_knows_both_sides_compares_by_itself_and_the_median_gap_is_told() {
    let all = format!("{OPR}domains%5B%5D=example.com&domains%5B%5D=rival.co.uk&domains%5B%5D=other.net");
    let key = [("OPEN_PAGERANK_API_KEY", "key")];
    let known = page_ranks(&[("rival.co.uk", 5.5), ("Example.com", 3.2), ("other.net", 7.0)]);
    let ranked = [("example.com", 1_000), ("rival.co.uk", 100), ("other.net", 10)];
    let web = tranco(FakeSite::new().answer(&all, 200, &[], known), &ranked);
    let Standing::Known(found) = standing(&key, &web, "www.example.com").await else { panic!("known") };
    let by: Vec<(f64, &str, usize)> = found.by.iter().map(|one| (one.gap, one.own.source, one.others.len())).collect();
    assert_eq!(by, [(23.0, "Open PageRank", 2), (16.7, "Tranco", 2)]);
    assert_eq!(found.gap, 19.9);
    assert!((found.quality - 0.9 * (1.0 - 6.3 / 100.0)).abs() < 1e-9, "{}", found.quality);
    assert_eq!(web.requests().len(), 4, "one request for all, and one for each");

    let unknown = page_ranks(&[("example.com", 0.0), ("rival.co.uk", 5.5), ("other.net", 7.0)]);
    let web = tranco(FakeSite::new().answer(&all, 200, &[], unknown), &ranked);
    let start = Instant::now();
    let Standing::Known(found) = standing(&key, &web, "www.example.com").await else { panic!("known") };
    assert_eq!((found.gap, found.quality, found.by.len(), found.by[0].own.source), (16.7, 0.7, 1, "Tranco"));
    assert!(start.elapsed() >= Duration::from_secs(2), "one request a second");
}

#[tokio::test(start_paused = true)]
async fn a_gap_that_no_source_knows_stays_unknown_and_says_whether_one_failed() {
    let unlisted = FakeSite::new().answer(
        "https://tranco-list.eu/api/ranks/domain/example.com",
        200,
        &[],
        json!({"ranks": [], "domain": "example.com"}).to_string(),
    );
    let Standing::Unknown { why, has_failed: false } = standing(&[], &unlisted, "example.com").await else {
        panic!("unknown")
    };
    assert!(why.contains("Tranco: the site is not among the first million"), "{why}");
    assert_eq!(unlisted.requests().len(), 1, "without the site the others are of no use");
    let timeout = HttpError::Timeout { host: "tranco-list.eu".to_owned(), timeout_ms: 1 };
    let silent = FakeSite::new().fail("https://tranco-list.eu/api/ranks/domain/example.com", timeout);
    let silent = standing(&[], &silent, "example.com").await;
    assert!(matches!(&silent, Standing::Unknown { has_failed: true, .. }), "{silent:?}");
    let mut report = Report::default();
    assert!(!standing::report(&silent, &mut report));
    let found = report.finish("test", MeasurementStatus::Ok, None);
    assert_eq!((warnings(&found), found.signals[0].n), (vec!["authority_not_compared"], None));
}

#[tokio::test(start_paused = true)]
async fn an_address_is_ranked_by_nobody_which_is_no_lack() {
    let web = FakeSite::new();
    let nameless = standing(&[], &web, "http://127.0.0.1:8080").await;
    let mut report = Report::default();
    assert!(standing::report(&nameless, &mut report));
    let found = report.finish("test", MeasurementStatus::Ok, None);
    assert_eq!((&found.signals[0].value, found.signals[0].n), (&Value::Null, Some(0)));
    assert!(web.requests().is_empty());
}
