//! One exchange with a source of facts, and the ways in which a source can fail.

use std::collections::BTreeMap;
use std::time::Duration;

use hermes_core::ports::http::{Http, HttpError, Method, Reach, Request, Response};
use tokio::time::Instant;
use url::Url;

use crate::retry_after::retry_after_ms;
use crate::site::fetch::USER_AGENT;

/// Longest single exchange.
pub const EXCHANGE_MS: u64 = 10_000;
/// Bytes of an answer that are read; the longest one, IANA's list of RDAP servers, has about 100 kB.
pub const ANSWER_BYTES_MAX: usize = 4 * 1_024 * 1_024;

/// Why a source said nothing. Each becomes a warning; the other sources go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// Too many requests, or the quota is used up: wait, or get more.
    #[error("the limit of requests is reached{}", wait_in_words(*.retry_after_ms))]
    RateLimited {
        /// Milliseconds that the source asked to wait.
        retry_after_ms: Option<u64>,
    },
    /// The key is wrong, or the account may not do this: correct it.
    #[error("the key was refused ({detail})")]
    KeyRefused {
        /// What the source said.
        detail: String,
    },
    /// The source has nothing about such names, and says so: nothing is wrong.
    #[error("{detail}")]
    NotAvailable {
        /// What it has nothing about.
        detail: String,
    },
    /// No answer in time.
    #[error("no answer in time")]
    Timeout,
    /// The source could not be reached, failed, or answered something else than it documents.
    #[error("{detail}")]
    Failed {
        /// What happened.
        detail: String,
    },
}

impl SourceError {
    /// The last part of the warning's code: `rate_limited` …
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::RateLimited { .. } => "rate_limited",
            Self::KeyRefused { .. } => "key_refused",
            Self::NotAvailable { .. } => "not_available",
            Self::Timeout => "timeout",
            Self::Failed { .. } => "failed",
        }
    }

    pub(super) fn failed(detail: impl Into<String>) -> Self {
        Self::Failed { detail: detail.into() }
    }
}

fn wait_in_words(retry_after_ms: Option<u64>) -> String {
    retry_after_ms.map_or_else(String::new, |wait| format!("; it may be asked again in {} s", wait.div_ceil(1_000)))
}

impl From<HttpError> for SourceError {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Timeout { .. } => Self::Timeout,
            HttpError::HeldBack { retry_after_ms, .. } => Self::RateLimited { retry_after_ms: Some(retry_after_ms) },
            HttpError::Refused { .. }
            | HttpError::Dns { .. }
            | HttpError::Connect { .. }
            | HttpError::Tls { .. }
            | HttpError::Protocol { .. } => Self::Failed { detail: error.to_string() },
        }
    }
}

/// Where a source is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its base, without a slash at the end.
    pub url: Url,
    /// Which addresses may be reached: any where the operator named the endpoint, else public ones.
    pub reach: Reach,
}

impl Endpoint {
    /// The address that `variable` names in `environment`, else `usual`.
    ///
    /// # Errors
    /// A sentence that names the variable, if its value is no `http` or `https` URL.
    pub fn read(environment: &BTreeMap<String, String>, variable: &str, usual: &str) -> Result<Self, String> {
        match configured(environment, variable) {
            None => Ok(Self { url: usual.parse().expect("the usual addresses are URLs"), reach: Reach::Public }),
            Some(text) => match Url::parse(text) {
                Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {
                    Ok(Self { url, reach: Reach::Any })
                }
                Ok(_) | Err(_) => Err(format!("{variable} must be a URL such as {usual}")),
            },
        }
    }

    /// The endpoint with more path segments.
    #[must_use]
    pub fn join(&self, segments: &[&str]) -> Url {
        let mut url = self.url.clone();
        url.path_segments_mut().expect("http URLs have paths").pop_if_empty().extend(segments);
        url
    }
}

/// The value of a variable that is set to something.
#[must_use]
pub fn configured<'a>(environment: &'a BTreeMap<String, String>, variable: &str) -> Option<&'a str> {
    environment.get(variable).map(|text| text.trim()).filter(|text| !text.is_empty())
}

/// What all sources of one measurement share.
#[derive(Clone, Copy)]
pub struct Asking<'a> {
    /// Outgoing HTTP.
    pub http: &'a dyn Http,
    /// Nothing is waited for after this.
    pub stop_at: Instant,
}

impl Asking<'_> {
    /// Performs one exchange and judges its status.
    ///
    /// # Errors
    /// [`SourceError`], unless the status is 2xx, 3xx or 404; what the latter mean is the source's own affair.
    pub async fn send(
        &self,
        url: Url,
        reach: Reach,
        headers: &[(&str, &str)],
        body: Option<Vec<u8>>,
    ) -> Result<Response, SourceError> {
        let left = self.stop_at.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(SourceError::Timeout);
        }
        let mut all = vec![("user-agent".to_owned(), USER_AGENT.to_owned())];
        all.extend(headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let request = Request {
            method: if body.is_some() { Method::Post } else { Method::Get },
            url,
            headers: all,
            body,
            reach,
            timeout: left.min(Duration::from_millis(EXCHANGE_MS)),
            body_bytes_max: ANSWER_BYTES_MAX,
        };
        // The adapter keeps the time-out; one that would not is stopped here.
        let answer = tokio::time::timeout_at(self.stop_at, self.http.send(request));
        let response = answer.await.map_err(|_| SourceError::Timeout)??;
        match response.status {
            429 => Err(SourceError::RateLimited { retry_after_ms: retry_after_ms(&response) }),
            401..=403 => Err(SourceError::KeyRefused { detail: format!("HTTP {}", response.status) }),
            200..=399 | 404 => Ok(response),
            status => Err(SourceError::failed(format!("HTTP {status}"))),
        }
    }
}

/// Reads the JSON of an answer.
///
/// # Errors
/// [`SourceError::Failed`] if it is cut off or of another shape.
pub fn json<T: serde::de::DeserializeOwned>(response: &Response) -> Result<T, SourceError> {
    if response.truncated {
        return Err(SourceError::failed(format!("the answer is longer than {ANSWER_BYTES_MAX} bytes")));
    }
    // The parser's words may hold parts of a foreign answer; where it is wrong is enough.
    serde_json::from_slice(&response.body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        SourceError::failed(format!("the answer is not as documented (line {line}, column {column})"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(value: &str) -> BTreeMap<String, String> {
        BTreeMap::from([("X_ENDPOINT".to_owned(), value.to_owned())])
    }

    #[test]
    fn an_endpoint_is_the_usual_one_or_the_operators() {
        let usual = Endpoint::read(&environment(" "), "X_ENDPOINT", "https://x.example/api").expect("usual");
        assert_eq!(usual.reach, Reach::Public);
        assert_eq!(usual.join(&["a", "b c"]).as_str(), "https://x.example/api/a/b%20c");
        let own = Endpoint::read(&environment("http://127.0.0.1:9/"), "X_ENDPOINT", "https://x.example").expect("own");
        assert_eq!((own.reach, own.join(&["a"]).as_str()), (Reach::Any, "http://127.0.0.1:9/a"));
        let error = Endpoint::read(&environment("127.0.0.1"), "X_ENDPOINT", "https://x.example").expect_err("no URL");
        assert_eq!(error, "X_ENDPOINT must be a URL such as https://x.example");
    }

    #[test]
    fn a_limit_tells_when_it_ends() {
        let error = SourceError::RateLimited { retry_after_ms: Some(1_500) };
        assert_eq!(error.to_string(), "the limit of requests is reached; it may be asked again in 2 s");
        assert_eq!(SourceError::RateLimited { retry_after_ms: None }.to_string(), "the limit of requests is reached");
    }
}
