//! What a page tells robots, one by one: `<meta name=robots>`, `<meta name=googlebot>` …, `X-Robots-Tag`.
//!
//! Several directives add up, and the strictest counts, as Google and Bing document it. `unavailable_after` counts
//! once the time of the answer (its `Date`) is past it: no clock of ours is asked.

use hermes_core::ports::http::Response;
use jiff::Timestamp;

use crate::site::html::RobotsMeta;

/// Directives of one page that are kept.
const DIRECTIVES_MAX: usize = 60;
/// Bytes of one directive that are kept.
const DIRECTIVE_BYTES_MAX: usize = 200;
/// Directives of `X-Robots-Tag` whose colon is not that of a robot's name.
const WITH_VALUES: [&str; 4] = ["unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"];
/// The robots whose directives decide whether a page counts as indexable.
pub(super) const JUDGES: [&str; 2] = ["googlebot", "bingbot"];

/// Where a directive stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// In a `<meta>` element of `<head>`.
    Head,
    /// In a `<meta>` element elsewhere.
    Body,
    /// In the header field `X-Robots-Tag`.
    Header,
}

/// One directive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Directive {
    /// The robot that it is for, lower case; `None` for everybody.
    pub(super) robot: Option<String>,
    /// What it says, lower case.
    pub(super) text: String,
    /// Where it stands.
    pub(super) source: Source,
    /// Which of the elements or header fields of the page it comes from.
    pub(super) part: usize,
    /// Whether it keeps the page out of the index.
    pub(super) blocks: bool,
}

impl Directive {
    /// In words, for people.
    pub(super) fn describe(&self) -> String {
        match (self.source, &self.robot) {
            (Source::Head | Source::Body, None) => format!("robots meta: {}", self.text),
            (Source::Head | Source::Body, Some(robot)) => format!("{robot} meta: {}", self.text),
            (Source::Header, None) => format!("X-Robots-Tag: {}", self.text),
            (Source::Header, Some(robot)) => format!("X-Robots-Tag: {robot}: {}", self.text),
        }
    }

    fn is_for(&self, robot: Option<&str>) -> bool {
        self.robot.is_none() || self.robot.as_deref() == robot
    }
}

/// The directives of one page.
#[derive(Clone, Debug, Default)]
pub(super) struct Directives(Vec<Directive>);

impl Directives {
    /// Joins what the page's elements and its header fields say.
    pub(super) fn read(metas: &[RobotsMeta], response: &Response) -> Self {
        let now = response.header("date").and_then(date);
        let mut all = Vec::new();
        for (part, meta) in metas.iter().enumerate() {
            let robot = (meta.name != "robots").then(|| meta.name.clone());
            let source = if meta.in_head { Source::Head } else { Source::Body };
            all.extend(
                split(&meta.content)
                    .map(|text| Directive { robot: robot.clone(), ..directive(text, source, part, now) }),
            );
        }
        let fields = response.headers.iter().filter(|(name, _)| name == "x-robots-tag").map(|(_, value)| value);
        for (part, value) in fields.enumerate() {
            let mut robot: Option<String> = None;
            for text in split(value) {
                // A name holds for what follows it, up to the next name.
                let text = match text.split_once(':') {
                    Some((name, rest)) if !WITH_VALUES.contains(&name.trim()) => {
                        robot = Some(name.trim().to_owned());
                        rest.trim().to_owned()
                    }
                    Some(_) | None => text,
                };
                all.push(Directive { robot: robot.clone(), ..directive(text, Source::Header, part, now) });
            }
        }
        all.truncate(DIRECTIVES_MAX);
        Self(all)
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Directive> {
        self.0.iter()
    }

    /// What keeps the page out of the index of one robot; `None` stands for a robot that nobody names.
    pub(super) fn noindex_for(&self, robot: Option<&str>) -> Option<&Directive> {
        self.0.iter().find(|directive| directive.blocks && directive.is_for(robot))
    }

    /// What keeps the page out of a large index.
    pub(super) fn noindex(&self) -> Option<&Directive> {
        JUDGES.iter().find_map(|judge| self.noindex_for(Some(judge)))
    }

    /// Whether the page asks that none of its links is followed.
    pub(super) fn nofollow(&self) -> bool {
        let says = |directive: &&Directive| matches!(directive.text.as_str(), "nofollow" | "none");
        self.0.iter().filter(says).any(|directive| JUDGES.iter().any(|judge| directive.is_for(Some(judge))))
    }
}

/// The parts between commas, lower case; a date with a comma of its own stays whole.
fn split(value: &str) -> impl Iterator<Item = String> {
    let mut parts = value.split(',').map(|part| part.trim().to_ascii_lowercase()).peekable();
    std::iter::from_fn(move || {
        let mut part = parts.next()?;
        let breaks_off =
            part.starts_with("unavailable_after") && part.split_once(':').is_some_and(|(_, text)| is_weekday(text));
        if breaks_off && let Some(rest) = parts.next() {
            part = format!("{part}, {rest}");
        }
        Some(part)
    })
    .filter(|part| !part.is_empty())
}

fn is_weekday(text: &str) -> bool {
    ["mon", "tue", "wed", "thu", "fri", "sat", "sun"].iter().any(|day| text.trim().starts_with(day))
        && text.trim().bytes().all(|byte| byte.is_ascii_alphabetic())
}

fn directive(mut text: String, source: Source, part: usize, now: Option<Timestamp>) -> Directive {
    text.truncate(text.floor_char_boundary(DIRECTIVE_BYTES_MAX));
    let blocks = matches!(text.as_str(), "noindex" | "none") || is_past(&text, now);
    Directive { robot: None, text, source, part, blocks }
}

fn is_past(text: &str, now: Option<Timestamp>) -> bool {
    let after = text.strip_prefix("unavailable_after").and_then(|rest| rest.trim_start().strip_prefix(':'));
    matches!((after.and_then(date), now), (Some(after), Some(now)) if after < now)
}

/// A date in one of the forms that Google documents for `unavailable_after`: RFC 822, RFC 850, ISO 8601.
fn date(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let written = text.to_ascii_uppercase();
    written
        .parse::<Timestamp>()
        .ok()
        .or_else(|| jiff::fmt::rfc2822::parse(text).ok().map(|zoned| zoned.timestamp()))
        .or_else(|| in_utc(written.strip_suffix(['Z']).unwrap_or(&written)))
        .or_else(|| {
            let bare = text.rsplit_once(' ').map_or(text, |(bare, _zone)| bare);
            let read = |format: &str| {
                jiff::civil::DateTime::strptime(format, bare).ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()
            };
            read("%A, %d-%b-%y %H:%M:%S").map(|zoned| zoned.timestamp())
        })
}

/// A date without a zone is taken for one of UTC.
fn in_utc(text: &str) -> Option<Timestamp> {
    let civil = text.parse::<jiff::civil::DateTime>().ok()?;
    Some(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::fake;

    fn directives(metas: &[(&str, &str)], headers: &[(&str, &str)]) -> Directives {
        let metas: Vec<RobotsMeta> = metas
            .iter()
            .map(|(name, content)| RobotsMeta { name: (*name).into(), content: (*content).into(), in_head: true })
            .collect();
        let response = fake::response(200, headers, "");
        Directives::read(&metas, &response)
    }

    /// Who may index: a robot that nobody names, Googlebot, Bingbot.
    fn may(found: &Directives) -> [bool; 3] {
        [None, Some("googlebot"), Some("bingbot")].map(|robot| found.noindex_for(robot).is_none())
    }

    #[test]
    fn each_robot_hears_what_is_for_it_and_for_everybody() {
        for (metas, headers, expected) in [
            (vec![], vec![], [true, true, true]),
            (vec![("robots", "noindex")], vec![], [false, false, false]),
            (vec![("googlebot", "NONE, noarchive")], vec![], [true, false, true]),
            (vec![("robots", "noindex"), ("googlebot", "index")], vec![], [false, false, false]),
            (vec![], vec![("x-robots-tag", "noarchive, noindex")], [false, false, false]),
            (vec![], vec![("x-robots-tag", "BingBot: noindex")], [true, true, false]),
            (vec![], vec![("x-robots-tag", "otherbot: noindex, nofollow")], [true, true, true]),
            (vec![], vec![("x-robots-tag", "otherbot: nofollow, googlebot: noindex")], [true, false, true]),
            (vec![], vec![("x-robots-tag", "max-snippet: 10")], [true, true, true]),
            (vec![], vec![("x-robots-tag", "max-snippet: 10, noindex")], [false, false, false]),
        ] {
            assert_eq!(may(&directives(&metas, &headers)), expected, "{metas:?} {headers:?}");
        }
    }

    #[test]
    fn a_page_is_unavailable_after_its_date_and_not_before() {
        let now = ("date", "Mon, 23 Nov 2026 10:00:00 GMT");
        for (text, past) in [
            ("25 Jun 2010 15:00:00 PST", true),
            ("Wed, 25 Jun 2025 15:00:00 GMT", true),
            ("Saturday, 25-Jun-22 15:00:00 UTC", true),
            ("2026-11-23T09:59:59Z", true),
            ("2026-11-23T10:00:01Z", false),
            ("2026-11-22", true),
            ("2030-01-01 10:00:00", false),
            ("soon", false),
        ] {
            let value = format!("unavailable_after: {text}");
            let found = directives(&[], &[("x-robots-tag", &value), now]);
            assert_eq!(found.noindex().is_some(), past, "{text}");
            assert_eq!(directives(&[("robots", &value)], &[now]).noindex().is_some(), past, "{text}");
            assert!(
                directives(&[("robots", &value)], &[]).noindex().is_none(),
                "{text}: without a date nothing is past"
            );
        }
    }
}
