//! What a site wants to be found for: phrases of its titles, headings and link texts, weighed by TF-IDF.
//!
//! A document is a page of the site with its own title and headings and with the texts of all links that lead to it, so
//! that pages which were not read are known by what others call them. A phrase is worth more the more often and the more
//! prominently a page has it, and the fewer other pages do.

use std::collections::{BTreeMap, HashMap, HashSet};

use url::Url;

use super::pages::OwnPage;
use crate::site::address::same_site;

/// Words of one phrase.
const WORDS_MAX: usize = 4;
/// Characters of one phrase.
const PHRASE_CHARS_MAX: usize = 60;
/// What a phrase is worth by its number of words: one word is vague, five are nobody's query.
const WORTH_BY_WORDS: [f64; WORDS_MAX] = [0.4, 1.0, 1.1, 0.9];
/// What a phrase in a title or heading counts, against one in a link.
const PROMINENT: f64 = 3.0;
/// Phrases of one page that are taken.
const PHRASES_OF_PAGE_MAX: usize = 2;
/// By how much a page must lead for a query to be clearly its own.
const CLEAR_LEAD: f64 = 1.2;
/// Links and headings that every site has and nobody searches for.
const GENERIC: &[&str] = &[
    "about",
    "about us",
    "account",
    "agb",
    "all rights reserved",
    "back to top",
    "blog",
    "cart",
    "checkout",
    "click here",
    "contact",
    "contact us",
    "cookie",
    "cookies",
    "cookie policy",
    "datenschutz",
    "datenschutzerklärung",
    "english",
    "faq",
    "help",
    "home",
    "homepage",
    "imprint",
    "impressum",
    "index",
    "kontakt",
    "learn more",
    "legal",
    "legal notice",
    "log in",
    "login",
    "mehr erfahren",
    "menu",
    "more",
    "my account",
    "newsletter",
    "next",
    "previous",
    "privacy",
    "privacy policy",
    "read more",
    "register",
    "search",
    "sign in",
    "sign up",
    "site map",
    "sitemap",
    "skip to content",
    "startseite",
    "subscribe",
    "suche",
    "terms",
    "terms and conditions",
    "terms of service",
    "terms of use",
    "warenkorb",
    "weiterlesen",
    "welcome",
    "wishlist",
    "über uns",
];

/// The phrases of a site by page.
#[derive(Debug, Default)]
pub(crate) struct Index {
    documents: Vec<Document>,
    /// Documents that have a phrase.
    spread: HashMap<String, u32>,
}

#[derive(Debug)]
struct Document {
    url: Url,
    weights: BTreeMap<String, f64>,
}

/// A phrase with the page that it stands for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Phrase {
    pub(crate) text: String,
    pub(crate) url: Url,
    score: f64,
}

impl Index {
    /// `stop_words` may not begin or end a phrase; what is in `boilerplate` (small letters) is the name of the site and
    /// not of a page.
    pub(crate) fn new(pages: &[OwnPage], stop_words: &HashSet<&str>, boilerplate: &HashSet<String>) -> Self {
        let mut prominent: BTreeMap<Url, HashSet<String>> = BTreeMap::new();
        let mut linked: BTreeMap<Url, BTreeMap<String, u32>> = BTreeMap::new();
        for page in pages {
            let own = prominent.entry(page.url.clone()).or_default();
            let texts = page.reading.title.iter().chain(&page.reading.headings);
            for segment in texts.flat_map(|text| segments(&text.text)) {
                if !boilerplate.contains(&segment.to_lowercase()) {
                    own.extend(grams(segment, stop_words));
                }
            }
            for (url, text) in
                page.reading.links.iter().filter(|(url, _)| same_site(url, &page.url) && *url != page.url)
            {
                let counts = linked.entry(url.clone()).or_default();
                for gram in segments(&text.text).flat_map(|segment| grams(segment, stop_words)) {
                    *counts.entry(gram).or_default() += 1;
                }
            }
        }
        let mut urls: Vec<Url> = prominent.keys().chain(linked.keys()).cloned().collect();
        urls.sort();
        urls.dedup();
        let mut index = Self::default();
        for url in urls {
            let mut weights: BTreeMap<String, f64> = BTreeMap::new();
            for gram in prominent.remove(&url).unwrap_or_default() {
                *weights.entry(gram).or_default() += PROMINENT;
            }
            for (gram, count) in linked.remove(&url).unwrap_or_default() {
                *weights.entry(gram).or_default() += f64::from(count).ln_1p();
            }
            weights.retain(|gram, _| !boilerplate.contains(gram) && !GENERIC.contains(&gram.as_str()));
            for gram in weights.keys() {
                *index.spread.entry(gram.clone()).or_default() += 1;
            }
            index.documents.push(Document { url, weights });
        }
        index
    }

    /// The best `count` phrases, best first.
    pub(crate) fn phrases(&self, count: usize) -> Vec<Phrase> {
        let mut best: BTreeMap<&str, Phrase> = BTreeMap::new();
        for document in &self.documents {
            for (gram, weight) in &document.weights {
                let words = gram.split(' ').count();
                let score = weight * self.rarity(gram) * WORTH_BY_WORDS[words.clamp(1, WORDS_MAX) - 1];
                if best.get(gram.as_str()).is_none_or(|known| known.score < score) {
                    best.insert(gram, Phrase { text: gram.clone(), url: document.url.clone(), score });
                }
            }
        }
        let mut ordered: Vec<Phrase> = best.into_values().collect();
        ordered.sort_by(|one, other| other.score.total_cmp(&one.score).then_with(|| one.text.cmp(&other.text)));
        let mut chosen: Vec<Phrase> = Vec::new();
        for phrase in ordered {
            if chosen.len() == count {
                break;
            }
            let of_page = chosen.iter().filter(|known| known.url == phrase.url).count();
            if of_page < PHRASES_OF_PAGE_MAX && !chosen.iter().any(|known| overlap(&known.text, &phrase.text)) {
                chosen.push(phrase);
            }
        }
        chosen
    }

    /// The page that a query is clearly about: it has all words of it in title, headings or links, and leads by far.
    pub(crate) fn clear_match(&self, query: &str, stop_words: &HashSet<&str>) -> Option<&Url> {
        let words: Vec<String> = words(query).filter(|word| !stop_words.contains(word.as_str())).collect();
        let whole = query.to_lowercase();
        let score = |document: &Document| -> f64 {
            if words.is_empty() || !words.iter().all(|word| document.weights.contains_key(word)) {
                return 0.0;
            }
            let grams = words.iter().chain(std::iter::once(&whole));
            grams.map(|gram| document.weights.get(gram).copied().unwrap_or_default() * self.rarity(gram)).sum()
        };
        let mut scored: Vec<(f64, &Url)> =
            self.documents.iter().map(|document| (score(document), &document.url)).collect();
        scored.sort_by(|one, other| other.0.total_cmp(&one.0));
        let (best, url) = *scored.first()?;
        let second = scored.get(1).map_or(0.0, |(score, _)| *score);
        (best > 0.0 && best >= second * CLEAR_LEAD).then_some(url)
    }

    #[expect(clippy::cast_precision_loss, reason = "pages of one site are far below 2^52")]
    fn rarity(&self, gram: &str) -> f64 {
        let spread = f64::from(self.spread.get(gram).copied().unwrap_or(1));
        (self.documents.len() as f64 / spread).ln_1p()
    }
}

/// Parts of a title or text between which no phrase goes on.
pub(crate) fn segments(text: &str) -> impl Iterator<Item = &str> {
    let parts = text
        .split(['|', '–', '—', '·', ':', ',', '(', ')', '/', '»', '«', '>', '•', '!', '?', ';', '"', '“', '”', '¶']);
    parts.flat_map(|part| part.split(" - ")).map(str::trim).filter(|part| !part.is_empty())
}

/// Words in small letters; `-`, `'` and `.` stay inside of them.
fn words(text: &str) -> impl Iterator<Item = String> {
    let inside = |c: char| c.is_alphanumeric() || matches!(c, '-' | '\'' | '’' | '.' | '+' | '#');
    let words =
        text.split(move |c: char| !inside(c)).map(|word| word.trim_matches(['-', '\'', '’', '.']).to_lowercase());
    words.filter(|word| !word.is_empty())
}

/// Phrases of one to [`WORDS_MAX`] words that neither begin nor end with a stop word.
fn grams(segment: &str, stop_words: &HashSet<&str>) -> Vec<String> {
    let words: Vec<String> = words(segment).collect();
    let is_end = |word: &String| !stop_words.contains(word.as_str()) && word.chars().any(char::is_alphabetic);
    let mut found = Vec::new();
    for start in 0..words.len() {
        for end in start + 1..=words.len().min(start + WORDS_MAX) {
            let gram = words[start..end].join(" ");
            let fits = (3..=PHRASE_CHARS_MAX).contains(&gram.chars().count()) || !gram.is_ascii();
            if fits && is_end(&words[start]) && is_end(&words[end - 1]) {
                found.push(gram);
            }
        }
    }
    found
}

/// Whether one phrase is a part of the other.
fn overlap(one: &str, other: &str) -> bool {
    let (one, other) = (format!(" {one} "), format!(" {other} "));
    one.contains(&other) || other.contains(&one)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::html::reading::read;

    fn url(path: &str) -> Url {
        Url::parse("https://a.test/").expect("valid").join(path).expect("valid")
    }

    fn page(path: &str, html: &str) -> OwnPage {
        OwnPage { url: url(path), reading: read(html, &url(path)) }
    }

    fn shop() -> Index {
        let menu = "<a href=/shoes>Running shoes</a><a href=/tents>Camping tents</a><a href=/about>About us</a>";
        let pages = [
            page("/", &format!("<title>Outdoor equipment | Peak</title><h1>Outdoor equipment</h1>{menu}")),
            page("/shoes", &format!("<title>Running shoes | Peak</title><h1>Running shoes for the trail</h1>{menu}")),
            page("/tents", &format!("<title>Camping tents | Peak</title><h1>Tents</h1>{menu}")),
        ];
        Index::new(&pages, &HashSet::from(["for", "the"]), &HashSet::from(["peak".to_owned()]))
    }

    #[test]
    fn phrases_name_the_pages_and_neither_the_site_nor_its_menu() {
        let texts: Vec<(String, String)> =
            shop().phrases(20).into_iter().map(|found| (found.text, found.url.path().to_owned())).collect();
        let has = |text: &str, path: &str| texts.contains(&(text.to_owned(), path.to_owned()));
        assert!(has("running shoes", "/shoes") && has("camping tents", "/tents"), "{texts:?}");
        assert!(has("outdoor equipment", "/"), "{texts:?}");
        assert!(!texts.iter().any(|(text, _)| text.contains("peak") || text.contains("about")), "{texts:?}");
        assert_eq!(
            texts,
            shop().phrases(20).into_iter().map(|found| (found.text, found.url.path().to_owned())).collect::<Vec<_>>()
        );
        assert_eq!(shop().phrases(1).len(), 1);
    }

    #[test]
    fn a_query_is_about_the_page_that_has_all_its_words() {
        let index = shop();
        let stop_words = HashSet::from(["for", "the"]);
        let path = |query: &str| index.clear_match(query, &stop_words).map(Url::path);
        assert_eq!(path("Running Shoes"), Some("/shoes"));
        assert_eq!(path("the tents for camping"), Some("/tents"));
        assert_eq!(path("running tents"), None);
        assert_eq!(path("for the"), None);
    }

    #[test]
    fn phrases_end_at_signs_and_stop_words() {
        let stop_words = HashSet::from(["and", "of"]);
        assert_eq!(grams("salt and pepper", &stop_words), ["salt", "salt and pepper", "pepper"]);
        assert_eq!(segments("A guide | Tea - green, black").collect::<Vec<_>>(), ["A guide", "Tea", "green", "black"]);
    }
}
