//! All integration tests, in one binary.

mod audit;
mod authority;
mod bench;
mod chaos;
mod clocks;
mod crawl_of_real_sites;
mod embedded;
mod engine;
mod fleet;
mod guard;
mod handover;
mod model;
mod politeness;
mod queue;
mod reconciler;
mod redis_faults;
mod reports;
mod rolling;
mod schema;
mod search;
mod rules;
mod simulation;
mod store;
mod store_faults;
mod tidy;
mod vitals;
