//! JSON-LD blocks: whether they can be read and say what they are about.

use html5ever::local_name;
use serde_json::Value;

use super::tree::{Element, Id};
use super::walk::Walk;

pub(super) fn script(walk: &mut Walk<'_>, element: &Element, id: Id) {
    let kind = element.attr(&local_name!("type")).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/ld+json") {
        return;
    }
    let text = walk.texts_in(id).collect::<String>();
    let found = &mut walk.facts.structured;
    found.present = true;
    found.json_ld += 1;
    if let Some(problem) = problem(&text) {
        found.errors.add(|| problem);
    }
}

fn problem(text: &str) -> Option<String> {
    let value: Value = match serde_json::from_str(text.trim()) {
        Ok(value) => value,
        Err(error) => return Some(format!("no JSON: {error}")),
    };
    let items = match &value {
        Value::Array(items) => items.as_slice(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            std::slice::from_ref(&value)
        }
    };
    items.iter().find_map(|item| {
        let Some(object) = item.as_object() else { return Some("an item is no object".to_owned()) };
        if !object.contains_key("@context") {
            return Some("@context is missing".to_owned());
        }
        (!object.contains_key("@type") && !object.contains_key("@graph")).then(|| "@type is missing".to_owned())
    })
}
