//! Google Search Console: the average positions at which real searchers saw the site's own pages in the last 28 days.
//!
//! The best source for the site's own ranks; it knows nothing of anybody else's. `SEARCH_CONSOLE_TOKEN` is an OAuth
//! access token with the scope `https://www.googleapis.com/auth/webmasters.readonly`; such tokens are good for an hour.
//!
//! Source: <https://developers.google.com/webmaster-tools/v1/searchanalytics/query> and
//! <https://developers.google.com/webmaster-tools/v1/sites/list>.

use async_trait::async_trait;
use hermes_core::Secret;
use hermes_diagnosis::signal::Method;
use jiff::fmt::rfc2822::DateTimeParser;
use jiff::{ToSpan, civil};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use url::Url;

use super::error::SearchError;
use super::exchange::{Call, Exchange, below, items, text};
use super::page::{Organic, SearchPage};
use super::{DEPTH, Provider, Query, Traits};
use crate::serp_intelligence::owner::Site;

/// Where it answers.
pub(super) const ENDPOINT: &str = "https://www.googleapis.com/";
/// Data of the last days are not complete yet.
const LAG_DAYS: i64 = 3;
/// Days that positions are averaged over.
const WINDOW_DAYS: i64 = 28;

/// An account.
#[derive(Debug)]
pub(super) struct SearchConsole {
    pub(super) base: Url,
    pub(super) token: Secret,
    /// Found with the first query.
    pub(super) property: OnceCell<Property>,
}

/// Where the data of the site are, and of which days.
#[derive(Clone, Debug)]
pub(super) struct Property {
    name: String,
    first: civil::Date,
    last: civil::Date,
}

#[async_trait]
impl Provider for SearchConsole {
    fn traits(&self) -> Traits {
        Traits {
            name: "search-console",
            quality: 0.95,
            method: Method::Field,
            at_a_time: 4,
            sees_others: false,
            understands_operators: false,
        }
    }

    async fn search(&self, exchange: &Exchange<'_>, query: &Query<'_>) -> Result<SearchPage, SearchError> {
        let filter = json!({"dimension": "query", "operator": "equals", "expression": query.text.to_lowercase()});
        let body = self.query(exchange, query.site, "page", json!([{"filters": [filter]}]), DEPTH).await?;
        let mut found: Vec<(f64, &str)> = items(&body, "rows").iter().filter_map(position_and_key).collect();
        found.sort_by(|one, other| one.0.total_cmp(&other.0).then_with(|| one.1.cmp(other.1)));
        let mut page = SearchPage::default();
        for (position, url) in found {
            let Ok(url) = Url::parse(url) else { continue };
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to what fits")]
            let rank = position.round().clamp(1.0, 1_000.0) as u32;
            let (title, snippet) = (String::new(), String::new());
            page.organic.push(Organic { rank_group: rank, rank_absolute: rank, url, title, snippet });
        }
        Ok(page)
    }

    async fn own_queries(
        &self,
        exchange: &Exchange<'_>,
        site: &Site,
        count: usize,
    ) -> Result<Vec<String>, SearchError> {
        let limit = u32::try_from(count).unwrap_or(u32::MAX);
        let body = self.query(exchange, site, "query", json!([]), limit).await?;
        Ok(items(&body, "rows").iter().filter_map(position_and_key).map(|(_, query)| query.to_owned()).collect())
    }
}

impl SearchConsole {
    async fn query(
        &self,
        exchange: &Exchange<'_>,
        site: &Site,
        dimension: &str,
        filters: Value,
        rows: u32,
    ) -> Result<Value, SearchError> {
        let property = self.property.get_or_try_init(|| self.find_property(exchange, site)).await?;
        let url = below(&self.base, &["webmasters", "v3", "sites", &property.name, "searchAnalytics", "query"]);
        let body = json!({
            "startDate": property.first.to_string(),
            "endDate": property.last.to_string(),
            "dimensions": [dimension],
            "dimensionFilterGroups": filters,
            "type": "web",
            "rowLimit": rows,
        });
        self.ask(exchange, url, Some(&body)).await.map(|(body, _)| body)
    }

    /// The answer and the day on which it was given, by the provider's clock.
    async fn ask(
        &self,
        exchange: &Exchange<'_>,
        url: Url,
        body: Option<&Value>,
    ) -> Result<(Value, Option<civil::Date>), SearchError> {
        let authorisation = Some(("authorization", format!("Bearer {}", self.token.expose())));
        let answer = exchange.ask(Call { url, authorisation, body, secret: Some(&self.token) }).await?;
        let stamp = answer.response.header("date").and_then(|date| DateTimeParser::new().parse_timestamp(date).ok());
        let today = stamp.map(|stamp| stamp.to_zoned(jiff::tz::TimeZone::UTC).date());
        let reason = |body: &Value| {
            items(&body["error"], "errors").first().map(|error| text(error, "reason").to_owned()).unwrap_or_default()
        };
        let why = answer.body.as_ref().map(reason).unwrap_or_default();
        let body = answer.success(|body| Some(text(&body["error"], "message").to_owned()));
        match body {
            Ok(body) => Ok((body, today)),
            Err(SearchError::Key(detail)) if why.ends_with("imitExceeded") => {
                Err(SearchError::Busy { detail, retry_after: None })
            }
            Err(SearchError::Key(detail)) if why.starts_with("quota") => Err(SearchError::Quota(detail)),
            Err(error) => Err(error),
        }
    }

    async fn find_property(&self, exchange: &Exchange<'_>, site: &Site) -> Result<Property, SearchError> {
        let url = below(&self.base, &["webmasters", "v3", "sites"]);
        let (body, today) = self.ask(exchange, url, None).await?;
        let readable = |entry: &&Value| text(entry, "permissionLevel") != "siteUnverifiedUser";
        let names = items(&body, "siteEntry").iter().filter(readable).map(|entry| text(entry, "siteUrl"));
        let Some(name) = best_property(names, site) else {
            return Err(SearchError::Setting(format!(
                "the account of SEARCH_CONSOLE_TOKEN has no verified property for {}: add it in Search Console",
                site.home()
            )));
        };
        let today = today.ok_or_else(|| SearchError::Malformed("it has no date".to_owned()))?;
        let last = today.saturating_sub(LAG_DAYS.days());
        Ok(Property { name: name.to_owned(), first: last.saturating_sub((WINDOW_DAYS - 1).days()), last })
    }
}

/// The property that covers most of the site: that of the domain, else the longest that the home page begins with.
fn best_property<'a>(names: impl Iterator<Item = &'a str>, site: &Site) -> Option<&'a str> {
    let home = site.home();
    let host = home.host_str().unwrap_or_default();
    let covers = |name: &&str| match name.strip_prefix("sc-domain:") {
        Some(domain) => host == domain || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.')),
        None => home.as_str().starts_with(*name),
    };
    names.filter(covers).max_by_key(|name| (name.starts_with("sc-domain:"), name.len()))
}

fn position_and_key(row: &Value) -> Option<(f64, &str)> {
    Some((row.get("position")?.as_f64()?, row.get("keys")?.as_array()?.first()?.as_str()?))
}
