//! Plans in memory: their rows never change, so a plan is read and checked once per process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use hermes_core::Plan;

/// Plans kept at a time. A fleet has a handful; one more than this empties the cache.
const PLANS_MAX: usize = 256;

/// Plans by content hash. All of them are in the database, too.
#[derive(Default)]
pub(crate) struct PlanCache {
    plans: Mutex<HashMap<String, Arc<Plan>>>,
}

impl PlanCache {
    /// The plan with this hash, if it is known.
    pub(crate) fn get(&self, hash: &str) -> Option<Arc<Plan>> {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner).get(hash).cloned()
    }

    /// Keeps a plan that is in the database.
    pub(crate) fn put(&self, plan: &Arc<Plan>) {
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        if plans.len() >= PLANS_MAX {
            plans.clear();
        }
        plans.insert(plan.hash().as_str().to_owned(), Arc::clone(plan));
    }
}
