//! One page of search results, in the one form in which all providers' answers are judged.

use url::Url;

/// Characters of a title that are kept.
const TITLE_CHARS_MAX: usize = 300;
/// Characters of a snippet that are kept.
const SNIPPET_CHARS_MAX: usize = 300;

/// What one query brought.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SearchPage {
    /// Organic results, best first.
    pub organic: Vec<Organic>,
    /// What else was shown; `None` if the provider does not tell.
    pub features: Option<Vec<Feature>>,
    /// How many results the engine says there are in all; a rough estimate.
    pub estimate: Option<u64>,
    /// What makes the page incomplete, in words: an engine that did not answer, a second page that failed.
    pub gaps: Vec<String>,
}

/// One organic result.
#[derive(Clone, Debug, PartialEq)]
pub struct Organic {
    /// Position among the organic results, from 1.
    pub rank_group: u32,
    /// Position among everything that was shown, from 1: advertisements and answers count.
    pub rank_absolute: u32,
    /// Where it leads.
    pub url: Url,
    /// Its title as shown; empty if the provider does not tell.
    pub title: String,
    /// The text below; empty if the provider does not tell.
    pub snippet: String,
}

/// Something beside organic results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feature {
    /// What it is, as the provider calls it: `ai_overview`, `featured_snippet`, `paid` …
    pub kind: String,
    /// Whether it stands above the first organic result.
    pub is_on_top: bool,
}

/// Features that answer the question themselves, so that fewer people read on. Advertisements, maps and knowledge
/// panels at the side are none.
const ANSWERS: &[&str] = &["ai_overview", "featured_snippet", "answer_box", "summarizer", "infobox", "rich"];

impl Feature {
    /// Whether it answers the question itself.
    #[must_use]
    pub fn is_answer(&self) -> bool {
        ANSWERS.contains(&self.kind.as_str())
    }
}

impl SearchPage {
    /// Adds a result after all others unless its URL is there already or is none.
    pub(super) fn add(&mut self, url: &str, title: &str, snippet: &str, rank_absolute: Option<u32>) {
        let Ok(url) = Url::parse(url) else { return };
        if !matches!(url.scheme(), "http" | "https") || self.organic.iter().any(|known| known.url == url) {
            return;
        }
        let rank_group = u32::try_from(self.organic.len()).map_or(u32::MAX, |found| found.saturating_add(1));
        self.organic.push(Organic {
            rank_group,
            rank_absolute: rank_absolute.unwrap_or(rank_group).max(rank_group),
            url,
            title: title.chars().take(TITLE_CHARS_MAX).collect(),
            snippet: snippet.chars().take(SNIPPET_CHARS_MAX).collect(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_counts_once_and_only_with_an_address_on_the_web() {
        let mut page = SearchPage::default();
        for url in ["https://a.test/", "https://a.test/", "about:blank", "no url", "http://b.test/"] {
            page.add(url, "t", "s", None);
        }
        let ranks: Vec<_> = page.organic.iter().map(|found| (found.rank_group, found.url.as_str())).collect();
        assert_eq!(ranks, [(1, "https://a.test/"), (2, "http://b.test/")]);
    }
}
