//! `GET /api/orchestration/runs/{id}/events`: the log of a run, as pages of JSON or as a stream of server-sent events.

use axum::extract::State;
use axum::http::{HeaderMap, Uri, header};
use axum::response::Response;
use hermes_core::kbase::KbaseEvent;
use hermes_core::limits::PAGE_EVENTS_MAX;
use hermes_core::{RunId, RunStatus};
use serde::Serialize;

use super::Api;
use super::problem::{Kind, Problem, Success};
use super::query::{Query, Segments};
use super::run::load;
use super::stream;

const PAGE_DEFAULT: usize = 200;

#[derive(Serialize)]
struct Page {
    success: bool,
    run_id: RunId,
    status: RunStatus,
    events: Vec<KbaseEvent>,
    /// What to give as `after` for the next page.
    next_after: u64,
    /// Whether the log has events behind this page already.
    has_more: bool,
}

pub(super) async fn list(
    State(api): State<Api>,
    segments: Segments,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let run_id = segments.run()?;
    let query = Query::of(&uri, &["after", "limit"])?;
    let after: u64 = query.get("after")?.unwrap_or(0);
    let limit = query.limit(PAGE_DEFAULT, PAGE_EVENTS_MAX)?;
    if wants_stream(&headers) {
        return stream::open(api, run_id, last_event_id(&headers)?.unwrap_or(after)).await;
    }
    // The run before its events: they are then at least as new as the status says.
    let run = load(&api, run_id).await?;
    let events = api.engine.store().run_events(run_id, after, limit).await?;
    let next_after = events.last().map_or(after, |event| event.seq);
    let has_more = next_after < run.state().last_seq;
    Ok(Success::Ok.json(&Page { success: true, run_id, status: run.status(), events, next_after, has_more }))
}

fn wants_stream(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|range| {
        let essence = range.split(';').next().unwrap_or_default();
        essence.trim().eq_ignore_ascii_case("text/event-stream")
    })
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    let number = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    number.map(Some).ok_or_else(|| {
        let detail = "The Last-Event-ID is the number of an event, as the stream gave it.";
        Problem::new(Kind::InvalidHeader, detail).with("field", "Last-Event-ID")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_for_those_who_accept_one() {
        let wants =
            |text: &str| wants_stream(&HeaderMap::from_iter([(header::ACCEPT, text.parse().expect("a value"))]));
        assert!(wants("text/event-stream"));
        assert!(wants("application/json;q=0.5, Text/Event-Stream;q=0.9"));
        assert!(!wants("application/json"));
        assert!(!wants("*/*"));
        assert!(!wants_stream(&HeaderMap::new()));
    }

    #[test]
    fn a_last_event_id_is_a_number() {
        let id = |text: &'static str| {
            last_event_id(&HeaderMap::from_iter([(
                "last-event-id".parse().expect("a name"),
                text.parse().expect("a value"),
            )]))
        };
        assert_eq!(id("7").expect("a number"), Some(7));
        assert_eq!(id("seven").expect_err("no number").kind(), Kind::InvalidHeader);
    }
}
