//! The pure core of Hermes: what a plan is, what a run is, and the one function that changes a run.
//!
//! Nothing here reads a clock, draws a random number, or does I/O; time, identities and jitter are arguments. The core
//! knows nothing of websites' quality: a plan of arbitrary services with arbitrary workers is first-class.

pub mod audit;
pub mod configured;
pub mod ids;
pub mod json;
pub mod kbase;
pub mod limits;
pub mod plan;
pub mod ports;
pub mod run;
pub mod secret;
pub mod status;
pub mod time;
pub mod wire;

pub use configured::Configured;
pub use ids::{Domain, EventId, InvalidName, PlanId, RunId, ServiceName, WebsiteId, WorkerKey};
pub use json::{InvalidJson, Json};
pub use plan::{Plan, PlanError, PlanHash, PlanProblem, PlanSpec};
pub use run::{Run, RunSummary};
pub use secret::Secret;
pub use status::{RunStatus, ServiceStatus, UnknownStatus};
pub use time::Timestamp;

#[cfg(test)]
mod tests;
