//! Who the competitors are: those that the plan names, else those that rank for the same queries.

use std::collections::BTreeMap;

use hermes_core::Domain;
use url::Url;

use super::options::{COMPETITORS_MAX, CompareOptions};
use super::stop_list::lists;
use crate::serp_intelligence::owner::{Site, domain_of};
use crate::serp_intelligence::result::{SearchedQuery, Searches, SeenResult};

/// A domain must be seen for this many of the queries …
const QUERIES_MIN: usize = 2;
/// … and for one in this many of them.
const QUERIES_PART: usize = 10;

/// One competitor.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rival {
    /// As search results count it.
    pub(super) domain: String,
    /// Where its home page may be, the best first.
    pub(super) seeds: Vec<Url>,
    /// Its page that ranks best, with the query for which it does.
    pub(super) page: Option<(Url, String)>,
}

/// The competitors, the most visible first.
pub(super) fn choose(options: &CompareOptions, searches: Option<&Searches>) -> Vec<Rival> {
    let best = searches.map(best_pages).unwrap_or_default();
    let rival = |domain: String, seeds: Vec<Url>| {
        let page = best.get(&domain).map(|(_, url, query)| (url.clone(), query.clone()));
        Rival { domain, seeds, page }
    };
    if !options.competitors.is_empty() {
        let given = options.competitors.iter().map(Domain::seeds).filter_map(|seeds| Some((seeds.first()?, seeds)));
        return given.map(|(first, seeds)| rival(domain_of(first), seeds.to_vec())).collect();
    }
    let Some(searches) = searches else { return Vec::new() };
    let answered = searches.queries.iter().filter(|query| query.error.is_none()).count();
    let enough = QUERIES_MIN.max(answered.div_ceil(QUERIES_PART));
    let stop_list = options.not_competitors();
    searches
        .domains
        .iter()
        .filter(|seen| !seen.is_own && seen.queries as usize >= enough && !lists(&stop_list, &seen.domain))
        .filter_map(|seen| {
            let (_, url, _) = best.get(&seen.domain)?;
            Some(rival(seen.domain.clone(), vec![url.join("/").ok()?]))
        })
        .take(COMPETITORS_MAX)
        .collect()
}

/// The best-ranked page of each domain: its rank, its address, and the first query for which it ranks so.
fn best_pages(searches: &Searches) -> BTreeMap<String, (u32, Url, String)> {
    let mut best: BTreeMap<String, (u32, Url, String)> = BTreeMap::new();
    for (query, result) in all(&searches.queries) {
        let Some(url) = result.url.as_deref().and_then(|url| Url::parse(url).ok()) else { continue };
        if best.get(&result.domain).is_none_or(|(rank, ..)| result.rank < *rank) {
            best.insert(result.domain.clone(), (result.rank, url, query.query.clone()));
        }
    }
    best
}

/// The site's own best pages for `queries`, in their order, each once; then those for other queries.
pub(super) fn own_pages(site: &Site, searches: &Searches, queries: &[&str]) -> Vec<Url> {
    let mut pages: Vec<Url> = Vec::new();
    let is_meant = |query: &SearchedQuery| queries.contains(&query.query.as_str());
    let (meant, others): (Vec<&SearchedQuery>, Vec<_>) = searches.queries.iter().partition(|query| is_meant(query));
    for query in meant.into_iter().chain(others) {
        let urls =
            query.results.iter().filter_map(|result| result.url.as_deref()).filter_map(|url| Url::parse(url).ok());
        if let Some(url) = urls.into_iter().find(|url| site.owns(url)).filter(|url| !pages.contains(url)) {
            pages.push(url);
        }
    }
    pages
}

fn all(queries: &[SearchedQuery]) -> impl Iterator<Item = (&SearchedQuery, &SeenResult)> {
    queries.iter().flat_map(|query| query.results.iter().map(move |result| (query, result)))
}
