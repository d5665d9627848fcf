//! One exchange with a provider: the request, the limits, and what the status of the answer means wherever providers
//! agree about it. What is peculiar to one of them stands in its own file.

use std::time::Duration;

use hermes_core::Secret;
use hermes_core::limits::EXCERPT_BYTES_MAX;
use hermes_core::ports::http::{Http, Method, Reach, Request, Response};
use hermes_core::wire::printable;
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use super::error::SearchError;
use crate::site::fetch::{USER_AGENT, retry_after};

/// Longest single exchange: providers that ask an engine on the spot take six seconds and more.
pub const EXCHANGE_MS: u64 = 20_000;
/// Bytes of an answer that are read; the largest pages of results are a tenth of it.
pub const ANSWER_BYTES_MAX: usize = 8 * 1_024 * 1_024;

/// Keys shorter than this are no keys: hiding them would change every word that has their letters.
const KEY_BYTES_MIN: usize = 8;

/// How providers are called.
pub struct Exchange<'a> {
    /// The way out.
    pub http: &'a dyn Http,
    /// Nothing is sent after this.
    pub stop_at: Instant,
}

/// What to send.
pub(super) struct Call<'a> {
    pub(super) url: Url,
    /// A header field that carries the key.
    pub(super) authorisation: Option<(&'static str, String)>,
    /// Sent with `POST` if there is one.
    pub(super) body: Option<&'a Value>,
    /// What no text may show.
    pub(super) secret: Option<&'a Secret>,
}

/// What came back.
pub(super) struct Answer {
    pub(super) response: Response,
    /// The body, if it is a JSON object.
    pub(super) body: Option<Value>,
    /// The beginning of the body in one line, without the key.
    pub(super) excerpt: String,
}

impl Exchange<'_> {
    /// Sends, and reads whatever comes back.
    pub(super) async fn ask(&self, call: Call<'_>) -> Result<Answer, SearchError> {
        let left = self.stop_at.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(SearchError::OutOfTime);
        }
        let mut headers = vec![
            ("user-agent".to_owned(), USER_AGENT.to_owned()),
            ("accept".to_owned(), "application/json".to_owned()),
        ];
        headers.extend(call.authorisation.map(|(name, value)| (name.to_owned(), value)));
        if call.body.is_some() {
            headers.push(("content-type".to_owned(), "application/json".to_owned()));
        }
        let request = Request {
            method: if call.body.is_some() { Method::Post } else { Method::Get },
            url: call.url,
            headers,
            body: call.body.map(|body| body.to_string().into_bytes()),
            // The operator configured this very address.
            reach: Reach::Any,
            timeout: left.min(Duration::from_millis(EXCHANGE_MS)),
            body_bytes_max: ANSWER_BYTES_MAX,
        };
        let mut response = match tokio::time::timeout_at(self.stop_at, self.http.send(request)).await {
            Ok(outcome) => outcome.map_err(SearchError::Unreachable)?,
            Err(_elapsed) => return Err(SearchError::OutOfTime),
        };
        if response.truncated {
            return Err(SearchError::Malformed(format!("it is longer than {ANSWER_BYTES_MAX} bytes")));
        }
        if let Some(secret) = call.secret.map(Secret::expose).filter(|secret| secret.len() >= KEY_BYTES_MIN) {
            hide(&mut response.body, secret);
        }
        let body = serde_json::from_slice::<Value>(&response.body).ok().filter(Value::is_object);
        let excerpt = excerpt(&response.body);
        Ok(Answer { response, body, excerpt })
    }
}

impl Answer {
    /// The JSON of a success; every other status is an error, with `says` as its words.
    pub(super) fn success(self, says: impl FnOnce(&Value) -> Option<String>) -> Result<Value, SearchError> {
        let status = self.response.status;
        if (200..300).contains(&status) {
            return self.body.ok_or(SearchError::Malformed(match is_html(&self.response) {
                true => "a web page instead of JSON".to_owned(),
                false => format!("no JSON object: {}", self.excerpt),
            }));
        }
        let said =
            self.body.as_ref().and_then(says).map_or(self.excerpt.clone(), |text| printable(&text, EXCERPT_BYTES_MAX));
        let detail = match said.is_empty() || is_html(&self.response) {
            true => format!("HTTP {status}"),
            false => format!("HTTP {status}: {said}"),
        };
        Err(match status {
            401 | 403 => SearchError::Key(detail),
            402 => SearchError::Quota(detail),
            429 => SearchError::Busy { detail, retry_after: retry_after(&self.response) },
            400 | 422 => SearchError::Query(detail),
            300..=399 | 404 | 405 => {
                SearchError::Setting(format!("its address is wrong ({detail}): correct the address of the provider"))
            }
            500..=599 => SearchError::Failed(detail),
            _ => SearchError::Malformed(detail),
        })
    }
}

/// What stands where a key stood.
const HIDDEN: &str = "[hidden]";

/// Takes `secret` out of what came back, whoever put it there: from here on no text can show it.
fn hide(body: &mut Vec<u8>, secret: &str) {
    let text = String::from_utf8_lossy(body);
    if text.contains(secret) {
        *body = text.replace(secret, HIDDEN).into_bytes();
    }
}

/// The beginning of `body`, in one line.
fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let mut line = String::new();
    for word in text.split_whitespace() {
        if line.len() > EXCERPT_BYTES_MAX {
            break;
        }
        line.push_str(word);
        line.push(' ');
    }
    printable(line.trim_end(), EXCERPT_BYTES_MAX)
}

fn is_html(response: &Response) -> bool {
    response.header("content-type").is_some_and(|value| value.to_ascii_lowercase().contains("html"))
}

/// `base` with further segments of its path.
pub(super) fn below(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    url.path_segments_mut().expect("an address of the web has a path").pop_if_empty().extend(segments);
    url
}

/// The text of a member, empty without one.
pub(super) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The items of a member, none without one.
pub(super) fn items<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A small number of a member.
pub(super) fn number(value: &Value, name: &str) -> Option<u32> {
    value.get(name).and_then(Value::as_u64).and_then(|number| u32::try_from(number).ok())
}
