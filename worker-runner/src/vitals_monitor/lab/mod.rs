//! The home page in a real browser: three loads as a phone, three as a desktop computer, as far as the time reaches.
//!
//! The loads take turns, so that a measurement which is cut off has something of both. What a load showed is turned into
//! figures by [`figures`], and the figures of several loads into signals by [`signals`].

pub(super) mod figures;
pub(crate) mod once;
pub(super) mod signals;
#[cfg(test)]
mod tests;

use std::time::Duration;

use hermes_core::ports::browser::{Browser, BrowserError, PageLoad, Profile, Visit};
use hermes_core::ports::http::Reach;
use tokio::time::Instant;
use url::Url;

use crate::site::fetch::USER_AGENT;

/// Loads of each profile that are aimed at. Medians of three are what the figures of others are compared with.
pub const LOADS: usize = 3;
/// Longest single visit: the observation, and starting and ending the browser.
const VISIT_MS: u64 = 60_000;
/// Time that a first load should have; with less none is begun.
const FIRST_LOAD_MS: u64 = 8_000;
/// Visits that may fail before the browser is left alone.
const FAILURES_MAX: usize = 2;

/// What the browser gave.
#[derive(Debug, Default)]
pub(super) struct Lab {
    pub(super) mobile: Vec<PageLoad>,
    pub(super) desktop: Vec<PageLoad>,
    /// Why there are fewer loads than were aimed at.
    pub(super) shortfall: Option<Shortfall>,
}

impl Lab {
    /// Nothing, because there is no browser.
    pub(super) fn missing(why: &str) -> Self {
        Self { shortfall: Some(Shortfall::Failed(BrowserError::Missing(why.to_owned()))), ..Self::default() }
    }
}

/// Why there are fewer loads than were aimed at.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Shortfall {
    /// The time did not reach.
    Time,
    /// The browser or the page failed.
    Failed(BrowserError),
    /// The page answered the browser with an error, where it had not answered our robot with one.
    Status(u16),
}

/// Loads the page as often as the time until `end` allows.
pub(super) async fn run(browser: &dyn Browser, url: &Url, reach: Reach, end: Instant) -> Lab {
    let mut lab = Lab::default();
    let mut longest = [Duration::from_millis(FIRST_LOAD_MS); 2];
    let mut failures = 0;
    for turn in 0..2 * LOADS {
        let profile = [Profile::MOBILE, Profile::DESKTOP][turn % 2];
        let left = end.saturating_duration_since(Instant::now());
        if left < longest[turn % 2] {
            lab.shortfall.get_or_insert(Shortfall::Time);
            // The desktop is faster: there may be time for it where there is none for the phone.
            continue;
        }
        let begun = Instant::now();
        match browser.load(visit(url, profile, reach, left)).await {
            Ok(load) if load.status.is_some_and(|status| status >= 400) => {
                lab.shortfall = load.status.map(Shortfall::Status);
                failures += 1;
            }
            Ok(load) => {
                let loads = if profile.is_mobile { &mut lab.mobile } else { &mut lab.desktop };
                // A first load that was fast tells more than our guess; a slow one sets the measure.
                let took = begun.elapsed();
                longest[turn % 2] = if loads.is_empty() { took } else { took.max(longest[turn % 2]) };
                loads.push(load);
            }
            Err(error) => {
                failures += if is_final(&error) { FAILURES_MAX } else { 1 };
                lab.shortfall = Some(Shortfall::Failed(error));
            }
        }
        if failures >= FAILURES_MAX {
            break;
        }
    }
    lab
}

/// Whether another visit would end the same way.
fn is_final(error: &BrowserError) -> bool {
    match error {
        BrowserError::Missing(_) | BrowserError::Hostile(_) | BrowserError::Busy | BrowserError::HeldBack { .. } => {
            true
        }
        BrowserError::Page(_) | BrowserError::Broken(_) => false,
    }
}

fn visit(url: &Url, profile: Profile, reach: Reach, left: Duration) -> Visit {
    // The browser says itself what it is; only the name of our robot is added.
    let robot = USER_AGENT.trim_start_matches("Mozilla/5.0 ").to_owned();
    Visit { url: url.clone(), profile, reach, robot, timeout: left.min(Duration::from_millis(VISIT_MS)) }
}
