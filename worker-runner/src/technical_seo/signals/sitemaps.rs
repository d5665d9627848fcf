//! Sitemaps against what the crawl saw.

use std::collections::HashMap;

use super::super::page::Verdict;
use super::super::table::{NodeId, State};
use super::view::View;
use crate::site::report::{Findings, Report};

pub(super) fn add(report: &mut Report, view: &View<'_>) {
    let Some(sitemaps) = &view.audit.sitemaps else { return };
    for problem in &sitemaps.problems {
        report.warn("sitemap_problem", problem.clone());
    }
    if let (count, Some(first)) = &sitemaps.foreign {
        report
            .warn("sitemap_foreign", format!("{count} sitemap URLs name another host and were ignored, first {first}"));
    }
    report.fact("tech.sitemap_found", !sitemaps.files.is_empty());
    report.fact("tech.sitemap_urls", sitemaps.locations);
    if sitemaps.urls.is_empty() {
        for id in ["tech.sitemap_bad_url_ratio", "tech.orphan_ratio"] {
            report.none_of(id, "no sitemap names a URL of this host");
        }
        return;
    }
    listed(report, view);
    coverage(report, view);
    if !view.is_truncated() {
        orphans(report, view);
    }
}

fn listed(report: &mut Report, view: &View<'_>) {
    let verdicts: HashMap<NodeId, &Verdict> = view.pages.iter().map(|known| (known.id, &known.verdict)).collect();
    let (mut bad, mut known) = (Findings::new(), 0);
    for (node, id) in view.crawled.table.nodes().iter().zip(0..).filter(|(node, _)| node.is_in_sitemap) {
        let problem = match &node.state {
            State::Waiting => continue,
            State::Page(_) => match verdicts.get(&id) {
                Some(Verdict::Indexable) | None => None,
                Some(verdict) => Some(verdict.reason()),
            },
            State::File => None,
            State::Disallowed => Some("robots.txt forbids it".to_owned()),
            State::Redirect { status, .. } | State::Status(status) => Some(format!("HTTP {status}")),
            State::Walled => continue,
            State::Failed(problem) => Some(problem.clone()),
        };
        known += 1;
        if let Some(problem) = problem {
            bad.add(&node.url, || problem);
        }
    }
    report.ratio("tech.sitemap_bad_url_ratio", bad, known);
}

fn coverage(report: &mut Report, view: &View<'_>) {
    let (mut missing, mut indexable) = (Findings::new(), 0);
    for known in view.pages.iter().filter(|known| known.verdict == Verdict::Indexable) {
        indexable += 1;
        if !view.crawled.table.node(known.id).is_in_sitemap {
            missing.add(known.url, || "not in a sitemap".to_owned());
        }
    }
    report.share("tech.sitemap_coverage_ratio", indexable - missing.total(), indexable, missing);
}

/// Only for a whole crawl: what was not read may hold the missing links.
fn orphans(report: &mut Report, view: &View<'_>) {
    let (mut orphans, mut total) = (Findings::new(), 0);
    for known in view.pages.iter().filter(|known| view.crawled.table.node(known.id).is_in_sitemap) {
        total += 1;
        if !view.crawled.table.node(known.id).is_linked && known.id != view.crawled.home {
            orphans.add(known.url, || "in a sitemap, and no page links to it".to_owned());
        }
    }
    report.ratio("tech.orphan_ratio", orphans, total);
}
