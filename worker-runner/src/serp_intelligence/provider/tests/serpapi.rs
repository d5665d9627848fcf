use super::*;

const FIXTURE: &str = include_str!("../fixtures/serpapi.json");
const ACCOUNT: (&str, &str) = ("SERPAPI_API_KEY", KEY);

fn said(status: u16, text: &str) -> Response {
    json(status, format!(r#"{{"search_metadata":{{"status":"Success"}},"error":"{text}"}}"#))
}

#[tokio::test]
async fn results_are_ranked_behind_what_answers_above_them() {
    let server = Server::new(|_| Ok(json(200, FIXTURE)));
    let page = searched(&[ACCOUNT], "camping tents", &server).await.expect("answered");
    assert_eq!(ranks(&page), [(1, 2, "https://rival.test/tents"), (2, 3, "https://www.peak.test/tents")]);
    assert_eq!(page.features, Some(vec![Feature { kind: "featured_snippet".into(), is_on_top: true }]));
    assert_eq!(page.estimate, Some(1_240));
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    for (name, value) in [("engine", "google"), ("gl", "de"), ("hl", "de"), ("start", "0"), ("api_key", KEY)] {
        assert_eq!(parameter(&requests[0], name).as_deref(), Some(value));
    }
}

#[tokio::test]
async fn no_result_is_an_answer_and_every_other_error_in_a_200_is_none() {
    let nothing = searched_with(&[ACCOUNT], said(200, "Google hasn't returned any results for this query.")).await;
    assert!(nothing.expect("an answer").organic.is_empty());
    for (status, text, expected) in [
        (
            200,
            "Your account has run out of searches.",
            "the allowance is used up (Your account has run out of searches.)",
        ),
        (
            200,
            "Invalid API key. Your API key should be here",
            "the key was refused (Invalid API key. Your API key should be here)",
        ),
        (200, "Something went wrong", "it failed (Something went wrong)"),
        (401, "Invalid API key", "the key was refused (HTTP 401: Invalid API key)"),
        (
            429,
            "Your account has run out of searches.",
            "the allowance is used up (HTTP 429: Your account has run out of searches.)",
        ),
        (429, "Too fast", "too many requests (HTTP 429: Too fast)"),
    ] {
        let error = searched_with(&[ACCOUNT], said(status, text)).await.expect_err("a failure");
        assert_eq!(error.to_string(), expected);
    }
}

#[tokio::test]
async fn the_key_is_in_the_address_and_in_no_message() {
    for answer in [
        said(200, &format!("the key {KEY} is odd")),
        said(400, &format!("the key {KEY} is odd")),
        response(200, &[], format!("api_key={KEY}")),
    ] {
        let error = searched_with(&[ACCOUNT], answer).await.expect_err("a failure");
        assert!(!error.to_string().contains(KEY) && error.to_string().contains("[hidden]"), "{error}");
    }
}

#[tokio::test]
async fn a_second_page_that_fails_leaves_the_first() {
    let server = Server::new(|request: &Request| {
        Ok(match parameter(request, "start").as_deref() {
            Some("0") => json(200, r#"{"organic_results":[{"position":1,"link":"https://rival.test/","title":"t"}]}"#),
            _ => json(503, "{}"),
        })
    });
    let page = searched(&[ACCOUNT], "tents", &server).await.expect("answered");
    assert_eq!(ranks(&page), [(1, 1, "https://rival.test/")]);
    assert_eq!(page.gaps, ["page 2 of the results: it failed (HTTP 503)"]);
}
