//! Words and figures that the forms of a report share.

use hermes_core::Timestamp;
use hermes_diagnosis::diagnosis::MissingService;
use hermes_diagnosis::finding::SignalEvidence;
use hermes_diagnosis::{ConfidenceLevel, Diagnosis, Effort, RuleBook, Severity, clean};

/// Bytes of a title or a name that are shown.
const TITLE_BYTES_MAX: usize = 240;
/// Bytes of a sentence that are shown.
const TEXT_BYTES_MAX: usize = 1_200;
/// Bytes of an address that are shown.
pub(crate) const URL_BYTES_MAX: usize = 1_024;

/// A title as it can be shown.
pub(crate) fn title(text: &str) -> String {
    clean(text, TITLE_BYTES_MAX)
}

/// A sentence as it can be shown.
pub(crate) fn text(text: &str) -> String {
    clean(text, TEXT_BYTES_MAX)
}

/// The address if it is one that a reader can open, and nothing else: no `javascript:`, no `data:`.
pub(crate) fn web_address(url: &str) -> Option<String> {
    let shown = clean(url, URL_BYTES_MAX);
    let lower = shown.to_ascii_lowercase();
    let is_web = lower.starts_with("http://") || lower.starts_with("https://");
    // What was changed or cut by cleaning leads elsewhere than it says.
    (is_web && shown == url).then_some(shown)
}

/// The judgement in a few words.
pub(crate) fn verdict(diagnosis: &Diagnosis) -> &'static str {
    let worst = diagnosis.findings.iter().map(|finding| finding.severity).max();
    if diagnosis.services_analyzed.is_empty() && worst.is_none() {
        return "Nothing is known yet";
    }
    if diagnosis.findings.iter().any(|finding| finding.gate.is_some()) {
        return "One fault outweighs everything else";
    }
    match worst {
        Some(Severity::Critical) => "Critical problems",
        Some(Severity::High) => "Serious problems",
        Some(Severity::Medium) => "Room for improvement",
        Some(Severity::Low | Severity::Info) => "Small blemishes",
        None => "No problem found",
    }
}

/// How good a score is: the name of its colour.
pub(crate) fn band(score: Option<f64>) -> &'static str {
    match score {
        Some(90.0..) => "good",
        Some(50.0..) => "fair",
        Some(_) => "poor",
        None => "none",
    }
}

/// The same for a confidence.
pub(crate) const fn level_band(level: ConfidenceLevel) -> &'static str {
    match level {
        ConfidenceLevel::High => "good",
        ConfidenceLevel::Medium => "fair",
        ConfidenceLevel::Low => "poor",
    }
}

/// How much work.
pub(crate) const fn effort(effort: Effort) -> &'static str {
    match effort {
        Effort::S => "small effort",
        Effort::M => "medium effort",
        Effort::L => "large effort",
        Effort::Xl => "very large effort",
    }
}

/// A share of 0 to 1 in percent.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// `1 finding`, `2 findings`.
pub(crate) fn count(n: u64, one: &str, many: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{} {many}", grouped(n)) }
}

/// A number with a thin space between groups of three digits.
pub(crate) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3 * 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// The value of a signal with its unit, where the book knows the signal.
pub(crate) fn value(book: &RuleBook, signal: &SignalEvidence) -> String {
    let shown = match book.catalogue().signal(&signal.id) {
        Some(spec) => spec.value_in_words(&signal.value),
        None => signal.value.as_str().map_or_else(|| signal.value.to_string(), str::to_owned),
    };
    title(&shown)
}

/// The name of a category.
pub(crate) fn category(book: &RuleBook, id: &str) -> String {
    match book.categories().iter().find(|category| category.id == id) {
        Some(category) => category.name.clone(),
        None if id == "service" => "From a service".to_owned(),
        None => title(id),
    }
}

/// The title of a rule.
pub(crate) fn rule(book: &RuleBook, id: &str) -> String {
    book.rules().iter().find(|rule| rule.id == id).map_or_else(|| title(id), |rule| rule.title.clone())
}

/// The name of a signal.
pub(crate) fn signal(book: &RuleBook, id: &str) -> String {
    book.catalogue().signal(id).map_or_else(|| title(id), |spec| spec.name.clone())
}

/// Which services had timed out and answered afterwards.
pub(crate) fn late(diagnosis: &Diagnosis) -> Option<String> {
    let names: Vec<String> = diagnosis.late_services.iter().map(|service| title(service)).collect();
    (!names.is_empty()).then(|| format!("Answered after the time-out, and counted here: {}.", names.join(", ")))
}

/// What the absence of a service costs.
pub(crate) fn cost(missing: &MissingService) -> String {
    let rules = missing.rules_not_evaluated.len() as u64;
    let checks = match rules {
        0 => String::new(),
        _ => format!(", {} not made", count(rules, "check", "checks")),
    };
    format!("{} of confidence{checks}", percent(missing.confidence_lost))
}

/// `23 November 2026, 14:05 UTC`.
pub(crate) fn moment(at: Timestamp) -> String {
    let text = at.to_string();
    match (day(at), text.get(11..16)) {
        (Some(day), Some(time)) => format!("{day}, {time} UTC"),
        _ => text,
    }
}

/// `23 Nov 2026`, for the ends of a chart.
pub(crate) fn short_day(at: Timestamp) -> String {
    match day(at) {
        Some(day) => {
            let mut words = day.split(' ');
            let mut next = || words.next().unwrap_or_default();
            let (number, month, year) = (next(), next(), next());
            format!("{number} {} {year}", &month[..month.len().min(3)])
        }
        None => at.to_string(),
    }
}

fn day(at: Timestamp) -> Option<String> {
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    let text = at.to_string();
    let mut parts = text.get(..10)?.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let month = MONTHS.get(month.parse::<usize>().ok()?.checked_sub(1)?)?;
    Some(format!("{} {month} {year}", day.parse::<u8>().ok()?))
}
