//! Tests of the whole synthesis, from results to the diagnosis. What they share stands here.

mod book;
mod changes;
mod confidence;
mod golden;
mod properties;
mod repeats;
mod scores;
mod synthesis;
mod workers;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use hermes_core::{RunStatus, ServiceStatus};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::catalogue::SignalSpec;
use crate::{Diagnosis, Input, RuleBook, ServiceOutcome, synthesise};

/// The shipped rules, read once.
pub(crate) static BOOK: LazyLock<RuleBook> = LazyLock::new(RuleBook::shipped);

/// Signals by id.
pub(crate) type Signals = BTreeMap<String, Value>;

/// The five services of the standard plan, in its order, with the prefix of their signals.
pub(crate) const STANDARD: [(&str, &str); 5] = [
    ("serp-intelligence", "serp"),
    ("technical-seo", "tech"),
    ("domain-authority", "auth"),
    ("competitive-intelligence", "comp"),
    ("vitals-monitor", "vitals"),
];

/// One service of a run under test.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) name: String,
    pub(crate) required: bool,
    pub(crate) status: ServiceStatus,
    pub(crate) error: Option<String>,
    pub(crate) error_class: Option<String>,
    pub(crate) result: Option<Box<RawValue>>,
}

impl Service {
    pub(crate) fn completed(name: &str, result: &Value) -> Self {
        let result = Some(serde_json::value::to_raw_value(result).expect("serialises"));
        let (name, status) = (name.to_owned(), ServiceStatus::Completed);
        Self { name, required: true, status, error: None, error_class: None, result }
    }

    pub(crate) fn failed(name: &str, error: &str, class: Option<&str>) -> Self {
        Self {
            name: name.to_owned(),
            required: true,
            status: ServiceStatus::Failed,
            error: Some(error.to_owned()),
            error_class: class.map(str::to_owned),
            result: None,
        }
    }
}

pub(crate) fn outcomes(services: &[Service]) -> Vec<ServiceOutcome<'_>> {
    services.iter().map(outcome).collect()
}

fn outcome(service: &Service) -> ServiceOutcome<'_> {
    let Service { name, required, status, error, error_class, result } = service;
    ServiceOutcome {
        service: name,
        display_name: name,
        required: *required,
        status: *status,
        error: error.as_deref(),
        error_class: error_class.as_deref(),
        duration_ms: Some(7),
        is_late: false,
        result: result.as_deref(),
    }
}

pub(crate) fn input(services: &[Service]) -> Input<'_> {
    Input {
        run_id: "run_1",
        website_id: "site_1",
        domain: "example.com",
        plan_id: "standard-v1",
        run_status: RunStatus::Completed,
        revision: 1,
        services: outcomes(services),
        previous: None,
    }
}

pub(crate) fn diagnose(services: &[Service]) -> Diagnosis {
    synthesise(&BOOK, &input(services)).expect("is a run")
}

pub(crate) fn diagnose_after(services: &[Service], previous: &RawValue) -> Diagnosis {
    synthesise(&BOOK, &Input { previous: Some(previous), ..input(services) }).expect("is a run")
}

pub(crate) fn raw<T: serde::Serialize>(value: &T) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).expect("serialises")
}

/// Stands for the value of a signal that has nothing to be about, in [`Signals`].
pub(crate) fn nothing_there() -> Value {
    json!({"nothing": "there"})
}

/// A result of the schema of signals, everything of full quality.
pub(crate) fn measurement(signals: &Signals) -> Value {
    measurement_of_quality(signals, |_| 1.0)
}

/// A result of the schema of signals.
pub(crate) fn measurement_of_quality(signals: &Signals, quality: impl Fn(&str) -> f64) -> Value {
    let signal = |(id, value): (&String, &Value)| match value {
        Value::Object(_) => json!({"id": id, "value": null, "n": 0, "method": "crawl", "quality": quality(id)}),
        _ => json!({"id": id, "value": value, "method": "crawl", "quality": quality(id)}),
    };
    let signals: Vec<Value> = signals.iter().map(signal).collect();
    json!({
        "schema": "signals/1",
        "status": "ok",
        "provider": {"name": "test", "version": "1"},
        "coverage": {"pages_crawled": 200, "pages_known": 200},
        "signals": signals,
    })
}

/// The standard plan, every service completed with its part of the signals, everything of full quality.
pub(crate) fn standard_run(signals: &Signals) -> Vec<Service> {
    standard_run_of_quality(signals, |_| 1.0)
}

/// The standard plan, every service completed with its part of the signals.
pub(crate) fn standard_run_of_quality(signals: &Signals, quality: impl Fn(&str) -> f64) -> Vec<Service> {
    STANDARD
        .iter()
        .map(|(service, prefix)| {
            let own = signals.iter().filter(|(id, _)| id.starts_with(&format!("{prefix}.")));
            let own: Signals = own.map(|(id, value)| (id.clone(), value.clone())).collect();
            Service::completed(service, &measurement_of_quality(&own, &quality))
        })
        .collect()
}

/// The standard run with some services failed.
pub(crate) fn standard_run_without(signals: &Signals, missing: &[&str]) -> Vec<Service> {
    let mut services = standard_run(signals);
    for service in &mut services {
        if missing.contains(&service.name.as_str()) {
            *service = Service::failed(&service.name, "no provider is configured", Some("not_configured"));
        }
    }
    services
}

fn samples(sample: fn(&SignalSpec) -> Value) -> Signals {
    BOOK.catalogue().signals().map(|spec| (spec.id.clone(), sample(spec))).collect()
}

/// Every signal of the catalogue, as good as can be.
pub(crate) fn all_good() -> Signals {
    samples(SignalSpec::good_sample)
}

/// Every signal of the catalogue, clearly poor.
pub(crate) fn all_poor() -> Signals {
    samples(SignalSpec::poor_sample)
}

/// All good but for these.
pub(crate) fn good_but(changes: &[(&str, Value)]) -> Signals {
    let mut signals = all_good();
    for (id, value) in changes {
        assert!(signals.contains_key(*id), "{id} is in the catalogue");
        signals.insert((*id).to_owned(), value.clone());
    }
    signals
}
