//! A real browser, as the measurement of loading times needs it: load one page once, and tell what was seen.
//!
//! The port tells raw observations (paints, shifts, long tasks, transfers); what they mean (CLS, TBT, scores) is computed
//! by the service, so that it can be tested without a browser.
//!
//! Deliberately absent: clicks and input (so there is no INP), cookies or storage between loads, screenshots.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use super::http::Reach;
use super::politeness::Reason;

/// The device and the network that a page is loaded with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Profile {
    /// `mobile`, `desktop`.
    pub name: &'static str,
    /// Width of the window in CSS pixels.
    pub width: u32,
    /// Height of the window in CSS pixels.
    pub height: u32,
    /// Device pixels per CSS pixel.
    pub scale: f64,
    /// Whether it is a phone: touch, the viewport of the page's `<meta name=viewport>`, a phone's user agent.
    pub is_mobile: bool,
    /// By how much the processor is slowed down; 1 leaves it alone.
    pub cpu_slowdown: f64,
    /// How the network is slowed down; `None` leaves it alone.
    pub network: Option<SlowNetwork>,
    /// Milliseconds without traffic after which a page counts as loaded.
    pub quiet_ms: u64,
}

/// A slow network, applied by the browser to each request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SlowNetwork {
    /// Milliseconds that each request waits for its answer, at least.
    pub latency_ms: f64,
    /// Bytes per second towards the browser.
    pub download_bytes_per_second: f64,
    /// Bytes per second from the browser.
    pub upload_bytes_per_second: f64,
}

impl Profile {
    /// A phone of the middle class on a slow network, with the figures of Lighthouse's applied throttling
    /// (`mobileSlow4G` in its `constants.js`: 150 ms x 3.75, 1.6 Mbps x 0.9, 750 kbps x 0.9, processor 4x, 5.25 s of quiet).
    pub const MOBILE: Self = Self {
        name: "mobile",
        width: 412,
        height: 823,
        scale: 1.75,
        is_mobile: true,
        cpu_slowdown: 4.0,
        network: Some(SlowNetwork {
            latency_ms: 562.5,
            download_bytes_per_second: 1.6 * 1_024.0 * 1_024.0 / 8.0 * 0.9,
            upload_bytes_per_second: 750.0 * 1_024.0 / 8.0 * 0.9,
        }),
        quiet_ms: 5_250,
    };

    /// A desktop computer that nothing slows down, with the window of Lighthouse's desktop preset.
    pub const DESKTOP: Self = Self {
        name: "desktop",
        width: 1_350,
        height: 940,
        scale: 1.0,
        is_mobile: false,
        cpu_slowdown: 1.0,
        network: None,
        quiet_ms: 1_000,
    };
}

/// One load to perform.
#[derive(Clone, Debug)]
pub struct Visit {
    /// Absolute `http` or `https` URL.
    pub url: url::Url,
    /// Device and network.
    pub profile: Profile,
    /// Which addresses the page, its redirects and everything that it loads may reach.
    pub reach: Reach,
    /// What the browser's own user agent is followed by: `(compatible; HermesBot/1.0)`.
    pub robot: String,
    /// The whole visit must end within this: waiting for other visits, starting the browser, the load, clearing up.
    pub timeout: Duration,
    /// What must be left of the timeout when the turn of this visit comes; with less it does not begin, as it would be cut
    /// off.
    pub least: Duration,
}

/// What was seen while a page loaded. Times are milliseconds since the navigation to the last document began.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PageLoad {
    /// Name and version of the browser.
    pub browser: String,
    /// URL of the document that was measured; another one than was asked for after redirects.
    pub url: String,
    /// Status of its response.
    pub status: Option<u16>,
    /// The fields `Retry-After` and `Date` of its response, as they came.
    pub retry_after: Option<String>,
    /// See [`Self::retry_after`].
    pub date: Option<String>,
    /// Why the observation ended.
    pub end: LoadEnd,
    /// Milliseconds of observation.
    pub observed_ms: f64,
    /// Milliseconds of the visit that were spent on waiting for other visits, and for leave from the host.
    pub waited_ms: f64,
    /// Documents that the page went on to by script or `<meta>`, before the one that was measured.
    pub further_navigations: u64,
    /// First byte of the document.
    pub ttfb_ms: Option<f64>,
    /// First contentful paint.
    pub fcp_ms: Option<f64>,
    /// Largest contentful paint.
    pub lcp: Option<LargestPaint>,
    /// Layout shifts without recent input, in order.
    pub shifts: Vec<Shift>,
    /// Tasks of the main thread of 50 ms and more, in order.
    pub long_tasks: Vec<LongTask>,
    /// Elements of the document at the end.
    pub dom_elements: Option<u64>,
    /// The document as it was at the end, after its scripts; `None` if it was too long to be kept.
    pub html: Option<String>,
    /// Displayed images in the flow of the page without a size in HTML or CSS.
    pub unsized_images: Listed<String>,
    /// Resources that held up rendering.
    pub blocking: Vec<Blocking>,
    /// Requests over the network, redirects included, frames included.
    pub requests: u64,
    /// Bytes received for them: heads, and bodies before decompression.
    pub transfer_bytes: u64,
    /// The part of [`Self::transfer_bytes`] that was scripts.
    pub script_bytes: u64,
    /// The largest transfers, largest first.
    pub largest: Vec<Transfer>,
    /// Errors on the console: exceptions, failed resources, `console.error`.
    pub console_errors: Listed<String>,
    /// Hosts that [`Visit::reach`] did not allow, each once.
    pub refused: Vec<String>,
    /// Seconds that a fixed piece of work took on this machine before the load and after it.
    pub machine_seconds: [f64; 2],
}

/// Why the observation of a page ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LoadEnd {
    /// It was loaded and quiet.
    #[default]
    Quiet,
    /// It was still busy when its time was over.
    TimeLimit,
    /// It waited for something that did not come.
    Stalled,
    /// It transferred more than a page may.
    DataLimit,
}

/// The first things of a kind, and how many there were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed<T> {
    /// All of them.
    pub total: u64,
    /// The first few.
    pub first: Vec<T>,
}

impl<T> Default for Listed<T> {
    fn default() -> Self {
        Self { total: 0, first: Vec::new() }
    }
}

/// The largest contentful paint.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LargestPaint {
    /// When it was painted.
    pub at_ms: f64,
    /// What was painted: `main > img#hero`.
    pub element: String,
    /// The image, if it is one.
    pub url: Option<String>,
    /// When the image was asked for and when its last byte came; `None` for text.
    pub resource_ms: Option<(f64, f64)>,
}

/// One layout shift.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shift {
    /// When it happened.
    pub at_ms: f64,
    /// Its score.
    pub value: f64,
    /// The elements that moved, at most three.
    pub elements: Vec<String>,
}

/// A long task of the main thread.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LongTask {
    /// When it began.
    pub at_ms: f64,
    /// How long it took.
    pub duration_ms: f64,
}

/// A resource that held up rendering.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Blocking {
    /// Its URL.
    pub url: String,
    /// When it was asked for.
    pub from_ms: f64,
    /// When its last byte came.
    pub to_ms: f64,
}

/// One transfer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transfer {
    /// Its URL.
    pub url: String,
    /// Bytes received.
    pub bytes: u64,
}

/// Why there is no observation, by what the caller can do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BrowserError {
    /// There is no browser on this machine: install one.
    #[error(
        "there is no Chromium on this machine ({0}); install the Debian package chromium (apt-get install chromium), \
             or set CHROMIUM_PATH"
    )]
    Missing(String),
    /// The browser was busy with other pages for the whole time: give the service more time, or try later.
    #[error("the browser was busy with other pages")]
    Busy,
    /// The host is left alone for now: try again when it makes sense.
    #[error("loads from {host} are held back: {reason}; again in {} s", .retry_after_ms.div_ceil(1_000))]
    HeldBack {
        /// The host.
        host: String,
        /// Why.
        reason: Reason,
        /// Milliseconds until it makes sense to try again.
        retry_after_ms: u64,
    },
    /// The page cannot be loaded; the browser is sound. The text is the browser's own (`net::ERR_…`).
    #[error("the page does not load ({0})")]
    Page(String),
    /// Its scripts did not let go of the main thread in time. On a machine that is busy with other things, another try may
    /// do better.
    #[error("the page was given up: {0}")]
    Stuck(String),
    /// The page did what a page must not: it used too much memory, or moved on to another document again and again.
    #[error("the page was given up: {0}")]
    Hostile(String),
    /// The browser crashed, hung or did not start: another try may do better.
    #[error("the browser failed: {0}")]
    Broken(String),
}

/// Loads pages, one at a time on a machine: two would slow each other down.
#[async_trait]
pub trait Browser: fmt::Debug + Send + Sync {
    /// Loads one page in a browser of its own with an empty profile. Nothing of it is left afterwards, however the visit
    /// ends; dropping the future ends it too.
    async fn load(&self, visit: Visit) -> Result<PageLoad, BrowserError>;

    /// Whether there is a browser, as far as that can be told without starting it.
    ///
    /// # Errors
    /// [`BrowserError::Missing`].
    fn is_there(&self) -> Result<(), BrowserError> {
        Ok(())
    }
}
