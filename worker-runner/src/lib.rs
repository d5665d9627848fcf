//! The data plane of Hermes: takes jobs from a queue, executes each attempt within its time, and reports.
//!
//! [`runner::run`] is the way in. It runs one apalis worker per worker key ([`backend`], [`attempt`]) over the services
//! of a [`registry`]: built-in ones ([`technical_seo`], [`vitals_monitor`], [`domain_authority`], [`serp_intelligence`],
//! [`competitive_intelligence`], [`builtin::noop`]) and external ones
//! ([`http_worker`]).
//!
//! Deliberately absent: adapters (queue and HTTP come in through ports), retries (the core decides about them), and
//! everything that is true about a run: a worker-runner knows only the job that it holds.

mod acknowledge;
pub mod arguments;
pub mod attempt;
pub mod backend;
pub mod borders;
pub mod builtin;
mod bypass;
pub mod competitive_intelligence;
pub mod domain_authority;
pub mod http_worker;
mod leases;
mod outage;
mod panics;
pub mod polite;
mod redact;
pub mod registry;
mod retry_after;
pub mod runner;
pub mod serp_intelligence;
pub mod service;
pub mod site;
pub mod technical_seo;
pub mod vitals_monitor;

pub use registry::{Equipment, Registry, all_servable};
pub use runner::{Ports, RunnerError, RunnerOptions, RunnerReport, run};
pub use service::{AttemptContext, Service, ServiceOutcome, Standing};

#[cfg(test)]
mod tests;
