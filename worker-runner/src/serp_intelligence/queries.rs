//! What is searched for: the queries of the plan, else what the site suggests; and the name of its owner. Each keeps
//! where it came from, so that a person can correct it.

use std::collections::{BTreeMap, HashSet};

use url::{Host, Url};

use super::options::SearchOptions;
use super::pages::OwnPage;
use super::phrases::{Index, segments};

/// Characters of a name that can be one.
const BRAND_CHARS_MAX: usize = 60;

/// One query with its origin.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tracked {
    pub(crate) text: String,
    /// `plan`, `site`, `search-console`; of the name also `structured data`, `titles`, `domain`.
    pub(crate) origin: &'static str,
    /// The page of the site that it is clearly about.
    pub(crate) expected: Option<Url>,
}

/// What the pages of a site say about what it wants to be found for.
pub(crate) struct Suggestions {
    /// The name of its owner.
    pub(crate) brand: Option<Tracked>,
    /// Its phrases.
    pub(crate) index: Index,
    /// Words that carry no meaning in its language.
    pub(crate) stop_words: HashSet<&'static str>,
}

impl Suggestions {
    /// `language` is a code of two letters; `home` is where the site is, also where none of its pages could be read.
    pub(crate) fn of(options: &SearchOptions, pages: &[OwnPage], language: &str, home: &Url) -> Self {
        let stop_words: HashSet<&str> = stop_words::lookup(language).unwrap_or_default().iter().copied().collect();
        let brand = brand(options, pages, home);
        let mut boilerplate: HashSet<String> =
            repeated_segments(pages).into_iter().map(|text| text.to_lowercase()).collect();
        boilerplate.extend(brand.iter().map(|brand| brand.text.to_lowercase()));
        boilerplate.extend(label(home));
        let index = Index::new(pages, &stop_words, &boilerplate);
        Self { brand, index, stop_words }
    }

    /// The queries of the plan, or `own` ones that a provider knows, or phrases of the site.
    pub(crate) fn queries(&self, options: &SearchOptions, own: Vec<String>) -> Vec<Tracked> {
        let with_match = |text: String, origin: &'static str| {
            let expected = self.index.clear_match(&text, &self.stop_words).cloned();
            Tracked { text, origin, expected }
        };
        if !options.queries.is_empty() {
            return options.queries.iter().map(|text| with_match(text.clone(), "plan")).collect();
        }
        if !own.is_empty() {
            return own.into_iter().map(|text| with_match(text, "search-console")).collect();
        }
        let phrases = self.index.phrases(options.phrases).into_iter();
        phrases.map(|phrase| Tracked { text: phrase.text, origin: "site", expected: Some(phrase.url) }).collect()
    }
}

fn brand(options: &SearchOptions, pages: &[OwnPage], home: &Url) -> Option<Tracked> {
    let tracked = |text: String, origin| Tracked { text, origin, expected: None };
    if let Some(given) = &options.brand {
        return Some(tracked(given.clone(), "plan"));
    }
    let fits = |text: &String| !text.is_empty() && text.chars().count() <= BRAND_CHARS_MAX;
    let owners = pages.iter().map(|page| page.reading.owners.iter().map(String::as_str).collect::<HashSet<&str>>());
    most_common(owners)
        .map(|(text, _)| text)
        .filter(fits)
        .map(|text| tracked(text, "structured data"))
        .or_else(|| repeated_segments(pages).into_iter().find(fits).map(|text| tracked(text, "titles")))
        .or_else(|| label(home).map(|text| tracked(text, "domain")))
}

/// Parts of titles that more than half of the pages share, those at the end of titles first.
fn repeated_segments(pages: &[OwnPage]) -> Vec<String> {
    let titles: Vec<Vec<&str>> = pages
        .iter()
        .filter_map(|page| page.reading.title.as_ref())
        .map(|title| segments(&title.text).collect())
        .collect();
    let long = || titles.iter().filter(|parts| parts.len() > 1);
    let ends: [Vec<&str>; 2] = [
        long().filter_map(|parts| parts.last().copied()).collect(),
        long().filter_map(|parts| parts.first().copied()).collect(),
    ];
    let at_ends = ends.into_iter().map(|parts| most_common(parts.into_iter().map(|part| HashSet::from([part]))));
    at_ends.flatten().filter(|(_, count)| *count >= 2 && count * 2 > pages.len()).map(|(text, _)| text).collect()
}

/// The text that most sets have, and how many do; of several the first in their order.
fn most_common<'a>(sets: impl IntoIterator<Item = HashSet<&'a str>>) -> Option<(String, usize)> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    sets.into_iter().flatten().for_each(|text| *counts.entry(text).or_default() += 1);
    let most = counts.values().copied().max()?;
    counts.into_iter().find(|(_, count)| *count == most).map(|(text, count)| (text.to_owned(), count))
}

/// The name in the domain: `my shop` of `www.my-shop.co.uk`. Addresses have none.
fn label(home: &Url) -> Option<String> {
    let Some(Host::Domain(host)) = home.host() else { return None };
    let domain = psl::domain_str(host)?;
    let label = domain.split('.').next()?.replace('-', " ");
    (!label.starts_with("xn  ")).then_some(label)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::html::reading::read;

    fn page(path: &str, html: &str) -> OwnPage {
        let url = Url::parse("https://www.peak-shop.co.uk/").expect("valid").join(path).expect("valid");
        OwnPage { reading: read(html, &url), url }
    }

    fn brand_of(pages: &[OwnPage], options: &SearchOptions) -> Option<(String, &'static str)> {
        let home = Url::parse("https://www.peak-shop.co.uk/").expect("valid");
        Suggestions::of(options, pages, "en", &home).brand.map(|brand| (brand.text, brand.origin))
    }

    #[test]
    fn the_name_comes_from_the_plan_the_structured_data_the_titles_or_the_domain() {
        let titles = [page("/", "<title>Home | Peak Sports</title>"), page("/a", "<title>Tents | Peak Sports</title>")];
        let organisation = r#"<script type="application/ld+json">{"@type":"Organization","name":"Peak Ltd"}</script>"#;
        let named = [page("/", organisation), titles[0].clone(), titles[1].clone()];
        let none = SearchOptions::default();
        let given = SearchOptions { brand: Some("Given".into()), ..SearchOptions::default() };
        for (pages, options, expected) in [
            (&named[..], &given, ("Given", "plan")),
            (&named[..], &none, ("Peak Ltd", "structured data")),
            (&titles[..], &none, ("Peak Sports", "titles")),
            (&titles[..1], &none, ("peak shop", "domain")),
            (&[], &none, ("peak shop", "domain")),
        ] {
            assert_eq!(brand_of(pages, options), Some((expected.0.to_owned(), expected.1)));
        }
        let address = Url::parse("http://127.0.0.1:8080/").expect("valid");
        assert_eq!(Suggestions::of(&none, &[], "en", &address).brand, None);
    }

    #[test]
    fn queries_come_from_the_plan_the_provider_or_the_site() {
        let pages = [
            page("/", "<title>Outdoor gear | Peak</title><a href=/t>Camping tents</a>"),
            page("/t", "<title>Camping tents | Peak</title><h1>Camping tents</h1>"),
        ];
        let home = pages[0].url.clone();
        let origins = |options: &SearchOptions, own: Vec<String>| -> Vec<(String, &'static str, Option<String>)> {
            let queries = Suggestions::of(options, &pages, "en", &home).queries(options, own);
            queries
                .into_iter()
                .map(|query| (query.text, query.origin, query.expected.map(|url| url.path().into())))
                .collect()
        };
        let given = SearchOptions { queries: vec!["camping tents".into(), "boats".into()], ..SearchOptions::default() };
        assert_eq!(
            origins(&given, vec!["x".into()]),
            [("camping tents".into(), "plan", Some("/t".into())), ("boats".into(), "plan", None)]
        );
        let none = SearchOptions::default();
        assert_eq!(origins(&none, vec!["x".into()]), [("x".into(), "search-console", None)]);
        let derived = origins(&none, Vec::new());
        assert!(derived.contains(&("camping tents".into(), "site", Some("/t".into()))), "{derived:?}");
        assert!(!derived.iter().any(|(text, ..)| text.contains("peak")), "{derived:?}");
    }
}
