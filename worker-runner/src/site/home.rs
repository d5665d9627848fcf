//! Finding the home page: the first seed that answers, its redirects, and robots.txt of each host on the way.

use hermes_core::ports::http::{HttpError, Method, Response};
use url::Url;

use super::error::SiteError;
use super::fetch::{self, FetchError, Fetcher, Hop, PAGE_BYTES_MAX, REDIRECTS_MAX, ROBOT};
use super::robots::{self, RobotsFile};

/// Texts in the beginning of a page that only bot walls show.
const WALL_MARKS: &[&str] = &["<title>just a moment...", "cf-chl-", "_incapsula_resource", "captcha-delivery.com"];
/// Bytes of a page in which [`WALL_MARKS`] are looked for.
const WALL_WINDOW_BYTES: usize = 16 * 1_024;

/// The home page of a site.
#[derive(Debug)]
pub struct Home {
    /// Its URL, after redirects. Its host and port are the site.
    pub url: Url,
    /// The redirects that led to it.
    pub hops: Vec<Hop>,
    /// robots.txt of its host.
    pub robots: RobotsFile,
    /// The page; absent if robots.txt does not let us read it.
    pub response: Option<Response>,
    /// Why the preferred seed (`https`) was not used, if it was not.
    pub passed_over: Option<(Url, HttpError)>,
}

impl Home {
    /// The page, or the error that robots.txt forbids it.
    ///
    /// # Errors
    /// [`SiteError::Disallowed`].
    pub fn page(&self) -> Result<&Response, SiteError> {
        let host = self.url.host_str().unwrap_or_default().to_owned();
        self.response.as_ref().ok_or(SiteError::Disallowed { host, robot: ROBOT })
    }
}

/// Finds the home page from the first of `seeds` that answers.
///
/// # Errors
/// Nothing answers at any seed (the error is that of the first), the redirects do not end, a bot wall or a rate limit
/// answers, or the time passed.
pub async fn find(fetcher: &Fetcher<'_>, seeds: &[Url]) -> Result<Home, SiteError> {
    let mut passed_over: Option<(Url, HttpError)> = None;
    for seed in seeds {
        match from_seed(fetcher, seed).await {
            Ok(mut home) => {
                home.passed_over = passed_over;
                return Ok(home);
            }
            Err(Trouble::Unreachable(FetchError::Http(error))) => {
                passed_over.get_or_insert_with(|| (seed.clone(), error));
            }
            Err(Trouble::Unreachable(FetchError::OutOfTime)) => {
                return Err(passed_over.map_or(SiteError::OutOfTime, |(_, error)| error.into()));
            }
            Err(Trouble::Final(error)) => return Err(error),
        }
    }
    Err(passed_over.map_or(SiteError::OutOfTime, |(_, error)| error.into()))
}

enum Trouble {
    /// Another seed may do better.
    Unreachable(FetchError),
    /// The site answered, and this is its answer.
    Final(SiteError),
}

impl From<FetchError> for Trouble {
    fn from(error: FetchError) -> Self {
        Self::Unreachable(error)
    }
}

async fn from_seed(fetcher: &Fetcher<'_>, seed: &Url) -> Result<Home, Trouble> {
    let mut url = super::address::normalise(seed.clone());
    let mut hops: Vec<Hop> = Vec::new();
    let mut robots = robots::fetch(fetcher, &url).await?;
    loop {
        if robots::location(&url) != robots.url {
            robots = robots::fetch(fetcher, &url).await?;
        }
        if !robots.allows(&url) {
            return Ok(Home { url, hops, robots, response: None, passed_over: None });
        }
        let response = fetcher.fetch(Method::Get, &url, PAGE_BYTES_MAX).await?;
        refuse_walls(&url, &response)?;
        let Some(target) = fetch::redirect_target(&url, &response) else {
            return Ok(Home { url, hops, robots, response: Some(response), passed_over: None });
        };
        let circle = target == url || hops.iter().any(|hop| hop.url == target);
        hops.push(Hop { url: std::mem::replace(&mut url, target), status: response.status });
        if circle || hops.len() > REDIRECTS_MAX {
            let last = hops.last().map_or_else(String::new, |hop| hop.url.to_string());
            return Err(Trouble::Final(SiteError::Redirects { hops: hops.len(), url: last }));
        }
    }
}

/// Whether a bot wall answered that turned our robot away.
#[must_use]
pub fn is_wall(response: &Response) -> bool {
    matches!(response.status, 401 | 403 | 503) && has_wall_marks(response)
}

/// Whether the beginning of an answer looks like a bot wall. Some of the marks are on pages behind walls too.
#[must_use]
pub fn has_wall_marks(response: &Response) -> bool {
    let start = &response.body[..response.body.len().min(WALL_WINDOW_BYTES)];
    let start = String::from_utf8_lossy(start).to_ascii_lowercase();
    response.header("cf-mitigated").is_some() || WALL_MARKS.iter().any(|mark| start.contains(mark))
}

/// A page that a bot wall or a rate limit shows says nothing about the site.
fn refuse_walls(url: &Url, response: &Response) -> Result<(), Trouble> {
    let wall = match response.status {
        429 => "rate limit",
        _ if is_wall(response) => "a bot wall",
        _ => return Ok(()),
    };
    Err(Trouble::Final(SiteError::TurnedAway {
        host: url.host_str().unwrap_or_default().to_owned(),
        status: response.status,
        wall,
        retry_after: fetch::retry_after(response),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::fake::FakeSite;
    use hermes_core::Domain;
    use hermes_core::ports::http::Reach;
    use std::time::Duration;
    use tokio::time::Instant;

    async fn found(site: &FakeSite, domain: &str) -> Result<Home, SiteError> {
        let domain: Domain = domain.parse().expect("valid");
        let stop_at = Instant::now() + Duration::from_secs(60);
        find(&Fetcher::new(site, Reach::Public, Duration::ZERO, stop_at), domain.seeds()).await
    }

    fn refused(host: &str) -> HttpError {
        HttpError::Connect { host: host.into(), detail: "connection refused".into() }
    }

    #[tokio::test]
    async fn https_is_tried_first_and_http_if_nothing_answers_there() {
        let site = FakeSite::new()
            .fail("https://a.test/robots.txt", refused("a.test"))
            .page("http://a.test/", "<title>plain</title>");
        let home = found(&site, "a.test").await.expect("answers");
        assert_eq!(home.url.as_str(), "http://a.test/");
        assert_eq!(home.passed_over.expect("https").1, refused("a.test"));
    }

    #[tokio::test]
    async fn the_host_behind_a_redirect_is_the_site_and_its_own_robots_txt_counts() {
        let site = FakeSite::new()
            .redirect("https://a.test/", 301, "https://www.a.test/")
            .text("https://www.a.test/robots.txt", "User-agent: *\nDisallow: /private")
            .page("https://www.a.test/", "<title>home</title>");
        let home = found(&site, "a.test").await.expect("answers");
        assert_eq!(home.url.as_str(), "https://www.a.test/");
        assert!(!home.robots.allows(&home.url.join("/private").expect("valid")));
        assert_eq!(home.hops.len(), 1);
    }

    #[tokio::test]
    async fn a_forbidden_home_page_is_not_read() {
        let site = FakeSite::new()
            .text("https://a.test/robots.txt", "User-agent: *\nDisallow: /")
            .page("https://a.test/", "<title>home</title>");
        let home = found(&site, "a.test").await.expect("answers");
        assert!(matches!(home.page(), Err(SiteError::Disallowed { .. })));
        assert_eq!(site.count("https://a.test/"), 0);
    }

    #[tokio::test]
    async fn an_unreachable_site_is_told_by_its_first_failure() {
        let error = found(&FakeSite::new(), "a.test").await.expect_err("nothing there");
        assert!(matches!(error, SiteError::Dns(_)), "{error}");
        assert_eq!(error.to_string(), "site unreachable: DNS: a.test does not resolve (no such host)");
    }

    #[tokio::test]
    async fn a_circle_of_redirects_and_a_bot_wall_are_told_apart() {
        let circle = FakeSite::new().redirect("http://a.test/", 302, "/b").redirect("http://a.test/b", 302, "/");
        assert!(matches!(found(&circle, "http://a.test").await, Err(SiteError::Redirects { .. })));
        let wall = FakeSite::new().answer("http://a.test/", 403, &[("cf-mitigated", "challenge")], "");
        let error = found(&wall, "http://a.test").await.expect_err("wall");
        assert_eq!(error.to_string(), "a.test turned our robot away (HTTP 403, a bot wall)");
        let limit = FakeSite::new().answer("http://a.test/", 429, &[("retry-after", "7")], "");
        let error = found(&limit, "http://a.test").await.expect_err("limit");
        assert_eq!((error.retryable(), error.retry_after()), (true, Some(Duration::from_secs(7))));
    }

    #[tokio::test]
    async fn a_plain_error_page_is_an_answer() {
        let site = FakeSite::new().answer("http://a.test/", 500, &[], "oops");
        let home = found(&site, "http://a.test").await.expect("answers");
        assert_eq!(home.page().expect("read").status, 500);
    }
}
