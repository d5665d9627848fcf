//! The lists of domain ranks that are on this machine.

use hermes_adapters::ranks::RankFolder;
use hermes_core::Timestamp;
use hermes_core::ports::ranks::RankList;

use super::text::{Layout, Paint, clean, fit, wrap};

/// Days after which a list is told to be old: Common Crawl publishes four releases a year, Majestic one a day.
const COMMON_CRAWL_DAYS_MAX: u64 = 120;
/// The same for Majestic.
const MAJESTIC_DAYS_MAX: u64 = 30;
const DAY_MS: u64 = 24 * 3_600 * 1_000;
/// Width of the column with the name.
const NAME_COLUMNS: usize = 14;

/// What is known about one list.
#[derive(Clone, Debug)]
pub enum State {
    /// It is here.
    Here {
        /// Domains in it.
        rows: u64,
        /// When it was fetched.
        fetched_at: Timestamp,
        /// Which release, where the list names them.
        release: Option<String>,
    },
    /// It was never fetched.
    Absent,
    /// It is here and cannot be read; why.
    Damaged(String),
}

impl State {
    /// What a folder has of a list.
    #[must_use]
    pub fn of(folder: &RankFolder, list: RankList) -> Self {
        match folder.meta(list) {
            Ok(Some(meta)) => Self::Here { rows: meta.rows, fetched_at: meta.fetched_at, release: meta.release },
            Ok(None) => Self::Absent,
            Err(error) => Self::Damaged(error.detail),
        }
    }

    /// Whether it is here and can be read.
    #[must_use]
    pub const fn is_here(&self) -> bool {
        match self {
            Self::Here { .. } => true,
            Self::Absent | Self::Damaged(_) => false,
        }
    }
}

/// The lists with their age and whom to name when their numbers are published.
#[must_use]
pub fn render(folder: &str, lists: &[(RankList, State)], now: Timestamp, layout: Layout) -> String {
    let mut out = wrap(&format!("Lists of domain ranks in {folder}:"), "", layout.width);
    for (list, state) in lists {
        let name = layout.paint(Paint::Bold, &fit(list.as_str(), NAME_COLUMNS));
        out.push_str(&format!("\n{name}{}\n", in_words(*list, state, now, layout)));
        let indent = " ".repeat(NAME_COLUMNS);
        for line in attribution(*list) {
            out.push_str(&layout.paint(Paint::Dim, &wrap(line, &indent, layout.width)));
        }
    }
    out
}

/// One list: how many domains, since when; how to get it.
#[must_use]
pub fn in_words(list: RankList, state: &State, now: Timestamp, layout: Layout) -> String {
    match state {
        State::Here { rows, fetched_at, release } => {
            let days = now.since_ms(*fetched_at) / DAY_MS;
            let day = fetched_at.to_string().chars().take(10).collect::<String>();
            let age = match days {
                0 => "today".to_owned(),
                1 => "yesterday".to_owned(),
                days => format!("{days} days ago"),
            };
            let release = release.as_ref().map_or_else(String::new, |release| format!(", release {}", clean(release)));
            let old = if days > days_max(list) {
                layout.paint(Paint::Yellow, "; old, `hermes data update` fetches it again")
            } else {
                String::new()
            };
            format!("{} domains, fetched on {day} ({age}){release}{old}", thousands(*rows))
        }
        State::Absent => {
            let size = match list {
                RankList::CommonCrawl => "about 30 MB to fetch",
                RankList::Majestic => "about 80 MB to fetch",
            };
            format!("not here; `hermes data update` fetches it ({size}, 16 MB on disk)")
        }
        State::Damaged(detail) => layout
            .paint(Paint::Red, &format!("cannot be read ({}); `hermes data update` fetches it again", clean(detail))),
    }
}

const fn days_max(list: RankList) -> u64 {
    match list {
        RankList::CommonCrawl => COMMON_CRAWL_DAYS_MAX,
        RankList::Majestic => MAJESTIC_DAYS_MAX,
    }
}

/// Whom to name, and under which terms.
const fn attribution(list: RankList) -> [&'static str; 2] {
    match list {
        RankList::CommonCrawl => [
            "The first million domains by harmonic centrality in the web graph of Common Crawl.",
            "Terms of use: https://commoncrawl.org/terms-of-use",
        ],
        RankList::Majestic => [
            "The Majestic Million, by Majestic (https://majestic.com/reports/majestic-million).",
            "Licence: Creative Commons Attribution 3.0; name Majestic where its numbers are published",
        ],
    }
}

/// `1,000,000`.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Layout = Layout { width: 100, colour: false };

    fn shown(state: State) -> String {
        let now = "2026-11-22T12:00:00Z".parse().expect("a time");
        render("/data/ranks", &[(RankList::Majestic, state)], now, PLAIN)
    }

    fn here(fetched_at: &str) -> State {
        State::Here { rows: 999_999, fetched_at: fetched_at.parse().expect("a time"), release: None }
    }

    #[test]
    fn a_list_tells_its_size_its_age_and_whom_to_name() {
        let text = shown(here("2026-11-21T11:00:00Z"));
        assert!(text.contains("majestic      999,999 domains, fetched on 2026-11-21 (yesterday)\n"), "{text}");
        assert!(text.contains("Creative Commons Attribution 3.0"), "{text}");
        assert!(shown(here("2026-11-22T11:00:00Z")).contains("(today)\n"));
        assert!(shown(here("2026-09-01T11:00:00Z")).contains("(82 days ago); old, `hermes data update`"));
    }

    #[test]
    fn a_list_that_is_not_here_says_how_to_get_it() {
        assert!(shown(State::Absent).contains("not here; `hermes data update` fetches it (about 80 MB to fetch"));
        let text = shown(State::Damaged("it is of another format".to_owned()));
        assert!(text.contains("cannot be read (it is of another format)"), "{text}");
    }

    #[test]
    fn numbers_are_grouped_by_three() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    }
}
