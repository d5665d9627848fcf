//! robots.txt by RFC 9309: fetching it, obeying it, and reading it as the search engines do.
//!
//! 4xx means no restrictions, 5xx means that nothing may be read, more than [`REDIRECTS_MAX`] redirects count as 4xx,
//! and [`BYTES_MAX`] bytes are parsed. A failure of the network is the caller's to handle: for the first request to a
//! site it means that the site is unreachable.

use std::borrow::Cow;
use std::time::Duration;

use robotxt::{AccessResult, Robots};
use url::Url;

use super::fetch::{FetchError, Fetcher, ROBOT};
use super::robots_lint;
pub use super::robots_lint::{ERRORS_MAX, LineError};

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
    /// Lines that no crawler understands; a page of HTML in place of the file is one.
    pub errors: Vec<LineError>,
    /// How many lines no crawler understands, each line of such a page counted.
    pub wrong_lines: usize,
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

    /// Whether one of [`SEARCHERS`] may read a URL of this host.
    #[must_use]
    pub fn allows_searcher(&self, searcher: &str, url: &Url) -> bool {
        self.searchers.iter().filter(|(name, _)| *name == searcher).all(|(_, robots)| robots.is_url_allowed(url))
    }

    /// Whether Googlebot may read a URL of this host.
    #[must_use]
    pub fn allows_googlebot(&self, url: &Url) -> bool {
        self.allows_searcher("Googlebot", url)
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

    /// What the file says that was answered with `status` at `url`.
    #[must_use]
    pub fn of(url: &Url, status: u16, body: &[u8]) -> Self {
        let access = match status {
            200..=299 => AccessResult::Successful(body),
            300..=399 => AccessResult::TooManyRedirects,
            500..=599 => AccessResult::Unreachable,
            _ => AccessResult::Unavailable,
        };
        Self::read(location(url), status, access)
    }

    fn read(url: Url, status: u16, access: AccessResult<'_>) -> Self {
        let text = match access {
            AccessResult::Successful(text) => text,
            AccessResult::TooManyRedirects | AccessResult::Unavailable | AccessResult::Unreachable => b"",
        };
        let lenient = first_words_of_agents(text);
        let access = match access {
            AccessResult::Successful(_) => AccessResult::Successful(&lenient),
            AccessResult::TooManyRedirects | AccessResult::Unavailable | AccessResult::Unreachable => access,
        };
        let ours = Robots::from_access(access, ROBOT);
        let errors = robots_lint::errors(text);
        Self {
            status,
            bytes: text.len(),
            wrong_lines: robots_lint::wrong_lines(text),
            errors,
            sitemaps: ours.sitemaps().to_vec(),
            searchers: SEARCHERS.iter().map(|name| (*name, Robots::from_access(access, *name))).collect(),
            ours,
            url,
        }
    }
}

/// Names of agents end at their first blank: a product token has none, and Google reads `Foo Bar` as `Foo`.
fn first_words_of_agents(text: &[u8]) -> Cow<'_, [u8]> {
    let cut = |line: &[u8]| -> Option<usize> {
        let colon = line.iter().position(|byte| *byte == b':')?;
        if !line[..colon].trim_ascii().eq_ignore_ascii_case(b"user-agent") {
            return None;
        }
        let value = line[colon + 1..].len() - line[colon + 1..].trim_ascii_start().len() + colon + 1;
        let blank = line[value..].iter().position(|byte| byte.is_ascii_whitespace() || *byte == b'#')? + value;
        let rest = line[blank..].trim_ascii_start();
        (!rest.is_empty() && rest[0] != b'#').then_some(blank)
    };
    let lines = || text.split_inclusive(|byte| *byte == b'\n');
    if lines().all(|line| cut(line).is_none()) {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    for line in lines() {
        match cut(line) {
            Some(end) => {
                out.extend_from_slice(&line[..end]);
                out.push(b'\n');
            }
            None => out.extend_from_slice(line),
        }
    }
    Cow::Owned(out)
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
    Ok(RobotsFile::of(&url, end.response.status, &end.response.body))
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
        RobotsFile::of(&url("https://a.test/"), 200, text.as_bytes())
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
            // the name of an agent ends at its first blank
            ("User-agent: HermesBot 1.0 # us\nDisallow: /a", "/a", false),
            ("User-agent: HermesBot # us\nDisallow: /a", "/a", false),
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

    /// Google's own cases (github.com/google/robotstxt, `robots_test.cc`, Apache-2.0), where they lie beside the checkout.
    /// Four differ on purpose: two are about URLs that are not percent-encoded, which a parsed URL always is; RFC 9309
    /// decodes percent-encoded unreserved characters in patterns; and it does not take `/index.html` for `/`. Cases of
    /// lines that are too long are made by loops there, and not whole here.
    #[test]
    fn google_s_own_cases_give_what_google_gives() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/diagnosis/google_robots_vectors.json");
        let Ok(text) = std::fs::read_to_string(path) else { return };
        let cases: Vec<serde_json::Value> = serde_json::from_str(&text).expect("a list of cases");
        let (mut asked, mut different) = (0, Vec::new());
        for case in &cases {
            let member = |name: &str| case[name].as_str().unwrap_or_default();
            // An empty URL is no URL, and nobody has an empty name.
            let is_asked = !member("agent").is_empty() && member("test") != "GoogleOnly_LineTooLong";
            let (Ok(page), true) = (Url::parse(member("url")), is_asked) else { continue };
            asked += 1;
            let lenient = first_words_of_agents(member("robots").as_bytes());
            let robots = Robots::from_access(AccessResult::Successful(&lenient), member("agent"));
            if Some(robots.is_url_allowed(&page)) != case["allowed"].as_bool() {
                different.push(format!("{}: {} of {}", member("test"), page, member("agent")));
            }
        }
        assert!(asked > 120, "{asked}");
        assert_eq!(different, KNOWN_TO_DIFFER, "{different:#?}");
    }

    const KNOWN_TO_DIFFER: [&str; 4] = [
        "ID_Encoding: http://foo.bar/foo/bar/%E3%83%84 of FooBot",
        "ID_Encoding: http://foo.bar/foo/bar/%E3%83%84 of FooBot",
        "ID_Encoding: http://foo.bar/foo/bar/baz of FooBot",
        "GoogleOnly_IndexHTMLisDirectory: http://foo.com/allowed-slash/ of foobot",
    ];
}
