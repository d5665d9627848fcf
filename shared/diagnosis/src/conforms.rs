//! Whether a result that says it is of the schema `signals/1` is: the same judgement as that of
//! `schema/signals-1.schema.json`, which a test compares.

use serde::Deserialize as _;
use serde_json::{Map, Value};

use crate::signal::{Measurement, SCHEMA};

/// What is wrong with a result, in words; `None` if nothing is.
#[must_use]
pub fn schema_problem(result: &Map<String, Value>) -> Option<String> {
    let measurement = match Measurement::deserialize(result) {
        Ok(measurement) => measurement,
        Err(problem) => return Some(problem.to_string()),
    };
    if measurement.schema != SCHEMA {
        return Some(format!("schema is not {SCHEMA}"));
    }
    if measurement.provider.name.is_empty() {
        return Some("the provider has no name".to_owned());
    }
    let wrong =
        measurement.signals.iter().find(|signal| signal.id.is_empty() || !(0.0..=1.0).contains(&signal.quality));
    wrong.map(|signal| match signal.id.as_str() {
        "" => "a signal has no id".to_owned(),
        id => format!("the quality of {id} is {}, not between 0 and 1", signal.quality),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn problem(change: impl FnOnce(&mut Value)) -> Option<String> {
        let mut result = json!({
            "schema": SCHEMA, "status": "ok", "provider": {"name": "x", "version": "1"},
            "signals": [{"id": "tech.https", "value": true, "method": "crawl", "quality": 0.9}],
        });
        change(&mut result);
        schema_problem(result.as_object().expect("an object"))
    }

    #[test]
    fn what_is_wrong_is_said_in_words() {
        assert_eq!(problem(|_| {}), None);
        let quality = problem(|result| result["signals"][0]["quality"] = json!(90));
        assert_eq!(quality.as_deref(), Some("the quality of tech.https is 90, not between 0 and 1"));
        let provider = problem(|result| drop(result.as_object_mut().expect("an object").remove("provider")));
        assert_eq!(provider.as_deref(), Some("missing field `provider`"));
    }
}
