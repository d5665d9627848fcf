//! Rules for a person: all of them, one of them, and what others would have said.

use std::collections::BTreeMap;
use std::fmt::Write;

use hermes_diagnosis::catalogue::{Better, Needs, SignalSpec};
use hermes_diagnosis::{Effort, RuleBook, rules::Rule};
use hermes_dispatcher::retrial::Retried;
use serde::Serialize;

use super::text::{Layout, Paint, count, fit, wrap};

/// Runs that are shown one by one; the figures are of all.
const RUNS_SHOWN: usize = 20;

/// A line for each rule, by category.
#[must_use]
pub fn listing(book: &RuleBook, layout: Layout) -> String {
    let mut out = String::new();
    for category in book.categories() {
        let heading = format!("{} (weight {:.2})", category.name, category.weight);
        let _ = writeln!(out, "{}", layout.paint(Paint::Bold, &heading));
        for rule in book.rules().iter().filter(|rule| rule.category == category.id) {
            let line = format!("  {} {} {}", fit(&rule.id, 10), fit(rule.severity.as_str(), 8), rule.title);
            let _ = writeln!(out, "{}", super::text::cut(&line, layout.width));
        }
    }
    let total = count(book.rules().len(), "rule", "rules");
    let _ = writeln!(out, "{total}, fingerprint {}; `hermes rules show ID` shows one", book.fingerprint());
    out
}

/// One rule with the signals that it reads.
#[must_use]
pub fn one_rule(book: &RuleBook, rule: &Rule, layout: Layout) -> String {
    let mut out = layout.paint(Paint::Bold, &format!("{}  {}", rule.id, rule.title)) + "\n";
    let mut field = |label: &str, text: &str| {
        if !text.is_empty() {
            out.push_str(&wrap(text, &format!("  {}", fit(label, 12)), layout.width));
        }
    };
    field("Severity", &format!("{}, effort {}, {}", rule.severity, effort(rule.effort), rule.category));
    field("When", rule.condition());
    field("Applies if", rule.applies_if().unwrap_or_default());
    field("Reach", rule.reach());
    field("Gate", &rule.gate.map(|gate| format!("caps the score at {gate}")).unwrap_or_default());
    field("Do", &rule.action);
    field("Explains", &rule.explains.join(", "));
    field("Suppresses", &rule.suppresses.join(", "));
    field("Source", &rule.source);
    out.push_str("  Reads\n");
    for id in rule.needs() {
        if let Some(signal) = book.catalogue().signal(id) {
            out.push_str(&wrap(&format!("{}: {}", signal.id, signal.name), "    ", layout.width));
        }
    }
    out
}

/// One signal and the rules that read it.
#[must_use]
pub fn one_signal(book: &RuleBook, signal: &SignalSpec, layout: Layout) -> String {
    let mut out = layout.paint(Paint::Bold, &format!("{}  {}", signal.id, signal.name)) + "\n";
    let mut field = |label: &str, text: &str| {
        if !text.is_empty() {
            out.push_str(&wrap(text, &format!("  {}", fit(label, 12)), layout.width));
        }
    };
    field("From", book.catalogue().owner(&signal.id).map_or("", |owner| &owner.display_name));
    field("Better", better(signal.better));
    let point = |value: Option<f64>| value.map(|value| signal.value_in_words(&value.into()));
    field("Good", &point(signal.good).unwrap_or_default());
    field("Poor", &point(signal.poor).unwrap_or_default());
    let absolute = point(signal.noise_abs).map(|value| format!(" or {value}")).unwrap_or_default();
    field("Noise", &format!("{:.0} %{absolute}", signal.noise() * 100.0));
    field("Needs", needs(signal.needs));
    field("Values", &signal.values.join(", "));
    field("Source", signal.source.as_deref().unwrap_or_default());
    let readers = book.rules().iter().filter(|rule| rule.needs().contains(&signal.id));
    let readers: Vec<&str> = readers.map(|rule| rule.id.as_str()).collect();
    field("Read by", &readers.join(", "));
    out
}

const fn effort(effort: Effort) -> &'static str {
    match effort {
        Effort::S => "small",
        Effort::M => "medium",
        Effort::L => "large",
        Effort::Xl => "very large",
    }
}

const fn better(better: Better) -> &'static str {
    match better {
        Better::Lower => "less",
        Better::Higher => "more",
        Better::True => "yes",
        Better::False => "no",
        Better::None => "neither: context",
    }
}

const fn needs(needs: Needs) -> &'static str {
    match needs {
        Needs::None => "a site that can be reached",
        Needs::Net => "public data on the net",
        Needs::Key => "an account or a provider",
        Needs::Chrome => "a local Chromium",
    }
}

/// What other rules would have said about past runs.
#[derive(Debug, Serialize)]
pub struct Trial {
    /// Where the runs were read.
    pub database: String,
    /// Runs that were diagnosed again.
    pub runs: usize,
    /// Of these, how many would have been told something else.
    pub different: usize,
    /// Runs that could not be compared.
    pub skipped: usize,
    /// Whether all runs that were asked for were looked at.
    pub complete: bool,
    /// By rule: runs in which it would find a fault and did not, and the other way.
    pub rules: BTreeMap<String, Turned>,
    /// The runs that differ or could not be compared.
    pub details: Vec<Retried>,
}

/// In how many runs a rule would turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Turned {
    /// It would find a fault.
    pub would_find: usize,
    /// It would not any more.
    pub would_not_find: usize,
}

impl Trial {
    /// Of the runs of a database.
    #[must_use]
    pub fn new(database: String) -> Self {
        let (rules, details) = (BTreeMap::new(), Vec::new());
        Self { database, runs: 0, different: 0, skipped: 0, complete: false, rules, details }
    }

    /// Whether `limit` runs were looked at.
    #[must_use]
    pub const fn is_full(&self, limit: Option<usize>) -> bool {
        match limit {
            Some(limit) => self.runs + self.skipped >= limit,
            None => false,
        }
    }

    /// How many runs the next page may have.
    #[must_use]
    pub fn room(&self, limit: Option<usize>, page_max: usize) -> usize {
        limit.map_or(page_max, |limit| limit.saturating_sub(self.runs + self.skipped).clamp(1, page_max))
    }

    /// Takes a page over.
    pub fn add(&mut self, page: Vec<Retried>) {
        for retried in page {
            if retried.skipped.is_some() {
                self.skipped += 1;
            } else {
                self.runs += 1;
                self.different += usize::from(retried.differs());
                for id in &retried.would_find {
                    self.rules.entry(id.clone()).or_default().would_find += 1;
                }
                for id in &retried.would_not_find {
                    self.rules.entry(id.clone()).or_default().would_not_find += 1;
                }
            }
            if retried.skipped.is_some() || retried.differs() {
                self.details.push(retried);
            }
        }
    }

    /// For a person.
    #[must_use]
    pub fn render(&self, book: &RuleBook, layout: Layout) -> String {
        let mut out = String::new();
        for retried in self.details.iter().take(RUNS_SHOWN) {
            let head = format!("run {}  {}  {}", retried.run_id, retried.domain, retried.created_at);
            out.push_str(&wrap(&head, "", layout.width));
            for line in lines(retried) {
                out.push_str(&wrap(&line, "    ", layout.width));
            }
        }
        if self.details.len() > RUNS_SHOWN {
            let _ = writeln!(out, "and {} more; --json has all", self.details.len() - RUNS_SHOWN);
        }
        if !self.rules.is_empty() {
            let _ = writeln!(out, "{}", layout.paint(Paint::Bold, "By rule"));
        }
        for (id, turned) in &self.rules {
            let title = book.rules().iter().find(|rule| rule.id == *id).map_or("", |rule| rule.title.as_str());
            let Turned { would_find, would_not_find } = turned;
            let text = format!("found in {would_find} more, in {would_not_find} fewer  {title}");
            out.push_str(&wrap(&text, &format!("  {} ", fit(id, 10)), layout.width));
        }
        let (runs, skipped) = (count(self.runs, "run", "runs"), self.skipped);
        let _ = writeln!(
            out,
            "{runs} of {} diagnosed again, {} would have been told something else, {skipped} could not be compared",
            self.database, self.different
        );
        out
    }
}

fn lines(retried: &Retried) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(why) = &retried.skipped {
        lines.push(format!("not compared: {why}"));
    }
    if retried.score_before != retried.score_now {
        let shown = |score: Option<f64>| score.map_or_else(|| "none".to_owned(), |score| format!("{score:.1}"));
        lines.push(format!("score {} instead of {}", shown(retried.score_now), shown(retried.score_before)));
    }
    if let (Some(before), Some(now)) = (retried.confidence_before, retried.confidence_now)
        && before != now
    {
        lines.push(format!("confidence {now:.2} instead of {before:.2}"));
    }
    if !retried.would_find.is_empty() {
        lines.push(format!("would find {}", retried.would_find.join(", ")));
    }
    if !retried.would_not_find.is_empty() {
        lines.push(format!("would not find {}", retried.would_not_find.join(", ")));
    }
    if let Some(first) = &retried.first_cause {
        let shown = |id: &Option<String>| id.clone().unwrap_or_else(|| "nothing".to_owned());
        lines.push(format!("would look first at {} instead of {}", shown(&first.now), shown(&first.before)));
    }
    lines
}
