//! What a plan can say about searching.

use std::collections::BTreeMap;

use hermes_core::ports::http::Reach;
use serde::Deserialize;
use serde_json::Value;

use super::curve::Curve;
use super::locale::is_country;
use crate::site::SiteError;
use crate::site::params;

/// Most queries that a plan can give; each may cost money.
pub const QUERIES_MAX: usize = 50;
/// Most phrases that are derived from a site.
pub const PHRASES_MAX: usize = 20;
/// Most pages of the site that are read for it.
pub const PAGES_MAX: usize = 30;
/// Characters of one query.
const QUERY_CHARS_MAX: usize = 200;

/// How is searched. Read from the `params` of a service in a plan:
///
/// ```yaml
/// params: { queries: ["running shoes", "trail shoes"], brand: Example, country: DE, language: de, provider: searxng }
/// ```
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SearchOptions {
    /// What searchers type to find such a site, at most [`QUERIES_MAX`]; derived from the site where there are none.
    pub queries: Vec<String>,
    /// The name of the site's owner; derived from the site without.
    pub brand: Option<String>,
    /// Phrases that are derived where no queries are given, at most [`PHRASES_MAX`], which is the default.
    pub phrases: usize,
    /// Pages of the site that are read to derive them, 1 to [`PAGES_MAX`], default 12.
    pub pages: usize,
    /// From where is searched: two letters of ISO 3166-1. As the site looks without.
    pub country: Option<String>,
    /// In which language: two letters of ISO 639-1. As the site looks without.
    pub language: Option<String>,
    /// Which provider is asked; the best that is configured without.
    pub provider: Option<String>,
    /// Shares of clicks by position, from which the visibility is computed; published averages without.
    pub ctr_curve: Option<BTreeMap<u32, f64>>,
    /// Which addresses of the site may be reached. Not a parameter of the plan: the operator decides.
    #[serde(skip, default = "public")]
    pub reach: Reach,
}

fn public() -> Reach {
    Reach::Public
}

impl Default for SearchOptions {
    fn default() -> Self {
        Self {
            queries: Vec::new(),
            brand: None,
            phrases: PHRASES_MAX,
            pages: 12,
            country: None,
            language: None,
            provider: None,
            ctr_curve: None,
            reach: Reach::Public,
        }
    }
}

impl SearchOptions {
    /// Reads the parameters of a plan; `null` means that all have their defaults.
    ///
    /// # Errors
    /// [`SiteError::Options`] names the parameter that is unknown or out of its range.
    pub fn from_params(params: &Value, reach: Reach) -> Result<Self, SiteError> {
        let mut options: Self = params::read(params)?;
        options.reach = reach;
        for query in options.queries.iter_mut().chain(&mut options.brand) {
            *query = query.split_whitespace().collect::<Vec<_>>().join(" ");
        }
        let mut seen = std::collections::HashSet::new();
        options.queries.retain(|query| seen.insert(query.to_lowercase()));
        options.check()?;
        Ok(options)
    }

    /// The curve that the visibility is computed with.
    ///
    /// # Errors
    /// [`SiteError::Options`] if the one of the plan is none.
    pub fn curve(&self) -> Result<Curve, SiteError> {
        self.ctr_curve.as_ref().map_or_else(|| Ok(Curve::default()), Curve::through)
    }

    fn check(&self) -> Result<(), SiteError> {
        let wrong = |text: String| Err(SiteError::Options(text));
        if self.queries.len() > QUERIES_MAX {
            return wrong(format!("queries must be at most {QUERIES_MAX}, not {}", self.queries.len()));
        }
        let is_bad = |query: &&String| query.is_empty() || query.chars().count() > QUERY_CHARS_MAX;
        if let Some(query) = self.queries.iter().chain(&self.brand).find(is_bad) {
            let start: String = query.chars().take(30).collect();
            return wrong(format!("a query must have 1 to {QUERY_CHARS_MAX} characters: {start:?}"));
        }
        if self.phrases > PHRASES_MAX {
            return wrong(format!("phrases must be 0 to {PHRASES_MAX}, not {}", self.phrases));
        }
        if !(1..=PAGES_MAX).contains(&self.pages) {
            return wrong(format!("pages must be 1 to {PAGES_MAX}, not {}", self.pages));
        }
        if let Some(country) = self.country.as_ref().filter(|country| !is_country(country)) {
            return wrong(format!("country must be two letters such as DE, not {country:?}"));
        }
        let is_language = |code: &&String| code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_alphabetic());
        if let Some(language) = self.language.as_ref().filter(|language| !is_language(language)) {
            return wrong(format!("language must be two letters such as de, not {language:?}"));
        }
        self.curve().map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn queries_are_tidied_and_counted_once() {
        let params = json!({"queries": [" Running  shoes ", "running shoes", "boots"], "brand": " A  B "});
        let options = SearchOptions::from_params(&params, Reach::Public).expect("valid");
        assert_eq!(
            (options.queries, options.brand),
            (vec!["Running shoes".to_owned(), "boots".to_owned()], Some("A B".to_owned()))
        );
    }

    #[test]
    fn what_is_unknown_or_out_of_range_is_named() {
        for (params, word) in [
            (json!({"query": []}), "query"),
            (json!({"queries": [" "]}), "1 to 200 characters"),
            (json!({"queries": (0..51).map(|n| n.to_string()).collect::<Vec<_>>()}), "at most 50"),
            (json!({"phrases": 21}), "phrases"),
            (json!({"pages": 0}), "pages"),
            (json!({"country": "Germany"}), "country"),
            (json!({"language": "deu"}), "language"),
            (json!({"ctr_curve": {"2": 0.1}}), "ctr_curve"),
        ] {
            let error = SearchOptions::from_params(&params, Reach::Public).expect_err("wrong");
            assert!(error.to_string().contains(word), "{error}");
        }
    }
}
