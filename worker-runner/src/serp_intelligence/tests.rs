//! The whole service over a site and a SearXNG in memory.

use std::collections::HashMap;
use std::sync::Mutex;

use async_trait::async_trait;
use hermes_core::ports::http::{HttpError, Request, Response};
use hermes_diagnosis::signal::Signal;
use serde_json::{Value, json};

use super::*;
use crate::site::fake::FakeSite;

/// How all searches from the n-th on are answered.
struct Refusal {
    from: usize,
    status: u16,
    headers: Vec<(String, String)>,
}

/// A site, and a SearXNG that knows some results by query; every other query brings nothing.
struct World {
    site: FakeSite,
    results: HashMap<&'static str, Vec<(&'static str, &'static str)>>,
    refuses: Option<Refusal>,
    /// How many results there are for a query, by the engine's estimate.
    estimate: u64,
    asked: Mutex<Vec<String>>,
}

impl World {
    fn new() -> Self {
        let menu = "<a href=/shoes>Running shoes</a><a href=/tents>Camping tents</a>";
        let page = |title: &str| format!("<html lang=en-GB><title>{title} | Peak Sports</title><h1>{title}</h1>{menu}");
        let site = FakeSite::new()
            .page("https://peak.test/", &page("Outdoor equipment"))
            .page("https://peak.test/shoes", &page("Running shoes"))
            .page("https://peak.test/tents", &page("Camping tents"));
        let results = HashMap::from([
            ("Peak Sports", vec![("https://www.peak.test/", "Outdoor equipment | Peak Sports")]),
            ("running shoes", vec![("https://rival.test/", "Rival"), ("https://peak.test/shoes", "Shoes by Peak")]),
            (
                "camping tents",
                vec![
                    ("https://rival.test/tents", "Rival"),
                    ("https://other.test/", "Other"),
                    ("https://en.wikipedia.org/wiki/Tent", "Tent"),
                    ("https://peak.test/shoes", "Buy shoes now"),
                    ("https://peak.test/tents", "Camping tents | Peak Sports"),
                ],
            ),
        ]);
        Self { site, results, refuses: None, estimate: 0, asked: Mutex::default() }
    }

    fn refusing(mut self, from: usize, status: u16, headers: &[(&str, &str)]) -> Self {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.refuses = Some(Refusal { from, status, headers });
        self
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("not poisoned").clone()
    }

    fn answer(&self, request: &Request) -> Response {
        let parameter =
            |name: &str| request.url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        let query = parameter("q").unwrap_or_default();
        let number = {
            let mut asked = self.asked.lock().expect("not poisoned");
            asked.push(query.clone());
            asked.len()
        };
        let known = self.results.get(query.as_str()).filter(|_| parameter("pageno").as_deref() == Some("1"));
        let results: Vec<Value> =
            known.into_iter().flatten().map(|(url, title)| json!({"url": url, "title": title})).collect();
        let body =
            json!({"results": results, "number_of_results": self.estimate, "unresponsive_engines": []}).to_string();
        let (status, headers) = match &self.refuses {
            Some(refusal) if number >= refusal.from => (refusal.status, refusal.headers.clone()),
            _ => (200, Vec::new()),
        };
        Response {
            status,
            version: "HTTP/1.1".to_owned(),
            headers,
            body: body.into_bytes(),
            truncated: false,
            content_encoding: None,
            ttfb_ms: 1,
            total_ms: 1,
        }
    }
}

#[async_trait]
impl Http for World {
    async fn send(&self, request: Request) -> Result<Response, HttpError> {
        if request.url.host_str() == Some("searxng.test") {
            Ok(self.answer(&request))
        } else {
            self.site.send(request).await
        }
    }
}

async fn searched(world: &World, params: Value) -> Result<SearchResult, SearchFailure> {
    let domain: Domain = "peak.test".parse().expect("valid");
    let environment = BTreeMap::from([("SEARXNG_URL".to_owned(), "http://searxng.test".to_owned())]);
    let options = SearchOptions::from_params(&params, Reach::Public).expect("valid");
    search(world, &domain, &options, &environment, &BTreeMap::new(), Instant::now() + Duration::from_secs(60)).await
}

fn signal<'a>(result: &'a SearchResult, id: &str) -> &'a Signal {
    let found = result.measurement.signals.iter().find(|signal| signal.id == id);
    found.unwrap_or_else(|| panic!("{id} was not measured"))
}

fn warnings(result: &SearchResult) -> Vec<&str> {
    result.measurement.warnings.iter().map(|warning| warning.code.as_str()).collect()
}

const QUERIES: [&str; 3] = ["running shoes", "camping tents", "sleeping bags"];

#[tokio::test(start_paused = true)]
async fn given_queries_are_searched_and_give_all_that_can_be_known() {
    let world = World::new();
    let found = searched(&world, json!({"queries": QUERIES})).await.expect("answered");
    assert_eq!((found.measurement.status, warnings(&found)), (MeasurementStatus::Ok, vec![]));
    assert_eq!(found.measurement.provider.name, "searxng");
    for (id, expected) in [
        ("serp.queries", json!(3)),
        ("serp.ranked_ratio", json!(0.6667)),
        ("serp.top10_ratio", json!(0.6667)),
        ("serp.top3_ratio", json!(0.3333)),
        ("serp.striking_ratio", json!(0.3333)),
        // (0.157 + 0.157 * (0.025 / 0.157)^(2/8)) / 3
        ("serp.visibility", json!(0.0854)),
        ("serp.brand_position", json!(1)),
        ("serp.home_indexed", json!(true)),
        ("serp.cannibalised_ratio", json!(0.3333)),
        ("serp.wrong_page_ratio", json!(0.5)),
        ("serp.title_rewrite_ratio", json!(0.5)),
        ("serp.index_ratio", Value::Null),
        ("serp.ai_or_feature_ratio", Value::Null),
    ] {
        assert_eq!(signal(&found, id).value, expected, "{id}");
    }
    assert_eq!(found.measurement.signals.len(), 14);
    assert!(
        found.measurement.signals.iter().filter(|signal| signal.value.is_null()).all(|signal| signal.reason.is_some())
    );
    let wrong = signal(&found, "serp.wrong_page_ratio").evidence.as_ref().expect("seen");
    assert_eq!(wrong.items[0].url, "https://peak.test/shoes");
    // Three queries say less than five.
    assert_eq!(signal(&found, "serp.ranked_ratio").quality, 0.4);
    assert_eq!(signal(&found, "serp.brand_position").quality, 0.6);
    assert_eq!((found.search.locale.country.as_deref(), found.search.locale.language.as_str()), (Some("GB"), "en"));
}

#[tokio::test(start_paused = true)]
async fn without_queries_the_site_suggests_them_and_each_keeps_its_origin() {
    let world = World::new();
    let found = searched(&world, json!({"phrases": 3})).await.expect("answered");
    let queries: Vec<(&str, &str)> =
        found.search.queries.iter().map(|query| (query.query.as_str(), query.origin.as_str())).collect();
    assert!(
        queries.contains(&("running shoes", "site")) && queries.contains(&("camping tents", "site")),
        "{queries:?}"
    );
    let brand = found.search.brand.as_ref().expect("told by the titles");
    assert_eq!((brand.query.as_str(), brand.origin.as_str(), brand.position), ("Peak Sports", "titles", Some(1)));
    assert_eq!(world.asked().last().map(String::as_str), Some("site:peak.test"));
}

#[tokio::test(start_paused = true)]
async fn what_was_seen_is_kept_for_others() {
    let found = searched(&World::new(), json!({"queries": QUERIES})).await.expect("answered");
    let tents = &found.search.queries[1];
    assert_eq!((tents.position, tents.expected.as_deref()), (Some(4), Some("https://peak.test/tents")));
    let domains: Vec<&str> = tents.results.iter().map(|result| result.domain.as_str()).collect();
    assert_eq!(domains, ["rival.test", "other.test", "wikipedia.org", "peak.test", "peak.test"]);
    let seen: Vec<(&str, u32, bool)> =
        found.search.domains.iter().map(|seen| (seen.domain.as_str(), seen.queries, seen.is_own)).collect();
    assert_eq!(seen[..2], [("rival.test", 2, false), ("peak.test", 2, true)]);
    let total: f64 = found.search.domains.iter().map(|seen| seen.share).sum();
    assert!((total - 1.0).abs() < 1e-4, "{total}");
    let text = serde_json::to_string(&found).expect("JSON");
    assert_eq!(serde_json::from_str::<SearchResult>(&text).expect("reads back"), found);
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_not_found_has_a_later_position_than_all_that_were_shown() {
    let found = searched(&World::new(), json!({"queries": QUERIES, "brand": "camping tents", "phrases": 0})).await;
    assert_eq!(signal(&found.expect("answered"), "serp.brand_position").value, json!(4));
    let mut world = World::new();
    world.results.insert("Peak Sports", vec![("https://a.test/", "A"), ("https://b.test/", "B")]);
    let found = searched(&world, json!({"queries": QUERIES})).await.expect("answered");
    let position = signal(&found, "serp.brand_position");
    assert_eq!(position.value, json!(3));
    let evidence = position.evidence.as_ref().expect("told");
    assert!(evidence.items[0].detail.contains("not among the first 2 results"), "{evidence:?}");
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_stops_half_way_leaves_a_part() {
    let world = World::new().refusing(3, 429, &[("retry-after", "3600")]);
    let found = searched(&world, json!({"queries": QUERIES})).await.expect("a part");
    assert_eq!((found.measurement.status, warnings(&found)), (MeasurementStatus::Partial, vec!["queries_unanswered"]));
    assert_eq!(signal(&found, "serp.queries").value, json!(1));
    let errors: Vec<bool> = found.search.queries.iter().map(|query| query.error.is_some()).collect();
    assert_eq!(errors.iter().filter(|failed| **failed).count(), 2, "{errors:?}");
    // Two at a time: at most one was on its way when the other was refused.
    assert!(world.asked().len() <= 4, "{:?}", world.asked());
}

#[tokio::test(start_paused = true)]
async fn a_short_wait_is_waited_out() {
    struct Impatient(World, Mutex<bool>);
    #[async_trait]
    impl Http for Impatient {
        async fn send(&self, request: Request) -> Result<Response, HttpError> {
            let is_search = request.url.host_str() == Some("searxng.test");
            let mut response = self.0.send(request).await?;
            let mut refused = self.1.lock().expect("not poisoned");
            if is_search && !*refused {
                *refused = true;
                (response.status, response.headers) = (429, vec![("retry-after".to_owned(), "2".to_owned())]);
            }
            Ok(response)
        }
    }
    let http = Impatient(World::new(), Mutex::default());
    let domain: Domain = "peak.test".parse().expect("valid");
    let environment = BTreeMap::from([("SEARXNG_URL".to_owned(), "http://searxng.test".to_owned())]);
    let options = SearchOptions::from_params(&json!({"queries": QUERIES}), Reach::Public).expect("valid");
    let deadline = Instant::now() + Duration::from_secs(60);
    let found = search(&http, &domain, &options, &environment, &BTreeMap::new(), deadline).await.expect("answered");
    assert_eq!((found.measurement.status, warnings(&found)), (MeasurementStatus::Ok, vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_answers_nothing_fails_with_its_reason_and_its_wait() {
    let world = World::new().refusing(1, 429, &[("retry-after", "3600")]);
    let failure = searched(&world, json!({"queries": QUERIES})).await.expect_err("nothing");
    assert_eq!((failure.class(), failure.retryable()), (Some(ErrorClass::RateLimited), true));
    assert_eq!(failure.retry_after(), Some(Duration::from_secs(3_600)));
    let world = World::new().refusing(1, 403, &[]);
    let failure = searched(&world, json!({"queries": QUERIES})).await.expect_err("nothing");
    assert_eq!((failure.class(), failure.retryable()), (Some(ErrorClass::NotConfigured), false));
    assert!(failure.to_string().contains("search.formats"), "{failure}");
    let broken = World::new().refusing(1, 500, &[]);
    searched(&broken, json!({"queries": (0..20).map(|n| n.to_string()).collect::<Vec<_>>()}))
        .await
        .expect_err("nothing");
    assert!(broken.asked().len() <= 4, "three failures in a row are enough: {:?}", broken.asked());
}

#[tokio::test(start_paused = true)]
async fn a_site_that_cannot_be_read_is_searched_for_all_the_same_if_the_plan_says_what() {
    let mut world = World::new();
    world.site = FakeSite::new();
    let found = searched(&world, json!({"queries": QUERIES})).await.expect("answered");
    assert_eq!(
        (found.measurement.status, warnings(&found)),
        (MeasurementStatus::Partial, vec!["site_not_read", "locale_assumed"])
    );
    assert_eq!(signal(&found, "serp.ranked_ratio").value, json!(0.6667));
    assert!(signal(&found, "serp.title_rewrite_ratio").value.is_null());
    let failure = searched(&world, json!({})).await.expect_err("nothing to search for");
    assert!(matches!(failure, SearchFailure::Site(SiteError::Dns(_))), "{failure:?}");
}

#[tokio::test(start_paused = true)]
async fn an_estimate_of_the_index_is_compared_with_the_crawl_before_else_with_the_sitemaps() {
    let mut world = World::new();
    world.estimate = 30;
    world.results.insert("site:peak.test", vec![("https://peak.test/", "Peak")]);
    let without = searched(&world, json!({"queries": QUERIES})).await.expect("answered");
    let reason = signal(&without, "serp.index_ratio").reason.clone().expect("told");
    assert_eq!(reason, "neither a crawl before nor a sitemap says how many pages there are");

    let urls: String = (0..40).map(|page| format!("<url><loc>https://peak.test/{page}</loc></url>")).collect();
    world.site = std::mem::take(&mut world.site).answer(
        "https://peak.test/sitemap.xml",
        200,
        &[("content-type", "application/xml")],
        format!("<urlset>{urls}</urlset>"),
    );
    let listed = searched(&world, json!({"queries": QUERIES})).await.expect("answered");
    let ratio = signal(&listed, "serp.index_ratio");
    assert_eq!((&ratio.value, ratio.quality, ratio.n), (&json!(0.75), 0.3, Some(40)));

    // Of 100 pages that are known three in five may be in an index.
    let crawl = json!({"schema": "signals/1", "status": "ok", "provider": {"name": "crawler", "version": "1"},
        "coverage": {"pages_crawled": 50, "pages_known": 100},
        "signals": [{"id": "tech.indexable_ratio", "value": 0.6, "n": 50, "method": "crawl", "quality": 0.95}]});
    let upstream = BTreeMap::from([("technical-seo".parse().expect("valid"), Json::of(&crawl))]);
    let domain: Domain = "peak.test".parse().expect("valid");
    let environment = BTreeMap::from([("SEARXNG_URL".to_owned(), "http://searxng.test".to_owned())]);
    let options = SearchOptions::from_params(&json!({"queries": QUERIES}), Reach::Public).expect("valid");
    let deadline = Instant::now() + Duration::from_secs(60);
    let found = search(&world, &domain, &options, &environment, &upstream, deadline).await.expect("answered");
    let ratio = signal(&found, "serp.index_ratio");
    assert_eq!((&ratio.value, ratio.n), (&json!(0.5), Some(60)));
    let evidence = ratio.evidence.as_ref().expect("told");
    assert_eq!(evidence.items[0].detail, "about 30 pages in the index, 60 indexable by the crawl");
}
