//! DataForSEO: what Google shows at this moment, with an account (`DATAFORSEO_LOGIN`, `DATAFORSEO_PASSWORD`).
//!
//! Failures come with HTTP 200 and a `status_code` inside, for the request and for its task.
//!
//! Source: <https://docs.dataforseo.com/v3/serp/google/organic/live/advanced/> and
//! <https://docs.dataforseo.com/v3/appendix/errors/>.

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hermes_core::Secret;
use hermes_core::limits::EXCERPT_BYTES_MAX;
use hermes_core::wire::printable;
use hermes_diagnosis::signal::Method;
use serde_json::{Value, json};
use url::Url;

use super::error::SearchError;
use super::exchange::{Call, Exchange, below, items, number, text};
use super::page::{Feature, SearchPage};
use super::{DEPTH, Provider, Query, Traits};

/// Where it answers.
pub(super) const ENDPOINT: &str = "https://api.dataforseo.com/";
/// Everything went well.
const OK: u64 = 20_000;
/// The engine shows no result for the query: an answer, no failure.
const NO_RESULTS: u64 = 40_102;
/// Countries are numbered as in ISO 3166-1, from here on (Google's geographical targets).
const COUNTRY_BASE: u16 = 2_000;

/// An account.
#[derive(Clone, Debug)]
pub(super) struct DataForSeo {
    pub(super) base: Url,
    pub(super) login: String,
    pub(super) password: Secret,
}

#[async_trait]
impl Provider for DataForSeo {
    fn traits(&self) -> Traits {
        Traits {
            name: "dataforseo",
            quality: 0.85,
            method: Method::Api,
            at_a_time: 4,
            sees_others: true,
            understands_operators: true,
        }
    }

    async fn search(&self, exchange: &Exchange<'_>, query: &Query<'_>) -> Result<SearchPage, SearchError> {
        let url = below(&self.base, &["v3", "serp", "google", "organic", "live", "advanced"]);
        let number = query.locale.country_number();
        let body = json!([{
            "keyword": query.text,
            "location_code": COUNTRY_BASE + number,
            "language_code": query.locale.language,
            "depth": DEPTH,
            "device": "desktop",
        }]);
        let credentials = STANDARD.encode(format!("{}:{}", self.login, self.password.expose()));
        let authorisation = Some(("authorization", format!("Basic {credentials}")));
        let call = Call { url, authorisation, body: Some(&body), secret: Some(&self.password) };
        let answer = exchange.ask(call).await?.success(|body| Some(text(body, "status_message").to_owned()))?;
        read(&answer)
    }
}

/// The failure inside an answer or a task, if it is one.
fn failure(part: &Value) -> Option<SearchError> {
    let Some(code) = part.get("status_code").and_then(Value::as_u64) else {
        return Some(SearchError::Malformed("`status_code` is missing".to_owned()));
    };
    let detail = format!("{code}: {}", printable(text(part, "status_message"), EXCERPT_BYTES_MAX));
    match code {
        OK | NO_RESULTS => None,
        40_100 | 40_101 | 40_104 | 40_204 | 40_207 => Some(SearchError::Key(detail)),
        40_200 | 40_203 | 40_210 => Some(SearchError::Quota(detail)),
        40_202 | 40_209 => Some(SearchError::Busy { detail, retry_after: None }),
        40_400..=40_599 => Some(SearchError::Query(detail)),
        _ => Some(SearchError::Failed(detail)),
    }
}

fn read(body: &Value) -> Result<SearchPage, SearchError> {
    if let Some(error) = failure(body) {
        return Err(error);
    }
    let Some(task) = items(body, "tasks").first() else {
        return Err(SearchError::Malformed("`tasks` is empty".to_owned()));
    };
    if let Some(error) = failure(task) {
        return Err(error);
    }
    let Some(result) = items(task, "result").first() else { return Ok(SearchPage::default()) };
    let mut page =
        SearchPage { estimate: result.get("se_results_count").and_then(Value::as_u64), ..SearchPage::default() };
    let shown = items(result, "items");
    // Google shows the page of a featured snippet there only, no more among the others.
    let (snippets, others): (Vec<&Value>, Vec<&Value>) =
        shown.iter().filter(|item| item["url"].is_string()).partition(|item| text(item, "type") == "featured_snippet");
    let organic = others.into_iter().filter(|item| text(item, "type") == "organic");
    for item in snippets.into_iter().chain(organic) {
        page.add(text(item, "url"), text(item, "title"), text(item, "description"), number(item, "rank_absolute"));
    }
    let ranked = |kind: &str| {
        shown.iter().filter(|item| text(item, "type") == kind).filter_map(|item| number(item, "rank_absolute")).min()
    };
    let first = ranked("organic").unwrap_or(u32::MAX);
    let others = shown.iter().filter(|item| text(item, "type") != "organic");
    let features = others.map(|item| Feature {
        kind: text(item, "type").to_owned(),
        // What stands at the side is counted from 1 again.
        is_on_top: text(item, "position") != "right" && number(item, "rank_absolute").is_some_and(|rank| rank < first),
    });
    page.features = Some(features.collect());
    Ok(page)
}
