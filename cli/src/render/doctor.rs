//! What the doctor says, for people.

use super::text::{Layout, Paint, clean, columns, fit, wrap};
use crate::doctor::{Check, Report, ServiceReport};

/// Between two columns.
const GAP: usize = 2;
/// Widest column of names; longer ones are cut.
const NAME_WIDTH_MAX: usize = 32;

/// Services, values, the ground, and one line that says whether all is well.
#[must_use]
pub fn render(report: &Report, layout: Layout) -> String {
    let names = report.services.iter().map(|service| service.service.as_str());
    let names = names.chain(report.values.iter().map(|value| value.name.as_str()));
    let width = names.chain(report.ground.iter().map(|check| check.name.as_str())).map(columns).max().unwrap_or(0);
    let width = width.min(NAME_WIDTH_MAX);
    let mut out = heading("Services", layout);
    for service in &report.services {
        out.push_str(&service_lines(service, width, layout));
    }
    out.push_str(&heading("\nValues", layout));
    if report.values.is_empty() {
        out.push_str("  none is set: neither external workers nor providers are configured\n");
    }
    for value in &report.values {
        let lead = format!("  {}{}", fit(&value.name, width), " ".repeat(GAP));
        out.push_str(&wrap(&format!("from {}", value.source), &lead, layout.width));
    }
    out.push_str(&heading("\nGround", layout));
    for check in &report.ground {
        out.push_str(&line(&check.name, check.is_well, true, &check.detail, width, layout));
    }
    out.push('\n');
    out.push_str(&verdict(report, layout));
    out
}

fn heading(text: &str, layout: Layout) -> String {
    let blank = if text.starts_with('\n') { "\n" } else { "" };
    format!("{blank}{}\n", layout.paint(Paint::Bold, text.trim_start()))
}

fn service_lines(service: &ServiceReport, width: usize, layout: Layout) -> String {
    let mut out = line(&service.service, service.is_ready, service.required, &service.detail, width, layout);
    let indent = " ".repeat(2 + width + GAP + STATE_WIDTH + GAP);
    for Check { name, detail, .. } in &service.checks {
        out.push_str(&wrap(&format!("{name}: {}", clean(detail)), &indent, layout.width));
    }
    out
}

/// Columns of `not ready`.
const STATE_WIDTH: usize = 9;

fn line(name: &str, is_well: bool, is_required: bool, detail: &str, width: usize, layout: Layout) -> String {
    let (state, paint) = match (is_well, is_required) {
        (true, _) => ("ready", Paint::Green),
        (false, true) => ("not ready", Paint::Red),
        (false, false) => ("not ready", Paint::Yellow),
    };
    let gap = " ".repeat(GAP);
    // Painted after it is wrapped: the codes have no width.
    let plain = format!("  {}{gap}{}{gap}", fit(name, width), fit(state, STATE_WIDTH));
    let optional = if is_required { "" } else { " (optional)" };
    let wrapped = wrap(&format!("{}{optional}", clean(detail)), &plain, layout.width);
    wrapped.replacen(&fit(state, STATE_WIDTH), &layout.paint(paint, &fit(state, STATE_WIDTH)), 1)
}

fn verdict(report: &Report, layout: Layout) -> String {
    let plan = &report.plan_id;
    if report.is_ready {
        return wrap(&format!("Everything that {plan} requires is ready."), "", layout.width);
    }
    let services = report.services.iter().filter(|service| service.required && !service.is_ready);
    let mut missing: Vec<&str> = services.map(|service| service.service.as_str()).collect();
    missing.extend(report.ground.iter().filter(|check| !check.is_well).map(|check| check.name.as_str()));
    let text = format!(
        "Not ready for {plan}: {}. A run completes all the same, and says what is missing.",
        missing.join(", ")
    );
    wrap(&text, "", layout.width)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::ValueReport;

    fn report(is_ready: bool) -> Report {
        let service = |name: &str, required, is_ready, detail: &str, checks: &[(&str, bool, &str)]| ServiceReport {
            service: name.to_owned(),
            worker_key: "key".to_owned(),
            required,
            is_ready,
            detail: detail.to_owned(),
            checks: checks.iter().map(|(name, is_well, detail)| check(name, *is_well, detail)).collect(),
        };
        let services = vec![
            service("technical-seo", true, true, "built in", &[]),
            service(
                "serp-intelligence",
                true,
                is_ready,
                "external worker https://worker.example/api",
                &[("/health", is_ready, "well, version 1.2\u{1b}[31m")],
            ),
            service(
                "domain-authority",
                false,
                false,
                "Worker backlink_authority is not configured: set BACKLINK_AUTHORITY_BASE_URL and BACKLINK_AUTHORITY_API_KEY",
                &[],
            ),
        ];
        let values =
            vec![ValueReport { name: "SERP_INTEL_API_KEY".to_owned(), source: "file /run/secrets/serp".to_owned() }];
        Report::new("standard-v1".to_owned(), services, values, vec![check("data folder", true, "/data")])
    }

    fn check(name: &str, is_well: bool, detail: &str) -> Check {
        Check { name: name.to_owned(), is_well, detail: detail.to_owned() }
    }

    #[test]
    fn a_report_is_aligned_and_says_what_is_missing_and_where_values_came_from() {
        let text = render(&report(false), Layout { width: 80, colour: false });
        let expected = "\
Services
  technical-seo       ready      built in
  serp-intelligence   not ready  external worker https://worker.example/api
                                 /health: well, version 1.2 [31m
  domain-authority    not ready  Worker backlink_authority is not configured:
                                 set BACKLINK_AUTHORITY_BASE_URL and
                                 BACKLINK_AUTHORITY_API_KEY (optional)

Values
  SERP_INTEL_API_KEY  from file /run/secrets/serp

Ground
  data folder         ready      /data

Not ready for standard-v1: serp-intelligence. A run completes all the same, and
says what is missing.
";
        assert_eq!(text, expected);
    }

    #[test]
    fn what_is_optional_does_not_spoil_the_verdict() {
        let text = render(&report(true), Layout { width: 80, colour: true });
        assert!(text.ends_with("\nEverything that standard-v1 requires is ready.\n"), "{text}");
        assert!(text.contains("\u{1b}[33mnot ready\u{1b}[0m  Worker backlink_authority"), "{text}");
    }
}
