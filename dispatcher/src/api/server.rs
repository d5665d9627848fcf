//! The listener's side of the API: HTTP/1 with limits on what a connection may cost. `axum::serve` has no time-out for
//! headers, so connections are served by hyper directly.
//!
//! Deliberately absent: TLS and HTTP/2, which belong to the proxy in front.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// What a connection may cost.
#[derive(Clone, Copy, Debug)]
pub struct ServerLimits {
    /// Time for all headers of a request, and for the next request on an idle connection.
    pub header_read_timeout: Duration,
    /// Headers of one request.
    pub headers_max: usize,
    /// Bytes buffered per connection, so also bytes of all headers of one request.
    pub buffer_bytes_max: usize,
    /// Connections at the same time; further ones wait in the listener's backlog.
    pub connections_max: usize,
    /// Time for answers under way once the server is told to stop.
    pub grace: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            header_read_timeout: Duration::from_secs(10),
            headers_max: 64,
            buffer_bytes_max: 64 * 1_024,
            connections_max: 4_096,
            grace: Duration::from_secs(10),
        }
    }
}

/// Pause after a failed accept: the process is out of file descriptors, say, and only time helps.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `router` on `listener` until `shutdown` is cancelled; then lets answers under way finish within the grace
/// period and cuts the rest. Returns when no connection is left.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: ServerLimits,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let service = TowerToHyperService::new(router);
    let permits = Arc::new(Semaphore::new(limits.connections_max));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        let permit = tokio::select! {
            () = shutdown.cancelled() => break,
            permit = permits.clone().acquire_owned() => permit.expect("never closed"),
        };
        let stream = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    refuse_for_now(&error).await;
                    continue;
                }
            },
        };
        let connection = builder(limits).serve_connection(io_of(stream), service.clone());
        let watched = graceful.watch(connection);
        connections.spawn(async move {
            if let Err(error) = watched.await {
                debug!(%error, "a connection ended early");
            }
            drop(permit);
        });
        // Reaps what has ended, so that the set does not grow with history.
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    if tokio::time::timeout(limits.grace, graceful.shutdown()).await.is_err() {
        warn!(connections = connections.len(), "the grace period is over, connections are cut");
    }
    connections.shutdown().await;
    Ok(())
}

async fn refuse_for_now(error: &io::Error) {
    // The peer gave up between its connect and our accept: nothing is wrong here.
    if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
        return;
    }
    warn!(%error, "cannot accept a connection");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

fn io_of(stream: TcpStream) -> TokioIo<TcpStream> {
    // Events are small and written one by one: waiting to fill a packet would only delay them.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "cannot set TCP_NODELAY");
    }
    TokioIo::new(stream)
}

fn builder(limits: ServerLimits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_read_timeout)
        .max_headers(limits.headers_max)
        .max_buf_size(limits.buffer_bytes_max);
    builder
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use std::net::SocketAddr;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::task::JoinHandle;

    async fn started(
        router: Router,
        limits: ServerLimits,
    ) -> (SocketAddr, CancellationToken, JoinHandle<io::Result<()>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let shutdown = CancellationToken::new();
        let server = tokio::spawn(serve(listener, router, limits, shutdown.clone()));
        (address, shutdown, server)
    }

    fn hello() -> Router {
        Router::new().route("/", get(|| async { "hello" }))
    }

    async fn everything(stream: &mut TcpStream) -> String {
        let mut text = Vec::new();
        // A reset is an end, too.
        let _ = stream.read_to_end(&mut text).await;
        String::from_utf8_lossy(&text).into_owned()
    }

    #[tokio::test]
    async fn a_connection_that_dribbles_its_headers_is_closed() {
        let limits = ServerLimits { header_read_timeout: Duration::from_millis(50), ..ServerLimits::default() };
        let (address, ..) = started(hello(), limits).await;
        let mut stream = TcpStream::connect(address).await.expect("connects");
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nX-A: ").await.expect("writes");
        // The end of the stream is the proof: the request was never completed by this side.
        let answer = everything(&mut stream).await;
        assert!(!answer.contains("hello"), "{answer}");
    }

    #[tokio::test]
    async fn more_headers_than_allowed_are_refused() {
        let (address, ..) = started(hello(), ServerLimits { headers_max: 8, ..ServerLimits::default() }).await;
        let mut stream = TcpStream::connect(address).await.expect("connects");
        let headers: String = (0..9).map(|number| format!("X-{number}: y\r\n")).collect();
        stream.write_all(format!("GET / HTTP/1.1\r\n{headers}\r\n").as_bytes()).await.expect("writes");
        let answer = everything(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }

    #[tokio::test]
    async fn a_connection_over_the_limit_waits_for_a_place() {
        let (address, ..) = started(hello(), ServerLimits { connections_max: 1, ..ServerLimits::default() }).await;
        let first = TcpStream::connect(address).await.expect("connects");
        let mut second = TcpStream::connect(address).await.expect("waits in the backlog");
        second.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.expect("writes");
        drop(first);
        assert!(everything(&mut second).await.ends_with("hello"));
    }

    #[tokio::test]
    async fn an_answer_under_way_is_finished_before_the_server_stops() {
        let (entered, release) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let (inside, outside) = (entered.clone(), release.clone());
        let slow = get(move || async move {
            inside.add_permits(1);
            let _permit = outside.acquire().await;
            "finished"
        });
        let (address, shutdown, server) = started(Router::new().route("/", slow), ServerLimits::default()).await;
        let mut stream = TcpStream::connect(address).await.expect("connects");
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("writes");
        entered.acquire().await.expect("open").forget();
        shutdown.cancel();
        release.add_permits(1);
        assert!(everything(&mut stream).await.ends_with("finished"));
        server.await.expect("no panic").expect("ends well");
        assert!(TcpStream::connect(address).await.is_err());
    }

    #[tokio::test]
    async fn an_answer_that_does_not_end_is_cut_after_the_grace_period() {
        let entered = Arc::new(Semaphore::new(0));
        let inside = entered.clone();
        let endless = get(move || async move {
            inside.add_permits(1);
            std::future::pending::<&str>().await
        });
        let limits = ServerLimits { grace: Duration::from_millis(20), ..ServerLimits::default() };
        let (address, shutdown, server) = started(Router::new().route("/", endless), limits).await;
        let mut stream = TcpStream::connect(address).await.expect("connects");
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("writes");
        entered.acquire().await.expect("open").forget();
        shutdown.cancel();
        server.await.expect("no panic").expect("ends well");
        assert_eq!(everything(&mut stream).await, "");
    }
}
