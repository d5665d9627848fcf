//! The API of a dispatcher as the commands use it: embedded and remote alike, over HTTP.
//!
//! Deliberately absent: retries. Whoever waits for a run decides how long a server may be away.

mod types;

use std::sync::Arc;
use std::time::Duration;

use hermes_core::RunId;
use hermes_core::ports::http::{Http, HttpError, Method, Reach, Request, Response};
use hermes_core::wire::printable;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use url::Url;

pub use types::{PlanView, RunPage, RunView, ServiceView, Submission};

/// Time for one exchange; the server has 20 s to begin its answer.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Longest answer that is read: a diagnosis is far below, and so is a page of runs.
const BODY_BYTES_MAX: usize = 16 * 1_024 * 1_024;
/// Bytes of a foreign message that are shown.
const MESSAGE_BYTES_MAX: usize = 2_000;

/// Why the server's answer is not what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers there.
    #[error("no Hermes answers at {server}: {error}")]
    Unreachable {
        /// Its address.
        server: String,
        /// What happened.
        error: HttpError,
    },
    /// The server refused, and said why.
    #[error("{detail}")]
    Refused {
        /// Status code.
        status: u16,
        /// In the server's words.
        detail: String,
    },
    /// The answer is not Hermes's.
    #[error("the answer of {server} cannot be read, is it a Hermes of this version? ({detail})")]
    Unreadable {
        /// Its address.
        server: String,
        /// What is wrong with it.
        detail: String,
    },
}

impl ClientError {
    /// Whether the user asked for something that cannot be.
    #[must_use]
    pub const fn is_misuse(&self) -> bool {
        match self {
            Self::Refused { status, .. } => matches!(*status, 400 | 404 | 409 | 413 | 422),
            Self::Unreachable { .. } | Self::Unreadable { .. } => false,
        }
    }

    /// Whether the same request may succeed in a moment.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        match self {
            Self::Refused { status, .. } => matches!(*status, 429 | 502 | 503 | 504),
            Self::Unreachable { .. } => true,
            Self::Unreadable { .. } => false,
        }
    }
}

/// Speaks with one server.
#[derive(Clone)]
pub struct Client {
    http: Arc<dyn Http>,
    server: Url,
}

impl Client {
    /// For the server at `server`, an `http` or `https` URL.
    #[must_use]
    pub fn new(http: Arc<dyn Http>, server: Url) -> Self {
        Self { http, server }
    }

    /// Address of the server.
    #[must_use]
    pub const fn server(&self) -> &Url {
        &self.server
    }

    /// Submits a run and returns when it is durable. `key` makes it repeatable.
    pub async fn submit(&self, submission: &Submission, key: &str) -> Result<RunId, ClientError> {
        #[derive(serde::Deserialize)]
        struct Answer {
            run_id: RunId,
        }
        let mut body = json!(submission);
        body["wait"] = false.into();
        let answer: Answer = self.read(self.send(Method::Post, "run", &[], Some((body, key))).await?)?;
        Ok(answer.run_id)
    }

    /// One run.
    pub async fn run(&self, id: RunId) -> Result<RunView, ClientError> {
        self.read(self.run_json(id).await?)
    }

    /// One run, as the server writes it.
    pub async fn run_json(&self, id: RunId) -> Result<Value, ClientError> {
        self.send(Method::Get, &format!("runs/{id}"), &[], None).await
    }

    /// A page of runs, as the server writes it.
    pub async fn runs(&self, query: &[(&str, String)]) -> Result<Value, ClientError> {
        self.send(Method::Get, "runs", query, None).await
    }

    /// The diagnosis of a run's current revision, if there is one.
    pub async fn diagnosis(&self, id: RunId) -> Result<Option<Value>, ClientError> {
        match self.send(Method::Get, &format!("runs/{id}/diagnosis"), &[], None).await {
            Ok(mut answer) => Ok(Some(answer["diagnosis"].take())),
            Err(ClientError::Refused { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The report of a run in one of the server's forms, as it writes it.
    pub async fn report(
        &self,
        id: RunId,
        format: &str,
        revision: Option<u32>,
        edition: Option<u32>,
    ) -> Result<String, ClientError> {
        let mut query = vec![("format", format.to_owned())];
        query.extend(revision.map(|revision| ("revision", revision.to_string())));
        query.extend(edition.map(|edition| ("edition", edition.to_string())));
        let response = self.exchange(Method::Get, &format!("runs/{id}/report"), &query, None).await?;
        if !(200..300).contains(&response.status) {
            return Err(match self.judge(response) {
                Err(error) => error,
                Ok(_) => self.unreadable("a refusal that refuses nothing".to_owned()),
            });
        }
        if response.truncated {
            return Err(self.unreadable(format!("it is longer than {BODY_BYTES_MAX} bytes")));
        }
        String::from_utf8(response.body).map_err(|error| self.unreadable(error.to_string()))
    }

    /// What changed from one run to another, as the server writes it.
    pub async fn diff(&self, from: RunId, to: RunId) -> Result<Value, ClientError> {
        self.send(Method::Get, &format!("runs/{from}/diff/{to}"), &[], None).await
    }

    /// Cancels an open run.
    pub async fn cancel(&self, id: RunId) -> Result<RunView, ClientError> {
        self.read(self.send(Method::Post, &format!("runs/{id}/cancel"), &[], None).await?)
    }

    /// Tries again what did not complete in a settled run.
    pub async fn rerun(&self, id: RunId) -> Result<RunView, ClientError> {
        self.read(self.send(Method::Post, &format!("runs/{id}/rerun"), &[], None).await?)
    }

    /// The plans that the server knows, as it writes them.
    pub async fn plans(&self) -> Result<Value, ClientError> {
        self.send(Method::Get, "plans", &[], None).await
    }

    /// Reads an answer as `T`.
    pub fn read<T: DeserializeOwned>(&self, answer: Value) -> Result<T, ClientError> {
        serde_json::from_value(answer).map_err(|error| self.unreadable(error.to_string()))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, String)],
        body: Option<(Value, &str)>,
    ) -> Result<Value, ClientError> {
        let response = self.exchange(method, path, query, body).await?;
        self.judge(response)
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, String)],
        body: Option<(Value, &str)>,
    ) -> Result<Response, ClientError> {
        let mut url = self.server.clone();
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}/api/orchestration/{path}"));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut headers = vec![("accept".to_owned(), "application/json".to_owned())];
        let body = body.map(|(body, key)| {
            headers.push(("content-type".to_owned(), "application/json".to_owned()));
            headers.push(("idempotency-key".to_owned(), key.to_owned()));
            body.to_string().into_bytes()
        });
        let (reach, timeout, body_bytes_max) = (Reach::Any, TIMEOUT, BODY_BYTES_MAX);
        let request = Request { method, url, headers, body, reach, timeout, body_bytes_max };
        let answer = self.http.send(request).await;
        answer.map_err(|error| ClientError::Unreachable { server: self.server.to_string(), error })
    }

    fn judge(&self, response: Response) -> Result<Value, ClientError> {
        let status = response.status;
        let body: Result<Value, _> = serde_json::from_slice(&response.body);
        if (200..300).contains(&status) {
            return body.map_err(|error| self.unreadable(format!("status {status}, {error}")));
        }
        let said = body.as_ref().ok().and_then(|body| body["message"].as_str().or_else(|| body["detail"].as_str()));
        let Some(said) = said else { return Err(self.unreadable(format!("status {status}, no reason given"))) };
        Err(ClientError::Refused { status, detail: printable(said, MESSAGE_BYTES_MAX) })
    }

    fn unreadable(&self, detail: String) -> ClientError {
        ClientError::Unreadable { server: self.server.to_string(), detail }
    }
}

#[cfg(test)]
mod tests;
