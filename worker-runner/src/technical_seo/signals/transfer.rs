//! How pages are delivered: time, bytes, compression, insecure and blocked parts.

use serde_json::json;

use super::view::View;
use crate::site::report::{Findings, Report, p75};

/// Bytes of an HTML file that Googlebot reads.
const HTML_BYTES_MAX: u64 = 2 * 1_024 * 1_024;
/// Bytes below which compressing a page gains nothing: it fits into one packet.
const COMPRESSIBLE_BYTES_MIN: u64 = 1_400;

pub(super) fn add(report: &mut Report, view: &View<'_>) {
    let pages = view.pages.len() as u64;
    if let Some(ttfb) = p75(view.pages.iter().map(|known| known.page.ttfb_ms).collect()) {
        report.push("tech.ttfb_p75_ms", json!(ttfb), Some(pages), Findings::new());
    }
    if let Some(bytes) = p75(view.pages.iter().map(|known| known.page.bytes).collect()) {
        report.push("tech.html_bytes_p75", json!(bytes), Some(pages), Findings::new());
    }
    let (mut large, mut plain, mut compressible) = (Findings::new(), Findings::new(), 0);
    for known in &view.pages {
        let bytes = known.page.bytes;
        if bytes > HTML_BYTES_MAX {
            large.add(known.url, || format!("{bytes} bytes"));
        }
        if bytes >= COMPRESSIBLE_BYTES_MIN {
            compressible += 1;
            if !known.page.is_compressed {
                plain.add(known.url, || format!("{bytes} bytes without compression"));
            }
        }
    }
    report.count("tech.html_over_limit_pages", large, pages);
    report.ratio("tech.uncompressed_ratio", plain, compressible);
    insecure(report, view);
    blocked(report, view);
}

fn insecure(report: &mut Report, view: &View<'_>) {
    let secure = view.pages.iter().filter(|known| known.url.scheme() == "https");
    let (mut mixed, mut all) = (Findings::new(), 0);
    for known in secure {
        all += 1;
        let found = &known.page.facts.insecure_assets;
        if let Some(first) = &found.first {
            mixed.add(known.url, || format!("{} by http, first: {first}", found.count));
        }
    }
    report.ratio("tech.mixed_content_ratio", mixed, all);
}

fn blocked(report: &mut Report, view: &View<'_>) {
    let resources = &view.crawled.table.resources;
    let mut order: Vec<_> = resources.iter().filter(|url| !view.audit.home.robots.allows_googlebot(url)).collect();
    order.sort();
    let mut found = Findings::new();
    for url in order {
        found.add(url, || "robots.txt forbids Googlebot to read it".to_owned());
    }
    report.ratio("tech.blocked_resource_ratio", found, resources.len() as u64);
}
