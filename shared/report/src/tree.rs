//! The order in which a report tells findings: causes by priority, and under each one what it likely explains.

use std::collections::BTreeSet;

use hermes_diagnosis::{Diagnosis, Finding};

/// A cause and what it explains.
#[derive(Debug)]
pub(crate) struct Branch<'a> {
    /// The cause, or a finding that nothing explains.
    pub(crate) root: &'a Finding,
    /// Findings that it likely causes, directly or by way of another one of them; in order of priority.
    pub(crate) symptoms: Vec<&'a Finding>,
}

/// Every finding once: the roots in order of priority, each symptom under the first root that reaches it.
pub(crate) fn branches(diagnosis: &Diagnosis) -> Vec<Branch<'_>> {
    let findings = &diagnosis.findings;
    let listed: BTreeSet<&str> = findings.iter().map(|finding| finding.id.as_str()).collect();
    let is_root = |finding: &&Finding| !finding.caused_by.iter().any(|id| listed.contains(id.as_str()));
    let mut placed: BTreeSet<&str> = BTreeSet::new();
    let mut branches: Vec<Branch<'_>> = Vec::new();
    for root in findings.iter().filter(is_root) {
        placed.insert(&root.id);
        let mut inside: BTreeSet<&str> = BTreeSet::from([root.id.as_str()]);
        loop {
            let is_next = |finding: &&Finding| {
                !placed.contains(finding.id.as_str())
                    && finding.caused_by.iter().any(|cause| inside.contains(cause.as_str()))
            };
            let Some(next) = findings.iter().find(is_next) else { break };
            placed.insert(&next.id);
            inside.insert(&next.id);
        }
        let symptoms = findings.iter().filter(|finding| finding.id != root.id && inside.contains(finding.id.as_str()));
        branches.push(Branch { root, symptoms: symptoms.collect() });
    }
    // A circle of causes has no root; rules with one are refused, but nothing that was found may be left out.
    let lost = findings.iter().filter(|finding| !placed.contains(finding.id.as_str()));
    branches.extend(lost.map(|root| Branch { root, symptoms: Vec::new() }));
    branches
}
