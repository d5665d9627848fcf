//! Asks an external worker how it is: `GET /health` and `GET /smoke-test`.

use std::time::Duration;

use hermes_core::Json;
use hermes_core::limits::{EXCERPT_BYTES_MAX, RESULT_BYTES_MAX};
use hermes_core::ports::http::{Http, Method, Reach, Request};
use hermes_core::wire::printable;
use serde_json::Value;

use super::answer::{self, CallOutcome};
use super::config::WorkerConfig;
use crate::redact::Redactor;

/// What a worker says about itself at one endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examined {
    /// Its version, if it says one.
    pub version: Option<String>,
    /// The outputs that it can produce, if it lists any.
    pub outputs: Vec<String>,
}

/// Asks the endpoint `name` (`health`, `smoke-test`) of a worker.
///
/// # Errors
/// What went wrong, in the words in which an attempt would report it; never with the key.
pub async fn examine(
    http: &dyn Http,
    config: &WorkerConfig,
    name: &str,
    timeout: Duration,
) -> Result<Examined, String> {
    let key = config.api_key().expose();
    let url = config.endpoint(name);
    let redactor = Redactor::new([key]);
    let headers = [
        ("Accept", "application/json".to_owned()),
        ("x-api-key", key.to_owned()),
        ("Authorization", format!("Bearer {key}")),
    ];
    let request = Request {
        method: Method::Get,
        url: url.clone(),
        headers: headers.map(|(name, value)| (name.to_owned(), value)).into(),
        body: None,
        // The operator configured this very address.
        reach: Reach::Any,
        timeout,
        body_bytes_max: RESULT_BYTES_MAX,
    };
    match answer::judge(http.send(request).await, url.as_str(), false, &redactor) {
        CallOutcome::Completed(said) => Ok(read(&said, &redactor)),
        CallOutcome::Accepted => Err("it answered 202, as if it were given a job".to_owned()),
        CallOutcome::Failed(failure) => Err(failure.error.message),
    }
}

fn read(said: &Json, redactor: &Redactor) -> Examined {
    let said: Value = said.read().expect("it was accepted as JSON");
    let clean = |text: &str| printable(&redactor.clean(text), EXCERPT_BYTES_MAX);
    let version = said.get("version").and_then(Value::as_str).map(clean);
    // Plain names, or objects that have one.
    let name = |output: &Value| output.as_str().or_else(|| output.get("name")?.as_str()).map(clean);
    let outputs = said.get("outputs").and_then(Value::as_array);
    Examined { version, outputs: outputs.into_iter().flatten().filter_map(name).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::fake::FakeSite;

    const KEY: &str = "canary-9d2c";

    fn config() -> WorkerConfig {
        let key = "serp_intel".parse().expect("valid");
        WorkerConfig::from_lookup(&key, &|variable| {
            Some(if variable.ends_with("_API_KEY") { KEY } else { "https://worker.example/api" }.to_owned())
        })
        .expect("valid")
        .expect("configured")
    }

    async fn asked(status: u16, body: &str) -> Result<Examined, String> {
        let http = FakeSite::new().answer("https://worker.example/api/smoke-test", status, &[], body);
        examine(&http, &config(), "smoke-test", Duration::from_secs(5)).await
    }

    #[tokio::test]
    async fn a_worker_tells_its_version_and_what_it_can_produce() {
        let wrapped =
            r#"{"ok": true, "data": {"version": "1.2", "outputs": ["serp.rank", {"name": "serp.visibility"}]}}"#;
        let examined = asked(200, wrapped).await.expect("well");
        assert_eq!(examined.version.as_deref(), Some("1.2"));
        assert_eq!(examined.outputs, ["serp.rank", "serp.visibility"]);
        let examined = asked(200, &format!(r#"{{"version": "{KEY}"}}"#)).await.expect("well");
        assert_eq!(examined, Examined { version: Some("[hidden]".to_owned()), outputs: Vec::new() });
    }

    #[tokio::test]
    async fn what_is_wrong_is_told_as_an_attempt_would_and_without_the_key() {
        for (status, body, words) in [
            (401, format!("no such key {KEY}"), "The worker rejected the API key (HTTP 401)"),
            (404, "gone".to_owned(), "Worker endpoint https://worker.example/api/smoke-test not found"),
            (200, format!("<html>{KEY}"), "HTML page where JSON was due"),
            (200, r#"{"ok": false, "error": {"code": "upstream_error", "message": "down"}}"#.to_owned(), "down"),
        ] {
            let told = asked(status, &body).await.expect_err("not well");
            assert!(told.contains(words) && !told.contains(KEY), "{told}");
        }
    }
}
