//! What a diagnostic service measures: signals with evidence, in the schema `signals/1`.
//!
//! Unknown is not zero: a signal that could not be measured is absent, or present with `value: null` and a `reason`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Name and version of this schema, the `schema` member of a result.
pub const SCHEMA: &str = "signals/1";

/// Items of evidence that are kept per signal; [`Evidence::total`] always has the true count.
pub const EVIDENCE_ITEMS_MAX: usize = 20;

/// The result of a service that measures signals.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// Whether all that the service stands for was measured.
    pub status: MeasurementStatus,
    /// Who measured: `builtin-crawler` and its version, or a provider's name.
    pub provider: Provider,
    /// How much was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage: Option<Coverage>,
    /// What was measured.
    pub signals: Vec<Signal>,
    /// What the reader of the signals should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
}

/// Whether all that a service stands for was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MeasurementStatus {
    /// Everything.
    Ok,
    /// A part; the warnings say which part is missing.
    Partial,
}

/// Who measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provider {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
}

/// How much was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// Pages fetched and parsed.
    pub pages_crawled: u64,
    /// Pages known to exist: the frontier and the sitemap, without duplicates.
    pub pages_known: u64,
}

/// One measured fact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Signal {
    /// Id in the catalogue: `tech.title_missing_ratio`.
    pub id: String,
    /// Number, boolean, text or list, as the catalogue says; `null` if it could not be measured.
    pub value: Value,
    /// Why the value is `null`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How many things were looked at (the denominator of a ratio). 0 with a `null` value says that there is nothing that
    /// the signal could be about: rules about it are then not applicable, where they would otherwise lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<u64>,
    /// How it was obtained.
    pub method: Method,
    /// Trust in the value, 0 to 1.
    pub quality: f64,
    /// Where it was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
}

/// How a signal was obtained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Our crawler read it.
    Crawl,
    /// Measured in a controlled environment.
    Lab,
    /// Measured at real users.
    Field,
    /// A provider's API said it.
    Api,
    /// Computed from other signals.
    Derived,
}

/// Where a signal was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// How many items there are, also where fewer are listed.
    pub total: u64,
    /// The first [`EVIDENCE_ITEMS_MAX`] of them.
    pub items: Vec<EvidenceItem>,
}

/// One place where a signal was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceItem {
    /// The page or resource.
    pub url: String,
    /// What was seen there.
    pub detail: String,
}

/// What the reader of the signals should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// `crawl_truncated`, `no_browser` …
    pub code: String,
    /// In words.
    pub detail: String,
}
