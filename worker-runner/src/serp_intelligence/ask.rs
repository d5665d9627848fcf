//! Asks a provider all queries, some at a time, and stops where going on would only do harm.

use std::sync::Mutex;
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use tokio::time::Instant;

use super::locale::Locale;
use super::owner::Site;
use super::provider::{Exchange, Provider, Query, SearchError, SearchPage};

/// Longest wait that a provider can ask for within an attempt; for a longer one the rest is left out.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(5);
/// Waits of one attempt.
const WAITS_MAX: u32 = 6;
/// Failures in a row after which a provider is not asked any more.
const FAILURES_IN_A_ROW_MAX: u32 = 3;

/// What became of one query.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Answer {
    /// The results.
    Page(SearchPage),
    /// It has no answer.
    Failed(SearchError),
    /// It was not asked, because others had failed before.
    NotAsked,
}

impl Answer {
    pub(super) fn page(&self) -> Option<&SearchPage> {
        match self {
            Self::Page(page) => Some(page),
            Self::Failed(_) | Self::NotAsked => None,
        }
    }
}

/// What the queries under way know of each other.
#[derive(Default)]
struct Course {
    over: bool,
    failures: u32,
    waits: u32,
    next: Option<Instant>,
    distance: Duration,
}

/// The answers of `texts`, in their order.
pub(super) async fn ask_all(
    provider: &dyn Provider,
    exchange: &Exchange<'_>,
    texts: &[&str],
    locale: &Locale,
    site: &Site,
) -> Vec<Answer> {
    let course = Mutex::new(Course::default());
    let mut asked: Vec<BoxFuture<'_, Answer>> = Vec::with_capacity(texts.len());
    for text in texts {
        asked.push(Box::pin(ask(provider, exchange, Query { text, locale, site }, &course)));
    }
    futures::stream::iter(asked).buffered(provider.traits().at_a_time).collect().await
}

async fn ask(provider: &dyn Provider, exchange: &Exchange<'_>, query: Query<'_>, course: &Mutex<Course>) -> Answer {
    loop {
        let Some(turn) = with(course, Course::turn) else { return Answer::NotAsked };
        if turn >= exchange.stop_at {
            return Answer::Failed(SearchError::OutOfTime);
        }
        tokio::time::sleep_until(turn).await;
        if with(course, |course| course.over) {
            return Answer::NotAsked;
        }
        let error = match provider.search(exchange, &query).await {
            Ok(page) => {
                with(course, |course| course.failures = 0);
                return Answer::Page(page);
            }
            Err(error) => error,
        };
        if !with(course, |course| course.waits_out(&error, exchange.stop_at)) {
            return Answer::Failed(error);
        }
    }
}

fn with<T>(course: &Mutex<Course>, look: impl FnOnce(&mut Course) -> T) -> T {
    look(&mut course.lock().expect("nothing panics while it looks"))
}

impl Course {
    /// When the next query may go out; `None` if none may any more.
    fn turn(&mut self) -> Option<Instant> {
        if self.over {
            return None;
        }
        let now = Instant::now();
        let at = self.next.unwrap_or(now).max(now);
        self.next = Some(at + self.distance);
        Some(at)
    }

    /// Takes note of a failure; whether the query is worth another try after a pause.
    fn waits_out(&mut self, error: &SearchError, stop_at: Instant) -> bool {
        let now = Instant::now();
        if let Some(wait) = error.retry_after().filter(|wait| *wait <= WAIT_MAX && now + *wait < stop_at)
            && self.waits < WAITS_MAX
        {
            self.waits += 1;
            // Whoever allows one request in this time will not allow more later.
            self.distance = self.distance.max(wait);
            self.next = Some(self.next.unwrap_or(now).max(now + wait));
            return true;
        }
        self.failures += 1;
        self.over |= error.ends_the_search() || self.failures >= FAILURES_IN_A_ROW_MAX;
        false
    }
}
