//! The adapter against peers that misbehave, over real sockets on loopback.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_compression::tokio::bufread::GzipEncoder;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

const MIB: usize = 1_024 * 1_024;

/// What a peer does with a connection once it has read the request's head.
#[derive(Clone)]
enum Answer {
    /// Sends these bytes and closes.
    Bytes(Vec<u8>),
    /// Sends these bytes and keeps the connection open.
    BytesThenSilence(Vec<u8>),
    /// Sends the first part, then the second one again and again until the client hangs up.
    Endless(Vec<u8>, Vec<u8>),
    /// Closes without having read anything.
    HangUp,
}

struct Peer {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
    /// Ends when a client hung up on an endless answer.
    task: tokio::task::JoinHandle<()>,
}

impl Peer {
    async fn answering(answer: Answer) -> Self {
        Self::on("127.0.0.1:0", answer).await.expect("loopback can be bound")
    }

    async fn with(bytes: &[u8]) -> Self {
        Self::answering(Answer::Bytes(bytes.to_vec())).await
    }

    async fn on(address: &str, answer: Answer) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let connections = Arc::new(AtomicUsize::new(0));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (counter, seen) = (Arc::clone(&connections), Arc::clone(&requests));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                if serve(stream, &answer, &seen).await.is_err() {
                    return;
                }
            }
        });
        Ok(Self { address, connections, requests, task })
    }

    fn url(&self, path: &str) -> Url {
        format!("http://{}{path}", self.address).parse().expect("valid")
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    fn request(&self) -> String {
        self.requests.lock().expect("not poisoned").last().cloned().expect("a request came")
    }
}

async fn serve(mut stream: TcpStream, answer: &Answer, seen: &Mutex<Vec<String>>) -> std::io::Result<()> {
    if matches!(answer, Answer::HangUp) {
        return Ok(());
    }
    let mut head = Vec::new();
    let mut piece = [0_u8; 4_096];
    // A TLS hello ends with no blank line; its first byte tells it.
    while !head.windows(4).any(|four| four == b"\r\n\r\n") && head.first() != Some(&0x16) {
        let count = stream.read(&mut piece).await?;
        if count == 0 {
            return Ok(());
        }
        head.extend_from_slice(&piece[..count]);
    }
    seen.lock().expect("not poisoned").push(String::from_utf8_lossy(&head).into_owned());
    match answer {
        Answer::HangUp => Ok(()),
        Answer::Bytes(bytes) => {
            stream.write_all(bytes).await?;
            stream.shutdown().await
        }
        Answer::BytesThenSilence(bytes) => {
            stream.write_all(bytes).await?;
            std::future::pending().await
        }
        Answer::Endless(head, piece) => {
            stream.write_all(head).await?;
            loop {
                stream.write_all(piece).await?;
                tokio::task::yield_now().await;
            }
        }
    }
}

fn get(url: Url) -> Request {
    Request {
        method: Method::Get,
        url,
        headers: Vec::new(),
        body: None,
        reach: Reach::Any,
        timeout: Duration::from_secs(30),
        body_bytes_max: MIB,
    }
}

fn client() -> HttpClient {
    HttpClient::new().expect("CA certificates are installed")
}

#[tokio::test]
async fn an_ordinary_answer_comes_back_whole() {
    let peer = Peer::with(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Thing: a\r\n\r\nhello").await;
    let response = client().send(get(peer.url("/"))).await.expect("answered");
    assert_eq!((response.status, response.version.as_str()), (200, "HTTP/1.1"));
    assert_eq!(response.body, b"hello");
    assert_eq!(response.header("x-thing"), Some("a"));
    assert_eq!(response.content_encoding, None);
    assert!(!response.truncated);
    assert!(response.ttfb_ms <= response.total_ms);
}

#[tokio::test]
async fn the_request_is_sent_as_asked_and_without_what_was_not_asked() {
    let peer = Peer::with(b"HTTP/1.1 204 No Content\r\n\r\n").await;
    let mut request = get(format!("http://user:secret@{}/a?b=c", peer.address).parse().expect("valid"));
    request.method = Method::Post;
    request.body = Some(b"{}".to_vec());
    for (name, value) in [("X-Api-Key", "k"), ("Host", "evil.example"), ("Accept-Encoding", "zstd"), ("X-A", "1")] {
        request.headers.push((name.to_owned(), value.to_owned()));
    }
    request.headers.push(("X-A".to_owned(), "2".to_owned()));
    client().send(request).await.expect("answered");
    let seen = peer.request().to_ascii_lowercase();
    assert!(seen.starts_with("post /a?b=c http/1.1\r\n"), "{seen}");
    for line in [
        &format!("host: {}", peer.address),
        "x-api-key: k",
        "accept-encoding: gzip, br, deflate",
        "x-a: 1",
        "x-a: 2",
        "content-length: 2",
        &format!("user-agent: {}", USER_AGENT.to_ascii_lowercase()),
    ] {
        assert_eq!(seen.matches(&format!("\r\n{line}\r\n")).count(), 1, "{line} in {seen}");
    }
    for absent in ["authorization", "referer", "cookie", "evil", "zstd"] {
        assert!(!seen.contains(absent), "{absent} in {seen}");
    }
}

#[tokio::test]
async fn the_caller_may_name_itself() {
    let peer = Peer::with(b"HTTP/1.1 204 No Content\r\n\r\n").await;
    let mut request = get(peer.url("/"));
    request.headers.push(("User-Agent".to_owned(), "another/1".to_owned()));
    client().send(request).await.expect("answered");
    assert!(peer.request().contains("another/1"));
    assert!(!peer.request().contains("Hermes"));
}

#[tokio::test]
async fn a_header_that_cannot_be_sent_is_an_error_that_does_not_repeat_it() {
    let mut request = get("http://127.0.0.1:1/".parse().expect("valid"));
    request.headers.push(("X-Api-Key".to_owned(), "canary\r\nX-Evil: 1".to_owned()));
    let error = client().send(request).await.expect_err("a line break");
    assert!(matches!(error, HttpError::Protocol { .. }), "{error}");
    assert!(!error.to_string().contains("canary"), "{error}");
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let target = Peer::with(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let answer = format!("HTTP/1.1 302 Found\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n", target.url("/next"));
    let peer = Peer::with(answer.as_bytes()).await;
    let response = client().send(get(peer.url("/"))).await.expect("answered");
    assert_eq!(response.status, 302);
    assert_eq!(response.header("location"), Some(target.url("/next").as_str()));
    assert_eq!((peer.connections(), target.connections()), (1, 0));
}

#[tokio::test]
async fn repeated_header_fields_stay_repeated_and_cookies_are_not_kept() {
    let peer = Peer::with(
        b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nX-B: \xe4\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    )
    .await;
    let client = client();
    let response = client.send(get(peer.url("/"))).await.expect("answered");
    let cookies: Vec<_> = response.headers.iter().filter(|(name, _)| name == "set-cookie").collect();
    assert_eq!(cookies.len(), 2);
    assert_eq!((cookies[0].1.as_str(), cookies[1].1.as_str()), ("a=1", "b=2"));
    assert_eq!(response.header("x-b"), Some("\u{fffd}"));
    client.send(get(peer.url("/"))).await.expect("answered");
    assert!(!peer.request().to_ascii_lowercase().contains("cookie"));
}

#[tokio::test]
async fn a_gzip_bomb_is_cut_at_the_limit_without_being_unpacked() {
    // Members of 1 MiB of zeros, 4 GiB in all, in about 4 MiB.
    let mut member = Vec::new();
    GzipEncoder::new(vec![0_u8; MIB].as_slice()).read_to_end(&mut member).await.expect("in memory");
    let head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n".to_vec();
    let peer = Peer::with(&[head, member.repeat(4_096)].concat()).await;
    let response = client().send(get(peer.url("/"))).await.expect("answered");
    assert!(response.truncated);
    assert_eq!(response.body.len(), MIB);
    assert!(response.body.capacity() <= 2 * MIB, "{} bytes are reserved", response.body.capacity());
    assert_eq!(response.content_encoding.as_deref(), Some("gzip"));
    assert_eq!(response.header("content-encoding"), None);
}

#[tokio::test]
async fn a_body_in_a_coding_that_was_not_offered_is_an_error_that_names_it() {
    for (fields, named) in
        [("Content-Encoding: zstd", "zstd"), ("Content-Encoding: gzip\r\nContent-Encoding: br", "gzip, br")]
    {
        let peer = Peer::with(format!("HTTP/1.1 200 OK\r\n{fields}\r\nContent-Length: 3\r\n\r\nraw").as_bytes()).await;
        let error = client().send(get(peer.url("/"))).await.expect_err("nobody can read it");
        assert!(matches!(error, HttpError::Protocol { .. }), "{error:?}");
        assert!(error.to_string().contains(&format!("compressed with {named}, although gzip, br")), "{error}");
    }
}

#[tokio::test]
async fn a_name_that_is_no_coding_changes_nothing_and_is_told() {
    let peer = Peer::with(b"HTTP/1.1 200 OK\r\nContent-Encoding: utf-8\r\nContent-Length: 3\r\n\r\nraw").await;
    let response = client().send(get(peer.url("/"))).await.expect("answered");
    assert_eq!((response.body.as_slice(), response.header("content-encoding")), (b"raw".as_slice(), Some("utf-8")));
    assert_eq!(response.content_encoding.as_deref(), Some("utf-8"));
}

#[tokio::test]
async fn a_head_request_to_a_compressing_server_has_an_empty_body() {
    let peer = Peer::with(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 512\r\n\r\n").await;
    let mut request = get(peer.url("/"));
    request.method = Method::Head;
    let response = client().send(request).await.expect("answered");
    assert!(response.body.is_empty() && !response.truncated);
    assert_eq!(response.content_encoding.as_deref(), Some("gzip"));
}

#[tokio::test]
async fn an_endless_body_is_cut_and_the_connection_closed() {
    let head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_vec();
    let peer = Peer::answering(Answer::Endless(head, vec![b'x'; 8_192])).await;
    let response = client().send(get(peer.url("/"))).await.expect("answered");
    assert!(response.truncated);
    assert_eq!(response.body.len(), MIB);
    peer.task.await.expect("the peer saw its connection close");
}

#[tokio::test]
async fn a_dribbled_body_does_not_outlive_the_total_time_out() {
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let peer = Peer::answering(Answer::Endless(head, b"1\r\nx\r\n".to_vec())).await;
    let mut request = get(peer.url("/?token=canary"));
    request.timeout = Duration::from_millis(200);
    request.body_bytes_max = usize::MAX;
    let error = client().send(request).await.expect_err("never ends");
    assert_eq!(error, HttpError::Timeout { host: "127.0.0.1".to_owned(), timeout_ms: 200 });
}

#[tokio::test]
async fn silence_before_or_after_the_head_is_a_time_out() {
    for answer in ["", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"] {
        let peer = Peer::answering(Answer::BytesThenSilence(answer.as_bytes().to_vec())).await;
        let mut request = get(peer.url("/"));
        request.timeout = Duration::from_millis(150);
        let error = client().send(request).await.expect_err("silence");
        assert!(matches!(error, HttpError::Timeout { timeout_ms: 150, .. }), "{error}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_or_is_no_http_is_a_broken_answer() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 9\r\n\r\nnot gzip!",
        "HTTP/1.1 200",
        "220 mail.example ESMTP\r\n",
        "",
    ] {
        let peer = Peer::with(answer.as_bytes()).await;
        let error = client().send(get(peer.url("/?token=canary"))).await.expect_err(answer);
        assert!(matches!(error, HttpError::Protocol { .. }), "{answer:?}: {error}");
        assert!(!error.to_string().contains("canary"), "{error}");
    }
}

#[tokio::test]
async fn too_many_header_fields_are_a_broken_answer() {
    let fields: String = (0..10_000).map(|number| format!("X-{number}: a\r\n")).collect();
    let peer = Peer::with(format!("HTTP/1.1 200 OK\r\n{fields}\r\n").as_bytes()).await;
    let error = client().send(get(peer.url("/"))).await.expect_err("too many");
    assert!(matches!(error, HttpError::Protocol { .. }), "{error}");
}

#[tokio::test]
async fn a_closed_port_is_a_failed_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback can be bound");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    for scheme in ["http", "https"] {
        let url = format!("{scheme}://{address}/?token=canary").parse().expect("valid");
        let error = client().send(get(url)).await.expect_err("closed");
        assert!(matches!(&error, HttpError::Connect { host, .. } if host == "127.0.0.1"), "{error}");
        assert!(!error.to_string().contains("canary"), "{error}");
    }
}

#[tokio::test]
async fn a_peer_without_tls_is_a_tls_failure() {
    for answer in [Answer::Bytes(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()), Answer::Bytes(Vec::new())] {
        let peer = Peer::answering(answer).await;
        let url = format!("https://{}/", peer.address).parse().expect("valid");
        let error = client().send(get(url)).await.expect_err("no TLS there");
        assert!(matches!(error, HttpError::Tls { .. }), "{error}");
    }
    // Hung up on before the hello was read: the system may report the end of the stream, or a reset.
    let peer = Peer::answering(Answer::HangUp).await;
    let url = format!("https://{}/", peer.address).parse().expect("valid");
    let error = client().send(get(url)).await.expect_err("hung up");
    assert!(matches!(error, HttpError::Tls { .. } | HttpError::Connect { .. }), "{error}");
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_a_dns_failure() {
    // A label of 64 characters: refused by the resolver without asking anybody.
    let host = format!("{}.invalid", "a".repeat(64));
    for reach in [Reach::Public, Reach::Any] {
        let mut request = get(format!("http://{host}/?token=canary").parse().expect("valid"));
        request.reach = reach;
        let error = client().send(request).await.expect_err("no such name");
        assert!(matches!(&error, HttpError::Dns { host: named, .. } if *named == host), "{error}");
        assert!(!error.to_string().contains("canary"), "{error}");
    }
}

#[tokio::test]
async fn loopback_is_refused_in_every_notation_and_nothing_connects() {
    let answer = Answer::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec());
    let peer = Peer::answering(answer.clone()).await;
    let port = peer.address.port();
    // The same port on IPv6, where the machine has it.
    let peer_v6 = Peer::on(&format!("[::1]:{port}"), answer).await.ok();
    let client = client();
    for host in [
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f.1",
        "0x7f000001",
        "0177.0.0.1",
        "017700000001",
        "0x7f.0.0.0x1",
        "127.0.0.1.",
        "127.255.255.254",
        "0",
        "0.0.0.0",
        "%31%32%37.0.0.1",
        "\u{ff11}27.0.0.1",
        "127\u{3002}0.0.1",
        "[::1]",
        "[::]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "169.254.169.254",
        "[fd00:ec2::254]",
    ] {
        let mut request = get(format!("http://{host}:{port}/").parse().expect(host));
        request.reach = Reach::Public;
        let error = client.send(request).await.expect_err(host);
        // Without an entry in the hosts file a name may not resolve at all.
        let by_name = host.to_ascii_lowercase().starts_with("localhost");
        assert!(
            matches!(error, HttpError::Refused { .. }) || (by_name && matches!(error, HttpError::Dns { .. })),
            "{host}: {error}"
        );
    }
    assert_eq!(peer.connections() + peer_v6.map_or(0, |peer| peer.connections()), 0);
}

/// Both ends of the special ranges, and addresses inside others that lead there.
const SPECIAL: &[&str] = &[
    "0.0.0.0",
    "0.255.255.255",
    "10.0.0.0",
    "10.255.255.255",
    "100.64.0.0",
    "100.100.100.200",
    "100.127.255.255",
    "127.0.0.0",
    "127.255.255.255",
    "168.63.129.16",
    "169.254.0.0",
    "169.254.169.254",
    "169.254.255.255",
    "172.16.0.0",
    "172.31.255.255",
    "192.0.0.0",
    "192.0.0.255",
    "192.0.2.0",
    "192.0.2.255",
    "192.88.99.0",
    "192.88.99.255",
    "192.168.0.0",
    "192.168.255.255",
    "198.18.0.0",
    "198.19.255.255",
    "198.51.100.0",
    "198.51.100.255",
    "203.0.113.0",
    "203.0.113.255",
    "224.0.0.0",
    "239.255.255.255",
    "240.0.0.0",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::127.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:a9fe:a9fe::1",
    "2606:4700::5efe:127.0.0.1",
    "fc00::",
    "fd00:ec2::254",
    "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "fe80::1",
    "febf::1",
    "fec0::1",
    "ff02::1",
];

#[tokio::test]
async fn every_special_range_is_refused_as_a_literal_and_behind_a_name_and_no_socket_is_opened() {
    let answer = Answer::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec());
    let peer = Peer::answering(answer).await;
    let port = peer.address.port();
    let public: std::net::IpAddr = NOWHERE.parse().expect("valid");
    let special = |text: &str| text.parse::<std::net::IpAddr>().expect("an address");
    // Alone, and among public addresses: the dialler would fall back to it.
    let lists = |address| [vec![address], vec![public, address], vec![address, public]];
    let script: Vec<_> = SPECIAL.iter().flat_map(|text| lists(special(text))).collect();
    let client = scripted(&script);
    for text in SPECIAL {
        let literal = SocketAddr::new(special(text), port).to_string();
        let name = || format!("rebind.test:{port}");
        for host in [literal, name(), name(), name()] {
            let mut request = get(format!("http://{host}/").parse().expect("valid"));
            request.reach = Reach::Public;
            let error = client.send(request).await.expect_err(text);
            assert!(matches!(error, HttpError::Refused { .. }), "{text} as {host}: {error}");
        }
    }
    assert_eq!(peer.connections(), 0);
}

/// Public by its number, in a range that was given back and is routed nowhere.
const NOWHERE: &str = "3ffe::1";

/// A client whose names have the scripted addresses, one list after the other.
fn scripted(script: &[Vec<std::net::IpAddr>]) -> HttpClient {
    let answers = script.iter().cloned().collect();
    HttpClient::looking_up(&Lookup::Scripted(Arc::new(Mutex::new(answers)))).expect("CA certificates are installed")
}

#[tokio::test]
async fn a_name_that_changes_its_mind_gains_nothing() {
    let answer = Answer::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec());
    let peer = Peer::answering(answer).await;
    let (nowhere, loopback) = (NOWHERE.parse().expect("valid"), "127.0.0.1".parse().expect("valid"));
    let url: Url = format!("http://rebind.test:{}/", peer.address.port()).parse().expect("valid");
    // Public while it is judged, ours when it is dialled: were it asked twice for one exchange, the second answer would
    // be loopback, and the script would end too early for the exchanges that follow.
    let client = scripted(&[vec![nowhere], vec![loopback], vec![nowhere], vec![loopback]]);
    for expected_refusal in [false, true, false, true] {
        let mut request = get(url.clone());
        (request.reach, request.timeout) = (Reach::Public, Duration::from_millis(300));
        let error = client.send(request).await.expect_err("nobody answers");
        assert_eq!(matches!(error, HttpError::Refused { .. }), expected_refusal, "{error}");
    }
    assert_eq!(peer.connections(), 0);
    // The same script reaches the listener where any address may be reached.
    scripted(&[vec![loopback]]).send(get(url)).await.expect("it answers");
    assert_eq!(peer.connections(), 1);
}

#[tokio::test]
async fn a_connection_made_for_any_address_is_not_reused_for_a_public_request() {
    let peer =
        Peer::answering(Answer::BytesThenSilence(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec())).await;
    let client = client();
    let url: Url = format!("http://localhost:{}/", peer.address.port()).parse().expect("valid");
    let by_name = client.send(get(url.clone())).await;
    let mut request = get(url);
    request.reach = Reach::Public;
    let error = client.send(request).await.expect_err("localhost");
    assert!(matches!(error, HttpError::Refused { .. } | HttpError::Dns { .. }), "{error} after {by_name:?}");
}

#[tokio::test]
async fn other_schemes_are_not_spoken() {
    for url in ["ftp://example.com/", "file:///etc/passwd", "data:,x", "unix:/run/x"] {
        let error = client().send(get(url.parse().expect(url))).await.expect_err(url);
        assert!(matches!(error, HttpError::Protocol { .. }), "{url}: {error}");
    }
}
