//! The home page in a real browser: three loads as a phone, three as a desktop computer, as far as the time reaches.
//!
//! The loads take turns, so that a measurement which is cut off has something of both. Those that were made while the
//! machine was busy with other things are made again where there is time, and the calmest count. What a load showed is
//! turned into figures by [`figures`], and the figures of several loads into signals by [`signals`].

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
/// How long before its end a visit stops to look at the page, so that there is time to collect and to clear up.
const ENDING_MS: u64 = 7_000;
/// Visits that may fail before the browser is left alone.
const FAILURES_MAX: usize = 2;
/// Further loads as a phone where the machine was not equally fast during the first ones.
const AGAIN_MAX: usize = 2;

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

    /// Whether all loads that were aimed at are there.
    pub(super) fn is_complete(&self) -> bool {
        self.mobile.len() >= LOADS && self.desktop.len() >= LOADS
    }

    /// One load more. Of each profile only the newest keeps its document, which may be large.
    pub(super) fn add(&mut self, profile: Profile, load: PageLoad) {
        let loads = if profile.is_mobile { &mut self.mobile } else { &mut self.desktop };
        if load.html.is_some() {
            loads.iter_mut().for_each(|older| older.html = None);
        }
        loads.push(load);
    }

    /// A load was left out for want of time; a failure says more.
    fn lacks_time(&mut self) {
        self.shortfall.get_or_insert(Shortfall::Time);
    }

    fn of(&self, profile: Profile) -> &[PageLoad] {
        if profile.is_mobile { &self.mobile } else { &self.desktop }
    }

    /// All loads, those as a phone first.
    pub(super) fn loads(&self) -> impl Iterator<Item = &PageLoad> {
        self.mobile.iter().chain(&self.desktop)
    }

    /// The load that tells what scripts make of the page: search engines look at it as phones do.
    pub(super) fn shown(&self) -> Option<&PageLoad> {
        self.loads().find(|load| load.html.is_some())
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

/// Loads pages one after the other, as far as the time and its patience with failures reach.
#[derive(Debug)]
pub(super) struct Loader<'a> {
    browser: &'a dyn Browser,
    reach: Reach,
    /// What a load took at most, as a phone and as a desktop computer, without waiting for its turn.
    longest: [Option<Duration>; 2],
    failures: usize,
}

impl<'a> Loader<'a> {
    pub(super) fn new(browser: &'a dyn Browser, reach: Reach) -> Self {
        Self { browser, reach, longest: [None; 2], failures: 0 }
    }

    /// Whether further visits would only fail.
    pub(super) fn is_exhausted(&self) -> bool {
        self.failures >= FAILURES_MAX
    }

    /// Loads the page once, if a load like the longest before it fits into the time until `end`.
    pub(super) async fn load(&mut self, url: &Url, profile: Profile, end: Instant) -> Result<PageLoad, Shortfall> {
        let longest = &mut self.longest[usize::from(!profile.is_mobile)];
        let left = end.saturating_duration_since(Instant::now());
        // A first load that was fast tells more than our guess; a slow one sets the measure.
        let ending = Duration::from_millis(ENDING_MS);
        let least = longest.map_or(Duration::from_millis(FIRST_LOAD_MS), |longest| longest + ending);
        if left < least {
            return Err(Shortfall::Time);
        }
        let begun = Instant::now();
        let load = self.browser.load(visit(url, profile, self.reach, left, least)).await.map_err(|error| {
            self.failures += if is_final(&error) { FAILURES_MAX } else { 1 };
            Shortfall::Failed(error)
        })?;
        if let Some(status) = load.status.filter(|status| *status >= 400) {
            self.failures += 1;
            return Err(Shortfall::Status(status));
        }
        let waited = Duration::try_from_secs_f64(load.waited_ms / 1_000.0).unwrap_or_default();
        *longest = Some(longest.unwrap_or_default().max(begun.elapsed().saturating_sub(waited)));
        Ok(load)
    }
}

/// Loads the page [`LOADS`] times as a phone and as often as a desktop computer, as far as the time until `end` reaches.
pub(super) async fn run(loader: &mut Loader<'_>, url: &Url, end: Instant) -> Lab {
    let mut lab = Lab::default();
    for turn in 0..2 * LOADS {
        let profile = [Profile::MOBILE, Profile::DESKTOP][turn % 2];
        match loader.load(url, profile, end).await {
            Ok(load) => lab.add(profile, load),
            // The desktop is faster: there may be time for it where there is none for the phone.
            Err(Shortfall::Time) => lab.lacks_time(),
            Err(why) => lab.shortfall = Some(why),
        }
        if loader.is_exhausted() {
            break;
        }
    }
    lab
}

/// Makes up for loads that are missing.
pub(super) async fn complete(loader: &mut Loader<'_>, url: &Url, lab: &mut Lab, end: Instant) {
    more(loader, url, lab, end, |lab, profile| lab.of(profile).len() < LOADS).await;
}

/// Makes loads as a phone again that a busy machine slowed down, at most [`AGAIN_MAX`] more than [`LOADS`]. No rule reads
/// the figures of the desktop computer.
pub(super) async fn repeat(loader: &mut Loader<'_>, url: &Url, lab: &mut Lab, end: Instant) {
    more(loader, url, lab, end, |lab, profile| {
        let loads = lab.of(profile);
        profile.is_mobile && (LOADS..LOADS + AGAIN_MAX).contains(&loads.len()) && signals::is_noisy(loads)
    })
    .await;
}

/// Loads the page in each profile for as long as more is wanted and the time until `end` reaches.
async fn more(
    loader: &mut Loader<'_>,
    url: &Url,
    lab: &mut Lab,
    end: Instant,
    is_wanted: impl Fn(&Lab, Profile) -> bool,
) {
    for profile in [Profile::MOBILE, Profile::DESKTOP] {
        while is_wanted(lab, profile) && !loader.is_exhausted() {
            match loader.load(url, profile, end).await {
                Ok(load) => lab.add(profile, load),
                // What is there already is enough.
                Err(_) if lab.is_complete() => break,
                Err(Shortfall::Time) => {
                    lab.lacks_time();
                    break;
                }
                Err(why) => lab.shortfall = Some(why),
            }
        }
    }
    if lab.is_complete() {
        lab.shortfall = None;
    }
}

/// Whether another visit would end the same way.
fn is_final(error: &BrowserError) -> bool {
    match error {
        BrowserError::Missing(_) | BrowserError::Hostile(_) | BrowserError::Busy | BrowserError::HeldBack { .. } => {
            true
        }
        BrowserError::Page(_) | BrowserError::Stuck(_) | BrowserError::Broken(_) => false,
    }
}

fn visit(url: &Url, profile: Profile, reach: Reach, left: Duration, least: Duration) -> Visit {
    // The browser says itself what it is; only the name of our robot is added.
    let robot = USER_AGENT.trim_start_matches("Mozilla/5.0 ").to_owned();
    Visit { url: url.clone(), profile, reach, robot, timeout: left.min(Duration::from_millis(VISIT_MS)), least }
}
