//! The harness of the integration tests: private servers on free ports, whole fleets of processes, and checks of the
//! world at the end of each test. The tests themselves are one binary, `tests/it`.

pub mod chaos;
pub mod conformance;
pub mod harness;
pub mod simulation;
