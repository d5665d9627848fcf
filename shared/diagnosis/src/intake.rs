//! Reads the results of services, whoever wrote the worker: signals and findings are taken over one by one, cleaned and
//! capped; what cannot be used becomes a warning. No result, however odd, makes a diagnosis fail.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::catalogue::Catalogue;
use crate::conforms::schema_problem;
use crate::diagnosis::DiagnosisWarning;
use crate::facts::{Fact, Facts, sample_factor, typed};
use crate::finding::{Finding, FindingEvidence, Origin};
use crate::limits::{
    EVIDENCE_ITEMS_MAX, FOREIGN_FINDINGS_MAX, FOREIGN_ID_BYTES_MAX, FOREIGN_WARNINGS_MAX, SIGNALS_MAX, TEXT_BYTES_MAX,
    TITLE_BYTES_MAX,
};
use crate::rules::{Category, Effort, Severity};
use crate::signal::{Coverage, Evidence, EvidenceItem, Method, SCHEMA};
use crate::text::{clean, list};

/// Category of a worker's finding that names no known one.
pub(crate) const SERVICE_CATEGORY: &str = "service";
/// Trust in what a worker says without telling how sure it is.
const QUALITY_UNTOLD: f64 = 0.5;

/// What was read from one result.
#[derive(Debug, Default)]
pub(crate) struct Intake {
    /// Whether the result is of the schema of signals, or carries any.
    pub(crate) measures: bool,
    /// Findings that the worker made itself.
    pub(crate) findings: Vec<Finding>,
    /// What could not be used.
    pub(crate) warnings: Vec<DiagnosisWarning>,
}

/// What a result is read against.
pub(crate) struct Reader<'a> {
    pub(crate) catalogue: &'a Catalogue,
    pub(crate) categories: &'a [Category],
    pub(crate) service: &'a str,
}

impl Reader<'_> {
    /// Reads one result; its signals go to `facts`.
    pub(crate) fn read(&self, result: Option<&str>, facts: &mut Facts) -> Intake {
        let mut intake = Intake::default();
        let Some(body) = self.body(result, &mut intake) else { return intake };
        intake.measures = body.get("schema").and_then(Value::as_str) == Some(SCHEMA);
        if intake.measures
            && let Some(problem) = schema_problem(&body)
        {
            let detail = format!("the result says that it is {SCHEMA} and is not: {problem}; what can be read is used");
            intake.warnings.push(self.warning("not_of_schema", clean(&detail, TEXT_BYTES_MAX)));
        }
        if let Some(signals) = body.get("signals").and_then(Value::as_array) {
            intake.measures = true;
            self.signals(&body, signals, facts, &mut intake);
        }
        if let Some(findings) = body.get("findings").and_then(Value::as_array) {
            self.findings(findings, &mut intake);
        }
        if let Some(warnings) = body.get("warnings").and_then(Value::as_array) {
            self.warnings(warnings, &mut intake);
        }
        intake
    }

    /// The JSON object that a result consists of; that inside the envelope `{"ok": …, "data": {…}}` if it has one.
    fn body(&self, result: Option<&str>, intake: &mut Intake) -> Option<Map<String, Value>> {
        let problem = match result.map(serde_json::from_str::<Value>) {
            Some(Ok(Value::Object(mut object))) => {
                let is_envelope = object.get("ok").is_some_and(Value::is_boolean);
                return match object.remove("data") {
                    Some(Value::Object(data)) if is_envelope => Some(data),
                    Some(other) => {
                        object.insert("data".to_owned(), other);
                        Some(object)
                    }
                    None => Some(object),
                };
            }
            Some(Ok(Value::Null)) | None => "completed without a result",
            Some(Ok(_)) => "answered with something else than a JSON object",
            Some(Err(_)) => "answered with JSON that cannot be read",
        };
        intake.warnings.push(self.warning("unusable_result", problem.to_owned()));
        None
    }

    fn signals(&self, body: &Map<String, Value>, signals: &[Value], facts: &mut Facts, intake: &mut Intake) {
        let coverage = body.get("coverage").and_then(coverage_of);
        let provider = provider_of(body.get("provider"));
        let mut unknown = BTreeSet::new();
        let mut unusable = BTreeSet::new();
        let mut doubled = BTreeSet::new();
        for signal in signals.iter().take(SIGNALS_MAX) {
            let id = signal.get("id").and_then(Value::as_str).unwrap_or("(no id)");
            let Some(spec) = self.catalogue.signal(id) else {
                unknown.insert(clean(id, FOREIGN_ID_BYTES_MAX));
                continue;
            };
            let value = signal.get("value").unwrap_or(&Value::Null);
            if value.is_null() {
                // A share of nothing is no unknown share: what the signal is about does not exist.
                if signal.get("n").and_then(Value::as_u64) == Some(0) {
                    facts.add_vacuous(id, share_of(signal.get("quality")).unwrap_or(QUALITY_UNTOLD));
                }
                continue;
            }
            let Some(value) = typed(spec, value) else {
                unusable.insert(id.to_owned());
                continue;
            };
            let method = method_of(signal.get("method"));
            let fact = Fact {
                value,
                quality: share_of(signal.get("quality")).unwrap_or(QUALITY_UNTOLD),
                sample: sample_factor(spec, method, coverage.as_ref()),
                source: Arc::from(format!("{provider}{}", method_in_words(method))),
                service: Arc::from(self.service),
                evidence: signal.get("evidence").and_then(evidence_of),
            };
            let owner = self.catalogue.owner(id).map_or("", |owner| &owner.service);
            if !facts.add(id, fact, owner) {
                doubled.insert(id.to_owned());
            }
        }
        let mut warn = |code: &str, what: &str, ids: &BTreeSet<String>| {
            if !ids.is_empty() {
                let names: Vec<&str> = ids.iter().map(String::as_str).collect();
                intake.warnings.push(self.warning(code, format!("{what}: {}", list(&names))));
            }
        };
        warn("unknown_signals", "signals that the catalogue does not know were ignored", &unknown);
        warn("unusable_signals", "signals whose value is not of the catalogue's type count as unknown", &unusable);
        warn("doubled_signals", "signals came more than once; the most trustworthy value was used", &doubled);
        if signals.len() > SIGNALS_MAX {
            let detail = format!("only the first {SIGNALS_MAX} of {} signals were read", signals.len());
            intake.warnings.push(self.warning("too_many_signals", detail));
        }
    }

    fn findings(&self, findings: &[Value], intake: &mut Intake) {
        let mut ids = BTreeSet::new();
        let mut unusable = 0_usize;
        for finding in findings {
            if intake.findings.len() == FOREIGN_FINDINGS_MAX {
                let detail =
                    format!("only the first {FOREIGN_FINDINGS_MAX} of {} findings were taken over", findings.len());
                intake.warnings.push(self.warning("too_many_findings", detail));
                break;
            }
            match self.finding(finding, &mut ids) {
                Some(finding) => intake.findings.push(finding),
                None => unusable += 1,
            }
        }
        if unusable > 0 {
            let what = crate::text::count(unusable, "finding", "findings");
            intake.warnings.push(self.warning("unusable_findings", format!("{what} without a title were left out")));
        }
    }

    fn finding(&self, value: &Value, ids: &mut BTreeSet<String>) -> Option<Finding> {
        let text =
            |name: &str, bytes_max: usize| value.get(name).and_then(Value::as_str).map(|text| clean(text, bytes_max));
        let title = text("title", TITLE_BYTES_MAX).filter(|title| !title.is_empty())?;
        let own_id = text("id", FOREIGN_ID_BYTES_MAX).filter(|id| !id.is_empty()).unwrap_or_else(|| slug(&title));
        let mut id = format!("{}:{own_id}", self.service);
        let mut number = 2;
        while !ids.insert(id.clone()) {
            id = format!("{}:{own_id}-{number}", self.service);
            number += 1;
        }
        let category =
            text("category", FOREIGN_ID_BYTES_MAX).filter(|id| self.categories.iter().any(|known| known.id == *id));
        let mut evidence = FindingEvidence::default();
        if let Some(seen) = value.get("evidence").and_then(evidence_of) {
            evidence.add(seen.total, &seen.items);
        }
        let mut finding = Finding {
            id,
            why: text("detail", TEXT_BYTES_MAX).unwrap_or_default(),
            action: text("action", TEXT_BYTES_MAX).unwrap_or_default(),
            title,
            severity: severity_of(value.get("severity")),
            category: category.unwrap_or_else(|| SERVICE_CATEGORY.to_owned()),
            priority: 0.0,
            confidence: crate::text::round4(share_of(value.get("confidence")).unwrap_or(QUALITY_UNTOLD)),
            reach: share_of(value.get("reach")).map(crate::text::round4),
            effort: effort_of(value.get("effort")),
            condition: None,
            gate: None,
            evidence,
            services: vec![self.service.to_owned()],
            caused_by: Vec::new(),
            consequences: Vec::new(),
            origin: Origin::Service,
            source: self.service.to_owned(),
        };
        finding.prioritise();
        Some(finding)
    }

    fn warnings(&self, warnings: &[Value], intake: &mut Intake) {
        for warning in warnings.iter().take(FOREIGN_WARNINGS_MAX) {
            let text = |name: &str| warning.get(name).and_then(Value::as_str);
            let detail = text("detail").or_else(|| warning.as_str()).unwrap_or_default();
            let code = clean(text("code").unwrap_or("worker_warning"), FOREIGN_ID_BYTES_MAX);
            intake.warnings.push(self.warning(&code, clean(detail, TEXT_BYTES_MAX)));
        }
    }

    fn warning(&self, code: &str, detail: String) -> DiagnosisWarning {
        DiagnosisWarning { code: code.to_owned(), service: Some(self.service.to_owned()), detail }
    }
}

fn provider_of(provider: Option<&Value>) -> String {
    let text = |name: &str| {
        provider
            .and_then(|provider| provider.get(name))
            .and_then(Value::as_str)
            .map(|text| clean(text, FOREIGN_ID_BYTES_MAX))
    };
    match (text("name").filter(|name| !name.is_empty()), text("version").filter(|version| !version.is_empty())) {
        (Some(name), Some(version)) => format!("{name} {version}"),
        (Some(name), None) => name,
        (None, _) => "worker".to_owned(),
    }
}

fn coverage_of(coverage: &Value) -> Option<Coverage> {
    let pages = |name: &str| coverage.get(name).and_then(Value::as_u64);
    Some(Coverage { pages_crawled: pages("pages_crawled")?, pages_known: pages("pages_known")? })
}

fn method_of(method: Option<&Value>) -> Method {
    // What does not say how it was measured was said by someone.
    method.and_then(|method| serde_json::from_value(method.clone()).ok()).unwrap_or(Method::Api)
}

fn method_in_words(method: Method) -> &'static str {
    match method {
        Method::Crawl => ", crawled",
        Method::Lab => ", measured in the lab",
        Method::Field => ", measured at users",
        Method::Api => "",
        Method::Derived => ", derived",
    }
}

/// A number of 0 to 1; what is beyond is cut to that.
fn share_of(value: Option<&Value>) -> Option<f64> {
    value.and_then(Value::as_f64).map(|share| share.clamp(0.0, 1.0))
}

fn severity_of(severity: Option<&Value>) -> Severity {
    let word = severity.and_then(Value::as_str).unwrap_or_default().trim().to_ascii_lowercase();
    match word.as_str() {
        "critical" | "blocker" | "fatal" => Severity::Critical,
        "high" | "error" | "major" => Severity::High,
        "low" | "minor" => Severity::Low,
        "info" | "notice" | "information" => Severity::Info,
        _ => Severity::Medium,
    }
}

fn effort_of(effort: Option<&Value>) -> Effort {
    match effort.and_then(Value::as_str).map(str::trim) {
        Some("S" | "s") => Effort::S,
        Some("L" | "l") => Effort::L,
        Some("XL" | "xl") => Effort::Xl,
        Some(_) | None => Effort::M,
    }
}

/// Evidence in any form that it is likely to have: a text, a list of texts or items, or items with a total.
fn evidence_of(evidence: &Value) -> Option<Evidence> {
    let (items, total) = match evidence {
        Value::Array(items) => (items.as_slice(), None),
        Value::Object(object) => match object.get("items").and_then(Value::as_array) {
            Some(items) => (items.as_slice(), object.get("total").and_then(Value::as_u64)),
            None => (std::slice::from_ref(evidence), None),
        },
        Value::String(_) => (std::slice::from_ref(evidence), None),
        Value::Null | Value::Bool(_) | Value::Number(_) => return None,
    };
    let listed = u64::try_from(items.len()).unwrap_or(u64::MAX);
    let items = items.iter().take(EVIDENCE_ITEMS_MAX).filter_map(item_of).collect();
    Some(Evidence { total: total.unwrap_or(listed), items })
}

fn item_of(item: &Value) -> Option<EvidenceItem> {
    let text = |name: &str| item.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let item = match item.as_str() {
        Some(line) if line.starts_with("http://") || line.starts_with("https://") => {
            EvidenceItem { url: line.to_owned(), detail: String::new() }
        }
        Some(line) => EvidenceItem { url: String::new(), detail: line.to_owned() },
        None => EvidenceItem { url: text("url"), detail: text("detail") },
    };
    (!item.url.is_empty() || !item.detail.is_empty()).then_some(item)
}

/// A title as an id: lower case, words joined by `-`.
fn slug(title: &str) -> String {
    let words = title.to_lowercase();
    let words: Vec<&str> = words.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let slug = clean(&words.join("-"), FOREIGN_ID_BYTES_MAX);
    if slug.is_empty() { "finding".to_owned() } else { slug }
}
