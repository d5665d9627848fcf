//! What real users saw: the Chrome UX Report (CrUX), by its API.
//!
//! One request for phones, and one for all devices where phones alone are too few. Not enough traffic is an answer, no
//! error: `vitals.field_available` is `false` then.
//!
//! Source of the shapes: <https://developer.chrome.com/docs/crux/api>.

use std::collections::BTreeMap;
use std::time::Duration;

use hermes_core::Secret;
use hermes_core::ports::http::{Http, Method, Reach, Request};
use hermes_diagnosis::signal::Method as Obtained;
use serde_json::{Value, json};
use tokio::time::Instant;
use url::Url;

use crate::site::fetch::retry_after;
use crate::site::report::{Findings, Report};

/// The variable with the key.
pub const CRUX_API_KEY: &str = "CRUX_API_KEY";
/// The variable that replaces [`ENDPOINT`].
pub const CRUX_ENDPOINT: &str = "CRUX_ENDPOINT";
/// Where the API is, unless [`CRUX_ENDPOINT`] says otherwise.
const ENDPOINT: &str = "https://chromeuxreport.googleapis.com/v1";
/// Longest single exchange.
const EXCHANGE_MS: u64 = 10_000;
/// Bytes of an answer that are read; an ordinary one has about ten thousand.
const ANSWER_BYTES_MAX: usize = 1_024 * 1_024;
/// Trust in figures of real phones.
const QUALITY_PHONE: f64 = 0.95;
/// Trust in figures of all devices together.
const QUALITY_ALL: f64 = 0.85;

/// The metrics that become signals, by their names in the report.
const METRICS: [(&str, &str); 4] = [
    ("largest_contentful_paint", "vitals.field_lcp_p75_ms"),
    ("interaction_to_next_paint", "vitals.field_inp_p75_ms"),
    ("cumulative_layout_shift", "vitals.field_cls_p75"),
    ("experimental_time_to_first_byte", "vitals.field_ttfb_p75_ms"),
];

/// An account of the API.
#[derive(Clone, Debug)]
pub struct Crux {
    key: Secret,
    endpoint: Url,
    /// A place that the operator named may be anywhere.
    reach: Reach,
}

/// Why there is no report.
#[derive(Debug, PartialEq, Eq)]
enum Lack {
    /// Too few people use the site with Chrome.
    Traffic,
    /// The API did not give one; in words.
    Trouble(String),
}

impl Crux {
    /// The account that `environment` configures; `None` without a key.
    ///
    /// # Errors
    /// What is wrong with [`CRUX_ENDPOINT`].
    pub fn configured(environment: &BTreeMap<String, String>) -> Result<Option<Self>, String> {
        let value = |name: &str| environment.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());
        let Some(key) = value(CRUX_API_KEY) else { return Ok(None) };
        let (endpoint, reach) = match value(CRUX_ENDPOINT) {
            None => (ENDPOINT, Reach::Public),
            Some(named) => (named, Reach::Any),
        };
        let endpoint = endpoint.trim_end_matches('/');
        let endpoint = Url::parse(&format!("{endpoint}/records:queryRecord"))
            .map_err(|error| format!("{CRUX_ENDPOINT} is no URL ({error})"))?;
        Ok(Some(Self { key: Secret::new(key), endpoint, reach }))
    }

    /// Asks for the origin of `page` and tells what there is.
    pub(super) async fn report(&self, http: &dyn Http, page: &Url, report: &mut Report, end: Instant) {
        let origin = page.origin().ascii_serialization();
        let mut asked = self.ask(http, json!({"origin": origin, "formFactor": "PHONE"}), end).await;
        let mut of_phones = true;
        if asked == Err(Lack::Traffic) {
            of_phones = false;
            asked = self.ask(http, json!({"origin": origin}), end).await;
        }
        let available = |report: &mut Report, is: bool| {
            report.fact("vitals.field_available", is);
            report.qualify(Obtained::Api, QUALITY_PHONE);
        };
        match asked {
            Ok(record) => {
                available(report, true);
                tell(report, &record, &origin, of_phones);
            }
            Err(Lack::Traffic) => {
                available(report, false);
                report.warn(
                    "field_too_little_traffic",
                    "too few people use the site with Chrome for the Chrome UX Report",
                );
                for (_, id) in METRICS {
                    report.unknown(id, "too little traffic for the Chrome UX Report");
                    report.qualify(Obtained::Field, QUALITY_PHONE);
                }
            }
            Err(Lack::Trouble(why)) => {
                report.warn("field_failed", format!("the Chrome UX Report gave nothing: {why}"));
                report.unknown("vitals.field_available", why);
                report.qualify(Obtained::Api, QUALITY_PHONE);
            }
        }
    }

    /// The `record` of the answer.
    async fn ask(&self, http: &dyn Http, body: Value, end: Instant) -> Result<Value, Lack> {
        let left = end.saturating_duration_since(Instant::now());
        let request = Request {
            method: Method::Post,
            url: self.endpoint.clone(),
            // In a header, so that it is in nobody's log of URLs.
            headers: vec![
                ("content-type".to_owned(), "application/json".to_owned()),
                ("x-goog-api-key".to_owned(), self.key.expose().to_owned()),
            ],
            body: Some(body.to_string().into_bytes()),
            reach: self.reach,
            timeout: left.min(Duration::from_millis(EXCHANGE_MS)),
            body_bytes_max: ANSWER_BYTES_MAX,
        };
        let answer = http.send(request).await.map_err(|error| Lack::Trouble(error.to_string()))?;
        let value: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        // An error may also come with status 200.
        let status = value["error"]["code"].as_u64().unwrap_or(u64::from(answer.status));
        match status {
            200 if value["record"]["metrics"].is_object() => Ok(value["record"].clone()),
            200 => Err(Lack::Trouble("its answer has no metrics".to_owned())),
            404 => Err(Lack::Traffic),
            429 => Err(Lack::Trouble(match retry_after(&answer) {
                Some(wait) => format!("its quota is used up (HTTP 429); it asks to wait {} s", wait.as_secs()),
                None => "its quota is used up (HTTP 429)".to_owned(),
            })),
            400 | 401 | 403 => {
                Err(Lack::Trouble(format!("it refused the request (HTTP {status}); check {CRUX_API_KEY}")))
            }
            other => Err(Lack::Trouble(format!("it answered HTTP {other}"))),
        }
    }
}

/// A site that is not on the public web has no users that anybody could report about.
pub(super) fn nobody(report: &mut Report) {
    for id in METRICS.iter().map(|(_, id)| *id).chain(["vitals.field_available"]) {
        report.none_of(id, "the site is not on the public web");
        report.qualify(Obtained::Field, QUALITY_PHONE);
    }
}

fn tell(report: &mut Report, record: &Value, origin: &str, of_phones: bool) {
    let last_day = &record["collectionPeriod"]["lastDate"];
    let period = format!("28 days up to {}-{}-{}", last_day["year"], last_day["month"], last_day["day"]);
    let who = if of_phones { "phones" } else { "all devices, phones alone are too few" };
    for (metric, id) in METRICS {
        match p75(&record["metrics"][metric]) {
            Some(value) => {
                let mut evidence = Findings::new();
                evidence.add(origin, || format!("Chrome UX Report, {who}, {period}"));
                report.push(id, value, None, evidence);
            }
            None => report.unknown(id, "the Chrome UX Report has too few values of it"),
        }
        report.qualify(Obtained::Field, if of_phones { QUALITY_PHONE } else { QUALITY_ALL });
    }
}

/// The 75th percentile: milliseconds as a number, layout shift as a text.
fn p75(metric: &Value) -> Option<Value> {
    let value = &metric["percentiles"]["p75"];
    let number = value.as_f64().or_else(|| value.as_str()?.parse().ok()).filter(|number: &f64| number.is_finite())?;
    if number < 0.0 { None } else { Some(json!(number)) }
}

#[cfg(test)]
mod tests {
    use hermes_core::ports::http::HttpError;
    use hermes_diagnosis::signal::{Measurement, MeasurementStatus};

    use super::*;
    use crate::site::fake::FakeSite;

    const URL: &str = "http://crux.test/v1/records:queryRecord";

    /// The example of <https://developer.chrome.com/docs/crux/api#response>, shortened to what is read: milliseconds are
    /// numbers, layout shift is a string.
    const ANSWER: &str = r#"{"record": {"key": {"formFactor": "PHONE", "origin": "https://example.com"}, "metrics": {
        "largest_contentful_paint": {"histogram": [{"start": 0, "end": 2500, "density": 0.9}], "percentiles": {"p75": 1785}},
        "interaction_to_next_paint": {"percentiles": {"p75": 158}},
        "cumulative_layout_shift": {"histogram": [{"start": "0.00", "end": "0.10", "density": 0.8}], "percentiles": {"p75": "0.05"}},
        "experimental_time_to_first_byte": {"percentiles": {"p75": 620}}},
        "collectionPeriod": {"firstDate": {"year": 2026, "month": 10, "day": 24}, "lastDate": {"year": 2026, "month": 11, "day": 20}}}}"#;
    /// <https://developer.chrome.com/docs/crux/api#errors>: no record for the origin.
    const NOT_FOUND: &str =
        r#"{"error": {"code": 404, "message": "chrome ux report data not found", "status": "NOT_FOUND"}}"#;

    async fn asked(http: &FakeSite) -> Measurement {
        let environment = [(CRUX_API_KEY, "canary"), (CRUX_ENDPOINT, "http://crux.test/v1/")];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let crux = Crux::configured(&environment).expect("valid").expect("a key");
        let mut report = Report::default();
        let page = Url::parse("https://example.com/de/?x=1").expect("valid");
        crux.report(http, &page, &mut report, Instant::now() + Duration::from_secs(60)).await;
        report.finish("test", MeasurementStatus::Ok, None)
    }

    fn values(measurement: &Measurement) -> Vec<(&str, Value)> {
        measurement.signals.iter().map(|signal| (signal.id.as_str(), signal.value.clone())).collect()
    }

    #[tokio::test]
    async fn the_percentiles_of_the_report_become_signals_also_where_they_are_texts() {
        let found = asked(&FakeSite::new().answer(URL, 200, &[], ANSWER)).await;
        let expected = [
            ("vitals.field_available", json!(true)),
            ("vitals.field_lcp_p75_ms", json!(1785.0)),
            ("vitals.field_inp_p75_ms", json!(158.0)),
            ("vitals.field_cls_p75", json!(0.05)),
            ("vitals.field_ttfb_p75_ms", json!(620.0)),
        ];
        assert_eq!(values(&found), expected);
        let detail = &found.signals[1].evidence.as_ref().expect("where from").items[0].detail;
        assert_eq!(detail, "Chrome UX Report, phones, 28 days up to 2026-11-20");
    }

    #[tokio::test]
    async fn too_little_traffic_is_an_answer_after_all_devices_were_asked_for() {
        let http = FakeSite::new().answer(URL, 404, &[], NOT_FOUND);
        let found = asked(&http).await;
        assert_eq!(values(&found)[0], ("vitals.field_available", json!(false)));
        assert!(found.signals[1..].iter().all(|signal| signal.value.is_null() && signal.reason.is_some()));
        assert_eq!(http.count(URL), 2);
    }

    #[tokio::test]
    async fn trouble_is_told_in_words_that_help_and_hold_no_key() {
        let timeout = HttpError::Timeout { host: "crux.test".to_owned(), timeout_ms: 10_000 };
        let error_inside = r#"{"error": {"code": 403, "message": "key canary is not allowed"}}"#;
        for (http, words) in [
            (FakeSite::new().answer(URL, 429, &[("retry-after", "30")], "{}"), "asks to wait 30 s"),
            (FakeSite::new().answer(URL, 400, &[], "{}"), "check CRUX_API_KEY"),
            (FakeSite::new().answer(URL, 200, &[], error_inside), "check CRUX_API_KEY"),
            (FakeSite::new().answer(URL, 200, &[], "<html>"), "no metrics"),
            (FakeSite::new().answer(URL, 503, &[], ""), "HTTP 503"),
            (FakeSite::new().fail(URL, timeout), "no answer from crux.test"),
        ] {
            let found = asked(&http).await;
            assert_eq!(found.warnings.len(), 1);
            assert!(found.warnings[0].detail.contains(words), "{:?}", found.warnings);
            assert!(found.signals.iter().all(|signal| signal.value.is_null()), "unknown is not false");
            assert!(!format!("{found:?}").contains("canary"));
            assert_eq!(http.count(URL), 1);
        }
    }

    #[test]
    fn without_a_key_there_is_no_account_and_a_wrong_place_is_named() {
        let environment = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>()
        };
        assert!(Crux::configured(&environment(&[(CRUX_API_KEY, " ")])).expect("valid").is_none());
        let wrong = environment(&[(CRUX_API_KEY, "k"), (CRUX_ENDPOINT, "crux")]);
        assert!(Crux::configured(&wrong).expect_err("no URL").starts_with("CRUX_ENDPOINT is no URL"));
    }
}
