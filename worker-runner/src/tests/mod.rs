//! The whole worker-runner over a queue in memory whose answers the tests decide, on a virtual clock.

mod attempts;
mod draining;
mod fake;
mod leases;
mod slots;

pub(crate) use fake::{execute, job_for};
