//! What was measured, as a table for people and as one line of JSON for programs.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// Figures in the order in which they were taken.
#[derive(Default)]
pub(super) struct Figures {
    figures: Vec<(String, f64, String)>,
    about: Vec<(String, Value)>,
}

impl Figures {
    /// Adds a figure; `meaning` says what it counts and in which unit.
    pub(super) fn add(&mut self, name: &str, value: f64, meaning: &str) {
        self.figures.push((name.to_owned(), value, meaning.to_owned()));
    }

    /// A figure that was added.
    pub(super) fn value(&self, name: &str) -> Option<f64> {
        self.figures.iter().find(|(known, ..)| known == name).map(|(_, value, _)| *value)
    }

    /// Adds what the figures are true for.
    pub(super) fn about(&mut self, name: &str, value: impl Into<Value>) {
        self.about.push((name.to_owned(), value.into()));
    }

    /// The table.
    pub(super) fn table(&self) -> String {
        let width = self.figures.iter().map(|(name, ..)| name.len()).max().unwrap_or(0);
        let mut text = String::new();
        for (name, value, meaning) in &self.figures {
            let _ = writeln!(text, "{name:width$}  {:>12}  {meaning}", shown(*value));
        }
        text.push('\n');
        for (name, value) in &self.about {
            let _ = match value.as_str() {
                Some(value) => writeln!(text, "{name}: {value}"),
                None => writeln!(text, "{name}: {value}"),
            };
        }
        text
    }

    /// The line.
    pub(super) fn json(&self) -> String {
        let mut members = Map::new();
        for (name, value, _) in &self.figures {
            members.insert(name.clone(), Value::from((value * 1e3).round() / 1e3));
        }
        for (name, value) in &self.about {
            members.insert(name.clone(), value.clone());
        }
        Value::Object(members).to_string() + "\n"
    }
}

fn shown(value: f64) -> String {
    if value.abs() >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_shown_with_their_meaning_and_written_as_one_line() {
        let mut figures = Figures::default();
        figures.add("T_runs_per_s", 1_234.567_89, "settled runs per second");
        figures.add("L_p50_ms", 2.345_67, "median");
        figures.about("commit", "abc");
        assert_eq!(figures.json(), "{\"L_p50_ms\":2.346,\"T_runs_per_s\":1234.568,\"commit\":\"abc\"}\n");
        assert!(figures.table().contains("T_runs_per_s          1235  settled runs per second"), "{}", figures.table());
    }
}
