//! The port [`Http`] over `reqwest`: one exchange, no redirects, no cookies, no proxy, a body that is counted while it
//! is decompressed, and one total time-out around everything.
//!
//! Two clients stand behind one value, one per [`Reach`], so that a connection opened for the operator's own URLs is
//! never reused for a target that must be public. The guarded one dials only what [`guard`] judged.
//!
//! Deliberately absent: retries of exchanges, redirects, and limits on the rate: those are the callers'.

mod decode;
mod download;
mod error;
pub mod guard;
mod resolve;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use hermes_core::ports::http::{Http, HttpError, Method, Reach, Request, Response};
use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderMap, HeaderName, HeaderValue};
use url::{Host, Url};

use decode::Coding;
use resolve::{Lookup, Resolver};

/// What Hermes calls itself where the caller sets no `User-Agent`.
pub const USER_AGENT: &str = concat!("Mozilla/5.0 (compatible; Hermes/", env!("CARGO_PKG_VERSION"), ")");

/// Longest wait for a TCP connection and its TLS handshake. Shorter than most total time-outs, so that a host that
/// drops packets is told apart from one that is slow to answer.
pub const CONNECT_TIMEOUT_MS: u64 = 10_000;
/// How long an unused connection is kept.
pub const IDLE_TIMEOUT_MS: u64 = 30_000;
/// Unused connections that are kept per host.
pub const IDLE_CONNECTIONS_MAX: usize = 8;
/// Header fields of one HTTP/1 response; more break the exchange.
pub const HEADERS_MAX: usize = 256;
/// Bytes of all header fields of one HTTP/2 response.
pub const HEADERS_BYTES_MAX: u32 = 128 * 1_024;

/// The fields that the adapter owns, and those that describe one connection.
const OWN_HEADERS: [&str; 5] = ["host", "content-length", "accept-encoding", "connection", "transfer-encoding"];
/// Fields whose values are kept out of HTTP/2's shared compression tables and of debug output.
const SENSITIVE_HEADERS: [&str; 4] = ["authorization", "cookie", "x-api-key", "x-goog-api-key"];

/// The client could not be built. Completes "failed to …"; the process should not start.
#[derive(Debug, thiserror::Error)]
#[error("set up outgoing HTTP: {detail}; are CA certificates installed?")]
pub struct SetupError {
    /// What the library said.
    detail: String,
}

/// Performs HTTP exchanges; cheap to clone.
#[derive(Clone, Debug)]
pub struct HttpClient {
    guarded: reqwest::Client,
    open: reqwest::Client,
}

impl HttpClient {
    /// Reads the system's CA certificates and opens nothing.
    ///
    /// # Errors
    /// [`SetupError`] if TLS cannot be set up, which usually means that the system has no CA certificates.
    pub fn new() -> Result<Self, SetupError> {
        Self::looking_up(&Lookup::System)
    }

    fn looking_up(lookup: &Lookup) -> Result<Self, SetupError> {
        Ok(Self { guarded: client(Reach::Public, lookup)?, open: client(Reach::Any, lookup)? })
    }

    fn client(&self, reach: Reach) -> &reqwest::Client {
        match reach {
            Reach::Public => &self.guarded,
            Reach::Any => &self.open,
        }
    }

    async fn exchange(&self, request: Request, host: &str) -> Result<Response, HttpError> {
        let started = Instant::now();
        let protocol = |detail: String| HttpError::Protocol { host: host.to_owned(), detail };
        let over_tls = request.url.scheme() == "https";
        let headers = outgoing(&request.headers).map_err(protocol)?;
        let url = without_userinfo(request.url);

        let mut builder = self.client(request.reach).request(method(request.method), url).headers(headers);
        if let Some(body) = request.body {
            builder = builder.body(body);
        }
        let answer = builder.send().await.map_err(|failure| error::classify(failure, host, over_tls))?;
        let ttfb_ms = millis(started.elapsed());
        // The resolver has judged this address already; a body is not read on its word alone.
        if let (Reach::Public, Some(peer)) = (request.reach, answer.remote_addr()) {
            permit(request.reach, peer.ip(), host)?;
        }

        let status = answer.status().as_u16();
        let version = format!("{:?}", answer.version());
        let named = content_encoding(answer.headers());
        let coding = named.as_deref().and_then(Coding::named);
        let headers = incoming(answer.headers(), coding.is_some());
        let unreadable = named.as_deref().and_then(decode::unreadable);
        let body = decode::read(answer, coding, request.body_bytes_max)
            .await
            .map_err(|failure| protocol(error::innermost(&failure)))?;
        // Without a body nothing is lost; as text it would be taken for a page full of rubbish.
        if let Some(coding) = unreadable.filter(|_| !body.bytes.is_empty()) {
            let offered = decode::ACCEPTED;
            return Err(protocol(format!("the body is compressed with {coding}, although {offered} were offered")));
        }
        Ok(Response {
            status,
            version,
            headers,
            body: body.bytes,
            truncated: body.truncated,
            content_encoding: named,
            ttfb_ms,
            total_ms: millis(started.elapsed()),
        })
    }
}

#[async_trait]
impl Http for HttpClient {
    async fn send(&self, request: Request) -> Result<Response, HttpError> {
        let host = match request.url.host() {
            Some(host) if matches!(request.url.scheme(), "http" | "https") => host.to_owned(),
            _ => {
                let host = request.url.host_str().unwrap_or("nowhere").to_owned();
                return Err(HttpError::Protocol { host, detail: "only http and https are spoken".to_owned() });
            }
        };
        let host_text = host.to_string();
        // The library does not ask the resolver about literals.
        match host {
            Host::Ipv4(address) => permit(request.reach, address.into(), &host_text)?,
            Host::Ipv6(address) => permit(request.reach, address.into(), &host_text)?,
            Host::Domain(_) => {}
        }
        let limit = request.timeout;
        tokio::time::timeout(limit, self.exchange(request, &host_text))
            .await
            .unwrap_or_else(|_| Err(HttpError::Timeout { host: host_text, timeout_ms: millis(limit) }))
    }
}

fn client(reach: Reach, lookup: &Lookup) -> Result<reqwest::Client, SetupError> {
    reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .referer(false)
        .no_gzip()
        .no_brotli()
        .no_deflate()
        .no_zstd()
        .dns_resolver(Resolver { reach, lookup: lookup.clone() })
        .connect_timeout(Duration::from_millis(CONNECT_TIMEOUT_MS))
        .pool_idle_timeout(Duration::from_millis(IDLE_TIMEOUT_MS))
        .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
        .http1_max_headers(HEADERS_MAX)
        .http1_ignore_invalid_headers_in_responses(true)
        .http2_max_header_list_size(HEADERS_BYTES_MAX)
        .build()
        .map_err(|failure| SetupError { detail: error::innermost(&failure) })
}

fn permit(reach: Reach, address: IpAddr, host: &str) -> Result<(), HttpError> {
    match reach {
        Reach::Public if !guard::is_public(address) => {
            Err(HttpError::Refused { host: host.to_owned(), address: address.to_string() })
        }
        Reach::Public | Reach::Any => Ok(()),
    }
}

/// Credentials belong into a header that the caller set; those in a link would be sent on a stranger's word.
fn without_userinfo(mut url: Url) -> Url {
    url.set_username("").and_then(|()| url.set_password(None)).expect("an http URL with a host can have a user name");
    url
}

fn method(method: Method) -> reqwest::Method {
    match method {
        Method::Get => reqwest::Method::GET,
        Method::Head => reqwest::Method::HEAD,
        Method::Post => reqwest::Method::POST,
    }
}

fn outgoing(fields: &[(String, String)]) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::with_capacity(fields.len() + 1);
    for (name, value) in fields {
        let name: HeaderName = name.parse().map_err(|_| format!("{name:?} cannot be the name of a header field"))?;
        if OWN_HEADERS.contains(&name.as_str()) {
            continue;
        }
        let mut value: HeaderValue =
            value.parse().map_err(|_| format!("the value of header field {name} cannot be sent"))?;
        value.set_sensitive(SENSITIVE_HEADERS.contains(&name.as_str()));
        headers.append(name, value);
    }
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(decode::ACCEPTED));
    Ok(headers)
}

fn incoming(headers: &HeaderMap, decoded: bool) -> Vec<(String, String)> {
    headers
        .iter()
        .filter(|(name, _)| !(decoded && **name == CONTENT_ENCODING))
        .map(|(name, value)| (name.as_str().to_owned(), text(value)))
        .collect()
}

/// What was applied, as one text even if it stands in several fields.
fn content_encoding(headers: &HeaderMap) -> Option<String> {
    let named: Vec<String> = headers.get_all(CONTENT_ENCODING).iter().map(text).collect();
    if named.is_empty() { None } else { Some(named.join(", ")) }
}

fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
