//! One page as the crawl remembers it, and whether search engines may index it.

use hermes_core::ports::http::Response;
use url::Url;

use super::directives::{Directive, Directives};
use super::table::NodeId;
use crate::site::address::{normalise, same_site};
use crate::site::html::{HREFLANGS_MAX, HeadLink, PageFacts};

/// A refresh within this many seconds is a redirect; a later one is a page that people read first.
const REFRESH_REDIRECT_SECONDS_MAX: f64 = 5.0;

/// One HTML page that was read.
#[derive(Debug)]
pub(super) struct Page {
    /// What its HTML says. Links and assets are taken out and kept in the table.
    pub(super) facts: PageFacts,
    /// Internal links: the target and how many elements link to it.
    pub(super) links: Vec<(NodeId, u32)>,
    /// What it tells robots.
    pub(super) directives: Directives,
    /// Milliseconds to the end of the response's head.
    pub(super) ttfb_ms: u64,
    /// Bytes of the HTML after decompression, as far as they were read.
    pub(super) bytes: u64,
    /// Whether the server compressed it.
    pub(super) is_compressed: bool,
}

/// Whether search engines may index a page under its own URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Yes.
    Indexable,
    /// A robots directive says no.
    Noindex(String),
    /// robots.txt keeps Googlebot away.
    Blocked,
    /// It sends readers on at once.
    SendsOn(Url),
    /// It names another page of the site as the one to index.
    CanonicalElsewhere(Url),
    /// It names a page of another host as the one to index.
    CanonicalForeign(Url),
}

impl Verdict {
    /// Whether titles, descriptions and so on of the page are judged.
    ///
    /// A page that only forwards, or that shall not be found, is not; one that names a foreign host is: seen from here,
    /// nobody can tell a copy from a site with a wrong setting, and its texts are what the owner asked about.
    pub(super) fn is_judged(&self) -> bool {
        match self {
            Self::Indexable | Self::CanonicalForeign(_) => true,
            Self::Noindex(_) | Self::Blocked | Self::SendsOn(_) | Self::CanonicalElsewhere(_) => false,
        }
    }

    /// Whether the page sends every reader elsewhere, robot or not.
    pub(super) fn depends_on_nobody(&self) -> bool {
        match self {
            Self::SendsOn(_) | Self::CanonicalElsewhere(_) | Self::CanonicalForeign(_) => true,
            Self::Indexable | Self::Noindex(_) | Self::Blocked => false,
        }
    }

    /// Why the page is not indexed, in words.
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Indexable => "indexable".to_owned(),
            Self::Noindex(directive) => directive.clone(),
            Self::Blocked => "robots.txt forbids Googlebot to read it".to_owned(),
            Self::SendsOn(url) => format!("meta refresh to {url}"),
            Self::CanonicalElsewhere(url) => format!("canonical is {url}"),
            Self::CanonicalForeign(url) => format!("canonical is on another host: {url}"),
        }
    }
}

impl Page {
    /// Joins what a response says with what its HTML says.
    pub(super) fn new(url: &Url, response: &Response, mut facts: PageFacts) -> Self {
        let values = |name: &'static str| {
            response.headers.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
        };
        for link in values("link").flat_map(link_header) {
            let href = link.href.trim().to_owned();
            let head_link = HeadLink { hreflang: None, url: url.join(&href).ok(), href };
            if link.rel == "canonical" && facts.canonicals.len() < 10 {
                facts.canonicals.push(head_link.url.as_ref().map_or_else(|| head_link.href.clone(), Url::to_string));
                facts.head_links.push(head_link);
            } else if let Some(code) = link.hreflang.filter(|_| link.rel == "alternate")
                && facts.hreflangs.len() < HREFLANGS_MAX
            {
                facts.hreflangs.push((code.clone(), head_link.href.clone()));
                facts.head_links.push(HeadLink { hreflang: Some(code), ..head_link });
            }
        }
        Self {
            directives: Directives::read(&facts.robots, response),
            links: Vec::new(),
            ttfb_ms: response.ttfb_ms,
            bytes: response.body.len() as u64,
            is_compressed: response.content_encoding.is_some(),
            facts,
        }
    }

    /// The directive that forbids indexing, if there is one.
    pub(super) fn noindex(&self) -> Option<String> {
        self.directives.noindex().map(Directive::describe)
    }

    /// Where the page sends its readers at once, if it does.
    pub(super) fn sends_on(&self) -> Option<&Url> {
        self.facts.refresh.as_ref().filter(|(delay, _)| *delay <= REFRESH_REDIRECT_SECONDS_MAX).map(|(_, url)| url)
    }

    /// The canonical URL, if the page names exactly one that can be read.
    pub(super) fn canonical(&self, url: &Url) -> Option<Url> {
        let mut named = self.facts.canonicals.iter().filter(|href| !href.is_empty());
        let first = normalise(url.join(named.next()?).ok()?);
        let agree = named.all(|href| url.join(href).is_ok_and(|other| normalise(other) == first));
        (agree && matches!(first.scheme(), "http" | "https")).then_some(first)
    }

    /// Whether search engines may index the page under `url`.
    pub(super) fn verdict(&self, url: &Url, is_blocked: bool) -> Verdict {
        if is_blocked {
            return Verdict::Blocked;
        }
        if let Some(directive) = self.noindex() {
            return Verdict::Noindex(directive);
        }
        if let Some(target) = self.sends_on() {
            return Verdict::SendsOn(target.clone());
        }
        match self.canonical(url) {
            Some(canonical) if !same_site(&canonical, url) => Verdict::CanonicalForeign(canonical),
            Some(canonical) if canonical != *url => Verdict::CanonicalElsewhere(canonical),
            Some(_) | None => Verdict::Indexable,
        }
    }
}

struct HeaderLink {
    href: String,
    rel: String,
    hreflang: Option<String>,
}

/// `<https://a/>; rel="canonical", <https://b/>; rel=alternate; hreflang=de`.
fn link_header(value: &str) -> Vec<HeaderLink> {
    let mut links = Vec::new();
    for part in value.split('<').skip(1).take(50) {
        let Some((href, parameters)) = part.split_once('>') else { continue };
        let parameter = |name: &str| {
            parameters.split([';', ',']).find_map(|parameter| {
                let (key, value) = parameter.split_once('=')?;
                key.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"').to_ascii_lowercase())
            })
        };
        if let Some(rel) = parameter("rel") {
            links.push(HeaderLink { href: href.trim().to_owned(), rel, hreflang: parameter("hreflang") });
        }
    }
    links
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::fake;
    use crate::site::html::extract;

    fn url(text: &str) -> Url {
        Url::parse(text).expect("valid")
    }

    fn verdict(html: &str, headers: &[(&str, &str)]) -> Verdict {
        let url = url("https://a.test/page");
        let response = fake::response(200, headers, html);
        Page::new(&url, &response, extract(html, &url)).verdict(&url, false)
    }

    #[test]
    fn a_page_is_indexable_unless_it_says_otherwise() {
        for html in [
            "",
            "<meta name=robots content='index,follow'>",
            "<link rel=canonical href='https://a.test/page'>",
            "<link rel=canonical href='page#x'>",
            // two that disagree are ignored, as search engines do
            "<link rel=canonical href='/one'><link rel=canonical href='/two'>",
            "<meta http-equiv=refresh content='300; url=/next'>",
        ] {
            assert_eq!(verdict(html, &[]), Verdict::Indexable, "{html}");
        }
    }

    #[test]
    fn noindex_counts_in_the_page_and_in_the_header() {
        assert!(matches!(verdict("<meta name=googlebot content=NONE>", &[]), Verdict::Noindex(_)));
        assert!(matches!(verdict("", &[("x-robots-tag", "noarchive, noindex")]), Verdict::Noindex(_)));
        assert!(matches!(verdict("", &[("x-robots-tag", "googlebot: noindex")]), Verdict::Noindex(_)));
        assert_eq!(verdict("", &[("x-robots-tag", "otherbot: noindex")]), Verdict::Indexable);
        assert_eq!(verdict("", &[("x-robots-tag", "max-snippet: 10")]), Verdict::Indexable);
    }

    #[test]
    fn a_canonical_elsewhere_counts_in_the_page_and_in_the_header() {
        let elsewhere = Verdict::CanonicalElsewhere(url("https://a.test/other"));
        assert_eq!(verdict("<link rel=canonical href=/other>", &[]), elsewhere);
        assert_eq!(verdict("", &[("link", "<https://a.test/other>; rel=\"canonical\"")]), elsewhere);
        let foreign = verdict("<link rel=canonical href='https://b.test/page'>", &[]);
        assert_eq!(foreign, Verdict::CanonicalForeign(url("https://b.test/page")));
        assert!(foreign.is_judged() && !elsewhere.is_judged());
    }

    #[test]
    fn a_page_that_sends_on_at_once_is_not_indexable() {
        let next = Verdict::SendsOn(url("https://a.test/next"));
        assert_eq!(verdict("<meta http-equiv=refresh content='0; url=/next'>", &[]), next);
    }
}
