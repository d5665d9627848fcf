//! What really happened, written down beside the system: executions, accepted runs, faults, and the course of things.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hermes_core::wire::{JobId, Report};
use hermes_core::{RunId, Timestamp};

/// How much of the course is kept for whoever has to understand a failure.
const COURSE_LINES: usize = 400;

#[derive(Default)]
pub(super) struct Ledger(Mutex<Book>);

#[derive(Default)]
pub(super) struct Book {
    /// Runs that a client was told were accepted, by the client's key.
    pub(super) accepted: BTreeMap<String, RunId>,
    /// How often each attempt was begun.
    pub(super) executions: BTreeMap<JobId, u32>,
    /// Reports that workers have sent; the nemesis sends some of them again.
    pub(super) reports: Vec<Report>,
    /// How often each kind of fault was hit, and each kind of danger was reached.
    pub(super) seen: BTreeMap<&'static str, u64>,
    /// From here on the faults are over and recovered from.
    pub(super) calm_from: Option<Timestamp>,
    /// What must not be.
    pub(super) violations: Vec<String>,
    course: Vec<String>,
    digest: DefaultHasher,
}

impl Ledger {
    pub(super) fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn saw(&self, what: &'static str) {
        *self.book().seen.entry(what).or_default() += 1;
    }

    /// Writes down a step; two simulations with the same steps have the same digest.
    pub(super) fn step(&self, now: Timestamp, what: &str) {
        let mut book = self.book();
        now.as_millis().hash(&mut book.digest);
        what.hash(&mut book.digest);
        if book.course.len() == COURSE_LINES {
            book.course.remove(0);
        }
        book.course.push(format!("{} {what}", now.as_millis()));
    }

    pub(super) fn violation(&self, what: String) {
        self.book().violations.push(what);
    }
}

impl Book {
    pub(super) fn digest(&self) -> u64 {
        self.digest.finish()
    }

    pub(super) fn course(&self) -> String {
        self.course.join("\n")
    }
}
