use super::*;

const SITES: &str = include_str!("../fixtures/search_console_sites.json");
const PAGES: &str = include_str!("../fixtures/search_console_pages.json");
const QUOTA: &str = include_str!("../fixtures/search_console_error.json");
const ACCOUNT: (&str, &str) = ("SEARCH_CONSOLE_TOKEN", KEY);
const DATE: (&str, &str) = ("date", "Sun, 06 Sep 2026 08:49:37 GMT");

fn google(request: &Request) -> Result<Response, HttpError> {
    Ok(match request.url.path() {
        "/webmasters/v3/sites" => response(200, &[DATE], SITES),
        _ => json(200, PAGES),
    })
}

#[tokio::test]
async fn the_pages_of_the_site_are_ranked_by_their_average_positions() {
    let server = Server::new(google);
    let page = searched(&[ACCOUNT], "Camping Tents", &server).await.expect("answered");
    assert_eq!(ranks(&page), [(3, 3, "https://www.peak.test/tents"), (12, 12, "https://www.peak.test/sale")]);
    let requests = server.requests();
    assert_eq!(header(&requests[0], "authorization"), Some(format!("Bearer {KEY}")));
    assert!(requests[1].url.path().ends_with("/searchAnalytics/query"), "{}", requests[1].url);
    assert!(requests[1].url.path().contains("www.peak.test%2F"), "the verified property: {}", requests[1].url);
    let sent = body(&requests[1]);
    // 28 days that end three days before the day of the answer.
    assert_eq!((&sent["startDate"], &sent["endDate"]), (&Value::from("2026-08-07"), &Value::from("2026-09-03")));
    assert_eq!(sent["dimensionFilterGroups"][0]["filters"][0]["expression"], "camping tents");
}

#[tokio::test]
async fn the_site_s_own_queries_are_known_and_the_property_is_looked_up_once() {
    let server = Server::new(|request: &Request| match request.url.path() {
        "/webmasters/v3/sites" => google(request),
        _ => Ok(json(
            200,
            r#"{"rows":[{"keys":["camping tents"],"clicks":5,"position":2.0},{"keys":["peak"],"clicks":1,"position":1.0}]}"#,
        )),
    });
    let provider = choose(&environment(&[ACCOUNT]), None).expect("configured");
    let exchange = Exchange { http: &server, stop_at: Instant::now() + Duration::from_secs(60) };
    for _ in 0..2 {
        let queries = provider.own_queries(&exchange, &site(), 20).await.expect("answered");
        assert_eq!(queries, ["camping tents", "peak"]);
    }
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn an_account_without_the_site_a_wrong_token_and_a_quota_are_told_apart() {
    let other =
        response(200, &[DATE], r#"{"siteEntry":[{"siteUrl":"sc-domain:other.test","permissionLevel":"siteOwner"}]}"#);
    let error = searched_with(&[ACCOUNT], other).await.expect_err("not there");
    assert!(matches!(&error, SearchError::Setting(text) if text.contains("no verified property")), "{error:?}");
    let expired =
        json(401, r#"{"error":{"code":401,"message":"Invalid Credentials","errors":[{"reason":"authError"}]}}"#);
    let error = searched_with(&[ACCOUNT], expired).await.expect_err("expired");
    assert_eq!(error, SearchError::Key("HTTP 401: Invalid Credentials".to_owned()));
    let error = searched_with(&[ACCOUNT], json(403, QUOTA)).await.expect_err("quota");
    assert!(matches!(&error, SearchError::Quota(_)), "{error:?}");
}
