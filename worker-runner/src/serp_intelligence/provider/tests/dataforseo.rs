use super::*;
use serde_json::json as value;

const FIXTURE: &str = include_str!("../fixtures/dataforseo.json");
const ACCOUNT: [(&str, &str); 2] = [("DATAFORSEO_LOGIN", "login"), ("DATAFORSEO_PASSWORD", KEY)];

/// The fixture with another code for its request or its task.
fn with_code(place: &str, code: u64) -> Response {
    let mut answer: Value = serde_json::from_str(FIXTURE).expect("JSON");
    let part = answer.pointer_mut(place).expect("there");
    part["status_code"] = code.into();
    part["status_message"] = "Said so.".into();
    json(200, answer.to_string())
}

#[tokio::test]
async fn results_keep_both_ranks_and_only_what_is_above_them_is_on_top() {
    let server = Server::new(|_| Ok(json(200, FIXTURE)));
    let page = searched(&ACCOUNT, "camping tents", &server).await.expect("answered");
    assert_eq!(ranks(&page), [(1, 3, "https://rival.test/tents"), (2, 4, "https://www.peak.test/tents")]);
    assert_eq!(page.estimate, Some(1_240));
    let features = page.features.expect("told");
    let answers: Vec<_> = features.iter().filter(|feature| feature.is_on_top && feature.is_answer()).collect();
    assert_eq!(answers, [&Feature { kind: "ai_overview".into(), is_on_top: true }]);
    assert!(features.contains(&Feature { kind: "knowledge_graph".into(), is_on_top: false }));
    let request = &server.requests()[0];
    assert_eq!(request.url.as_str(), "https://api.dataforseo.com/v3/serp/google/organic/live/advanced");
    // base64 of login:canary-key-7261
    assert_eq!(header(request, "authorization").as_deref(), Some("Basic bG9naW46Y2FuYXJ5LWtleS03MjYx"));
    let expected = value!([{"keyword": "camping tents", "location_code": 2276, "language_code": "de", "depth": 20, "device": "desktop"}]);
    assert_eq!(body(request), expected);
}

#[tokio::test]
async fn the_page_of_a_featured_snippet_is_the_first_result() {
    let mut answer: Value = serde_json::from_str(FIXTURE).expect("JSON");
    let snippet =
        value!({"type": "featured_snippet", "rank_group": 1, "rank_absolute": 2, "url": "https://www.peak.test/guide"});
    answer["tasks"][0]["result"][0]["items"][1] = snippet;
    let page = searched_with(&ACCOUNT, json(200, answer.to_string())).await.expect("answered");
    assert_eq!(ranks(&page)[0], (1, 2, "https://www.peak.test/guide"));
}

#[tokio::test]
async fn failures_inside_an_answer_of_200_are_failures() {
    for (place, code, expected) in [
        ("", 40_100, "the key was refused (40100: Said so.)"),
        ("/tasks/0", 40_200, "the allowance is used up (40200: Said so.)"),
        ("", 40_210, "the allowance is used up (40210: Said so.)"),
        ("", 40_202, "too many requests (40202: Said so.)"),
        ("/tasks/0", 40_501, "the query was refused (40501: Said so.)"),
        ("/tasks/0", 50_000, "it failed (50000: Said so.)"),
    ] {
        let error = searched_with(&ACCOUNT, with_code(place, code)).await.expect_err("a failure");
        assert_eq!(error.to_string(), expected);
    }
    let mut empty: Value = serde_json::from_str(FIXTURE).expect("JSON");
    empty["tasks"][0]["status_code"] = 40_102.into();
    empty["tasks"][0]["result"] = Value::Null;
    let page = searched_with(&ACCOUNT, json(200, empty.to_string())).await.expect("no result is an answer");
    assert!(page.organic.is_empty());
    let mut telling: Value = serde_json::from_str(FIXTURE).expect("JSON");
    telling["status_code"] = 50_000.into();
    telling["status_message"] = format!("login with {KEY} failed").into();
    let error = searched_with(&ACCOUNT, json(200, telling.to_string())).await.expect_err("a failure");
    assert_eq!(error.to_string(), "it failed (50000: login with [hidden] failed)");
    let refused =
        json(401, r#"{"status_code":40100,"status_message":"You are not Authorized to Access this resource."}"#);
    let error = searched_with(&ACCOUNT, refused).await.expect_err("refused");
    assert!(matches!(error, SearchError::Key(_)), "{error:?}");
}
