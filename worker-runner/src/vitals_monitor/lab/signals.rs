//! From the loads of both profiles to `vitals.lab_*` and `vitals.desktop_*`.

use hermes_core::ports::browser::{LoadEnd, PageLoad};
use hermes_diagnosis::signal::Method;
use serde_json::{Value, json};
use url::Url;

use super::figures::{self, Curves};
use super::{LOADS, Lab, Shortfall};
use crate::site::report::{Findings, Report};

/// Trust in figures of three loads that agree.
const QUALITY_BEST: f64 = 0.9;
/// Trust in a figure of two loads.
const QUALITY_OF_TWO: f64 = 0.75;
/// Trust in a figure of a single load.
const QUALITY_OF_ONE: f64 = 0.6;
/// Trust in total blocking time: it depends on the machine more than on the page, and its parts are observed by tasks.
const TBT_QUALITY_MAX: f64 = 0.6;
/// Spread of the machine's own speed above which its figures are trusted less.
const NOISE_SPREAD_MAX: f64 = 0.3;
/// What is left of the trust on a noisy machine, and in loads that were cut off.
pub(in crate::vitals_monitor) const DOUBT: f64 = 0.7;
/// Up to here a server is quick, in milliseconds (web-vitals).
const TTFB_GOOD_MS: f64 = 800.0;
/// Spread up to which loads agree.
const SPREAD_GOOD: f64 = 0.1;
/// Differences of layout shift that mean nothing.
const SHIFT_STEP: f64 = 0.01;

/// Tells what the browser measured.
pub(in crate::vitals_monitor) fn report(report: &mut Report, url: &Url, lab: &Lab) {
    warnings(report, lab);
    report.fact("vitals.lab_available", !lab.mobile.is_empty());
    as_lab(report, QUALITY_BEST);
    let (mobile, desktop) = (Series::of(&lab.mobile), Series::of(&lab.desktop));
    if !lab.mobile.is_empty() {
        report.fact("vitals.lab_runs", mobile.loads.len() as u64);
        as_lab(report, QUALITY_BEST);
        let names = Names {
            fcp: "vitals.lab_fcp_ms",
            lcp: "vitals.lab_lcp_ms",
            tbt: "vitals.lab_tbt_ms",
            cls: "vitals.lab_cls",
            score: "vitals.lab_score",
        };
        paints(report, url, &mobile, &names, &figures::MOBILE);
        phone_only(report, url, &mobile);
    }
    if !lab.desktop.is_empty() {
        let names = Names {
            fcp: "vitals.desktop_fcp_ms",
            lcp: "vitals.desktop_lcp_ms",
            tbt: "vitals.desktop_tbt_ms",
            cls: "vitals.desktop_cls",
            score: "vitals.desktop_score",
        };
        paints(report, url, &desktop, &names, &figures::DESKTOP);
    }
}

fn warnings(report: &mut Report, lab: &Lab) {
    let counts =
        format!("{} of {LOADS} loads as a phone and {} as a desktop computer", lab.mobile.len(), lab.desktop.len());
    match &lab.shortfall {
        None => {}
        Some(Shortfall::Time) => report.warn("fewer_loads", format!("the time allowed {counts}")),
        Some(Shortfall::Status(status)) => {
            report.warn("browser_turned_away", format!("the page answered the browser with HTTP {status}; {counts}"));
        }
        Some(Shortfall::Failed(error)) => report.warn("browser_failed", format!("{error}; {counts}")),
    }
    if let Some(cut) = lab.loads().find(|load| load.end != LoadEnd::Quiet) {
        let why = match cut.end {
            LoadEnd::Quiet | LoadEnd::TimeLimit => "was still busy when its time was over",
            LoadEnd::Stalled => "waited for something that did not come",
            LoadEnd::DataLimit => "transferred more than a page may",
        };
        report.warn("load_cut_off", format!("the page {why}, after {:.0} ms", cut.observed_ms));
    }
    if let Some(hosts) = lab.loads().map(|load| &load.refused).find(|hosts| !hosts.is_empty()) {
        report.warn("refused_targets", format!("the page asked for what is not public: {}", hosts.join(", ")));
    }
    if is_noisy(&lab.mobile) || is_noisy(&lab.desktop) {
        report.warn("noisy_machine", "the machine was not equally fast all the time; the figures are trusted less");
    }
}

/// Whether the machine's own speed varied by more than [`NOISE_SPREAD_MAX`] during the calmest of these loads.
pub(super) fn is_noisy(loads: &[PageLoad]) -> bool {
    is_uneven(&calmest(loads))
}

fn is_uneven(loads: &[&PageLoad]) -> bool {
    spread(&loads.iter().flat_map(|load| load.machine_seconds).collect::<Vec<_>>()) > NOISE_SPREAD_MAX
}

/// The [`LOADS`] loads during which the machine was fastest, in the order in which they were made; all, if there are no
/// more. Those that were cut off come last; else what they showed has no say in it.
fn calmest(loads: &[PageLoad]) -> Vec<&PageLoad> {
    let slowest_moment = |load: &PageLoad| load.machine_seconds[0].max(load.machine_seconds[1]);
    let is_cut = |load: &PageLoad| load.end != LoadEnd::Quiet;
    let mut by_calm: Vec<usize> = (0..loads.len()).collect();
    by_calm.sort_by(|one, other| {
        let (one, other) = (&loads[*one], &loads[*other]);
        is_cut(one).cmp(&is_cut(other)).then(slowest_moment(one).total_cmp(&slowest_moment(other)))
    });
    by_calm.truncate(LOADS);
    by_calm.sort_unstable();
    by_calm.into_iter().map(|at| &loads[at]).collect()
}

/// How far these loads of one profile are to be trusted, apart from their spread.
pub(super) fn trust(loads: &[PageLoad]) -> f64 {
    let series = Series::of(loads);
    series.trust * series.noise
}

/// The ids of one profile's signals.
struct Names {
    fcp: &'static str,
    lcp: &'static str,
    tbt: &'static str,
    cls: &'static str,
    score: &'static str,
}

/// The loads of one page in one profile that count, with how far they are to be trusted apart from their spread.
pub(in crate::vitals_monitor) struct Series<'a> {
    loads: Vec<&'a PageLoad>,
    trust: f64,
    /// What is left of it where the loads differ, on a machine that was not equally fast.
    noise: f64,
}

impl<'a> Series<'a> {
    pub(in crate::vitals_monitor) fn of(loads: &'a [PageLoad]) -> Self {
        let loads = calmest(loads);
        let agreed = match loads.len() {
            1 => QUALITY_OF_ONE,
            2 => QUALITY_OF_TWO,
            _ => QUALITY_BEST,
        };
        let noise = if is_uneven(&loads) { DOUBT } else { 1.0 };
        let cut = if loads.iter().all(|load| load.end == LoadEnd::Quiet) { 1.0 } else { DOUBT };
        Self { loads, trust: agreed * cut, noise }
    }

    fn values(&self, of: impl Fn(&PageLoad) -> Option<f64>) -> Vec<f64> {
        self.loads.iter().copied().filter_map(of).collect()
    }

    /// The median of the largest paints.
    pub(in crate::vitals_monitor) fn lcp_ms(&self) -> Option<f64> {
        median(&self.values(lcp_ms))
    }

    /// How far it is to be trusted.
    pub(in crate::vitals_monitor) fn lcp_quality(&self) -> f64 {
        self.quality(spread_beside(&self.values(lcp_ms), figures::MOBILE.lcp.p10))
    }

    /// How far a median with this spread is to be trusted: fully up to a tenth, half from one half on. What agrees in several
    /// loads does not depend on how fast the machine was; what differs, or was seen once, may.
    fn quality(&self, spread: f64) -> f64 {
        let lost = ((spread - SPREAD_GOOD) / 0.4).clamp(0.0, 1.0) * 0.5;
        let noise = if self.loads.len() > 1 && spread <= SPREAD_GOOD { 1.0 } else { self.noise };
        self.trust * noise * (1.0 - lost)
    }

    /// The load with the median of these values, for evidence.
    fn median_load(&self, of: impl Fn(&PageLoad) -> Option<f64>) -> Option<&'a PageLoad> {
        let middle = median(&self.values(&of))?;
        self.loads.iter().copied().find(|load| of(load) == Some(middle))
    }
}

/// When the largest paint of a load came.
pub(in crate::vitals_monitor) fn lcp_ms(load: &PageLoad) -> Option<f64> {
    load.lcp.as_ref().map(|paint| paint.at_ms)
}

fn paints(report: &mut Report, url: &Url, series: &Series<'_>, names: &Names, curves: &Curves) {
    let cls = |load: &PageLoad| Some(figures::layout_shift(&load.shifts));
    let mut evidence = Findings::new();
    if let Some((paint, load)) = series.median_load(lcp_ms).and_then(|load| Some((load.lcp.as_ref()?, load))) {
        let parts = figures::paint_parts(load).map(|parts| {
            format!(
                ": {:.0} ms to the first byte, {:.0} ms until it was asked for, {:.0} ms of loading, {:.0} ms until it was painted",
                parts.ttfb_ms, parts.load_delay_ms, parts.load_time_ms, parts.render_delay_ms
            )
        });
        let place = paint.url.clone().unwrap_or_else(|| url.to_string());
        evidence.add(place, || format!("{}{}", paint.element, parts.unwrap_or_default()));
    }
    milliseconds(report, names.lcp, series, evidence, curves.lcp.p10, lcp_ms);
    let first = range(url, &series.values(|load| load.fcp_ms));
    milliseconds(report, names.fcp, series, first, curves.fcp.p10, |load| load.fcp_ms);
    blocking(report, names.tbt, url, series, curves.tbt.p10);
    shift(report, names.cls, url, series);

    let middle = |of: &dyn Fn(&PageLoad) -> Option<f64>| median(&series.values(of));
    let figures = (middle(&|load| load.fcp_ms), middle(&lcp_ms), middle(&figures::blocking_ms), middle(&cls));
    if let (Some(fcp), Some(lcp), Some(tbt), Some(cls)) = figures {
        let score = figures::performance_score(curves, fcp, lcp, tbt, cls);
        let text = format!("FCP {fcp:.0} ms, LCP {lcp:.0} ms, TBT {tbt:.0} ms, CLS {cls:.3}; no speed index");
        let mut evidence = Findings::new();
        evidence.add(url, || text);
        report.push(names.score, json!((score * 10.0).round() / 10.0), Some(series.loads.len() as u64), evidence);
        let uneven = spread_beside(&series.values(lcp_ms), curves.lcp.p10);
        as_lab(report, series.quality(uneven).min(TBT_QUALITY_MAX));
    }
}

/// A median of milliseconds, its quality by its spread beside the value up to which it is `good`.
fn milliseconds(
    report: &mut Report,
    id: &str,
    series: &Series<'_>,
    evidence: Findings,
    good: f64,
    of: impl Fn(&PageLoad) -> Option<f64>,
) {
    let values = series.values(of);
    match median(&values) {
        Some(middle) => {
            report.push(id, json!(middle.round()), Some(values.len() as u64), evidence);
            as_lab(report, series.quality(spread_beside(&values, good)));
        }
        None => report.unknown(id, "nothing was painted"),
    }
}

fn blocking(report: &mut Report, id: &str, url: &Url, series: &Series<'_>, good: f64) {
    let values = series.values(figures::blocking_ms);
    let mut evidence = range(url, &values);
    if let Some(load) = series.median_load(figures::blocking_ms) {
        let mut tasks = load.long_tasks.clone();
        tasks.sort_by(|one, other| other.duration_ms.total_cmp(&one.duration_ms));
        for task in tasks.iter().take(5) {
            evidence.add(url, || format!("a task of {:.0} ms, {:.0} ms after the start", task.duration_ms, task.at_ms));
        }
    }
    match median(&values) {
        Some(middle) => {
            report.push(id, json!(middle.round()), Some(values.len() as u64), evidence);
            as_lab(report, series.quality(spread_beside(&values, good)).min(TBT_QUALITY_MAX));
        }
        None => report.unknown(id, "nothing was painted"),
    }
}

fn shift(report: &mut Report, id: &str, url: &Url, series: &Series<'_>) {
    let of = |load: &PageLoad| Some(figures::layout_shift(&load.shifts));
    let values = series.values(of);
    let Some(middle) = median(&values) else { return };
    let mut evidence = Findings::new();
    if let Some(load) = series.median_load(of) {
        let mut shifts: Vec<_> = load.shifts.iter().collect();
        shifts.sort_by(|one, other| other.value.total_cmp(&one.value));
        for shift in shifts.iter().take(5) {
            let moved = shift.elements.join(", ");
            evidence.add(url, || format!("{:.4} at {:.0} ms: {moved}", shift.value, shift.at_ms));
        }
    }
    report.push(id, json!((middle * 10_000.0).round() / 10_000.0), Some(values.len() as u64), evidence);
    let step = values.iter().fold(f64::MIN, |most, value| most.max(*value))
        - values.iter().fold(f64::MAX, |least, value| least.min(*value));
    as_lab(report, series.quality(if step <= SHIFT_STEP { 0.0 } else { spread(&values) }));
}

/// What is told of the phone alone: it is the profile that search engines look at.
fn phone_only(report: &mut Report, url: &Url, series: &Series<'_>) {
    let n = Some(series.loads.len() as u64);
    milliseconds(report, "vitals.lab_ttfb_ms", series, Findings::new(), TTFB_GOOD_MS, |load| load.ttfb_ms);
    if series.loads.len() > 1 {
        let lcp = spread(&series.values(lcp_ms));
        report.push(
            "vitals.lab_spread",
            json!((lcp * 10_000.0).round() / 10_000.0),
            n,
            range(url, &series.values(lcp_ms)),
        );
        as_lab(report, series.trust);
    }
    if let Some(parts) = series.median_load(lcp_ms).and_then(figures::paint_parts) {
        report.fact("vitals.lcp_dominant_part", parts.dominant());
        let named = series.loads.iter().filter_map(|load| figures::paint_parts(load)).map(|other| other.dominant());
        let is_agreed = named.into_iter().all(|other| other == parts.dominant());
        as_lab(report, series.quality(if is_agreed { 0.0 } else { 1.0 }));
    }
    let middle = series.median_load(figures::render_blocking_ms);
    let mut blocking = Findings::new();
    for resource in middle.into_iter().flat_map(|load| &load.blocking) {
        blocking.add(&resource.url, || format!("{:.0} to {:.0} ms", resource.from_ms, resource.to_ms));
    }
    milliseconds(report, "vitals.render_blocking_ms", series, blocking, 0.0, figures::render_blocking_ms);

    let transfer = |load: &PageLoad| Some(whole(load.transfer_bytes));
    let mut largest_transfers = Findings::new();
    for one in series.median_load(transfer).into_iter().flat_map(|load| &load.largest) {
        largest_transfers.add(&one.url, || format!("{} bytes", one.bytes));
    }
    count(report, "vitals.transfer_bytes", series, largest_transfers, transfer);
    count(report, "vitals.js_bytes", series, Findings::new(), |load| Some(whole(load.script_bytes)));
    count(report, "vitals.lab_requests", series, Findings::new(), |load| Some(whole(load.requests)));
    count(report, "vitals.dom_elements", series, Findings::new(), |load| load.dom_elements.map(whole));
    let last = series.loads.last();
    let listed = |items: Option<&Vec<String>>, as_place: bool| {
        let mut found = Findings::new();
        for item in items.into_iter().flatten() {
            if as_place {
                found.add(item, || "no width and height".to_owned())
            } else {
                found.add(url, || item.clone())
            }
        }
        found
    };
    let unsized_images = listed(last.map(|load| &load.unsized_images.first), true);
    count(report, "vitals.unsized_images", series, unsized_images, |load| Some(whole(load.unsized_images.total)));
    let errors = listed(last.map(|load| &load.console_errors.first), false);
    count(report, "vitals.console_errors", series, errors, |load| Some(whole(load.console_errors.total)));
}

fn count(
    report: &mut Report,
    id: &str,
    series: &Series<'_>,
    evidence: Findings,
    of: impl Fn(&PageLoad) -> Option<f64>,
) {
    let values = series.values(of);
    if let Some(middle) = median(&values) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it was a count before")]
        report.push(id, Value::from(middle as u64), Some(values.len() as u64), evidence);
        as_lab(report, series.quality(spread(&values)));
    }
}

/// What the single loads gave.
fn range(url: &Url, values: &[f64]) -> Findings {
    let mut found = Findings::new();
    if !values.is_empty() {
        let texts: Vec<String> = values.iter().map(|value| format!("{value:.0}")).collect();
        found.add(url, || format!("single loads: {} ms", texts.join(", ")));
    }
    found
}

pub(in crate::vitals_monitor) fn as_lab(report: &mut Report, quality: f64) {
    report.qualify(Method::Lab, quality);
}

#[expect(clippy::cast_precision_loss, reason = "counts and bytes of one page are far below 2^52")]
fn whole(number: u64) -> f64 {
    number as f64
}

/// The median; of an even number of values the lower of the two in the middle, so that it belongs to a load.
fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len().checked_sub(1)? / 2).copied()
}

/// What lies between the extremes, as a share of the median; 0 of one value or none.
fn spread(values: &[f64]) -> f64 {
    let (Some(middle), true) = (median(values), values.len() > 1) else { return 0.0 };
    let most = values.iter().fold(f64::MIN, |most, value| most.max(*value));
    let least = values.iter().fold(f64::MAX, |least, value| least.min(*value));
    if most <= least { 0.0 } else { (most - least) / middle.max(f64::MIN_POSITIVE) }
}

/// What lies between the extremes, as a share of the median, or of the value up to which the metric is good if that is
/// more: milliseconds that say nothing about a page do not make it less known.
fn spread_beside(values: &[f64], good: f64) -> f64 {
    let middle = median(values).unwrap_or_default().max(f64::MIN_POSITIVE);
    spread(values) * (middle / middle.max(good))
}
