//! Pages that say that they are not there, and say so with a status of success.

use super::super::near::DISTANCE_MAX;
use super::super::page::Page;
use super::view::View;
use crate::site::fingerprint::Fingerprint;
use crate::site::report::{Findings, Report};

/// Words above which a page with such a title says more than that.
const WORDS_MAX: u32 = 200;
/// What titles and headings of such pages say.
const SAYINGS: [&str; 12] = [
    "404",
    "not found",
    "no longer available",
    "does not exist",
    "nicht gefunden",
    "introuvable",
    "non trouvée",
    "no encontrada",
    "non trovata",
    "niet gevonden",
    "não encontrada",
    "nie znaleziono",
];

pub(super) fn add(report: &mut Report, view: &View<'_>) {
    let answer = view.audit.probes.missing_text;
    let mut found = Findings::new();
    for known in view.judged() {
        if let Some(problem) = problem(known.page, answer) {
            found.add(known.url, || problem);
        }
    }
    report.count("tech.soft_404_pages", found, view.judged_count());
}

fn problem(page: &Page, answer: Option<Fingerprint>) -> Option<String> {
    let text = page.facts.text;
    if answer.is_some_and(|answer| answer.words > 0 && (answer.near ^ text.near).count_ones() <= DISTANCE_MAX) {
        return Some("the text that the site gives for pages that do not exist".to_owned());
    }
    if text.words > WORDS_MAX {
        return None;
    }
    let told = [&page.facts.title, &page.facts.heading].into_iter().flatten().find(|told| {
        let told = told.text.to_lowercase();
        SAYINGS.iter().any(|saying| told.contains(saying))
    })?;
    Some(format!("HTTP 200, and says: {}", told.text))
}
