//! `comp.lcp_gap_ms`: how much later the page of the site paints its largest content than those of its competitors, by
//! one load of each on this machine, one after the other, as a phone on a slow network.
//!
//! The site's own page comes first: without it the others are of no use. Only pages are loaded that our robot was
//! allowed to read.

use hermes_core::ports::browser::Browser;
use hermes_core::ports::http::Reach;
use hermes_diagnosis::signal::Method;
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use super::profile::Profile;
use super::rivals::Rival;
use super::signals::{median, quality_by};
use crate::site::report::{Findings, Report};
use crate::vitals_monitor::lab::once::{NotLoaded, Once, once};

const ID: &str = "comp.lcp_gap_ms";

/// The loads of both sides.
#[derive(Clone, Debug)]
pub(super) struct Speeds {
    /// The site's own page; why there is none.
    own: Result<(Url, Once), Lack>,
    /// Those of the competitors that could be loaded, the most visible first.
    others: Vec<(Url, Once)>,
    /// Why others could not.
    problems: Vec<String>,
}

/// Why the site's own page was not loaded.
#[derive(Clone, Debug)]
enum Lack {
    /// This process has no browser.
    NoBrowser,
    /// No page of the site could be read.
    NoPage,
    /// It could not be loaded.
    NotLoaded(NotLoaded),
}

/// Loads one page of each side, as far as the time until `stop_at` reaches.
pub(super) async fn measure(
    browser: Option<&dyn Browser>,
    reach: Reach,
    own: &Profile,
    rivals: &[Rival],
    profiles: &[Profile],
    stop_at: Instant,
) -> Speeds {
    let without = |lack| Speeds { own: Err(lack), others: Vec::new(), problems: Vec::new() };
    let Some(browser) = browser else { return without(Lack::NoBrowser) };
    let Some(page) = own.compared().first().map(|page| page.url.clone()) else { return without(Lack::NoPage) };
    let own = match once(browser, &page, reach, stop_at).await {
        Ok(load) => Ok((page, load)),
        Err(error) => return without(Lack::NotLoaded(error)),
    };
    let mut speeds = Speeds { own, others: Vec::new(), problems: Vec::new() };
    for (rival, profile) in rivals.iter().zip(profiles) {
        let Some(page) = profile.compared().first().map(|page| page.url.clone()) else { continue };
        match once(browser, &page, reach, stop_at).await {
            Ok(load) => speeds.others.push((page, load)),
            Err(error) => {
                speeds.problems.push(format!("{}: {error}", rival.domain));
                if error.concerns_all() {
                    break;
                }
            }
        }
    }
    speeds
}

/// Adds the signal; whether nothing is missing.
pub(super) fn report(speeds: &Speeds, report: &mut Report) -> bool {
    let (page, own) = match &speeds.own {
        Ok(own) => own,
        Err(lack) => {
            let why = match lack {
                Lack::NoBrowser => "loading times were not compared: this process was started without a browser".into(),
                Lack::NoPage => return unknown(report, "no page of the site could be read"),
                Lack::NotLoaded(error) => format!("loading times were not compared: {error}"),
            };
            report.warn("speed_not_compared", why.clone());
            return unknown(report, &why);
        }
    };
    if !speeds.problems.is_empty() {
        report.warn("competitors_not_loaded", speeds.problems.join("; "));
    }
    let times = |load: &Once| whole(load.lcp_ms);
    let Some(middle) = median(speeds.others.iter().map(|(_, load)| times(load)).collect()) else {
        return unknown(report, "no page of a competitor could be loaded");
    };
    let mut found = Findings::new();
    let mut quality = own.quality.min(quality_by(speeds.others.len()));
    for (url, load) in &speeds.others {
        found.add(url, || format!("{} ms until {} was painted", times(load), load.element));
        quality = quality.min(load.quality);
    }
    found.add(page, || format!("{} ms until {} was painted, on the site's own page", times(own), own.element));
    report.push(ID, Value::from(times(own) - middle), Some(speeds.others.len() as u64), found);
    report.qualify(Method::Lab, quality);
    speeds.problems.is_empty()
}

fn unknown(report: &mut Report, why: &str) -> bool {
    report.unknown(ID, why);
    false
}

#[expect(clippy::cast_possible_truncation, reason = "a load lasts for less than a minute")]
fn whole(ms: f64) -> i64 {
    ms.round() as i64
}
