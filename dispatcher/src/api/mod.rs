//! The HTTP API: the customer's endpoints under their exact paths, and the ones around them.
//!
//! Each resource has a file. Handlers translate: outside types become inside types here, the engine and the core decide,
//! and what they answer is told in the customer's words. Deliberately absent: keys and scopes; without them the server
//! belongs on loopback or behind a proxy that checks who asks.

mod batch;
mod body;
mod callback;
mod control;
mod diagnosis;
mod diagnosis_report;
mod diff;
mod events;
mod guard;
mod health;
mod kbase;
mod observe;
mod plans;
mod prefer;
mod problem;
mod query;
mod report;
mod run;
mod runs;
mod server;
mod stream;
mod submit;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{Method, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

pub use guard::Hosts;
pub use server::{ServerLimits, serve};

use crate::engine::Engine;
use observe::HttpMetrics;
use problem::{Kind, Problem};

/// How the API behaves.
#[derive(Clone, Debug)]
pub struct ApiOptions {
    /// Under which names the server answers.
    pub hosts: Hosts,
    /// Longest time until an answer begins, waiting for a run left aside.
    pub answer_within: Duration,
    /// How much longer than a run's longest duration a client waits for it before it is told to look later.
    pub wait_slack: Duration,
    /// A silent event stream says this often that it is alive.
    pub heartbeat: Duration,
    /// Event streams at the same time.
    pub streams_max: usize,
    /// Cancelled when the server stops: waits and streams end at once, and clients go on elsewhere.
    pub shutdown: CancellationToken,
}

impl Default for ApiOptions {
    fn default() -> Self {
        Self {
            hosts: Hosts::Local,
            answer_within: Duration::from_secs(20),
            wait_slack: Duration::from_secs(5),
            heartbeat: Duration::from_secs(15),
            streams_max: 1_024,
            shutdown: CancellationToken::new(),
        }
    }
}

/// What handlers share.
#[derive(Clone)]
struct Api {
    engine: Engine,
    options: Arc<ApiOptions>,
    metrics: HttpMetrics,
    streams: Arc<Semaphore>,
}

impl Api {
    /// The outcome of `work`, or the problem that it takes too long.
    async fn in_time<T>(&self, work: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
        tokio::time::timeout(self.options.answer_within, work).await.unwrap_or_else(|_| {
            let seconds = self.options.answer_within.as_secs_f64();
            Err(Problem::new(Kind::TimedOut, format!("No answer was found within {seconds} s; try again.")))
        })
    }
}

/// The whole API.
pub fn router(engine: Engine, options: ApiOptions) -> Router {
    let metrics = HttpMetrics::register(engine.metrics());
    let streams = Arc::new(Semaphore::new(options.streams_max));
    let api = Api { engine, options: Arc::new(options), metrics, streams };
    // Waits for a run, and so sees to its own time-outs.
    let patient = Router::new().route("/api/orchestration/run", post(run::create));
    let prompt = orchestration()
        .route("/api/kbase/events", get(kbase::list).post(kbase::create))
        .route("/metrics", get(health::metrics))
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .layer(from_fn_with_state(api.clone(), in_time));
    patient
        .merge(prompt)
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(unknown_path)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(api.clone(), guard::guard))
        .layer(from_fn_with_state(api.clone(), observe::observe))
        .with_state(api)
}

fn orchestration() -> Router<Api> {
    let routes = Router::new()
        .route("/health", get(health::ready))
        .route("/plans", get(plans::list).post(plans::create))
        .route("/plans/validate", post(plans::validate))
        .route("/plans/{planId}", get(plans::show))
        .route("/runs", get(runs::list))
        .route("/runs/batch", post(batch::create))
        .route("/runs/{id}", get(runs::show))
        .route("/runs/{id}/events", get(events::list))
        .route("/runs/{id}/diagnosis", get(diagnosis::show))
        .route("/runs/{id}/report", get(diagnosis_report::show))
        .route("/runs/{id}/diff/{other}", get(diff::show))
        .route("/runs/{id}/cancel", post(control::cancel))
        .route("/runs/{id}/rerun", post(control::rerun))
        .route("/runs/{id}/services/{service}/attempts/{attempt}/result", post(callback::deliver))
        .route("/runs/{id}/services/{service}/attempts/{attempt}/report", post(report::deliver));
    Router::new().nest("/api/orchestration", routes)
}

async fn in_time(State(api): State<Api>, request: Request, next: Next) -> Response {
    api.in_time(async { Ok(next.run(request).await) }).await.into_response()
}

async fn unknown_path(uri: Uri) -> Problem {
    Problem::new(Kind::UnknownPath, format!("There is nothing under '{}'.", uri.path()))
}

async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    Problem::new(Kind::MethodNotAllowed, format!("'{}' does not know the method {method}.", uri.path()))
}

fn panicked(payload: Box<dyn Any + Send>) -> Response {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no message");
    Problem::internal(format!("a handler panicked: {text}")).into_response()
}
