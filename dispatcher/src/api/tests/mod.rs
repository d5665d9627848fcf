//! The API over the real engine, with a store and a queue that tests can break. Workers are played by the tests.

mod control;
mod diagnosis_report;
mod diff;
mod errors;
mod events;
mod fakes;
mod health;
mod kbase;
mod late;
mod outage;
mod plans;
mod run;
mod runs;
mod wire;
mod world;
