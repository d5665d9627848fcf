//! One load of one page: set up the device, navigate, wait until it is loaded and quiet, collect.

use std::time::Duration;

use hermes_core::ports::browser::{Blocking, LargestPaint, Listed, LoadEnd, LongTask, PageLoad, Profile, Shift, Visit};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use super::Failure;
use super::machine;
use super::seen::{Seen, WORLD};
use super::session::{Session, Told};

/// Longest observation of one page.
pub const LOAD_MS_MAX: u64 = 45_000;
/// Time for collecting after the observation, and for an answer of a page whose scripts hold the main thread.
const COLLECT_MS: u64 = 5_000;
/// How long a page may wait for something without any traffic.
const STALLED_MS: u64 = 15_000;
/// How often it is looked whether the page is quiet.
const LOOK_MS: u64 = 100;
/// Milliseconds without a long task after which the main thread counts as idle.
const IDLE_MS: f64 = 1_000.0;
/// Bytes that a page may transfer, decompressed.
pub const TRANSFER_BYTES_MAX: u64 = 200 * 1_024 * 1_024;
/// Bytes of memory that the processes of one browser may take for themselves.
pub const MEMORY_BYTES_MAX: u64 = 3 * 1_024 * 1_024 * 1_024;
/// How often the memory is looked at.
const MEMORY_LOOK_MS: u64 = 1_000;

/// What the browser says of an error status with an empty body.
const BARE_STATUS: &str = "net::ERR_HTTP_RESPONSE_CODE_FAILURE";

/// Our script.
const OBSERVE: &str = include_str!("observe.js");

/// What `hermesCollect` of our script gives.
#[derive(Debug, Deserialize)]
struct Collected {
    now: f64,
    url: String,
    ttfb: Option<f64>,
    fcp: Option<f64>,
    lcp: Option<CollectedPaint>,
    shifts: Vec<CollectedShift>,
    tasks: Vec<(f64, f64)>,
    blocking: Vec<CollectedBlocking>,
    elements: u64,
    unsized_images: CollectedList,
    html: Option<String>,
}

#[derive(Debug, Deserialize)]
struct CollectedPaint {
    at: f64,
    element: String,
    url: Option<String>,
    resource: Option<(f64, f64)>,
}

#[derive(Debug, Deserialize)]
struct CollectedShift {
    at: f64,
    value: f64,
    elements: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct CollectedBlocking {
    url: String,
    from: f64,
    to: f64,
}

#[derive(Debug, Deserialize)]
struct CollectedList {
    total: u64,
    first: Vec<String>,
}

/// Loads the page; ends before `end`, however the page behaves, as far as the browser answers.
pub(super) async fn load(session: &mut Session, visit: &Visit, group: u32, end: Instant) -> Result<PageLoad, Failure> {
    // A machine that has not run it for a while reads some hundred MB first. Giving up would be to begin that anew, so the
    // start may take what the visit has.
    let version = session.call_until("Browser.getVersion", json!({}), end).await?;
    let frame = session.open_page(end).await?;
    warm_up(session, frame.clone(), end).await?;
    prepare(session, &visit.profile, &user_agent(&version, visit)).await?;
    session.seen.begin(frame);
    let started = Instant::now();
    // A little earlier than collecting needs, so that a page that holds on to its main thread is told as such.
    let last = end.checked_sub(Duration::from_millis(COLLECT_MS + COLLECT_MS / 5)).unwrap_or(started);
    let limit = last.min(started + Duration::from_millis(LOAD_MS_MAX)).max(started);
    if navigate(session, visit, limit).await? == Shown::Nothing {
        let Seen { status, wait: [retry_after, date], .. } = &session.seen;
        let (status, retry_after, date) = (*status, retry_after.clone(), date.clone());
        let url = visit.url.to_string();
        return Ok(PageLoad { browser: name(&version), url, status, retry_after, date, ..PageLoad::default() });
    }
    let why = wait(session, visit, group, started, limit).await?;
    let collected = collect(session, Instant::now() + Duration::from_millis(COLLECT_MS)).await?;
    Ok(told(session, collected, name(&version), why))
}

/// Name and version of the browser.
fn name(version: &Value) -> String {
    version["product"].as_str().unwrap_or("Chromium").to_owned()
}

/// The browser's own first document costs it tens of milliseconds that have nothing to do with any site.
async fn warm_up(session: &mut Session, frame: String, end: Instant) -> Result<(), Failure> {
    session.seen.begin(frame);
    session.call_until("Page.enable", json!({}), end).await?;
    session.call_until("Page.navigate", json!({"url": "data:text/html,<p>warm</p>"}), end).await?;
    while !session.seen.is_loaded {
        match timeout_at(end, session.next()).await {
            Ok(told) => drop(told?),
            Err(_) => return Err(Failure::Silent("the first page".to_owned())),
        }
    }
    Ok(())
}

async fn prepare(session: &mut Session, profile: &Profile, user_agent: &str) -> Result<(), Failure> {
    let network = profile.network.map(|network| {
        json!({
            "offline": false, "latency": network.latency_ms,
            "downloadThroughput": network.download_bytes_per_second,
            "uploadThroughput": network.upload_bytes_per_second,
        })
    });
    let mut calls = vec![
        // Bodies are not asked for, so the browser need not keep them.
        ("Network.enable", json!({"maxTotalBufferSize": 100_000, "maxResourceBufferSize": 50_000})),
        ("Network.setCacheDisabled", json!({"cacheDisabled": true})),
        ("Network.setUserAgentOverride", json!({"userAgent": user_agent})),
        ("Runtime.enable", json!({})),
        ("Log.enable", json!({})),
        ("Inspector.enable", json!({})),
        (
            "Emulation.setDeviceMetricsOverride",
            json!({
                "width": profile.width, "height": profile.height,
                "deviceScaleFactor": profile.scale, "mobile": profile.is_mobile,
            }),
        ),
        ("Emulation.setTouchEmulationEnabled", json!({"enabled": profile.is_mobile})),
        ("Emulation.setCPUThrottlingRate", json!({"rate": profile.cpu_slowdown})),
        ("Page.addScriptToEvaluateOnNewDocument", json!({"source": OBSERVE, "worldName": WORLD})),
        ("Browser.setDownloadBehavior", json!({"behavior": "deny"})),
    ];
    if let Some(network) = network {
        calls.push(("Network.emulateNetworkConditions", network));
    }
    for (method, params) in calls {
        session.call(method, params).await?;
    }
    Ok(())
}

/// The browser's own user agent, as it looks on the device, followed by the name of our robot.
fn user_agent(version: &Value, visit: &Visit) -> String {
    let own = version["userAgent"].as_str().unwrap_or("Mozilla/5.0").replace("HeadlessChrome", "Chrome");
    let own = if visit.profile.is_mobile {
        own.replace("(X11; Linux x86_64)", "(Linux; Android 11; moto g power (2022))")
            .replace(" Safari/", " Mobile Safari/")
    } else {
        own
    };
    format!("{own} {}", visit.robot)
}

/// What a navigation came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    /// A document of the site.
    Page,
    /// An answer without a document: an error status, of which the browser makes a page of its own.
    Nothing,
}

async fn navigate(session: &mut Session, visit: &Visit, limit: Instant) -> Result<Shown, Failure> {
    let answer = session.call_until("Page.navigate", json!({"url": visit.url.as_str()}), limit).await;
    let answer = match answer {
        Err(Failure::Silent(_)) => return Err(Failure::Page("no answer in time".to_owned())),
        other => other?,
    };
    match answer["errorText"].as_str() {
        Some(BARE_STATUS) if session.seen.status.is_some() => Ok(Shown::Nothing),
        Some(error) => Err(Failure::Page(error.to_owned())),
        None => Ok(Shown::Page),
    }
}

async fn wait(
    session: &mut Session,
    visit: &Visit,
    group: u32,
    started: Instant,
    limit: Instant,
) -> Result<LoadEnd, Failure> {
    let quiet = Duration::from_millis(visit.profile.quiet_ms);
    let mut look_at_memory = started;
    let mut asked: Option<u64> = None;
    loop {
        let now = Instant::now();
        if now >= limit {
            return Ok(LoadEnd::TimeLimit);
        }
        if session.seen.arrived_bytes > TRANSFER_BYTES_MAX {
            return Ok(LoadEnd::DataLimit);
        }
        if now >= look_at_memory {
            look_at_memory = now + Duration::from_millis(MEMORY_LOOK_MS);
            if machine::memory_of(group) > MEMORY_BYTES_MAX {
                return Err(Failure::Hostile(format!("it takes more than {} MB of memory", MEMORY_BYTES_MAX >> 20)));
            }
        }
        let silent_for = now - session.seen.last_traffic.unwrap_or(started);
        if !session.seen.is_loaded && session.seen.status.is_some() && silent_for.as_millis() > u128::from(STALLED_MS) {
            return Ok(LoadEnd::Stalled);
        }
        let is_quiet = session.seen.is_loaded && session.seen.quiet_since.is_some_and(|since| now - since >= quiet);
        if is_quiet && asked.is_none() {
            asked = Some(ask_for_idleness(session).await?);
        }
        match timeout_at(limit.min(now + Duration::from_millis(LOOK_MS)), session.next()).await {
            Err(_) => {}
            Ok(told) => match told? {
                Told::Answer(id, answer) if Some(id) == asked => {
                    asked = None;
                    // The document may have gone meanwhile; then the next one is asked.
                    let idle_ms = answer.ok().and_then(|answer| answer["result"]["value"].as_f64());
                    if idle_ms.is_some_and(|idle| idle >= IDLE_MS) && session.seen.is_loaded {
                        return Ok(LoadEnd::Quiet);
                    }
                    pause(session, limit).await?;
                }
                Told::Answer(..) | Told::Event => {}
            },
        }
    }
}

/// Lets events pass for a moment, so that a busy page is not asked all the time.
async fn pause(session: &mut Session, limit: Instant) -> Result<(), Failure> {
    let until = limit.min(Instant::now() + Duration::from_millis(LOOK_MS));
    while let Ok(told) = timeout_at(until, session.next()).await {
        told?;
    }
    Ok(())
}

async fn ask_for_idleness(session: &mut Session) -> Result<u64, Failure> {
    let world = session.seen.world;
    let params = json!({"expression": "hermesIdle()", "contextId": world, "returnByValue": true});
    session.send("Runtime.evaluate", params).await
}

async fn collect(session: &mut Session, end: Instant) -> Result<Collected, Failure> {
    let Some(world) = session.seen.world else {
        return Err(Failure::Page("no document was shown".to_owned()));
    };
    let params = json!({"expression": "hermesCollect()", "contextId": world, "returnByValue": true});
    let answer = match session.call_until("Runtime.evaluate", params, end).await {
        Err(Failure::Silent(_)) => {
            return Err(Failure::Stuck("its scripts do not let go of the main thread".to_owned()));
        }
        other => other?,
    };
    let text = answer["result"]["value"].as_str().unwrap_or_default();
    serde_json::from_str(text).map_err(|error| Failure::Protocol(format!("what was observed cannot be read: {error}")))
}

fn told(session: &Session, from: Collected, browser: String, end: LoadEnd) -> PageLoad {
    let seen = &session.seen;
    let (transfer_bytes, script_bytes) = seen.bytes();
    let [retry_after, date] = seen.wait.clone();
    PageLoad {
        browser,
        url: from.url,
        status: seen.status,
        retry_after,
        date,
        end,
        observed_ms: from.now,
        waited_ms: 0.0,
        further_navigations: seen.navigations.saturating_sub(1),
        ttfb_ms: from.ttfb,
        fcp_ms: from.fcp,
        lcp: from.lcp.map(|paint| LargestPaint {
            at_ms: paint.at,
            element: paint.element,
            url: paint.url,
            resource_ms: paint.resource,
        }),
        shifts: from
            .shifts
            .into_iter()
            .map(|shift| Shift { at_ms: shift.at, value: shift.value, elements: shift.elements })
            .collect(),
        long_tasks: from.tasks.into_iter().map(|(at_ms, duration_ms)| LongTask { at_ms, duration_ms }).collect(),
        dom_elements: Some(from.elements),
        html: from.html,
        unsized_images: Listed { total: from.unsized_images.total, first: from.unsized_images.first },
        blocking: from
            .blocking
            .into_iter()
            .map(|resource| Blocking { url: resource.url, from_ms: resource.from, to_ms: resource.to })
            .collect(),
        requests: seen.request_count,
        transfer_bytes,
        script_bytes,
        largest: seen.largest(),
        console_errors: seen.errors.clone(),
        refused: Vec::new(),
        machine_seconds: [0.0; 2],
    }
}
