//! A client that costs little, because it shares the machine with what it measures: one connection, one request at a
//! time, bodies as they are.

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, header};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use url::Url;

/// A connection to one server, opened anew when the server has closed it.
pub(super) struct Connection {
    authority: String,
    sender: Option<SendRequest<Full<Bytes>>>,
}

/// An answer.
pub(super) struct Answer {
    pub(super) status: u16,
    /// Seconds after which the server wants to be asked again.
    pub(super) retry_after: Option<u64>,
    pub(super) body: Bytes,
}

impl Answer {
    /// The body as `T`, if the status is what it should be.
    pub(super) fn read<T: DeserializeOwned>(&self, status: u16) -> anyhow::Result<T> {
        let text = || String::from_utf8_lossy(&self.body[..self.body.len().min(400)]).into_owned();
        anyhow::ensure!(self.status == status, "status {}: {}", self.status, text());
        serde_json::from_slice(&self.body).with_context(|| format!("cannot read the answer {}", text()))
    }
}

impl Connection {
    /// To the server of an `http` URL; nothing is opened yet.
    pub(super) fn to(server: &Url) -> anyhow::Result<Self> {
        anyhow::ensure!(server.scheme() == "http" && server.path() == "/", "the URL must be like http://host:port");
        let host = server.host_str().context("the URL has no host")?;
        Ok(Self { authority: format!("{host}:{}", server.port_or_known_default().unwrap_or(80)), sender: None })
    }

    /// `GET`.
    pub(super) async fn get(&mut self, path: &str) -> anyhow::Result<Answer> {
        self.send(Method::GET, path, Bytes::new()).await
    }

    /// `POST` of JSON.
    pub(super) async fn post(&mut self, path: &str, body: Bytes) -> anyhow::Result<Answer> {
        self.send(Method::POST, path, body).await
    }

    async fn send(&mut self, method: Method, path: &str, body: Bytes) -> anyhow::Result<Answer> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.authority)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))?;
        let sender = self.open().await?;
        let response = sender.send_request(request).await.with_context(|| format!("no answer to {path}"))?;
        let status = response.status().as_u16();
        let advice = response.headers().get(header::RETRY_AFTER);
        let retry_after = advice.and_then(|value| value.to_str().ok()?.parse().ok());
        let body = response.into_body().collect().await?.to_bytes();
        Ok(Answer { status, retry_after, body })
    }

    async fn open(&mut self) -> anyhow::Result<&mut SendRequest<Full<Bytes>>> {
        let usable = match self.sender.as_mut() {
            Some(sender) => sender.ready().await.is_ok(),
            None => false,
        };
        if !usable {
            let stream = TcpStream::connect(&self.authority).await;
            let stream = stream.with_context(|| format!("nothing answers at {}", self.authority))?;
            stream.set_nodelay(true)?;
            let (sender, connection) = handshake(TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            self.sender = Some(sender);
        }
        Ok(self.sender.as_mut().expect("it was just opened"))
    }
}
