//! From deliveries over plain HTTP to `vitals.*` signals.

use serde_json::json;

use super::Page;
use super::assets::Assets;
use super::delivery::Delivery;
use crate::site::html::{Asset, AssetKind};
use crate::site::report::{Findings, Report, median};

/// Name of this service as a provider of signals, where a browser did not measure all that it should.
pub(super) const PROVIDER: &str = "builtin-http-vitals";
/// Bytes below which compressing a text gains nothing: it fits into one packet.
const COMPRESSIBLE_BYTES_MIN: u64 = 1_400;
/// Seconds that browsers should be allowed to keep an asset: a day.
const FRESH_SECONDS_MIN: u64 = 24 * 60 * 60;

pub(super) fn measure(report: &mut Report, page: &Page, named: &[Asset], assets: &Assets) {
    home(report, page, named);
    bytes(report, page, assets);
    deliveries(report, page, assets);
    if assets.foreign > 0 {
        report.warn("foreign_assets", format!("{} assets on other hosts were not fetched", assets.foreign));
    }
    if assets.left_out > 0 {
        report.warn("assets_left_out", format!("{} assets were not fetched", assets.left_out));
    }
}

fn home(report: &mut Report, page: &Page, named: &[Asset]) {
    let samples = page.ttfb_ms.len() as u64;
    if let Some(ttfb) = median(page.ttfb_ms.clone()) {
        let mut evidence = Findings::new();
        evidence.add(&page.url, || format!("{:?} ms", page.ttfb_ms));
        report.push("vitals.http_ttfb_ms", json!(ttfb), Some(samples), evidence);
    }
    report.fact("vitals.http_version", page.response.version.clone());
    report.fact("vitals.home_redirects", page.redirects as u64);
    report.fact("vitals.page_requests", named.len() as u64 + 1);
    let mut blocking = Findings::new();
    for asset in named.iter().filter(|asset| asset.is_blocking) {
        blocking.add(&asset.url, || if asset.kind == AssetKind::Style { "style sheet" } else { "script" }.to_owned());
    }
    report.count("vitals.head_blocking_assets", blocking, named.len() as u64);
}

/// Sums are told only where every asset of the host was read: a part of a sum is no sum.
fn bytes(report: &mut Report, page: &Page, assets: &Assets) {
    if assets.left_out > 0 {
        let reason = format!("{} assets were not fetched", assets.left_out);
        report.unknown("vitals.page_bytes", reason.clone());
        report.unknown("vitals.script_bytes", reason);
        return;
    }
    let mut largest: Vec<(u64, &url::Url, AssetKind)> = assets
        .fetched
        .iter()
        .filter_map(|asset| Some((asset.outcome.as_ref().ok()?.bytes, &asset.url, asset.kind)))
        .collect();
    largest.sort_by(|one, other| other.0.cmp(&one.0).then_with(|| one.1.cmp(other.1)));
    let (mut all, mut scripts) = (Findings::new(), Findings::new());
    let (mut sum, mut script_sum) = (page.response.body.len() as u64, 0);
    all.add(&page.url, || format!("{sum} bytes, the page itself"));
    for (bytes, url, kind) in largest {
        sum += bytes;
        all.add(url, || format!("{bytes} bytes"));
        if kind == AssetKind::Script {
            script_sum += bytes;
            scripts.add(url, || format!("{bytes} bytes"));
        }
    }
    report.push("vitals.page_bytes", json!(sum), Some(all.total()), all);
    report.push("vitals.script_bytes", json!(script_sum), Some(scripts.total()), scripts);
}

fn deliveries(report: &mut Report, page: &Page, assets: &Assets) {
    let (mut errors, mut plain, mut uncached) = (Findings::new(), Findings::new(), Findings::new());
    let (mut texts, mut cacheable) = (0, 0);
    let mut text = |url: &url::Url, delivery: &Delivery| {
        if delivery.is_text && delivery.bytes >= COMPRESSIBLE_BYTES_MIN {
            texts += 1;
            if !delivery.is_compressed {
                plain.add(url, || format!("{} bytes without compression", delivery.bytes));
            }
        }
    };
    text(&page.url, &Delivery::of(&page.response));
    for asset in &assets.fetched {
        let delivery = match &asset.outcome {
            Ok(delivery) if delivery.is_success() => delivery,
            Ok(delivery) => {
                errors.add(&asset.url, || format!("HTTP {}", delivery.status));
                continue;
            }
            Err(problem) => {
                errors.add(&asset.url, || problem.clone());
                continue;
            }
        };
        text(&asset.url, delivery);
        cacheable += 1;
        if delivery.fresh_seconds.is_none_or(|seconds| seconds < FRESH_SECONDS_MIN) {
            uncached.add(&asset.url, || match delivery.fresh_seconds {
                Some(seconds) => format!("may be kept for {seconds} s"),
                None => "no Cache-Control or Expires".to_owned(),
            });
        }
    }
    report.ratio("vitals.asset_error_ratio", errors, assets.fetched.len() as u64);
    report.ratio("vitals.asset_uncompressed_ratio", plain, texts);
    report.ratio("vitals.asset_uncached_ratio", uncached, cacheable);
}
