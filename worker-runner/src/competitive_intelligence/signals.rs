//! The `comp.*` signals that search results and a few pages of each side give.

use std::collections::BTreeMap;

use hermes_diagnosis::signal::Method;
use serde_json::Value;

use super::profile::{Page, Profile};
use super::rivals::Rival;
use crate::serp_intelligence::result::{SearchedQuery, Searches};
use crate::site::report::{Findings, Report};

/// Positions of the first page of results.
const TOP_TEN: u32 = 10;
/// Competitors on a first page that make the absence of the site a gap.
const RIVALS_OF_A_GAP: usize = 2;
/// Trust in a comparison of pages with one, two, and more competitors.
const QUALITY_BY_RIVALS: [f64; 3] = [0.4, 0.6, 0.8];

/// Everything that the signals are made from.
pub(super) struct View<'a> {
    pub(super) rivals: &'a [Rival],
    /// In the order of the competitors.
    pub(super) profiles: &'a [Profile],
    pub(super) own: &'a Profile,
    pub(super) searches: Option<&'a Searches>,
    /// Trust in the search results.
    pub(super) quality: f64,
}

/// Trust in a comparison with so many competitors; none with nobody.
pub(super) fn quality_by(rivals: usize) -> f64 {
    rivals.checked_sub(1).map_or(0.0, |at| QUALITY_BY_RIVALS[at.min(QUALITY_BY_RIVALS.len() - 1)])
}

/// Adds the signals that the pages and the search results give.
pub(super) fn measure(view: &View<'_>, report: &mut Report) {
    let mut found = Findings::new();
    for rival in view.rivals {
        let (url, why) = match &rival.page {
            Some((url, query)) => (url.to_string(), format!("{} ranks for \"{query}\"", rival.domain)),
            None => (
                rival.seeds.first().map(ToString::to_string).unwrap_or_default(),
                format!("{} was given", rival.domain),
            ),
        };
        found.add(url, || why);
    }
    report.trust(Method::Derived, if view.searches.is_some() { view.quality } else { 1.0 });
    report.push("comp.competitors", Value::from(view.rivals.len()), None, found);
    voice(view, report);
    let read = view.profiles.iter().filter(|profile| profile.all().next().is_some()).count();
    report.trust(Method::Derived, quality_by(read));
    words(view, report);
    schema(view, report);
    freshness(view, report);
}

fn voice(view: &View<'_>, report: &mut Report) {
    const IDS: [&str; 3] = ["comp.share_of_voice", "comp.sov_gap", "comp.content_gap_ratio"];
    let Some(searches) = view.searches.filter(|searches| !searches.domains.is_empty()) else {
        return IDS.iter().for_each(|id| report.unknown(id, "there are no search results to compare in"));
    };
    let answered: Vec<&SearchedQuery> = searches.queries.iter().filter(|query| query.error.is_none()).collect();
    let n = answered.len() as u64;
    let own = searches.domains.iter().find(|seen| seen.is_own).map_or(0.0, |seen| seen.share);
    report.push(IDS[0], rounded(own), Some(n), Findings::new());
    let is_rival = |domain: &str| view.rivals.iter().any(|rival| rival.domain == domain);
    let leader = searches
        .domains
        .iter()
        .filter(|seen| is_rival(&seen.domain))
        .max_by(|one, other| one.share.total_cmp(&other.share));
    match leader {
        Some(leader) => {
            let mut found = Findings::new();
            let percent = |share: f64| share * 100.0;
            found.add("", || {
                format!(
                    "{} has {:.1} % of the assumed clicks, the site {:.1} %",
                    leader.domain,
                    percent(leader.share),
                    percent(own)
                )
            });
            report.push(IDS[1], rounded((leader.share - own).max(0.0)), Some(n), found);
        }
        None => report.unknown(IDS[1], "no competitor is among the domains that were seen most"),
    }
    if view.rivals.len() < RIVALS_OF_A_GAP {
        return report.unknown(IDS[2], "it takes two competitors to tell a gap");
    }
    let mut found = Findings::new();
    for query in answered {
        let mut rivals: Vec<&str> = (query.results.iter())
            .filter(|result| result.rank <= TOP_TEN && is_rival(&result.domain))
            .map(|result| result.domain.as_str())
            .collect();
        rivals.sort_unstable();
        rivals.dedup();
        if rivals.len() >= RIVALS_OF_A_GAP && query.position.is_none_or(|position| position > TOP_TEN) {
            found.add("", || format!("\"{}\": {}", query.query, rivals.join(", ")));
        }
    }
    report.ratio(IDS[2], found, n);
}

/// Pages of one side, as one number: their median.
fn median_of<T: Ord + Copy>(pages: &[&Page], of: impl Fn(&Page) -> Option<T>) -> Option<T> {
    median(pages.iter().filter_map(|page| of(page)).collect())
}

/// The median; of an even number the lower of the two in the middle.
pub(super) fn median<T: Ord + Copy>(mut values: Vec<T>) -> Option<T> {
    values.sort_unstable();
    values.get(values.len().checked_sub(1)? / 2).copied()
}

fn words(view: &View<'_>, report: &mut Report) {
    const ID: &str = "comp.word_gap_ratio";
    let words = |profile: &Profile| median_of(&profile.compared(), |page| Some(page.words));
    let own = words(view.own).filter(|words| *words > 0);
    let mut found = Findings::new();
    let mut others = Vec::new();
    for profile in view.profiles {
        let Some(count) = words(profile) else { continue };
        found.add(&profile.compared()[0].url, || format!("{count} words"));
        others.push(count);
    }
    let n = others.len() as u64;
    match (own, median(others)) {
        (Some(own), Some(other)) => {
            found.add(&view.own.compared()[0].url, || format!("{own} words of the site's own"));
            report.push(ID, rounded(f64::from(other) / f64::from(own)), Some(n), found);
        }
        (None, _) => report.unknown(ID, "no page of the site with words could be read"),
        (_, None) => report.unknown(ID, "no page of a competitor could be read"),
    }
}

fn schema(view: &View<'_>, report: &mut Report) {
    const ID: &str = "comp.schema_gap";
    if view.own.all().next().is_none() {
        return report.unknown(ID, "no page of the site could be read");
    }
    let read: Vec<&Profile> = view.profiles.iter().filter(|profile| profile.all().next().is_some()).collect();
    if read.is_empty() {
        return report.unknown(ID, "no page of a competitor could be read");
    }
    let mut users: BTreeMap<&str, Vec<&Page>> = BTreeMap::new();
    for profile in &read {
        let pages = profile.all().flat_map(|page| page.types.iter().map(move |name| (name.as_str(), page)));
        let types: BTreeMap<&str, &Page> = pages.collect();
        types.into_iter().for_each(|(name, page)| users.entry(name).or_default().push(page));
    }
    let mut found = Findings::new();
    for (name, pages) in users {
        let is_own = view.own.all().any(|page| page.types.contains(name));
        if !is_own && pages.len() * 2 >= read.len() {
            found.add(&pages[0].url, || format!("{name}, used by {} of {} competitors", pages.len(), read.len()));
        }
    }
    report.count(ID, found, read.len() as u64);
}

fn freshness(view: &View<'_>, report: &mut Report) {
    const ID: &str = "comp.freshness_gap_days";
    let changed = |profile: &Profile| {
        let pages: Vec<&Page> = profile.all().collect();
        median_of(&pages, |page| page.modified)
    };
    let own = changed(view.own);
    let mut found = Findings::new();
    let mut others = Vec::new();
    for profile in view.profiles {
        let Some((day, page)) = changed(profile).zip(profile.all().next()) else { continue };
        found.add(&page.url, || format!("changed {day}"));
        others.push(day);
    }
    let n = others.len() as u64;
    match (own, median(others)) {
        (Some(own), Some(other)) => {
            // Both ages are counted from the same day, which therefore falls out.
            let days = (other - own).get_days();
            found.add(view.own.all().next().map(|page| page.url.to_string()).unwrap_or_default(), || {
                format!("the site's own: changed {own}")
            });
            report.push(ID, Value::from(days), Some(n), found);
        }
        (None, _) => report.unknown(ID, "the site does not say when its pages were changed"),
        (_, None) => report.unknown(ID, "no competitor says when its pages were changed"),
    }
}

/// Four decimals: enough for every threshold, and the same text on every machine.
fn rounded(value: f64) -> Value {
    Value::from((value * 10_000.0).round() / 10_000.0)
}
