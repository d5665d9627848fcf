//! Tables: an answer, its class, whether another attempt makes sense, and what the message says.

use hermes_core::limits::EXCERPT_BYTES_MAX;

use super::*;

const ENDPOINT: &str = "https://worker.example/api/run";

fn response(status: u16, fields: &[(&str, &str)], body: &str) -> Response {
    Response {
        status,
        version: "HTTP/1.1".to_owned(),
        headers: fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        body: body.into(),
        truncated: false,
        content_encoding: None,
        ttfb_ms: 1,
        total_ms: 1,
    }
}

fn judged(response: Response) -> CallOutcome {
    judge(Ok(response), ENDPOINT, true, &Redactor::new([]))
}

#[track_caller]
fn failure(outcome: CallOutcome) -> Failure {
    match outcome {
        CallOutcome::Failed(failure) => failure,
        other => panic!("{other:?}"),
    }
}

const SHELL: &str = "<!doctype html><html><body><div id=\"root\"></div></body></html>";

/// Body, class, retryable, a part of the message; by status.
type Row = (u16, String, ErrorClass, bool, &'static str);

fn coded(code: &str) -> String {
    format!(r#"{{"ok": false, "error": {{"code": "{code}", "message": "no luck", "details": {{}}}}}}"#)
}

#[track_caller]
fn check(table: Vec<Row>) {
    for (status, body, class, retryable, words) in table {
        let failure = failure(judged(response(status, &[], &body)));
        let case = format!("{status} {body}: {failure:?}");
        assert_eq!((failure.error.class, failure.retryable), (class, retryable), "{case}");
        assert!(failure.error.message.contains(words), "{words:?} in {case}");
        assert!(failure.error.message.len() < EXCERPT_BYTES_MAX + 150, "{case}");
    }
}

#[test]
fn every_refusal_has_its_class_its_verdict_on_retries_and_its_words() {
    use ErrorClass::*;
    check(vec![
        (
            404,
            "404 page not found".into(),
            NotFound,
            false,
            "endpoint https://worker.example/api/run not found (HTTP 404): 404",
        ),
        (404, SHELL.into(), NotFound, false, "(HTTP 404): <!doctype html>"),
        (404, coded("not_found"), NotFound, false, "(HTTP 404): not_found: no luck"),
        (401, String::new(), Authentication, false, "rejected the API key (HTTP 401)"),
        (401, coded("unauthorized"), Authentication, false, "unauthorized: no luck"),
        (403, coded("forbidden"), Authentication, false, "forbidden: no luck"),
        (400, coded("invalid_input"), InvalidInput, false, "refused the request (HTTP 400): invalid_input: no luck"),
        (422, "{}".into(), InvalidInput, false, "(HTTP 422): {}"),
        (429, coded("rate_limited"), RateLimited, true, "rate limited (HTTP 429): rate_limited: no luck"),
        (500, "oops".into(), ServerError, false, "server error (HTTP 500): oops"),
        (500, coded("internal"), ServerError, false, "internal: no luck"),
        (500, coded("upstream_error"), ServerError, true, "upstream_error: no luck"),
        (501, String::new(), ServerError, false, "(HTTP 501)"),
        (502, coded("upstream_error"), ServerError, true, "upstream_error: no luck"),
        (502, SHELL.into(), ServerError, true, "(HTTP 502): <!doctype html>"),
        (503, String::new(), ServerError, true, "(HTTP 503)"),
        (504, coded("timeout"), ServerError, true, "timeout: no luck"),
        (599, String::new(), ServerError, false, "(HTTP 599)"),
        (405, "no".into(), Unknown, false, "not understood (HTTP 405): no"),
        (418, coded("rate_limited"), Unknown, false, "rate_limited: no luck"),
        (101, String::new(), Unknown, false, "(HTTP 101)"),
    ]);
}

#[test]
fn every_success_that_is_none_has_its_class_its_verdict_on_retries_and_its_words() {
    use ErrorClass::*;
    let nested = format!("{}{}", "[".repeat(500), "]".repeat(500));
    check(vec![
        (
            200,
            SHELL.into(),
            HtmlInsteadOfJson,
            false,
            "HTML page where JSON was due (HTTP 200); is its base URL right? <!doctype",
        ),
        (200, format!("\u{feff}\n  {SHELL}"), HtmlInsteadOfJson, false, "HTML page"),
        (200, coded("internal"), WorkerError, false, "The worker failed: internal: no luck"),
        (200, coded("not_found"), WorkerError, false, "not_found: no luck"),
        (200, coded("quota"), WorkerError, false, "quota: no luck"),
        (200, coded("upstream_error"), WorkerError, true, "upstream_error: no luck"),
        (200, coded("timeout"), WorkerError, true, "timeout: no luck"),
        (200, coded("rate_limited"), RateLimited, true, "rate_limited: no luck"),
        (200, coded("unauthorized"), Authentication, false, "unauthorized: no luck"),
        (200, coded("invalid_input"), InvalidInput, false, "invalid_input: no luck"),
        (200, r#"{"ok": false}"#.into(), WorkerError, false, "no code: no message"),
        (200, r#"{"ok": false, "error": "plain words"}"#.into(), WorkerError, false, "no code: plain words"),
        (
            200,
            r#"{"ok": false, "error": {"code": 7, "message": ""}}"#.into(),
            WorkerError,
            false,
            "no code: no message",
        ),
        (202, coded("internal"), WorkerError, false, "internal: no luck"),
        (200, String::new(), InvalidResult, false, "empty body where JSON was due (HTTP 200)"),
        (204, String::new(), InvalidResult, false, "empty body"),
        (200, "{\"ok\": true, \"data\": {".into(), InvalidResult, false, "line 1 column 22"),
        (200, "fine, thanks".into(), InvalidResult, false, "fine, thanks"),
        (200, "[1, 2]".into(), InvalidResult, false, "no JSON object"),
        (200, "[true, {}, null]".into(), InvalidResult, false, "no JSON object"),
        (200, "null".into(), InvalidResult, false, "no JSON object"),
        (200, nested.clone(), InvalidResult, false, "nested more than"),
        (200, format!(r#"{{"ok": true, "data": {{"a": {nested}}}}}"#), InvalidResult, false, "nested more than"),
        (200, r#"{"ok": true, "data": [1]}"#.into(), InvalidResult, false, "data is no JSON object: [1]"),
        (200, r#"{"ok": true, "data": {}, "data": {}}"#.into(), InvalidResult, false, "names a member twice"),
    ]);
}

#[test]
fn what_did_not_reach_the_worker_is_told_apart() {
    let host = || "worker.example".to_owned();
    let detail = || "why".to_owned();
    let table = [
        (HttpError::Dns { host: host(), detail: detail() }, ErrorClass::Dns, true),
        (HttpError::Connect { host: host(), detail: detail() }, ErrorClass::Connection, true),
        (HttpError::Protocol { host: host(), detail: detail() }, ErrorClass::Connection, true),
        (HttpError::Tls { host: host(), detail: detail() }, ErrorClass::Tls, false),
        (HttpError::Timeout { host: host(), timeout_ms: 5 }, ErrorClass::Timeout, false),
        (HttpError::Refused { host: host(), address: "::1".to_owned() }, ErrorClass::TargetRefused, false),
    ];
    for (error, class, retryable) in table {
        let text = error.to_string();
        let failure = failure(judge(Err(error), ENDPOINT, true, &Redactor::new([])));
        assert_eq!((failure.error.class, failure.retryable), (class, retryable), "{text}");
        assert_eq!(failure.error.message, format!("Worker unreachable: {text}"));
    }
}

#[test]
fn a_result_is_the_data_or_else_the_whole_body() {
    for (body, result) in [
        (r#"{"ok": true, "service": "s", "data": {"a": 1.50}, "request_id": "x"}"#, r#"{"a": 1.50}"#),
        (r#"{"data": {"b": 2}, "ok": true}"#, r#"{"b": 2}"#),
        (r#"{"keywords": []}"#, r#"{"keywords": []}"#),
        (r#"{"data": {"a": 1}}"#, r#"{"data": {"a": 1}}"#),
        (r#"{"ok": true, "keywords": []}"#, r#"{"ok": true, "keywords": []}"#),
        (r#"{"ok": true, "data": null}"#, r#"{"ok": true, "data": null}"#),
        (r#"{"ok": "false", "error": "none"}"#, r#"{"ok": "false", "error": "none"}"#),
        ("\u{feff} {} \n", "{}"),
    ] {
        for status in [200, 201] {
            let CallOutcome::Completed(json) = judged(response(status, &[], body)) else { panic!("{body}") };
            assert_eq!(json.get(), result);
        }
    }
}

#[test]
fn json_under_the_wrong_content_type_is_still_json_and_a_page_under_json_is_still_a_page() {
    let page = judged(response(200, &[("content-type", "application/json")], SHELL));
    assert_eq!(failure(page).error.class, ErrorClass::HtmlInsteadOfJson);
    let named = judged(response(200, &[("content-type", "Text/HTML; charset=utf-8")], "Welcome"));
    assert_eq!(failure(named).error.class, ErrorClass::HtmlInsteadOfJson);
    let json = judged(response(200, &[("content-type", "text/html")], "{}"));
    assert!(matches!(json, CallOutcome::Completed(_)));
}

#[test]
fn a_promise_is_kept_as_such_whatever_its_body_says() {
    for body in ["", "{}", "accepted", r#"{"ok": true, "job": 7}"#] {
        assert_eq!(judged(response(202, &[], body)), CallOutcome::Accepted);
    }
}

#[test]
fn an_answer_that_was_cut_is_too_large_unless_it_is_a_page_or_a_refusal() {
    let cut = |status, body: &str| failure(judged(Response { truncated: true, ..response(status, &[], body) }));
    let too_large = cut(200, "{\"ok\": true, \"data\": {");
    assert_eq!((too_large.error.class, too_large.retryable), (ErrorClass::ResultTooLarge, false));
    assert_eq!(too_large.error.message, "The worker's answer is larger than 1048576 bytes");
    assert_eq!(cut(200, SHELL).error.class, ErrorClass::HtmlInsteadOfJson);
    assert_eq!(cut(503, "xxx").error.class, ErrorClass::ServerError);
}

#[test]
fn a_redirect_says_where_to_without_query_or_user() {
    for (to, shown) in [
        (Some("https://login.example/sso?return=secret#x"), "redirects to https://login.example/sso (HTTP 302)"),
        (Some("https://user:secret@login.example/"), "redirects to login.example/ (HTTP 302)"),
        (Some("/login"), "redirects to /login (HTTP 302)"),
        (None, "redirects to nowhere (HTTP 302)"),
    ] {
        let fields: Vec<_> = to.map(|to| ("location", to)).into_iter().collect();
        let failure = failure(judged(response(302, &fields, SHELL)));
        assert_eq!((failure.error.class, failure.retryable), (ErrorClass::UnexpectedRedirect, false));
        assert!(failure.error.message.contains(shown), "{}", failure.error.message);
        assert!(!failure.error.message.contains("secret"));
    }
}

#[test]
fn retry_after_is_passed_on_with_failures_that_are_worth_a_retry() {
    for (status, expected) in [(429, Some(7_000)), (503, Some(7_000)), (500, None), (404, None)] {
        assert_eq!(failure(judged(response(status, &[("retry-after", "7")], ""))).retry_after_ms, expected, "{status}");
    }
}

#[test]
fn an_outcome_is_reported_in_the_words_of_the_wire() {
    let json = Json::parse("{}").expect("valid");
    let completed = CallOutcome::Completed(json.clone()).into_outcome(5);
    assert_eq!(completed, Outcome::Completed { duration_ms: 5, result: json });
    assert_eq!(CallOutcome::Accepted.into_outcome(5), Outcome::Deferred);
    let error = ServiceError::new(ErrorClass::Dns, "x");
    let failed = Failure { error: error.clone(), retryable: true, retry_after_ms: Some(1) };
    let expected = Outcome::Failed { duration_ms: 5, error, retryable: true, retry_after_ms: Some(1) };
    assert_eq!(CallOutcome::Failed(failed).into_outcome(5), expected);
}
