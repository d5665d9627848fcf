//! Foreign text made safe to store and print, and numbers as words. Escaping for HTML is the business of who prints.

use serde_json::Value;

use crate::catalogue::{Kind, SignalSpec};

/// Four decimals: enough for every figure of a diagnosis, few enough to print the same everywhere.
pub(crate) fn round4(value: f64) -> f64 {
    // The sum turns -0.0 into 0.0.
    (value * 10_000.0).round() / 10_000.0 + 0.0
}

/// One decimal, for scores of 0 to 100.
pub(crate) fn round1(value: f64) -> f64 {
    (value * 10.0).round() / 10.0 + 0.0
}

/// Foreign text on one line, without control, bidirectional or invisible characters, and no longer than `bytes_max`; a cut
/// shows as `…`. Whoever prints it still escapes it.
#[must_use]
pub fn clean(text: &str, bytes_max: usize) -> String {
    // Reading a little more than the limit keeps the cost bounded by it and still sees whether anything is cut.
    let mut line = String::with_capacity(text.len().min(bytes_max));
    for c in text.trim_start().chars() {
        if line.len() > bytes_max {
            break;
        }
        if is_invisible(c) {
            continue;
        }
        if c.is_control() || c.is_whitespace() {
            if !line.ends_with(' ') {
                line.push(' ');
            }
        } else {
            line.push(c);
        }
    }
    cut(line.trim(), bytes_max)
}

fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

fn cut(text: &str, bytes_max: usize) -> String {
    const MARK: &str = "…";
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let mut end = bytes_max.saturating_sub(MARK.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{MARK}", text[..end].trim_end())
}

/// A signal's value as a person reads it: `3.1 %`, `2500 ms`, `yes`.
pub(crate) fn value_in_words(spec: &SignalSpec, value: &Value) -> String {
    match value {
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(number) => number.as_f64().map_or_else(|| number.to_string(), |v| number_in_words(spec.kind, v)),
        Value::String(text) => text.clone(),
        Value::Array(items) => items
            .iter()
            .map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned))
            .collect::<Vec<_>>()
            .join(", "),
        Value::Null | Value::Object(_) => "unknown".to_owned(),
    }
}

/// A number with the unit of its kind.
pub(crate) fn number_in_words(kind: Kind, value: f64) -> String {
    match kind {
        Kind::Ratio => format!("{} %", plain(value * 100.0)),
        Kind::Ms => format!("{} ms", plain(value)),
        Kind::Bytes => format!("{} bytes", plain(value)),
        Kind::Days => format!("{} days", plain(value)),
        Kind::Bool | Kind::Int | Kind::Float | Kind::Rank | Kind::Enum | Kind::List => plain(value),
    }
}

/// At most two decimals, none that say nothing; a small number keeps its first digit.
fn plain(value: f64) -> String {
    let decimals = if value != 0.0 && value.abs() < 0.01 { 4 } else { 2 };
    let text = format!("{value:.decimals$}");
    let short = text.trim_end_matches('0').trim_end_matches('.');
    if short == "-0" { "0".to_owned() } else { short.to_owned() }
}

/// How many letters must be added, left out or changed to make one word of the other (Levenshtein).
pub(crate) fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (place, c) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = place + 1;
        for (column, known) in other.iter().enumerate() {
            let changed = diagonal + usize::from(c != *known);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

/// `1 finding`, `2 findings`.
pub(crate) fn count(n: usize, one: &str, many: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {many}") }
}

/// The first names, and how many more there are.
pub(crate) fn list(names: &[&str]) -> String {
    let max = crate::limits::NAMES_LISTED_MAX;
    if names.len() <= max {
        return names.join(", ");
    }
    format!("{} and {} more", names[..max].join(", "), names.len() - max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_loses_controls_and_what_turns_the_reading_direction() {
        assert_eq!(clean("  a\u{202e}b\u{0}c\r\n\td\u{200b}  ", 100), "ab c d");
    }

    #[test]
    fn long_text_is_cut_at_a_character_and_says_so() {
        let cut = clean(&"ä".repeat(100), 20);
        assert_eq!(cut, format!("{}…", "ä".repeat(8)));
        assert!(cut.len() <= 20);
        assert_eq!(clean("exactly ten", 11), "exactly ten");
    }

    #[test]
    fn numbers_carry_their_unit_and_no_idle_decimals() {
        assert_eq!(number_in_words(Kind::Ratio, 0.031), "3.1 %");
        assert_eq!(number_in_words(Kind::Ratio, 0.00005), "0.005 %");
        assert_eq!(number_in_words(Kind::Ms, 2500.0), "2500 ms");
        assert_eq!(number_in_words(Kind::Float, -0.0001), "-0.0001");
        assert_eq!(number_in_words(Kind::Int, 3.0), "3");
    }

    #[test]
    fn words_are_as_far_apart_as_letters_must_change() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("tech.soft_404", "tech.soft_404"), 0);
        assert_eq!(distance("", "abc"), 3);
    }

    #[test]
    fn rounding_knows_no_negative_zero() {
        assert_eq!(round4(-0.000_01).to_string(), "0");
        assert_eq!(round1(69.96), 70.0);
    }
}
