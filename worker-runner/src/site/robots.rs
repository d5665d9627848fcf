//! robots.txt by RFC 9309: fetching it, obeying it, and reading it as the search engines do.
//!
//! 4xx means no restrictions, 5xx means that nothing may be read, more than [`REDIRECTS_MAX`] redirects count as 4xx,
//! and [`BYTES_MAX`] bytes are parsed. A failure of the network is the caller's to handle: for the first request to a
//! site it means that the site is unreachable.

use std::time::Duration;

use robotxt::{AccessResult, Robots};
use url::Url;

use super::fetch::{FetchError, Fetcher, ROBOT};
use super::robots_lint::{self, LineError};

/// Redirects that are followed to the file (RFC 9309, 2.3.1.2: at least five).
pub const REDIRECTS_MAX: usize = 5;
/// Bytes of the file that are parsed (RFC 9309, 2.5: at least 500 KiB).
pub const BYTES_MAX: usize = robotxt::BYTE_LIMIT;
/// Longest `Crawl-delay` that is honoured as given.
pub const CRAWL_DELAY_MAX: Duration = Duration::from_secs(10);
/// The agents of search engines and archives as whom the file is also read.
pub const SEARCHERS: [&str; 5] = ["*", "Googlebot", "bingbot", "DuckDuckBot", "archive.org_bot"];

/// What robots.txt of one scheme, host and port says.
#[derive(Clone, Debug)]
pub struct RobotsFile {
    /// Where it was asked for.
    pub url: Url,
    /// Status code of the answer, after redirects.
    pub status: u16,
    /// Bytes of the file, up to [`BYTES_MAX`] and one.
    pub bytes: usize,
    /// Lines that no crawler understands.
    pub errors: Vec<LineError>,
    /// Sitemaps that it names, in order.
    pub sitemaps: Vec<Url>,
    ours: Robots,
    searchers: Vec<(&'static str, Robots)>,
}

impl RobotsFile {
    /// Whether our robot may read a URL of this host.
    #[must_use]
    pub fn allows(&self, url: &Url) -> bool {
        self.ours.is_url_allowed(url)
    }

    /// Whether Googlebot may read a URL of this host.
    #[must_use]
    pub fn allows_googlebot(&self, url: &Url) -> bool {
        self.searchers.iter().filter(|(name, _)| *name == "Googlebot").all(|(_, robots)| robots.is_url_allowed(url))
    }

    /// Whether every one of [`SEARCHERS`] is forbidden to read the home page.
    #[must_use]
    pub fn blocks_all(&self, home: &Url) -> bool {
        self.searchers.iter().all(|(_, robots)| !robots.is_url_allowed(home))
    }

    /// The rest that the file asks for between two requests, if any.
    #[must_use]
    pub fn crawl_delay(&self) -> Option<Duration> {
        self.ours.crawl_delay().filter(|delay| !delay.is_zero())
    }

    fn read(url: Url, status: u16, access: AccessResult<'_>) -> Self {
        let text = match access {
            AccessResult::Successful(text) => text,
            AccessResult::TooManyRedirects | AccessResult::Unavailable | AccessResult::Unreachable => b"",
        };
        let ours = Robots::from_access(access, ROBOT);
        Self {
            status,
            bytes: text.len(),
            errors: robots_lint::errors(text),
            sitemaps: ours.sitemaps().to_vec(),
            searchers: SEARCHERS.iter().map(|name| (*name, Robots::from_access(access, *name))).collect(),
            ours,
            url,
        }
    }
}

/// Where robots.txt of a URL's scheme, host and port is.
#[must_use]
pub fn location(of: &Url) -> Url {
    let mut url = of.clone();
    url.set_path("/robots.txt");
    url.set_query(None);
    url.set_fragment(None);
    url
}

/// Fetches and reads robots.txt for the scheme, host and port of `of`.
///
/// # Errors
/// No answer: see [`FetchError`].
pub async fn fetch(fetcher: &Fetcher<'_>, of: &Url) -> Result<RobotsFile, FetchError> {
    let url = location(of);
    let end = fetcher.follow(&url, REDIRECTS_MAX, BYTES_MAX + 1).await?;
    let status = end.response.status;
    let access = match status {
        200..=299 => AccessResult::Successful(&end.response.body),
        300..=399 => AccessResult::TooManyRedirects,
        500..=599 => AccessResult::Unreachable,
        _ => AccessResult::Unavailable,
    };
    Ok(RobotsFile::read(url, status, access))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::fake::FakeSite;
    use hermes_core::ports::http::Reach;
    use tokio::time::Instant;

    fn url(text: &str) -> Url {
        Url::parse(text).expect("valid")
    }

    fn parsed(text: &str) -> RobotsFile {
        RobotsFile::read(url("https://a.test/robots.txt"), 200, AccessResult::Successful(text.as_bytes()))
    }

    async fn fetched(site: &FakeSite) -> RobotsFile {
        let stop_at = Instant::now() + Duration::from_secs(60);
        let fetcher = Fetcher::new(site, Reach::Public, Duration::ZERO, stop_at);
        fetch(&fetcher, &url("https://a.test/x?y#z")).await.expect("answers")
    }

    #[test]
    fn the_rules_of_rfc_9309_hold() {
        // (robots.txt, path, may our robot read it)
        let cases = [
            ("", "/", true),
            ("User-agent: *\nDisallow: /", "/a", false),
            ("User-agent: *\nDisallow:", "/a", true),
            // the longest match wins; Allow wins a tie
            ("User-agent: *\nDisallow: /a\nAllow: /a/b", "/a/b/c", true),
            ("User-agent: *\nAllow: /a\nDisallow: /a/b", "/a/b/c", false),
            ("User-agent: *\nDisallow: /a\nAllow: /a", "/a", true),
            // the product token is compared without case, and our own group replaces that of everybody
            ("User-agent: hermesbot\nDisallow: /a\n\nUser-agent: *\nDisallow: /b", "/b", true),
            ("User-agent: HERMESBOT\nDisallow: /a\n\nUser-agent: *\nDisallow: /b", "/a", false),
            // groups for the same agent are merged; several agents share a group
            ("User-agent: HermesBot\nDisallow: /a\nUser-agent: HermesBot\nDisallow: /b", "/a", false),
            ("User-agent: x\nUser-agent: HermesBot\nDisallow: /a", "/a", false),
            // wildcards
            ("User-agent: *\nDisallow: /*.php$", "/x/y.php", false),
            ("User-agent: *\nDisallow: /*.php$", "/x/y.php5", true),
            ("User-agent: *\nDisallow: /a*b", "/axxb/c", false),
            // paths are compared with case and in one percent-encoding
            ("User-agent: *\nDisallow: /A", "/a", true),
            ("User-agent: *\nDisallow: /%7Ejoe", "/~joe/", false),
            ("User-agent: *\nDisallow: /ä", "/%C3%A4", false),
            // comments, blank lines and other records do not end a group
            ("User-agent: * # all\n\nSitemap: https://a.test/s.xml\nDisallow: /a # no", "/a", false),
            ("\u{FEFF}User-agent: *\r\nDisallow: /a\r\n", "/a", false),
            // rules before the first agent belong to nobody; robots.txt itself is always readable
            ("Disallow: /a", "/a", true),
            ("User-agent: *\nDisallow: /", "/robots.txt", true),
        ];
        for (text, path, expected) in cases {
            let page = url("https://a.test/").join(path).expect("valid");
            assert_eq!(parsed(text).allows(&page), expected, "{path} under {text:?}");
        }
    }

    #[test]
    fn a_site_is_blocked_only_if_every_searcher_is() {
        let home = url("https://a.test/");
        assert!(parsed("User-agent: *\nDisallow: /").blocks_all(&home));
        assert!(!parsed("User-agent: *\nDisallow: /\n\nUser-agent: bingbot\nAllow: /").blocks_all(&home));
        assert!(!parsed("User-agent: HermesBot\nDisallow: /").blocks_all(&home));
    }

    #[test]
    fn rules_behind_the_first_500_kib_do_not_count() {
        let filler = "#".repeat(BYTES_MAX);
        let late = parsed(&format!("User-agent: *\n{filler}\nDisallow: /"));
        assert!(late.allows(&url("https://a.test/a")));
    }

    #[tokio::test]
    async fn a_missing_file_allows_everything_and_a_broken_server_nothing() {
        let page = url("https://a.test/a");
        for (status, allowed) in [(404, true), (401, true), (403, true), (429, true), (500, false), (503, false)] {
            let site = FakeSite::new().answer("https://a.test/robots.txt", status, &[], "User-agent: *\nDisallow: /");
            let file = fetched(&site).await;
            assert_eq!((file.status, file.allows(&page)), (status, allowed));
        }
    }

    #[tokio::test]
    async fn five_redirects_lead_to_the_file_and_six_are_no_file() {
        for (hops, allowed) in [(5, false), (6, true)] {
            let mut site = FakeSite::new().redirect("https://a.test/robots.txt", 302, "/r1");
            for hop in 1..hops {
                site = site.redirect(&format!("https://a.test/r{hop}"), 302, &format!("/r{}", hop + 1));
            }
            let site = site.text(&format!("https://a.test/r{hops}"), "User-agent: *\nDisallow: /");
            assert_eq!(fetched(&site).await.allows(&url("https://a.test/a")), allowed, "{hops} redirects");
        }
    }

    #[tokio::test]
    async fn sitemaps_and_the_crawl_delay_are_read() {
        let text = "Sitemap: https://a.test/s.xml\nUser-agent: *\nCrawl-delay: 2.5";
        let file = fetched(&FakeSite::new().text("https://a.test/robots.txt", text)).await;
        assert_eq!(file.sitemaps, [url("https://a.test/s.xml")]);
        assert_eq!(file.crawl_delay(), Some(Duration::from_millis(2_500)));
    }
}
