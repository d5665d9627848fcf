//! The log of a run: pages and streams.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::Request;
use futures::StreamExt;
use hermes_core::RunId;
use hermes_core::ports::store::Store;

use super::world::World;

fn path(run_id: RunId) -> String {
    format!("/api/orchestration/runs/{run_id}/events")
}

fn stream_from(run_id: RunId, last_event_id: Option<u64>) -> Request<Body> {
    let request = Request::get(path(run_id)).header("accept", "text/event-stream");
    let request = match last_event_id {
        Some(id) => request.header("last-event-id", id.to_string()),
        None => request,
    };
    request.body(Body::empty()).expect("a request")
}

/// Reads frames as they come.
struct Frames {
    body: BodyDataStream,
    text: String,
}

impl Frames {
    async fn open(world: &World, run_id: RunId, last_event_id: Option<u64>) -> Self {
        let response = world.open(stream_from(run_id, last_event_id)).await;
        assert_eq!(response.status().as_u16(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { body: response.into_body().into_data_stream(), text: String::new() }
    }

    async fn next(&mut self) -> Option<String> {
        loop {
            if let Some((frame, rest)) = self.text.split_once("\n\n") {
                let (frame, rest) = (frame.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(frame);
            }
            let chunk = self.body.next().await?.expect("no error");
            self.text.push_str(std::str::from_utf8(&chunk).expect("text"));
        }
    }

    /// Number and type of the next event, past heartbeats.
    async fn event(&mut self) -> Option<(u64, String)> {
        loop {
            let frame = self.next().await?;
            let field = |name: &str| frame.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            if let Some(id) = field("id:") {
                return Some((id.parse().expect("a number"), field("event:").expect("a type").to_owned()));
            }
        }
    }

    async fn rest(&mut self) -> Vec<u64> {
        let mut seen = Vec::new();
        while let Some((seq, _)) = self.event().await {
            seen.push(seq);
        }
        seen
    }
}

async fn last_seq(world: &World, run_id: RunId) -> u64 {
    world.store.run(run_id).await.expect("read").expect("there").state().last_seq
}

#[tokio::test]
async fn the_log_is_read_in_pages_without_gaps() {
    let world = World::new().await;
    let run_id = world.settled().await;
    let (mut after, mut seen) = (0, Vec::new());
    loop {
        let page = world.get(&format!("{}?after={after}&limit=2", path(run_id))).await;
        let events = page.body["events"].as_array().expect("a list");
        seen.extend(events.iter().map(|event| event["seq"].as_u64().expect("a number")));
        after = page.body["next_after"].as_u64().expect("a number");
        if page.body["has_more"] == false {
            break;
        }
    }
    assert_eq!(seen, (1..=last_seq(&world, run_id).await).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_stream_tells_everything_as_it_happens_and_ends_with_the_run() {
    let world = World::new().await;
    let run_id = world.submitted().await;
    let mut frames = Frames::open(&world, run_id, None).await;
    assert_eq!(frames.event().await, Some((1, "run_status".to_owned())));
    assert_eq!(frames.event().await, Some((2, "wave".to_owned())));
    world.complete(run_id, "a").await;
    assert_eq!(frames.event().await, Some((3, "result".to_owned())));
    world.complete(run_id, "b").await;
    let last = last_seq(&world, run_id).await;
    assert_eq!(frames.rest().await, (4..=last).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_data_of_a_frame_is_the_event() {
    let world = World::new().await;
    let run_id = world.settled().await;
    let frame = Frames::open(&world, run_id, None).await.next().await.expect("an event");
    let data = frame.lines().find_map(|line| line.strip_prefix("data:")).expect("data");
    let page = world.get(&path(run_id)).await;
    assert_eq!(serde_json::from_str::<serde_json::Value>(data).expect("JSON"), page.body["events"][0]);
}

#[tokio::test]
async fn a_stream_resumes_behind_the_last_event_at_any_point() {
    let world = World::new().await;
    let run_id = world.settled().await;
    let last = last_seq(&world, run_id).await;
    for seen in 0..last {
        let mut frames = Frames::open(&world, run_id, Some(seen)).await;
        assert_eq!(frames.rest().await, (seen + 1..=last).collect::<Vec<_>>());
    }
    let response = world.open(stream_from(run_id, Some(last))).await;
    assert_eq!(response.status().as_u16(), 204, "a browser stops connecting again");
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_says_that_it_is_alive() {
    let world = World::with(|options| options.heartbeat = Duration::from_secs(3)).await;
    let run_id = world.submitted().await;
    let mut frames = Frames::open(&world, run_id, Some(2)).await;
    let begun = tokio::time::Instant::now();
    assert_eq!(frames.next().await.as_deref(), Some(": alive"));
    assert_eq!(begun.elapsed().as_secs(), 3);
}

#[tokio::test]
async fn a_stream_ends_when_the_server_stops() {
    let world = World::new().await;
    let run_id = world.submitted().await;
    let mut frames = Frames::open(&world, run_id, Some(2)).await;
    world.shutdown.cancel();
    assert_eq!(frames.event().await, None);
}

#[tokio::test]
async fn one_stream_more_than_allowed_is_refused_until_another_ends() {
    let world = World::with(|options| options.streams_max = 1).await;
    let run_id = world.submitted().await;
    let frames = Frames::open(&world, run_id, None).await;
    assert_eq!(world.send(stream_from(run_id, None)).await.problem(), (503, "overloaded"));
    drop(frames);
    Frames::open(&world, run_id, None).await;
}

#[tokio::test]
async fn a_last_event_id_that_is_no_number_is_refused() {
    let world = World::new().await;
    let run_id = world.submitted().await;
    let mut request = stream_from(run_id, None);
    request.headers_mut().insert("last-event-id", "seven".parse().expect("a value"));
    assert_eq!(world.send(request).await.problem(), (400, "invalid-header"));
}
