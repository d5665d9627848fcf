//! The audits of the home page, as signals.

use serde_json::json;

use super::super::Audit;
use super::super::audits::{self, Audited, Outcome};
use super::super::table::State;
use crate::site::report::{Findings, Report};

/// Says of all audits but that of robots.txt why they are missing.
pub(super) fn unread(report: &mut Report, why: &str) {
    for id in audits::of_a_page_that_is_read() {
        report.unknown(id, why);
    }
}

pub(super) fn add(report: &mut Report, audit: &Audit) {
    let robots = &audit.home.robots;
    let state = audit.crawled.as_ref().map(|crawled| &crawled.table.node(crawled.home).state);
    let audited = match (&audit.home.response, state) {
        (_, Some(State::Page(page))) => audits::of_page(&audit.home.url, page, robots),
        (Some(response), _) => audits::of_error(response.status, robots),
        (None, _) => audits::of_unread(robots),
    };
    for Audited { signal, outcome, items, details } in audited {
        let mut found = Findings::new();
        for detail in details {
            found.add(&audit.home.url, || detail);
        }
        found.and_more(items);
        let n = (outcome != Outcome::NotApplicable).then_some(1);
        report.push(signal, json!(outcome.as_str()), n, found);
    }
}
