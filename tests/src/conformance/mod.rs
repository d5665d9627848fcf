//! Conformance suites: what every adapter of a port must do, as cases that each adapter runs.

#![expect(clippy::unwrap_used, reason = "a case ends at the first thing that is not as it must be")]

pub mod politeness;
pub mod queue;
pub mod store;
