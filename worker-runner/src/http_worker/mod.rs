//! Calling external HTTP workers: their configuration, one `POST /run` per attempt, and what the answer means.
//!
//! Everything goes through the port [`Http`](hermes_core::ports::http::Http), so nothing here opens a socket. What an
//! answer means is a pure function ([`answer::judge`]).
//!
//! Deliberately absent: retries (the core decides; this module only says whether one makes sense), leases, reports,
//! and the reading of secrets managers.

pub mod answer;
pub mod call;
pub mod config;
mod examine;

pub use answer::{CallOutcome, Failure};
pub use call::run;
pub use config::{ConfigError, WorkerConfig};
pub use examine::{Examined, examine};
