//! The changes of one transaction, checked against each other and sorted by what is to be done with them.

use std::collections::{HashMap, HashSet};

use hermes_core::kbase::KbaseEvent;
use hermes_core::ports::store::{Change, Committed, Idempotency, StoreError};
use hermes_core::{Run, RunId};

/// A new run that is to be inserted.
#[derive(Debug)]
pub(crate) struct Accept {
    pub(crate) run: Box<Run>,
    pub(crate) events: Vec<KbaseEvent>,
    pub(crate) idempotency: Option<Idempotency>,
}

/// A run that is to be written over the version with `taken_seq`.
#[derive(Debug)]
pub(crate) struct Update {
    pub(crate) run: Box<Run>,
    pub(crate) taken_seq: u64,
    pub(crate) events: Vec<KbaseEvent>,
}

/// Whose an idempotency key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) run_id: RunId,
    pub(crate) request_hash: String,
}

impl Owner {
    /// From a row with key, run and request hash.
    pub(crate) fn of_row((key, run_id, request_hash): (String, String, String)) -> Result<(String, Self), StoreError> {
        match run_id.parse() {
            Ok(run_id) => Ok((key, Self { run_id, request_hash })),
            Err(error) => Err(StoreError::Corrupt {
                table: "runs",
                column: "run_id",
                detail: format!("{error}, in row {run_id}"),
            }),
        }
    }
}

/// What became of a change, seen from the change.
#[derive(Debug)]
enum Slot {
    Update,
    Accept {
        run_id: RunId,
        idempotency: Option<Idempotency>,
    },
    /// The same batch has another new run with this key before it.
    Repeat(Idempotency),
}

/// All changes of one transaction.
#[derive(Debug)]
pub(crate) struct Batch {
    /// New runs, of which no two have the same idempotency key; in the order of keys, so that two transactions wait
    /// for each other's keys in the same order.
    pub(crate) accepts: Vec<Accept>,
    /// Changed runs, in the order of their ids.
    pub(crate) updates: Vec<Update>,
    slots: Vec<Slot>,
}

impl Batch {
    /// Sorts the changes; refuses what no decision can have produced.
    pub(crate) fn of(changes: Vec<Change>) -> Result<Self, StoreError> {
        let mut batch = Self { accepts: Vec::new(), updates: Vec::new(), slots: Vec::with_capacity(changes.len()) };
        let (mut runs, mut keys) = (HashSet::new(), HashSet::new());
        for change in changes {
            let (run, after, events) = match &change {
                Change::Accept { run, events, .. } => (run, 0, events),
                Change::Update { run, taken_seq, events } => (run, *taken_seq, events),
            };
            check(run, after, events)?;
            if !runs.insert(run.id()) {
                return Err(StoreError::Defect(format!("run {} is in one transaction twice", run.id())));
            }
            match change {
                Change::Accept { idempotency: Some(same), .. } if !keys.insert(same.key.clone()) => {
                    batch.slots.push(Slot::Repeat(same));
                }
                Change::Accept { run, events, idempotency } => {
                    batch.slots.push(Slot::Accept { run_id: run.id(), idempotency: idempotency.clone() });
                    batch.accepts.push(Accept { run, events, idempotency });
                }
                Change::Update { run, taken_seq, events } => {
                    batch.slots.push(Slot::Update);
                    batch.updates.push(Update { run, taken_seq, events });
                }
            }
        }
        let key = |accept: &Accept| accept.idempotency.as_ref().map(|idempotency| idempotency.key.clone());
        batch.accepts.sort_by_cached_key(key);
        batch.updates.sort_by_key(|update| update.run.id());
        Ok(batch)
    }

    /// Keeps the new runs that were inserted; gives the keys of the others.
    pub(crate) fn retain_inserted(&mut self, inserted: &HashSet<RunId>) -> Vec<String> {
        let (kept, others) = std::mem::take(&mut self.accepts)
            .into_iter()
            .partition::<Vec<_>, _>(|accept| inserted.contains(&accept.run.id()));
        self.accepts = kept;
        others.into_iter().filter_map(|accept| Some(accept.idempotency?.key)).collect()
    }

    /// The events to append: those of the updates and of the new runs that are left.
    pub(crate) fn events(&self) -> impl Iterator<Item = &KbaseEvent> {
        let accepted = self.accepts.iter().flat_map(|accept| &accept.events);
        accepted.chain(self.updates.iter().flat_map(|update| &update.events))
    }

    /// What became of each change. `owners` says whose the keys are that `retain_inserted` gave.
    ///
    /// A new run that was not inserted although its key is nobody's has an id that is taken.
    pub(crate) fn outcome(self, mut owners: HashMap<String, Owner>) -> Result<Vec<Committed>, StoreError> {
        let mut inserted = HashSet::new();
        for accept in self.accepts {
            let run_id = accept.run.id();
            inserted.insert(run_id);
            if let Some(Idempotency { key, request_hash }) = accept.idempotency {
                owners.insert(key, Owner { run_id, request_hash });
            }
        }
        let duplicate = |idempotency: &Idempotency| {
            owners.get(&idempotency.key).map(|owner| Committed::Duplicate {
                run_id: owner.run_id,
                same_request: owner.request_hash == idempotency.request_hash,
            })
        };
        let outcome = self.slots.iter().map(|slot| match slot {
            Slot::Update => Ok(Committed::Done),
            Slot::Accept { run_id, .. } if inserted.contains(run_id) => Ok(Committed::Done),
            Slot::Accept { run_id, idempotency } => {
                idempotency.as_ref().and_then(duplicate).ok_or(StoreError::Conflict(*run_id))
            }
            Slot::Repeat(idempotency) => duplicate(idempotency)
                .ok_or_else(|| StoreError::Defect("an idempotency key has no owner after its insertion".to_owned())),
        });
        outcome.collect()
    }
}

/// A run and its new events fit together: numbered without gaps, up to the run's `last_seq`.
fn check(run: &Run, after: u64, events: &[KbaseEvent]) -> Result<(), StoreError> {
    let numbered = (after + 1..).zip(events).all(|(seq, event)| event.seq == seq && event.run_id == run.id());
    let last = after + events.len() as u64;
    if numbered && last == run.state().last_seq && last > 0 {
        return Ok(());
    }
    let (id, last_seq) = (run.id(), run.state().last_seq);
    Err(StoreError::Defect(format!("run {id} ends with event {last_seq}, its events with {last}")))
}
