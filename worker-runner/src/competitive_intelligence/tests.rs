//! The whole service over sites in memory, search results of a service before, and a browser that is played.

mod sides;

use std::sync::Mutex;

use async_trait::async_trait;
use hermes_core::ports::browser::{BrowserError, LargestPaint, PageLoad, Visit};
use hermes_core::ports::http::Reach;
use hermes_diagnosis::signal::Signal;
use serde_json::{Value, json};

use super::*;
use crate::site::fake::FakeSite;

/// Search results: each query with the pages that were shown, best first.
fn upstream(queries: &[(&str, &[&str])]) -> BTreeMap<ServiceName, Json> {
    let own = Site::new(Url::parse("https://peak.test/").expect("valid"));
    let mut domains: BTreeMap<String, (u32, f64)> = BTreeMap::new();
    let mut listed = Vec::new();
    for (query, urls) in queries {
        let mut results = Vec::new();
        let mut position = None;
        for (index, url) in urls.iter().enumerate() {
            let parsed = Url::parse(url).expect("valid");
            let domain = crate::serp_intelligence::owner::domain_of(&parsed);
            let seen = domains.entry(domain.clone()).or_default();
            *seen = (seen.0 + 1, seen.1 + 0.1 / f64::from(u32::try_from(index).expect("small") + 1));
            if own.owns(&parsed) {
                position = position.or(Some(index + 1));
            }
            results.push(json!({"rank": index + 1, "domain": domain, "url": url}));
        }
        listed.push(json!({"query": query, "origin": "plan", "position": position, "results": results}));
    }
    let mut seen: Vec<_> = domains.into_iter().collect();
    seen.sort_by(|one, other| other.1.1.total_cmp(&one.1.1));
    let seen: Vec<Value> = seen
        .into_iter()
        .map(|(domain, (queries, share))| json!({"is_own": domain == "peak.test", "domain": domain, "queries": queries, "share": share}))
        .collect();
    let result = json!({
        "schema": "signals/1", "status": "ok", "provider": {"name": "searxng", "version": "1"},
        "signals": [{"id": "serp.ranked_ratio", "value": 0.5, "method": "api", "quality": 0.6}],
        "search": {"locale": {"language": "en", "origin": "plan"}, "ctr_curve": "", "queries": listed, "domains": seen},
    });
    BTreeMap::from([("serp-intelligence".parse().expect("valid"), Json::of(&result))])
}

/// Two rivals and a portal before the site, for three queries.
fn three_queries() -> BTreeMap<ServiceName, Json> {
    upstream(&[
        (
            "tents",
            &[
                "https://rival.test/tents",
                "https://www.wikipedia.org/Tent",
                "https://other.test/t",
                "https://peak.test/tents",
            ],
        ),
        ("boots", &["https://other.test/boots", "https://rival.test/boots", "https://www.wikipedia.org/Boot"]),
        ("maps", &["https://www.wikipedia.org/Map", "https://once.test/", "https://peak.test/"]),
    ])
}

fn page(words: usize, types: &[&str], modified: &str) -> String {
    let data: Vec<Value> = types.iter().map(|name| json!({"@type": name, "dateModified": modified})).collect();
    let data = json!({"@context": "https://schema.org", "@graph": data, "dateModified": modified});
    format!(
        "<title>t</title><script type='application/ld+json'>{data}</script><nav>x y z</nav><p>{}",
        "word ".repeat(words)
    )
}

fn world() -> FakeSite {
    FakeSite::new()
        .page("https://peak.test/", &page(50, &["WebSite"], "2026-01-01"))
        .page("https://peak.test/tents", &page(100, &["Product"], "2026-01-01"))
        .page("https://rival.test/", &page(10, &["WebSite", "FAQPage"], "2026-03-02"))
        .page("https://rival.test/tents", &page(300, &["Product", "Review"], "2026-03-02"))
        .page("https://other.test/", &page(10, &["WebSite"], "2026-02-01"))
        .page("https://other.test/boots", &page(200, &["Product", "Review"], "2026-02-01"))
}

/// Tells for each page when its largest content is painted; a page that it does not know does not load. Each load takes
/// ten seconds.
#[derive(Debug, Default)]
struct PlayedBrowser {
    paints: BTreeMap<&'static str, f64>,
    visits: Mutex<Vec<Visit>>,
}

impl PlayedBrowser {
    fn painting(paints: &[(&'static str, f64)]) -> Self {
        Self { paints: paints.iter().copied().collect(), visits: Mutex::default() }
    }

    fn visited(&self) -> Vec<String> {
        self.visits.lock().expect("not poisoned").iter().map(|visit| visit.url.to_string()).collect()
    }
}

#[async_trait]
impl Browser for PlayedBrowser {
    async fn load(&self, visit: Visit) -> Result<PageLoad, BrowserError> {
        let found = self.paints.get(visit.url.as_str()).copied();
        self.visits.lock().expect("not poisoned").push(visit);
        tokio::time::advance(Duration::from_secs(10)).await;
        let at_ms = found.ok_or_else(|| BrowserError::Page("net::ERR_EMPTY_RESPONSE".to_owned()))?;
        let lcp = Some(LargestPaint { at_ms, element: "main > img".to_owned(), ..LargestPaint::default() });
        Ok(PageLoad { status: Some(200), lcp, machine_seconds: [0.01, 0.01], ..PageLoad::default() })
    }
}

/// The pages of [`world`], those that are compared first, and when they are painted.
const PAINTS: [(&str, f64); 6] = [
    ("https://peak.test/tents", 3_000.4),
    ("https://rival.test/tents", 1_900.0),
    ("https://other.test/boots", 2_100.0),
    ("https://peak.test/", 3_000.0),
    ("https://rival.test/", 2_000.0),
    ("https://other.test/", 2_000.0),
];

async fn compared(
    site: &FakeSite,
    params: Value,
    upstream: &BTreeMap<ServiceName, Json>,
) -> Result<Measurement, NoCompetitors> {
    compared_with(Some(&PlayedBrowser::painting(&PAINTS)), 120, site, params, upstream).await
}

async fn compared_with(
    browser: Option<&dyn Browser>,
    seconds: u64,
    http: &FakeSite,
    params: Value,
    upstream: &BTreeMap<ServiceName, Json>,
) -> Result<Measurement, NoCompetitors> {
    let options = CompareOptions::from_params(&params, Reach::Public).expect("valid");
    let domain: Domain = "peak.test".parse().expect("valid");
    let sources = Sources::new(&BTreeMap::new(), None, None, Reach::Public).expect("nothing is configured");
    let instruments = Instruments { http, browser, sources: Ok(&sources) };
    compare(instruments, &domain, &options, upstream, Instant::now() + Duration::from_secs(seconds)).await
}

fn signal<'a>(found: &'a Measurement, id: &str) -> &'a Signal {
    found.signals.iter().find(|signal| signal.id == id).unwrap_or_else(|| panic!("{id} was not measured"))
}

fn warnings(found: &Measurement) -> Vec<&str> {
    found.warnings.iter().map(|warning| warning.code.as_str()).collect()
}

#[tokio::test(start_paused = true)]
async fn those_who_rank_for_the_same_queries_are_compared_with() {
    let found = compared(&world(), json!({}), &three_queries()).await.expect("competitors");
    assert_eq!((found.status, warnings(&found)), (MeasurementStatus::Ok, vec![]));
    for (id, expected) in [
        // Two: Wikipedia is no competitor, and once.test was seen for one query only.
        ("comp.competitors", json!(2)),
        ("comp.share_of_voice", json!(0.0583)),
        ("comp.sov_gap", json!(0.0917)),
        // For boots both are there and the site is not.
        ("comp.content_gap_ratio", json!(0.3333)),
        // Of 300 and 200 words the lower one in the middle, against 50 and 100 of the site's own.
        ("comp.word_gap_ratio", json!(4.0)),
        // FAQPage is used by one of two, Review by both.
        ("comp.schema_gap", json!(2)),
        // The site since 1 January, the others since 1 February and 2 March.
        ("comp.freshness_gap_days", json!(31)),
        // 3,000 ms against the lower one of 1,900 and 2,100.
        ("comp.lcp_gap_ms", json!(1_100)),
    ] {
        assert_eq!(signal(&found, id).value, expected, "{id}");
    }
    let gap = signal(&found, "comp.content_gap_ratio").evidence.as_ref().expect("told");
    assert_eq!(gap.items[0].detail, "\"boots\": other.test, rival.test");
    assert_eq!(
        (signal(&found, "comp.share_of_voice").quality, signal(&found, "comp.word_gap_ratio").quality),
        (0.6, 0.6)
    );
}

#[tokio::test(start_paused = true)]
async fn given_competitors_are_compared_without_search_results_as_far_as_that_goes() {
    let found = compared(&world(), json!({"competitors": ["rival.test"]}), &BTreeMap::new()).await.expect("given");
    assert_eq!((found.status, warnings(&found)), (MeasurementStatus::Partial, vec!["no_search_results"]));
    assert_eq!(signal(&found, "comp.competitors").value, json!(1));
    for id in ["comp.share_of_voice", "comp.sov_gap", "comp.content_gap_ratio"] {
        assert!(signal(&found, id).value.is_null() && signal(&found, id).reason.is_some(), "{id}");
    }
    assert_eq!(signal(&found, "comp.word_gap_ratio").value, json!(0.2));
}

#[tokio::test(start_paused = true)]
async fn nobody_to_compare_with_is_a_failure_that_says_why() {
    let asked = compared(&world(), json!({}), &BTreeMap::new()).await.expect_err("nobody");
    assert_eq!((asked.class(), asked), (ErrorClass::NotConfigured, NoCompetitors::NobodyAsked));
    let portals = upstream(&[("a", &["https://www.wikipedia.org/A"]), ("b", &["https://www.wikipedia.org/B"])]);
    let seen = compared(&world(), json!({}), &portals).await.expect_err("nobody");
    assert_eq!((seen.class(), seen), (ErrorClass::Dependencies, NoCompetitors::NobodySeen));
    let own = upstream(&[("a", &["https://peak.test/"]), ("b", &["https://peak.test/"])]);
    assert_eq!(compared(&world(), json!({}), &own).await.expect_err("nobody"), NoCompetitors::OwnOnly);
    // What a worker of another kind sent is no search result.
    let foreign = BTreeMap::from([("serp-intelligence".parse().expect("valid"), Json::of(&json!({"ok": 1})))]);
    assert_eq!(compared(&world(), json!({}), &foreign).await.expect_err("nobody"), NoCompetitors::NobodyAsked);
}

#[tokio::test(start_paused = true)]
async fn the_stop_list_is_the_plan_s_to_change() {
    let ignored = compared(&world(), json!({"ignore": ["rival.test"]}), &three_queries()).await.expect("one is left");
    assert_eq!(signal(&ignored, "comp.competitors").value, json!(1));
    assert!(signal(&ignored, "comp.content_gap_ratio").value.is_null(), "it takes two");
    let all = compared(&world(), json!({"stop_list": []}), &three_queries()).await.expect("three");
    assert_eq!(signal(&all, "comp.competitors").value, json!(3));
    assert_eq!(warnings(&all), ["competitor_not_read"]);
}

#[tokio::test(start_paused = true)]
async fn a_competitor_is_asked_politely_and_only_for_what_it_allows() {
    let start = Instant::now();
    let site = world().text("https://rival.test/robots.txt", "User-agent: *\nDisallow: /tents");
    let found = compared(&site, json!({}), &three_queries()).await.expect("competitors");
    assert_eq!(site.count("https://rival.test/tents"), 0);
    assert_eq!((found.status, warnings(&found)), (MeasurementStatus::Partial, vec!["competitor_not_read"]));
    for host in ["rival.test", "other.test", "peak.test"] {
        let prefix = format!("https://{host}/");
        let requests = site.requests().iter().filter(|(_, url)| url.starts_with(&prefix)).count();
        assert!((2..=REQUESTS_MAX as usize).contains(&requests), "{host}: {requests}");
    }
    assert!(start.elapsed() >= Duration::from_secs(3), "one request a second: {:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_site_that_redirects_for_ever_gets_no_more_than_its_ten_requests() {
    let mut site = FakeSite::new().page("https://rival.test/", "<title>r</title>");
    for hop in 0..9 {
        site = site.redirect(&format!("https://peak.test/{hop}"), 302, &format!("/{}", hop + 1));
    }
    let site = site.redirect("https://peak.test/", 302, "/0").page("https://peak.test/9", "<title>t</title>");
    let found = compared(&site, json!({"competitors": ["rival.test"]}), &BTreeMap::new()).await.expect("given");
    let requests = site.requests().iter().filter(|(_, url)| url.starts_with("https://peak.test/")).count();
    assert_eq!(requests, REQUESTS_MAX as usize);
    assert!(warnings(&found).contains(&"site_not_read"));
    assert!(signal(&found, "comp.word_gap_ratio").value.is_null());
}
