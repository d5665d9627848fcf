//! What the worker-runner process can be told on its command line. Every option is also a setting
//! (`hermes.default.toml`); the option goes before it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Parser;

/// Executes jobs: takes them from the queue, runs the services, reports.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Arguments {
    /// The configuration file; hermes.default.toml is its manual
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The Redis that carries the jobs [env: HERMES_REDIS_URL]
    #[arg(long, value_name = "URL")]
    pub redis_url: Option<String>,
    /// What the names of all its keys begin with [env: HERMES_REDIS_PREFIX]
    #[arg(long, value_name = "PREFIX")]
    pub prefix: Option<String>,
    /// Worker keys to serve, with commas [default: all that can be served] [env: HERMES_WORKER_KEYS]
    #[arg(long, value_name = "KEYS")]
    pub keys: Option<String>,
    /// Jobs of one worker key at a time [default: as the service sees fit] [env: HERMES_WORKER_CONCURRENCY]
    #[arg(long, value_name = "N")]
    pub concurrency: Option<String>,
    /// Seconds that running jobs get to finish after SIGTERM [env: HERMES_WORKER_GRACE_SECONDS]
    #[arg(long, value_name = "SECONDS")]
    pub grace_seconds: Option<String>,
    /// Let the services reach sites on loopback and private addresses [env: HERMES_WORKER_ALLOW_PRIVATE_TARGETS]
    #[arg(long)]
    pub allow_private_targets: bool,
    /// How logs look: text or json [env: HERMES_LOG_FORMAT]
    #[arg(long, value_name = "FORMAT")]
    pub log: Option<String>,
}

impl Arguments {
    /// The options that were given, as the variables that they go before.
    #[must_use]
    pub fn overrides(&self) -> Vec<(String, String)> {
        let private = self.allow_private_targets.then(|| "true".to_owned());
        let given = [
            ("HERMES_REDIS_URL", &self.redis_url),
            ("HERMES_REDIS_PREFIX", &self.prefix),
            ("HERMES_WORKER_KEYS", &self.keys),
            ("HERMES_WORKER_CONCURRENCY", &self.concurrency),
            ("HERMES_WORKER_GRACE_SECONDS", &self.grace_seconds),
            ("HERMES_WORKER_ALLOW_PRIVATE_TARGETS", &private),
            ("HERMES_LOG_FORMAT", &self.log),
        ];
        given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?))).collect()
    }
}

/// The environment as text, in which external workers are configured; what is no text configures nothing.
#[must_use]
pub fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}
