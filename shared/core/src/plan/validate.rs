//! What can be wrong with a plan. Every problem is reported, each with its place.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::spec::{PlanSpec, ServiceSpec};
use crate::ids::{InvalidName, PlanId, ServiceName, WorkerKey};
use crate::json::Json;
use crate::limits::{
    ATTEMPTS_MAX, DESCRIPTION_BYTES_MAX, PARAMS_BYTES_MAX, PLAN_DEPENDENCIES_MAX, PLAN_SERVICES_MAX,
    RUN_DURATION_MAX_MS, RUN_DURATION_MIN_MS, SERVICE_TIMEOUT_MIN_MS, synthesis_reserve_ms,
};

/// One thing that is wrong with a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanProblem {
    /// Where: `services[2].depends_on[0]`, or `services[2] (competitive-intelligence)`.
    pub path: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl fmt::Display for PlanProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// Collects problems with their places.
#[derive(Default)]
struct Findings(Vec<PlanProblem>);

impl Findings {
    fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(PlanProblem { path: path.into(), message: message.into() });
    }

    fn name<T: FromStr<Err = InvalidName>>(&mut self, path: impl Into<String>, text: &str) {
        if let Err(error) = T::from_str(text) {
            self.add(path, error.to_string());
        }
    }

    fn text_length(&mut self, path: impl Into<String>, text: &str) {
        if text.len() > DESCRIPTION_BYTES_MAX {
            self.add(path, format!("has {} bytes, at most {DESCRIPTION_BYTES_MAX} are allowed", text.len()));
        }
    }
}

/// Everything that is wrong with `spec`; empty if nothing is.
pub(super) fn problems(spec: &PlanSpec) -> Vec<PlanProblem> {
    let mut findings = Findings::default();
    head(spec, &mut findings);
    for (position, service) in spec.services.iter().enumerate() {
        shape_of(service, &format!("services[{position}]"), spec.max_duration_ms, &mut findings);
    }
    let positions = unique_names(spec, &mut findings);
    dependencies(spec, &positions, &mut findings);
    if spec.services.len() <= PLAN_SERVICES_MAX {
        cycles(spec, &positions, &mut findings);
    }
    findings.0
}

fn head(spec: &PlanSpec, findings: &mut Findings) {
    findings.name::<PlanId>("plan_id", &spec.plan_id);
    if spec.name.trim().is_empty() {
        findings.add("name", "is empty; give the plan a name for people");
    }
    findings.text_length("name", &spec.name);
    findings.text_length("description", &spec.description);
    if !(RUN_DURATION_MIN_MS..=RUN_DURATION_MAX_MS).contains(&spec.max_duration_ms) {
        findings.add(
            "max_duration_ms",
            format!(
                "is {}; it must be between {RUN_DURATION_MIN_MS} and {RUN_DURATION_MAX_MS} milliseconds",
                spec.max_duration_ms
            ),
        );
    }
    if spec.services.is_empty() {
        findings.add("services", "is empty; a plan needs at least one service");
    }
    if spec.services.len() > PLAN_SERVICES_MAX {
        findings
            .add("services", format!("has {} services, at most {PLAN_SERVICES_MAX} are allowed", spec.services.len()));
    }
    let edges: usize = spec.services.iter().map(|service| service.depends_on.len()).sum();
    if edges > PLAN_DEPENDENCIES_MAX {
        findings
            .add("services", format!("have {edges} dependencies in all, at most {PLAN_DEPENDENCIES_MAX} are allowed"));
    }
}

fn shape_of(service: &ServiceSpec, path: &str, max_duration_ms: u64, findings: &mut Findings) {
    findings.name::<ServiceName>(format!("{path}.service"), &service.service);
    if service.service == crate::kbase::HERMES {
        findings
            .add(format!("{path}.service"), "'hermes' is the orchestrator's own name in the event log; choose another");
    }
    findings.name::<WorkerKey>(format!("{path}.worker_key"), &service.worker_key);
    findings.text_length(format!("{path}.display_name"), service.display_name.as_deref().unwrap_or_default());
    let usable_ms = max_duration_ms.saturating_sub(synthesis_reserve_ms(max_duration_ms));
    if service.timeout_ms > usable_ms {
        findings.add(
            format!("{path}.timeout_ms"),
            format!(
                "is {}, longer than the run: of max_duration_ms {max_duration_ms}, {usable_ms} are for services \
                 and the rest for synthesis",
                service.timeout_ms
            ),
        );
    }
    if service.timeout_ms < SERVICE_TIMEOUT_MIN_MS {
        findings.add(
            format!("{path}.timeout_ms"),
            format!("is {}; at least {SERVICE_TIMEOUT_MIN_MS} milliseconds are needed", service.timeout_ms),
        );
    }
    if !(1..=ATTEMPTS_MAX).contains(&service.max_attempts) {
        findings.add(
            format!("{path}.max_attempts"),
            format!("is {}; it must be between 1 and {ATTEMPTS_MAX}", service.max_attempts),
        );
    }
    let params_bytes = Json::of(&service.params).get().len();
    if params_bytes > PARAMS_BYTES_MAX {
        findings
            .add(format!("{path}.params"), format!("has {params_bytes} bytes, at most {PARAMS_BYTES_MAX} are allowed"));
    }
}

/// First position of each name; a second service of the same name is a problem.
fn unique_names<'a>(spec: &'a PlanSpec, findings: &mut Findings) -> HashMap<&'a str, usize> {
    let mut positions = HashMap::new();
    for (position, service) in spec.services.iter().enumerate() {
        if let Some(first) = positions.get(service.service.as_str()) {
            findings.add(
                format!("services[{position}].service"),
                format!("'{}' is already the name of services[{first}]", service.service),
            );
        } else {
            positions.insert(service.service.as_str(), position);
        }
    }
    positions
}

fn dependencies(spec: &PlanSpec, positions: &HashMap<&str, usize>, findings: &mut Findings) {
    for (position, service) in spec.services.iter().enumerate() {
        let mut seen = HashSet::new();
        for (place, dependency) in service.depends_on.iter().enumerate() {
            let path = format!("services[{position}].depends_on[{place}]");
            if *dependency == service.service {
                findings.add(path, format!("'{dependency}' depends on itself"));
            } else if !positions.contains_key(dependency.as_str()) {
                findings.add(path, format!("'{dependency}' is no service of this plan"));
            } else if !seen.insert(dependency.as_str()) {
                findings.add(path, format!("'{dependency}' is listed twice"));
            }
        }
    }
}

/// One problem for each group of services that wait for one another, printed as a path.
fn cycles(spec: &PlanSpec, positions: &HashMap<&str, usize>, findings: &mut Findings) {
    let edges: Vec<Vec<usize>> = spec
        .services
        .iter()
        .enumerate()
        .map(|(position, service)| {
            let known = service.depends_on.iter().filter_map(|name| positions.get(name.as_str()).copied());
            known.filter(|target| *target != position).collect()
        })
        .collect();
    let mut knotted = knotted(&edges);
    for start in 0..edges.len() {
        if !knotted[start] {
            continue;
        }
        let cycle = walk_to_cycle(start, &edges, &knotted);
        for &position in &cycle.walked {
            knotted[position] = false;
        }
        if cycle.path.is_empty() {
            continue; // leads into a group that was already reported
        }
        let mut names: Vec<&str> =
            cycle.path.iter().map(|&position| spec.services[position].service.as_str()).collect();
        names.push(names[0]);
        findings.add("services", format!("depend on each other in a cycle: {}", names.join(" → ")));
    }
}

/// Services that can never start: what is left when all that can start has been taken away (Kahn 1962).
fn knotted(edges: &[Vec<usize>]) -> Vec<bool> {
    let mut open: Vec<usize> = edges.iter().map(Vec::len).collect();
    let mut dependents: Vec<Vec<usize>> = vec![Vec::new(); edges.len()];
    for (position, targets) in edges.iter().enumerate() {
        for &target in targets {
            dependents[target].push(position);
        }
    }
    let mut free: Vec<usize> = (0..edges.len()).filter(|&position| open[position] == 0).collect();
    let mut knotted = vec![true; edges.len()];
    while let Some(position) = free.pop() {
        knotted[position] = false;
        for &dependent in &dependents[position] {
            open[dependent] -= 1;
            if open[dependent] == 0 {
                free.push(dependent);
            }
        }
    }
    knotted
}

struct Walk {
    walked: Vec<usize>,
    path: Vec<usize>,
}

/// Follows dependencies among the knotted services until one repeats. A service that waits for a cycle already
/// reported ends the walk without a path.
fn walk_to_cycle(start: usize, edges: &[Vec<usize>], knotted: &[bool]) -> Walk {
    let mut walked = vec![start];
    loop {
        let last = walked[walked.len() - 1];
        let Some(next) = edges[last].iter().copied().find(|&target| knotted[target]) else {
            return Walk { walked, path: Vec::new() };
        };
        if let Some(first) = walked.iter().position(|&position| position == next) {
            let path = walked[first..].to_vec();
            return Walk { walked, path };
        }
        walked.push(next);
    }
}
