//! Points in time, as the store's clock gives them.
//!
//! Nothing in this crate reads a clock: a [`Timestamp`] is always an argument. Durations are `u64` milliseconds with
//! the unit in their name (`timeout_ms`), because that is how they travel in JSON.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z, without leap seconds.
///
/// In JSON and in text it is RFC 3339 in UTC with exactly three fractional digits: `2025-01-27T10:00:00.000Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// The text is not an RFC 3339 date-time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not an RFC 3339 date-time such as 2025-01-27T10:00:00.000Z")]
pub struct InvalidTimestamp {
    /// What was given.
    pub text: String,
}

impl Timestamp {
    /// The epoch itself.
    pub const EPOCH: Self = Self(0);

    /// From milliseconds since the epoch.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// This point, `millis` milliseconds later; saturates.
    #[must_use]
    pub const fn plus_ms(self, millis: u64) -> Self {
        Self(self.0.saturating_add_unsigned(millis))
    }

    /// This point, `millis` milliseconds earlier; saturates.
    #[must_use]
    pub const fn minus_ms(self, millis: u64) -> Self {
        Self(self.0.saturating_sub_unsigned(millis))
    }

    /// Milliseconds from `earlier` to this point, 0 if `earlier` is not earlier.
    #[must_use]
    pub fn since_ms(self, earlier: Self) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(at) => write!(f, "{at:.3}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match jiff::Timestamp::from_str(text) {
            Ok(at) => Ok(Self(at.as_millisecond())),
            Err(_) => Err(InvalidTimestamp { text: text.to_owned() }),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Times in stored states: a number of milliseconds, which takes half the room of the text and no calendar. Text is
/// read, too, as it was stored once. For `#[serde(with)]`.
pub(crate) mod short {
    use serde::de::{Error, Visitor};
    use serde::{Deserialize, Deserializer, Serializer};

    use super::Timestamp;

    pub(crate) fn serialize<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(at.as_millis())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        Short::deserialize(deserializer).map(|Short(at)| at)
    }

    struct Short(Timestamp);

    impl<'de> Deserialize<'de> for Short {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Either;

            impl Visitor<'_> for Either {
                type Value = Short;

                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("milliseconds since 1970, or an RFC 3339 date-time")
                }

                fn visit_i64<E: Error>(self, millis: i64) -> Result<Short, E> {
                    Ok(Short(Timestamp::from_millis(millis)))
                }

                fn visit_u64<E: Error>(self, millis: u64) -> Result<Short, E> {
                    i64::try_from(millis).map_err(E::custom).and_then(|millis| self.visit_i64(millis))
                }

                fn visit_str<E: Error>(self, text: &str) -> Result<Short, E> {
                    text.parse().map(Short).map_err(E::custom)
                }
            }

            deserializer.deserialize_any(Either)
        }
    }

    pub(crate) mod option {
        use serde::{Deserialize, Deserializer, Serializer};

        use super::{Short, Timestamp};

        pub(crate) fn serialize<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
            match at {
                Some(at) => super::serialize(at, serializer),
                None => serializer.serialize_none(),
            }
        }

        pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
            Option::<Short>::deserialize(deserializer).map(|at| at.map(|Short(at)| at))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_time_is_milliseconds_and_one_that_was_stored_as_text_is_read_all_the_same() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct Stored {
            #[serde(with = "short")]
            at: Timestamp,
            #[serde(default, skip_serializing_if = "Option::is_none", with = "short::option")]
            until: Option<Timestamp>,
        }
        let stored = Stored { at: Timestamp::from_millis(-7), until: Some(Timestamp::from_millis(1_737_972_000_000)) };
        let text = serde_json::to_string(&stored).expect("plain");
        assert_eq!(text, r#"{"at":-7,"until":1737972000000}"#);
        assert_eq!(serde_json::from_str::<Stored>(&text).expect("readable"), stored);
        let older = r#"{"at":"1969-12-31T23:59:59.993Z","until":"2025-01-27T10:00:00.000Z"}"#;
        assert_eq!(serde_json::from_str::<Stored>(older).expect("readable"), stored);
        assert_eq!(serde_json::from_str::<Stored>(r#"{"at":0,"until":null}"#).expect("readable").until, None);
        let error = serde_json::from_str::<Stored>(r#"{"at":true}"#).expect_err("no time");
        assert!(error.to_string().contains("milliseconds since 1970, or an RFC 3339 date-time"), "{error}");
    }

    #[test]
    fn a_timestamp_is_written_with_three_fractional_digits() {
        let at: Timestamp = "2025-01-27T10:00:00Z".parse().expect("valid");
        assert_eq!(at.to_string(), "2025-01-27T10:00:00.000Z");
        assert_eq!(at.plus_ms(150_000).to_string(), "2025-01-27T10:02:30.000Z");
    }

    #[test]
    fn text_that_is_no_date_time_is_refused_with_an_example() {
        let error = "yesterday".parse::<Timestamp>().expect_err("no date-time");
        assert_eq!(error.to_string(), "'yesterday' is not an RFC 3339 date-time such as 2025-01-27T10:00:00.000Z");
    }

    #[test]
    fn a_point_is_its_distance_from_the_epoch() {
        for millis in [-7, 0, 1_737_972_000_000] {
            assert_eq!(Timestamp::from_millis(millis).as_millis(), millis);
        }
        assert_eq!(Timestamp::EPOCH.as_millis(), 0);
    }

    #[test]
    fn the_distance_to_a_later_point_is_zero() {
        let at = Timestamp::from_millis(5);
        assert_eq!(at.since_ms(at.plus_ms(10)), 0);
        assert_eq!(at.plus_ms(10).since_ms(at), 10);
    }
}
