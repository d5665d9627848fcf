//! The schema of results that the repository publishes: the built-in services keep it, and it says the same as the code
//! that reads results. It is applied by a validator that nobody here wrote.
//!
//! Needs the Debian package `python3-jsonschema`.

use std::io::Write as _;
use std::process::{Command, Stdio};

use hermes_core::ports::http::Reach;
use hermes_diagnosis::conforms::schema_problem;
use hermes_worker_runner::ServiceOutcome;
use serde_json::{Value, json};

use crate::guard::{World, diagnose};

const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/diagnosis/schema/signals-1.schema.json");
const JUDGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/independent_parse/schema.py");

/// What is wrong with each of the documents, by the schema.
fn judged(documents: &[Value]) -> Vec<Vec<String>> {
    let has_it = |python: &&&str| {
        Command::new(python).args(["-c", "import jsonschema"]).output().is_ok_and(|output| output.status.success())
    };
    let python = ["python3", "/usr/bin/python3"];
    let python = python.iter().find(has_it).expect("install python3-jsonschema");
    let mut judge = Command::new(python);
    judge.args([JUDGE, SCHEMA]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut judge = judge.spawn().expect("Python was started before");
    let mut input = judge.stdin.take().expect("piped");
    input.write_all(Value::from(documents).to_string().as_bytes()).expect("it reads");
    drop(input);
    let output = judge.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("it prints JSON")
}

#[tokio::test]
async fn the_results_of_the_built_in_services_are_of_the_schema() {
    let page = "<!doctype html><html lang=en><title>Example</title><meta name=description content=d><h1>Example</h1><a href=/gone>gone</a>";
    let html = ("content-type", "text/html; charset=utf-8");
    for worker_key in ["crawl_render", "core_web_vitals"] {
        let http = World::new().with("/", 200, html, page);
        let outcome = diagnose(worker_key, &http, Reach::Public).await;
        let ServiceOutcome::Completed(result) = outcome else { panic!("{worker_key}: {outcome:?}") };
        let result: Value = result.read().expect("JSON");
        assert_eq!(judged(std::slice::from_ref(&result)), [Vec::<String>::new()], "{worker_key}");
        assert!(result["signals"].as_array().is_some_and(|signals| signals.len() > 5), "{worker_key}: {result}");
    }
}

/// A result with everything in it.
fn whole() -> Value {
    json!({
        "schema": "signals/1", "status": "partial", "provider": {"name": "worker", "version": "1", "more": true},
        "coverage": {"pages_crawled": 10, "pages_known": 20}, "warnings": [{"code": "crawl_truncated", "detail": "time"}],
        "signals": [
            {"id": "tech.https", "value": true, "method": "crawl", "quality": 1, "n": 0,
             "evidence": {"total": 30, "items": [{"url": "https://a.test/", "detail": "here"}]}},
            {"id": "serp.top10_ratio", "value": null, "reason": "no provider", "method": "api", "quality": 0.0},
        ],
    })
}

#[test]
fn the_schema_and_the_reader_of_results_agree() {
    let mut cases = vec![("the whole".to_owned(), whole(), true)];
    for (pointer, member) in [
        ("", "schema"),
        ("", "status"),
        ("", "provider"),
        ("", "signals"),
        ("/provider", "name"),
        ("/provider", "version"),
        ("/coverage", "pages_known"),
        ("/signals/0", "id"),
        ("/signals/0", "method"),
        ("/signals/0", "quality"),
        ("/signals/0/evidence", "total"),
        ("/signals/0/evidence", "items"),
        ("/signals/0/evidence/items/0", "url"),
        ("/warnings/0", "code"),
        ("/warnings/0", "detail"),
    ] {
        let mut result = whole();
        let object = result.pointer_mut(pointer).and_then(Value::as_object_mut).expect("it is there");
        object.remove(member).expect("it is there");
        cases.push((format!("{pointer} without {member}"), result, false));
    }
    for (pointer, value, is_valid) in [
        ("/schema", json!("signals/2"), false),
        ("/status", json!("good"), false),
        ("/status", json!("ok"), true),
        ("/provider/name", json!(""), false),
        ("/coverage", json!(null), true),
        ("/coverage/pages_known", json!(-1), false),
        ("/coverage/pages_known", json!(1.5), false),
        ("/signals", json!([]), true),
        ("/signals", json!({}), false),
        ("/signals/0/id", json!(""), false),
        ("/signals/0/id", json!(7), false),
        ("/signals/0/value", json!([1, "a"]), true),
        ("/signals/0/n", json!(null), true),
        ("/signals/0/n", json!("3"), false),
        ("/signals/0/method", json!("guess"), false),
        ("/signals/0/quality", json!(1.01), false),
        ("/signals/0/quality", json!(-0.5), false),
        ("/signals/0/quality", json!("high"), false),
        ("/signals/0/evidence", json!(null), true),
        ("/signals/0/evidence/items", json!([]), true),
        ("/signals/0/evidence/items/0/url", json!(null), false),
        ("/warnings", json!([]), true),
        ("/warnings", json!(["text"]), false),
    ] {
        let mut result = whole();
        *result.pointer_mut(pointer).expect("it is there") = value.clone();
        cases.push((format!("{pointer} = {value}"), result, is_valid));
    }
    let results: Vec<Value> = cases.iter().map(|(_, result, _)| result.clone()).collect();
    for ((what, result, is_valid), problems) in cases.iter().zip(judged(&results)) {
        assert_eq!(problems.is_empty(), *is_valid, "the schema on {what}: {problems:?}");
        let problem = schema_problem(result.as_object().expect("an object"));
        assert_eq!(problem.is_none(), *is_valid, "the reader on {what}: {problem:?}");
    }
}
