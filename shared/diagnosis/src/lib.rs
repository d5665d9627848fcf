//! The diagnosis: signals, rules, scores, confidence, and the difference to last time. Pure; see `hermes_core` for runs.

pub mod signal;
