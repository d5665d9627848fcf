//! `GET /api/orchestration/runs/{id}/report`: the diagnosis for people, as HTML, Markdown or JSON, with the history of the
//! site's score.
//!
//! A browser shows the page under the address of the API, and much of what it says comes from the site that was looked
//! at: so it is sent with a policy that lets it run, load, frame and send nothing.

use std::str::FromStr;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use axum::response::Response;
use hermes_core::kbase::{DIAGNOSIS, HERMES, KbaseEvent};
use hermes_core::ports::store::EventFilter;
use hermes_diagnosis::Diagnosis;
use hermes_report::{HISTORY_MAX, HistoryPoint, Report};
use serde::Deserialize;

use super::Api;
use super::diagnosis::{Found, Wanted, find};
use super::problem::{Problem, Success};
use super::query::{Query, Segments};
use super::run::load;

/// Earlier diagnoses of the website that are read for its history; other domains and earlier revisions are left out.
const HISTORY_READ_MAX: usize = 2 * HISTORY_MAX;

/// The forms of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Html,
    Markdown,
    Json,
}

/// What a history needs of a stored diagnosis: as little as possible, so that older shapes stay readable.
#[derive(Deserialize)]
struct Earlier {
    run_id: String,
    domain: String,
    confidence: f64,
    score: EarlierScore,
}

#[derive(Deserialize)]
struct EarlierScore {
    value: Option<f64>,
    low: f64,
    high: f64,
}

pub(super) async fn show(
    State(api): State<Api>,
    segments: Segments,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    let run_id = segments.run()?;
    let query = Query::of(&uri, &[&["format"], Wanted::PARAMETERS.as_slice()].concat())?;
    let form = match query.get("format")? {
        Some(form) => form,
        None => Form::accepted(headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok())),
    };
    let Found { event, .. } = find(&api, &load(&api, run_id).await?, Wanted::of(&query)?).await?;
    let diagnosis: Diagnosis = event
        .payload
        .read()
        .map_err(|error| Problem::corrupt(format!("the diagnosis {} is of another shape: {error}", event.event_id)))?;
    let history = history(&api, &event, &diagnosis).await?;
    let report =
        Report { diagnosis: &diagnosis, made_at: event.created_at, history: &history, book: api.engine.book() };
    Ok(form.answer(&report))
}

/// The scores of the site until this diagnosis, the oldest first; one for each run.
async fn history(api: &Api, event: &KbaseEvent, diagnosis: &Diagnosis) -> Result<Vec<HistoryPoint>, Problem> {
    let filter = EventFilter {
        website_id: Some(event.website_id.clone()),
        run_id: None,
        service: Some(HERMES.to_owned()),
        kind: Some(DIAGNOSIS.to_owned()),
    };
    let before = Some((event.created_at, event.event_id));
    let earlier = api.engine.store().kbase(&filter, before, HISTORY_READ_MAX).await?;
    let mut points = vec![HistoryPoint::of(diagnosis, event.created_at)];
    for event in earlier {
        let Ok(earlier) = event.payload.read::<Earlier>() else { continue };
        let is_known = points.iter().any(|point| point.run_id == earlier.run_id);
        if points.len() < HISTORY_MAX && earlier.domain == diagnosis.domain && !is_known {
            let Earlier { run_id, confidence, score: EarlierScore { value: score, low, high }, .. } = earlier;
            points.push(HistoryPoint { run_id, made_at: event.created_at, score, low, high, confidence });
        }
    }
    points.reverse();
    Ok(points)
}

impl Form {
    /// The form that the client likes best: the first one of the greatest weight; HTML for anything else.
    fn accepted<'a>(values: impl Iterator<Item = &'a str>) -> Self {
        let mut best = (Self::Html, 0.0);
        for entry in values.flat_map(|value| value.split(',')) {
            let mut parts = entry.split(';').map(str::trim);
            let form = match parts.next().unwrap_or_default().to_ascii_lowercase().as_str() {
                "text/html" | "text/*" | "*/*" => Self::Html,
                "text/markdown" => Self::Markdown,
                "application/json" | "application/*" => Self::Json,
                _ => continue,
            };
            let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(1.0, |q| q.parse().unwrap_or(0.0));
            if weight > best.1 {
                best = (form, weight);
            }
        }
        best.0
    }

    fn answer(self, report: &Report<'_>) -> Response {
        let mut response = match self {
            Self::Html => Success::Ok.text("text/html; charset=utf-8", hermes_report::html(report)),
            Self::Markdown => Success::Ok.text("text/markdown; charset=utf-8", hermes_report::markdown(report)),
            Self::Json => Success::Ok.text("application/json", hermes_report::json(report)),
        };
        let policy = format!("{}; frame-ancestors 'none'", hermes_report::content_security_policy());
        let headers = response.headers_mut();
        let mut set = |name: HeaderName, value: &str| {
            headers.insert(name, HeaderValue::from_str(value).expect("visible ASCII"));
        };
        set(header::CONTENT_SECURITY_POLICY, &policy);
        set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
        set(header::REFERRER_POLICY, "no-referrer");
        set(header::VARY, "accept");
        // A re-run, or a late result, makes another diagnosis under the same address.
        set(header::CACHE_CONTROL, "no-cache");
        response
    }
}

impl FromStr for Form {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "html" => Ok(Self::Html),
            "md" | "markdown" => Ok(Self::Markdown),
            "json" => Ok(Self::Json),
            _ => Err(format!("'{text}' is no form of a report; known are html, md, json")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_says_which_form_it_likes_best() {
        let form = |accept: &str| Form::accepted([accept].into_iter());
        assert_eq!(form(""), Form::Html);
        assert_eq!(form("image/png"), Form::Html);
        assert_eq!(form("application/json"), Form::Json);
        assert_eq!(form("text/html,application/xhtml+xml,*/*;q=0.8"), Form::Html);
        assert_eq!(form("text/html;q=0.5, text/markdown"), Form::Markdown);
        assert_eq!(form("application/json;q=0, text/markdown;q=0.1"), Form::Markdown);
    }
}
