//! hreflang annotations: valid codes, absolute URLs, return links.

use std::collections::HashMap;

use url::Url;

use super::view::{End, Known, View};
use crate::site::address::{normalise, same_site};
use crate::site::language::is_language;
use crate::site::report::{Findings, Report};

pub(super) fn add(report: &mut Report, view: &View<'_>) {
    let annotated: HashMap<&Url, Vec<Url>> = view
        .pages
        .iter()
        .filter(|known| !known.page.facts.hreflangs.is_empty())
        .map(|known| (known.url, targets(known)))
        .collect();
    report.fact("tech.hreflang_pages", annotated.len() as u64);
    let mut wrong = Findings::new();
    for known in view.pages.iter().filter(|known| annotated.contains_key(known.url)) {
        if let Some(problem) = problem(view, known, &annotated) {
            wrong.add(known.url, || problem);
        }
    }
    report.ratio("tech.hreflang_error_ratio", wrong, annotated.len() as u64);
}

fn targets(known: &Known<'_>) -> Vec<Url> {
    known.page.facts.hreflangs.iter().filter_map(|(_, href)| known.url.join(href).ok().map(normalise)).collect()
}

/// The first thing that is wrong with the annotations of a page.
fn problem(view: &View<'_>, known: &Known<'_>, annotated: &HashMap<&Url, Vec<Url>>) -> Option<String> {
    let own = &known.page.facts.hreflangs;
    if let Some((code, _)) = own.iter().find(|(code, _)| !is_valid(code)) {
        return Some(format!("'{code}' is no language or language-region code"));
    }
    if let Some((code, href)) = own.iter().find(|(_, href)| Url::parse(href).is_err()) {
        return Some(format!("the URL for '{code}' is not absolute: {href}"));
    }
    let targets = &annotated[known.url];
    if !targets.contains(known.url) {
        return Some("the page does not name itself".to_owned());
    }
    targets.iter().filter(|target| *target != known.url && same_site(target, known.url)).find_map(|target| {
        let id = view.crawled.table.find(target)?;
        match view.end(id) {
            (End::Broken(how), _) => Some(format!("{target} is broken: {how}")),
            (End::Loop, _) => Some(format!("{target} redirects in a circle")),
            (End::Found(_) | End::Foreign, hops) if hops > 0 => Some(format!("{target} redirects")),
            (End::Found(_), _) => {
                let returns = annotated.get(target).is_some_and(|back| back.contains(known.url));
                (!returns).then(|| format!("{target} does not link back"))
            }
            (End::Foreign | End::Unknown, _) => None,
        }
    })
}

/// `x-default`, or a language with optional script and region, by form: `de`, `pt-BR`, `zh-Hant-TW`.
fn is_valid(code: &str) -> bool {
    let letters = |text: &str, lengths: std::ops::RangeInclusive<usize>| {
        lengths.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphabetic())
    };
    let digits = |text: &str| text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    if code.eq_ignore_ascii_case("x-default") {
        return true;
    }
    let mut parts = code.split('-').peekable();
    if !parts.next().is_some_and(is_language) {
        return false;
    }
    parts.next_if(|part| letters(part, 4..=4));
    // The United Kingdom is GB; `en-UK` is the mistake that everybody makes.
    parts.next_if(|part| (letters(part, 2..=2) && !part.eq_ignore_ascii_case("uk")) || digits(part));
    parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::is_valid;

    #[test]
    fn codes_are_valid_by_their_form() {
        for code in ["de", "pt-BR", "zh-Hant", "zh-Hant-TW", "es-419", "X-Default", "fil"] {
            assert!(is_valid(code), "{code}");
        }
        for code in ["", "d", "en-UK", "de_DE", "english", "de-DEU", "DE-de-x", "419"] {
            assert!(!is_valid(code), "{code}");
        }
    }
}
