//! The signals that were accepted, one value per id, ready for rules. A signal that is not here is unknown.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use cel::Value as CelValue;
use cel::context::Context;
use serde_json::Value;

use crate::catalogue::{Kind, SignalSpec};
use crate::rules::RuleBook;
use crate::signal::{Coverage, Evidence, Method};

/// Pages beyond which a larger sample adds no trust.
const SAMPLE_PAGES_ENOUGH: u64 = 200;

/// One accepted signal.
#[derive(Clone, Debug)]
pub(crate) struct Fact {
    /// Of the type that the catalogue says; never null.
    pub(crate) value: Value,
    /// Trust in the value itself, 0 to 1.
    pub(crate) quality: f64,
    /// Trust in the sample that it was taken from, 0 to 1.
    pub(crate) sample: f64,
    /// Who measured, and how.
    pub(crate) source: Arc<str>,
    /// The service that delivered it.
    pub(crate) service: Arc<str>,
    /// Where it was seen.
    pub(crate) evidence: Option<Evidence>,
}

/// All accepted signals, by id.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    by_id: BTreeMap<String, Fact>,
    /// Trust in there being nothing that the signal could be about, by id.
    vacuous: BTreeMap<String, f64>,
}

impl Fact {
    /// Trust in the value as far as a finding relies on it.
    pub(crate) fn confidence(&self) -> f64 {
        self.quality * self.sample
    }

    /// An order that does not depend on the order in which facts arrived: the better one is the greater one.
    fn rank(&self, owner: &str) -> (bool, u64, &str, String) {
        // Qualities are within 0 and 1, where the bits of a float are ordered as the float.
        (&*self.service == owner, self.confidence().to_bits(), &self.service, self.value.to_string())
    }
}

impl Facts {
    /// The fact of this id.
    pub(crate) fn get(&self, id: &str) -> Option<&Fact> {
        self.by_id.get(id)
    }

    /// Adds a fact. Of two for one signal the better one stays: the owner's before another service's, then the one of
    /// higher quality. `false` means that there were two.
    pub(crate) fn add(&mut self, id: &str, fact: Fact, owner: &str) -> bool {
        let Some(present) = self.by_id.get_mut(id) else {
            self.by_id.insert(id.to_owned(), fact);
            return true;
        };
        if fact.rank(owner) > present.rank(owner) {
            *present = fact;
        }
        false
    }

    /// Sets a fact, whatever was known before.
    pub(crate) fn replace(&mut self, id: &str, fact: Fact) {
        self.by_id.insert(id.to_owned(), fact);
    }

    /// Notes that there is nothing that the signal could be about, as a share of no images.
    pub(crate) fn add_vacuous(&mut self, id: &str, quality: f64) {
        let known = self.vacuous.entry(id.to_owned()).or_insert(quality);
        *known = known.max(quality);
    }

    /// Whether it is known that there is nothing that the signal could be about.
    pub(crate) fn is_vacuous(&self, id: &str) -> bool {
        !self.by_id.contains_key(id) && self.vacuous.contains_key(id)
    }

    /// Trust in what is known of a signal, its absence included; `None` if nothing is.
    pub(crate) fn quality(&self, id: &str) -> Option<f64> {
        self.by_id.get(id).map(|fact| fact.quality).or_else(|| self.vacuous.get(id).copied())
    }

    /// Facts for trying rules with.
    pub(crate) fn of_samples<'a>(samples: impl Iterator<Item = (&'a SignalSpec, Value)>) -> Self {
        let nobody: Arc<str> = Arc::from("sample");
        let by_id = samples
            .map(|(spec, value)| {
                let (source, service) = (nobody.clone(), nobody.clone());
                // A sample of a whole number is one, as a worker would send it.
                let value = typed(spec, &value).unwrap_or(value);
                (spec.id.clone(), Fact { value, quality: 1.0, sample: 1.0, source, service, evidence: None })
            })
            .collect();
        Self { by_id, vacuous: BTreeMap::new() }
    }

    /// The variables that rules see: one map per prefix, empty where nothing is known.
    pub(crate) fn context(&self, book: &RuleBook) -> Context<'static, 'static> {
        let mut context = Context::with_env(book.environment.clone());
        for service in book.catalogue.services() {
            let from = format!("{}.", service.prefix);
            let mut map: HashMap<String, CelValue> = HashMap::new();
            for (id, fact) in self.by_id.range(from.clone()..).take_while(|(id, _)| id.starts_with(&from)) {
                let spec = book.catalogue.signal(id);
                map.insert(id[from.len()..].to_owned(), to_cel(spec.map(|spec| spec.kind), &fact.value));
            }
            context.add_variable_from_value(service.prefix.as_str(), map);
        }
        context
    }
}

/// How much a share that a crawl found can be trusted, given how much of the site was crawled; 1 for everything else.
pub(crate) fn sample_factor(spec: &SignalSpec, method: Method, coverage: Option<&Coverage>) -> f64 {
    let is_share_of_a_crawl = match method {
        Method::Crawl => spec.kind == Kind::Ratio,
        Method::Lab | Method::Field | Method::Api | Method::Derived => false,
    };
    let Some(coverage) = coverage.filter(|coverage| is_share_of_a_crawl && coverage.pages_known > 0) else {
        return 1.0;
    };
    let enough = coverage.pages_known.min(SAMPLE_PAGES_ENOUGH);
    #[expect(clippy::cast_precision_loss, reason = "the quotient of page counts needs no more than 53 bits")]
    let share = coverage.pages_crawled as f64 / enough as f64;
    share.sqrt().min(1.0)
}

/// The value in the type that the catalogue says; `None` if it is not of that type.
pub(crate) fn typed(spec: &SignalSpec, value: &Value) -> Option<Value> {
    use crate::limits::{EVIDENCE_DETAIL_BYTES_MAX, LIST_VALUES_MAX};
    let clean = |text: &str| Value::from(crate::text::clean(text, EVIDENCE_DETAIL_BYTES_MAX));
    match spec.kind {
        Kind::Bool => value.as_bool().map(Value::from),
        Kind::Enum => value.as_str().filter(|text| spec.values.iter().any(|known| known == text)).map(Value::from),
        Kind::List => {
            let items = value.as_array()?.iter().take(LIST_VALUES_MAX);
            items.map(|item| item.as_str().map(clean)).collect::<Option<Vec<_>>>().map(Value::from)
        }
        Kind::Ratio => value.as_f64().filter(|share| (0.0..=1.0).contains(share)).map(Value::from),
        Kind::Float | Kind::Ms => value.as_f64().map(Value::from),
        Kind::Int | Kind::Bytes | Kind::Days | Kind::Rank => whole(value),
    }
}

/// A whole number as such, also where it was written with a fraction of zero.
fn whole(value: &Value) -> Option<Value> {
    if let Some(whole) = value.as_i64() {
        return Some(Value::from(whole));
    }
    let number = value.as_f64()?;
    #[expect(clippy::cast_possible_truncation, reason = "whole and within 2^53, checked on the same line")]
    let whole = (number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0).then_some(number as i64);
    Some(whole.map_or_else(|| Value::from(number), Value::from))
}

fn to_cel(kind: Option<Kind>, value: &Value) -> CelValue {
    match value {
        Value::Bool(truth) => CelValue::Bool(*truth),
        Value::String(text) => CelValue::from(text.as_str()),
        Value::Array(items) => CelValue::from(items.iter().map(|item| to_cel(None, item)).collect::<Vec<_>>()),
        Value::Number(number) => match (kind, number.as_i64(), number.as_f64()) {
            (Some(Kind::Ratio | Kind::Float | Kind::Ms), _, Some(float)) => CelValue::Float(float),
            (_, Some(int), _) => CelValue::Int(int),
            (_, None, Some(float)) => CelValue::Float(float),
            (_, None, None) => CelValue::Null,
        },
        Value::Null | Value::Object(_) => CelValue::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{Better, Needs};
    use serde_json::json;

    fn spec(kind: Kind) -> SignalSpec {
        SignalSpec {
            id: "tech.x".to_owned(),
            name: "x".to_owned(),
            kind,
            better: Better::None,
            good: None,
            poor: None,
            values: vec!["a".to_owned()],
            needs: Needs::None,
            noise: None,
            noise_abs: None,
            source: None,
        }
    }

    #[test]
    fn a_value_of_another_type_is_unknown_and_not_zero() {
        assert_eq!(typed(&spec(Kind::Ratio), &json!("0.1")), None);
        assert_eq!(typed(&spec(Kind::Ratio), &json!(31)), None, "a percentage is no ratio");
        assert_eq!(typed(&spec(Kind::Bool), &json!(1)), None);
        assert_eq!(typed(&spec(Kind::Enum), &json!("b")), None);
        assert_eq!(typed(&spec(Kind::List), &json!(["en", 1])), None);
    }

    #[test]
    fn numbers_take_the_form_that_rules_calculate_with() {
        assert_eq!(typed(&spec(Kind::Ratio), &json!(1)), Some(json!(1.0)));
        assert_eq!(typed(&spec(Kind::Int), &json!(3.0)), Some(json!(3)));
        assert_eq!(typed(&spec(Kind::Int), &json!(3.5)), Some(json!(3.5)));
    }

    #[test]
    fn a_quarter_of_the_pages_halves_the_trust_in_a_share_and_in_nothing_else() {
        let coverage = Coverage { pages_crawled: 50, pages_known: 1_000 };
        assert_eq!(sample_factor(&spec(Kind::Ratio), Method::Crawl, Some(&coverage)), 0.5);
        assert_eq!(sample_factor(&spec(Kind::Int), Method::Crawl, Some(&coverage)), 1.0);
        assert_eq!(sample_factor(&spec(Kind::Ratio), Method::Api, Some(&coverage)), 1.0);
        let all = Coverage { pages_crawled: 12, pages_known: 12 };
        assert_eq!(sample_factor(&spec(Kind::Ratio), Method::Crawl, Some(&all)), 1.0);
    }
}
