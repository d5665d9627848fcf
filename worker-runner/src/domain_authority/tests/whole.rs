//! The whole measurement: what becomes of all that was said.

use hermes_core::ports::http::HttpError;
use hermes_core::ports::ranks::Standing;
use hermes_diagnosis::signal::{MeasurementStatus, Method};
use serde_json::{Value, json};

use super::fixtures::*;
use super::*;

const DOMAIN: &str = "www.example.co.uk";

fn listed(list: RankList, rank: u64, ref_subnets: Option<u64>) -> Result<Listing, RanksError> {
    let standing = Some(Standing { rank, ref_subnets });
    Ok(Listing { list, rows: 1_000_000, fetched_at: at("2026-11-01T00:00:00Z"), standing })
}

#[tokio::test]
async fn all_sources_together_give_all_signals() {
    let ranks =
        FakeRanks(vec![listed(RankList::CommonCrawl, 11_402, None), listed(RankList::Majestic, 10_000, Some(345))]);
    let names: Arc<dyn Names> = Arc::new(FakeNames::in_order());
    let sources = Sources::new(&all_keys(), Some(names), Some(Arc::new(ranks)), Reach::Public).expect("well");
    let measured = measure(&sources, &web(), DOMAIN).await;
    assert_eq!((measured.status, codes(&measured)), (MeasurementStatus::Ok, vec![]));
    let values: BTreeMap<&str, Value> =
        measured.signals.iter().map(|signal| (signal.id.as_str(), signal.value.clone())).collect();
    let expected = json!({
        "auth.tls_valid": true,
        "auth.tls_expires_days": 29,
        "auth.tranco_rank": 1000,
        "auth.opr_decimal": 4.98,
        "auth.referring_domains": 812,
        "auth.cc_harmonic_rank": 11402,
        "auth.ref_subnets": 345,
        "auth.score": 49.8,
        "auth.dns_ns_count": 2,
        "auth.dnssec": true,
        "auth.spf_dmarc": true,
        "auth.domain_age_days": 364,
        "auth.domain_expires_days": 19
    });
    assert_eq!(json!(values), expected);
    let score = signal(&measured, "auth.score");
    // Tranco 50, Open PageRank 49.8, DataForSEO 37.2, Common Crawl 50, Majestic 33.3.
    assert_eq!((score.method, score.evidence.as_ref().expect("sources").total), (Method::Derived, 5));
    assert!((score.quality - 0.9 * (1.0 - 16.667 / 100.0)).abs() < 0.001, "{}", score.quality);
    assert!(measured.signals.iter().all(|signal| signal.evidence.is_some()), "no number without its source");
}

#[tokio::test]
async fn it_works_without_any_key_and_what_is_not_configured_is_absent() {
    let measured = measure(&sources(&BTreeMap::new(), FakeNames::in_order()), &web(), DOMAIN).await;
    assert_eq!((measured.status, codes(&measured)), (MeasurementStatus::Ok, vec![]));
    assert_eq!(signal(&measured, "auth.score").value, json!(50.0));
    assert_eq!(signal(&measured, "auth.score").quality, 0.7);
    for id in ["auth.opr_decimal", "auth.referring_domains", "auth.ref_subnets", "auth.cc_harmonic_rank"] {
        assert!(measured.signals.iter().all(|signal| signal.id != id), "{id}");
    }
}

#[tokio::test]
async fn sources_that_fail_are_warnings_and_the_others_go_on() {
    let web = web()
        .answer(TRANCO_URL, 429, &[("retry-after", "60")], "")
        .answer(PAGE_RANK_URL, 403, &[], "")
        .answer(BACKLINKS_URL, 200, &[], dataforseo_error(40_203, "The cost limit has been exceeded."))
        .fail(RDAP_URL, HttpError::Timeout { host: "rdap.example".to_owned(), timeout_ms: 10_000 });
    let names = FakeNames::in_order().silent("example.co.uk", RecordKind::Ns);
    let broken = RanksError { list: RankList::Majestic, detail: "it is cut off".to_owned() };
    let ranks = FakeRanks(vec![listed(RankList::CommonCrawl, 11_402, None), Err(broken)]);
    let sources = Sources::new(&all_keys(), Some(Arc::new(names)), Some(Arc::new(ranks)), Reach::Public).expect("well");
    let measured = measure(&sources, &web, DOMAIN).await;
    assert_eq!(measured.status, MeasurementStatus::Partial);
    let expected = [
        "tranco_rate_limited",
        "open_pagerank_key_refused",
        "dataforseo_rate_limited",
        "majestic_failed",
        "dns_timeout",
        "rdap_timeout",
    ];
    assert_eq!(codes(&measured), expected);
    assert_eq!(signal(&measured, "auth.score").value, json!(50.0), "by Common Crawl alone");
    for id in ["auth.tranco_rank", "auth.dns_ns_count", "auth.domain_age_days", "auth.domain_expires_days"] {
        let missing = signal(&measured, id);
        assert!(missing.value.is_null() && missing.reason.is_some(), "{missing:?}");
    }
    assert_eq!(signal(&measured, "auth.dnssec").value, json!(true));
    let told = serde_json::to_string(&measured).expect("JSON");
    assert!(!told.contains("canary"), "{told}");
}

#[tokio::test]
async fn a_domain_that_is_listed_nowhere_has_an_upper_bound_and_no_zero() {
    let web = web().answer(TRANCO_URL, 200, &[], TRANCO_UNLISTED);
    let measured = measure(&sources(&BTreeMap::new(), FakeNames::in_order()), &web, DOMAIN).await;
    for id in ["auth.score", "auth.tranco_rank"] {
        assert!(signal(&measured, id).value.is_null(), "{id}");
    }
    let reason = "example.co.uk is not listed by Tranco: its score is below 26.1";
    assert_eq!(signal(&measured, "auth.score").reason.as_deref(), Some(reason));
    assert_eq!(codes(&measured), ["auth_score_below"]);
    assert_eq!(measured.status, MeasurementStatus::Ok, "an answer, only not the one that one would like");
}

#[tokio::test]
async fn a_registry_that_has_no_rdap_leaves_the_measurement_complete() {
    let names = FakeNames::default().says("example.de", RecordKind::Ns, &["ns.example.de"]);
    let web = web().answer(&TRANCO_URL.replace("co.uk", "de"), 200, &[], TRANCO).answer(PAGE_RANK_URL, 200, &[], "");
    let names = names.shows("example.de", "2026-11-20T00:00:00Z", Err(Distrust::Expired));
    let measured = measure(&sources(&BTreeMap::new(), names), &web, "example.de").await;
    assert_eq!((measured.status, codes(&measured)), (MeasurementStatus::Ok, vec!["rdap_not_available"]));
    let age = signal(&measured, "auth.domain_age_days");
    assert_eq!(age.reason.as_deref(), Some(".de has no RDAP server in IANA's list"));
    assert_eq!(signal(&measured, "auth.tls_valid").value, json!(false));
    assert_eq!(signal(&measured, "auth.tls_expires_days").value, json!(-3), "a day and a half ago");
    assert_eq!(signal(&measured, "auth.spf_dmarc").value, json!(false));
    assert_eq!(signal(&measured, "auth.dnssec").value, json!(false));
    assert_eq!(signal(&measured, "auth.dns_ns_count").value, json!(1));
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_a_finding_and_not_a_failure() {
    let measured = measure(&sources(&BTreeMap::new(), FakeNames::default()), &web(), DOMAIN).await;
    assert_eq!(signal(&measured, "auth.dns_ns_count").value, json!(0));
    assert!(signal(&measured, "auth.tls_valid").value.is_null());
    assert_eq!(codes(&measured), ["tls_unknown", "no_such_domain"]);
}

#[tokio::test]
async fn a_neighbour_with_a_bad_certificate_counts_and_one_without_tls_does_not() {
    let www = "www.example.co.uk";
    let bad = FakeNames::in_order().shows(www, "2026-12-22T11:00:00Z", Err(Distrust::WrongName));
    let measured = measure(&sources(&BTreeMap::new(), bad), &web(), "example.co.uk").await;
    let valid = signal(&measured, "auth.tls_valid");
    assert_eq!(valid.value, json!(false));
    let evidence = &valid.evidence.as_ref().expect("hosts").items;
    assert!(evidence[0].detail.starts_with("valid; TLS 1.3, issued by Example Trust (R1), until 2026-12-22"));
    assert!(evidence[1].detail.starts_with("the certificate is not for this name"), "{evidence:?}");
    assert_eq!(evidence[2].detail, "CAA 0 issue ca.example");

    let none = || HandshakeError::NotListening { host: www.to_owned(), port: 443 };
    let measured =
        measure(&sources(&BTreeMap::new(), FakeNames::in_order().refuses(www, none())), &web(), "example.co.uk").await;
    assert_eq!(signal(&measured, "auth.tls_valid").value, json!(true));
    let measured = measure(&sources(&BTreeMap::new(), FakeNames::in_order().refuses(www, none())), &web(), www).await;
    assert_eq!(signal(&measured, "auth.tls_valid").value, json!(false), "here it is the host itself");
}

#[tokio::test]
async fn a_name_on_a_platform_has_a_standing_and_no_registration() {
    let web = FakeSite::new().answer("https://tranco-list.eu/api/ranks/domain/user.github.io", 200, &[], TRANCO);
    let names = FakeNames::default().shows("user.github.io", "2027-01-01T00:00:00Z", Ok(()));
    let measured = measure(&sources(&BTreeMap::new(), names), &web, "https://user.github.io/blog").await;
    assert_eq!((measured.status, codes(&measured)), (MeasurementStatus::Ok, vec![]));
    assert_eq!(signal(&measured, "auth.score").value, json!(50.0));
    for id in ["auth.domain_age_days", "auth.dns_ns_count", "auth.spf_dmarc"] {
        let signal = signal(&measured, id);
        assert_eq!((signal.n, signal.value.is_null()), (Some(0), true), "there is none: {id}");
    }
    assert_eq!(web.requests().len(), 1, "no registry is asked");
}

#[tokio::test]
async fn an_address_has_a_certificate_and_nothing_else() {
    let web = FakeSite::new();
    let names = FakeNames::default().shows("192.0.2.7", "2027-01-01T00:00:00Z", Err(Distrust::SelfSigned));
    let measured = measure(&sources(&BTreeMap::new(), names), &web, "https://192.0.2.7:8443/").await;
    assert_eq!(signal(&measured, "auth.tls_valid").value, json!(false));
    assert_eq!(signal(&measured, "auth.score").n, Some(0));
    assert!(web.requests().is_empty(), "nobody is asked about an address");
}

#[tokio::test]
async fn where_nobody_answers_the_service_fails_with_a_reason() {
    let web = FakeSite::new();
    let domain = DOMAIN.parse().expect("a domain");
    let sources = Sources::new(&BTreeMap::new(), None, None, Reach::Public).expect("well");
    let error = sources.measure(&web, &domain, in_half_a_minute()).await.expect_err("nothing");
    assert_eq!((error.host.as_str(), error.may_pass), (DOMAIN, true));
    let late = sources.measure(&web, &domain, Instant::now()).await.expect_err("no time");
    assert!(late.to_string().starts_with("no source could be asked about www.example.co.uk"), "{late}");
}

#[tokio::test]
async fn a_bare_address_without_a_certificate_is_not_asked_about_again() {
    let domain = "http://192.0.2.7:8080/".parse().expect("a domain");
    let error = sources(&BTreeMap::new(), FakeNames::default())
        .measure(&FakeSite::new(), &domain, in_half_a_minute())
        .await
        .expect_err("nothing");
    assert!(!error.may_pass);
    assert_eq!(error.to_string(), "no source could be asked about 192.0.2.7: none knows a host like this");
}
