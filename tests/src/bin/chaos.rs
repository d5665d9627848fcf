//! `hermes-chaos`: a fleet under faults, checked. See `scripts/chaos`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use hermes_tests::chaos::{self, Options, fault, options};

/// Lets a fleet run under every fault that a seed thinks of, and checks what was promised.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Where all chance comes from
    #[arg(long, default_value_t = options::SEED)]
    seed: u64,
    /// The long form: 10,000 runs, half an hour of faults
    #[arg(long)]
    long: bool,
    /// Runs, if not as many as the form has
    #[arg(long)]
    runs: Option<u32>,
    /// Seconds of faults, if not as many as the form has
    #[arg(long)]
    seconds: Option<u64>,
    /// Only these kinds of faults, with commas
    #[arg(long, value_delimiter = ',')]
    only: Vec<fault::Kind>,
    /// Milliseconds of the lease
    #[arg(long)]
    lease_ms: Option<u64>,
    /// A folder with the programs of an older build: all processes begin as these, and take turns with the current ones
    #[arg(long, conflicts_with = "embedded")]
    old_binaries: Option<PathBuf>,
    /// Where reports, logs and journals go
    #[arg(long, default_value = "target/chaos")]
    out: PathBuf,
    /// The all-in-one process over SQLite instead of a fleet
    #[arg(long)]
    embedded: bool,
    /// With --embedded: how often it is killed
    #[arg(long, default_value_t = 20, requires = "embedded")]
    kills: u32,
    /// Only print the schedule of the seed
    #[arg(long)]
    schedule: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.embedded {
        return embedded(&arguments).await;
    }
    let mut chosen = if arguments.long { Options::long(arguments.seed) } else { Options::short(arguments.seed) };
    if !arguments.only.is_empty() {
        chosen = chosen.only(&arguments.only);
    }
    chosen.runs = arguments.runs.unwrap_or(chosen.runs);
    chosen.span = arguments.seconds.map_or(chosen.span, Duration::from_secs);
    chosen.lease = arguments.lease_ms.map_or(chosen.lease, Duration::from_millis);
    chosen.old_binaries.clone_from(&arguments.old_binaries);
    for planned in fault::schedule(chosen.seed, chosen.span, chosen.lease, &chosen.quotas) {
        println!("{:>8.3} s  {:?} for {} ms", planned.at.as_secs_f64(), planned.fault, planned.lasts.as_millis());
    }
    if arguments.schedule {
        return ExitCode::SUCCESS;
    }
    let folder = arguments.out.join(format!("seed-{}", chosen.seed));
    let report = chaos::run(&chosen, &folder).await;
    println!("\n{report}\n{}", folder.display());
    if report.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn embedded(arguments: &Arguments) -> ExitCode {
    let folder = arguments.out.join(format!("embedded-{}", arguments.seed));
    let report = chaos::embedded::run(arguments.seed, arguments.kills, &folder).await;
    println!("{}\n{}", serde_json::to_string_pretty(&report).expect("plain data"), folder.display());
    if report.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
