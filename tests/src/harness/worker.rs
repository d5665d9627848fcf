//! An external HTTP worker, written as the contract says, whose answers a test chooses and whose requests it can wait
//! for and hold back.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, Semaphore, mpsc};

/// How the worker answers `POST /run`.
#[derive(Clone, Debug)]
pub enum Answer {
    /// `{"ok": true, "data": …}`.
    Data(Value),
    /// A status, a content type and a body.
    Raw(u16, &'static str, String),
    /// 202; the test delivers the result later.
    Accepted,
    /// Nothing: the connection stays open.
    Never,
}

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Received {
    /// Header fields.
    pub headers: HeaderMap,
    /// The body.
    pub body: Value,
}

/// A running worker.
pub struct HttpWorker {
    address: SocketAddr,
    received: Mutex<mpsc::UnboundedReceiver<Received>>,
    permits: Arc<Semaphore>,
}

#[derive(Clone)]
struct Shared {
    answer: Answer,
    seen: mpsc::UnboundedSender<Received>,
    permits: Arc<Semaphore>,
}

impl HttpWorker {
    /// A worker that answers at once.
    pub async fn start(answer: Answer) -> Self {
        Self::serve(answer, Semaphore::MAX_PERMITS).await
    }

    /// A worker that holds each answer back until [`Self::release`].
    pub async fn held(answer: Answer) -> Self {
        Self::serve(answer, 0).await
    }

    async fn serve(answer: Answer, permits: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (seen, received) = mpsc::unbounded_channel();
        let permits = Arc::new(Semaphore::new(permits));
        let shared = Shared { answer, seen, permits: permits.clone() };
        let router = axum::Router::new().route("/api/run", post(run)).with_state(shared);
        tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves until the test ends") });
        Self { address, received: Mutex::new(received), permits }
    }

    /// The two environment variables that plug it in under `worker_key`.
    #[must_use]
    pub fn environment(&self, worker_key: &str) -> [(String, String); 2] {
        let name = worker_key.to_uppercase();
        let url = format!("http://{}/api/", self.address);
        [(format!("{name}_BASE_URL"), url), (format!("{name}_API_KEY"), "key-of-the-test".to_owned())]
    }

    /// Waits for the next request.
    ///
    /// # Panics
    /// If none comes within two minutes.
    pub async fn request(&self) -> Received {
        let mut received = self.received.lock().await;
        let next = tokio::time::timeout(std::time::Duration::from_secs(120), received.recv()).await;
        next.expect("a request comes").expect("the worker runs")
    }

    /// The requests that came and were not waited for.
    pub async fn requests(&self) -> Vec<Received> {
        let mut received = self.received.lock().await;
        std::iter::from_fn(|| received.try_recv().ok()).collect()
    }

    /// Holds no answer back any more.
    pub fn open(&self) {
        self.permits.add_permits(Semaphore::MAX_PERMITS / 2);
    }

    /// Lets one held answer go.
    pub fn release(&self) {
        self.permits.add_permits(1);
    }
}

async fn run(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let body = serde_json::from_slice(&body).expect("a worker is sent JSON");
    // A test that ended does not listen any more.
    let _ = shared.seen.send(Received { headers, body });
    shared.permits.acquire().await.expect("never closed").forget();
    match shared.answer {
        Answer::Data(data) => axum::Json(json!({
            "ok": true, "service": "test", "version": "1", "schema_version": "1", "request_id": "r", "data": data,
        }))
        .into_response(),
        Answer::Raw(status, kind, body) => {
            let status = StatusCode::from_u16(status).expect("a status");
            (status, [(header::CONTENT_TYPE, kind)], body).into_response()
        }
        Answer::Accepted => StatusCode::ACCEPTED.into_response(),
        Answer::Never => std::future::pending().await,
    }
}
