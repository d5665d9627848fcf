//! SerpApi: what Google shows at this moment, with a key (`SERPAPI_API_KEY`).
//!
//! The key travels in the query, so that no address of it may be shown. Failures may come with HTTP 200 and a member
//! `error`, and so does "no results", which is an answer.
//!
//! Source: <https://serpapi.com/search-api>, <https://serpapi.com/organic-results> and
//! <https://serpapi.com/api-status-and-error-codes>.

use async_trait::async_trait;
use hermes_core::Secret;
use hermes_core::limits::EXCERPT_BYTES_MAX;
use hermes_core::wire::printable;
use hermes_diagnosis::signal::Method;
use serde_json::Value;
use url::Url;

use super::error::SearchError;
use super::exchange::{Call, Exchange, below, items, text};
use super::page::{Feature, SearchPage};
use super::{Provider, Query, Traits};

/// Where it answers.
pub(super) const ENDPOINT: &str = "https://serpapi.com/";
/// Results of one page of Google.
const PAGE_RESULTS: u32 = 10;
/// Pages of results that are asked for one query, at most; each is paid.
const PAGES_MAX: u32 = 2;
/// What `error` says of a page without results.
const NO_RESULTS: &str = "hasn't returned any results";
/// Members that stand above the organic results, if there are any.
const ON_TOP: &[&str] = &["ai_overview", "answer_box"];

/// An account.
#[derive(Clone, Debug)]
pub(super) struct SerpApi {
    pub(super) base: Url,
    pub(super) key: Secret,
}

#[async_trait]
impl Provider for SerpApi {
    fn traits(&self) -> Traits {
        Traits {
            name: "serpapi",
            quality: 0.85,
            method: Method::Api,
            at_a_time: 4,
            sees_others: true,
            understands_operators: true,
        }
    }

    async fn search(&self, exchange: &Exchange<'_>, query: &Query<'_>) -> Result<SearchPage, SearchError> {
        let mut page = SearchPage::default();
        for number in 0..PAGES_MAX {
            let more = match self.page(exchange, query, number).await {
                Ok(body) => read(&body, &mut page),
                Err(error) if number == 0 => return Err(error),
                // What the first page said stands.
                Err(error) => {
                    page.gaps.push(format!("page {} of the results: {error}", number + 1));
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

impl SerpApi {
    async fn page(&self, exchange: &Exchange<'_>, query: &Query<'_>, number: u32) -> Result<Value, SearchError> {
        let mut url = below(&self.base, &["search.json"]);
        let start = (number * PAGE_RESULTS).to_string();
        url.query_pairs_mut()
            .append_pair("engine", "google")
            .append_pair("q", query.text)
            .append_pair("gl", &query.locale.country_or_default().to_ascii_lowercase())
            .append_pair("hl", &query.locale.language)
            .append_pair("start", &start)
            .append_pair("api_key", self.key.expose());
        let answer = exchange.ask(Call { url, authorisation: None, body: None, secret: Some(&self.key) }).await?;
        let said = answer.body.as_ref().map(|body| text(body, "error").to_owned()).unwrap_or_default();
        match answer.success(|body| Some(text(body, "error").to_owned())) {
            Ok(body) if said.is_empty() || said.contains(NO_RESULTS) => Ok(body),
            Ok(_) => Err(failure(&said)),
            Err(SearchError::Busy { detail, .. }) if is_quota(&said) => Err(SearchError::Quota(detail)),
            Err(error) => Err(error),
        }
    }
}

/// What an `error` in an answer with HTTP 200 means.
fn failure(said: &str) -> SearchError {
    let detail = printable(said, EXCERPT_BYTES_MAX);
    match said {
        _ if is_quota(said) => SearchError::Quota(detail),
        _ if said.contains("API key") => SearchError::Key(detail),
        _ if said.contains("Unsupported") || said.contains("parameter") => SearchError::Query(detail),
        _ => SearchError::Failed(detail),
    }
}

fn is_quota(said: &str) -> bool {
    said.contains("run out of searches")
}

/// Adds the results of one page; whether there may be another one.
fn read(body: &Value, page: &mut SearchPage) -> bool {
    let before = page.organic.len();
    let is_first = page.features.is_none();
    if is_first {
        let there = |name: &&&str| body.get(**name).is_some_and(|value| value.is_object() || value.is_array());
        let on_top = ON_TOP.iter().filter(there).map(|name| match *name {
            // A snippet of a page is an answer box that leads somewhere.
            "answer_box" if body["answer_box"]["link"].is_string() => "featured_snippet",
            name => name,
        });
        page.features = Some(on_top.map(|kind| Feature { kind: kind.to_owned(), is_on_top: true }).collect());
        page.estimate = body["search_information"].get("total_results").and_then(Value::as_u64);
    }
    let above = page.features.as_ref().map_or(0, Vec::len);
    for result in items(body, "organic_results") {
        let rank = u32::try_from(page.organic.len() + above + 1).ok();
        page.add(text(result, "link"), text(result, "title"), text(result, "snippet"), rank);
    }
    page.organic.len() > before
}
