//! vitals-monitor: how the home page loads. In a browser of this machine where there is one, over plain HTTP in any case,
//! and what real users saw where there is a key for the Chrome UX Report.
//!
//! | signal | meaning |
//! |---|---|
//! | `vitals.lab_available` | whether the page was measured in a browser as a phone |
//! | `vitals.lab_runs` | loads as a phone that the figures are medians of |
//! | `vitals.lab_fcp_ms`, `vitals.lab_lcp_ms`, `vitals.lab_ttfb_ms` | first and largest contentful paint, first byte |
//! | `vitals.lab_tbt_ms` | total blocking time; depends on the machine, hence trusted little |
//! | `vitals.lab_cls` | layout shift |
//! | `vitals.lab_score`, `vitals.lab_spread` | performance score without a speed index; spread of the largest paint |
//! | `vitals.lcp_dominant_part` | what most of the time until the largest paint went into |
//! | `vitals.render_blocking_ms` | how long rendering waited for style sheets and scripts |
//! | `vitals.transfer_bytes`, `vitals.js_bytes`, `vitals.lab_requests` | what was transferred, of it JavaScript; requests |
//! | `vitals.dom_elements`, `vitals.unsized_images`, `vitals.console_errors` | what the page is like |
//! | `vitals.desktop_*` | the same paints and score as a desktop computer |
//! | `tech.js_dependent_ratio` | whether what the page shows is there without its scripts |
//! | `vitals.field_*` | what real users saw ([`field`]) |
//! | `vitals.http_ttfb_ms` | median time to the first byte of the home page, over plain HTTP |
//! | `vitals.http_version` | protocol of the home page, `HTTP/1.1`, `HTTP/2.0` … |
//! | `vitals.home_redirects` | redirects from the address given to the home page |
//! | `vitals.page_bytes` | bytes of the page and its assets on the same host, after decompression |
//! | `vitals.page_requests` | the page and the distinct assets that its HTML names, on all hosts |
//! | `vitals.script_bytes` | bytes of the scripts among them |
//! | `vitals.head_blocking_assets` | style sheets and scripts in its head that hold up rendering |
//! | `vitals.asset_error_ratio` | assets that answer with an error |
//! | `vitals.asset_uncompressed_ratio` | texts (HTML, CSS, JavaScript, SVG, JSON) of 1,400 bytes and more without compression |
//! | `vitals.asset_uncached_ratio` | assets that browsers may not keep for a day |
//!
//! The part over plain HTTP fetches no assets of other hosts (they are named and counted). A measurement is `partial`
//! where the browser did not load the page as often as it should.

mod assets;
mod delivery;
pub mod field;
pub(crate) mod lab;
mod rendered;
mod signals;

use std::time::Duration;

use hermes_core::Domain;
use hermes_core::ports::browser::Browser;
use hermes_core::ports::http::{Http, Method, Reach, Response};
use hermes_diagnosis::signal::{Measurement, MeasurementStatus};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use crate::site::SiteError;
use crate::site::address::is_private_by_name;
use crate::site::decode::decode;
use crate::site::fetch::{Fetcher, PAGE_BYTES_MAX};
use crate::site::home;
use crate::site::html;
use crate::site::params;
use crate::site::report::Report;
use field::Crux;

pub use lab::LOADS;

/// Time before the deadline in which nothing is fetched any more, at most.
pub const REPORT_RESERVE: Duration = Duration::from_secs(1);
/// The same as a share of the time there is: one part in this many, where that is shorter.
const REPORT_RESERVE_PARTS: u32 = 10;
/// Name of this service as a provider of signals, where the browser measured all that it should.
const BROWSER_PROVIDER: &str = "builtin-browser-vitals";
/// The share of the time that the browser may have, in parts of ten; the rest is for what is fetched over plain HTTP.
const LAB_TENTHS: u32 = 8;
/// Most assets that a plan can ask for.
pub const ASSETS_MAX: usize = 200;
/// Most samples of the time to first byte that a plan can ask for.
pub const SAMPLES_MAX: usize = 10;
/// Fastest pace that a plan can ask for, in requests per second.
pub const REQUESTS_PER_SECOND_MAX: f64 = 50.0;

/// How a page is measured. Read from the `params` of a service in a plan.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VitalsOptions {
    /// Assets that are fetched, at most. 0 to [`ASSETS_MAX`], default 60.
    pub assets: usize,
    /// How often the home page is fetched for its time to first byte. 1 to [`SAMPLES_MAX`], default 3.
    pub samples: usize,
    /// Requests per second, at most. Above 0, up to [`REQUESTS_PER_SECOND_MAX`], default 4: one page with its assets is
    /// what every visitor fetches.
    pub requests_per_second: f64,
    /// Which addresses may be reached. Not a parameter of the plan: the operator decides.
    #[serde(skip, default = "public")]
    pub reach: Reach,
}

fn public() -> Reach {
    Reach::Public
}

impl Default for VitalsOptions {
    fn default() -> Self {
        Self { assets: 60, samples: 3, requests_per_second: 4.0, reach: Reach::Public }
    }
}

impl VitalsOptions {
    /// Reads the parameters of a plan; `null` means that all have their defaults.
    ///
    /// # Errors
    /// [`SiteError::Options`] names the parameter that is unknown or out of its range.
    pub fn from_params(params: &Value, reach: Reach) -> Result<Self, SiteError> {
        let mut options: Self = params::read(params)?;
        options.reach = reach;
        if options.assets > ASSETS_MAX {
            return Err(SiteError::Options(format!("assets must be 0 to {ASSETS_MAX}, not {}", options.assets)));
        }
        if !(1..=SAMPLES_MAX).contains(&options.samples) {
            return Err(SiteError::Options(format!("samples must be 1 to {SAMPLES_MAX}, not {}", options.samples)));
        }
        if !(options.requests_per_second > 0.0 && options.requests_per_second <= REQUESTS_PER_SECOND_MAX) {
            let text = format!("requests_per_second must be above 0, up to {REQUESTS_PER_SECOND_MAX}");
            return Err(SiteError::Options(text));
        }
        Ok(options)
    }

    fn distance(&self, target: &Url) -> Duration {
        let is_own = self.reach == Reach::Any && is_private_by_name(target);
        if is_own { Duration::ZERO } else { Duration::from_secs_f64(1.0 / self.requests_per_second) }
    }
}

/// The home page as it came.
struct Page {
    url: Url,
    redirects: usize,
    response: Response,
    ttfb_ms: Vec<u64>,
}

/// What a measurement is made with.
#[derive(Clone, Copy)]
pub struct Instruments<'a> {
    /// Outgoing HTTP.
    pub http: &'a dyn Http,
    /// A browser, if this process has one.
    pub browser: Option<&'a dyn Browser>,
    /// An account of the Chrome UX Report, if one is configured.
    pub crux: Option<&'a Crux>,
}

impl<'a> Instruments<'a> {
    /// Nothing but HTTP.
    #[must_use]
    pub fn plain(http: &'a dyn Http) -> Self {
        Self { http, browser: None, crux: None }
    }
}

/// Measures the home page of a site. Ends [`REPORT_RESERVE`] (or a tenth of the time) before `deadline`, with what it
/// has by then.
///
/// # Errors
/// The home page could not be read: see [`SiteError`], and [`SiteError::retryable`].
pub async fn measure(
    instruments: Instruments<'_>,
    domain: &Domain,
    options: &VitalsOptions,
    deadline: Instant,
) -> Result<Measurement, SiteError> {
    let left = deadline.saturating_duration_since(Instant::now());
    let stop_at = deadline - REPORT_RESERVE.min(left / REPORT_RESERVE_PARTS);
    let first = domain.seeds().first().expect("a domain has at least one seed");
    let fetcher = Fetcher::new(instruments.http, options.reach, options.distance(first), stop_at);
    let found = home::find(&fetcher, domain.seeds()).await?;
    let response = found.page()?.clone();
    if !(200..=299).contains(&response.status) {
        return Err(SiteError::ErrorPage { url: found.url.to_string(), status: response.status });
    }
    let mut report = Report::default();
    let lab = in_browser(instruments.browser, &found.url, options.reach, stop_at, &mut report).await;
    let is_complete = lab::signals::is_complete(&lab);
    let (content_type, shown) = (response.header("content-type"), lab.mobile.last().or(lab.desktop.last()));
    rendered::report(&mut report, &found.url, &response.body, content_type, shown).await;
    if is_private_by_name(&found.url) {
        field::nobody(&mut report);
    } else if let Some(crux) = instruments.crux {
        crux.report(instruments.http, &found.url, &mut report, stop_at).await;
    }
    let fetcher = fetcher.at_distance(options.distance(&found.url));
    let mut ttfb_ms = vec![response.ttfb_ms];
    for _ in 1..options.samples {
        // A sample that fails is a sample less; what could not be measured at all failed above.
        if let Ok(again) = fetcher.fetch(Method::Get, &found.url, PAGE_BYTES_MAX).await
            && again.status == response.status
        {
            ttfb_ms.push(again.ttfb_ms);
        }
    }
    let page = Page { url: found.url.clone(), redirects: found.hops.len(), response, ttfb_ms };
    let named = named_assets(&page).await;
    let fetched = assets::fetch(&fetcher, &found.robots, &page.url, &named, options.assets).await;
    signals::measure(&mut report, &page, &named, &fetched);
    let status = if is_complete { MeasurementStatus::Ok } else { MeasurementStatus::Partial };
    Ok(report.finish(if is_complete { BROWSER_PROVIDER } else { signals::PROVIDER }, status, None))
}

/// Lets the browser load the page, and tells what it showed.
async fn in_browser(
    browser: Option<&dyn Browser>,
    url: &Url,
    reach: Reach,
    stop_at: Instant,
    report: &mut Report,
) -> lab::Lab {
    let lab = match browser {
        Some(browser) => {
            let left = stop_at.saturating_duration_since(Instant::now());
            lab::run(browser, url, reach, Instant::now() + left * LAB_TENTHS / 10).await
        }
        None => lab::Lab::missing("this process was started without one"),
    };
    if lab.mobile.is_empty() {
        report.warn("no_browser", "measured over plain HTTP alone: LCP, CLS and TBT need a browser");
    }
    lab::signals::report(report, url, &lab);
    lab
}

/// The distinct assets that the HTML of the page names, in order.
async fn named_assets(page: &Page) -> Vec<html::Asset> {
    let (url, body) = (page.url.clone(), page.response.body.clone());
    let content_type = page.response.header("content-type").map(str::to_owned);
    let read = tokio::task::spawn_blocking(move || html::extract(&decode(&body, content_type.as_deref()), &url).assets);
    // A page that the parser cannot stand has no assets that we know of.
    let mut named = read.await.unwrap_or_default();
    let mut seen = std::collections::HashSet::new();
    named.retain(|asset| seen.insert(asset.url.clone()));
    named
}

#[cfg(test)]
mod tests;
