use std::sync::Mutex;

use async_trait::async_trait;

use super::*;

/// Answers with what it was given, and keeps what it was asked.
struct Scripted {
    status: u16,
    body: &'static str,
    asked: Mutex<Vec<Request>>,
}

#[async_trait]
impl Http for Scripted {
    async fn send(&self, request: Request) -> Result<Response, HttpError> {
        self.asked.lock().expect("one thread").push(request);
        Ok(Response {
            status: self.status,
            version: "HTTP/1.1".to_owned(),
            headers: Vec::new(),
            body: self.body.as_bytes().to_vec(),
            truncated: false,
            content_encoding: None,
            ttfb_ms: 0,
            total_ms: 0,
        })
    }
}

fn client(status: u16, body: &'static str) -> (Client, Arc<Scripted>) {
    let http = Arc::new(Scripted { status, body, asked: Mutex::default() });
    (Client::new(http.clone(), "http://127.0.0.1:5000/hermes/".parse().expect("a URL")), http)
}

const ID: &str = "00000000000000000000000000000001";

fn id() -> RunId {
    ID.parse().expect("an id")
}

#[tokio::test]
async fn a_submission_does_not_wait_and_can_be_repeated() {
    let (client, http) = client(202, r#"{"success":true,"run_id":"00000000000000000000000000000001"}"#);
    let submission = Submission {
        website_id: "site_1".parse().expect("valid"),
        domain: "example.com".parse().expect("valid"),
        plan_id: None,
    };
    assert_eq!(client.submit(&submission, "k").await.expect("accepted"), id());
    let asked = http.asked.lock().expect("one thread");
    assert_eq!(asked[0].url.as_str(), "http://127.0.0.1:5000/hermes/api/orchestration/run");
    assert!(asked[0].headers.contains(&("idempotency-key".to_owned(), "k".to_owned())));
    let body: Value = serde_json::from_slice(asked[0].body.as_ref().expect("a body")).expect("JSON");
    assert_eq!(body, json!({"website_id": "site_1", "domain": "example.com", "wait": false}));
}

#[tokio::test]
async fn a_refusal_is_told_in_the_servers_words_without_control_characters() {
    let (client, _) = client(404, r#"{"success":false,"error":"x","message":"There is no run \u001b[31m7."}"#);
    let error = client.run(id()).await.expect_err("refused");
    assert!(error.is_misuse());
    assert_eq!(error.to_string(), "There is no run  [31m7.");
}

#[tokio::test]
async fn a_missing_diagnosis_is_no_error() {
    let (client, _) = client(404, r#"{"message":"none yet"}"#);
    assert_eq!(client.diagnosis(id()).await.expect("none"), None);
}

#[tokio::test]
async fn an_answer_of_something_else_is_told_apart() {
    for (status, body) in [(200, "<html>"), (502, "<html>"), (200, "{}")] {
        let (client, _) = client(status, body);
        let error = client.run(id()).await.expect_err("no Hermes");
        assert!(matches!(error, ClientError::Unreadable { .. }), "{status} {body}");
        assert!(!error.is_misuse());
    }
}
