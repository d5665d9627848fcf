//! Collecting signals with their evidence.

use hermes_diagnosis::signal::{
    Coverage, EVIDENCE_ITEMS_MAX, Evidence, EvidenceItem, Measurement, MeasurementStatus, Method, Provider, SCHEMA,
    Signal, Warning,
};
use serde_json::Value;

/// Trust in what our own crawler read.
const CRAWL_QUALITY: f64 = 0.95;
/// Characters of a URL or detail in evidence, so that a result stays within its limit whatever a site says.
const EVIDENCE_CHARS_MAX: usize = 240;

/// What was found, with the first examples.
#[derive(Clone, Debug, Default)]
pub struct Findings(Evidence);

impl Findings {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One more; `detail` is asked for only where it is kept.
    pub fn add(&mut self, url: impl AsRef<str>, detail: impl FnOnce() -> String) {
        self.0.total += 1;
        if self.0.items.len() < EVIDENCE_ITEMS_MAX {
            self.0.items.push(EvidenceItem { url: cut(url.as_ref()), detail: cut(&detail()) });
        }
    }

    /// Says that there are `total` in all, of which those that were added are examples.
    pub fn and_more(&mut self, total: u64) {
        self.0.total = self.0.total.max(total);
    }

    /// How many there are.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.total
    }

    fn evidence(self) -> Option<Evidence> {
        (self.0.total > 0).then_some(self.0)
    }
}

/// Cuts, and takes control characters out: a store may refuse them, and no reader needs them.
fn cut(text: &str) -> String {
    let mut chars = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut kept: String = chars.by_ref().take(EVIDENCE_CHARS_MAX).collect();
    if chars.next().is_some() {
        kept.push('…');
    }
    kept
}

/// The signals and warnings of one measurement.
#[derive(Debug)]
pub struct Report {
    signals: Vec<Signal>,
    warnings: Vec<Warning>,
    method: Method,
    quality: f64,
}

impl Default for Report {
    /// A report of what our own crawler reads.
    fn default() -> Self {
        Self { signals: Vec::new(), warnings: Vec::new(), method: Method::Crawl, quality: CRAWL_QUALITY }
    }
}

impl Report {
    /// How the signals from here on were obtained, and how far they can be trusted (0 to 1).
    pub fn trust(&mut self, method: Method, quality: f64) {
        self.method = method;
        self.quality = quality;
    }

    /// A value without evidence.
    pub fn fact(&mut self, id: &str, value: impl Into<Value>) {
        self.push(id, value.into(), None, Findings::new());
    }

    /// A value with evidence, seen among `n` things.
    pub fn push(&mut self, id: &str, value: Value, n: Option<u64>, found: Findings) {
        self.signals.push(Signal {
            id: id.to_owned(),
            value,
            reason: None,
            n,
            method: self.method,
            quality: self.quality,
            evidence: found.evidence(),
        });
    }

    /// How many were found among `n` things.
    pub fn count(&mut self, id: &str, found: Findings, n: u64) {
        self.push(id, found.total().into(), Some(n), found);
    }

    /// The share of `of` things that were found. Without any thing there is no share, and the signal is left out.
    pub fn ratio(&mut self, id: &str, found: Findings, of: u64) {
        self.share(id, found.total(), of, found);
    }

    /// The share `part / of` where the evidence names other things than it counts (pages instead of images).
    pub fn share(&mut self, id: &str, part: u64, of: u64, found: Findings) {
        if of > 0 {
            self.push(id, ratio(part, of), Some(of), found);
        }
    }

    /// A signal about things of which the site has none, as far as it was read: nothing is wrong with them, and
    /// nothing remains unknown.
    pub fn none_of(&mut self, id: &str, reason: impl Into<String>) {
        self.push(id, Value::Null, Some(0), Findings::new());
        if let Some(signal) = self.signals.last_mut() {
            signal.reason = Some(reason.into());
        }
    }

    /// A signal that could not be measured, and why.
    pub fn unknown(&mut self, id: &str, reason: impl Into<String>) {
        self.push(id, Value::Null, None, Findings::new());
        if let Some(signal) = self.signals.last_mut() {
            signal.reason = Some(reason.into());
        }
    }

    /// How the last signal was obtained, and how far it can be trusted (0 to 1), where that differs from the others.
    pub fn qualify(&mut self, method: Method, quality: f64) {
        if let Some(signal) = self.signals.last_mut() {
            signal.method = method;
            // Two decimals: more would claim more than is known.
            signal.quality = (quality.clamp(0.0, 1.0) * 100.0).round() / 100.0;
        }
    }

    /// Something that the reader of the signals should know.
    pub fn warn(&mut self, code: &str, detail: impl Into<String>) {
        self.warnings.push(Warning { code: code.to_owned(), detail: cut(&detail.into()) });
    }

    /// Adds everything that another report has, behind what is here.
    pub fn append(&mut self, mut other: Self) {
        self.signals.append(&mut other.signals);
        self.warnings.append(&mut other.warnings);
    }

    /// The finished measurement by one of our own services.
    #[must_use]
    pub fn finish(self, provider: &str, status: MeasurementStatus, coverage: Option<Coverage>) -> Measurement {
        Measurement {
            schema: SCHEMA.to_owned(),
            status,
            provider: Provider { name: provider.to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() },
            coverage,
            signals: self.signals,
            warnings: self.warnings,
        }
    }
}

/// Four decimals: enough for every threshold, and the same text on every machine.
#[expect(clippy::cast_precision_loss, reason = "counts of things on one site are far below 2^52")]
fn ratio(part: u64, of: u64) -> Value {
    Value::from((part as f64 / of as f64 * 10_000.0).round() / 10_000.0)
}

/// The 75th percentile by the nearest-rank method; `None` of nothing.
#[must_use]
pub fn p75(mut values: Vec<u64>) -> Option<u64> {
    values.sort_unstable();
    values.get((values.len() * 3).div_ceil(4).checked_sub(1)?).copied()
}

/// The median; of an even number of values the lower of the two in the middle. `None` of nothing.
#[must_use]
pub fn median(mut values: Vec<u64>) -> Option<u64> {
    values.sort_unstable();
    values.get(values.len().checked_sub(1)? / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_is_capped_and_its_total_is_true() {
        let mut found = Findings::new();
        for page in 0..30 {
            found.add(format!("https://a.test/{page}"), || "x".repeat(1_000));
        }
        let mut report = Report::default();
        report.ratio("tech.x", found, 60);
        let signal = &report.finish("test", MeasurementStatus::Ok, None).signals[0];
        let evidence = signal.evidence.as_ref().expect("found");
        assert_eq!((evidence.total, evidence.items.len()), (30, EVIDENCE_ITEMS_MAX));
        assert_eq!((signal.value.clone(), signal.n), (Value::from(0.5), Some(60)));
        assert!(evidence.items[0].detail.chars().count() <= EVIDENCE_CHARS_MAX + 1);
    }

    #[test]
    fn control_characters_of_a_site_do_not_get_into_a_result() {
        let mut found = Findings::new();
        found.add("https://a.test/", || "line\u{0}one\ntwo".to_owned());
        assert_eq!(found.0.items[0].detail, "line one two");
    }

    #[test]
    fn a_share_of_nothing_is_left_out() {
        let mut report = Report::default();
        report.ratio("tech.x", Findings::new(), 0);
        assert!(report.finish("test", MeasurementStatus::Ok, None).signals.is_empty());
    }

    #[test]
    fn percentiles_are_values_that_occur() {
        assert_eq!(p75(vec![]), None);
        assert_eq!(p75(vec![7]), Some(7));
        assert_eq!(p75(vec![4, 1, 3, 2]), Some(3));
        assert_eq!(p75((1..=100).collect()), Some(75));
        assert_eq!((median(vec![]), median(vec![9, 1, 5]), median(vec![4, 1, 3, 2])), (None, Some(5), Some(2)));
    }
}
