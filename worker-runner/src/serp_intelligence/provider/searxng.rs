//! SearXNG, a metasearch engine that one hosts oneself: free, without a key.
//!
//! It asks several engines and merges what they answer, so that a position is a merged one, which no engine has shown;
//! with one engine (`SEARXNG_ENGINE`) it is that engine's. Engines lock an instance out for hours when it asks too much;
//! it says which did not answer. Queries go to those engines on the operator's behalf: their terms apply.
//!
//! Source: <https://docs.searxng.org/dev/search_api.html>, and `searx/webutils.py` for the members of the answer.

use async_trait::async_trait;
use hermes_diagnosis::signal::Method;
use serde_json::Value;
use url::Url;

use super::error::SearchError;
use super::exchange::{Answer, Call, Exchange, below, items, number, text};
use super::page::SearchPage;
use super::{Provider, Query, Traits};

/// Pages of results that are asked for one query, at most.
const PAGES_MAX: u32 = 2;
/// Words in the reason of an engine that mean hours, not seconds.
const LOCKED_OUT: &[&str] = &["suspended", "captcha", "too many requests", "access denied"];

/// An instance.
#[derive(Clone, Debug)]
pub(super) struct Searxng {
    pub(super) base: Url,
    /// The one engine to ask; all that the instance is set to without.
    pub(super) engine: Option<String>,
}

#[async_trait]
impl Provider for Searxng {
    fn traits(&self) -> Traits {
        Traits {
            name: "searxng",
            // One engine's positions are those that it showed, as with any other API; merged ones nobody showed.
            quality: if self.engine.is_some() { 0.85 } else { 0.6 },
            method: Method::Api,
            at_a_time: 2,
            sees_others: true,
            understands_operators: false,
        }
    }

    async fn search(&self, exchange: &Exchange<'_>, query: &Query<'_>) -> Result<SearchPage, SearchError> {
        let mut page = SearchPage::default();
        for number in 1..=PAGES_MAX {
            let more = match self.page(exchange, query, number).await {
                Ok(body) => self.read(&body, &mut page)?,
                Err(error) if number == 1 => return Err(error),
                // What the first page said stands.
                Err(error) => {
                    page.gaps.push(format!("page {number} of the results: {error}"));
                    break;
                }
            };
            if !more || query.is_answered_by(&page) {
                break;
            }
        }
        Ok(page)
    }
}

impl Searxng {
    async fn page(&self, exchange: &Exchange<'_>, query: &Query<'_>, number: u32) -> Result<Value, SearchError> {
        let mut url = below(&self.base, &["search"]);
        let locale = query.locale;
        let language = match &locale.country {
            Some(country) => format!("{}-{country}", locale.language),
            None => locale.language.clone(),
        };
        url.query_pairs_mut()
            .append_pair("q", query.text)
            .append_pair("format", "json")
            .append_pair("language", &language)
            .append_pair("pageno", &number.to_string())
            .append_pair("safesearch", "0");
        if let Some(engine) = &self.engine {
            url.query_pairs_mut().append_pair("engines", engine);
        }
        let answer = exchange.ask(Call { url, authorisation: None, body: None, secret: None }).await?;
        if answer.response.status == 403 {
            return Err(SearchError::Setting(
                "SearXNG does not give JSON (HTTP 403): add `json` to `search.formats` in its settings.yml and restart it"
                    .to_owned(),
            ));
        }
        Answer::success(answer, |body| Some(text(body, "error").to_owned()))
    }

    /// Adds the results of one page; whether there may be another one.
    fn read(&self, body: &Value, page: &mut SearchPage) -> Result<bool, SearchError> {
        let Some(results) = body.get("results").and_then(Value::as_array) else {
            return Err(SearchError::Malformed("`results` is missing".to_owned()));
        };
        let silent: Vec<String> = items(body, "unresponsive_engines").iter().filter_map(engine_and_reason).collect();
        let before = page.organic.len();
        let offset = u32::try_from(before).unwrap_or(u32::MAX);
        for result in results {
            // The position of a merged result is that in the list; that of one engine it says itself.
            let own = items(result, "positions").first().and_then(Value::as_u64);
            let own = own.and_then(|own| u32::try_from(own).ok()).filter(|_| self.engine.is_some());
            let rank = own.map(|own| own.saturating_add(offset));
            page.add(text(result, "url"), text(result, "title"), text(result, "content"), rank);
        }
        if results.is_empty() && page.organic.is_empty() && !silent.is_empty() {
            let said = silent.join(", ");
            let lower = said.to_lowercase();
            return Err(match LOCKED_OUT.iter().any(|word| lower.contains(word)) {
                true => SearchError::LockedOut(said),
                false => SearchError::Failed(said),
            });
        }
        for engine in silent {
            if !page.gaps.contains(&engine) {
                page.gaps.push(engine);
            }
        }
        page.estimate = page.estimate.or(number(body, "number_of_results").map(u64::from).filter(|found| *found > 0));
        Ok(page.organic.len() > before)
    }
}

/// `["google", "Suspended: CAPTCHA"]`, or a name alone.
fn engine_and_reason(entry: &Value) -> Option<String> {
    match entry {
        Value::String(name) => Some(name.clone()),
        Value::Array(parts) => {
            let parts: Vec<&str> = parts.iter().filter_map(Value::as_str).take(2).collect();
            (!parts.is_empty()).then(|| parts.join(": "))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}
