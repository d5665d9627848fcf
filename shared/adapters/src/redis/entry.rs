//! Entries of a stream, read without trusting their shape: anyone with access to the server can add any bytes.

use redis::Value;
use serde_json::error::Category;

/// An entry as it came from a stream.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    /// Its name in the stream.
    pub(super) id: String,
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    /// Consumers that were lost while they had it, not counting what its fields say.
    pub(super) deaths: u32,
    /// The server's time when it was delivered, in milliseconds.
    pub(super) now_ms: u64,
}

impl Entry {
    /// The bytes of a field.
    pub(super) fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields.iter().find(|(field, _)| field == name.as_bytes()).map(|(_, value)| &value[..])
    }

    /// Bytes of all fields.
    pub(super) fn bytes(&self) -> usize {
        self.fields.iter().map(|(_, value)| value.len()).sum()
    }

    /// A field that is text and can be read as `T`.
    pub(super) fn parse<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        std::str::from_utf8(self.field(name)?).ok()?.parse().ok()
    }

    /// When the entry was added, in milliseconds of the server's clock.
    pub(super) fn added_ms(&self) -> Option<u64> {
        self.id.split_once('-')?.0.parse().ok()
    }

    /// How long it was in the stream when it was delivered, in milliseconds; 0 if that cannot be told.
    pub(super) fn waited_ms(&self) -> u64 {
        self.added_ms().map_or(0, |added_ms| self.now_ms.saturating_sub(added_ms))
    }
}

/// Entries out of the answer of XREADGROUP on one stream.
pub(super) fn read_entries(answer: Value, now_ms: u64) -> Vec<Entry> {
    let stream = match answer {
        Value::Map(streams) => streams.into_iter().next().map(|(_, entries)| entries),
        other => items(other).into_iter().next().and_then(|stream| items(stream).into_iter().nth(1)),
    };
    let entries = items(stream.unwrap_or(Value::Nil)).into_iter();
    let entry = |entry| {
        let mut parts = items(entry).into_iter();
        Some(Entry { id: text(parts.next()?)?, fields: fields(parts.next()?), deaths: 0, now_ms })
    };
    entries.filter_map(entry).collect()
}

/// Entries out of the answer of the sweeping script.
pub(super) fn swept_entries(answer: Value) -> Vec<Entry> {
    let mut parts = items(answer).into_iter();
    let (time, entries) = (parts.next().unwrap_or(Value::Nil), parts.next().unwrap_or(Value::Nil));
    let now_ms = time_ms(time);
    items(entries)
        .into_iter()
        .filter_map(|entry| {
            let mut parts = items(entry).into_iter();
            let id = text(parts.next()?)?;
            let deaths = number(parts.next()?).and_then(|deaths| u32::try_from(deaths).ok())?;
            Some(Entry { id, fields: fields(parts.next()?), deaths, now_ms })
        })
        .collect()
}

/// What is wrong with a message and where. Not the library's own words: they quote values, which may be secret.
pub(super) fn place(error: &serde_json::Error) -> String {
    let problem = match error.classify() {
        Category::Io => "it cannot be read",
        Category::Syntax => "it is not valid JSON",
        Category::Data => "a member is missing or has another form",
        Category::Eof => "it ends too early",
    };
    format!("{problem} at line {} column {}", error.line(), error.column())
}

fn items(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) | Value::Set(items) => items,
        _ => Vec::new(),
    }
}

fn fields(value: Value) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut parts = items(value).into_iter().filter_map(bytes);
    std::iter::from_fn(|| Some((parts.next()?, parts.next()?))).collect()
}

fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.into_bytes()),
        _ => None,
    }
}

fn text(value: Value) -> Option<String> {
    String::from_utf8(bytes(value)?).ok()
}

fn number(value: Value) -> Option<u64> {
    match value {
        Value::Int(number) => u64::try_from(number).ok(),
        other => text(other)?.parse().ok(),
    }
}

/// The answer of TIME, in milliseconds.
pub(super) fn time_ms(value: Value) -> u64 {
    let mut parts = items(value).into_iter().filter_map(number);
    let (seconds, micros) = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    seconds.saturating_mul(1_000).saturating_add(micros / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn entries_are_read_with_the_time_of_the_server() {
        let entry = Value::Array(vec![bulk("17-2"), Value::Array(vec![bulk("id"), bulk("x"), bulk("n"), bulk("7")])]);
        let streams = Value::Array(vec![Value::Array(vec![bulk("stream"), Value::Array(vec![entry.clone()])])]);
        let as_map = Value::Map(vec![(bulk("stream"), Value::Array(vec![entry]))]);
        let now_ms = time_ms(Value::Array(vec![bulk("3"), bulk("4500")]));
        let entries = read_entries(streams, now_ms);
        assert_eq!(entries.len(), 1);
        assert_eq!(entries, read_entries(as_map, now_ms));
        assert_eq!((entries[0].now_ms, entries[0].added_ms()), (3_004, Some(17)));
        assert_eq!((entries[0].field("id"), entries[0].parse("n")), (Some(&b"x"[..]), Some(7_u32)));
        assert_eq!(entries[0].parse::<u32>("id"), None);
    }

    #[test]
    fn an_error_says_where_and_never_what() {
        let error = serde_json::from_str::<u32>("\n\"s3cret\"").expect_err("a text is no number");
        assert!(error.to_string().contains("s3cret"), "the library quotes");
        assert_eq!(place(&error), "a member is missing or has another form at line 2 column 8");
    }

    #[test]
    fn an_answer_of_an_unexpected_shape_has_no_entries() {
        for answer in [Value::Nil, Value::Int(3), Value::Array(vec![Value::Nil, Value::Okay])] {
            assert!(read_entries(answer.clone(), 1).is_empty());
            assert!(swept_entries(answer).is_empty());
        }
    }
}
