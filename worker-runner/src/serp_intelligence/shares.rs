//! What was seen, in the form in which it is kept; and whose results get which share of the clicks.

use std::collections::BTreeMap;

use super::ask::Answer;
use super::curve::Curve;
use super::owner::{Site, domain_of};
use super::provider::DEPTH;
use super::queries::Tracked;
use super::result::{DOMAINS_MAX, SearchedQuery, SeenDomain, SeenResult, URL_BYTES_MAX};
use super::signals::own;

/// One query with what was seen for it.
pub(super) fn searched(site: &Site, query: &Tracked, answer: &Answer) -> SearchedQuery {
    let page = answer.page();
    let results = page.iter().flat_map(|page| &page.organic).filter(|found| found.rank_group <= DEPTH).map(|found| {
        let domain = if site.owns(&found.url) { site.name().to_owned() } else { domain_of(&found.url) };
        let url = Some(found.url.to_string()).filter(|url| url.len() <= URL_BYTES_MAX);
        SeenResult { rank: found.rank_group, domain, url }
    });
    SearchedQuery {
        query: query.text.clone(),
        origin: query.origin.to_owned(),
        expected: query.expected.as_ref().map(ToString::to_string).filter(|url| url.len() <= URL_BYTES_MAX),
        position: page.and_then(|page| own(site, page).first().map(|found| found.rank_group)),
        error: match answer {
            Answer::Page(_) => None,
            Answer::Failed(error) => Some(error.to_string()),
            Answer::NotAsked => Some("not asked".to_owned()),
        },
        results: results.collect(),
    }
}

/// The domains by their share of the assumed clicks, the greatest first. A domain's best position counts for each query.
pub(super) fn domains(site: &Site, queries: &[SearchedQuery], curve: &Curve) -> Vec<SeenDomain> {
    let mut clicks: BTreeMap<&str, (u32, f64)> = BTreeMap::new();
    for query in queries {
        let mut best: BTreeMap<&str, u32> = BTreeMap::new();
        for result in &query.results {
            let rank = best.entry(&result.domain).or_insert(result.rank);
            *rank = (*rank).min(result.rank);
        }
        for (domain, rank) in best {
            let entry = clicks.entry(domain).or_default();
            entry.0 += 1;
            entry.1 += curve.at(rank);
        }
    }
    let total: f64 = clicks.values().map(|(_, share)| share).sum();
    if total <= 0.0 {
        return Vec::new();
    }
    let mut domains: Vec<SeenDomain> = clicks
        .into_iter()
        .map(|(domain, (queries, share))| SeenDomain {
            domain: domain.to_owned(),
            queries,
            share: (share / total * 1e6).round() / 1e6,
            is_own: domain == site.name(),
        })
        .collect();
    domains.sort_by(|one, other| other.share.total_cmp(&one.share).then_with(|| one.domain.cmp(&other.domain)));
    // The site itself is listed however far behind it is.
    let own_at = domains.iter().position(|domain| domain.is_own);
    if let Some(at) = own_at.filter(|at| *at >= DOMAINS_MAX) {
        domains.swap(at, DOMAINS_MAX - 1);
    }
    domains.truncate(DOMAINS_MAX);
    domains
}
