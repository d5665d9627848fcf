//! Bodies that are too long for memory: read by the caller while they come.

use std::io;
use std::time::Duration;

use futures::TryStreamExt as _;
use hermes_core::ports::http::{HttpError, Reach};
use reqwest::header::{ACCEPT_ENCODING, HeaderValue, LOCATION};
use tokio::io::AsyncBufRead;
use tokio_util::io::StreamReader;
use url::{Host, Url};

use super::{HttpClient, error, permit};

/// Longest wait for the head of an answer.
const HEAD_TIMEOUT_MS: u64 = 30_000;
/// Redirects that are followed, each judged like the first address.
const REDIRECTS_MAX: usize = 5;

impl HttpClient {
    /// Opens a body for reading as it is on the wire, if the answer is 200. The caller limits how much it reads, and how
    /// long it waits.
    ///
    /// # Errors
    /// [`HttpError`]; another status is [`HttpError::Protocol`].
    pub(crate) async fn download(
        &self,
        url: &Url,
        reach: Reach,
    ) -> Result<impl AsyncBufRead + Send + Unpin + use<>, HttpError> {
        let mut url = url.clone();
        for _ in 0..=REDIRECTS_MAX {
            let host = url.host().map_or_else(|| "nowhere".to_owned(), |host| host.to_string());
            match url.host() {
                Some(Host::Ipv4(address)) => permit(reach, address.into(), &host)?,
                Some(Host::Ipv6(address)) => permit(reach, address.into(), &host)?,
                Some(Host::Domain(_)) | None => {}
            }
            let request =
                self.client(reach).get(url.clone()).header(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
            let sent = tokio::time::timeout(Duration::from_millis(HEAD_TIMEOUT_MS), request.send()).await;
            let timeout = || HttpError::Timeout { host: host.clone(), timeout_ms: HEAD_TIMEOUT_MS };
            let answer = sent.map_err(|_| timeout())?;
            let answer = answer.map_err(|failure| error::classify(failure, &host, url.scheme() == "https"))?;
            match answer.status().as_u16() {
                200 => return Ok(StreamReader::new(answer.bytes_stream().map_err(io::Error::other))),
                300..=399 => {
                    let target = answer.headers().get(LOCATION).and_then(|field| field.to_str().ok());
                    let target = target.and_then(|target| url.join(target).ok());
                    let target = target.filter(|target| matches!(target.scheme(), "http" | "https"));
                    let odd = || HttpError::Protocol { host, detail: "a redirect to nowhere".to_owned() };
                    url = target.ok_or_else(odd)?;
                }
                status => return Err(HttpError::Protocol { host, detail: format!("HTTP {status}") }),
            }
        }
        let host = url.host_str().unwrap_or_default().to_owned();
        Err(HttpError::Protocol { host, detail: format!("more than {REDIRECTS_MAX} redirects") })
    }
}
