//! Defaults, then a file, then the environment, laid over each other key by key. The type of a default is the type of
//! its key.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};

use super::error::{SettingsError, SettingsProblem, Source};

/// What the names of all variables begin with.
const PREFIX: &str = "HERMES_";
/// Variables with the prefix that are no settings.
const OTHER_VARIABLES: [&str; 2] = ["HERMES_CONFIG", "HERMES_SERVER"];
/// Letters that may be wrong in a key that a suggestion is made for.
const TYPOS_MAX: usize = 3;

/// A value of one of the few types that settings have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Raw {
    Text(String),
    Integer(i64),
    Boolean(bool),
    List(Vec<String>),
}

/// A value and where it came from.
#[derive(Clone, Debug)]
pub(super) struct Layered {
    pub(super) raw: Raw,
    pub(super) source: Source,
    pub(super) default: Raw,
}

/// All keys with their values, by `section.key`.
pub(super) struct Layers {
    pub(super) values: BTreeMap<String, Layered>,
    /// What is odd, but may be meant for another program.
    pub(super) warnings: Vec<String>,
}

impl Layers {
    /// Lays file and environment over the defaults.
    pub(super) fn new(
        defaults: &str,
        file: Option<(&str, &str)>,
        environment: &[(String, String)],
    ) -> Result<Self, SettingsError> {
        let values = entries("the defaults", defaults)?
            .into_iter()
            .map(|entry| (entry.key, Layered { default: entry.raw.clone(), raw: entry.raw, source: Source::Default }))
            .collect();
        let mut layers = Self { values, warnings: Vec::new() };
        let mut problems = Vec::new();
        if let Some((path, text)) = file {
            for entry in entries(path, text)? {
                let source = Source::File { path: path.to_owned(), line: Some(entry.line) };
                if let Err(message) = layers.put_typed(&entry.key, entry.raw, &source) {
                    problems.push(SettingsProblem { key: entry.key, source, message });
                }
            }
        }
        for (name, text) in environment {
            layers.put_variable(name, text, &mut problems);
        }
        if problems.is_empty() { Ok(layers) } else { Err(SettingsError { problems }) }
    }

    fn put_typed(&mut self, key: &str, raw: Raw, source: &Source) -> Result<(), String> {
        let Some(present) = self.values.get_mut(key) else {
            return Err(unknown(key, self.values.keys().map(String::as_str)));
        };
        if std::mem::discriminant(&present.raw) != std::mem::discriminant(&raw) {
            return Err(format!("is {}; {} is needed", raw.type_name(), present.raw.type_name()));
        }
        (present.raw, present.source) = (raw, source.clone());
        Ok(())
    }

    fn put_variable(&mut self, name: &str, text: &str, problems: &mut Vec<SettingsProblem>) {
        let Some(rest) = name.strip_prefix(PREFIX) else { return };
        if text.is_empty() || OTHER_VARIABLES.contains(&name) {
            return;
        }
        let source = Source::Environment { name: name.to_owned() };
        let found = self.values.iter_mut().find(|(key, _)| variable(key) == name);
        let Some((key, present)) = found else {
            // No error: orchestrators put variables such as HERMES_PORT into every container beside a service of
            // that name.
            let variables: Vec<String> = self.values.keys().map(|key| variable(key)).collect();
            if let Some(near) = nearest(rest, variables.iter().map(|variable| &variable[PREFIX.len()..])) {
                self.warnings.push(format!("{name} is no setting and is ignored; did you mean {PREFIX}{near}?"));
            }
            return;
        };
        match present.raw.of_same_type(text) {
            Ok(raw) => (present.raw, present.source) = (raw, source),
            Err(message) => problems.push(SettingsProblem { key: key.clone(), source, message }),
        }
    }
}

impl Raw {
    const fn type_name(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text in quotes",
            Self::Integer(_) => "a whole number",
            Self::Boolean(_) => "true or false, without quotes",
            Self::List(_) => "a list of texts such as [\"a\", \"b\"]",
        }
    }

    /// Reads the text of a variable. A failure does not quote it.
    fn of_same_type(&self, text: &str) -> Result<Self, String> {
        match self {
            Self::Text(_) => Ok(Self::Text(text.to_owned())),
            Self::Integer(_) => text.parse().map(Self::Integer).map_err(|_| "must be a whole number".to_owned()),
            Self::Boolean(_) => text.parse().map(Self::Boolean).map_err(|_| "must be true or false".to_owned()),
            Self::List(_) => Ok(Self::List(
                text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect(),
            )),
        }
    }

    fn of_toml(value: &DeValue<'_>) -> Result<Self, String> {
        let kind = value.type_str();
        let wrong = || format!("is of type {kind}; settings are texts, whole numbers, true or false, lists of texts");
        match value {
            DeValue::String(text) => Ok(Self::Text(text.to_string())),
            DeValue::Boolean(flag) => Ok(Self::Boolean(*flag)),
            DeValue::Integer(number) => i64::from_str_radix(&number.as_str().replace('_', ""), number.radix())
                .map(Self::Integer)
                .map_err(|_| "is too large".to_owned()),
            DeValue::Array(items) => items
                .iter()
                .map(|item| item.get_ref().as_str().map(str::to_owned).ok_or_else(wrong))
                .collect::<Result<_, _>>()
                .map(Self::List),
            DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Table(_) => Err(wrong()),
        }
    }
}

/// The variable that sets `section.key`.
pub(super) fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "_").to_uppercase())
}

struct Entry {
    key: String,
    raw: Raw,
    line: usize,
}

/// The keys of a TOML text that has sections and nothing deeper.
fn entries(path: &str, text: &str) -> Result<Vec<Entry>, SettingsError> {
    let line = |offset: usize| text[..offset.min(text.len())].matches('\n').count() + 1;
    let at = |offset: usize| Source::File { path: path.to_owned(), line: Some(line(offset)) };
    // The library's own rendering quotes the line, which may hold a password.
    let table = DeTable::parse(text).map_err(|error| {
        SettingsError::one("", at(error.span().map_or(0, |span| span.start)), format!("no TOML: {}", error.message()))
    })?;
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    for (section, keys) in table.get_ref() {
        let Some(keys) = keys.get_ref().as_table() else {
            let message = "stands outside of a section; sections are written [api]";
            let (key, source) = (section.get_ref().to_string(), at(section.span().start));
            problems.push(SettingsProblem { key, source, message: message.to_owned() });
            continue;
        };
        for (name, value) in keys {
            let key = format!("{}.{}", section.get_ref(), name.get_ref());
            match Raw::of_toml(value.get_ref()) {
                Ok(raw) => found.push(Entry { key, raw, line: line(name.span().start) }),
                Err(message) => problems.push(SettingsProblem { key, source: at(name.span().start), message }),
            }
        }
    }
    if problems.is_empty() { Ok(found) } else { Err(SettingsError { problems }) }
}

fn unknown<'a>(key: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    // The right name in the wrong section is as common as a slip of the finger.
    let name = key.rsplit('.').next();
    let elsewhere = || known.clone().find(|candidate| candidate.rsplit('.').next() == name);
    match nearest(key, known.clone()).or_else(elsewhere) {
        Some(near) => format!("is no setting; did you mean {near}?"),
        None => "is no setting; hermes.default.toml lists all of them".to_owned(),
    }
}

fn nearest<'a>(text: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|candidate| (distance(text, candidate), candidate))
        .filter(|(distance, _)| *distance <= TYPOS_MAX)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance: single letters to insert, remove or replace.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(left != *right);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
