//! KBase: the append-only log of everything that happened, in the shapes that people query with SQL.
//!
//! An [`Event`](KbaseEvent) belongs to a run and has a gapless number in it. [`Fact`] is the same thing as the engine
//! sees it; the two convert into each other without loss, which is what makes a run replayable from its log.

use serde::{Deserialize, Serialize};

use crate::ids::{EventId, RunId, WebsiteId};
use crate::json::Json;
use crate::time::Timestamp;

mod codec;
mod fact;

pub use codec::UnknownEvent;
pub use fact::{
    CauseLink, Fact, NotedEvent, QueuedService, RunEnd, RunStart, ServiceEnd, ServiceOutcome, ServiceResult,
};

/// The orchestrator's own name in the `service` column.
pub const HERMES: &str = "hermes";
/// `type` of the events that begin and end a revision of a run.
pub const RUN_STATUS: &str = "run_status";
/// `type` of the event that says which services became ready together.
pub const WAVE: &str = "wave";
/// `type` of the events of a service that carry no result.
pub const SERVICE_STATUS: &str = "service_status";
/// `type` of the event that carries a service's result.
pub const RESULT: &str = "result";
/// `type` of a result or failure that came too late to count.
pub const LATE_RESULT: &str = "late_result";
/// `type` of the event that carries the diagnosis.
pub const DIAGNOSIS: &str = "diagnosis";

/// The types that only the engine writes; an event noted by a worker must have another one.
pub const RESERVED_TYPES: [&str; 6] = [RUN_STATUS, WAVE, SERVICE_STATUS, RESULT, LATE_RESULT, DIAGNOSIS];

/// One row of `kbase_events`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KbaseEvent {
    /// `evt_<run id>_<seq>`.
    pub event_id: EventId,
    /// The website that the run looks at.
    pub website_id: WebsiteId,
    /// The run.
    pub run_id: RunId,
    /// Place in the run's log: from 1, without gaps.
    pub seq: u64,
    /// Who speaks: [`HERMES`] or a service's name.
    pub service: String,
    /// What kind of event.
    #[serde(rename = "type")]
    pub kind: String,
    /// The content; its shape depends on `service` and `type`.
    pub payload: Json,
    /// When, by the store's clock.
    pub created_at: Timestamp,
}

#[cfg(test)]
mod tests;
