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
//! | `vitals.templates` | pages beside the home page that were loaded too, one of each kind that it links to ([`templates`]) |
//! | `vitals.template_lcp_ms` | largest contentful paint of the slowest of them as a phone |
//! | `tech.js_dependent_ratio` | on how many of all these pages what is shown is not there without scripts |
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
mod templates;

use std::time::Duration;

use hermes_core::Domain;
use hermes_core::ports::browser::{Browser, Profile};
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
use crate::site::home::{self, Home};
use crate::site::html;
use crate::site::params;
use crate::site::report::Report;
use field::Crux;
use lab::{Lab, Loader};
use rendered::Both;
use templates::Templates;

pub use lab::LOADS;
pub use templates::TEMPLATES_MAX;

/// Time before the deadline in which nothing is fetched any more, at most.
pub const REPORT_RESERVE: Duration = Duration::from_secs(1);
/// The same as a share of the time there is: one part in this many, where that is shorter.
const REPORT_RESERVE_PARTS: u32 = 10;
/// Name of this service as a provider of signals, where the browser measured all that it should.
const BROWSER_PROVIDER: &str = "builtin-browser-vitals";
/// The share of the time that the home page may have in the browser, in parts of ten; the rest is for what is fetched over
/// plain HTTP, and for other pages.
const LAB_TENTHS: u32 = 8;
/// The share of the time after which nothing is loaded any more, in parts of ten: ending a browser takes a moment too.
const TEMPLATES_TENTHS: u32 = 9;
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
    /// Pages beside the home page that the browser loads, one of each kind. 0 to [`TEMPLATES_MAX`], default 4.
    pub templates: usize,
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
        Self { assets: 60, samples: 3, templates: TEMPLATES_MAX, requests_per_second: 4.0, reach: Reach::Public }
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
        if options.templates > TEMPLATES_MAX {
            let text = format!("templates must be 0 to {TEMPLATES_MAX}, not {}", options.templates);
            return Err(SiteError::Options(text));
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

/// Until when which part of a measurement may take.
#[derive(Clone, Copy)]
struct Schedule {
    /// The home page in the browser.
    home: Instant,
    /// Anything in the browser.
    browser: Instant,
}

impl Schedule {
    fn until(stop_at: Instant) -> Self {
        let now = Instant::now();
        let left = stop_at.saturating_duration_since(now);
        Self { home: now + left * LAB_TENTHS / 10, browser: now + left * TEMPLATES_TENTHS / 10 }
    }
}

/// Measures the home page of a site, and pages that it links to. Ends [`REPORT_RESERVE`] (or a tenth of the time) before
/// `deadline`, with what it has by then.
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
    let fetcher = fetcher.at_distance(options.distance(&found.url));
    let schedule = Schedule::until(stop_at);
    let mut loader = instruments.browser.map(|browser| Loader::new(browser, options.reach));
    let mut lab = match &mut loader {
        Some(loader) => lab::run(loader, &found.url, schedule.home).await,
        None => Lab::missing("this process was started without one"),
    };
    let mut plain = Report::default();
    if is_private_by_name(&found.url) {
        field::nobody(&mut plain);
    } else if let Some(crux) = instruments.crux {
        crux.report(instruments.http, &found.url, &mut plain, stop_at).await;
    }
    over_http(&mut plain, &fetcher, &found, &response, options).await;
    let mut pages = Templates::default();
    if let Some(loader) = loader.as_mut().filter(|_| lab.loads().next().is_some()) {
        pages = templates(loader, &mut lab, &fetcher, &found, &response, options.templates, schedule.browser).await;
    }
    let mut report = Report::default();
    if lab.mobile.is_empty() {
        report.warn("no_browser", "measured over plain HTTP alone: LCP, CLS and TBT need a browser");
    }
    lab::signals::report(&mut report, &found.url, &lab);
    in_browser(&mut report, &found.url, &response, &lab, &pages, options.templates).await;
    report.append(plain);
    let (status, provider) = match lab.is_complete() {
        true => (MeasurementStatus::Ok, BROWSER_PROVIDER),
        false => (MeasurementStatus::Partial, signals::PROVIDER),
    };
    Ok(report.finish(provider, status, None))
}

/// Adds what can be told over plain HTTP.
async fn over_http(
    report: &mut Report,
    fetcher: &Fetcher<'_>,
    found: &Home,
    response: &Response,
    options: &VitalsOptions,
) {
    let mut ttfb_ms = vec![response.ttfb_ms];
    for _ in 1..options.samples {
        // A sample that fails is a sample less; what could not be measured at all failed before.
        if let Ok(again) = fetcher.fetch(Method::Get, &found.url, PAGE_BYTES_MAX).await
            && again.status == response.status
        {
            ttfb_ms.push(again.ttfb_ms);
        }
    }
    let page = Page { url: found.url.clone(), redirects: found.hops.len(), response: response.clone(), ttfb_ms };
    let named = named_assets(&page).await;
    let fetched = assets::fetch(fetcher, &found.robots, &page.url, &named, options.assets).await;
    signals::measure(report, &page, &named, &fetched);
}

/// Finishes the home page in the browser, and loads the pages that stand for the others.
async fn templates(
    loader: &mut Loader<'_>,
    lab: &mut Lab,
    fetcher: &Fetcher<'_>,
    found: &Home,
    sent: &Response,
    limit: usize,
    end: Instant,
) -> Templates {
    lab::complete(loader, &found.url, lab, end).await;
    let shown = lab.shown().and_then(|load| load.html.clone());
    let mut pages = templates::choose(fetcher, found, sent, shown, limit, end).await;
    pages.load(loader, Profile::DESKTOP, end).await;
    pages.load(loader, Profile::MOBILE, end).await;
    // As late as that: what disturbed the first loads, such as a crawl beside them, may be over.
    lab::repeat(loader, &found.url, lab, end).await;
    pages.confirm(loader, end).await;
    pages
}

/// Adds what the pages beside the home page showed, and what all pages showed that takes a browser.
async fn in_browser(report: &mut Report, url: &Url, sent: &Response, lab: &Lab, pages: &Templates, wanted: usize) {
    if lab.loads().next().is_some() {
        templates::signals::report(report, pages, wanted);
    }
    let home = Both { url, sent, load: lab.shown() };
    let others = pages.pages.iter().map(|page| Both { url: &page.url, sent: &page.sent, load: page.lab.shown() });
    let all: Vec<Both<'_>> = std::iter::once(home).chain(others).collect();
    rendered::report(report, &all, pages.kinds + 1).await;
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
