//! All integration tests, in one binary.

mod queue;
mod store;
