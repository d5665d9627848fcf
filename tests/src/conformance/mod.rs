//! Conformance suites: what every adapter of a port must do, as cases that each adapter runs.

pub mod queue;
pub mod store;
