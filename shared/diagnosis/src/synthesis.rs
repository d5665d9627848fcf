//! Makes the diagnosis of a run from the results of its services. The order of things:
//! read the results, evaluate the rules, make the findings, score, compare with last time, say it.
//!
//! Deterministic to the byte: no clock, no randomness, no map whose order is not its keys' order.

use std::collections::{BTreeMap, BTreeSet};

use hermes_core::{RunStatus, ServiceStatus};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::confidence::{Backing, Confidence, ConfidenceLevel, Share, confidence};
use crate::derived;
use crate::diagnosis::{
    Cause, Diagnosis, DiagnosisWarning, MissingService, NextStep, NotEvaluated, RuleOutcomes, SCHEMA, StepKind,
};
use crate::diff::{self, what_changed};
use crate::facts::Facts;
use crate::finding::{self, Finding};
use crate::intake::{Intake, Reader};
use crate::limits::{
    FINDINGS_MAX, FOREIGN_ID_BYTES_MAX, NEXT_STEPS_MAX, SUPPORTING_CAUSES_MAX, TEXT_BYTES_MAX, TITLE_BYTES_MAX,
};
use crate::rules::{Effort, Evaluation, Outcome, RuleBook, Severity, evaluate};
use crate::score::score;
use crate::text::{clean, round4};

mod words;

/// What a diagnosis is made from.
#[derive(Clone, Debug)]
pub struct Input<'a> {
    /// The run.
    pub run_id: &'a str,
    /// The website, as the customer calls it.
    pub website_id: &'a str,
    /// Its domain or seed URL.
    pub domain: &'a str,
    /// The plan of the run.
    pub plan_id: &'a str,
    /// How the run ended.
    pub run_status: RunStatus,
    /// Revision of the run.
    pub revision: u32,
    /// All services of the plan, in its order.
    pub services: Vec<ServiceOutcome<'a>>,
    /// The site's previous diagnosis, as it was serialised, by whichever version.
    pub previous: Option<&'a RawValue>,
}

/// How one service ended.
#[derive(Clone, Debug)]
pub struct ServiceOutcome<'a> {
    /// Its name in the plan.
    pub service: &'a str,
    /// Its name for people.
    pub display_name: &'a str,
    /// Whether the plan requires it.
    pub required: bool,
    /// How it ended.
    pub status: ServiceStatus,
    /// Why it failed.
    pub error: Option<&'a str>,
    /// Class of the error.
    pub error_class: Option<&'a str>,
    /// How long it took, in milliseconds.
    pub duration_ms: Option<u64>,
    /// Whether it had timed out, and its answer came afterwards and is to count.
    pub is_late: bool,
    /// What it answered; read only if it completed, or is late.
    pub result: Option<&'a RawValue>,
}

impl ServiceOutcome<'_> {
    /// Whether the service has something to say.
    fn has_answered(&self) -> bool {
        self.status == ServiceStatus::Completed || self.is_late
    }
}

/// The input is no run. Nothing that a worker answers can cause this.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SynthesisError {
    /// A service is named twice; the caller's plan is not what it passed on.
    #[error("service '{service}' is named twice")]
    DoubledService {
        /// Its name.
        service: String,
    },
}

/// Makes the diagnosis.
///
/// # Errors
/// [`SynthesisError`] if the input is no run; whatever services answered, there is a diagnosis.
pub fn synthesise(book: &RuleBook, input: &Input<'_>) -> Result<Diagnosis, SynthesisError> {
    let mut names = BTreeSet::new();
    if let Some(doubled) = input.services.iter().find(|outcome| !names.insert(outcome.service)) {
        return Err(SynthesisError::DoubledService { service: doubled.service.to_owned() });
    }
    let mut facts = Facts::default();
    let intakes: Vec<Option<Intake>> = input.services.iter().map(|each| read(book, each, &mut facts)).collect();
    derived::add(&mut facts);
    let context = facts.context(book);
    let evaluations = evaluate(book, &facts, &context);
    let shares = shares(book, input, &intakes);
    let confidence = confidence(book, &facts, &evaluations, &shares);
    let score = score(book, &facts, &context, &evaluations, confidence.value.min(confidence.evidence));
    let rules = outcomes(book, input, &facts, &evaluations);
    let mut warnings = failed_rules(&evaluations);
    let of_rules = finding::of_rules(book, &facts, &context, &evaluations);
    let findings = findings(of_rules, intakes, &mut warnings);
    let services_analyzed = names_of(input, |outcome| outcome.has_answered());
    let late_services = names_of(input, |outcome| outcome.is_late);
    let missing_services = missing(book, input, &rules, &confidence);
    let measured = measured(book, &facts);
    let current = diff::Current {
        website_id: input.website_id,
        domain: input.domain,
        findings: &findings,
        rules: &rules,
        measured: &measured,
        services_analyzed: &services_analyzed,
        score: score.value,
    };
    let what_changed = what_changed(book, &current, input.previous.map(RawValue::get));
    let (primary_cause, supporting_causes) = causes(book, &findings);
    let level = ConfidenceLevel::of(round4(confidence.value));
    Ok(Diagnosis {
        schema: SCHEMA.to_owned(),
        run_id: input.run_id.to_owned(),
        website_id: input.website_id.to_owned(),
        domain: input.domain.to_owned(),
        plan_id: input.plan_id.to_owned(),
        revision: input.revision,
        run_status: input.run_status,
        summary: words::summary(input, &findings, primary_cause.as_ref(), round4(confidence.value), level),
        primary_cause,
        supporting_causes,
        what_to_do_next: next_steps(&findings, &missing_services),
        findings,
        what_changed,
        services_analyzed,
        late_services,
        missing_services,
        rules,
        measured,
        confidence: round4(confidence.value),
        confidence_level: level,
        score,
        warnings,
    })
}

fn names_of(input: &Input<'_>, is_wanted: impl Fn(&ServiceOutcome<'_>) -> bool) -> Vec<String> {
    input.services.iter().filter(|outcome| is_wanted(outcome)).map(|outcome| outcome.service.to_owned()).collect()
}

/// Reads a service's result; `None` where there is none.
fn read(book: &RuleBook, outcome: &ServiceOutcome<'_>, facts: &mut Facts) -> Option<Intake> {
    let reader = Reader { catalogue: &book.catalogue, categories: &book.categories, service: outcome.service };
    outcome.has_answered().then(|| reader.read(outcome.result.map(RawValue::get), facts))
}

/// A service of the catalogue backs its share with signals, unless it answered in a form of its own.
fn shares<'a>(book: &RuleBook, input: &Input<'a>, intakes: &[Option<Intake>]) -> Vec<Share<'a>> {
    let backing = |outcome: &ServiceOutcome<'_>, intake: Option<&Intake>| match intake {
        Some(intake) if book.catalogue.service(outcome.service).is_some() && intake.measures => Backing::Evidence,
        Some(_) => Backing::Answer { completed: true },
        None if book.catalogue.service(outcome.service).is_some() => Backing::Evidence,
        None => Backing::Answer { completed: false },
    };
    let pairs = input.services.iter().zip(intakes);
    pairs
        .map(|(outcome, intake)| Share {
            service: outcome.service,
            required: outcome.required,
            backing: backing(outcome, intake.as_ref()),
        })
        .collect()
}

/// Lists the rules by outcome. A rule that draws only on services which the plan does not have is counted, not listed.
fn outcomes(book: &RuleBook, input: &Input<'_>, facts: &Facts, evaluations: &[Evaluation<'_>]) -> RuleOutcomes {
    let mut outcomes = RuleOutcomes { book: book.fingerprint.clone(), ..RuleOutcomes::default() };
    let planned = |id: &String| {
        let owner = book.catalogue.owner(id).map(|owner| owner.service.as_str());
        input.services.iter().any(|outcome| Some(outcome.service) == owner)
    };
    for evaluation in evaluations {
        let rule = evaluation.rule;
        if !rule.needs().iter().any(|id| planned(id) || facts.get(id).is_some()) {
            outcomes.out_of_scope += 1;
            continue;
        }
        match evaluation.outcome {
            Outcome::Fired => outcomes.fired.push(rule.id.clone()),
            Outcome::Passed => outcomes.passed.push(rule.id.clone()),
            Outcome::NotApplicable => outcomes.not_applicable.push(rule.id.clone()),
            Outcome::NotEvaluated => outcomes.not_evaluated.push(NotEvaluated {
                id: rule.id.clone(),
                missing: evaluation.missing.iter().map(|id| (*id).to_owned()).collect(),
            }),
        }
    }
    outcomes
}

/// The known values of the signals that rules read.
fn measured(book: &RuleBook, facts: &Facts) -> BTreeMap<String, Value> {
    let needed = book.rules.iter().flat_map(|rule| rule.needs());
    needed.filter_map(|id| facts.get(id).map(|fact| (id.clone(), fact.value.clone()))).collect()
}

/// Rules that failed although they had all their signals: a fault of the rule file that its samples did not show.
fn failed_rules(evaluations: &[Evaluation<'_>]) -> Vec<DiagnosisWarning> {
    let failed = evaluations.iter().filter_map(|evaluation| {
        evaluation.error.as_ref().map(|error| DiagnosisWarning {
            code: "rule_failed".to_owned(),
            service: None,
            detail: format!("rule {} could not be evaluated: {error}", evaluation.rule.id),
        })
    });
    failed.collect()
}

/// The rules' and the workers' findings in their order, and the warnings of all results.
fn findings(
    mut findings: Vec<Finding>,
    intakes: Vec<Option<Intake>>,
    warnings: &mut Vec<DiagnosisWarning>,
) -> Vec<Finding> {
    for intake in intakes.into_iter().flatten() {
        findings.extend(intake.findings);
        warnings.extend(intake.warnings);
    }
    finding::sort(&mut findings);
    let mut warn = |code: &str, detail: String| {
        warnings.push(DiagnosisWarning { code: code.to_owned(), service: None, detail });
    };
    if findings.len() > FINDINGS_MAX {
        warn("too_many_findings", format!("the last {} findings were left out", findings.len() - FINDINGS_MAX));
        findings.truncate(FINDINGS_MAX);
    }
    if finding::limit_items(&mut findings) {
        warn("evidence_cut", "some places were left out; the totals are complete".to_owned());
    }
    findings
}

/// The first cause, and those that stand beside it. A finding that another one causes is no cause; a gate comes first.
fn causes(book: &RuleBook, findings: &[Finding]) -> (Option<Cause>, Vec<Cause>) {
    let mut roots: Vec<&Finding> =
        findings.iter().filter(|finding| finding.caused_by.is_empty() && finding.severity > Severity::Info).collect();
    // Stable: within gates and non-gates the findings keep their order.
    roots.sort_by_key(|finding| finding.gate.is_none());
    let mut roots = roots.into_iter();
    let primary = roots.next().map(|finding| cause(book, finding, findings));
    let supporting = roots
        .filter(|finding| finding.severity >= Severity::Medium)
        .take(SUPPORTING_CAUSES_MAX)
        .map(|finding| cause(book, finding, findings))
        .collect();
    (primary, supporting)
}

fn cause(book: &RuleBook, finding: &Finding, findings: &[Finding]) -> Cause {
    let known = book.rule(&finding.id).is_some();
    let symptoms =
        findings.iter().filter(|other| known && other.caused_by.contains(&finding.id)).map(|other| &other.id);
    let hidden = finding.consequences.iter().map(|consequence| &consequence.id);
    Cause {
        finding_id: finding.id.clone(),
        title: finding.title.clone(),
        severity: finding.severity,
        category: finding.category.clone(),
        confidence: finding.confidence,
        why: finding.why.clone(),
        explains: symptoms.chain(hidden).cloned().collect(),
    }
}

/// Repairs in the order of their findings, then what would make more known. The same action appears once.
fn next_steps(findings: &[Finding], missing: &[MissingService]) -> Vec<NextStep> {
    let mut steps: Vec<NextStep> = Vec::new();
    for finding in findings.iter().filter(|finding| !finding.action.is_empty() && finding.severity > Severity::Info) {
        if let Some(same) = steps.iter_mut().find(|step| step.action == finding.action) {
            same.finding_ids.push(finding.id.clone());
        } else if steps.len() < NEXT_STEPS_MAX {
            steps.push(NextStep {
                kind: StepKind::Fix,
                action: finding.action.clone(),
                title: finding.title.clone(),
                finding_ids: vec![finding.id.clone()],
                severity: Some(finding.severity),
                effort: finding.effort,
                priority: finding.priority,
            });
        }
    }
    let mut enable: Vec<NextStep> = missing.iter().filter_map(enabling_step).collect();
    enable.sort_by(|a, b| b.priority.total_cmp(&a.priority).then_with(|| a.title.cmp(&b.title)));
    steps.extend(enable);
    steps
}

fn enabling_step(missing: &MissingService) -> Option<NextStep> {
    let action = missing.how_to_enable.clone()?;
    Some(NextStep {
        kind: StepKind::Enable,
        action,
        title: missing.display_name.clone(),
        finding_ids: Vec::new(),
        severity: None,
        effort: Effort::S,
        priority: round4(missing.confidence_lost * 100.0),
    })
}

/// The services without a result, and what that costs.
fn missing(book: &RuleBook, input: &Input<'_>, rules: &RuleOutcomes, confidence: &Confidence) -> Vec<MissingService> {
    let of_service = |service: &str| {
        let lacks = |rule: &&NotEvaluated| {
            rule.missing.iter().any(|id| book.catalogue.owner(id).is_some_and(|owner| owner.service == service))
        };
        rules.not_evaluated.iter().filter(lacks).map(|rule| rule.id.clone()).collect::<Vec<_>>()
    };
    let some_unconfigured = input.services.iter().any(words::is_unconfigured);
    let missing = input.services.iter().filter(|outcome| !outcome.has_answered());
    missing
        .map(|outcome| {
            let known = book.catalogue.service(outcome.service);
            let how = known
                .and_then(|known| known.how_to_enable.as_deref())
                .filter(|_| words::enabling_helps(outcome, some_unconfigured));
            MissingService {
                service: outcome.service.to_owned(),
                display_name: clean(outcome.display_name, TITLE_BYTES_MAX),
                status: outcome.status,
                error_class: outcome.error_class.map(|class| clean(class, FOREIGN_ID_BYTES_MAX)),
                reason: clean(&words::reason(outcome, how), TEXT_BYTES_MAX),
                required: outcome.required,
                how_to_enable: how.map(str::to_owned),
                rules_not_evaluated: of_service(outcome.service),
                confidence_lost: round4(confidence.lost.get(outcome.service).copied().unwrap_or(0.0)),
            }
        })
        .collect()
}
