//! A fleet: dispatchers and worker-runners as real processes over a real Postgres and a real Redis.

use std::net::{SocketAddr, TcpListener};

use serde_json::Value;

use super::process::Process;

/// What a fleet shares, and its processes.
pub struct Fleet {
    environment: Vec<(String, String)>,
    listen: SocketAddr,
    /// The dispatcher that answers on [`Fleet::url`].
    pub dispatcher: Process,
    /// The worker-runners.
    pub workers: Vec<Process>,
    client: reqwest::Client,
}

impl Fleet {
    /// One dispatcher and `workers` worker-runners that know the external workers of `external`.
    pub async fn start(
        database_url: &str,
        redis_url: &str,
        redis_prefix: &str,
        workers: usize,
        external: &[(String, String)],
    ) -> Self {
        let listen = free_address();
        let pairs = [
            ("HERMES_DATABASE_URL", database_url.to_owned()),
            ("HERMES_REDIS_URL", redis_url.to_owned()),
            ("HERMES_REDIS_PREFIX", redis_prefix.to_owned()),
            ("HERMES_API_LISTEN", listen.to_string()),
            ("HERMES_WORKER_ALLOW_PRIVATE_TARGETS", "true".to_owned()),
        ];
        let mut environment: Vec<_> = pairs.map(|(key, value)| (key.to_owned(), value)).to_vec();
        environment.extend(external.iter().cloned());
        let dispatcher = start_dispatcher(&environment).await;
        let mut running = Vec::new();
        for _ in 0..workers {
            running.push(start_worker(&environment).await);
        }
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { environment, listen, dispatcher, workers: running, client }
    }

    /// Absolute URL of `path`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.listen)
    }

    /// Starts a dispatcher on the same address again.
    pub async fn restart_dispatcher(&mut self) {
        self.restart_dispatcher_with(&[]).await;
    }

    /// The same, with more in its environment.
    pub async fn restart_dispatcher_with(&mut self, more: &[(String, String)]) {
        self.dispatcher = start_dispatcher(&[&self.environment, more].concat()).await;
    }

    /// Adds a worker-runner.
    pub async fn add_worker(&mut self) {
        self.add_worker_with(&[]).await;
    }

    /// The same, with more in its environment.
    pub async fn add_worker_with(&mut self, more: &[(String, String)]) {
        let worker = start_worker(&[&self.environment, more].concat()).await;
        self.workers.push(worker);
    }

    /// `GET`; gives the status and the JSON body.
    pub async fn get(&self, path: &str) -> (u16, Value) {
        answer(self.client.get(self.url(path))).await
    }

    /// `POST`; gives the status and the JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        answer(with_json(self.client.post(self.url(path)), body)).await
    }

    /// `POST` with a bearer token.
    pub async fn post_with_token(&self, url: &str, token: &str, body: &Value) -> (u16, Value) {
        answer(with_json(self.client.post(url).bearer_auth(token), body)).await
    }

    /// Starts a run without waiting for it; gives its id.
    ///
    /// # Panics
    /// If it is not accepted.
    pub async fn submit(&self, body: &Value) -> String {
        let mut body = body.clone();
        body["wait"] = Value::Bool(false);
        let (status, answer) = self.post("/api/orchestration/run", &body).await;
        assert_eq!(status, 202, "{answer}");
        answer["run_id"].as_str().expect("an id").to_owned()
    }

    /// Waits until this many services of the run have completed.
    pub async fn completed(&self, run_id: &str, count: usize) {
        loop {
            let (_, run) = self.get(&format!("/api/orchestration/runs/{run_id}")).await;
            let services = run["services"].as_array().expect("services");
            if services.iter().filter(|service| service["status"] == "completed").count() >= count {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Waits until the run has settled, by its event stream, and gives its resource.
    ///
    /// # Panics
    /// If the stream ends before.
    pub async fn settled(&self, run_id: &str) -> Value {
        let path = format!("/api/orchestration/runs/{run_id}/events");
        loop {
            let request = self.client.get(self.url(&path)).header("accept", "text/event-stream").send();
            // The stream ends after the run has settled; a dispatcher that was killed ends it before.
            if let Ok(response) = request.await {
                drop(response.bytes().await);
            }
            if let Ok(response) = self.client.get(self.url(&format!("/api/orchestration/runs/{run_id}"))).send().await {
                let body = response.bytes().await.unwrap_or_default();
                let run: Value = serde_json::from_slice(&body).unwrap_or_default();
                let status = run["status"].as_str().unwrap_or_default();
                if !matches!(status, "started" | "running" | "") {
                    return run;
                }
            }
            tokio::task::yield_now().await;
        }
    }
}

/// A dispatcher that is ready.
pub async fn start_dispatcher(environment: &[(String, String)]) -> Process {
    let mut dispatcher = Process::start("hermes-dispatcher", &[], environment);
    dispatcher.says("dispatcher ready").await;
    dispatcher
}

/// A worker-runner that serves its keys.
pub async fn start_worker(environment: &[(String, String)]) -> Process {
    // A worker-runner needs to know Redis, and the workers it calls.
    let its_own: Vec<_> =
        environment.iter().filter(|(key, _)| !key.contains("DATABASE") && !key.contains("LISTEN")).cloned().collect();
    let mut worker = Process::start("hermes-worker-runner", &[], &its_own);
    worker.says("serving worker keys").await;
    worker
}

async fn answer(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request.send().await.expect("the dispatcher answers");
    let status = response.status().as_u16();
    let body = response.bytes().await.expect("a whole answer");
    (status, serde_json::from_slice(&body).expect("the answer is JSON"))
}

fn with_json(request: reqwest::RequestBuilder, body: &Value) -> reqwest::RequestBuilder {
    request.header("content-type", "application/json").body(body.to_string())
}

/// A free address of loopback.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port")
}
