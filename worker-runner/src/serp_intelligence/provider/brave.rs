//! Brave Search: an index of its own, with a key (`BRAVE_API_KEY`).
//!
//! Source: <https://api-dashboard.search.brave.com/app/documentation/web-search/get-started>, and its pages on query
//! parameters, responses and rate limiting (`X-RateLimit-Remaining` and `X-RateLimit-Reset` list one value per window).

use std::time::Duration;

use async_trait::async_trait;
use hermes_core::Secret;
use hermes_core::ports::http::Response;
use hermes_diagnosis::signal::Method;
use serde_json::Value;
use url::Url;

use super::error::SearchError;
use super::exchange::{Call, Exchange, below, items, number, text};
use super::page::{Feature, SearchPage};
use super::{Provider, Query, Traits};
use crate::serp_intelligence::locale::Locale;

/// Where it answers.
pub(super) const ENDPOINT: &str = "https://api.search.brave.com/";
/// Results of one page, the most that it gives.
const COUNT: &str = "20";
/// Countries that it knows; every other is `ALL`.
const COUNTRIES: &[&str] = &[
    "AR", "AT", "AU", "BE", "BR", "CA", "CH", "CL", "CN", "DE", "DK", "ES", "FI", "FR", "GB", "GR", "HK", "ID", "IN",
    "IT", "JP", "KR", "MX", "MY", "NL", "NO", "NZ", "PH", "PL", "PT", "RU", "SA", "SE", "TR", "TW", "US", "ZA",
];
/// Languages that it knows by their code of two letters.
const LANGUAGES: &[&str] = &[
    "ar", "bg", "bn", "ca", "cs", "da", "de", "el", "en", "es", "et", "eu", "fi", "fr", "gl", "gu", "he", "hi", "hr",
    "hu", "is", "it", "kn", "ko", "lt", "lv", "ml", "mr", "ms", "nb", "nl", "pa", "pl", "ro", "ru", "sk", "sl", "sr",
    "sv", "ta", "te", "th", "tr", "uk", "vi",
];

/// An account.
#[derive(Clone, Debug)]
pub(super) struct Brave {
    pub(super) base: Url,
    pub(super) key: Secret,
}

#[async_trait]
impl Provider for Brave {
    fn traits(&self) -> Traits {
        Traits {
            name: "brave",
            quality: 0.85,
            method: Method::Api,
            at_a_time: 1,
            sees_others: true,
            understands_operators: true,
        }
    }

    async fn search(&self, exchange: &Exchange<'_>, query: &Query<'_>) -> Result<SearchPage, SearchError> {
        let mut url = below(&self.base, &["res", "v1", "web", "search"]);
        url.query_pairs_mut()
            .append_pair("q", query.text)
            .append_pair("count", COUNT)
            .append_pair("country", country(query.locale))
            .append_pair("safesearch", "off")
            .append_pair("text_decorations", "false");
        if let Some(language) = language(query.locale) {
            url.query_pairs_mut().append_pair("search_lang", language);
        }
        let authorisation = Some(("x-subscription-token", self.key.expose().to_owned()));
        let answer = exchange.ask(Call { url, authorisation, body: None, secret: Some(&self.key) }).await?;
        let wait = reset_of_used_up_windows(&answer.response);
        let code = |body: &Value| body.get("error").map(|error| text(error, "code").to_owned()).unwrap_or_default();
        let said = answer.body.as_ref().map(code).unwrap_or_default();
        let body = answer.success(|body| Some(format!("{} {}", code(body), text(&body["error"], "detail"))));
        read(&body.map_err(|error| match error {
            // A wrong token is refused as a wrong parameter would be.
            SearchError::Query(detail) if said == "SUBSCRIPTION_TOKEN_INVALID" => SearchError::Key(detail),
            SearchError::Busy { detail, .. } if said == "QUOTA_LIMITED" => SearchError::Quota(detail),
            SearchError::Busy { detail, retry_after } => {
                SearchError::Busy { detail, retry_after: retry_after.or(wait) }
            }
            other => other,
        })?)
    }
}

fn country(locale: &Locale) -> &'static str {
    let wanted = locale.country.as_deref().unwrap_or_default();
    COUNTRIES.iter().find(|known| **known == wanted).copied().unwrap_or("ALL")
}

fn language(locale: &Locale) -> Option<&'static str> {
    match (locale.language.as_str(), locale.country.as_deref()) {
        ("ja", _) => Some("jp"),
        ("no" | "nn", _) => Some("nb"),
        ("pt", Some("BR")) => Some("pt-br"),
        ("pt", _) => Some("pt-pt"),
        ("zh", Some("TW" | "HK")) => Some("zh-hant"),
        ("zh", _) => Some("zh-hans"),
        (code, _) => LANGUAGES.iter().find(|known| **known == code).copied(),
    }
}

/// The longest time until a window opens again of which nothing is left.
fn reset_of_used_up_windows(response: &Response) -> Option<Duration> {
    let numbers = |name: &str| -> Vec<u64> {
        let parts = response.header(name).unwrap_or_default().split(',');
        parts.map(|part| part.trim().parse().unwrap_or(u64::MAX)).collect()
    };
    let (left, reset) = (numbers("x-ratelimit-remaining"), numbers("x-ratelimit-reset"));
    let used_up = left.iter().zip(reset).filter(|(left, reset)| **left == 0 && *reset < u64::MAX);
    used_up.map(|(_, reset)| Duration::from_secs(reset)).max()
}

fn read(body: &Value) -> Result<SearchPage, SearchError> {
    if text(body, "type") != "search" {
        return Err(SearchError::Malformed("it is no result of a search".to_owned()));
    }
    let mut page = SearchPage::default();
    let mixed = body.get("mixed").unwrap_or(&Value::Null);
    let (top, main) = (items(mixed, "top"), items(mixed, "main"));
    for (index, result) in items(&body["web"], "results").iter().enumerate() {
        let is_this = |entry: &&Value| {
            text(entry, "type") == "web" && number(entry, "index").is_some_and(|at| at as usize == index)
        };
        let at = main.iter().position(|entry| is_this(&entry)).map(|at| at + top.len() + 1);
        let rank = at.and_then(|at| u32::try_from(at).ok());
        page.add(text(result, "url"), text(result, "title"), text(result, "description"), rank);
    }
    let on_top = top.iter().map(|entry| text(entry, "type")).filter(|kind| *kind != "web");
    let mut features: Vec<Feature> = on_top.map(|kind| Feature { kind: kind.to_owned(), is_on_top: true }).collect();
    if body.get("summarizer").is_some_and(Value::is_object) {
        features.push(Feature { kind: "summarizer".to_owned(), is_on_top: true });
    }
    page.features = Some(features);
    Ok(page)
}
