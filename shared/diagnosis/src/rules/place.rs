//! Where a problem stands: the line of a YAML file, found by the name of the rule and of its field.
//!
//! The reader of YAML keeps no positions of the values that it gives; entries are found in the text as people find them.

use super::Problem;

/// Fields of a rule that messages begin with.
const FIELDS: [&str; 11] = [
    "title",
    "category",
    "severity",
    "effort",
    "gate",
    "applies_if",
    "when",
    "reach",
    "evidence",
    "explains",
    "suppresses",
];

/// Sets the line of a problem, if its place is an entry of this file.
pub(super) fn locate(problem: &mut Problem, yaml: &str) {
    if problem.line.is_some() {
        return;
    }
    let is_doubled = problem.message.contains("twice");
    let entries: Vec<(usize, &str)> =
        yaml.lines().enumerate().filter(|(_, line)| names(line, &problem.place)).collect();
    let entry = if is_doubled { entries.last() } else { entries.first() };
    let Some(&(first, opening)) = entry else { return };
    let indent = opening.len() - opening.trim_start().len();
    let inside = |line: &&str| {
        let own = line.len() - line.trim_start().len();
        line.trim().is_empty() || own > indent
    };
    let field = field_of(&problem.message);
    let length = 1 + yaml.lines().skip(first + 1).take_while(inside).count();
    let of_field = yaml.lines().skip(first).take(length).position(|line| {
        field.is_some_and(|field| line.trim_start().trim_start_matches("- ").starts_with(&format!("{field}:")))
    });
    problem.line = Some(first + of_field.unwrap_or(0) + 1);
}

/// The field that a message is about, by its first words.
fn field_of(message: &str) -> Option<&'static str> {
    let first = message.split([' ', ':']).next()?;
    let known = FIELDS.iter().find(|field| **field == first).copied();
    known.or_else(|| message.starts_with("a gate").then_some("gate")).or_else(|| {
        let of_condition = message.starts_with("fires although");
        of_condition.then_some("when")
    })
}

/// Whether a line opens the entry of this id: `- id: IDX-001`, `- {id: crawl, …`.
fn names(line: &str, id: &str) -> bool {
    let Some(entry) = line.trim_start().strip_prefix("- ") else { return false };
    let entry = entry.trim_start().trim_start_matches('{').trim_start();
    let Some(value) = entry.strip_prefix("id:").or_else(|| entry.strip_prefix("service:")) else { return false };
    let value = value.trim_start();
    let value = value.trim_start_matches(['"', '\'']);
    value.strip_prefix(id).is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || "-_.".contains(c)))
}
