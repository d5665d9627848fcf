//! All integration tests, in one binary.

mod audit;
mod bench;
mod chaos;
mod clocks;
mod crawl_of_real_sites;
mod embedded;
mod engine;
mod fleet;
mod handover;
mod hostile_servers;
mod model;
mod queue;
mod reconciler;
mod redis_faults;
mod reports;
mod rolling;
mod simulation;
mod store;
mod store_faults;
mod tidy;
