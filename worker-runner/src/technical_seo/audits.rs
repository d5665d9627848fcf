//! The SEO audits of Lighthouse 13.5, for one page: pass, fail or not applicable, and how many items fail.
//!
//! What each audit asks is documented at <https://developer.chrome.com/docs/lighthouse/seo/>; outcomes and counts are
//! the same as there; `tests/audit_pages` compares them. Three things differ because no browser is at work here: scripts
//! do not run, style sheets hide nothing (attributes do), and listeners that scripts add to links are not seen. A fourth
//! is a fault there: behind `max-snippet:` in `X-Robots-Tag` a `noindex` is not seen, as if that were the name of a robot.
//! A page that answers with an error fails `http-status-code`, and nothing else is asked of it.

use std::collections::BTreeSet;

use url::Url;

use super::directives::Source;
use super::page::Page;
use crate::site::html::{HeadLink, Samples};
use crate::site::language;
use crate::site::robots::{RobotsFile, SEARCHERS};

/// What an audit found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Nothing is wrong.
    Pass,
    /// Something is wrong.
    Fail,
    /// There is nothing that could be wrong.
    NotApplicable,
}

impl Outcome {
    /// The value of the signal.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::NotApplicable => "not_applicable",
        }
    }
}

/// One audit of one page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Audited {
    /// The signal that carries it.
    pub(super) signal: &'static str,
    /// What was found.
    pub(super) outcome: Outcome,
    /// How many items fail; one for an audit that fails as a whole.
    pub(super) items: u64,
    /// What fails, in words: each item, or the first.
    pub(super) details: Vec<String>,
}

impl Audited {
    fn of(signal: &'static str, details: Vec<String>) -> Self {
        let items = details.len() as u64;
        let outcome = if items == 0 { Outcome::Pass } else { Outcome::Fail };
        Self { signal, outcome, items, details }
    }

    fn counted(signal: &'static str, samples: &Samples) -> Self {
        let details = samples.first.iter().cloned().collect();
        Self { items: u64::from(samples.count), ..Self::of(signal, details) }
    }

    fn whole(signal: &'static str, problem: Option<String>) -> Self {
        Self::of(signal, problem.into_iter().collect())
    }

    fn not_applicable(signal: &'static str) -> Self {
        Self { signal, outcome: Outcome::NotApplicable, items: 0, details: Vec::new() }
    }
}

const HTTP_STATUS_CODE: &str = "tech.audit_http_status_code";
const ROBOTS_TXT: &str = "tech.audit_robots_txt";
/// The signals of the other audits.
const OF_THE_PAGE: [&str; 8] = [
    "tech.audit_is_crawlable",
    "tech.audit_document_title",
    "tech.audit_meta_description",
    "tech.audit_link_text",
    "tech.audit_crawlable_anchors",
    "tech.audit_image_alt",
    "tech.audit_hreflang",
    "tech.audit_canonical",
];

/// Judges a page that was answered with success.
pub(super) fn of_page(url: &Url, page: &Page, robots: &RobotsFile) -> Vec<Audited> {
    let facts = &page.facts;
    let [crawlable, title, description, link_text, anchors, image_alt, hreflang, canonical] = OF_THE_PAGE;
    let title_problem = facts.title.as_ref().is_none_or(|title| title.is_empty());
    let description_problem = match facts.head_description {
        None => Some("no meta description in the head".to_owned()),
        Some(false) => Some("the meta description is empty".to_owned()),
        Some(true) => None,
    };
    vec![
        is_crawlable(crawlable, url, page, robots),
        Audited::whole(title, title_problem.then(|| "no title, or an empty one".to_owned())),
        Audited::whole(description, description_problem),
        Audited::of(HTTP_STATUS_CODE, Vec::new()),
        Audited::counted(link_text, &facts.anchors.generic),
        Audited::counted(anchors, &facts.anchors.uncrawlable),
        robots_txt(robots),
        match facts.images.shown {
            0 => Audited::not_applicable(image_alt),
            _ => Audited::counted(image_alt, &facts.images.without_alt),
        },
        Audited::of(hreflang, facts.head_links.iter().filter_map(hreflang_problem).collect()),
        match canonical_problem(url, &facts.head_links) {
            Some(problem) => Audited::whole(canonical, problem),
            None => Audited::not_applicable(canonical),
        },
    ]
}

/// Judges an answer that is no page: only its status and robots.txt can be.
pub(super) fn of_error(status: u16, robots: &RobotsFile) -> Vec<Audited> {
    let problem = (400..=599).contains(&status).then(|| format!("HTTP {status}"));
    let mut all = vec![Audited::whole(HTTP_STATUS_CODE, problem), robots_txt(robots)];
    all.extend(OF_THE_PAGE.map(Audited::not_applicable));
    all
}

/// The signals of the audits that take a page.
pub(super) fn of_a_page_that_is_read() -> impl Iterator<Item = &'static str> {
    OF_THE_PAGE.into_iter().chain([HTTP_STATUS_CODE])
}

/// Judges a site whose home page could not be read, because of its robots.txt: nothing but that file can be.
pub(super) fn of_unread(robots: &RobotsFile) -> Vec<Audited> {
    vec![robots_txt(robots)]
}

/// Passes if at least one of [`SEARCHERS`] may index the page. Otherwise what keeps everybody away is told.
fn is_crawlable(signal: &'static str, url: &Url, page: &Page, robots: &RobotsFile) -> Audited {
    let blocks = |searcher: &str| {
        let name = (searcher != "*").then(|| searcher.to_ascii_lowercase());
        let mut found = Vec::new();
        // The first element for this robot counts, or the first for everybody.
        let metas = || page.directives.iter().filter(|directive| directive.source == Source::Head);
        let named = metas().find(|directive| directive.robot.is_some() && directive.robot == name);
        if let Some(first) = named.or_else(|| metas().find(|directive| directive.robot.is_none())) {
            found.extend(metas().find(|directive| directive.part == first.part && directive.blocks));
        }
        let fields = page.directives.iter().filter(|directive| directive.source == Source::Header && directive.blocks);
        let mut parts = BTreeSet::new();
        found.extend(
            fields
                .filter(|directive| directive.robot.is_none() || directive.robot == name)
                .filter(|directive| parts.insert(directive.part)),
        );
        let mut found: Vec<String> = found.into_iter().map(super::directives::Directive::describe).collect();
        if !robots.allows_searcher(searcher, url) {
            found.push(format!("{} forbids {searcher} to read it", robots.url));
        }
        found
    };
    match SEARCHERS.iter().all(|searcher| !blocks(searcher).is_empty()) {
        true => Audited::of(signal, blocks("*")),
        false => Audited::of(signal, Vec::new()),
    }
}

fn robots_txt(robots: &RobotsFile) -> Audited {
    match robots.status {
        500..=599 => Audited::whole(ROBOTS_TXT, Some(format!("robots.txt answers HTTP {}", robots.status))),
        200..=299 if robots.bytes > 0 => {
            let details = robots.errors.iter().map(|error| format!("line {}: {}", error.line, error.problem)).collect();
            Audited { items: robots.wrong_lines as u64, ..Audited::of(ROBOTS_TXT, details) }
        }
        _ => Audited::not_applicable(ROBOTS_TXT),
    }
}

fn hreflang_problem(link: &HeadLink) -> Option<String> {
    let code = link.hreflang.as_ref()?;
    let href = link.href.to_ascii_lowercase();
    let is_absolute = href.starts_with("http:") || href.starts_with("https:");
    if !language::is_hreflang_language(code) {
        return Some(format!("'{code}' is no language"));
    }
    (!is_absolute).then(|| format!("the URL for '{code}' is not absolute: {}", link.href))
}

/// `None` without a canonical; else what is wrong with it, if anything is.
fn canonical_problem(url: &Url, links: &[HeadLink]) -> Option<Option<String>> {
    let base = Url::parse("https://example.com").expect("a URL");
    let (mut invalid, mut relative, mut unique) = (None, None, BTreeSet::new());
    for link in links.iter().filter(|link| link.hreflang.is_none() && !link.href.is_empty()) {
        match &link.url {
            Some(target) if base.join(&link.href).is_ok() => match Url::parse(&link.href) {
                Ok(_) => drop(unique.insert(target)),
                Err(_) => relative = Some(&link.href),
            },
            Some(_) | None => invalid = Some(&link.href),
        }
    }
    if let Some(href) = invalid {
        return Some(Some(format!("the canonical is no URL: {href}")));
    }
    if let Some(href) = relative {
        return Some(Some(format!("the canonical is not absolute: {href}")));
    }
    let canonical = *unique.first()?;
    if unique.len() > 1 {
        let all: Vec<&str> = unique.iter().map(|target| target.as_str()).collect();
        return Some(Some(format!("conflicting canonicals: {}", all.join(", "))));
    }
    let is_listed =
        |wanted: &Url| links.iter().any(|link| link.hreflang.is_some() && link.url.as_ref() == Some(wanted));
    if canonical != url && is_listed(url) && is_listed(canonical) {
        return Some(Some(format!("the canonical is the page in another language: {canonical}")));
    }
    let to_root = canonical.origin() == url.origin() && canonical.path() == "/" && url.path() != "/";
    Some(to_root.then(|| "the canonical is the home page instead of a page like this one".to_owned()))
}

#[cfg(test)]
mod tests;
