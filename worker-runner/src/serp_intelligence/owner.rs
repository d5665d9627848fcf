//! Whose result it is: the site's own, or that of which domain.

use url::{Host, Url};

use crate::site::address::normalise;

/// The site that results are looked through for.
#[derive(Clone, Debug)]
pub struct Site {
    home: Url,
    name: String,
}

impl Site {
    /// The site whose home page is at `home`.
    #[must_use]
    pub fn new(home: Url) -> Self {
        let name = name_of(&home);
        Self { home, name }
    }

    /// The home page.
    #[must_use]
    pub fn home(&self) -> &Url {
        &self.home
    }

    /// The host without `www.`, with the port where it is not the usual one.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether a page belongs to the site: the same host with or without `www.`, or a host below it. What is above it
    /// is not: `shop.example.com` does not own `example.com`.
    #[must_use]
    pub fn owns(&self, url: &Url) -> bool {
        let name = name_of(url);
        name == self.name || name.strip_suffix(self.name.as_str()).is_some_and(|below| below.ends_with('.'))
    }

    /// Whether a page is the home page, in any of the spellings that engines show.
    #[must_use]
    pub fn is_home(&self, url: &Url) -> bool {
        let root = normalise(self.home.join("/").expect("an address of the web has a root"));
        [&self.home, &root].iter().any(|home| page_key(home) == page_key(url))
    }
}

/// The host without `www.`, with the port where it is not the usual one.
fn name_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let host = host.strip_prefix("www.").unwrap_or(host);
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// The domain that a result counts for: the part of its host that somebody registered, so that `de.example.co.uk` and
/// `example.co.uk` are one; for an address the address with its port.
#[must_use]
pub fn domain_of(url: &Url) -> String {
    match url.host() {
        Some(Host::Domain(host)) if url.port().is_none() => psl::domain_str(host).unwrap_or(host).to_owned(),
        _ => name_of(url),
    }
}

/// One spelling for the addresses under which engines show one page: without scheme, `www.`, a slash at the end and
/// the marks of campaigns.
#[must_use]
pub fn page_key(url: &Url) -> String {
    let url = normalise(url.clone());
    let path = url.path().trim_end_matches('/');
    let is_mark = |name: &str| name.starts_with("utm_") || matches!(name, "srsltid" | "gclid" | "fbclid" | "msclkid");
    let query: Vec<&str> = url.query().unwrap_or_default().split('&').collect();
    let kept: Vec<&str> =
        query.into_iter().filter(|pair| !pair.is_empty() && !is_mark(pair.split('=').next().unwrap_or(pair))).collect();
    let mark = if kept.is_empty() { "" } else { "?" };
    format!("{}{path}{mark}{}", name_of(&url), kept.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect("valid")
    }

    #[test]
    fn a_site_owns_its_host_with_and_without_www_and_what_is_below() {
        let site = Site::new(url("https://www.example.com/start"));
        for own in ["http://example.com/a", "https://www.example.com/", "https://blog.example.com/x"] {
            assert!(site.owns(&url(own)), "{own}");
        }
        for foreign in ["https://example.com:8443/", "https://badexample.com/", "https://example.com.evil.test/"] {
            assert!(!site.owns(&url(foreign)), "{foreign}");
        }
        assert!(!Site::new(url("https://shop.example.com/")).owns(&url("https://example.com/")));
    }

    #[test]
    fn the_home_page_is_known_in_every_spelling() {
        let site = Site::new(url("https://www.example.com/start/"));
        for home in ["http://example.com", "https://example.com/start?utm_source=x", "https://www.example.com/#top"] {
            assert!(site.is_home(&url(home)), "{home}");
        }
        assert!(!site.is_home(&url("https://example.com/start?page=2")));
    }

    #[test]
    fn results_count_for_what_somebody_registered() {
        for (text, expected) in [
            ("https://de.shop.example.co.uk/a", "example.co.uk"),
            ("https://someone.github.io/", "someone.github.io"),
            ("http://127.0.0.1:8080/a", "127.0.0.1:8080"),
            ("http://localhost/", "localhost"),
        ] {
            assert_eq!(domain_of(&url(text)), expected);
        }
    }
}
