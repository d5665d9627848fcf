//! What the stores have in common: which changes fit together, how rows become runs and events, plans kept in memory.
//!
//! Nothing here talks to a database; the SQL stands in the adapters, beside the methods that it serves.

mod batch;
mod chosen;
mod damaged;
mod log;
mod open;
mod plans;
mod rows;
mod time;

pub use chosen::{ReadOnly, open};
pub use open::OpenError;

pub(crate) use batch::{Accept, Batch, Owner, Update};
pub(crate) use damaged::{Damaged, Restored};
pub(crate) use log::{Heads, LogRow, Newest, NewestRows, events_of, is_diagnosis, text};
pub(crate) use plans::PlanCache;
pub(crate) use rows::{AuditRow, PlanRow, RunRow, VersionRow, count, listing, number};
pub(crate) use time::StoredTime;
