//! What the pages beside the home page showed: `vitals.templates` and `vitals.template_lcp_ms`.

use serde_json::json;

use super::{Template, Templates};
use crate::site::report::{Findings, Report};
use crate::vitals_monitor::lab::Shortfall;
use crate::vitals_monitor::lab::signals::{Series, as_lab, lcp_ms};

const PAGES: &str = "vitals.templates";
const LCP: &str = "vitals.template_lcp_ms";

/// The page with the latest largest paint as a phone, by its median.
pub(super) fn slowest(pages: &[Template]) -> Option<usize> {
    let painted = pages.iter().enumerate().filter_map(|(at, page)| Some((at, Series::of(&page.lab.mobile).lcp_ms()?)));
    // Of equal ones the first, so that the same loads always tell the same.
    painted.reduce(|latest, one| if one.1 > latest.1 { one } else { latest }).map(|(at, _)| at)
}

/// Tells what was measured. `wanted` is how many pages the plan asks for.
pub(in crate::vitals_monitor) fn report(report: &mut Report, templates: &Templates, wanted: usize) {
    if wanted == 0 {
        return;
    }
    warn(report, templates);
    if templates.kinds == 0 && templates.shortfall.is_none() {
        const REASON: &str = "the home page links to no other kind of page of its site";
        return [PAGES, LCP].iter().for_each(|id| report.none_of(id, REASON));
    }
    let loaded = templates.pages.iter().filter(|page| page.lab.loads().next().is_some());
    let mut found = Findings::new();
    for page in loaded {
        found.add(&page.url, || in_words(page));
    }
    if found.total() == 0 {
        return [PAGES, LCP].iter().for_each(|id| report.unknown(id, "no page beside the home page was loaded"));
    }
    report.count(PAGES, found, templates.kinds as u64);
    as_lab(report, 1.0);
    let painted: Vec<&Template> =
        templates.pages.iter().filter(|page| Series::of(&page.lab.mobile).lcp_ms().is_some()).collect();
    let Some(at) = slowest(&templates.pages) else {
        return report.unknown(LCP, "no page beside the home page was painted as a phone");
    };
    let series = Series::of(&templates.pages[at].lab.mobile);
    let mut found = Findings::new();
    found.add(&templates.pages[at].url, || in_words(&templates.pages[at]));
    for page in painted.iter().filter(|page| page.url != templates.pages[at].url) {
        found.add(&page.url, || in_words(page));
    }
    let value = json!(series.lcp_ms().unwrap_or_default().round());
    report.push(LCP, value, Some(painted.len() as u64), found);
    as_lab(report, series.lcp_quality());
}

fn warn(report: &mut Report, templates: &Templates) {
    let pages = templates.pages.len();
    let as_phone = templates.pages.iter().filter(|page| !page.lab.mobile.is_empty()).count();
    let counts = format!("{as_phone} of {pages} pages beside the home page were loaded as a phone");
    match &templates.shortfall {
        None => {}
        Some(Shortfall::Time) => report.warn("fewer_templates", format!("the time allowed no more: {counts}")),
        Some(Shortfall::Status(status)) => {
            report.warn("fewer_templates", format!("a page answered the browser with HTTP {status}; {counts}"));
        }
        Some(Shortfall::Failed(error)) => report.warn("fewer_templates", format!("{error}; {counts}")),
    }
}

fn in_words(page: &Template) -> String {
    let of = |loads: &[_], device: &str| {
        let times: Vec<String> =
            loads.iter().map(|load| lcp_ms(load).map_or("nothing".to_owned(), |ms| format!("{ms:.0} ms"))).collect();
        (!times.is_empty()).then(|| format!("{} as {device}", times.join(", ")))
    };
    let phone = of(&page.lab.mobile, "a phone");
    let desktop = of(&page.lab.desktop, "a desktop computer");
    let times: Vec<String> = phone.into_iter().chain(desktop).collect();
    format!("one of {}: largest paint after {}", page.kind, times.join("; "))
}
