//! The states of a run's services, shared between versions of the run.
//!
//! Every decision makes the next version of a run, and changes one service or a few of perhaps a thousand. So a copy
//! shares all states, and only those that are written become the copy's own.

use std::ops::{Index, IndexMut};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ServiceState;

/// The state of each service, in plan order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Services(Vec<Arc<ServiceState>>);

impl Services {
    /// How many services there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none; no valid plan is like that.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The states.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &ServiceState> + ExactSizeIterator {
        self.0.iter().map(|state| &**state)
    }

    /// The states, for writing: all of them become this version's own.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut ServiceState> {
        self.0.iter_mut().map(Arc::make_mut)
    }
}

impl FromIterator<ServiceState> for Services {
    fn from_iter<I: IntoIterator<Item = ServiceState>>(states: I) -> Self {
        Self(states.into_iter().map(Arc::new).collect())
    }
}

impl Index<usize> for Services {
    type Output = ServiceState;

    fn index(&self, position: usize) -> &ServiceState {
        &self.0[position]
    }
}

impl IndexMut<usize> for Services {
    /// The state, which becomes this version's own.
    fn index_mut(&mut self, position: usize) -> &mut ServiceState {
        Arc::make_mut(&mut self.0[position])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_shares_what_neither_writes() {
        let before: Services = (0..3).map(|_| ServiceState::fresh()).collect();
        let mut after = before.clone();
        after[1].attempt = 7;
        assert_eq!((before[1].attempt, after[1].attempt), (0, 7));
        let shared: Vec<bool> = before.0.iter().zip(&after.0).map(|(a, b)| Arc::ptr_eq(a, b)).collect();
        assert_eq!(shared, [true, false, true]);
    }

    #[test]
    fn all_states_can_be_written_at_once() {
        let mut services: Services = (0..3).map(|_| ServiceState::fresh()).collect();
        services.iter_mut().for_each(|state| state.attempt = 9);
        assert!(services.iter().all(|state| state.attempt == 9) && !services.is_empty());
        assert!(Services::from_iter([]).is_empty());
    }
}
