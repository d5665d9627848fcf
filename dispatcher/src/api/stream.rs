//! The log of a run as server-sent events (WHATWG HTML, 9.2): gapless from any number on, until the run has settled and
//! everything was sent.
//!
//! A browser connects again when a stream ends; with its `Last-Event-ID` it is then told 204, which ends that.

use std::collections::VecDeque;
use std::convert::Infallible;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::Stream;
use hermes_core::RunId;
use hermes_core::kbase::KbaseEvent;
use hermes_core::ports::store::StoreError;
use hermes_core::wire::printable;
use tokio::sync::OwnedSemaphorePermit;
use tracing::warn;

use super::Api;
use super::problem::{Kind, Problem, Success};
use super::run::load;
use crate::engine::Watcher;

/// Events that are read at a time.
const READ_AHEAD: usize = 256;
/// Bytes of an event's type on the wire.
const TYPE_BYTES_MAX: usize = 256;

/// Where a stream is.
struct Tail {
    api: Api,
    run_id: RunId,
    watcher: Watcher,
    /// Number of the last event that was read.
    after: u64,
    ready: VecDeque<KbaseEvent>,
    _permit: OwnedSemaphorePermit,
}

/// Opens a stream of the events with numbers greater than `after`.
pub(super) async fn open(api: Api, run_id: RunId, after: u64) -> Result<Response, Problem> {
    let permit = api.streams.clone().try_acquire_owned().map_err(|_| {
        let detail = format!("{} event streams are open already; try again.", api.options.streams_max);
        Problem::new(Kind::Overloaded, detail)
    })?;
    // Watching begins before the first look, so that no change falls between them.
    let watcher = api.engine.watch(run_id);
    let run = load(&api, run_id).await?;
    if run.status().is_settled() && after >= run.state().last_seq && after > 0 {
        return Ok(Success::Nothing.empty());
    }
    let heartbeat = KeepAlive::new().interval(api.options.heartbeat).text("alive");
    let tail = Tail { api, run_id, watcher, after, ready: VecDeque::new(), _permit: permit };
    Ok(Sse::new(events(tail)).keep_alive(heartbeat).into_response())
}

fn events(tail: Tail) -> impl Stream<Item = Result<Event, Infallible>> + Send {
    futures::stream::unfold(tail, |mut tail| async move {
        let event = tail.next().await?;
        Some((Ok(to_wire(&event)), tail))
    })
}

fn to_wire(event: &KbaseEvent) -> Event {
    let data = serde_json::to_string(event).expect("events serialise");
    Event::default().id(event.seq.to_string()).event(printable(&event.kind, TYPE_BYTES_MAX)).data(data)
}

impl Tail {
    /// The next event; `None` ends the stream.
    async fn next(&mut self) -> Option<KbaseEvent> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            match self.read().await {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    // The client connects again and goes on where it was.
                    warn!(run.id = %self.run_id, %error, "an event stream ends early");
                    return None;
                }
            }
        }
    }

    /// Reads what there is, or waits until there may be more; false at the end.
    async fn read(&mut self) -> Result<bool, StoreError> {
        let store = self.api.engine.store();
        let events = store.run_events(self.run_id, self.after, READ_AHEAD).await?;
        if let Some(last) = events.last() {
            self.after = last.seq;
            self.ready.extend(events);
            return Ok(true);
        }
        // A run and its events are committed together: if it is settled at the number that was read last, that was all.
        let Some(run) = store.run(self.run_id).await? else { return Ok(false) };
        if self.after < run.state().last_seq {
            return Ok(true);
        }
        if run.status().is_settled() {
            return Ok(false);
        }
        tokio::select! {
            _ = self.watcher.changed() => Ok(true),
            () = self.api.options.shutdown.cancelled() => Ok(false),
        }
    }
}
