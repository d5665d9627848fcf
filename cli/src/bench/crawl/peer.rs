//! SiteOne Crawler over the same site, where it is installed: the comparable product (`cargo install siteone-crawler`).
//!
//! It gets what lets it be quick: no limit on its pace, no assets, no cache on the disk, no reports in files. Its pages
//! are those that nginx answered with.

use std::num::NonZeroUsize;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::process::Command;

use super::web::Web;
use crate::bench::processes::peak_memory_mb;
use crate::bench::report::Figures;
use crate::bench::servers::find;
use crate::output;

const PROGRAM: &str = "siteone-crawler";
/// Workers: with more it was no faster on two cores.
const WORKERS: usize = 4;
const OPTIONS: [&str; 11] = [
    "--max-reqs-per-sec=100000",
    "--max-visited-urls=20000",
    "--max-queue-length=50000",
    "--timeout=15",
    "--disable-all-assets",
    "--no-cache",
    "--no-color",
    "--hide-progress-bar",
    "--output-html-report=",
    "--output-json-file=",
    "--output-text-file=",
];
/// Between two looks at its memory. The system keeps the peak, so this only must see it before its end.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Adds its figures, or says that it is not there.
pub(super) async fn measure(
    folder: &Path,
    web: &Web,
    crawls: NonZeroUsize,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let Some(program) = find(&[PROGRAM]) else {
        output::note(&format!("crawl: there is no {PROGRAM} in PATH to compare with"));
        figures.about("siteone", "not installed");
        return Ok(());
    };
    output::note("crawl: SiteOne Crawler …");
    let (mut rates, mut peaks) = (Vec::new(), Vec::new());
    for _ in 0..crawls.get() {
        let before = web.served()?;
        let mut command = Command::new(&program);
        command.arg(format!("--url={}", web.url())).arg(format!("--workers={WORKERS}")).args(OPTIONS);
        command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let begun = Instant::now();
        let mut child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
        let pid = child.id().context("it was just started")?;
        let mut peak = 0.0_f64;
        // Its exit code judges the site, and says nothing about the crawl.
        while child.try_wait()?.is_none() {
            peak = peak.max(peak_memory_mb(pid).unwrap_or_default());
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let seconds = begun.elapsed().as_secs_f64();
        let pages = web.served()?.since(before).pages;
        anyhow::ensure!(pages > 0, "{PROGRAM} has read no page");
        #[expect(clippy::cast_precision_loss, reason = "a count of pages is far below 2^52")]
        rates.push(pages as f64 / seconds);
        peaks.push(peak);
    }
    for values in [&mut rates, &mut peaks] {
        values.sort_by(f64::total_cmp);
    }
    let (middle, last) = ((rates.len() - 1) / 2, rates.len() - 1);
    figures.add("siteone_pages_per_s", rates[middle], "pages per second of SiteOne Crawler over the site, median");
    figures.add("siteone_pages_per_s_least", rates[0], "the least of them");
    figures.add("siteone_pages_per_s_most", rates[last], "the most of them");
    figures.add("siteone_peak_memory_mb", peaks[middle], "MB of memory at its peak (resident), median");
    Ok(())
}
