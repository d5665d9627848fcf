use super::*;

const FIXTURE: &str = include_str!("../fixtures/brave.json");
const LIMITED: &str = include_str!("../fixtures/brave_error.json");
const ACCOUNT: (&str, &str) = ("BRAVE_API_KEY", KEY);

#[tokio::test]
async fn results_keep_both_ranks_and_what_stands_on_top() {
    let server = Server::new(|_| Ok(json(200, FIXTURE)));
    let page = searched(&[ACCOUNT], "camping tents", &server).await.expect("answered");
    assert_eq!(ranks(&page), [(1, 2, "https://rival.test/tents"), (2, 4, "https://www.peak.test/tents")]);
    let features = page.features.expect("told");
    let kinds: Vec<_> = features.iter().map(|feature| (feature.kind.as_str(), feature.is_on_top)).collect();
    assert_eq!(kinds, [("infobox", true), ("summarizer", true)]);
    let request = &server.requests()[0];
    assert_eq!(request.url.as_str().split('?').next(), Some("https://api.search.brave.com/res/v1/web/search"));
    assert_eq!(header(request, "x-subscription-token").as_deref(), Some(KEY));
    for (name, value) in [("count", "20"), ("country", "DE"), ("search_lang", "de")] {
        assert_eq!(parameter(request, name).as_deref(), Some(value));
    }
}

#[tokio::test]
async fn a_used_up_window_says_how_long_to_wait() {
    let limited = |headers: &[(&str, &str)]| response(429, headers, LIMITED);
    let windows = [("x-ratelimit-remaining", "0, 1988"), ("x-ratelimit-reset", "1, 1419704")];
    let error = searched_with(&[ACCOUNT], limited(&windows)).await.expect_err("limited");
    assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
    assert!(error.to_string().contains("RATE_LIMITED"), "{error}");
    let told = [windows[0], windows[1], ("retry-after", "3")];
    let error = searched_with(&[ACCOUNT], limited(&told)).await.expect_err("limited");
    assert_eq!(error.retry_after(), Some(Duration::from_secs(3)));
}

#[tokio::test]
async fn a_wrong_key_and_a_used_up_credit_are_told_apart_from_a_wrong_query() {
    let error = |code: &str| {
        let detail = format!("the token {KEY} is no good");
        format!(r#"{{"type":"ErrorResponse","error":{{"status":422,"code":"{code}","detail":"{detail}"}}}}"#)
    };
    let key = searched_with(&[ACCOUNT], json(422, error("SUBSCRIPTION_TOKEN_INVALID"))).await.expect_err("refused");
    assert!(matches!(key, SearchError::Key(_)), "{key:?}");
    let query = searched_with(&[ACCOUNT], json(422, error("VALIDATION"))).await.expect_err("refused");
    assert!(matches!(query, SearchError::Query(_)), "{query:?}");
    let credit = searched_with(&[ACCOUNT], json(402, error("CREDIT_EXHAUSTED"))).await.expect_err("refused");
    assert!(matches!(credit, SearchError::Quota(_)), "{credit:?}");
    for error in [key, query, credit] {
        assert!(!error.to_string().contains(KEY), "{error}");
    }
}

#[tokio::test]
async fn countries_that_it_does_not_know_become_all() {
    let server = Server::new(|_| Ok(json(200, FIXTURE)));
    let provider = choose(&environment(&[ACCOUNT]), None).expect("configured");
    let exchange = Exchange { http: &server, stop_at: Instant::now() + Duration::from_secs(60) };
    for (country, language) in [("LI", "de"), ("JP", "ja"), ("BR", "pt"), ("IE", "ga")] {
        let locale = Locale { country: Some(country.into()), language: language.into(), origin: "plan".into() };
        provider.search(&exchange, &Query { text: "x", locale: &locale, site: &site() }).await.expect("answered");
    }
    let sent = |name: &str| -> Vec<Option<String>> {
        server.requests().iter().map(|request| parameter(request, name)).collect()
    };
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(sent("country"), [text("ALL"), text("JP"), text("BR"), text("ALL")]);
    assert_eq!(sent("search_lang"), [text("de"), text("jp"), text("pt-br"), None]);
}
