//! Tables and properties of what the core shows to others: names, messages, carried JSON, back-off, frozen plans.

mod carried;
mod names;
mod plans;
mod waits;
mod words;
