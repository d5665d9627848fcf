//! A small web server whose answers are told by path.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

/// Paths that are accepted and never answered begin like this.
pub(super) const HANG: &str = "/hang";

pub(super) struct Server {
    pub(super) address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    more: Arc<Notify>,
    _task: AbortOnDropHandle<()>,
}

impl Server {
    /// Serves `pages` as HTML (`429:` and a body is answered with that status, `->` and an address with a redirect), and `text/javascript` where the path ends in `.js`. `*` is what all other paths get.
    pub(super) async fn with(pages: &[(&str, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback can be bound");
        let address = listener.local_addr().expect("bound");
        let pages: HashMap<String, String> =
            pages.iter().map(|(path, body)| ((*path).to_owned(), (*body).to_owned())).collect();
        let (pages, seen, more) = (Arc::new(pages), Arc::new(Mutex::new(Vec::new())), Arc::new(Notify::new()));
        let (heard, woken) = (seen.clone(), more.clone());
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, pages.clone(), heard.clone(), woken.clone()));
            }
        });
        Self { address, seen, more, _task: AbortOnDropHandle::new(task) }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The heads of the requests so far; a connection without a request counts as an empty one.
    pub(super) fn requests(&self) -> Vec<String> {
        self.seen.lock().expect("not poisoned").clone()
    }

    /// Waits until a request for `path` has come.
    pub(super) async fn asked_for(&self, path: &str) {
        loop {
            let more = self.more.notified();
            tokio::pin!(more);
            more.as_mut().enable();
            if self.requests().iter().any(|head| head.starts_with(&format!("GET {path} "))) {
                return;
            }
            more.await;
        }
    }
}

async fn serve(
    mut stream: TcpStream,
    pages: Arc<HashMap<String, String>>,
    seen: Arc<Mutex<Vec<String>>>,
    more: Arc<Notify>,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    seen.lock().expect("not poisoned").push(head);
    more.notify_waiters();
    if path.starts_with(HANG) {
        return std::future::pending().await;
    }
    let kind = if path.ends_with(".js") { "text/javascript" } else { "text/html; charset=utf-8" };
    let answer = match pages.get(&path).or_else(|| pages.get("*")) {
        Some(redirect) if redirect.starts_with("->") => {
            format!(
                "HTTP/1.1 302 Found\r\nLocation: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                &redirect[2..]
            )
        }
        Some(busy) if busy.starts_with("429:") => {
            let body = &busy[4..];
            format!(
                "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            )
        }
        Some(body) => format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        ),
        None => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned(),
    };
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}
