//! The home page, robots.txt, `https`, and the addresses of the site.

use hermes_core::ports::http::Response;
use serde_json::json;

use super::super::Audit;
use super::super::table::State;
use crate::site::report::{Findings, Report};
use crate::site::robots::ERRORS_MAX;

pub(super) fn add(report: &mut Report, audit: &Audit) {
    robots(report, audit);
    home(report, audit);
    https(report, audit);
    probes(report, audit);
    if let Some((url, error)) = &audit.home.passed_over {
        report.warn("seed_passed_over", format!("{url} was not used: {error}"));
    }
}

fn robots(report: &mut Report, audit: &Audit) {
    let robots = &audit.home.robots;
    report.fact("tech.robots_status", robots.status);
    report.fact("tech.robots_blocks_all", robots.status < 500 && robots.blocks_all(&audit.home.url));
    if (200..=299).contains(&robots.status) {
        let mut errors = Findings::new();
        for error in &robots.errors {
            errors.add(&robots.url, || format!("line {}: {}", error.line, error.problem));
        }
        if robots.errors.len() == ERRORS_MAX {
            errors.and_more(robots.wrong_lines as u64);
        }
        report.push("tech.robots_syntax_errors", json!(errors.total()), None, errors);
        report.fact("tech.robots_size_bytes", robots.bytes as u64);
    } else if (400..=499).contains(&robots.status) {
        for id in ["tech.robots_syntax_errors", "tech.robots_size_bytes"] {
            report.none_of(id, "there is no robots.txt");
        }
    }
}

fn home(report: &mut Report, audit: &Audit) {
    let home = &audit.home;
    let mut reason = Findings::new();
    let is_blocked = home.robots.status < 500 && !home.robots.allows_googlebot(&home.url);
    let Some(response) = &home.response else {
        if is_blocked {
            reason.add(&home.url, || "robots.txt forbids Googlebot to read it".to_owned());
            report.push("tech.home_indexable", json!(false), None, reason);
        }
        return;
    };
    report.fact("tech.home_status", response.status);
    let page = audit.crawled.as_ref().and_then(|crawled| match &crawled.table.node(crawled.home).state {
        State::Page(page) => Some(page),
        State::Waiting
        | State::Disallowed
        | State::Redirect { .. }
        | State::File
        | State::Status(_)
        | State::Walled
        | State::Failed(_) => None,
    });
    let problem = match page {
        _ if is_blocked => Some("robots.txt forbids Googlebot to read it".to_owned()),
        _ if !(200..=299).contains(&response.status) => Some(format!("HTTP {}", response.status)),
        // A canonical elsewhere is judged by the signals about canonicals, as it does not forbid anything.
        Some(page) => page.noindex(),
        None => Some("it is no HTML page".to_owned()),
    };
    if let Some(problem) = &problem {
        reason.add(&home.url, || problem.clone());
    }
    report.push("tech.home_indexable", json!(problem.is_none()), None, reason);
}

fn https(report: &mut Report, audit: &Audit) {
    let is_https = audit.home.url.scheme() == "https";
    report.fact("tech.https", is_https);
    if let (true, Some(response)) = (is_https, &audit.home.response) {
        report.fact("tech.hsts", has_hsts(response));
    }
    if audit.home.url.port().is_some() {
        report.none_of("tech.http_redirects_to_https", "the address names a port, which has no counterpart for http");
    }
}

/// Whether the header is there with an age above zero: an age of zero takes the promise back.
fn has_hsts(response: &Response) -> bool {
    let Some(value) = response.header("strict-transport-security") else { return false };
    value.split(';').any(|directive| {
        let Some((name, age)) = directive.split_once('=') else { return false };
        name.trim().eq_ignore_ascii_case("max-age")
            && age.trim().trim_matches('"').parse::<u64>().is_ok_and(|seconds| seconds > 0)
    })
}

fn probes(report: &mut Report, audit: &Audit) {
    let probes = &audit.probes;
    for (id, found) in [
        ("tech.soft_404", &probes.soft_404),
        ("tech.http_redirects_to_https", &probes.http_redirects),
        ("tech.duplicate_hosts", &probes.other_host),
    ] {
        if let Some((value, detail)) = found {
            let mut evidence = Findings::new();
            evidence.add(&audit.home.url, || detail.clone());
            report.push(id, json!(value), None, evidence);
        }
    }
}
