//! The catalogue of signals, as data: what each signal is, which way is good, its control points, and which service a
//! prefix belongs to. Nothing here knows a rule.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::rules::Problem;

/// Name and version of the catalogue's schema.
pub(crate) const SCHEMA: &str = "catalogue/1";

/// Relative change of a time that means nothing, where the catalogue does not say.
const MS_NOISE: f64 = 0.2;

/// All signals that rules may use, and the services that they come from.
#[derive(Debug)]
pub struct Catalogue {
    services: Vec<CatalogueService>,
    signals: BTreeMap<String, SignalSpec>,
}

/// A service whose signals the catalogue knows.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogueService {
    /// What its signals' ids begin with, before the dot.
    pub prefix: String,
    /// Its name in plans.
    pub service: String,
    /// Its name for people.
    pub display_name: String,
    /// What to configure where it is missing.
    #[serde(default)]
    pub how_to_enable: Option<String>,
}

/// What a signal is.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignalSpec {
    /// `tech.title_missing_ratio`.
    pub id: String,
    /// In words, for sentences.
    pub name: String,
    /// Type and unit of its value.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Which way is good.
    pub better: Better,
    /// Control point: scores 0.9 on the log-normal curve, 1.0 on the others.
    #[serde(default)]
    pub good: Option<f64>,
    /// Control point: scores 0.5.
    #[serde(default)]
    pub poor: Option<f64>,
    /// The values of an [`Kind::Enum`].
    #[serde(default)]
    pub values: Vec<String>,
    /// What it takes to measure it.
    pub needs: Needs,
    /// Relative change between two runs that means nothing; a fifth for milliseconds where absent, else none. For an
    /// enum or a truth, 1 says that it may come out the other way by chance.
    #[serde(default)]
    pub noise: Option<f64>,
    /// Absolute change that means nothing, in the signal's unit; none where absent.
    #[serde(default)]
    pub noise_abs: Option<f64>,
    /// Who defines it.
    #[serde(default)]
    pub source: Option<String>,
}

/// Type and unit of a signal's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Yes or no.
    Bool,
    /// A count or a code.
    Int,
    /// A number without a unit.
    Float,
    /// A share, 0 to 1.
    Ratio,
    /// Milliseconds.
    Ms,
    /// Bytes.
    Bytes,
    /// Days.
    Days,
    /// A place in a list; 1 is the best.
    Rank,
    /// One of the values that the catalogue names.
    Enum,
    /// A list of texts.
    List,
}

/// Which way is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// Less is better.
    Lower,
    /// More is better.
    Higher,
    /// Yes is better.
    True,
    /// No is better.
    False,
    /// No way is better: the signal is context.
    None,
}

/// What it takes to measure a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Needs {
    /// A site that can be reached.
    None,
    /// Public data on the net, without a key.
    Net,
    /// An account, or a provider of one's own.
    Key,
    /// A local Chromium.
    Chrome,
}

/// The file as it stands; signals are read one by one, so that every problem is told.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CatalogueFile {
    schema: String,
    services: Vec<CatalogueService>,
    signals: Vec<Value>,
}

impl Catalogue {
    /// Reads a catalogue; what is wrong goes to `problems`, and what is right is kept, so that rules can still be
    /// checked against it.
    pub(crate) fn parse(yaml: &str, problems: &mut Vec<Problem>) -> Self {
        let file = match serde_saphyr::from_str::<CatalogueFile>(yaml) {
            Ok(file) => file,
            Err(error) => {
                problems.push(Problem::new("signals", format!("not readable: {error}")));
                return Self { services: Vec::new(), signals: BTreeMap::new() };
            }
        };
        if file.schema != SCHEMA {
            problems.push(Problem::new("signals", format!("schema is '{}', expected '{SCHEMA}'", file.schema)));
        }
        let mut catalogue = Self { services: Vec::new(), signals: BTreeMap::new() };
        for service in file.services {
            catalogue.add_service(service, problems);
        }
        for (index, value) in file.signals.into_iter().enumerate() {
            let id =
                value.get("id").and_then(Value::as_str).map_or_else(|| format!("signal {}", index + 1), str::to_owned);
            match serde_json::from_value::<SignalSpec>(value) {
                Ok(spec) => catalogue.add_signal(spec, problems),
                Err(error) => problems.push(Problem::new(&id, error.to_string())),
            }
        }
        catalogue
    }

    fn add_service(&mut self, service: CatalogueService, problems: &mut Vec<Problem>) {
        if self.services.iter().any(|known| known.prefix == service.prefix || known.service == service.service) {
            problems.push(Problem::new(&service.service, "this prefix or service stands in the catalogue twice"));
        } else if !is_name(&service.prefix) {
            problems.push(Problem::new(&service.service, "a prefix is lower-case letters, digits and '_'"));
        } else {
            self.services.push(service);
        }
    }

    fn add_signal(&mut self, spec: SignalSpec, problems: &mut Vec<Problem>) {
        let before = problems.len();
        match spec.id.split_once('.') {
            Some((prefix, name)) if is_name(name) => {
                if self.service_of_prefix(prefix).is_none() {
                    problems.push(Problem::new(&spec.id, format!("no service has the prefix '{prefix}'")));
                }
            }
            Some(_) | None => problems.push(Problem::new(&spec.id, "an id is a prefix, a dot and a name")),
        }
        if self.signals.contains_key(&spec.id) {
            problems.push(Problem::new(&spec.id, "stands in the catalogue twice"));
        }
        problems.extend(spec.problems().into_iter().map(|message| Problem::new(&spec.id, message)));
        if problems.len() == before {
            self.signals.insert(spec.id.clone(), spec);
        }
    }

    /// The signal of this id.
    #[must_use]
    pub fn signal(&self, id: &str) -> Option<&SignalSpec> {
        self.signals.get(id)
    }

    /// The signal whose id is most like this one, if one is like it at all.
    pub(crate) fn nearest(&self, id: &str) -> Option<&str> {
        /// Letters that may be wrong.
        const TYPOS_MAX: usize = 3;
        let distances = self.signals.keys().map(|known| (crate::text::distance(known, id), known.as_str()));
        distances.min().filter(|(distance, _)| *distance <= TYPOS_MAX).map(|(_, known)| known)
    }

    /// All signals, by id.
    pub fn signals(&self) -> impl Iterator<Item = &SignalSpec> {
        self.signals.values()
    }

    /// The services, in the order of the catalogue.
    #[must_use]
    pub fn services(&self) -> &[CatalogueService] {
        &self.services
    }

    /// The service of this name, if its signals are known.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&CatalogueService> {
        self.services.iter().find(|known| known.service == name)
    }

    /// The service that the signal belongs to, by its prefix.
    #[must_use]
    pub fn owner(&self, signal_id: &str) -> Option<&CatalogueService> {
        signal_id.split_once('.').and_then(|(prefix, _)| self.service_of_prefix(prefix))
    }

    fn service_of_prefix(&self, prefix: &str) -> Option<&CatalogueService> {
        self.services.iter().find(|known| known.prefix == prefix)
    }
}

impl SignalSpec {
    /// Relative change of the value between two runs that means nothing.
    #[must_use]
    pub fn noise(&self) -> f64 {
        self.noise.unwrap_or(if self.kind == Kind::Ms { MS_NOISE } else { 0.0 })
    }

    /// Whether two values differ by more than measuring the same thing twice may make them. What was counted is exact;
    /// what was timed, ranked or estimated wavers.
    #[must_use]
    pub fn differs(&self, before: &Value, now: &Value) -> bool {
        if let (Some(before), Some(now)) = (before.as_f64(), now.as_f64()) {
            let tolerance = self.noise_abs.unwrap_or(0.0).max(self.noise() * before.abs().max(now.abs()));
            return (now - before).abs() > tolerance;
        }
        before != now && self.noise() < 1.0
    }

    /// A value of this signal as a person reads it: `3.1 %`, `2500 ms`, `yes`.
    #[must_use]
    pub fn value_in_words(&self, value: &Value) -> String {
        crate::text::value_in_words(self, value)
    }

    /// Whether more or less of it is good or bad.
    #[must_use]
    pub fn is_directed(&self) -> bool {
        match self.better {
            Better::Lower | Better::Higher | Better::True | Better::False => true,
            Better::None => false,
        }
    }

    fn is_number(&self) -> bool {
        match self.kind {
            Kind::Int | Kind::Float | Kind::Ratio | Kind::Ms | Kind::Bytes | Kind::Days | Kind::Rank => true,
            Kind::Bool | Kind::Enum | Kind::List => false,
        }
    }

    fn problems(&self) -> Vec<String> {
        let mut found = Vec::new();
        let fits = match self.better {
            Better::Lower | Better::Higher => self.is_number(),
            Better::True | Better::False => self.kind == Kind::Bool,
            Better::None => true,
        };
        if !fits {
            found.push("'better' does not fit the type".to_owned());
        }
        if (self.good.is_some() || self.poor.is_some()) && !self.is_number() {
            found.push("only a number has control points".to_owned());
        }
        if [self.good, self.poor].into_iter().flatten().any(|point| !point.is_finite()) {
            found.push("control points are finite numbers".to_owned());
        }
        if [self.noise, self.noise_abs].into_iter().flatten().any(|noise| !(noise.is_finite() && noise >= 0.0)) {
            found.push("noise is a finite number, 0 or more".to_owned());
        }
        if let (Some(good), Some(poor)) = (self.good, self.poor) {
            let ordered = match self.better {
                Better::Lower => good < poor,
                Better::Higher => good > poor,
                Better::True | Better::False | Better::None => false,
            };
            if !ordered {
                found.push(format!("control points good {good} and poor {poor} contradict 'better'"));
            }
        }
        if (self.kind == Kind::Enum) == self.values.is_empty() {
            found.push("exactly an enum names its values".to_owned());
        }
        if self.name.trim().is_empty() {
            found.push("has no name".to_owned());
        }
        found
    }

    /// A value of the right type that is as good as can be; what the rules are tried with when they are read.
    pub(crate) fn good_sample(&self) -> Value {
        match self.kind {
            Kind::Bool => Value::from(self.better != Better::False),
            Kind::Enum => Value::from(self.values.first().map_or("", String::as_str)),
            Kind::List => Value::from(vec!["en"]),
            Kind::Int | Kind::Float | Kind::Ratio | Kind::Ms | Kind::Bytes | Kind::Days | Kind::Rank => {
                Value::from(match (self.better, self.good) {
                    (_, Some(good)) => good,
                    (Better::Lower | Better::True | Better::False, None) => 0.0,
                    (Better::Higher, None) => {
                        if self.kind == Kind::Ratio {
                            1.0
                        } else {
                            10_000.0
                        }
                    }
                    (Better::None, None) => {
                        if self.kind == Kind::Ratio {
                            0.0
                        } else {
                            100.0
                        }
                    }
                })
            }
        }
    }

    /// A value of the right type that is clearly worse than poor.
    pub(crate) fn poor_sample(&self) -> Value {
        match self.kind {
            Kind::Bool => Value::from(self.better == Better::False),
            Kind::Enum => Value::from(self.values.last().map_or("", String::as_str)),
            Kind::List => Value::from(vec!["en", "de"]),
            Kind::Ratio => Value::from(if self.better == Better::Higher { 0.0 } else { 1.0 }),
            Kind::Int | Kind::Float | Kind::Ms | Kind::Bytes | Kind::Days | Kind::Rank => {
                Value::from(match (self.better, self.poor) {
                    (Better::Higher, Some(poor)) => poor / 2.0,
                    (Better::Higher, None) => 0.0,
                    (Better::Lower | Better::True | Better::False | Better::None, Some(poor)) => poor * 2.0 + 1.0,
                    (Better::Lower | Better::True | Better::False, None) => 1_000_000.0,
                    (Better::None, None) => 0.0,
                })
            }
        }
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}
