//! Each provider against servers in memory that answer as its documentation says. Sources: `fixtures/README.md`.

mod brave;
mod choice;
mod dataforseo;
mod search_console;
mod searxng;
mod serpapi;

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use hermes_core::ports::http::{Http, HttpError, Request, Response};
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use super::*;

/// A key that no message may show.
pub(super) const KEY: &str = "canary-key-7261";

/// Answers each request by a function, and keeps the requests.
pub(super) struct Server<F> {
    answer: F,
    requests: Mutex<Vec<Request>>,
}

impl<F: Fn(&Request) -> Result<Response, HttpError> + Send + Sync> Server<F> {
    pub(super) fn new(answer: F) -> Self {
        Self { answer, requests: Mutex::new(Vec::new()) }
    }

    pub(super) fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("not poisoned").clone()
    }
}

#[async_trait]
impl<F: Fn(&Request) -> Result<Response, HttpError> + Send + Sync> Http for Server<F> {
    async fn send(&self, request: Request) -> Result<Response, HttpError> {
        self.requests.lock().expect("not poisoned").push(request.clone());
        (self.answer)(&request)
    }
}

pub(super) fn response(status: u16, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Response {
    Response {
        status,
        version: "HTTP/1.1".to_owned(),
        headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        body: body.into(),
        truncated: false,
        content_encoding: None,
        ttfb_ms: 1,
        total_ms: 1,
    }
}

pub(super) fn json(status: u16, body: impl Into<Vec<u8>>) -> Response {
    response(status, &[("content-type", "application/json")], body)
}

pub(super) fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

pub(super) fn site() -> Site {
    Site::new(Url::parse("https://www.peak.test/").expect("valid"))
}

fn german() -> Locale {
    Locale { country: Some("DE".to_owned()), language: "de".to_owned(), origin: "plan".to_owned() }
}

/// What the provider that `pairs` configure makes of `text` when the server answers so.
async fn searched<F>(pairs: &[(&str, &str)], text: &str, server: &Server<F>) -> Result<SearchPage, SearchError>
where
    F: Fn(&Request) -> Result<Response, HttpError> + Send + Sync,
{
    let provider = choose(&environment(pairs), None).expect("configured");
    let exchange = Exchange { http: server, stop_at: Instant::now() + Duration::from_secs(60) };
    provider.search(&exchange, &Query { text, locale: &german(), site: &site() }).await
}

/// The same with one answer to everything.
async fn searched_with(pairs: &[(&str, &str)], answer: Response) -> Result<SearchPage, SearchError> {
    searched(pairs, "camping tents", &Server::new(move |_| Ok(answer.clone()))).await
}

fn ranks(page: &SearchPage) -> Vec<(u32, u32, &str)> {
    page.organic.iter().map(|found| (found.rank_group, found.rank_absolute, found.url.as_str())).collect()
}

fn parameter(request: &Request, name: &str) -> Option<String> {
    request.url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

fn header(request: &Request, name: &str) -> Option<String> {
    request.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
}

fn body(request: &Request) -> Value {
    serde_json::from_slice(request.body.as_deref().unwrap_or_default()).expect("JSON")
}
