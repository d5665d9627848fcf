//! The `serp.*` signals, from the answers to all queries.

use std::collections::{HashMap, HashSet};

use hermes_diagnosis::signal::Method;
use serde_json::Value;

use super::ask::Answer;
use super::curve::Curve;
use super::known::Known;
use super::owner::{Site, page_key};
use super::provider::{DEPTH, Organic, SearchPage, Traits};
use super::queries::Tracked;
use crate::site::report::{Findings, Report};

/// Fewer queries say little about a site …
pub(super) const QUERIES_ENOUGH: usize = 5;
/// … and are trusted no more than this.
pub(super) const QUALITY_OF_FEW: f64 = 0.4;
/// Trust in what `site:` brings: engines count roughly, and leave pages out.
const SITE_QUERY_QUALITY: f64 = 0.3;
/// Trust in which page is the right one for a query: the crawl that says so is small.
const MATCH_QUALITY: f64 = 0.5;
/// Positions of the first page, and those that most clicks go to.
const TOP_TEN: u32 = 10;
/// See [`TOP_TEN`].
const TOP_THREE: u32 = 3;

/// Everything that the signals are made from.
pub(super) struct View<'a> {
    pub(super) traits: Traits,
    pub(super) site: &'a Site,
    pub(super) curve: &'a Curve,
    pub(super) queries: &'a [Tracked],
    /// In the order of the queries.
    pub(super) answers: &'a [Answer],
    pub(super) brand: Option<(&'a Tracked, &'a Answer)>,
    /// What `site:` brought, if it was asked.
    pub(super) of_site: Option<&'a Answer>,
    /// Titles of pages of the site, by [`page_key`].
    pub(super) titles: &'a HashMap<String, String>,
    /// How many pages the engine's estimate is compared with.
    pub(super) known: Option<Known>,
}

/// A query with its results and those of the site among them.
struct Seen<'a> {
    query: &'a Tracked,
    page: &'a SearchPage,
    own: Vec<&'a Organic>,
}

impl Seen<'_> {
    fn position(&self) -> Option<u32> {
        self.own.first().map(|found| found.rank_group)
    }
}

/// The results of the site among the first [`DEPTH`] of a page, best first.
pub(super) fn own<'a>(site: &Site, page: &'a SearchPage) -> Vec<&'a Organic> {
    let mut own: Vec<&Organic> =
        page.organic.iter().filter(|found| found.rank_group <= DEPTH && site.owns(&found.url)).collect();
    own.sort_by_key(|found| found.rank_group);
    own
}

/// Adds all signals.
pub(super) fn measure(view: &View<'_>, report: &mut Report) {
    let seen: Vec<Seen<'_>> = view
        .queries
        .iter()
        .zip(view.answers)
        .filter_map(|(query, answer)| {
            let page = answer.page()?;
            let own = own(view.site, page);
            // A source that knows our pages only cannot tell "not shown" from "not searched for".
            (view.traits.sees_others || !own.is_empty()).then_some(Seen { query, page, own })
        })
        .collect();
    report.trust(view.traits.method, view.traits.quality);
    report.fact("serp.queries", seen.len());
    if seen.is_empty() {
        let reason = if view.queries.is_empty() { "there is no query" } else { "no query was answered" };
        for id in ["ranked_ratio", "top10_ratio", "top3_ratio", "visibility", "striking_ratio", "cannibalised_ratio"] {
            report.unknown(&format!("serp.{id}"), reason);
        }
    } else {
        let few = if seen.len() < QUERIES_ENOUGH { QUALITY_OF_FEW } else { 1.0 };
        report.trust(view.traits.method, view.traits.quality.min(few));
        positions(&seen, report);
        visibility(view, &seen, report);
        cannibalised(&seen, report);
        wrong_pages(view, &seen, report);
        report.trust(view.traits.method, view.traits.quality.min(few));
        features(&seen, report);
        rewritten_titles(view, &seen, report);
    }
    report.trust(view.traits.method, view.traits.quality);
    brand_position(view, report);
    home_indexed(view, &seen, report);
    index_ratio(view, report);
}

fn positions(seen: &[Seen<'_>], report: &mut Report) {
    for (id, from, to) in [
        ("serp.ranked_ratio", 1, DEPTH),
        ("serp.top10_ratio", 1, TOP_TEN),
        ("serp.top3_ratio", 1, TOP_THREE),
        ("serp.striking_ratio", TOP_THREE + 1, DEPTH),
    ] {
        let mut found = Findings::new();
        for (one, position) in seen.iter().filter_map(|one| Some((one, one.position()?))) {
            if (from..=to).contains(&position) {
                found.add(&one.own[0].url, || format!("position {position} for \"{}\"", one.query.text));
            }
        }
        report.ratio(id, found, seen.len() as u64);
    }
}

#[expect(clippy::cast_precision_loss, reason = "there are at most dozens of queries")]
fn visibility(view: &View<'_>, seen: &[Seen<'_>], report: &mut Report) {
    let shares = seen.iter().map(|one| one.position().map_or(0.0, |position| view.curve.at(position)));
    let value = (shares.sum::<f64>() / seen.len() as f64 * 10_000.0).round() / 10_000.0;
    let mut found = Findings::new();
    found.add(view.site.home(), || format!("assumed shares of clicks by position: {}", view.curve.in_words()));
    report.push("serp.visibility", Value::from(value), Some(seen.len() as u64), found);
}

fn cannibalised(seen: &[Seen<'_>], report: &mut Report) {
    let mut found = Findings::new();
    for one in seen {
        let pages: HashSet<String> = one.own.iter().map(|result| page_key(&result.url)).collect();
        if pages.len() > 1 {
            found.add(&one.own[0].url, || format!("{} pages of the site for \"{}\"", pages.len(), one.query.text));
        }
    }
    report.ratio("serp.cannibalised_ratio", found, seen.len() as u64);
}

fn wrong_pages(view: &View<'_>, seen: &[Seen<'_>], report: &mut Report) {
    report.trust(Method::Derived, view.traits.quality.min(MATCH_QUALITY));
    let mut judged = 0;
    let mut found = Findings::new();
    for one in seen {
        let (Some(expected), Some(best)) = (&one.query.expected, one.own.first()) else { continue };
        judged += 1;
        if page_key(expected) != page_key(&best.url) {
            found.add(&best.url, || format!("shown for \"{}\", which {expected} is about", one.query.text));
        }
    }
    match judged {
        0 => {
            report.unknown("serp.wrong_page_ratio", "no query that the site ranks for is clearly about one page of it")
        }
        _ => report.ratio("serp.wrong_page_ratio", found, judged),
    }
}

fn features(seen: &[Seen<'_>], report: &mut Report) {
    let mut told = 0;
    let mut found = Findings::new();
    for one in seen {
        let Some(features) = &one.page.features else { continue };
        told += 1;
        let answers: Vec<&str> = features
            .iter()
            .filter(|feature| feature.is_on_top && feature.is_answer())
            .map(|feature| feature.kind.as_str())
            .collect();
        if !answers.is_empty() {
            found.add("", || format!("{} above the results for \"{}\"", answers.join(", "), one.query.text));
        }
    }
    match told {
        0 => report.unknown("serp.ai_or_feature_ratio", "this provider does not tell what stands above the results"),
        _ => report.ratio("serp.ai_or_feature_ratio", found, told),
    }
}

fn rewritten_titles(view: &View<'_>, seen: &[Seen<'_>], report: &mut Report) {
    let mut compared = HashSet::new();
    let mut found = Findings::new();
    for result in seen.iter().flat_map(|one| &one.own).filter(|result| !result.title.trim().is_empty()) {
        let key = page_key(&result.url);
        let Some(title) = view.titles.get(&key) else { continue };
        if compared.insert(key) && is_rewritten(&result.title, title) {
            found.add(&result.url, || format!("\"{title}\" is shown as \"{}\"", result.title));
        }
    }
    match compared.len() {
        0 => report
            .unknown("serp.title_rewrite_ratio", "no title in the results could be compared with that of its page"),
        pages => report.ratio("serp.title_rewrite_ratio", found, pages as u64),
    }
}

/// Whether a title was shown in other words. Cutting is no rewriting.
fn is_rewritten(shown: &str, own: &str) -> bool {
    let (shown, is_cut) = match shown.trim().trim_end_matches('…').strip_suffix("...") {
        Some(start) => (start, true),
        None => (shown.trim().trim_end_matches('…'), shown.trim().ends_with('…')),
    };
    let (shown, own) = (normalised(shown), normalised(own));
    if is_cut { !own.starts_with(&shown) } else { shown != own }
}

/// Letters and digits only, in small letters, words apart by one blank.
fn normalised(title: &str) -> String {
    let words = title.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ").to_lowercase()
}

fn brand_position(view: &View<'_>, report: &mut Report) {
    const ID: &str = "serp.brand_position";
    let Some((query, answer)) = view.brand else {
        return report.unknown(ID, "the name of the site's owner is not known");
    };
    let Some(page) = answer.page().filter(|page| !page.organic.is_empty()) else {
        return report.unknown(ID, format!("the search for \"{}\" brought nothing", query.text));
    };
    let mut found = Findings::new();
    let Some(best) = own(view.site, page).first().copied() else {
        let shown = page.organic.len();
        let first = &page.organic[0].url;
        found.add(first, || {
            format!(
                "the site is not among the first {shown} results for \"{}\", so that its position is later",
                query.text
            )
        });
        return report.push(ID, Value::from(shown + 1), None, found);
    };
    found.add(&best.url, || format!("position {} for \"{}\"", best.rank_group, query.text));
    report.push(ID, Value::from(best.rank_group), None, found);
}

fn home_indexed(view: &View<'_>, seen: &[Seen<'_>], report: &mut Report) {
    const ID: &str = "serp.home_indexed";
    let of_brand = view.brand.and_then(|(_, answer)| answer.page());
    let of_site = view.of_site.and_then(Answer::page);
    let pages = seen.iter().map(|one| one.page).chain(of_brand).chain(of_site);
    let mut found = Findings::new();
    if let Some(home) = pages.flat_map(|page| &page.organic).find(|result| view.site.is_home(&result.url)) {
        found.add(&home.url, || "shown in results".to_owned());
        return report.push(ID, Value::Bool(true), None, found);
    }
    report.trust(Method::Api, SITE_QUERY_QUALITY);
    let Some(page) = of_site else { return report.unknown(ID, "the index was not asked for the site") };
    let own = own(view.site, page);
    let is_complete = page.gaps.is_empty() && view.traits.understands_operators;
    if own.is_empty() && !(page.organic.is_empty() && is_complete) {
        return report.unknown(ID, format!("site:{} was not understood", view.site.name()));
    }
    for result in own {
        found.add(&result.url, || "in the index, while the home page is not shown".to_owned());
    }
    report.push(ID, Value::Bool(false), None, found);
}

#[expect(clippy::cast_precision_loss, reason = "counts of pages are far below 2^52")]
fn index_ratio(view: &View<'_>, report: &mut Report) {
    const ID: &str = "serp.index_ratio";
    report.trust(Method::Api, SITE_QUERY_QUALITY);
    let page = view.of_site.and_then(Answer::page).filter(|page| !own(view.site, page).is_empty());
    let Some(estimate) = page.and_then(|page| page.estimate) else {
        const WHY: &str = "the provider does not estimate how many pages of the site are in the index";
        return ["serp.index_estimate", ID].iter().for_each(|id| report.unknown(id, WHY));
    };
    let mut of_site = Findings::new();
    of_site.add(view.site.home(), || format!("about {estimate} results for site:{}", view.site.name()));
    report.push("serp.index_estimate", Value::from(estimate), None, of_site);
    let Some(Known { pages, by }) = view.known.filter(|known| known.pages > 0) else {
        return report.unknown(ID, "neither a crawl before nor a sitemap says how many pages there are");
    };
    let mut found = Findings::new();
    found.add(view.site.home(), || format!("about {estimate} pages in the index, {pages} {by}"));
    let value = (estimate as f64 / pages as f64 * 10_000.0).round() / 10_000.0;
    report.push(ID, Value::from(value), Some(pages), found);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cutting_and_punctuation_are_no_rewriting() {
        for (shown, own, rewritten) in [
            ("Running Shoes – Peak", "Running shoes | Peak", false),
            ("Running shoes for the long ...", "Running shoes for the long trail | Peak", false),
            ("Running shoes for the lo…", "Running shoes for the long trail", false),
            ("Shoes - Peak", "Running shoes | Peak", true),
            ("Buy shoes ...", "Running shoes for the long trail", true),
        ] {
            assert_eq!(is_rewritten(shown, own), rewritten, "{shown}");
        }
    }
}
