//! Polite fetching: one pace per site, one time to stop, redirects followed by hand.

use std::time::Duration;

use hermes_core::ports::http::{Http, HttpError, Method, Reach, Request, Response};
use tokio::time::Instant;
use url::Url;

use super::address::is_web;
use super::pace::Pacer;
use crate::retry_after::retry_after_ms;

/// Our name in robots.txt.
pub const ROBOT: &str = "HermesBot";
/// What we call ourselves in requests.
pub const USER_AGENT: &str = concat!("Mozilla/5.0 (compatible; HermesBot/", env!("CARGO_PKG_VERSION"), ")");
/// Longest single exchange.
pub const EXCHANGE_MS: u64 = 15_000;
/// Bytes of a page that are read.
pub const PAGE_BYTES_MAX: usize = 10 * 1_024 * 1_024;
/// Redirects in a row that are followed.
pub const REDIRECTS_MAX: usize = 10;

/// One request could not be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The time to stop has come; nothing more can be fetched.
    #[error("the time limit passed")]
    OutOfTime,
    /// This exchange failed.
    #[error(transparent)]
    Http(#[from] HttpError),
}

/// Fetches from one site.
pub struct Fetcher<'a> {
    http: &'a dyn Http,
    reach: Reach,
    pacer: Pacer,
    stop_at: Instant,
}

/// Where a chain of redirects ended.
#[derive(Clone, Debug)]
pub struct Followed {
    /// URL of the final answer.
    pub url: Url,
    /// The redirects before it, in order.
    pub hops: Vec<Hop>,
    /// The final answer; still a redirect if the chain was a circle or too long.
    pub response: Response,
}

/// One redirect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// Where it was seen.
    pub url: Url,
    /// Its status code.
    pub status: u16,
}

impl<'a> Fetcher<'a> {
    /// `distance` is the least time between the starts of two requests; zero means no limit. Nothing is sent after
    /// `stop_at`.
    #[must_use]
    pub fn new(http: &'a dyn Http, reach: Reach, distance: Duration, stop_at: Instant) -> Self {
        Self { http, reach, pacer: Pacer::new(distance), stop_at }
    }

    /// The same site at a slower pace, as its robots.txt asks.
    #[must_use]
    pub fn at_distance(self, distance: Duration) -> Self {
        Self { pacer: self.pacer.at_distance(distance), ..self }
    }

    /// When nothing more is sent.
    #[must_use]
    pub fn stop_at(&self) -> Instant {
        self.stop_at
    }

    /// Sends nothing for `pause`: the server asked for it.
    pub async fn hold(&self, pause: Duration) {
        self.pacer.hold(pause).await;
    }

    /// The longest distance that was kept because the site was slow or overloaded, if that happened.
    pub async fn slowed_to(&self) -> Option<Duration> {
        self.pacer.slowed_to().await
    }

    /// Waits for a turn and performs one exchange, without following redirects.
    ///
    /// # Errors
    /// [`FetchError::OutOfTime`] when the time to stop comes first; else what the exchange ended with.
    pub async fn fetch(&self, method: Method, url: &Url, body_bytes_max: usize) -> Result<Response, FetchError> {
        let exchange = async {
            self.pacer.turn().await;
            let left = self.stop_at.saturating_duration_since(Instant::now());
            let request = Request {
                method,
                url: url.clone(),
                headers: vec![
                    ("user-agent".to_owned(), USER_AGENT.to_owned()),
                    ("accept".to_owned(), "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8".to_owned()),
                ],
                body: None,
                reach: self.reach,
                timeout: left.min(Duration::from_millis(EXCHANGE_MS)),
                body_bytes_max,
            };
            let outcome = self.http.send(request).await;
            if let Ok(response) = &outcome {
                self.pacer.answered(response.ttfb_ms, matches!(response.status, 429 | 503)).await;
            }
            outcome
        };
        match tokio::time::timeout_at(self.stop_at, exchange).await {
            Ok(outcome) => Ok(outcome?),
            Err(_elapsed) => Err(FetchError::OutOfTime),
        }
    }

    /// Fetches with `GET` and follows at most `redirects_max` redirects, to any host.
    ///
    /// # Errors
    /// As [`Self::fetch`]. A circle or an overlong chain is not an error: the last redirect is the answer.
    pub async fn follow(&self, url: &Url, redirects_max: usize, body_bytes_max: usize) -> Result<Followed, FetchError> {
        let mut url = url.clone();
        let mut hops: Vec<Hop> = Vec::new();
        loop {
            let response = self.fetch(Method::Get, &url, body_bytes_max).await?;
            let Some(target) = redirect_target(&url, &response) else { return Ok(Followed { url, hops, response }) };
            let circle = target == url || hops.iter().any(|hop| hop.url == target);
            if circle || hops.len() == redirects_max {
                return Ok(Followed { url, hops, response });
            }
            hops.push(Hop { url: std::mem::replace(&mut url, target), status: response.status });
        }
    }
}

/// Where a redirect leads; `None` if the answer is no redirect or leads nowhere on the web.
#[must_use]
pub fn redirect_target(url: &Url, response: &Response) -> Option<Url> {
    if !matches!(response.status, 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let mut target = url.join(response.header("location")?.trim()).ok()?;
    target.set_fragment(None);
    is_web(&target).then_some(target)
}

/// How long `Retry-After` asks to wait.
#[must_use]
pub fn retry_after(response: &Response) -> Option<Duration> {
    retry_after_ms(response).map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::fake::FakeSite;

    fn url(text: &str) -> Url {
        Url::parse(text).expect("valid")
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[tokio::test]
    async fn redirects_are_followed_and_remembered() {
        let site = FakeSite::new()
            .redirect("http://a.test/", 301, "https://a.test/")
            .redirect("https://a.test/", 302, "/en/#top")
            .page("https://a.test/en/", "<title>en</title>");
        let fetcher = Fetcher::new(&site, Reach::Public, Duration::ZERO, soon());
        let end = fetcher.follow(&url("http://a.test/"), 10, 1_000).await.expect("answers");
        assert_eq!(end.url.as_str(), "https://a.test/en/");
        assert_eq!(end.hops.iter().map(|hop| hop.status).collect::<Vec<_>>(), [301, 302]);
    }

    #[tokio::test]
    async fn a_circle_of_redirects_ends_with_the_last_redirect() {
        let site = FakeSite::new().redirect("http://a.test/", 302, "/b").redirect("http://a.test/b", 302, "/");
        let fetcher = Fetcher::new(&site, Reach::Public, Duration::ZERO, soon());
        let end = fetcher.follow(&url("http://a.test/"), 10, 1_000).await.expect("answers");
        assert_eq!((end.response.status, end.hops.len()), (302, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn requests_keep_their_distance() {
        let site = FakeSite::new().page("http://a.test/", "");
        let fetcher = Fetcher::new(&site, Reach::Public, Duration::from_millis(500), soon());
        let start = Instant::now();
        for _ in 0..3 {
            fetcher.fetch(Method::Get, &url("http://a.test/"), 10).await.expect("answers");
        }
        assert_eq!(start.elapsed().as_millis() / 100, 10);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_sent_after_the_time_to_stop() {
        let site = FakeSite::new().page("http://a.test/", "");
        let fetcher =
            Fetcher::new(&site, Reach::Public, Duration::from_secs(2), Instant::now() + Duration::from_secs(1));
        let first = fetcher.fetch(Method::Get, &url("http://a.test/"), 10).await;
        let second = fetcher.fetch(Method::Get, &url("http://a.test/"), 10).await;
        assert!(first.is_ok());
        assert_eq!(second.expect_err("too late"), FetchError::OutOfTime);
        assert_eq!(site.requests().len(), 1);
    }
}
