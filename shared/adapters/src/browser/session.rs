//! Calls to the browser, with the events that arrive between them.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use super::Failure;
use super::pipe::Pipe;
use super::seen::Seen;

/// Longest wait for the answer of a browser that is up to a call that the page cannot hold up.
pub(super) const CALL_MS: u64 = 15_000;

/// One conversation with one browser about one page.
pub(super) struct Session {
    pipe: Pipe,
    last_id: u64,
    /// The page's own channel, once there is a page.
    page: Option<String>,
    /// What the events have told.
    pub(super) seen: Seen,
}

/// What a message was.
pub(super) enum Told {
    /// An event; [`Session::seen`] knows it.
    Event,
    /// The answer to the call of this number.
    Answer(u64, Result<Value, Failure>),
}

impl Session {
    pub(super) fn new(pipe: Pipe) -> Self {
        Self { pipe, last_id: 0, page: None, seen: Seen::default() }
    }

    /// Opens an empty page and its channel, by `end`; gives the identity of its frame. Any other page that opens is closed.
    pub(super) async fn open_page(&mut self, end: Instant) -> Result<String, Failure> {
        let target = self.call_until("Target.createTarget", json!({"url": "about:blank"}), end).await?;
        let target = text(&target, "/targetId")?;
        let attach = json!({"targetId": target, "flatten": true});
        let attached = self.call_until("Target.attachToTarget", attach, end).await?;
        self.seen.own_target.clone_from(&target);
        let everything_else = json!({
            "autoAttach": true, "waitForDebuggerOnStart": true, "flatten": true,
            "filter": [{"type": "page", "exclude": false}, {"exclude": true}],
        });
        self.call_until("Target.setAutoAttach", everything_else, end).await?;
        self.page = Some(text(&attached, "/sessionId")?);
        let tree = self.call_until("Page.getFrameTree", json!({}), end).await?;
        text(&tree, "/frameTree/frame/id")
    }

    /// Sends a call without waiting; gives its number.
    pub(super) async fn send(&mut self, method: &str, params: Value) -> Result<u64, Failure> {
        self.last_id += 1;
        let mut message = json!({"id": self.last_id, "method": method, "params": params});
        // What concerns the browser as a whole does not go through the channel of a page.
        let is_about_page = !(method.starts_with("Target.") || method.starts_with("Browser."));
        if let (true, Some(page)) = (is_about_page, &self.page) {
            message["sessionId"] = json!(page);
        }
        self.pipe.send(&message).await?;
        Ok(self.last_id)
    }

    /// Sends a call and waits for its answer, for [`CALL_MS`] at most.
    pub(super) async fn call(&mut self, method: &str, params: Value) -> Result<Value, Failure> {
        self.call_until(method, params, Instant::now() + Duration::from_millis(CALL_MS)).await
    }

    /// Sends a call and waits for its answer until `end`.
    pub(super) async fn call_until(&mut self, method: &str, params: Value, end: Instant) -> Result<Value, Failure> {
        let id = self.send(method, params).await?;
        loop {
            match timeout_at(end, self.next()).await {
                Ok(told) => match told? {
                    Told::Answer(answered, result) if answered == id => return result,
                    Told::Answer(..) | Told::Event => {}
                },
                Err(_) => return Err(Failure::Silent(method.to_owned())),
            }
        }
    }

    /// The next message. What an event asks for (a dialog to be closed, another page to be closed) is sent at once.
    pub(super) async fn next(&mut self) -> Result<Told, Failure> {
        let message = self.pipe.receive().await?;
        if let Some(id) = message["id"].as_u64() {
            let result = match message.get("error") {
                Some(error) => Err(Failure::Protocol(error["message"].as_str().unwrap_or("an error").to_owned())),
                None => Ok(message.get("result").cloned().unwrap_or_default()),
            };
            return Ok(Told::Answer(id, result));
        }
        let method = message["method"].as_str().unwrap_or_default();
        for (method, params) in self.seen.event(method, &message["params"])? {
            self.send(method, params).await?;
        }
        Ok(Told::Event)
    }
}

fn text(value: &Value, pointer: &str) -> Result<String, Failure> {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.map(str::to_owned).ok_or_else(|| Failure::Protocol(format!("its answer has no {pointer}")))
}
