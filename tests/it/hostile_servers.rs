//! The crawl of a site that does everything to harm its visitors, over real sockets: it ends, with what is true, and
//! takes no more from the site than its limits allow.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_compression::Level;
use async_compression::tokio::bufread::{BrotliEncoder, GzipEncoder};
use hermes_adapters::http::HttpClient;
use hermes_core::ports::http::Reach;
use hermes_diagnosis::signal::Measurement;
use hermes_worker_runner::technical_seo::{CrawlOptions, audit};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Bytes of a page that the crawler reads.
const PAGE_BYTES_MAX: u64 = 10 * 1_024 * 1_024;
/// Bytes that may be on their way when the crawler hangs up.
const ON_THE_WAY_BYTES_MAX: u64 = 16 * 1_024 * 1_024;
/// Bytes of a page that is small on the way.
const BOMB_BYTES: usize = 16 * 1_024 * 1_024;
/// Pages that are larger than they look, and one in a coding that nobody offered.
const COMPRESSED_PATHS: [&str; 3] = ["/gzip", "/brotli", "/strange"];
/// Two of them fail, twice each: a third would make five errors in a row possible, which end a crawl.
const PATHS: [&str; 6] = ["/endless", "/headers", "/deep", "/loop", "/longer/1", "/hangs-up"];

/// Serves until it is dropped with its runtime. Counts the bytes of the endless page.
async fn serve() -> (u16, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback can be bound");
    let port = listener.local_addr().expect("bound").port();
    let sent = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&sent);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let counter = Arc::clone(&counter);
            // A client that hangs up is what is wanted here.
            tokio::spawn(async move { drop(answer(stream, &counter).await) });
        }
    });
    (port, sent)
}

async fn answer(mut stream: TcpStream, sent: &AtomicU64) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or("/");
    let page = |body: &str| {
        let length = body.len();
        format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        )
    };
    let redirect =
        |to: &str| format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    let whole = match path {
        "/" => page(&PATHS.map(|path| format!("<a href={path}>{path}</a>")).concat()),
        "/compressed" => page(&COMPRESSED_PATHS.map(|path| format!("<a href={path}>{path}</a>")).concat()),
        "/gzip" => {
            // One member after the other, without an end.
            stream.write_all(compressed_head("gzip").as_bytes()).await?;
            let member = encoded(GzipEncoder::new(BOMB.as_slice())).await;
            loop {
                stream.write_all(&member).await?;
                sent.fetch_add(member.len() as u64, Ordering::SeqCst);
            }
        }
        "/brotli" => {
            stream.write_all(compressed_head("br").as_bytes()).await?;
            let body = encoded(BrotliEncoder::with_quality(BOMB.as_slice(), Level::Fastest)).await;
            stream.write_all(&body).await?;
            return stream.shutdown().await;
        }
        "/strange" if head.to_ascii_lowercase().contains("zstd") => page("it was offered"),
        "/strange" => format!("{}(5/}}", compressed_head("zstd")),
        "/endless" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n<p>").await?;
            let piece = [b'a'; 64 * 1_024];
            loop {
                stream.write_all(&piece).await?;
                sent.fetch_add(piece.len() as u64, Ordering::SeqCst);
            }
        }
        "/headers" => {
            let fields: String = (0..10_000).map(|field| format!("x-{field}: y\r\n")).collect();
            format!("HTTP/1.1 200 OK\r\n{fields}content-length: 0\r\n\r\n")
        }
        "/deep" => page(&"<div>".repeat(1_000_000)),
        "/loop" => redirect("/loop"),
        path if path.starts_with("/longer/") => redirect(&format!("{path}1")),
        "/hangs-up" => return Ok(()),
        _ => "HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".to_owned(),
    };
    stream.write_all(whole.as_bytes()).await?;
    stream.shutdown().await
}

/// What all bombs decompress to.
static BOMB: [u8; BOMB_BYTES] = [b'a'; BOMB_BYTES];

fn compressed_head(coding: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-encoding: {coding}\r\nconnection: close\r\n\r\n")
}

async fn encoded(mut encoder: impl AsyncRead + Unpin) -> Vec<u8> {
    let mut bytes = Vec::new();
    encoder.read_to_end(&mut bytes).await.expect("in memory");
    assert!(bytes.len() < BOMB_BYTES / 100, "a bomb is small");
    bytes
}

fn value(measurement: &Measurement, id: &str) -> Value {
    measurement.signals.iter().find(|signal| signal.id == id).map(|signal| signal.value.clone()).unwrap_or_default()
}

/// Crawls the site from one of its pages.
async fn crawl(port: u16, path: &str) -> Measurement {
    let http = HttpClient::new().expect("an HTTP client can be made");
    let options = CrawlOptions::from_params(&json!({ "pages": 20 }), Reach::Any).expect("valid");
    let domain = format!("http://127.0.0.1:{port}{path}").parse().expect("valid");
    let deadline = tokio::time::Instant::now() + Duration::from_secs(300);
    audit(&http, &domain, &options, deadline).await.expect("the home page answers")
}

/// Paths of the links that lead nowhere, and why.
fn broken(found: &Measurement, port: u16) -> Vec<(String, String)> {
    let broken = found.signals.iter().find(|signal| signal.id == "tech.broken_internal_links").expect("measured");
    let items = broken.evidence.iter().flat_map(|evidence| &evidence.items);
    let path = |url: &str| url.split_once(&port.to_string()).map_or("", |(_, path)| path).to_owned();
    items.map(|item| (path(&item.url), item.detail.clone())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_site_is_crawled_to_an_end_within_the_limits_and_told_as_it_is() {
    let (port, sent) = serve().await;
    let found = crawl(port, "/").await;
    let broken = broken(&found, port);
    for (path, problem) in [
        ("/headers", "broken answer"),
        ("/loop", "redirects in a circle"),
        ("/longer/1", "redirects"),
        ("/hangs-up", ""),
    ] {
        assert!(broken.iter().any(|(at, how)| at == path && how.contains(problem)), "{path}: {broken:?}");
    }
    assert_eq!(value(&found, "tech.redirect_loops"), 1);
    // The home page, the endless one and the deep one; the last two are cut, and that is said.
    assert_eq!(value(&found, "tech.pages_crawled"), 3);
    assert!(found.warnings.iter().any(|warning| warning.code == "page_cut"), "{:?}", found.warnings);
    let sent = sent.load(Ordering::SeqCst);
    assert!(sent < PAGE_BYTES_MAX + ON_THE_WAY_BYTES_MAX, "{sent} bytes of the endless page were taken");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bomb_is_read_up_to_the_limit_of_a_page_and_a_coding_that_was_not_offered_is_named() {
    let (port, sent) = serve().await;
    let found = crawl(port, "/compressed").await;
    // The home page and both bombs, each of which is cut where a page must end.
    assert_eq!(value(&found, "tech.pages_crawled"), 3, "{:?}", found.warnings);
    assert_eq!(value(&found, "tech.html_bytes_p75"), PAGE_BYTES_MAX);
    assert!(found.warnings.iter().any(|warning| warning.code == "page_cut"), "{:?}", found.warnings);
    let sent = sent.load(Ordering::SeqCst);
    assert!(sent < ON_THE_WAY_BYTES_MAX, "{sent} bytes of the endless bomb were taken");
    let broken = broken(&found, port);
    assert_eq!(broken.len(), 1, "{broken:?}");
    assert!(broken[0].0 == "/strange" && broken[0].1.contains("compressed with zstd"), "{broken:?}");
}
