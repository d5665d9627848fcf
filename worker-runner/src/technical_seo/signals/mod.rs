//! From what a crawl knows to the `tech.*` signals of the catalogue.

mod access;
mod audits;
mod canonical;
mod content;
mod duplicates;
mod hreflang;
mod links;
mod missing;
mod robots;
mod sitemaps;
mod transfer;
mod view;

use hermes_diagnosis::signal::{Coverage, Measurement, MeasurementStatus};

use super::Audit;
use super::crawl::Cut;
use super::table::State;
use crate::site::fetch::ROBOT;
use crate::site::report::Report;
use view::View;

/// Name of this service as a provider of signals.
const PROVIDER: &str = "builtin-crawler";

/// Turns an audit into a measurement.
pub(super) fn measure(audit: &Audit) -> Measurement {
    let mut report = Report::default();
    access::add(&mut report, audit);
    let Some(crawled) = &audit.crawled else {
        let host = audit.home.url.host_str().unwrap_or_default();
        let problem = match audit.home.robots.status {
            500..=599 => format!("robots.txt of {host} answers with an error, so that nothing may be read"),
            _ => format!("robots.txt of {host} does not allow {ROBOT} to read the home page"),
        };
        report.warn("blocked_by_robots", problem.clone());
        audits::add(&mut report, audit);
        audits::unread(&mut report, &problem);
        return report.finish(PROVIDER, MeasurementStatus::Partial, None);
    };
    let view = View::new(audit, crawled);
    report.fact("tech.pages_crawled", view.pages.len() as u64);
    report.fact("tech.pages_known", view.pages_known());
    report.fact("tech.crawl_truncated", view.is_truncated());
    sitemaps::add(&mut report, &view);
    canonical::add(&mut report, &view);
    links::add(&mut report, &view);
    robots::add(&mut report, &view);
    content::add(&mut report, &view);
    duplicates::add(&mut report, &view);
    missing::add(&mut report, &view);
    hreflang::add(&mut report, &view);
    transfer::add(&mut report, &view);
    audits::add(&mut report, audit);
    warn(&mut report, &view);
    let status =
        if view.is_truncated() || view.pages.is_empty() { MeasurementStatus::Partial } else { MeasurementStatus::Ok };
    let coverage = Coverage { pages_crawled: view.pages.len() as u64, pages_known: view.pages_known() };
    report.finish(PROVIDER, status, Some(coverage))
}

fn warn(report: &mut Report, view: &View<'_>) {
    let waiting = view.waiting();
    match view.crawled.cut {
        Some(Cut::Budget) => {
            report.warn("crawl_truncated", format!("page budget used up; {waiting} URLs were not read"))
        }
        Some(Cut::Time) => report.warn("crawl_truncated", format!("time was up; {waiting} URLs were not read")),
        Some(Cut::Errors) => {
            report
                .warn("server_errors", format!("stopped after several errors in a row; {waiting} URLs were not read"));
        }
        Some(Cut::HeldBack) => {
            let text = format!("the site asked to be left alone, or is called by others; {waiting} URLs were not read");
            report.warn("crawl_truncated", text);
        }
        None => {}
    }
    let table = &view.crawled.table;
    if table.traps > 0 {
        report.warn(
            "crawler_traps",
            format!("{} URLs were left out: their paths or queries repeat without end", table.traps),
        );
    }
    if table.session_ids > 0 {
        let links = table.session_ids;
        report.warn("session_ids", format!("{links} links carry the id of a session; they were read without it"));
    }
    let mut walls = table.nodes().iter().filter(|node| matches!(node.state, State::Walled));
    if let Some(first) = walls.next() {
        let (count, url) = (1 + walls.count(), &first.url);
        report.warn("blocked_by_waf", format!("a bot wall answered for {count} URLs instead of the site, first {url}"));
    }
    if let Some(distance) = view.audit.slowed_to {
        let seconds = distance.as_secs_f64();
        report
            .warn("slowed_down", format!("the site was slow or overloaded; requests were up to {seconds:.1} s apart"));
    }
    if table.left_out > 0 {
        report.warn("site_too_large", format!("{} URLs or links were left out of memory", table.left_out));
    }
    if let Some(delay) = view.audit.delay_cut {
        report
            .warn("crawl_delay", format!("robots.txt asks for {} s between requests; 10 s were kept", delay.as_secs()));
    }
    if let Some((url, page)) = view.pages.iter().find(|known| known.page.facts.cut).map(|known| (known.url, known.page))
    {
        report.warn("page_cut", format!("a part of {url} was not read ({} bytes)", page.bytes));
    }
    if view.pages.is_empty() {
        report.warn("no_pages", "no HTML page was found");
    }
}
