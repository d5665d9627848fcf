//! Titles, descriptions, headings, texts, images and structured data of the judged pages.

use std::collections::{BTreeSet, HashMap};

use serde_json::json;

use super::super::page::Page;
use super::view::View;
use crate::site::html::{Samples, Text};
use crate::site::report::{Findings, Report};

/// Characters of a title that result pages show.
const TITLE_CHARS_MAX: usize = 60;
/// Words below which a page says little.
const THIN_WORDS: u32 = 200;

pub(super) fn add(report: &mut Report, view: &View<'_>) {
    let missing = |text: Option<&Text>| text.is_none_or(Text::is_empty);
    pages(report, view, "tech.title_missing_ratio", |page| {
        missing(page.facts.title.as_ref()).then(|| "no title".to_owned())
    });
    pages(report, view, "tech.title_long_ratio", |page| {
        let title = page.facts.title.as_ref().filter(|title| title.chars > TITLE_CHARS_MAX)?;
        Some(format!("{} characters: {}", title.chars, title.text))
    });
    repeated(report, view, "tech.title_duplicate_ratio", |page| page.facts.title.as_ref());
    pages(report, view, "tech.description_missing_ratio", |page| {
        missing(page.facts.description.as_ref()).then(|| "no meta description".to_owned())
    });
    repeated(report, view, "tech.description_duplicate_ratio", |page| page.facts.description.as_ref());
    pages(report, view, "tech.h1_missing_ratio", |page| {
        (page.facts.headings == 0).then(|| "no h1 with content".to_owned())
    });
    pages(report, view, "tech.lang_missing_ratio", |page| {
        page.facts.lang.is_none().then(|| "<html> has no lang".to_owned())
    });
    pages(report, view, "tech.viewport_missing_ratio", |page| {
        (!page.facts.has_viewport).then(|| "no meta viewport".to_owned())
    });
    pages(report, view, "tech.thin_ratio", |page| {
        (page.facts.text.words < THIN_WORDS).then(|| format!("{} words", page.facts.text.words))
    });
    languages(report, view);
    images(report, view);
    structured(report, view);
}

/// The share of judged pages with a problem.
fn pages(report: &mut Report, view: &View<'_>, id: &str, problem: impl Fn(&Page) -> Option<String>) {
    let mut found = Findings::new();
    for known in view.judged() {
        if let Some(problem) = problem(known.page) {
            found.add(known.url, || problem);
        }
    }
    report.ratio(id, found, view.judged_count());
}

/// The share of judged pages whose text occurs on another judged page too.
fn repeated(report: &mut Report, view: &View<'_>, id: &str, text: impl Fn(&Page) -> Option<&Text>) {
    let text = |page| text(page).filter(|text| !text.is_empty());
    let mut counts: HashMap<&str, u64> = HashMap::new();
    for known in view.judged() {
        if let Some(text) = text(known.page) {
            *counts.entry(&text.text).or_default() += 1;
        }
    }
    let mut found = Findings::new();
    for known in view.judged() {
        let Some(text) = text(known.page) else { continue };
        let count = counts[text.text.as_str()];
        if count > 1 {
            found.add(known.url, || format!("on {count} pages: {}", text.text));
        }
    }
    report.ratio(id, found, view.judged_count());
}

/// The languages that pages declare: primary subtags, sorted.
fn languages(report: &mut Report, view: &View<'_>) {
    let declared = view.judged().filter_map(|known| known.page.facts.lang.as_deref());
    let primary = |lang: &str| lang.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase();
    let is_subtag = |lang: &str| matches!(lang.len(), 2..=3) && lang.bytes().all(|byte| byte.is_ascii_alphabetic());
    let found: BTreeSet<String> = declared.map(primary).filter(|lang| is_subtag(lang)).collect();
    if !found.is_empty() {
        report.fact("tech.languages", json!(found));
    }
}

fn images(report: &mut Report, view: &View<'_>) {
    share_of_elements(report, view, "tech.img_alt_missing_ratio", "images", |page| {
        (page.facts.images.total, &page.facts.images.without_alt)
    });
    share_of_elements(report, view, "tech.img_nosize_ratio", "images", |page| {
        (page.facts.images.total, &page.facts.images.without_size)
    });
}

fn structured(report: &mut Report, view: &View<'_>) {
    let mut without = Findings::new();
    for known in view.judged().filter(|known| !known.page.facts.structured.present) {
        without.add(known.url, || "no structured data".to_owned());
    }
    let all = view.judged_count();
    report.share("tech.structured_data_ratio", all - without.total(), all, without);
    share_of_elements(report, view, "tech.structured_data_error_ratio", "JSON-LD blocks", |page| {
        (page.facts.structured.json_ld, &page.facts.structured.errors)
    });
}

/// The share of elements with a problem; the evidence names the pages that have them.
fn share_of_elements(
    report: &mut Report,
    view: &View<'_>,
    id: &str,
    what: &str,
    count: impl Fn(&Page) -> (u32, &Samples),
) {
    let (mut part, mut all, mut found) = (0, 0, Findings::new());
    for known in view.judged() {
        let (total, bad) = count(known.page);
        all += u64::from(total);
        part += u64::from(bad.count);
        if let Some(first) = &bad.first {
            found.add(known.url, || format!("{} of {total} {what}, first: {first}", bad.count));
        }
    }
    if all == 0 && view.judged_count() > 0 {
        report.none_of(id, format!("no page has {what}"));
    }
    report.share(id, part, all, found);
}
