//! The tables of the store in memory, and what statements do to them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Bound;
use std::sync::Arc;

use hermes_core::kbase::{DIAGNOSIS, HERMES, KbaseEvent};
use hermes_core::ports::store::{
    Committed, EventFilter, Idempotency, PreviousOf, RunFilter, RunListing, StoreError, StoredPlan,
};
use hermes_core::{EventId, Json, Plan, PlanId, Run, RunId, Timestamp};

use crate::store::{Batch, Owner};

/// Everything that is stored.
#[derive(Default)]
pub(super) struct Data {
    runs: BTreeMap<RunId, Run>,
    /// The open ones among them, by when they want to be looked at.
    wakes: BTreeSet<(Timestamp, RunId)>,
    /// The log of each run; the event with number n is at n - 1.
    events: BTreeMap<RunId, Vec<KbaseEvent>>,
    keys: HashMap<String, Owner>,
    plans: BTreeMap<PlanId, Vec<StoredPlan>>,
    callback_key: Option<[u8; 32]>,
    locked: HashSet<RunId>,
}

impl Data {
    /// Locks those of the runs that exist, if none of them is locked; gives them in the order of their ids.
    pub(super) fn lock(&mut self, ids: &[RunId]) -> Option<Vec<Run>> {
        let ids: BTreeSet<RunId> = ids.iter().copied().collect();
        if ids.iter().any(|id| self.locked.contains(id)) {
            return None;
        }
        let runs: Vec<Run> = ids.iter().filter_map(|id| self.runs.get(id)).cloned().collect();
        self.locked.extend(runs.iter().map(Run::id));
        Some(runs)
    }

    /// Locks due runs, oldest first, leaving out locked ones.
    pub(super) fn lock_due(&mut self, now: Timestamp, limit: usize) -> Vec<Run> {
        let due = self.wakes.iter().take_while(|(at, _)| *at <= now).map(|(_, id)| id);
        let free = due.filter(|id| !self.locked.contains(id)).take(limit);
        let runs: Vec<Run> = free.map(|id| self.runs[id].clone()).collect();
        self.locked.extend(runs.iter().map(Run::id));
        runs
    }

    pub(super) fn unlock(&mut self, ids: &[RunId]) {
        for id in ids {
            self.locked.remove(id);
        }
    }

    /// Everything or nothing: all checks come before the first change.
    pub(super) fn commit(&mut self, mut batch: Batch) -> Result<Vec<Committed>, StoreError> {
        let fenced = |run: &Run, taken_seq: u64| run.state().last_seq == taken_seq;
        for update in &batch.updates {
            let id = update.run.id();
            if !self.runs.get(&id).is_some_and(|run| fenced(run, update.taken_seq)) {
                return Err(StoreError::Conflict(id));
            }
        }
        let is_new = |key: Option<&Idempotency>| key.is_none_or(|one| !self.keys.contains_key(&one.key));
        let inserted: HashSet<RunId> = batch
            .accepts
            .iter()
            .filter(|accept| !self.runs.contains_key(&accept.run.id()) && is_new(accept.idempotency.as_ref()))
            .map(|accept| accept.run.id())
            .collect();
        let keys = batch.retain_inserted(&inserted);
        let owners = keys.into_iter().filter_map(|key| self.keys.get(&key).cloned().map(|owner| (key, owner)));
        let owners = owners.collect();

        let events: Vec<KbaseEvent> = batch.events().cloned().collect();
        let runs: Vec<Run> = batch.updates.iter().map(|update| &*update.run).cloned().collect();
        let accepted: Vec<(Run, Option<Idempotency>)> =
            batch.accepts.iter().map(|accept| ((*accept.run).clone(), accept.idempotency.clone())).collect();
        let outcome = batch.outcome(owners)?;
        for (run, idempotency) in accepted {
            if let Some(Idempotency { key, request_hash }) = idempotency {
                self.keys.insert(key, Owner { run_id: run.id(), request_hash });
            }
            self.write(run);
        }
        for run in runs {
            self.write(run);
        }
        for event in events {
            self.events.entry(event.run_id).or_default().push(event);
        }
        Ok(outcome)
    }

    fn write(&mut self, run: Run) {
        if let Some(wake_at) = self.runs.get(&run.id()).and_then(|before| before.state().wake_at) {
            self.wakes.remove(&(wake_at, run.id()));
        }
        if let Some(wake_at) = run.state().wake_at {
            self.wakes.insert((wake_at, run.id()));
        }
        self.runs.insert(run.id(), run);
    }

    pub(super) fn run(&self, id: RunId) -> Option<&Run> {
        self.runs.get(&id)
    }

    pub(super) fn list(&self, filter: &RunFilter, after: Option<RunId>, limit: usize) -> Vec<RunListing> {
        let below = after.map_or(Bound::Unbounded, Bound::Excluded);
        let runs = self.runs.range((Bound::Unbounded, below)).rev().map(|(_, run)| run);
        let listing = |run: &Run| RunListing {
            summary: run.summary(),
            created_at: run.state().created_at,
            revision: run.state().revision,
        };
        runs.filter(|run| is_wanted(run, filter)).take(limit).map(listing).collect()
    }

    pub(super) fn open_runs(&self, after: Option<RunId>, accepted_by: Option<Timestamp>, limit: usize) -> Vec<Run> {
        let above = after.map_or(Bound::Unbounded, Bound::Excluded);
        let runs = self.runs.range((above, Bound::Unbounded)).map(|(_, run)| run);
        let is_old_enough = |run: &&Run| accepted_by.is_none_or(|by| run.state().created_at <= by);
        runs.filter(|run| !run.status().is_settled()).filter(is_old_enough).take(limit).cloned().collect()
    }

    pub(super) fn stored_runs(&self, after: &str, limit: usize) -> Vec<Run> {
        let runs = self.runs.values().filter(|run| *run.id().to_string() > *after);
        runs.take(limit).cloned().collect()
    }

    pub(super) fn count_open(&self) -> u64 {
        self.wakes.len() as u64
    }

    pub(super) fn next_wake(&self) -> Option<Timestamp> {
        self.wakes.first().map(|(at, _)| *at)
    }

    pub(super) fn run_events(&self, id: RunId, after: u64, limit: usize) -> Vec<KbaseEvent> {
        let log = self.events.get(&id).map(Vec::as_slice).unwrap_or_default();
        let skipped = usize::try_from(after).unwrap_or(usize::MAX);
        log.iter().skip(skipped).take(limit).cloned().collect()
    }

    pub(super) fn events(&self, wanted: &[EventId]) -> Vec<KbaseEvent> {
        let find = |id: &EventId| {
            let position = usize::try_from(id.seq.checked_sub(1)?).ok()?;
            self.events.get(&id.run_id)?.get(position).cloned()
        };
        wanted.iter().collect::<BTreeSet<_>>().into_iter().filter_map(find).collect()
    }

    pub(super) fn kbase(
        &self,
        filter: &EventFilter,
        before: Option<(Timestamp, EventId)>,
        limit: usize,
    ) -> Vec<KbaseEvent> {
        let place = |at: Timestamp, id: EventId| (at, id.seq, id.run_id);
        let before = before.map(|(at, id)| place(at, id));
        let events = self.events.values().flatten();
        let mut found: Vec<&KbaseEvent> = events
            .filter(|event| is_chosen(event, filter))
            .filter(|event| before.is_none_or(|before| place(event.created_at, event.event_id) < before))
            .collect();
        found.sort_by_key(|event| std::cmp::Reverse(place(event.created_at, event.event_id)));
        found.into_iter().take(limit).cloned().collect()
    }

    /// Removes runs that settled before this time, with everything that belongs to them, at most so many.
    pub(super) fn remove_settled(&mut self, before: Timestamp, limit: usize) -> u64 {
        let is_old = |run: &&Run| run.state().settled_at.is_some_and(|at| at < before);
        let old = self.runs.values().filter(is_old).map(Run::id).filter(|id| !self.locked.contains(id));
        let old: HashSet<RunId> = old.take(limit).collect();
        self.runs.retain(|id, _| !old.contains(id));
        self.events.retain(|id, _| !old.contains(id));
        self.keys.retain(|_, owner| !old.contains(&owner.run_id));
        old.len() as u64
    }

    pub(super) fn previous_diagnosis(&self, of: &PreviousOf) -> Option<Json> {
        let others = self.events.iter().filter(|(id, _)| **id != of.run_id).flat_map(|(_, events)| events);
        others
            .filter(|event| event.website_id == of.website_id && event.service == HERMES && event.kind == DIAGNOSIS)
            .filter(|event| of.before.is_none_or(|before| event.created_at < before))
            .max_by_key(|event| (event.created_at, event.seq, event.run_id))
            .map(|event| event.payload.clone())
    }

    pub(super) fn put_plan(&mut self, plan: &Plan, now: Timestamp) -> StoredPlan {
        let versions = self.plans.entry(plan.id().clone()).or_default();
        if let Some(same) = versions.iter().find(|stored| stored.plan.hash() == plan.hash()) {
            return same.clone();
        }
        let version = versions.last().map_or(1, |stored| stored.version + 1);
        let stored = StoredPlan { plan: Arc::new(plan.clone()), version, created_at: now };
        versions.push(stored.clone());
        stored
    }

    pub(super) fn newest_plan(&self, id: &PlanId) -> Option<StoredPlan> {
        self.plans.get(id)?.last().cloned()
    }

    pub(super) fn newest_plans(&self) -> Vec<StoredPlan> {
        self.plans.values().filter_map(|versions| versions.last()).cloned().collect()
    }

    pub(super) fn callback_key(&mut self, fresh: [u8; 32]) -> [u8; 32] {
        *self.callback_key.get_or_insert(fresh)
    }
}

fn is_wanted(run: &Run, filter: &RunFilter) -> bool {
    let state = run.state();
    filter.status.is_none_or(|status| state.status == status)
        && filter.plan_id.as_ref().is_none_or(|plan_id| run.plan().id() == plan_id)
        && filter.website_id.as_ref().is_none_or(|website_id| state.website_id == *website_id)
        && filter.domain.as_ref().is_none_or(|domain| state.domain.as_str() == domain)
        && filter.since.is_none_or(|since| state.created_at >= since)
        && filter.until.is_none_or(|until| state.created_at < until)
}

fn is_chosen(event: &KbaseEvent, filter: &EventFilter) -> bool {
    filter.website_id.as_ref().is_none_or(|website_id| event.website_id == *website_id)
        && filter.run_id.is_none_or(|run_id| event.run_id == run_id)
        && filter.service.as_ref().is_none_or(|service| event.service == *service)
        && filter.kind.as_ref().is_none_or(|kind| event.kind == *kind)
}
