//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use hermes_adapters::settings::DatabaseUrl;
use hermes_core::limits::AUDIT_SLACK_MS;
use hermes_core::ports::ranks::RankList;
use hermes_core::{Domain, PlanId, RunId, RunStatus, Timestamp, WebsiteId};
use url::Url;

use crate::bench::Bench;

/// Environment variable that names the server.
pub const SERVER_VARIABLE: &str = "HERMES_SERVER";

/// Diagnoses websites: one command, several services, one answer, by the deadline.
#[derive(Debug, Parser)]
#[command(version, after_help = EXIT_CODES)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// The configuration file; hermes.default.toml is its manual
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

const EXIT_CODES: &str = "Exit codes: 0 done, a run completed with everything; 1 failed; 2 used wrongly; 3 a run completed \
                          with something missing; 124 a run timed out; 130 a run was cancelled";

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run everything in one process: API, engine, workers; data in one folder
    Up(Up),
    /// Diagnose a website and show the diagnosis
    Run(Run),
    /// List runs, the newest first
    Runs(Runs),
    /// Show a run, its services and its diagnosis
    Show(Show),
    /// Write the report of a run: one page to show, print, mail or process
    Report(Report),
    /// Show what changed from one run to another one of the same website
    Diff(Diff),
    /// Cancel a run that is under way
    Cancel(OneRun),
    /// Try again what did not complete in a run, and show the diagnosis
    Rerun(Rerun),
    /// List the plans, or check one
    Plans(Plans),
    /// The rules that diagnoses are made with: check a file, show them, try others on past runs
    #[command(subcommand)]
    Rules(RulesCommand),
    /// Bring the schema of the configured database up to date
    Migrate,
    /// Show the lists of domain ranks that are on this machine, or fetch them
    Data(Data),
    /// Check that all that is stored is as it must be; reads only, also while others write
    Audit(Audit),
    /// Say for each service whether it is ready or what it lacks, and where its values come from
    Doctor(Doctor),
    /// Measure how fast it is: starts a private system of its own, or measures a running one
    Bench(Bench),
}

/// Where the runs are.
#[derive(Args, Clone, Debug)]
pub struct Place {
    /// A running Hermes, such as http://127.0.0.1:5000. Without it: the data folder, through the `hermes up` that has
    /// it open if there is one
    #[arg(long, env = SERVER_VARIABLE, value_name = "URL", value_parser = server)]
    pub server: Option<Url>,
    /// The data folder [default: hermes in $XDG_DATA_HOME or in ~/.local/share]
    #[arg(long, value_name = "PATH")]
    pub data: Option<PathBuf>,
}

/// `hermes up`.
#[derive(Args, Debug)]
pub struct Up {
    /// Address and port of the API [default: 127.0.0.1:5000]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// The data folder [default: hermes in $XDG_DATA_HOME or in ~/.local/share]
    #[arg(long, value_name = "PATH")]
    pub data: Option<PathBuf>,
    /// Let the services reach sites on loopback and private addresses
    #[arg(long)]
    pub allow_private_targets: bool,
}

/// `hermes run`.
#[derive(Args, Debug)]
pub struct Run {
    /// The website: a host such as example.com, or a URL with http:// or https://
    pub site: Domain,
    /// The plan [default: standard-v1]
    #[arg(long, value_name = "PLAN")]
    pub plan: Option<PlanId>,
    /// What you call the website; diagnoses of one website are compared [default: the site]
    #[arg(long, value_name = "ID")]
    pub website_id: Option<WebsiteId>,
    /// Write the run and its diagnosis as JSON to standard output
    #[arg(long)]
    pub json: bool,
    /// Let the services reach sites on loopback and private addresses
    #[arg(long)]
    pub allow_private_targets: bool,
    /// Where the run is kept.
    #[command(flatten)]
    pub place: Place,
}

/// `hermes runs`.
#[derive(Args, Debug)]
pub struct Runs {
    /// Only with this status: started, running, completed, failed, timeout, cancelled
    #[arg(long)]
    pub status: Option<RunStatus>,
    /// Only of this plan
    #[arg(long)]
    pub plan: Option<PlanId>,
    /// Only of this website
    #[arg(long, value_name = "ID")]
    pub website_id: Option<WebsiteId>,
    /// Only for this site, as it was given
    #[arg(long)]
    pub site: Option<String>,
    /// Only accepted at or after this time, such as 2025-01-27T10:00:00Z
    #[arg(long, value_name = "TIME")]
    pub since: Option<Timestamp>,
    /// Only accepted before this time
    #[arg(long, value_name = "TIME")]
    pub until: Option<Timestamp>,
    /// At most so many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=200))]
    pub limit: u16,
    /// Write the page of the API as JSON
    #[arg(long)]
    pub json: bool,
    /// Where to look.
    #[command(flatten)]
    pub place: Place,
}

/// `hermes show`.
#[derive(Args, Debug)]
pub struct Show {
    /// The run's id, or `last` for the newest one
    #[arg(value_name = "RUN", value_parser = which)]
    pub run: Which,
    /// Write the run and its diagnosis as JSON
    #[arg(long)]
    pub json: bool,
    /// Where to look.
    #[command(flatten)]
    pub place: Place,
}

/// `hermes report`.
#[derive(Args, Debug)]
pub struct Report {
    /// The run's id, or `last` for the newest one
    #[arg(value_name = "RUN", value_parser = which)]
    pub run: Which,
    /// The file to write; `-` writes to standard output [default: report.html, or as --format says]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// The form [default: what the file's name ends with, else html]
    #[arg(long, value_enum)]
    pub format: Option<ReportFormat>,
    /// An earlier revision of the run [default: the current one]
    #[arg(long, value_name = "NUMBER")]
    pub revision: Option<u32>,
    /// The diagnosis as it was before late results amended it: 1 for the first [default: as it is now]
    #[arg(long, value_name = "NUMBER")]
    pub edition: Option<u32>,
    /// Where to look.
    #[command(flatten)]
    pub place: Place,
}

/// The forms of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// One self-contained page.
    Html,
    /// Markdown, for tickets.
    Md,
    /// Everything, for programs.
    Json,
    /// The page on paper; needs a local Chromium.
    Pdf,
}

impl ReportFormat {
    /// What its files end with.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Html => "html",
            Self::Md => "md",
            Self::Json => "json",
            Self::Pdf => "pdf",
        }
    }
}

/// `hermes diff`.
#[derive(Args, Debug)]
pub struct Diff {
    /// The earlier run's id
    #[arg(value_name = "EARLIER", value_parser = which)]
    pub from: Which,
    /// The later run's id, or `last` for the newest one
    #[arg(value_name = "LATER", value_parser = which)]
    pub to: Which,
    /// Write the difference as JSON
    #[arg(long)]
    pub json: bool,
    /// Where to look.
    #[command(flatten)]
    pub place: Place,
}

/// `hermes cancel`.
#[derive(Args, Debug)]
pub struct OneRun {
    /// The run's id, or `last` for the newest one
    #[arg(value_name = "RUN", value_parser = which)]
    pub run: Which,
    /// Where to look.
    #[command(flatten)]
    pub place: Place,
}

/// `hermes rerun`.
#[derive(Args, Debug)]
pub struct Rerun {
    /// The run's id, or `last` for the newest one
    #[arg(value_name = "RUN", value_parser = which)]
    pub run: Which,
    /// Write the run and its diagnosis as JSON to standard output
    #[arg(long)]
    pub json: bool,
    /// Let the services reach sites on loopback and private addresses
    #[arg(long)]
    pub allow_private_targets: bool,
    /// Where to look.
    #[command(flatten)]
    pub place: Place,
}

/// `hermes plans`.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Plans {
    /// Instead of listing.
    #[command(subcommand)]
    pub command: Option<PlansCommand>,
    /// Where to look.
    #[command(flatten)]
    pub place: Place,
}

/// `hermes plans validate`.
#[derive(Debug, Subcommand)]
pub enum PlansCommand {
    /// Check a plan and tell everything that is wrong with it
    Validate {
        /// The file, YAML or JSON; `-` reads standard input
        file: PathBuf,
    },
}

/// `hermes data`.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Data {
    /// Instead of showing.
    #[command(subcommand)]
    pub command: Option<DataCommand>,
    /// The data folder [default: hermes in $XDG_DATA_HOME or in ~/.local/share]
    #[arg(long, value_name = "PATH")]
    pub data: Option<PathBuf>,
}

/// `hermes data update`.
#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// Fetch the lists: the head of Common Crawl's domain ranks, the Majestic Million
    Update {
        /// Only this one: common-crawl, majestic
        #[arg(long, value_name = "LIST", value_parser = rank_list)]
        list: Option<RankList>,
        /// The data folder [default: hermes in $XDG_DATA_HOME or in ~/.local/share]
        #[arg(long, value_name = "PATH")]
        data: Option<PathBuf>,
    },
}

/// `hermes rules`.
#[derive(Debug, Subcommand)]
pub enum RulesCommand {
    /// Check a file of rules and tell everything that is wrong with it
    Check {
        /// The file [default: the one of the settings, else the shipped rules]
        file: Option<PathBuf>,
    },
    /// List the rules, or show one rule or signal
    Show {
        /// Id of a rule, such as IDX-001, or of a signal, such as tech.soft_404
        id: Option<String>,
    },
    /// Tell what rules would have said about past runs; reads only
    Test(RulesTest),
}

/// `hermes rules test`.
#[derive(Args, Debug)]
pub struct RulesTest {
    /// Runs that were accepted at or after this time, such as 2025-01-27T10:00:00Z
    #[arg(long, value_name = "TIME")]
    pub since: Timestamp,
    /// And before this time
    #[arg(long, value_name = "TIME")]
    pub until: Option<Timestamp>,
    /// The rules [default: those of the settings, else the shipped ones]
    #[arg(long, value_name = "FILE")]
    pub rules: Option<PathBuf>,
    /// At most so many runs, the newest first
    #[arg(long, value_name = "RUNS")]
    pub limit: Option<usize>,
    /// The database, such as sqlite:/path/hermes.db [default: the file of the data folder, else database.url]
    #[arg(long, value_name = "URL", value_parser = DatabaseUrl::parse)]
    pub database: Option<DatabaseUrl>,
    /// The data folder [default: hermes in $XDG_DATA_HOME or in ~/.local/share]
    #[arg(long, value_name = "PATH", conflicts_with = "database")]
    pub data: Option<PathBuf>,
    /// Write the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// `hermes audit`.
#[derive(Args, Debug)]
pub struct Audit {
    /// The database, such as sqlite:/path/hermes.db [default: database.url of the settings]
    #[arg(long, value_name = "URL", value_parser = DatabaseUrl::parse)]
    pub database: Option<DatabaseUrl>,
    /// Begin after this run: the last one that an earlier audit told
    #[arg(long, value_name = "RUN")]
    pub after: Option<RunId>,
    /// At most so many runs
    #[arg(long, value_name = "RUNS", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// Milliseconds that something may come later than it is due
    #[arg(long, value_name = "MS", default_value_t = AUDIT_SLACK_MS)]
    pub slack_ms: u64,
    /// Write the result as one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `hermes doctor`.
#[derive(Args, Debug)]
pub struct Doctor {
    /// The shipped plan whose required services must be ready [default: standard-v1]
    #[arg(long, value_name = "PLAN")]
    pub plan: Option<PlanId>,
    /// Look at the database and the Redis of a fleet instead of the data folder
    #[arg(long)]
    pub fleet: bool,
    /// The data folder [default: hermes in $XDG_DATA_HOME or in ~/.local/share]
    #[arg(long, value_name = "PATH", conflicts_with = "fleet")]
    pub data: Option<PathBuf>,
    /// Write what was found as JSON
    #[arg(long)]
    pub json: bool,
}

/// Names a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The newest one.
    Last,
    /// This one.
    Id(RunId),
}

fn which(text: &str) -> Result<Which, String> {
    if text == "last" {
        return Ok(Which::Last);
    }
    text.parse().map(Which::Id).map_err(|_| "a run id has 32 hexadecimal digits; `hermes runs` lists them".to_owned())
}

fn rank_list(text: &str) -> Result<RankList, String> {
    let named = RankList::ALL.into_iter().find(|list| list.as_str() == text);
    named.ok_or_else(|| format!("the lists are {}", RankList::ALL.map(RankList::as_str).join(", ")))
}

fn server(text: &str) -> Result<Url, String> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
        Ok(_) | Err(_) => Err("write a URL such as http://127.0.0.1:5000".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn wrong_use_is_refused_before_anything_happens() {
        let refused = |line: &str| Arguments::try_parse_from(line.split(' ')).is_err();
        for line in [
            "hermes",
            "hermes run",
            "hermes run ftp://example.com",
            "hermes run example.com --plan a,b",
            "hermes run example.com --server 127.0.0.1:5000",
            "hermes show 7",
            "hermes report",
            "hermes diff last",
            "hermes report last --format doc",
            "hermes runs --status done",
            "hermes runs --limit 0",
            "hermes up --listen here",
            "hermes audit --database mysql://x/y",
            "hermes audit --after 7",
            "hermes audit --limit 0",
            "hermes data update --list alexa",
            "hermes bench X",
            "hermes bench T --url http://127.0.0.1:5000 --embedded",
            "hermes bench --batch 0",
        ] {
            assert!(refused(line), "{line}");
        }
        assert!(!refused("hermes plans validate plan.yaml"));
        assert!(refused("hermes rules test") && refused("hermes rules test --since yesterday"));
        assert!(!refused("hermes rules test --since 2026-01-01T00:00:00Z --rules own.yaml"));
        assert!(!refused("hermes show last --json"));
        assert!(!refused("hermes report last -o - --format md"));
        assert!(!refused("hermes data --data /tmp"));
        assert!(!refused("hermes data update --list majestic --data /tmp"));
        assert!(!refused("hermes bench t L c --seconds 5"));
        assert!(!refused("hermes audit --database sqlite:hermes.db --limit 5 --json"));
    }
}
