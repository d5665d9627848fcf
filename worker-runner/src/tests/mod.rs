//! The whole worker-runner over a queue in memory whose answers the tests decide, on a virtual clock.

mod attempts;
mod bypass;
mod draining;
mod fake;
mod leases;
mod memory;
mod slots;

pub(crate) use fake::{NoHttp, execute, job_for};
