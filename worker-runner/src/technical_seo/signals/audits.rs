//! The audits of the home page, as signals.

use serde_json::json;

use super::super::Audit;
use super::super::audits::{self, Audited, Outcome};
use super::super::table::State;
use crate::site::report::{Findings, Report};

pub(super) fn add(report: &mut Report, audit: &Audit) {
    let (Some(response), Some(crawled)) = (&audit.home.response, &audit.crawled) else { return };
    let robots = &audit.home.robots;
    let audited = match &crawled.table.node(crawled.home).state {
        State::Page(page) => audits::of_page(&audit.home.url, page, robots),
        State::Waiting
        | State::Disallowed
        | State::Redirect { .. }
        | State::File
        | State::Status(_)
        | State::Walled
        | State::Failed(_) => audits::of_error(response.status, robots),
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
