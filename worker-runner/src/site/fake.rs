//! A website in memory, for tests.

use std::collections::HashMap;
use std::sync::Mutex;

use async_trait::async_trait;
use hermes_core::ports::http::{Http, HttpError, Method, Request, Response};

/// An answer with these header fields.
pub(crate) fn response(status: u16, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Response {
    Response {
        status,
        version: "HTTP/1.1".to_owned(),
        headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        body: body.into(),
        truncated: false,
        content_encoding: None,
        ttfb_ms: 20,
        total_ms: 30,
    }
}

/// Answers from a table of URLs; whatever is not in it answers 404, whatever host is not in it does not resolve.
#[derive(Debug, Default)]
pub(crate) struct FakeSite {
    answers: HashMap<String, Result<Response, HttpError>>,
    log: Mutex<Vec<(Method, String)>>,
}

impl FakeSite {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn answer(mut self, url: &str, status: u16, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Self {
        self.answers.insert(url.to_owned(), Ok(response(status, headers, body)));
        self
    }

    pub(crate) fn page(self, url: &str, html: &str) -> Self {
        self.answer(url, 200, &[("content-type", "text/html; charset=utf-8")], html)
    }

    pub(crate) fn text(self, url: &str, text: &str) -> Self {
        self.answer(url, 200, &[("content-type", "text/plain")], text)
    }

    pub(crate) fn redirect(self, url: &str, status: u16, location: &str) -> Self {
        self.answer(url, status, &[("location", location)], "")
    }

    pub(crate) fn fail(mut self, url: &str, error: HttpError) -> Self {
        self.answers.insert(url.to_owned(), Err(error));
        self
    }

    /// The requests so far, in order.
    pub(crate) fn requests(&self) -> Vec<(Method, String)> {
        self.log.lock().expect("not poisoned").clone()
    }

    /// How often a URL was asked for.
    pub(crate) fn count(&self, url: &str) -> usize {
        self.requests().iter().filter(|(_, asked)| asked == url).count()
    }

    fn knows(&self, url: &url::Url) -> bool {
        let origin = url.origin();
        self.answers.keys().any(|key| url::Url::parse(key).is_ok_and(|known| known.origin() == origin))
    }
}

#[async_trait]
impl Http for FakeSite {
    async fn send(&self, request: Request) -> Result<Response, HttpError> {
        self.log.lock().expect("not poisoned").push((request.method, request.url.to_string()));
        if let Some(answer) = self.answers.get(request.url.as_str()) {
            let mut answer = answer.clone();
            if let Ok(response) = &mut answer {
                if request.method == Method::Head {
                    response.body.clear();
                }
                response.truncated = response.body.len() > request.body_bytes_max;
                response.body.truncate(request.body_bytes_max);
            }
            return answer;
        }
        if !self.knows(&request.url) {
            let host = request.url.host_str().unwrap_or_default().to_owned();
            return Err(HttpError::Dns { host, detail: "no such host".to_owned() });
        }
        let mut missing = FakeSite::new().answer("x", 404, &[("content-type", "text/html")], "<h1>404</h1>");
        missing.answers.remove("x").expect("just inserted")
    }
}
