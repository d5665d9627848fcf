//! Which pages search engines may index, and canonical URLs.

use super::super::page::Verdict;
use super::super::table::State;
use super::view::{End, Known, View};
use crate::site::address::{normalise, same_site};
use crate::site::report::{Findings, Report};

pub(super) fn add(report: &mut Report, view: &View<'_>) {
    indexable(report, view);
    noindex(report, view);
    canonicals(report, view);
}

fn indexable(report: &mut Report, view: &View<'_>) {
    let (mut not, all) = (Findings::new(), view.pages.len() as u64);
    for known in view.pages.iter().filter(|known| known.verdict != Verdict::Indexable) {
        not.add(known.url, || known.verdict.reason());
    }
    report.share("tech.indexable_ratio", all - not.total(), all, not);
}

fn noindex(report: &mut Report, view: &View<'_>) {
    let (mut linked, mut all_linked) = (Findings::new(), 0);
    for known in view.pages.iter().filter(|known| view.crawled.table.node(known.id).is_linked) {
        all_linked += 1;
        if let Some(directive) = known.page.noindex() {
            linked.add(known.url, || directive);
        }
    }
    report.ratio("tech.noindex_linked_ratio", linked, all_linked);
    let hidden = view.crawled.table.nodes().iter().filter(|node| matches!(node.state, State::Disallowed)).count();
    if hidden > 0 {
        let reason = format!("robots.txt forbids us to read {hidden} URLs, so that their robots meta is unknown");
        report.unknown("tech.noindex_and_blocked", reason);
        return;
    }
    let mut both = Findings::new();
    for known in view.pages.iter().filter(|known| known.verdict == Verdict::Blocked) {
        if let Some(directive) = known.page.noindex() {
            both.add(known.url, || format!("{directive}, and robots.txt keeps Googlebot from reading it"));
        }
    }
    report.count("tech.noindex_and_blocked", both, view.pages.len() as u64);
}

fn canonicals(report: &mut Report, view: &View<'_>) {
    let (mut missing, mut wrong, mut foreign, mut with) = (Findings::new(), Findings::new(), Findings::new(), 0);
    for known in &view.pages {
        let judged = known.verdict.is_judged();
        if known.page.facts.canonicals.is_empty() {
            if judged {
                missing.add(known.url, || "no canonical".to_owned());
            }
            continue;
        }
        with += 1;
        if let Some(problem) = problem(view, known) {
            wrong.add(known.url, || problem);
        }
        if let Verdict::CanonicalForeign(canonical) = &known.verdict {
            foreign.add(known.url, || format!("canonical is {canonical}"));
        }
    }
    report.ratio("tech.canonical_missing_ratio", missing, view.judged_count());
    if with == 0 && view.judged_count() > 0 {
        report.none_of("tech.canonical_error_ratio", "no page has a canonical");
    }
    report.ratio("tech.canonical_error_ratio", wrong, with);
    report.ratio("tech.canonical_foreign_ratio", foreign, with);
}

/// What is wrong with the canonical of a page. One that names another host is legitimate (RFC 6596) and counted apart.
fn problem(view: &View<'_>, known: &Known<'_>) -> Option<String> {
    let named = &known.page.facts.canonicals;
    if named.iter().any(String::is_empty) {
        return Some("canonical without href".to_owned());
    }
    if let Some(relative) = named.iter().find(|href| url::Url::parse(href).is_err()) {
        return Some(format!("canonical is no absolute URL: {relative}"));
    }
    if let Some(other) = named.iter().find(|href| !(href.starts_with("http:") || href.starts_with("https:"))) {
        return Some(format!("canonical is no web address: {other}"));
    }
    let Some(canonical) = known.page.canonical(known.url) else {
        return Some(format!("{} conflicting canonicals", named.len()));
    };
    if !same_site(&canonical, known.url) || canonical == *known.url {
        return None;
    }
    let home = view.crawled.table.node(view.crawled.home);
    let target = view.crawled.table.find(&normalise(canonical.clone()))?;
    match view.end(target) {
        (End::Broken(how), _) => Some(format!("canonical {canonical} is broken: {how}")),
        (End::Loop, _) => Some(format!("canonical {canonical} redirects in a circle")),
        (End::Found(_) | End::Foreign, hops) if hops > 0 => Some(format!("canonical {canonical} redirects")),
        (End::Found(id), _) => {
            let other = view.pages.iter().find(|other| other.id == id)?;
            if let Verdict::Noindex(_) | Verdict::CanonicalElsewhere(_) | Verdict::CanonicalForeign(_) = other.verdict {
                return Some(format!("canonical {canonical} is not indexable: {}", other.verdict.reason()));
            }
            let differs = other.page.facts.text.exact != known.page.facts.text.exact;
            (canonical == home.url && differs).then(|| "canonical is the home page, which has another text".to_owned())
        }
        (End::Foreign | End::Unknown, _) => None,
    }
}
