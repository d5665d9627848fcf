//! Outgoing HTTP, as the services and external workers need it: one exchange, no redirects, bounded bodies.
//!
//! Deliberately absent: following redirects (each hop is a new [`Request`], so that each is judged and seen), cookies,
//! retries (the core decides about them), proxies from the environment.

use std::time::Duration;

use async_trait::async_trait;

use super::politeness::Reason;

/// Which addresses a request may reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Public addresses only: loopback, private, link-local, metadata and other special ranges are refused, judged at
    /// connect time, IP literals in every notation included.
    Public,
    /// Every address: the operator allowed private targets, or configured this very URL.
    Any,
}

/// One HTTP exchange to perform.
#[derive(Clone, Debug)]
pub struct Request {
    /// Method.
    pub method: Method,
    /// Absolute `http` or `https` URL.
    pub url: url::Url,
    /// Header fields, in order. `Host`, `Content-Length` and `Accept-Encoding` are set by the adapter.
    pub headers: Vec<(String, String)>,
    /// Body; JSON wherever Hermes sends one.
    pub body: Option<Vec<u8>>,
    /// Which addresses may be reached.
    pub reach: Reach,
    /// The whole exchange, body included, must end within this.
    pub timeout: Duration,
    /// Bytes of the body, after decompression, that are read; what comes after them is dropped and
    /// [`Response::truncated`] says so.
    pub body_bytes_max: usize,
}

/// The methods that Hermes uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `GET`.
    Get,
    /// `HEAD`.
    Head,
    /// `POST`.
    Post,
}

impl Method {
    /// The token on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
        }
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Response {
    /// Status code; redirects included.
    pub status: u16,
    /// `HTTP/1.1`, `HTTP/2.0` …
    pub version: String,
    /// Header fields with lower-case names, in order, repeated ones repeated.
    pub headers: Vec<(String, String)>,
    /// Body after decompression, cut at [`Request::body_bytes_max`].
    pub body: Vec<u8>,
    /// Whether the body was longer than was read.
    pub truncated: bool,
    /// Coding that the server applied (`gzip`, `br`, `deflate`), if any. The adapter removes `content-encoding`
    /// from [`Self::headers`] when it decompresses, so it is kept here.
    pub content_encoding: Option<String>,
    /// Milliseconds from the start of the exchange, connecting included, to the end of the response's head.
    pub ttfb_ms: u64,
    /// Milliseconds of the whole exchange.
    pub total_ms: u64,
}

impl Response {
    /// The first value of the header field `name` (lower case).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Why no response came back. The messages never hold credentials or query strings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// [`Reach::Public`] was asked for and the host is, or resolves to, something else. Nothing was sent.
    #[error("refused to connect to {host}: {address} is not a public address")]
    Refused {
        /// Host of the URL.
        host: String,
        /// The offending address.
        address: String,
    },
    /// The name does not resolve.
    #[error("DNS: {host} does not resolve ({detail})")]
    Dns {
        /// Host of the URL.
        host: String,
        /// What the resolver said.
        detail: String,
    },
    /// TCP connection refused, reset or unreachable.
    #[error("connection to {host} failed ({detail})")]
    Connect {
        /// Host of the URL.
        host: String,
        /// What the system said.
        detail: String,
    },
    /// TLS handshake or certificate.
    #[error("TLS with {host} failed ({detail})")]
    Tls {
        /// Host of the URL.
        host: String,
        /// What the TLS library said.
        detail: String,
    },
    /// [`Request::timeout`] passed.
    #[error("no answer from {host} within {timeout_ms} ms")]
    Timeout {
        /// Host of the URL.
        host: String,
        /// The limit that passed.
        timeout_ms: u64,
    },
    /// The limits for calls to this host say not now; nothing was sent. Later it may be.
    #[error("requests to {host} are held back: {reason}; again in {} s", retry_after_ms.div_ceil(1_000))]
    HeldBack {
        /// Host of the URL.
        host: String,
        /// Which limit.
        reason: Reason,
        /// Milliseconds until it makes sense to try again.
        retry_after_ms: u64,
    },
    /// The peer broke off or does not speak HTTP; also a body that cannot be decompressed.
    #[error("broken answer from {host} ({detail})")]
    Protocol {
        /// Host of the URL.
        host: String,
        /// What was wrong.
        detail: String,
    },
}

/// Performs HTTP exchanges. One value serves the whole process; implementations pool connections.
#[async_trait]
pub trait Http: Send + Sync {
    /// Sends one request and reads one response. Dropping the future aborts the exchange.
    async fn send(&self, request: Request) -> Result<Response, HttpError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_have_their_tokens() {
        assert_eq!([Method::Get, Method::Head, Method::Post].map(Method::as_str), ["GET", "HEAD", "POST"]);
    }

    #[test]
    fn the_first_value_of_a_header_field_is_given() {
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let response = Response {
            status: 200,
            version: "HTTP/1.1".to_owned(),
            headers: vec![header("vary", "a"), header("link", "b"), header("vary", "c")],
            body: Vec::new(),
            truncated: false,
            content_encoding: None,
            ttfb_ms: 1,
            total_ms: 2,
        };
        let values = ["vary", "link", "age"].map(|name| response.header(name));
        assert_eq!(values, [Some("a"), Some("b"), None]);
    }
}
