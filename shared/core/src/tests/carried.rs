//! JSON that is carried as it was written, compared with a reader that builds the values.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::json::{JSON_DEPTH_MAX, JSON_DEPTH_READABLE};
use crate::{InvalidJson, Json};

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[\\PC\\[\\]{}\"\\\\]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 40, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("[a-z\\[{\"\\\\]{0,4}", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Nesting of arrays and objects, by walking the value.
fn nesting(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(nesting).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(nesting).max().unwrap_or(0),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

/// The text of `value` inside `levels` arrays.
fn wrapped(value: &Value, levels: usize) -> String {
    format!("{}{value}{}", "[".repeat(levels), "]".repeat(levels))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_value_is_accepted_up_to_the_limit_of_nesting_and_not_beyond(value in values()) {
        let room = JSON_DEPTH_MAX - nesting(&value);
        prop_assert!(Json::parse(&wrapped(&value, room)).is_ok());
        prop_assert_eq!(Json::parse(&wrapped(&value, room + 1)), Err(InvalidJson::TooDeep));
    }

    #[test]
    fn a_value_is_carried_letter_by_letter_and_reads_as_what_it_is(value in values()) {
        let pretty = serde_json::to_string_pretty(&value).expect("writes");
        let json = Json::parse(&pretty).expect("valid");
        prop_assert_eq!(json.get(), &pretty);
        prop_assert_eq!(json.raw().get(), &pretty);
        prop_assert_eq!(json.to_string(), pretty.clone());
        prop_assert_eq!(serde_json::to_string(&json).expect("writes"), pretty);
        prop_assert_eq!(json.read::<Value>().expect("reads"), value);
    }

    #[test]
    fn what_is_written_from_a_value_is_what_is_parsed_from_its_text(value in values()) {
        let json = Json::of(&value);
        prop_assert_eq!(Json::parse(&value.to_string()), Ok(json.clone()));
        let carried: Json = serde_json::from_str(json.get()).expect("reads");
        prop_assert_eq!(carried, json);
    }

    #[test]
    fn a_text_is_json_here_exactly_if_it_is_json_to_everyone(text in "[\\[\\]{}:,\"a1 ]{0,12}") {
        prop_assert_eq!(Json::parse(&text).is_ok(), serde_json::from_str::<Value>(&text).is_ok());
    }
}

#[test]
fn texts_are_compared_and_not_values() {
    assert_ne!(Json::parse(r#"{"a":1}"#), Json::parse(r#"{ "a":1}"#));
    assert_eq!(Json::parse(" 1 "), Json::parse("1"), "blanks around the text do not belong to it");
}

#[test]
fn a_member_that_is_nested_too_deeply_is_refused_where_it_is_read() {
    #[derive(Debug, serde::Deserialize)]
    struct Envelope {
        data: Json,
    }
    let envelope = |levels: usize| format!(r#"{{"data":{}}}"#, wrapped(&json!(1), levels));
    let read = |levels: usize| serde_json::from_str::<Envelope>(&envelope(levels));
    assert_eq!(read(JSON_DEPTH_READABLE).expect("deep enough").data.get().len(), JSON_DEPTH_READABLE * 2 + 1);
    assert!(read(JSON_DEPTH_READABLE + 1).expect_err("too deep").to_string().contains("nested more than"));
}

#[test]
fn two_texts_in_one_are_no_json() {
    for text in ["1 2", "{}{}", "null,", "", " ", "\u{feff}{}", "{\"a\":1,}", "'a'", "NaN", "01"] {
        assert!(matches!(Json::parse(text), Err(InvalidJson::Syntax(_))), "{text:?}");
    }
}
