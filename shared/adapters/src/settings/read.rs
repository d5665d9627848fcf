//! Typed values out of the layers. Problems are collected, so that all are told at once.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use super::error::{SettingsError, SettingsProblem, Source};
use super::layers::{Layered, Layers, Raw};

/// Reads keys. A key that is missing in the defaults is a defect of ours, which a test finds.
pub(super) struct Reader {
    layers: Layers,
    problems: Vec<SettingsProblem>,
    read: BTreeSet<&'static str>,
}

impl Reader {
    pub(super) const fn new(layers: Layers) -> Self {
        Self { layers, problems: Vec::new(), read: BTreeSet::new() }
    }

    fn value(&mut self, key: &'static str) -> Layered {
        self.read.insert(key);
        self.layers.values.get(key).cloned().unwrap_or_else(|| panic!("hermes.default.toml has the key {key}"))
    }

    fn problem(&mut self, key: &'static str, source: Source, message: String) {
        self.problems.push(SettingsProblem { key: key.to_owned(), source, message });
    }

    /// A value of the right kind that is wrong all the same.
    pub(super) fn refuse(&mut self, key: &'static str, message: String) {
        let source = self.value(key).source;
        self.problem(key, source, message);
    }

    /// Two values, each right, do not go together.
    pub(super) fn refuse_together(&mut self, key: &'static str, with: &'static str, message: String) {
        self.problem(key, Source::Together { with: with.to_owned() }, message);
    }

    /// A text that `parse` understands; `fallback` stands in for one that it does not.
    pub(super) fn text<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
        fallback: impl FnOnce() -> T,
    ) -> T {
        let Layered { raw, source, .. } = self.value(key);
        let Raw::Text(text) = raw else { unreachable!("the type of {key} is that of its default") };
        parse(&text).unwrap_or_else(|message| {
            self.problem(key, source, message);
            fallback()
        })
    }

    pub(super) fn number<T: TryFrom<i64> + Default + PartialOrd + Display>(
        &mut self,
        key: &'static str,
        range: RangeInclusive<T>,
    ) -> T {
        let Layered { raw, source, .. } = self.value(key);
        let Raw::Integer(number) = raw else { unreachable!("the type of {key} is that of its default") };
        match T::try_from(number) {
            Ok(value) if range.contains(&value) => value,
            Ok(_) | Err(_) => {
                self.problem(key, source, format!("is {number}; allowed are {} to {}", range.start(), range.end()));
                T::default()
            }
        }
    }

    pub(super) fn flag(&mut self, key: &'static str) -> bool {
        match self.value(key).raw {
            Raw::Boolean(flag) => flag,
            Raw::Text(_) | Raw::Integer(_) | Raw::List(_) => unreachable!("the type of {key} is that of its default"),
        }
    }

    pub(super) fn list<T>(&mut self, key: &'static str) -> Vec<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        let Layered { raw, source, .. } = self.value(key);
        let Raw::List(texts) = raw else { unreachable!("the type of {key} is that of its default") };
        let mut values = Vec::with_capacity(texts.len());
        for text in texts {
            match text.parse::<T>() {
                Ok(value) => values.push(value),
                Err(error) => self.problem(key, source.clone(), error.to_string()),
            }
        }
        values
    }

    /// Whether the key has another value than its default.
    pub(super) fn differs(&mut self, key: &'static str) -> bool {
        let value = self.value(key);
        value.raw != value.default
    }

    /// The warnings, if there was no problem.
    pub(super) fn finish(self) -> Result<Vec<String>, SettingsError> {
        // Both directions: a key of the file that nobody reads would be a setting without effect.
        let unread = self.layers.values.keys().find(|key| !self.read.contains(key.as_str()));
        assert!(unread.is_none(), "hermes.default.toml has a key that nothing reads: {unread:?}");
        if self.problems.is_empty() { Ok(self.layers.warnings) } else { Err(SettingsError { problems: self.problems }) }
    }
}
