//! `/livez`, `/readyz`, the customer's `/api/orchestration/health`, and `/metrics`.

use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use serde_json::json;
use tracing::warn;

use super::Api;
use super::problem::{Kind, Problem, Success};

/// Store and queue have this long to answer when asked whether they are there.
const PING_WITHIN: Duration = Duration::from_secs(2);
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The process answers; nothing else is asked.
pub(super) async fn live() -> Response {
    Success::Ok.json(&json!({"success": true, "status": "ok"}))
}

/// Whether runs can be accepted. Without the store they cannot (503). Without the queue they can: they are delivered
/// when it is back (`degraded`).
pub(super) async fn ready(State(api): State<Api>) -> Result<Response, Problem> {
    let (store, queue) =
        tokio::join!(answers("store", api.engine.store().ping()), answers("queue", api.engine.queue().ping()),);
    let word = |up: bool| if up { "ok" } else { "unavailable" };
    if !store {
        let problem = Problem::new(Kind::StoreUnavailable, "The store does not answer; no run can be accepted.");
        return Err(problem.with("store", word(store)).with("queue", word(queue)));
    }
    let status = if queue { "ok" } else { "degraded" };
    Ok(Success::Ok.json(&json!({
        "success": true,
        "status": status,
        "service": "hermes",
        "version": env!("CARGO_PKG_VERSION"),
        "store": word(store),
        "queue": word(queue),
    })))
}

async fn answers<E: std::fmt::Display>(what: &str, ping: impl Future<Output = Result<(), E>>) -> bool {
    match tokio::time::timeout(PING_WITHIN, ping).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            warn!(port = what, %error, "not ready");
            false
        }
        Err(_) => {
            warn!(port = what, "not ready: no answer in time");
            false
        }
    }
}

pub(super) async fn metrics(State(api): State<Api>) -> Response {
    // A scrape must not fail with the store: the last known number stays.
    if api.engine.metrics().counts_open_runs()
        && let Ok(Ok(open)) = tokio::time::timeout(PING_WITHIN, api.engine.store().count_open()).await
    {
        api.engine.metrics().set_open_runs(open);
    }
    let mut response = Response::new(api.engine.metrics().render().into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(OPENMETRICS));
    response
}
