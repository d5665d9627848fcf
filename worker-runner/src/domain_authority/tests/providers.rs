//! Each source alone: what it says when it is well, unknowing, overrun, misconfigured or broken.

use hermes_core::ports::http::HttpError;

use super::fixtures::*;
use super::*;
use crate::domain_authority::rdap::Registration;
use crate::domain_authority::score::Place;

const DOMAIN: &str = "example.co.uk";

fn asking(web: &FakeSite) -> Asking<'_> {
    Asking { http: web, stop_at: in_half_a_minute() }
}

async fn rdap(web: &FakeSite, domain: &str) -> Result<Option<Registration>, SourceError> {
    Rdap::new(&BTreeMap::new()).expect("usual").look_up(asking(web), domain).await
}

async fn tranco(web: &FakeSite) -> Result<tranco::TrancoRank, SourceError> {
    Tranco::new(&BTreeMap::new()).expect("usual").look_up(asking(web), DOMAIN).await
}

async fn page_rank(web: &FakeSite) -> Result<open_page_rank::PageRank, SourceError> {
    OpenPageRank::new(&all_keys()).expect("well").expect("a key").look_up(asking(web), DOMAIN).await
}

async fn backlinks(web: &FakeSite) -> Result<dataforseo::Backlinks, SourceError> {
    DataForSeo::new(&all_keys()).expect("well").expect("an account").look_up(asking(web), DOMAIN).await
}

#[tokio::test]
async fn the_registry_of_the_longest_entry_is_asked_over_https() {
    let web = web();
    let found = rdap(&web, DOMAIN).await.expect("answered").expect("registered");
    assert_eq!(found.server, "rdap.example");
    assert_eq!(found.registered_at, Some(at("2025-11-22T13:00:00Z")));
    assert_eq!(found.expires_at, Some(at("2026-12-12T11:59:59Z")));
    assert_eq!(found.delegation_signed, Some(true));
    assert_eq!(found.status, ["client transfer prohibited", "active"]);
    rdap(&web, "example.com").await.expect("a 404 is an answer");
    assert_eq!(web.count("https://rdap.example/com/domain/example.com"), 1);
    assert_eq!(web.count("http://rdap.example/com/domain/example.com"), 0);
    rdap(&web, "example.uk").await.expect("a 404 is an answer");
    assert_eq!(web.count("https://rdap.example/uk/domain/example.uk"), 1);
}

#[tokio::test]
async fn a_top_level_domain_without_rdap_is_not_available_and_no_failure() {
    let error = rdap(&web(), "example.de").await.expect_err("not in the list");
    let detail = ".de has no RDAP server in IANA's list".to_owned();
    assert_eq!(error, SourceError::NotAvailable { detail });
}

#[tokio::test]
async fn iana_s_list_is_fetched_once_a_day() {
    let web = web();
    let registry = Rdap::new(&BTreeMap::new()).expect("usual");
    tokio::time::pause();
    for (hours, fetched) in [(0, 1), (23, 1), (2, 2)] {
        tokio::time::advance(Duration::from_secs(3_600 * hours)).await;
        registry.look_up(asking(&web), DOMAIN).await.expect("answered");
        assert_eq!(web.count(BOOTSTRAP_URL), fetched);
    }
}

/// RFC 7480, section 5.2: servers may redirect.
#[tokio::test]
async fn a_registry_that_redirects_is_followed_but_not_for_ever() {
    let registrar = "https://rdap.registrar.example/domain/example.co.uk";
    let moved = web().redirect(RDAP_URL, 302, registrar).answer(registrar, 200, &[], REGISTRATION);
    assert_eq!(rdap(&moved, DOMAIN).await.expect("answered").expect("registered").server, "rdap.registrar.example");
    let circle = web().redirect(RDAP_URL, 302, RDAP_URL);
    assert_eq!(rdap(&circle, DOMAIN).await, Err(SourceError::failed("more than 5 redirects")));
    assert_eq!(circle.count(RDAP_URL), 6);
}

#[tokio::test]
async fn an_unregistered_domain_and_hidden_dates_are_no_failures() {
    let web = web().answer(RDAP_URL, 404, &[], r#"{ "errorCode": 404, "title": "Not Found" }"#);
    assert_eq!(rdap(&web, DOMAIN).await, Ok(None));
    let web = web.answer(RDAP_URL, 200, &[], r#"{ "objectClassName": "domain", "events": [] }"#);
    let found = rdap(&web, DOMAIN).await.expect("answered").expect("registered");
    assert_eq!((found.registered_at, found.expires_at, found.delegation_signed), (None, None, None));
}

#[tokio::test]
async fn the_newest_rank_of_tranco_counts_and_none_is_no_zero() {
    let found = tranco(&web()).await.expect("answered");
    assert_eq!((found.rank, found.standing.place), (Some(1_000), Place::Scored(score::of_rank(1_000, 1_000_000))));
    assert_eq!(found.standing.said, "rank 1000 on 2026-11-21");
    let found = tranco(&web().answer(TRANCO_URL, 200, &[], TRANCO_UNLISTED)).await.expect("answered");
    assert_eq!((found.rank, found.standing.place), (None, Place::Unlisted { among: 1_000_000 }));
}

#[tokio::test]
async fn page_ranks_are_of_ten_and_unknown_domains_have_none() {
    let found = page_rank(&web()).await.expect("answered");
    assert_eq!((found.decimal, found.standing.place), (Some(4.98), Place::Scored(49.8)));
    let found = page_rank(&web().answer(PAGE_RANK_URL, 200, &[], PAGE_RANK_UNKNOWN)).await.expect("answered");
    assert_eq!((found.decimal, found.standing.place), (None, Place::Unknown));
}

#[tokio::test]
async fn backlinks_give_a_rank_of_a_thousand_and_referring_domains() {
    let found = backlinks(&web()).await.expect("answered");
    assert_eq!((found.referring_domains, found.standing.place), (Some(812), Place::Scored(37.2)));
    let nothing = BACKLINKS.replace(r#""rank": 372"#, r#""rank": null"#).replace("812", "0");
    let found = backlinks(&web().answer(BACKLINKS_URL, 200, &[], nothing)).await.expect("answered");
    assert_eq!((found.referring_domains, found.standing.place), (Some(0), Place::Unknown));
}

#[tokio::test]
async fn http_200_with_an_error_inside_is_an_error() {
    let limit = || SourceError::RateLimited { retry_after_ms: None };
    for (status, message, expected) in [
        (40_202, "Rate limit per minute exceeded.", limit()),
        (40_203, "The cost limit has been exceeded.", limit()),
        (
            40_200,
            "Payment Required.",
            SourceError::KeyRefused { detail: "status 40200 inside the answer: Payment Required.".to_owned() },
        ),
        (50_000, "Internal Error.", SourceError::failed("status 50000 inside the answer: Internal Error.")),
    ] {
        let web = web().answer(BACKLINKS_URL, 200, &[], dataforseo_error(status, message));
        assert_eq!(backlinks(&web).await, Err(expected));
    }
    let whole = r#"{ "status_code": 40100, "status_message": "You are not authorized.", "tasks": null }"#;
    let error = backlinks(&web().answer(BACKLINKS_URL, 200, &[], whole)).await.expect_err("not authorized");
    assert_eq!(error.code(), "key_refused");

    // Source: https://www.domcop.com/openpagerank/documentation, errors.
    for (body, code) in [
        (r#"{ "status_code": 401, "message": "Invalid API Key or Domain limit reached" }"#, "key_refused"),
        (r#"{ "status_code": 429, "message": "Rate limit exceeded" }"#, "rate_limited"),
        (r#"{ "status_code": 200, "response": [] }"#, "failed"),
    ] {
        let error = page_rank(&web().answer(PAGE_RANK_URL, 200, &[], body)).await.expect_err("an error");
        assert_eq!(error.code(), code, "{body}");
    }
}

/// What goes wrong with every source in the same way.
#[tokio::test]
async fn quotas_refusals_breakdowns_time_outs_and_nonsense_are_told_apart() {
    let error_of = async |web: &FakeSite, url: &str| -> SourceError {
        match url {
            RDAP_URL | BOOTSTRAP_URL => rdap(web, DOMAIN).await.err(),
            TRANCO_URL => tranco(web).await.err(),
            PAGE_RANK_URL => page_rank(web).await.err(),
            _ => backlinks(web).await.err(),
        }
        .expect("an error")
    };
    for url in [BOOTSTRAP_URL, RDAP_URL, TRANCO_URL, PAGE_RANK_URL, BACKLINKS_URL] {
        let limited = web().answer(url, 429, &[("retry-after", "7")], "Too Many Requests");
        assert_eq!(error_of(&limited, url).await, SourceError::RateLimited { retry_after_ms: Some(7_000) });
        let refused = web().answer(url, 401, &[], "Unauthorized");
        assert_eq!(error_of(&refused, url).await, SourceError::KeyRefused { detail: "HTTP 401".to_owned() });
        let broken = web().answer(url, 503, &[], "Slow Down");
        assert_eq!(error_of(&broken, url).await, SourceError::failed("HTTP 503"));
        let late = web().fail(url, HttpError::Timeout { host: "h".to_owned(), timeout_ms: 10_000 });
        assert_eq!(error_of(&late, url).await, SourceError::Timeout);
        let nonsense = web().answer(url, 200, &[], "<html>Just a moment…</html>");
        assert_eq!(
            error_of(&nonsense, url).await,
            SourceError::failed("the answer is not as documented (line 1, column 1)")
        );
    }
}

#[test]
fn providers_without_a_key_are_absent_and_half_an_account_is_an_error() {
    let blank = environment(&[("OPEN_PAGERANK_API_KEY", " ")]);
    assert!(OpenPageRank::new(&blank).expect("well").is_none());
    assert!(DataForSeo::new(&blank).expect("well").is_none());
    for (set, missing) in [("DATAFORSEO_LOGIN", "DATAFORSEO_PASSWORD"), ("DATAFORSEO_PASSWORD", "DATAFORSEO_LOGIN")] {
        let error = DataForSeo::new(&environment(&[(set, "x")])).expect_err("half");
        assert_eq!(error, format!("{set} is set without {missing}"));
    }
}

#[test]
fn keys_cannot_be_printed() {
    let shown = format!("{:?} {:?}", OpenPageRank::new(&all_keys()), DataForSeo::new(&all_keys()));
    assert!(!shown.contains("canary"), "{shown}");
}

#[tokio::test]
async fn several_domains_are_asked_for_by_one_request_and_found_by_their_names() {
    let web = FakeSite::new().answer(BULK_RANKS_URL, 200, &[], BULK_RANKS);
    let account = DataForSeo::new(&all_keys()).expect("well").expect("an account");
    let domains = [DOMAIN, "rival.com", "new.com", "unheard.com"];
    let found = account.look_up_all(asking(&web), &domains).await.expect("answered");
    let places: Vec<Place> = found.into_iter().map(|standing| standing.place).collect();
    assert_eq!(places, [Place::Scored(37.2), Place::Scored(50.0), Place::Unknown, Place::Unknown]);
}
