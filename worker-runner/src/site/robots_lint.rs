//! Which lines of a robots.txt no crawler understands.

/// Names of records that some crawler gives a meaning.
const KNOWN: &[&str] = &[
    "user-agent",
    "disallow",
    "allow",
    "sitemap",
    "crawl-delay",
    "clean-param",
    "host",
    "request-rate",
    "visit-time",
    "noindex",
    "content-signal",
];
/// Characters of a line that are kept.
const LINE_CHARS_MAX: usize = 80;

/// Lines that are named; all are counted.
pub const ERRORS_MAX: usize = 200;

/// A line that no crawler understands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineError {
    /// Its number, from 1.
    pub line: usize,
    /// What is wrong, with the start of the line.
    pub problem: String,
}

/// Finds the lines that no crawler understands. An HTML page in place of the file is one error.
pub(crate) fn errors(text: &[u8]) -> Vec<LineError> {
    let text = String::from_utf8_lossy(text);
    if text.trim_start_matches('\u{FEFF}').trim_start().starts_with('<') {
        return vec![LineError { line: 1, problem: "the file is an HTML page".to_owned() }];
    }
    all(&text).take(ERRORS_MAX).collect()
}

/// How many lines no crawler understands.
pub(crate) fn wrong_lines(text: &[u8]) -> usize {
    all(&String::from_utf8_lossy(text)).count()
}

fn all(text: &str) -> impl Iterator<Item = LineError> {
    let mut agent_seen = false;
    let text = text.trim_start_matches('\u{FEFF}');
    // A line may end with CR alone; the pair of CR and LF ends one line.
    let lines = text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'));
    lines.enumerate().filter_map(move |(index, line)| {
        let record = line.split('#').next().unwrap_or_default().trim();
        if record.is_empty() {
            return None;
        }
        let problem = problem(record, &mut agent_seen)?;
        let excerpt: String = record.chars().take(LINE_CHARS_MAX).collect();
        Some(LineError { line: index + 1, problem: format!("{problem}: {excerpt}") })
    })
}

fn problem(record: &str, agent_seen: &mut bool) -> Option<&'static str> {
    let Some((name, value)) = record.split_once(':') else { return Some("no colon") };
    let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
    if !KNOWN.contains(&name.as_str()) {
        return Some("unknown record");
    }
    match name.as_str() {
        "user-agent" => {
            *agent_seen |= !value.is_empty();
            value.is_empty().then_some("no user agent given")
        }
        "allow" | "disallow" if !*agent_seen => Some("rule before the first user agent"),
        "allow" | "disallow" if !(value.is_empty() || value.starts_with(['/', '*'])) => {
            Some("pattern must start with '/' or '*'")
        }
        "allow" | "disallow" if value.find('$').is_some_and(|at| at + 1 != value.len()) => {
            Some("'$' has a meaning at the end only")
        }
        "sitemap" if !url::Url::parse(value).is_ok_and(|url| matches!(url.scheme(), "http" | "https" | "ftp")) => {
            Some("sitemap is no absolute URL")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usual_file_has_no_errors() {
        let text =
            "# hello\n\nUser-agent: *\nDisallow: /a/*.php$\nDisallow:\nCrawl-delay: 1\nSitemap: https://a.test/s.xml";
        assert_eq!(errors(text.as_bytes()), []);
    }

    #[test]
    fn each_kind_of_mistake_is_found_with_its_line() {
        let text = "Disallow: /early\nUser-agent:\nUser-agent: *\nDisallow: a\nDissalow: /b\nAllow: /$x\nnonsense\nSitemap: /s.xml";
        let lines: Vec<usize> = errors(text.as_bytes()).iter().map(|error| error.line).collect();
        assert_eq!(lines, [1, 2, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn an_html_page_is_one_mistake() {
        assert_eq!(errors(b"<!doctype html>\n<html>\n<p>x").len(), 1);
    }
}
