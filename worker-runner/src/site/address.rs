//! One spelling per URL, and which URLs belong to the site.

use url::Url;

/// Characters of a URL that the crawler still follows.
pub const URL_CHARS_MAX: usize = 2_048;
/// How often one path segment may occur in a path before the path counts as a trap.
const SEGMENT_REPEATS_MAX: usize = 3;

/// Endings of paths that name a file which is no page. Such links are checked with `HEAD`, not read.
const FILE_ENDINGS: &[&str] = &[
    "7z",
    "avi",
    "avif",
    "bin",
    "bmp",
    "bz2",
    "css",
    "csv",
    "deb",
    "dmg",
    "doc",
    "docx",
    "eot",
    "epub",
    "exe",
    "flac",
    "gif",
    "gz",
    "ico",
    "iso",
    "jar",
    "jpeg",
    "jpg",
    "js",
    "json",
    "m4a",
    "m4v",
    "mjs",
    "mov",
    "mp3",
    "mp4",
    "mpeg",
    "mpg",
    "msi",
    "odp",
    "ods",
    "odt",
    "ogg",
    "ogv",
    "otf",
    "pdf",
    "png",
    "ppt",
    "pptx",
    "ps",
    "py",
    "rar",
    "rpm",
    "rss",
    "rst",
    "svg",
    "tar",
    "tgz",
    "tif",
    "tiff",
    "ttf",
    "txt",
    "wasm",
    "wav",
    "webm",
    "webmanifest",
    "webp",
    "woff",
    "woff2",
    "xls",
    "xlsx",
    "xml",
    "xz",
    "zip",
    "zst",
];

/// The one spelling under which the crawler knows a URL.
///
/// The fragment goes, percent-encoded unreserved characters are decoded (RFC 3986, 6.2.2.2). Host case, default ports
/// and dot segments were settled when the URL was parsed. The order of a query and a trailing slash carry meaning and
/// stay.
#[must_use]
pub fn normalise(mut url: Url) -> Url {
    url.set_fragment(None);
    if !url.as_str().contains('%') {
        return url;
    }
    let path = decode_unreserved(url.path());
    if path != url.path() {
        url.set_path(&path);
    }
    if let Some(query) = url.query().map(decode_unreserved)
        && url.query() != Some(&query)
    {
        url.set_query(Some(&query));
    }
    url
}

fn decode_unreserved(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let decoded = rest.get(at + 1..at + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok()).map(char::from);
        match decoded {
            Some(c) if c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~') => {
                out.push(c);
                rest = &rest[at + 3..];
            }
            Some(_) | None => {
                out.push('%');
                rest = &rest[at + 1..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// Whether two URLs have the same host and port; links between such pages are internal.
#[must_use]
pub fn same_site(one: &Url, other: &Url) -> bool {
    one.host() == other.host() && one.port_or_known_default() == other.port_or_known_default()
}

/// Whether a URL can be fetched at all by the crawler: `http` or `https`, and not overlong.
#[must_use]
pub fn is_web(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https") && url.as_str().len() <= URL_CHARS_MAX
}

/// Whether the URL may name a page, judged by the ending of its path.
#[must_use]
pub fn may_be_a_page(url: &Url) -> bool {
    let name = url.path().rsplit('/').next().unwrap_or_default();
    let Some((_, ending)) = name.rsplit_once('.') else { return true };
    !FILE_ENDINGS.contains(&ending.to_ascii_lowercase().as_str())
}

/// Whether the path repeats itself as the paths of endless link loops do (`/a/b/a/b/a/b/a/b`).
#[must_use]
pub fn repeats_itself(url: &Url) -> bool {
    let segments: Vec<&str> = url.path().split('/').filter(|segment| !segment.is_empty()).collect();
    segments.iter().any(|one| segments.iter().filter(|other| *other == one).count() > SEGMENT_REPEATS_MAX)
}

/// Names of query parameters that only ever hold the id of a session.
const SESSION_NAMES: [&str; 6] = ["phpsessid", "jsessionid", "aspsessionid", "sessionid", "session_id", "oscsid"];
/// Names of query parameters that may hold one, if the value looks like it.
const SESSION_NAMES_PERHAPS: [&str; 3] = ["sid", "sess", "zenid"];
/// Characters of a value that looks like the id of a session, at least.
const SESSION_ID_CHARS_MIN: usize = 16;

/// The same URL without the id of a session, if it carries one: with it, every visit would find a new site.
#[must_use]
pub fn without_session_id(url: &Url) -> Option<Url> {
    let text = url.as_str();
    if !text.contains(';') && !text.contains('?') {
        return None;
    }
    let mut clean = url.clone();
    if let Some(at) = url.path().to_ascii_lowercase().find(";jsessionid=") {
        let rest = url.path()[at + 1..].find(['/', ';']).map_or("", |end| &url.path()[at + 1 + end..]);
        clean.set_path(&format!("{}{rest}", &url.path()[..at]));
    }
    if let Some(query) = url.query() {
        let kept: Vec<&str> = query.split('&').filter(|pair| !is_session_pair(pair)).collect();
        if kept.len() < query.split('&').count() {
            clean.set_query((!kept.is_empty()).then(|| kept.join("&")).as_deref());
        }
    }
    (clean != *url).then_some(clean)
}

fn is_session_pair(pair: &str) -> bool {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    let name = name.to_ascii_lowercase();
    let is_id = value.len() >= SESSION_ID_CHARS_MIN
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b','))
        && value.bytes().any(|byte| byte.is_ascii_digit());
    SESSION_NAMES.iter().any(|known| name.starts_with(known)) || SESSION_NAMES_PERHAPS.contains(&name.as_str()) && is_id
}

/// Whether the host is an IP literal or a name that is loopback or private by definition: such targets are the
/// operator's own, and are not protected by a rate limit.
#[must_use]
pub fn is_private_by_name(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect("valid")
    }

    #[test]
    fn spellings_that_mean_the_same_become_one() {
        for (given, expected) in [
            ("HTTP://Example.COM:80/a#top", "http://example.com/a"),
            ("https://example.com/%7Euser/%41?q=%2D", "https://example.com/~user/A?q=-"),
            ("https://example.com/a/../b", "https://example.com/b"),
        ] {
            assert_eq!(normalise(url(given)).as_str(), expected);
        }
    }

    #[test]
    fn spellings_that_may_differ_stay_apart() {
        for text in [
            "https://example.com/a?b=1&a=2",
            "https://example.com/a/",
            "https://example.com/a%2Fb",
            "https://example.com/a%20b?q=%26",
            "https://example.com/index.html",
            "https://example.com/100%",
            "https://example.com/%C3%A4",
        ] {
            assert_eq!(normalise(url(text)).as_str(), text);
        }
    }

    #[test]
    fn only_the_same_host_and_port_is_the_site() {
        let home = url("https://example.com/");
        assert!(same_site(&home, &url("https://example.com:443/a")));
        for other in ["https://www.example.com/", "http://example.com/", "https://example.com:8443/"] {
            assert!(!same_site(&home, &url(other)), "{other}");
        }
    }

    #[test]
    fn files_are_told_from_pages_by_their_ending() {
        for page in ["/", "/a", "/a.html", "/a.php?x=1.zip", "/v1.2/", "/release-3.11"] {
            assert!(may_be_a_page(&url(&format!("https://example.com{page}"))), "{page}");
        }
        for file in ["/a.zip", "/b/c.PDF", "/x.tar.gz?dl=1"] {
            assert!(!may_be_a_page(&url(&format!("https://example.com{file}"))), "{file}");
        }
    }

    #[test]
    fn a_path_that_goes_round_in_circles_is_noticed() {
        assert!(repeats_itself(&url("https://example.com/a/b/a/b/a/b/a/b")));
        assert!(!repeats_itself(&url("https://example.com/2024/01/01/a")));
    }

    #[test]
    fn the_id_of_a_session_is_taken_out_and_nothing_else() {
        for (given, expected) in [
            ("/a;jsessionid=0A1B?x=1", Some("/a?x=1")),
            ("/a?PHPSESSID=abc&x=1", Some("/a?x=1")),
            ("/a?sid=4f1c9d20e7b84a11", Some("/a")),
            ("/a?sid=42", None),
            ("/a?story=4f1c9d20e7b84a11", None),
            ("/a;v=1", None),
        ] {
            let url = url(&format!("https://example.com{given}"));
            let clean = without_session_id(&url).map(|url| url.as_str().replace("https://example.com", ""));
            assert_eq!(clean.as_deref(), expected, "{given}");
        }
    }

    #[test]
    fn a_private_target_is_recognised_in_every_notation() {
        for text in ["http://127.1/", "http://0x7f.0.0.1/", "http://[::1]/", "http://localhost:80/", "http://10.1.2.3/"]
        {
            assert!(is_private_by_name(&url(text)), "{text}");
        }
        assert!(!is_private_by_name(&url("https://example.com/")));
    }
}
