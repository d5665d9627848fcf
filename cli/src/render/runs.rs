//! Runs as a table.

use hermes_core::ports::store::RunListing;

use super::text::{Layout, Paint, clean, columns, cut, duration, fit};

const HEADINGS: [&str; 7] = ["RUN", "ACCEPTED", "STATUS", "SERVICES", "TIME", "PLAN", "DOMAIN"];

/// One line per run under a line of headings; a sentence if there is none.
#[must_use]
pub fn render(runs: &[RunListing], layout: Layout) -> String {
    if runs.is_empty() {
        return "No runs.\n".to_owned();
    }
    let rows: Vec<[String; 7]> = runs.iter().map(row).collect();
    let width = |column: usize| {
        rows.iter().map(|row| columns(&row[column])).chain([columns(HEADINGS[column])]).max().unwrap_or(0)
    };
    let widths: [usize; 7] = std::array::from_fn(width);
    let heading = line(&HEADINGS.map(str::to_owned), &widths, layout);
    let mut out = layout.paint(Paint::Bold, heading.trim_end()) + "\n";
    for row in &rows {
        out.push_str(line(row, &widths, layout).trim_end());
        out.push('\n');
    }
    out
}

fn row(run: &RunListing) -> [String; 7] {
    let summary = &run.summary;
    let again = if run.revision > 1 { format!(" (revision {})", run.revision) } else { String::new() };
    [
        summary.run_id.to_string(),
        // To the second, in UTC: as people compare it with a log.
        run.created_at.to_string().chars().take(19).collect::<String>() + "Z",
        format!("{}{again}", summary.status),
        format!("{}/{}", summary.services_completed, summary.services_total),
        summary.duration_ms.map(duration).unwrap_or_default(),
        summary.plan_id.to_string(),
        clean(summary.domain.as_str()),
    ]
}

fn line(row: &[String; 7], widths: &[usize; 7], layout: Layout) -> String {
    let last = row.len() - 1;
    let fixed: Vec<String> = row[..last].iter().zip(widths).map(|(cell, width)| fit(cell, *width)).collect();
    let used = widths[..last].iter().map(|width| width + 2).sum();
    // A run's id is worth more than a domain's end: it can be copied.
    format!("{}  {}", fixed.join("  "), cut(&row[last], layout.width.saturating_sub(used).max(12)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::fixtures::{plain, settled_run};

    #[test]
    fn runs_are_a_table_with_ids_that_can_be_copied() {
        let run = settled_run();
        let listing = RunListing { created_at: run.summary.started_at, summary: run.summary, revision: 2 };
        let expected = "
RUN                               ACCEPTED              STATUS                  SERVICES  TIME        PLAN         DOMAIN
00000000000000000000000000000001  2025-01-27T10:00:00Z  completed (revision 2)  2/5       2 min 30 s  standard-v1  example.com
";
        assert_eq!(format!("\n{}", render(&[listing], plain(120))), expected);
        assert_eq!(render(&[], plain(80)), "No runs.\n");
    }
}
