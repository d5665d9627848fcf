//! JSON that is carried, not interpreted: worker results, diagnoses, parameters.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Nesting that is accepted in JSON from outside.
pub const JSON_DEPTH_MAX: usize = 120;
/// Nesting that every reader downstream takes: `serde_json::Value` refuses more. What is between the two is room for
/// what we wrap around an accepted text.
pub const JSON_DEPTH_READABLE: usize = 127;

const _: () =
    assert!(JSON_DEPTH_MAX + 4 < JSON_DEPTH_READABLE, "an event in a page of events wraps a result four times");

/// One JSON text, valid and not too deep, shared without copying.
///
/// Equality compares the texts, not the values: `{"a":1}` and `{ "a": 1 }` differ.
#[derive(Clone)]
pub struct Json(Arc<RawValue>);

/// The bytes cannot be carried as JSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidJson {
    /// Not JSON; the reader's message has line and column.
    #[error("it is not valid JSON: {0}")]
    Syntax(String),
    /// Arrays and objects are nested too deeply.
    #[error("it is nested more than {JSON_DEPTH_MAX} levels deep")]
    TooDeep,
}

impl Json {
    /// Checks and takes a JSON text.
    pub fn parse(text: &str) -> Result<Self, InvalidJson> {
        let raw: Box<RawValue> = serde_json::from_str(text).map_err(|error| InvalidJson::Syntax(error.to_string()))?;
        if depth(raw.get()) > JSON_DEPTH_MAX {
            return Err(InvalidJson::TooDeep);
        }
        Ok(Self(raw.into()))
    }

    /// Takes back a text that this system has written, however deep. It may wrap what was accepted once, and so be a
    /// little deeper than what [`Self::parse`] accepts from others.
    pub fn stored(text: &str) -> Result<Self, InvalidJson> {
        let raw: Box<RawValue> = serde_json::from_str(text).map_err(|error| InvalidJson::Syntax(error.to_string()))?;
        Ok(Self(raw.into()))
    }

    /// Writes a value as JSON.
    ///
    /// # Panics
    /// If the value's `Serialize` fails or it has a map with keys that are no strings; our own wire types have neither.
    #[must_use]
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Self {
        let raw = serde_json::value::to_raw_value(value).expect("own wire types serialise");
        Self(raw.into())
    }

    /// The text.
    #[must_use]
    pub fn get(&self) -> &str {
        self.0.get()
    }

    /// The text as serde_json's raw value.
    #[must_use]
    pub fn raw(&self) -> &RawValue {
        &self.0
    }

    /// Reads the text as `T`.
    pub fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.0.get())
    }
}

/// Deepest nesting of arrays and objects in a valid JSON text.
fn depth(text: &str) -> usize {
    let (mut now, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => {
                now += 1;
                deepest = deepest.max(now);
            }
            b']' | b'}' => now = now.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl Eq for Json {}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.get())
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.get())
    }
}

impl Serialize for Json {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        if depth(raw.get()) > JSON_DEPTH_READABLE {
            let text = format!("it is nested more than {JSON_DEPTH_READABLE} levels deep");
            return Err(serde::de::Error::custom(text));
        }
        Ok(Self(raw.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_carried_as_it_was_written() {
        let json = Json::parse(r#"{ "a": [1, 2.50, "\u0000"] }"#).expect("valid");
        assert_eq!(serde_json::to_string(&json).expect("writes"), r#"{ "a": [1, 2.50, "\u0000"] }"#);
        assert_eq!(format!("{json:?}"), r#"{ "a": [1, 2.50, "\u0000"] }"#);
    }

    #[test]
    fn json_nested_deeper_than_the_limit_is_refused() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(Json::parse(&nested(JSON_DEPTH_MAX)).is_ok());
        assert_eq!(Json::parse(&nested(JSON_DEPTH_MAX + 1)), Err(InvalidJson::TooDeep));
        assert!(serde_json::from_str::<Json>(&nested(100_000)).is_err());
    }

    #[test]
    fn what_wraps_an_accepted_text_is_read_back_by_every_reader() {
        let accepted = format!("{}{}", "[".repeat(JSON_DEPTH_MAX), "]".repeat(JSON_DEPTH_MAX));
        let wrapped = format!(r#"{{"events":[{{"payload":{{"data":{accepted}}}}}]}}"#);
        assert_eq!(Json::parse(&wrapped), Err(InvalidJson::TooDeep));
        assert!(Json::stored(&wrapped).is_ok());
        assert!(serde_json::from_str::<Json>(&wrapped).is_ok());
        assert!(serde_json::from_str::<serde_json::Value>(&wrapped).is_ok());
        assert!(Json::stored("{").is_err());
    }

    #[test]
    fn what_a_reader_could_not_take_is_not_read() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        let reads = |levels| {
            let text = nested(levels);
            [serde_json::from_str::<Json>(&text).is_ok(), serde_json::from_str::<serde_json::Value>(&text).is_ok()]
        };
        assert_eq!(reads(JSON_DEPTH_READABLE), [true, true]);
        assert_eq!(reads(JSON_DEPTH_READABLE + 1), [false, false]);
    }

    #[test]
    fn brackets_inside_strings_do_not_nest() {
        let text = format!(r#"["{}\"["]"#, "[".repeat(500));
        assert!(Json::parse(&text).is_ok());
    }

    #[test]
    fn text_that_is_no_json_is_refused_with_its_place() {
        let error = Json::parse("<html>").expect_err("no JSON");
        assert!(error.to_string().contains("line 1 column 1"), "{error}");
    }
}
