//! Query strings, path segments and cursors. A parameter that is unknown is refused: a misspelt filter would otherwise
//! list everything.

use std::collections::HashMap;
use std::fmt::Display;
use std::str::FromStr;

use axum::extract::{FromRequestParts, Path};
use axum::http::Uri;
use axum::http::request::Parts;
use hermes_core::{EventId, RunId, Timestamp};
use url::form_urlencoded;

use super::body;
use super::problem::{Kind, Problem};

/// The parameters of a query string.
#[derive(Debug)]
pub(super) struct Query(HashMap<String, String>);

impl Query {
    /// Reads the query of `uri`; each of the `known` parameters may stand there once.
    pub(super) fn of(uri: &Uri, known: &[&str]) -> Result<Self, Problem> {
        let mut parameters = HashMap::new();
        for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
            if !known.contains(&name.as_ref()) {
                let detail = format!("There is no parameter '{name}' here; known are {}.", known.join(", "));
                return Err(Problem::value(name, detail));
            }
            if parameters.insert(name.to_string(), value.into_owned()).is_some() {
                return Err(Problem::value(name, "The parameter is given twice."));
            }
        }
        Ok(Self(parameters))
    }

    /// A parameter, if it is given and not empty.
    pub(super) fn get<T: FromStr<Err: Display>>(&self, name: &str) -> Result<Option<T>, Problem> {
        let text = self.0.get(name).filter(|text| !text.is_empty());
        text.map(|text| body::value(name, text)).transpose()
    }

    /// The parameter `limit`: from 1 to `max`.
    pub(super) fn limit(&self, default: usize, max: usize) -> Result<usize, Problem> {
        match self.get::<usize>("limit")? {
            None => Ok(default),
            Some(limit) if (1..=max).contains(&limit) => Ok(limit),
            Some(limit) => Err(Problem::value("limit", format!("The limit is {limit}; it must be from 1 to {max}."))),
        }
    }
}

/// The variable segments of a path.
pub(super) struct Segments(HashMap<String, String>);

impl Segments {
    /// A segment; empty if the route has none of this name.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// The segment `id` as a run; what cannot be a run's id belongs to no run.
    pub(super) fn run(&self) -> Result<RunId, Problem> {
        self.get("id").parse().map_err(|_| no_such_run(self.get("id")))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Segments {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(segments)) => Ok(Self(segments)),
            Err(_) => Err(Problem::new(Kind::UnknownPath, "The path is no UTF-8.")),
        }
    }
}

/// The answer for a run that does not exist.
pub(super) fn no_such_run(id: impl Display) -> Problem {
    Problem::new(Kind::RunNotFound, format!("There is no run '{id}'."))
}

/// A place in a list of events that is ordered by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EventCursor(pub(super) Timestamp, pub(super) EventId);

impl Display for EventCursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0.as_millis(), self.1)
    }
}

impl FromStr for EventCursor {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split_once('.')
            .and_then(|(at, id)| Some(Self(Timestamp::from_millis(at.parse().ok()?), id.parse().ok()?)))
            .ok_or("the cursor is none that this API gave as next_cursor")
    }
}

/// Cuts a list that was read one longer than the page to the page, and says whether there is more.
pub(super) fn cut<T>(mut list: Vec<T>, limit: usize) -> (Vec<T>, bool) {
    let more = list.len() > limit;
    list.truncate(limit);
    (list, more)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hermes_core::RunStatus;

    fn query(text: &str) -> Result<Query, Problem> {
        Query::of(&text.parse().expect("a URI"), &["status", "domain", "limit"])
    }

    #[test]
    fn parameters_are_decoded_and_parsed() {
        let query = query("/runs?status=failed&domain=https%3A%2F%2Fexample.com%2F").expect("read");
        assert_eq!(query.get("status").expect("valid"), Some(RunStatus::Failed));
        assert_eq!(query.get::<String>("domain").expect("valid").as_deref(), Some("https://example.com/"));
        assert_eq!(query.limit(20, 200).expect("valid"), 20);
    }

    #[test]
    fn an_unknown_or_doubled_parameter_is_refused_by_name() {
        for (text, field) in [("/runs?stauts=failed", "stauts"), ("/runs?limit=1&limit=2", "limit")] {
            assert_eq!(query(text).expect_err("refused").to_json()["field"], field);
        }
    }

    #[test]
    fn a_wrong_parameter_is_answered_with_what_would_be_right() {
        let problem = query("/runs?status=done").expect("read").get::<RunStatus>("status").expect_err("wrong");
        assert_eq!(problem.to_json()["field"], "status");
        assert!(problem.to_json()["detail"].as_str().expect("text").contains("known are started"));
    }

    #[test]
    fn a_limit_outside_its_range_is_refused() {
        for limit in ["0", "201", "-1", "many"] {
            let query = query(&format!("/runs?limit={limit}")).expect("read");
            assert_eq!(query.limit(20, 200).expect_err("refused").to_json()["field"], "limit");
        }
    }

    #[test]
    fn an_event_cursor_reads_back_what_it_writes() {
        let run_id: RunId = "00000000000000000000000000000007".parse().expect("valid");
        let cursor = EventCursor(Timestamp::from_millis(-5), EventId { run_id, seq: 42 });
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for text in ["", "5", "5.", "x.evt_00000000000000000000000000000007_1"] {
            assert!(text.parse::<EventCursor>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_page_is_cut_to_its_limit_and_knows_whether_there_is_more() {
        assert_eq!(cut(vec![1, 2, 3], 2), (vec![1, 2], true));
        assert_eq!(cut(vec![1, 2], 2), (vec![1, 2], false));
    }
}
