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
    let text = text.trim_start_matches('\u{FEFF}');
    if text.trim_start().starts_with('<') {
        return vec![LineError { line: 1, problem: "the file is an HTML page".to_owned() }];
    }
    let mut agent_seen = false;
    let mut errors = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let record = line.split('#').next().unwrap_or_default().trim();
        if record.is_empty() {
            continue;
        }
        if let Some(problem) = problem(record, &mut agent_seen) {
            let excerpt: String = record.chars().take(LINE_CHARS_MAX).collect();
            errors.push(LineError { line: index + 1, problem: format!("{problem}: {excerpt}") });
        }
    }
    errors
}

fn problem(record: &str, agent_seen: &mut bool) -> Option<&'static str> {
    let Some((name, value)) = record.split_once(':') else { return Some("no colon") };
    let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
    if !KNOWN.contains(&name.as_str()) {
        return Some("unknown record");
    }
    match name.as_str() {
        "user-agent" => {
            *agent_seen = true;
            value.is_empty().then_some("no user agent given")
        }
        "allow" | "disallow" if !*agent_seen => Some("rule before the first user agent"),
        "allow" | "disallow" if !(value.is_empty() || value.starts_with(['/', '*'])) => {
            Some("pattern must start with '/' or '*'")
        }
        "allow" | "disallow" if value.trim_end_matches('$').contains('$') || value.ends_with("$$") => {
            Some("'$' has a meaning at the end only")
        }
        "sitemap" if !url::Url::parse(value).is_ok_and(|url| matches!(url.scheme(), "http" | "https")) => {
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
