//! The command line of `hermes bench`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use url::Url;

/// What can be measured; `docs/performance.md` says what each figure means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Figure {
    /// Throughput: settled runs per second, submitted in batches
    #[value(name = "T")]
    Throughput,
    /// Throughput with one POST for each run
    #[value(name = "T1")]
    SinglePosts,
    /// Latency: one run at a time, from the POST to its summary
    #[value(name = "L")]
    Latency,
    /// Fan-out: one run of a thousand services and a join
    #[value(name = "F")]
    FanOut,
    /// Cost: processor time, memory, log and rows written, commands of Redis, taken during T
    #[value(name = "C")]
    Cost,
    /// History: how fast lists and pages are read, with the settled runs that --history loads
    #[value(name = "H")]
    History,
    /// Quiet: the first run after nothing happened for --quiet seconds
    #[value(name = "Q")]
    Quiet,
    /// Overload: three times the throughput is submitted, whatever the answers
    #[value(name = "O")]
    Overload,
    /// Scale: throughput with 1, 2, 4 worker-runners and 1, 2, 3 dispatchers, each on a new private system
    #[value(name = "S")]
    Scale,
    /// Crawl: pages per second, memory and processor time of technical-seo, over sites that nginx serves here
    #[value(name = "crawl")]
    Crawl,
}

/// `hermes bench`.
#[derive(Args, Debug)]
pub struct Bench {
    /// What to measure
    #[arg(value_name = "FIGURE", value_enum, ignore_case = true, default_values = ["T", "L", "F"])]
    pub figures: Vec<Figure>,
    /// A running Hermes, instead of a private one; its store keeps the runs of the benchmark
    #[arg(long, value_name = "URL", conflicts_with_all = ["embedded", "dispatchers", "worker_runners", "data"])]
    pub url: Option<Url>,
    /// One process over SQLite, as `hermes up` is, instead of Postgres, Redis, dispatcher and worker-runner
    #[arg(long, conflicts_with_all = ["dispatchers", "worker_runners"])]
    pub embedded: bool,
    /// Dispatchers of the private system
    #[arg(long, value_name = "N", default_value = "1")]
    pub dispatchers: NonZeroUsize,
    /// Worker-runners of the private system
    #[arg(long, value_name = "N", default_value = "1")]
    pub worker_runners: NonZeroUsize,
    /// Where the private system keeps its data while it is measured: on the disk that is to be measured
    #[arg(long, value_name = "FOLDER", default_value_os_t = std::env::temp_dir())]
    pub data: PathBuf,
    /// How long throughput is measured
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub seconds: u64,
    /// How long it goes on before that
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    pub warm_up: u64,
    /// Submit so many runs at once and count until the last has settled, instead of measuring a steady state
    #[arg(long, value_name = "RUNS")]
    pub backlog: Option<NonZeroUsize>,
    /// Load so many settled runs into the private Postgres before anything is measured
    #[arg(long, value_name = "RUNS", conflicts_with_all = ["url", "embedded"])]
    pub history: Option<NonZeroUsize>,
    /// Runs per second that O submits [default: three times T]
    #[arg(long, value_name = "RUNS")]
    pub rate: Option<NonZeroUsize>,
    /// Runs that are open at the same time, at most
    #[arg(long, value_name = "RUNS", default_value = "2000")]
    pub open: NonZeroUsize,
    /// Runs in one batch of submissions
    #[arg(long, value_name = "RUNS", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub batch: u16,
    /// Connections that submit at the same time
    #[arg(long, value_name = "N", default_value = "4")]
    pub clients: NonZeroUsize,
    /// Connections that submit one run each time, for T1
    #[arg(long, value_name = "N", default_value = "64")]
    pub single_clients: NonZeroUsize,
    /// Runs whose latency is measured
    #[arg(long, value_name = "RUNS", default_value = "2000")]
    pub runs: NonZeroUsize,
    /// Services that the run of F fans out to
    #[arg(long, value_name = "SERVICES", default_value_t = 1000, value_parser = clap::value_parser!(u16).range(1..=1023))]
    pub width: u16,
    /// Runs of F, of which the median is given
    #[arg(long, value_name = "RUNS", default_value = "11")]
    pub wide_runs: NonZeroUsize,
    /// How long nothing happens before the run of Q
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    pub quiet: u64,
    /// What is crawled.
    #[command(flatten)]
    pub crawl: CrawlOptions,
    /// Write one line of JSON to standard output, and the table to standard error
    #[arg(long)]
    pub json: bool,
}

/// What the figure `crawl` reads.
#[derive(Args, Debug)]
pub struct CrawlOptions {
    /// The folder of the site that `crawl` reads: that of Debian's package python3.11-doc, unless you name another one
    #[arg(long, value_name = "FOLDER", default_value = "/usr/share/doc/python3.11/html")]
    pub site: PathBuf,
    /// Crawls of each site, of which the median is given
    #[arg(long, value_name = "N", default_value = "3")]
    pub crawls: NonZeroUsize,
    /// Pages of the made-up site that shows how memory grows [default: ten times those of --site]
    #[arg(long, value_name = "PAGES", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub made_pages: Option<u16>,
    /// Links of the made-up site
    #[arg(long, value_name = "LINKS", default_value_t = 1_000_000)]
    pub made_links: u32,
}

impl Bench {
    /// Whether anything is wanted that is measured on the system that the options describe.
    #[must_use]
    pub fn wants_one_system(&self) -> bool {
        self.figures.iter().any(|figure| !matches!(figure, Figure::Scale | Figure::Crawl))
    }

    /// Whether `figure` is wanted.
    #[must_use]
    pub fn wants(&self, figure: Figure) -> bool {
        self.figures.contains(&figure)
    }
}
