//! The site as the large search engines see it, one by one: what robots.txt and the pages say to each of them.

use serde_json::json;

use super::view::{Known, View};
use crate::site::report::{Findings, Report};

/// Whom the site is judged as: the name in robots.txt, the name in directives, and the signal.
const JUDGES: [(&str, Option<&str>, &str); 3] = [
    ("*", None, "tech.indexable_any_ratio"),
    ("Googlebot", Some("googlebot"), "tech.indexable_googlebot_ratio"),
    ("bingbot", Some("bingbot"), "tech.indexable_bingbot_ratio"),
];

pub(super) fn add(report: &mut Report, view: &View<'_>) {
    let all = view.pages.len() as u64;
    let mut differ = Findings::new();
    let mut kept_out = JUDGES.map(|_| Findings::new());
    for known in &view.pages {
        let reasons = JUDGES.map(|(searcher, robot, _)| reason(view, known, searcher, robot));
        for (found, reason) in kept_out.iter_mut().zip(&reasons) {
            if let Some(reason) = reason {
                found.add(known.url, || reason.clone());
            }
        }
        let out: Vec<&str> =
            JUDGES.iter().zip(&reasons).filter(|(_, reason)| reason.is_some()).map(|((name, ..), _)| *name).collect();
        if !out.is_empty() && out.len() < JUDGES.len() {
            differ.add(known.url, || format!("kept from {} only", out.join(" and ")));
        }
    }
    for ((_, _, signal), found) in JUDGES.into_iter().zip(kept_out) {
        report.share(signal, all - found.total(), all, found);
    }
    report.push("tech.robots_differences", json!(differ.total()), Some(all), differ);
}

/// What keeps the page out of the index of one searcher. What holds for all of them (a canonical elsewhere, a refresh)
/// is judged by the verdict.
fn reason(view: &View<'_>, known: &Known<'_>, searcher: &str, robot: Option<&str>) -> Option<String> {
    if !view.audit.home.robots.allows_searcher(searcher, known.url) {
        return Some(format!("robots.txt forbids {searcher} to read it"));
    }
    if let Some(directive) = known.page.directives.noindex_for(robot) {
        return Some(directive.describe());
    }
    match &known.verdict {
        verdict if verdict.depends_on_nobody() => Some(verdict.reason()),
        _ => None,
    }
}
