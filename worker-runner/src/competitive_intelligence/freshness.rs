//! When a page was changed last, as far as the site says: in its structured data, in its sitemap, in the header field
//! `Last-Modified`. Only distances between such days are used, so that no clock of ours has a part in it.

use std::collections::HashMap;

use hermes_core::ports::http::{Method, Response};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::fmt::rfc2822::DateTimeParser;
use quick_xml::Reader;
use quick_xml::events::Event;
use url::Url;

use crate::serp_intelligence::owner::page_key;
use crate::serp_intelligence::pages::OwnPage;
use crate::site::address::same_site;
use crate::site::fetch::Fetcher;
use crate::site::robots::RobotsFile;

/// Bytes of a sitemap that are read for its dates.
const SITEMAP_BYTES_MAX: usize = 5 * 1_024 * 1_024;
/// A page that claims to have been changed within this many seconds before it was sent was made for the request.
const JUST_MADE_SECONDS: i64 = 120;

/// The day on which a page was changed last; `listed` is what the sitemap says.
pub(super) fn modified(page: &OwnPage, response: &Response, listed: Option<Date>) -> Option<Date> {
    page.reading.modified.as_deref().and_then(day).or(listed).or_else(|| last_modified(response))
}

fn last_modified(response: &Response) -> Option<Date> {
    let stamp =
        |name: &str| -> Option<Timestamp> { DateTimeParser::new().parse_timestamp(response.header(name)?.trim()).ok() };
    let modified = stamp("last-modified")?;
    let is_just_made = stamp("date").is_some_and(|sent| sent.as_second() - modified.as_second() < JUST_MADE_SECONDS);
    (!is_just_made).then(|| modified.to_zoned(jiff::tz::TimeZone::UTC).date())
}

/// The day of `2026-02-01` and `2026-02-01T10:00:00+01:00`.
fn day(text: &str) -> Option<Date> {
    text.get(..10)?.parse().ok()
}

/// The days that the site's first sitemap gives for the pages of `keys`, by [`page_key`]. An index is not followed.
pub(super) async fn listed(
    fetcher: &Fetcher<'_>,
    home: &Url,
    robots: &RobotsFile,
    keys: &[String],
) -> HashMap<String, Date> {
    let usual = home.join("/sitemap.xml").expect("a path joins every web URL");
    let url = robots.sitemaps.iter().find(|url| same_site(url, home)).unwrap_or(&usual);
    if !robots.allows(url) {
        return HashMap::new();
    }
    match fetcher.fetch(Method::Get, url, SITEMAP_BYTES_MAX).await {
        Ok(response) if response.status == 200 => days(&response.body, keys),
        Ok(_) | Err(_) => HashMap::new(),
    }
}

/// `<url><loc>…</loc><lastmod>…</lastmod></url>`, as far as it can be read.
fn days(xml: &[u8], keys: &[String]) -> HashMap<String, Date> {
    let xml = String::from_utf8_lossy(xml);
    let mut found = HashMap::new();
    let mut reader = Reader::from_str(&xml);
    let (mut text, mut key, mut changed) = (String::new(), None, None);
    loop {
        match reader.read_event() {
            Ok(Event::Start(_)) => text.clear(),
            Ok(Event::Text(part)) => text.push_str(&part),
            Ok(Event::CData(part)) => text.push_str(&part),
            Ok(Event::GeneralRef(name)) => text.push_str(if &*name == "amp" { "&" } else { "" }),
            Ok(Event::End(end)) => match end.local_name().as_ref() {
                "loc" => {
                    key = Url::parse(text.trim()).ok().map(|url| page_key(&url)).filter(|key| keys.contains(key));
                }
                "lastmod" => changed = day(text.trim()),
                "url" => {
                    if let (Some(key), Some(changed)) = (key.take(), changed.take()) {
                        found.insert(key, changed);
                    }
                }
                _ => {}
            },
            Ok(Event::Eof) | Err(_) => return found,
            Ok(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::fake;
    use crate::site::html::reading::Reading;

    fn date(text: &str) -> Date {
        text.parse().expect("a day")
    }

    fn response(headers: &[(&str, &str)]) -> Response {
        fake::response(200, headers, "")
    }

    #[test]
    fn structured_data_goes_before_the_sitemap_and_that_before_the_header() {
        let header = response(&[("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT")]);
        let page = |modified: Option<&str>| OwnPage {
            url: Url::parse("https://a.test/").expect("valid"),
            reading: Reading { modified: modified.map(Into::into), ..Reading::default() },
        };
        let listed = Some(date("2026-01-02"));
        assert_eq!(modified(&page(Some("2026-02-03T10:00:00+01:00")), &header, listed), Some(date("2026-02-03")));
        assert_eq!(modified(&page(Some("yesterday")), &header, listed), listed);
        assert_eq!(modified(&page(None), &header, None), Some(date("1994-11-06")));
        assert_eq!(modified(&page(None), &response(&[]), None), None);
    }

    #[test]
    fn a_page_that_was_made_for_the_request_has_no_age() {
        let headers = [("last-modified", "Sun, 06 Nov 1994 08:49:30 GMT"), ("date", "Sun, 06 Nov 1994 08:49:37 GMT")];
        assert_eq!(last_modified(&response(&headers)), None);
    }

    #[test]
    fn a_sitemap_gives_the_days_of_the_pages_that_are_asked_for() {
        let xml = b"<urlset><url><loc>https://www.a.test/x/?a=1&amp;b=2</loc><lastmod>2026-03-04T00:00:00Z</lastmod></url>\
            <url><loc>https://a.test/y</loc><lastmod>2026-03-05</lastmod></url><url><loc>https://a.test/z</loc></url><broken";
        let found = days(xml, &["a.test/x?a=1&b=2".to_owned(), "a.test/z".to_owned()]);
        assert_eq!(found, HashMap::from([("a.test/x?a=1&b=2".to_owned(), date("2026-03-04"))]));
    }
}
