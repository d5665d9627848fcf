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
use crate::site::sitemap::inflate;

/// Bytes of a sitemap that are read for its dates.
const SITEMAP_BYTES_MAX: usize = 5 * 1_024 * 1_024;
/// Parts of an index that are read, at most: a competitor gives little of its time.
const PARTS_MAX: usize = 3;
/// Parts of an index that are remembered.
const PARTS_KEPT_MAX: usize = 100;
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

/// The days that the site's first sitemap gives for the pages of `keys`, by [`page_key`]. Of an index the first
/// [`PARTS_MAX`] parts are read, as long as days are missing.
pub(super) async fn listed(
    fetcher: &Fetcher<'_>,
    home: &Url,
    robots: &RobotsFile,
    keys: &[String],
) -> HashMap<String, Date> {
    let usual = home.join("/sitemap.xml").expect("a path joins every web URL");
    let url = robots.sitemaps.iter().find(|url| same_site(url, home)).unwrap_or(&usual);
    let mut found = read(fetcher, url, robots, keys).await;
    let parts = std::mem::take(&mut found.parts);
    let parts = parts.iter().filter_map(|part| url.join(part).ok()).filter(|part| same_site(part, home));
    for part in parts.take(PARTS_MAX) {
        if keys.iter().all(|key| found.days.contains_key(key)) {
            break;
        }
        // A part that is an index itself is not followed.
        found.days.extend(read(fetcher, &part, robots, keys).await.days);
    }
    found.days
}

/// What one file says.
#[derive(Debug, Default, PartialEq)]
struct Listing {
    days: HashMap<String, Date>,
    /// Other sitemaps that it names.
    parts: Vec<String>,
}

async fn read(fetcher: &Fetcher<'_>, url: &Url, robots: &RobotsFile, keys: &[String]) -> Listing {
    if !robots.allows(url) {
        return Listing::default();
    }
    match fetcher.fetch(Method::Get, url, SITEMAP_BYTES_MAX).await {
        Ok(response) if response.status == 200 => {
            inflate(response.body, SITEMAP_BYTES_MAX).map(|xml| listing(&xml, keys)).unwrap_or_default()
        }
        Ok(_) | Err(_) => Listing::default(),
    }
}

/// `<url><loc>…</loc><lastmod>…</lastmod></url>` and `<sitemap><loc>…</loc></sitemap>`, as far as they can be read.
fn listing(xml: &[u8], keys: &[String]) -> Listing {
    let xml = String::from_utf8_lossy(xml);
    let mut found = Listing::default();
    let mut reader = Reader::from_str(&xml);
    let (mut text, mut location, mut changed) = (String::new(), None, None);
    loop {
        match reader.read_event() {
            Ok(Event::Start(_)) => text.clear(),
            Ok(Event::Text(part)) => text.push_str(&part),
            Ok(Event::CData(part)) => text.push_str(&part),
            Ok(Event::GeneralRef(name)) => text.push_str(if &*name == "amp" { "&" } else { "" }),
            Ok(Event::End(end)) => match end.local_name().as_ref() {
                "loc" => location = Some(text.trim().to_owned()),
                "lastmod" => changed = day(text.trim()),
                "url" => {
                    let key = location.take().and_then(|text| Url::parse(&text).ok()).map(|url| page_key(&url));
                    if let (Some(key), Some(changed)) = (key.filter(|key| keys.contains(key)), changed.take()) {
                        found.days.insert(key, changed);
                    }
                }
                "sitemap" if found.parts.len() < PARTS_KEPT_MAX => found.parts.extend(location.take()),
                _ => {}
            },
            Ok(Event::Eof) | Err(_) => return found,
            Ok(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::time::Duration;

    use hermes_core::ports::http::Reach;
    use tokio::time::Instant;

    use super::*;
    use crate::site::fake::{self, FakeSite};
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
        let found = listing(xml, &["a.test/x?a=1&b=2".to_owned(), "a.test/z".to_owned()]);
        assert_eq!(found.days, HashMap::from([("a.test/x?a=1&b=2".to_owned(), date("2026-03-04"))]));
    }

    fn set(path: &str, day: &str) -> String {
        format!("<urlset><url><loc>https://a.test{path}</loc><lastmod>{day}</lastmod></url></urlset>")
    }

    #[tokio::test]
    async fn the_parts_of_an_index_are_read_until_every_page_has_its_day() {
        let part = |name: &str| format!("<sitemap><loc>{name}</loc><lastmod>2026-01-01</lastmod></sitemap>");
        let names = ["https://b.test/foreign.xml", "/one.xml", "https://a.test/two.xml.gz", "/three.xml", "/four.xml"];
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(set("/y", "2026-03-05").as_bytes()).expect("in memory");
        let site = FakeSite::new()
            .text("https://a.test/sitemap.xml", &format!("<sitemapindex>{}</sitemapindex>", names.map(part).concat()))
            .text("https://a.test/one.xml", &set("/x", "2026-03-04"))
            .answer("https://a.test/two.xml.gz", 200, &[], packed.finish().expect("in memory"))
            .text("https://a.test/three.xml", &set("/z", "2026-03-06"))
            .text("https://a.test/four.xml", &set("/late", "2026-03-07"));
        let fetcher = Fetcher::new(&site, Reach::Public, Duration::ZERO, Instant::now() + Duration::from_secs(60));
        let home = Url::parse("https://a.test/").expect("valid");
        let robots = RobotsFile::of(&home, 404, b"");
        let keys = |names: &[&str]| names.iter().map(|name| format!("a.test/{name}")).collect::<Vec<_>>();
        let found = listed(&fetcher, &home, &robots, &keys(&["x", "y"])).await;
        assert_eq!(found.len(), 2);
        assert_eq!(found["a.test/y"], date("2026-03-05"));
        assert_eq!(site.requests().len(), 3, "what is known is not asked for");
        let found = listed(&fetcher, &home, &robots, &keys(&["late"])).await;
        assert!(found.is_empty() && site.count("https://a.test/four.xml") == 0, "and no more than {PARTS_MAX} parts");
    }
}
