//! The API behind its listener, as bytes on a connection.

use hermes_core::ports::store::Store;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::world::{World, submission};
use crate::api::{ServerLimits, serve};

async fn connected(world: &World) -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(serve(listener, world.router(), ServerLimits::default(), world.shutdown.clone()));
    TcpStream::connect(address).await.expect("connects")
}

fn head(request_line: &str, headers: &[(&str, &str)]) -> String {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("{request_line} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{headers}\r\n")
}

async fn everything(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    stream.read_to_end(&mut text).await.expect("an end without a reset");
    String::from_utf8(text).expect("text")
}

#[tokio::test]
async fn a_client_reads_why_its_long_body_was_refused_even_if_it_sends_all_of_it_first() {
    let world = World::new().await;
    for length in [1_024 * 1_024 + 1, 4 * 1_024 * 1_024] {
        let mut stream = connected(&world).await;
        let head = head("POST /api/orchestration/run", &[("Content-Length", &length.to_string())]);
        stream.write_all(head.as_bytes()).await.expect("writes");
        stream.write_all(&vec![b' '; length]).await.expect("writes");
        let answer = everything(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{length} {answer}");
    }
}

#[tokio::test]
async fn a_client_that_hangs_up_while_it_waits_does_not_touch_the_run() {
    let world = World::new().await;
    let mut stream = connected(&world).await;
    let body = submission().to_string();
    let head = head("POST /api/orchestration/run", &[("Content-Length", &body.len().to_string())]);
    stream.write_all(format!("{head}{body}").as_bytes()).await.expect("writes");
    let run_id = world.the_run().await;
    drop(stream);
    world.settle(run_id).await;
    let run = world.store.run(run_id).await.expect("read").expect("there");
    assert_eq!(run.status().as_str(), "completed");
}

#[tokio::test]
async fn a_stream_reaches_its_client_event_by_event() {
    let world = World::new().await;
    let run_id = world.submitted().await;
    let mut stream = connected(&world).await;
    let path = format!("GET /api/orchestration/runs/{run_id}/events");
    stream.write_all(head(&path, &[("Accept", "text/event-stream")]).as_bytes()).await.expect("writes");
    let mut seen = String::new();
    let mut buffer = [0; 4_096];
    // The first events come while the run is open; only then does it go on.
    while !seen.contains("event: wave") {
        let count = stream.read(&mut buffer).await.expect("reads");
        assert_ne!(count, 0, "the stream ended early: {seen}");
        seen.push_str(std::str::from_utf8(&buffer[..count]).expect("text"));
    }
    world.settle(run_id).await;
    seen.push_str(&everything(&mut stream).await);
    let data: Vec<Value> = seen
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).expect("JSON"))
        .collect();
    let last = world.store.run(run_id).await.expect("read").expect("there").state().last_seq;
    assert_eq!(
        data.iter().filter_map(|event| event["seq"].as_u64()).collect::<Vec<_>>(),
        (1..=last).collect::<Vec<_>>()
    );
}
