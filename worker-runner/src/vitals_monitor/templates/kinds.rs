//! Which pages of a site stand for the others: the kinds of pages that its home page links to, told by their addresses.
//!
//! Sites put the pages of one template below one folder (`/products/shoe`, `/products/hat`), and link to what matters from
//! their home page, often more than once. Nobody else needs to have crawled the site for that.

use std::collections::HashMap;

use url::Url;

use crate::site::address::{is_web, may_be_a_page, repeats_itself, same_site, without_session_id};
use crate::site::html::Link;

/// Pages of one kind that are kept: the first is looked at, the others where it cannot be.
pub(super) const PAGES_MAX: usize = 3;

/// Pages that are likely to be made by one template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    /// `/products/…`; `/…` for pages of the root.
    pub(super) name: String,
    /// Elements of the home page that lead to pages of this kind.
    pub(super) links: u32,
    /// Its pages, the most linked first, at most [`PAGES_MAX`].
    pub(super) pages: Vec<Url>,
}

/// The kinds of pages beside `home` itself that `links` lead to, the most linked first. Left out is what is on another
/// host, what `is_allowed` does not allow, what the site does not vouch for (`nofollow`), and what is no page by its address.
pub(super) fn kinds(home: &Url, links: &[Link], is_allowed: impl Fn(&Url) -> bool) -> Vec<Kind> {
    let mut kinds: Vec<(Kind, Vec<&Link>)> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    for link in links.iter().filter(|link| !link.nofollow && link.url != *home) {
        let url = &link.url;
        let is_page = is_web(url) && may_be_a_page(url) && !repeats_itself(url) && without_session_id(url).is_none();
        if !is_page || url.scheme() != home.scheme() || !same_site(url, home) || !is_allowed(url) {
            continue;
        }
        let Some(name) = name_of(url) else { continue };
        let at = *known.entry(name.clone()).or_insert(kinds.len());
        if at == kinds.len() {
            kinds.push((Kind { name, links: 0, pages: Vec::new() }, Vec::new()));
        }
        kinds[at].0.links += link.count;
        kinds[at].1.push(link);
    }
    // Both sorts keep the order of the home page among equals: what comes first there matters more.
    kinds.sort_by_key(|(kind, _)| std::cmp::Reverse(kind.links));
    let pages = kinds.into_iter().map(|(mut kind, mut links)| {
        links.sort_by_key(|link| std::cmp::Reverse(link.count));
        kind.pages = links.into_iter().take(PAGES_MAX).map(|link| link.url.clone()).collect();
        kind
    });
    pages.collect()
}

/// The first folder of the path, a language before it left aside; `None` for the home page in another language. A script
/// that makes its pages of a query (`/product.php?id=7`) is a kind of its own.
fn name_of(url: &Url) -> Option<String> {
    let mut segments: Vec<&str> = url.path().split('/').filter(|segment| !segment.is_empty()).collect();
    if segments.first().is_some_and(|first| is_language(first)) {
        segments.remove(0);
    }
    match (segments.as_slice(), url.query()) {
        ([], None) => None,
        ([], Some(_)) => Some("/?…".to_owned()),
        ([script], Some(_)) => Some(format!("/{script}?…")),
        ([_], None) => Some("/…".to_owned()),
        ([folder, ..], _) => Some(format!("/{folder}/…")),
    }
}

/// `en`, `pt-br`: a folder of that name holds the site in a language, not a kind of page.
fn is_language(segment: &str) -> bool {
    let mut parts = segment.split(['-', '_']);
    let is_of = |part: Option<&str>, chars: std::ops::RangeInclusive<usize>| {
        part.is_some_and(|part| chars.contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphabetic()))
    };
    is_of(parts.next(), 2..=2) && parts.next().is_none_or(|region| is_of(Some(region), 2..=4)) && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(links: &[(&str, u32)]) -> Vec<(String, Vec<String>)> {
        let home = Url::parse("https://a.test/").expect("valid");
        let links: Vec<Link> = links
            .iter()
            .map(|(to, count)| Link {
                url: home.join(to).expect("valid"),
                nofollow: to.contains("login"),
                count: *count,
            })
            .collect();
        let found = kinds(&home, &links, |url| !url.path().starts_with("/private"));
        found
            .into_iter()
            .map(|kind| (kind.name, kind.pages.iter().map(|url| url.path().to_owned()).collect()))
            .collect()
    }

    fn one(name: &str, pages: &[&str]) -> (String, Vec<String>) {
        (name.to_owned(), pages.iter().map(|page| (*page).to_owned()).collect())
    }

    #[test]
    fn pages_below_one_folder_are_of_one_kind_and_the_most_linked_come_first() {
        let found = named(&[
            ("/about", 1),
            ("/blog/first", 1),
            ("/products/hat", 1),
            ("/products/shoe", 3),
            ("/blog/2026/second", 1),
            ("/contact", 1),
        ]);
        let expected = [
            one("/products/…", &["/products/shoe", "/products/hat"]),
            one("/…", &["/about", "/contact"]),
            one("/blog/…", &["/blog/first", "/blog/2026/second"]),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_language_before_the_folder_makes_no_kind_and_its_home_page_is_none() {
        let found = named(&[("/en/", 5), ("/pt-br/shop/a", 1), ("/en/shop/b", 2), ("/item.php?id=1", 1), ("/?p=1", 1)]);
        let expected =
            [one("/shop/…", &["/en/shop/b", "/pt-br/shop/a"]), one("/item.php?…", &["/item.php"]), one("/?…", &["/"])];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_elsewhere_forbidden_not_vouched_for_or_no_page_is_left_out() {
        let links = [
            ("/", 9),
            ("https://b.test/x/y", 9),
            ("http://a.test/x/y", 9),
            ("/private/x", 9),
            ("/user/login", 9),
            ("/files/x.pdf", 9),
            ("/x/y;jsessionid=0A1B2C3D", 9),
            ("/a/b/a/b/a/b/a/b", 9),
            ("/real/page", 1),
        ];
        assert_eq!(named(&links), [one("/real/…", &["/real/page"])]);
    }

    #[test]
    fn no_more_pages_of_a_kind_are_kept_than_can_be_tried() {
        let pages: Vec<String> = (0..9).map(|page| format!("/p/{page}")).collect();
        let links: Vec<(&str, u32)> = pages.iter().map(|page| (page.as_str(), 1)).collect();
        assert_eq!(named(&links), [one("/p/…", &["/p/0", "/p/1", "/p/2"])]);
    }
}
