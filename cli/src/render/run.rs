//! A run with a line per service: while it goes on, and afterwards.

use hermes_core::ServiceStatus;
use hermes_core::run::Waiting;

use super::text::{Layout, Paint, clean, cut, duration, fit};
use crate::client::{RunView, ServiceView};

/// Columns of a service's name, at most.
const NAME_COLUMNS_MAX: usize = 32;
/// Columns of the word for a status: `cancelled`.
const STATUS_COLUMNS: usize = 9;
/// Columns of a time.
const TIME_COLUMNS: usize = 12;

/// One line about the run as a whole.
#[must_use]
pub fn headline(run: &RunView, elapsed_ms: Option<u64>, layout: Layout) -> String {
    let summary = &run.summary;
    let again = if run.revision > 1 { format!(", revision {}", run.revision) } else { String::new() };
    let time = elapsed_ms.or(summary.duration_ms).map(|ms| format!(", {}", duration(ms))).unwrap_or_default();
    // What is cut on a narrow terminal is what the user knows: the site.
    let text = format!("run {}{again}: {}{time} · {} · {}", run.run_id, run.status, summary.plan_id, summary.domain);
    layout.paint(Paint::Bold, &cut(&clean(&text), layout.width))
}

/// A line per service, without line ends. `elapsed_ms` gives the time of a service that is under way.
#[must_use]
pub fn service_lines(
    services: &[ServiceView],
    elapsed_ms: impl Fn(usize) -> Option<u64>,
    layout: Layout,
) -> Vec<String> {
    let longest = services.iter().map(|service| super::text::columns(&clean(&service.display_name))).max();
    let name_columns = longest.unwrap_or(0).min(NAME_COLUMNS_MAX);
    let line = |(position, service): (usize, &ServiceView)| {
        let (mark, paint) = mark(service.status);
        let time = service.duration_ms.or_else(|| elapsed_ms(position)).map(duration).unwrap_or_default();
        let fixed = 4 + name_columns + 2 + STATUS_COLUMNS + TIME_COLUMNS + 2;
        let detail = cut(&clean(&detail(service)), layout.width.saturating_sub(fixed));
        let line = format!(
            "  {} {}  {}{time:>TIME_COLUMNS$}  {}",
            layout.paint(paint, mark),
            fit(&clean(&service.display_name), name_columns),
            layout.paint(paint, &fit(service.status.as_str(), STATUS_COLUMNS)),
            layout.paint(Paint::Dim, &detail),
        );
        line.trim_end().to_owned()
    };
    services.iter().enumerate().map(line).collect()
}

/// One line for a log: what has just become of a service.
#[must_use]
pub fn event_line(service: &ServiceView) -> String {
    let (mark, _) = mark(service.status);
    let time = service.duration_ms.map(|ms| format!(" in {}", duration(ms))).unwrap_or_default();
    let detail = detail(service);
    let colon = if detail.is_empty() { "" } else { ": " };
    clean(&format!("{mark} {} {}{time}{colon}{detail}", service.service, service.status))
}

const fn mark(status: ServiceStatus) -> (&'static str, Paint) {
    match status {
        ServiceStatus::Pending | ServiceStatus::Queued => ("·", Paint::Dim),
        ServiceStatus::Running => ("▸", Paint::Cyan),
        ServiceStatus::Completed => ("✓", Paint::Green),
        ServiceStatus::Failed => ("✗", Paint::Red),
        ServiceStatus::Timeout => ("⏱", Paint::Red),
        ServiceStatus::Skipped | ServiceStatus::Cancelled => ("-", Paint::Yellow),
    }
}

/// What explains the status: an error, or what the service waits for.
fn detail(service: &ServiceView) -> String {
    let error = service.error.clone().unwrap_or_default();
    match &service.waiting {
        Some(Waiting::Dependencies { services }) => {
            let names: Vec<String> = services.iter().map(ToString::to_string).collect();
            format!("waits for {}", names.join(", "))
        }
        Some(Waiting::Retry { .. }) => {
            format!("attempt {} of {} failed: {error}", service.attempt, service.max_attempts)
        }
        Some(Waiting::Worker { worker_key, .. }) => format!("waits for a worker of {worker_key}"),
        Some(Waiting::Result { by_callback: true, .. }) => "its worker will deliver the result later".to_owned(),
        Some(Waiting::Result { by_callback: false, .. }) if service.attempt > 1 => {
            format!("attempt {} of {}", service.attempt, service.max_attempts)
        }
        Some(Waiting::Result { by_callback: false, .. }) => String::new(),
        None => match (&service.caused_by, service.status) {
            (_, ServiceStatus::Completed) => String::new(),
            (Some(cause), _) => format!("{error} ({cause})"),
            (None, _) => error,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::fixtures::{plain, run_under_way, settled_run};

    #[test]
    fn a_run_under_way_shows_what_each_service_does_or_waits_for() {
        let run = run_under_way();
        let lines = service_lines(&run.services, |position| (position == 1).then_some(12_345), plain(90));
        let expected = "
  ✓ SERP & Keyword Intelligence  completed      45.0 s
  ▸ Technical SEO                running        12.3 s
  · Domain Authority             pending                attempt 1 of 3 failed: 503 from t…
  · Competitive Intelligence     queued                 waits for a worker of competitive…
  · Core Web Vitals              pending                waits for technical-seo";
        assert_eq!(format!("\n{}", lines.join("\n")), expected);
        assert_eq!(
            headline(&run, Some(61_000), plain(90)),
            "run 00000000000000000000000000000001: running, 1 min 01 s · standard-v1 · example.com"
        );
    }

    #[test]
    fn a_settled_run_shows_why_something_is_missing() {
        let lines = service_lines(&settled_run().services, |_| None, plain(110));
        let expected = "
  ✗ SERP & Keyword Intelligence  failed          0.0 s  Worker config invalid: No API key found
  ✓ Technical SEO                completed      42.0 s
  ⏱ Domain Authority             timeout        30.0 s  no answer within 30000 ms
  - Competitive Intelligence     skipped                Dependencies failed or timed out (serp-intelligence)
  ✓ Core Web Vitals              completed       1.2 s";
        assert_eq!(format!("\n{}", lines.join("\n")), expected);
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for width in [60, 80, 100] {
            for line in service_lines(&settled_run().services, |_| Some(1), plain(width)) {
                assert!(super::super::text::columns(&line) <= width, "{line}");
            }
        }
    }

    #[test]
    fn without_a_terminal_a_change_is_one_line() {
        let lines: Vec<String> = settled_run().services.iter().map(event_line).collect();
        assert_eq!(lines[0], "✗ serp-intelligence failed in 0.0 s: Worker config invalid: No API key found");
        assert_eq!(lines[1], "✓ technical-seo completed in 42.0 s");
    }
}
