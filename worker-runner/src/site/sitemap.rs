//! Reading XML sitemaps: URL sets, indexes one level deep, compressed ones, all within limits.

use std::io::Read;

use quick_xml::Reader;
use quick_xml::events::Event;
use url::Url;

use super::address::{is_web, normalise, same_site};
use super::decode::decode;
use super::fetch::{FetchError, Fetcher, REDIRECTS_MAX};

/// Sitemap files that are read for one site.
pub const FILES_MAX: usize = 20;
/// Bytes of one sitemap file that are read, after decompression.
pub const FILE_BYTES_MAX: usize = 20 * 1_024 * 1_024;
/// URLs that are taken from all sitemaps together (sitemaps.org: 50,000 per file).
pub const URLS_MAX: usize = 50_000;

/// What the sitemaps of a site hold.
#[derive(Clone, Debug, Default)]
pub struct Sitemaps {
    /// Files that could be read as sitemaps.
    pub files: Vec<Url>,
    /// URLs of the site, normalised, each once, in order.
    pub urls: Vec<Url>,
    /// `<loc>` elements in all, foreign and repeated ones included.
    pub locations: u64,
    /// `<loc>` elements that name another host, and the first of them.
    pub foreign: (u64, Option<String>),
    /// What went wrong, in words.
    pub problems: Vec<String>,
}

/// One sitemap file, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Parsed {
    is_index: bool,
    locations: Vec<String>,
}

/// Reads the sitemaps that robots.txt names, or `/sitemap.xml` where it names none. `home` is a URL of the site;
/// `allowed` says whether robots.txt lets us read a URL.
///
/// # Errors
/// Only [`FetchError::OutOfTime`]; whatever else goes wrong is told in [`Sitemaps::problems`].
pub async fn fetch(
    fetcher: &Fetcher<'_>,
    home: &Url,
    named: &[Url],
    allowed: impl Fn(&Url) -> bool,
) -> Result<Sitemaps, FetchError> {
    let mut found = Sitemaps::default();
    let default = [home.join("/sitemap.xml").expect("a path joins every web URL")];
    let roots = if named.is_empty() { &default } else { named };
    let mut queue: std::collections::VecDeque<(Url, bool)> = roots.iter().map(|url| (url.clone(), true)).collect();
    let mut asked: Vec<Url> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    while let Some((url, is_root)) = queue.pop_front() {
        if asked.contains(&url) {
            continue;
        }
        if asked.len() == FILES_MAX {
            found.problems.push(format!("only the first {FILES_MAX} sitemap files were read"));
            break;
        }
        if !same_site(&url, home) {
            found.problems.push(format!("{url} was ignored: it is on another host"));
            continue;
        }
        if !allowed(&url) {
            found.problems.push(format!("{url} was not read: robots.txt forbids it"));
            continue;
        }
        asked.push(url.clone());
        let Some(parsed) = read(fetcher, &url, !named.is_empty(), &mut found).await? else { continue };
        found.files.push(url.clone());
        if parsed.is_index && is_root {
            queue.extend(parsed.locations.iter().filter_map(|text| Some((url.join(text).ok()?, false))));
        } else if parsed.is_index {
            found.problems.push(format!("{url} was ignored: an index within an index"));
        } else {
            found.add(&url, home, &parsed.locations, &mut seen);
        }
    }
    Ok(found)
}

impl Sitemaps {
    fn add(&mut self, file: &Url, home: &Url, locations: &[String], seen: &mut std::collections::HashSet<Url>) {
        self.locations += locations.len() as u64;
        for text in locations {
            let Ok(url) = file.join(text) else { continue };
            if !same_site(&url, home) || !is_web(&url) {
                self.foreign.0 += 1;
                self.foreign.1.get_or_insert_with(|| text.clone());
                continue;
            }
            let url = normalise(url);
            if self.urls.len() < URLS_MAX && seen.insert(url.clone()) {
                self.urls.push(url);
            }
        }
    }
}

async fn read(
    fetcher: &Fetcher<'_>,
    url: &Url,
    promised: bool,
    found: &mut Sitemaps,
) -> Result<Option<Parsed>, FetchError> {
    let response = match fetcher.follow(url, REDIRECTS_MAX, FILE_BYTES_MAX).await {
        Ok(end) => end.response,
        Err(FetchError::OutOfTime) => return Err(FetchError::OutOfTime),
        Err(FetchError::Http(error)) => {
            found.problems.push(format!("{url} was not read: {error}"));
            return Ok(None);
        }
    };
    if response.status != 200 {
        if promised {
            found.problems.push(format!("{url} was not read: HTTP {}", response.status));
        }
        return Ok(None);
    }
    let outcome = inflate(response.body, FILE_BYTES_MAX).and_then(|body| parse(&decode(&body, None)));
    if response.truncated {
        found.problems.push(format!("only the first {FILE_BYTES_MAX} bytes of {url} were read"));
    }
    match outcome {
        Ok(parsed) => Ok(Some(parsed)),
        Err(problem) => {
            found.problems.push(format!("{url} is no sitemap: {problem}"));
            Ok(None)
        }
    }
}

/// Undoes gzip, which is told by its first two bytes: servers label such files in many ways. Gives at most `bytes_max`.
pub(crate) fn inflate(body: Vec<u8>, bytes_max: usize) -> Result<Vec<u8>, String> {
    if !body.starts_with(&[0x1F, 0x8B]) {
        return Ok(body);
    }
    let mut text = Vec::new();
    let limit = bytes_max as u64;
    flate2::read::MultiGzDecoder::new(body.as_slice())
        .take(limit)
        .read_to_end(&mut text)
        .map_err(|error| format!("it cannot be decompressed: {error}"))?;
    Ok(text)
}

/// Takes the `<loc>` elements that are children of `<url>` or `<sitemap>`. A file that breaks off gives what came
/// before.
fn parse(text: &str) -> Result<Parsed, String> {
    let mut reader = Reader::from_str(text);
    let mut path: Vec<String> = Vec::new();
    let mut location = String::new();
    let mut parsed: Option<Parsed> = None;
    loop {
        let event = match reader.read_event() {
            Ok(event) => event,
            Err(error) => return parsed.ok_or_else(|| error.to_string()),
        };
        match event {
            Event::Start(tag) => {
                let name = tag.local_name().as_ref().to_owned();
                if path.is_empty() {
                    let is_index = match name.as_str() {
                        "sitemapindex" => true,
                        "urlset" => false,
                        other => return Err(format!("its root is <{other}>")),
                    };
                    parsed = Some(Parsed { is_index, locations: Vec::new() });
                }
                path.push(name);
                location.clear();
            }
            Event::End(_) => {
                let is_location = path.len() == 3 && path[2] == "loc" && matches!(path[1].as_str(), "url" | "sitemap");
                path.pop();
                if let Some(parsed) = parsed.as_mut().filter(|found| is_location && found.locations.len() < URLS_MAX) {
                    parsed.locations.push(location.trim().to_owned());
                }
            }
            Event::Text(text) => location.push_str(&text),
            Event::CData(text) => location.push_str(&text),
            Event::GeneralRef(name) => location.push_str(entity(&name)),
            Event::Eof => return parsed.ok_or_else(|| "it has no root element".to_owned()),
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
}

/// The entities that XML defines itself; others do not occur in URLs.
fn entity(name: &str) -> &'static str {
    match name {
        "amp" | "#38" | "#x26" => "&",
        "lt" => "<",
        "gt" => ">",
        "quot" => "\"",
        "apos" | "#39" => "'",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::fake::FakeSite;
    use hermes_core::ports::http::Reach;
    use std::io::Write;
    use std::time::Duration;
    use tokio::time::Instant;

    const SET: &str = "<?xml version='1.0'?><urlset xmlns='http://www.sitemaps.org/schemas/sitemap/0.9'>\
        <url><loc> https://a.test/one#x </loc><lastmod>2024</lastmod></url>\
        <url><loc>https://a.test/two?a=1&amp;b=2</loc><image:image><image:loc>https://a.test/i.png</image:loc></image:image></url>\
        <url><loc>https://other.test/three</loc></url><url><loc>https://a.test/one</loc></url></urlset>";

    async fn read_all(site: &FakeSite, named: &[&str]) -> Sitemaps {
        let url = |text: &str| Url::parse(text).expect("valid");
        let fetcher = Fetcher::new(site, Reach::Public, Duration::ZERO, Instant::now() + Duration::from_secs(60));
        let named: Vec<Url> = named.iter().map(|text| url(text)).collect();
        fetch(&fetcher, &url("https://a.test/"), &named, |_| true).await.expect("in time")
    }

    fn paths(found: &Sitemaps) -> Vec<&str> {
        found.urls.iter().map(|url| url.as_str().trim_start_matches("https://a.test")).collect()
    }

    #[tokio::test]
    async fn urls_of_the_site_are_taken_once_and_foreign_ones_counted() {
        let found = read_all(&FakeSite::new().text("https://a.test/sitemap.xml", SET), &[]).await;
        assert_eq!(paths(&found), ["/one", "/two?a=1&b=2"]);
        assert_eq!((found.locations, found.foreign.0), (4, 1));
    }

    #[tokio::test]
    async fn an_index_is_read_one_level_deep() {
        let index = "<sitemapindex><sitemap><loc>https://a.test/s1.xml</loc></sitemap>\
            <sitemap><loc>https://a.test/deeper.xml</loc></sitemap></sitemapindex>";
        let site = FakeSite::new()
            .text("https://a.test/index.xml", index)
            .text("https://a.test/s1.xml", SET)
            .text("https://a.test/deeper.xml", index);
        let found = read_all(&site, &["https://a.test/index.xml"]).await;
        assert_eq!(paths(&found).len(), 2);
        assert_eq!(found.problems, ["https://a.test/deeper.xml was ignored: an index within an index"]);
    }

    #[tokio::test]
    async fn a_compressed_sitemap_is_read() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(SET.as_bytes()).expect("in memory");
        let body = encoder.finish().expect("in memory");
        let site =
            FakeSite::new().answer("https://a.test/s.xml.gz", 200, &[("content-type", "application/gzip")], body);
        let found = read_all(&site, &["https://a.test/s.xml.gz"]).await;
        assert_eq!(paths(&found).len(), 2);
    }

    #[tokio::test]
    async fn what_is_no_sitemap_is_told_and_a_missing_default_is_not() {
        let none = read_all(&FakeSite::new().page("https://a.test/", ""), &[]).await;
        assert!(none.files.is_empty() && none.problems.is_empty());
        let html = read_all(&FakeSite::new().page("https://a.test/sitemap.xml", "<html><p>hi</html>"), &[]).await;
        assert_eq!(html.problems, ["https://a.test/sitemap.xml is no sitemap: its root is <html>"]);
        let foreign = read_all(&FakeSite::new(), &["https://cdn.test/s.xml"]).await;
        assert_eq!(foreign.problems, ["https://cdn.test/s.xml was ignored: it is on another host"]);
    }

    #[tokio::test]
    async fn a_sitemap_that_multiplies_its_entities_gives_nothing_and_costs_nothing() {
        let mut laughs = String::from("<!DOCTYPE urlset [<!ENTITY l0 'ha'>");
        for level in 1..20 {
            laughs.push_str(&format!("<!ENTITY l{level} '{}'>", format!("&l{};", level - 1).repeat(10)));
        }
        laughs.push_str("]><urlset><url><loc>https://a.test/&l19;</loc></url></urlset>");
        let found = read_all(&FakeSite::new().text("https://a.test/sitemap.xml", &laughs), &[]).await;
        assert_eq!(paths(&found), ["/"], "entities of its own are not expanded");
    }

    #[tokio::test]
    async fn a_compressed_sitemap_is_read_up_to_the_limit_and_no_further() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(SET.trim_end_matches("</urlset>").as_bytes()).expect("in memory");
        let blanks = vec![b' '; 1 << 20];
        for _ in 0..64 {
            encoder.write_all(&blanks).expect("in memory");
        }
        encoder.write_all(b"<url><loc>https://a.test/late</loc></url></urlset>").expect("in memory");
        let body = encoder.finish().expect("in memory");
        assert!(body.len() < 1 << 20, "a bomb is small");
        let site = FakeSite::new().answer("https://a.test/sitemap.xml", 200, &[], body);
        assert_eq!(paths(&read_all(&site, &[]).await), ["/one", "/two?a=1&b=2"]);
    }
}
