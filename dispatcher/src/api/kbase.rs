//! `GET /api/kbase/events` and `POST`: the log of everything, and a way for workers to write into it under a run.

use axum::extract::{Request, State};
use axum::http::{HeaderValue, Uri, header};
use axum::response::Response;
use hermes_core::kbase::{HERMES, KbaseEvent, NotedEvent};
use hermes_core::limits::{NAME_BYTES_MAX, PAGE_EVENTS_MAX};
use hermes_core::ports::store::EventFilter;
use hermes_core::run::Event;
use hermes_core::{EventId, Run, RunId, ServiceName, WebsiteId};
use serde::Serialize;
use serde_json::json;

use super::Api;
use super::body::Members;
use super::problem::{Problem, Success};
use super::query::{EventCursor, Query, cut};
use super::run::{load, path};

const PAGE_DEFAULT: usize = 100;
/// How far back the log of a run is searched for an event that was written a moment ago.
const LOOK_BACK: u64 = 64;

#[derive(Serialize)]
struct Page {
    success: bool,
    events: Vec<KbaseEvent>,
    next_cursor: Option<String>,
}

pub(super) async fn list(State(api): State<Api>, uri: Uri) -> Result<Response, Problem> {
    let query = Query::of(&uri, &["website_id", "run_id", "service", "type", "limit", "cursor"])?;
    let filter = EventFilter {
        website_id: query.get("website_id")?,
        run_id: query.get("run_id")?,
        service: query.get("service")?,
        kind: query.get("type")?,
    };
    let limit = query.limit(PAGE_DEFAULT, PAGE_EVENTS_MAX)?;
    let before = query.get("cursor")?.map(|EventCursor(at, id)| (at, id));
    let (events, more) = cut(api.engine.store().kbase(&filter, before, limit + 1).await?, limit);
    let next_cursor = events.last().filter(|_| more).map(|event| EventCursor(event.created_at, event.event_id));
    Ok(Success::Ok.json(&Page { success: true, events, next_cursor: next_cursor.map(|cursor| cursor.to_string()) }))
}

pub(super) async fn create(State(api): State<Api>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let mut members = Members::read(&parts.headers, body).await?;
    let run_id: RunId = members.required("run_id")?;
    let website_id: Option<WebsiteId> = members.optional("website_id")?;
    let noted = noted(&mut members)?;
    let belongs_to = load(&api, run_id).await?.state().website_id.clone();
    if website_id.is_some_and(|given| given != belongs_to) {
        return Err(Problem::value("website_id", format!("The run belongs to the website '{belongs_to}'.")));
    }
    let run = api.engine.command(run_id, Event::Noted(noted.clone())).await?;
    let event_id = find(&api, &run, &noted).await?;
    let mut response = Success::Created.json(&json!({"success": true, "event_id": event_id, "run_id": run_id}));
    let location = format!("{}/events?after={}&limit=1", path(run_id), event_id.seq - 1);
    response.headers_mut().insert(header::LOCATION, HeaderValue::from_str(&location).expect("digits and letters"));
    Ok(response)
}

fn noted(members: &mut Members) -> Result<NotedEvent, Problem> {
    let service: ServiceName = members.required("service")?;
    if service.as_str() == HERMES {
        return Err(Problem::value("service", "'hermes' is the orchestrator's own name; give the worker's."));
    }
    let kind: String = members.required("type")?;
    let fits = (1..=NAME_BYTES_MAX).contains(&kind.len())
        && kind.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/".contains(&byte));
    if !fits {
        let detail = format!("A type has 1 to {NAME_BYTES_MAX} letters, digits or any of '-_.:/'.");
        return Err(Problem::value("type", detail));
    }
    Ok(NotedEvent { service: service.to_string(), kind, payload: members.raw("payload")? })
}

/// The number under which an event was written: normally the last one, but others may have been written with it.
async fn find(api: &Api, run: &Run, noted: &NotedEvent) -> Result<EventId, Problem> {
    let after = run.state().last_seq.saturating_sub(LOOK_BACK);
    let limit = usize::try_from(LOOK_BACK).expect("a small number");
    let events = api.engine.store().run_events(run.id(), after, limit).await?;
    let same = |event: &&KbaseEvent| {
        event.service == noted.service && event.kind == noted.kind && event.payload == noted.payload
    };
    let found = events.iter().rev().find(same).map(|event| event.event_id);
    Ok(found.unwrap_or(EventId { run_id: run.id(), seq: run.state().last_seq }))
}
