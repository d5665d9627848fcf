//! Real servers and processes for tests: each test gets its own database and key prefix, so that tests run in parallel.

pub mod clock;
pub mod cluster;
pub mod fleet;
pub mod nginx;
pub mod postgres;
pub mod process;
pub mod redis;
pub mod sentinel;
pub mod worker;
