//! Around every request: its id, the headers that every answer has, one log line, two metrics.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::Response;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use tracing::{debug, error};

use super::Api;
use super::problem::Cause;
use crate::engine::Metrics;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const REQUEST_ID_BYTES_MAX: usize = 128;

/// What every answer carries, unless its handler set it: no guessing of types, no caching of states, no framing.
const ALWAYS: [(HeaderName, &str); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CACHE_CONTROL, "no-store"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

type Labels = Vec<(&'static str, String)>;
type Durations = Family<Labels, Histogram, fn() -> Histogram>;

/// Counts requests by route, not by path: their number is bounded.
#[derive(Clone)]
pub(super) struct HttpMetrics {
    requests: Family<Labels, Counter>,
    durations: Durations,
}

fn half_a_millisecond_to_four_minutes() -> Histogram {
    Histogram::new(exponential_buckets(0.000_5, 4.0, 10))
}

impl HttpMetrics {
    /// Makes the metrics and adds them to the engine's.
    pub(super) fn register(metrics: &Metrics) -> Self {
        let http = Self {
            requests: Family::default(),
            durations: Family::new_with_constructor(half_a_millisecond_to_four_minutes),
        };
        metrics.register(|registry| {
            registry.register("http_requests", "Answered HTTP requests", http.requests.clone());
            registry.register("http_request_seconds", "Seconds until the answer began", http.durations.clone());
        });
        http
    }

    fn count(&self, method: &Method, route: &str, response: &Response, begun: Instant) {
        let method = if is_usual(method) { method.as_str() } else { "other" };
        let route = ("route", route.to_owned());
        let status = ("status", response.status().as_str().to_owned());
        self.durations.get_or_create(&vec![route.clone()]).observe(begun.elapsed().as_secs_f64());
        self.requests.get_or_create(&vec![("method", method.to_owned()), route, status]).inc();
    }
}

fn is_usual(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS]
        .contains(method)
}

/// The outermost layer.
pub(super) async fn observe(State(api): State<Api>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let id = given_id(request.headers()).unwrap_or_else(|| api.engine.entropy().identity().simple().to_string());
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let method = request.method().clone();
    let mut response = next.run(request).await;
    api.metrics.count(&method, &route, &response, begun);
    let status = response.status().as_u16();
    match response.extensions_mut().remove::<Cause>() {
        Some(Cause(cause)) => {
            error!(request.id = %id, http.method = %method, http.route = %route, http.status = status, %cause,
                "a request met a failure");
        }
        None => debug!(request.id = %id, http.method = %method, http.route = %route, http.status = status, "answered"),
    }
    let headers = response.headers_mut();
    for (name, value) in ALWAYS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    headers.insert(REQUEST_ID, HeaderValue::from_str(&id).expect("checked, or hexadecimal digits"));
    response
}

/// The client's id, if it can stand in a header and in a log line.
fn given_id(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(REQUEST_ID)?.to_str().ok()?;
    let fits = (1..=REQUEST_ID_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    fits.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_id_that_fits_into_a_log_line_is_taken_over() {
        let given = |text: &str| {
            given_id(&HeaderMap::from_iter([(REQUEST_ID, HeaderValue::from_str(text).expect("a header value"))]))
        };
        assert_eq!(given("req-1/2:3").as_deref(), Some("req-1/2:3"));
        for text in ["", "two words", &"x".repeat(REQUEST_ID_BYTES_MAX + 1)] {
            assert_eq!(given(text), None, "{text}");
        }
    }
}
