//! What changed, for a person: as a part of a diagnosis, and between two runs.

use hermes_diagnosis::diff::{Change, ChangeStatus, WhatChanged};

use super::text::{Layout, Paint, clean, count, wrap};

/// The answer of `hermes diff`.
#[must_use]
pub fn render(changed: &WhatChanged, layout: Layout) -> String {
    let mut out = match changed.status {
        ChangeStatus::FirstDiagnosis => "There is nothing to compare with.\n".to_owned(),
        ChangeStatus::NotComparable => {
            let reason = changed.reason.as_deref().unwrap_or("no reason is known");
            return wrap(&format!("The two runs cannot be compared: {reason}"), "", layout.width);
        }
        ChangeStatus::Compared => lines(changed, layout),
    };
    for one in &changed.within_noise {
        let text = format!("{} ({}): came or went, with values that moved within noise", one.title, one.id);
        out.push_str(&wrap(&text, "  Noise     ", layout.width));
    }
    for one in &changed.not_comparable {
        let title = if one.title.is_empty() { one.id.clone() } else { format!("{} ({})", one.title, one.id) };
        out.push_str(&wrap(&format!("{title}: {}", one.because), "  Unknown   ", layout.width));
    }
    out
}

/// Score, lists and what stayed.
pub(super) fn lines(changed: &WhatChanged, layout: Layout) -> String {
    let mut out = String::new();
    if let (Some(before), Some(change)) = (changed.score_before, changed.score_change) {
        out.push_str(&format!("  Score     {change:+.0}, it was {before:.0}\n"));
    }
    for (label, paint, list) in [
        ("New", Paint::Red, &changed.new),
        ("Fixed", Paint::Green, &changed.fixed),
        ("Worse", Paint::Red, &changed.worse),
        ("Better", Paint::Green, &changed.better),
    ] {
        for change in list {
            let text = wrap(&sentence(change), "            ", layout.width);
            let label = layout.paint(paint, &format!("{label:<8}"));
            out.push_str(&format!("  {label}  {}", text.trim_start()));
        }
    }
    out.push_str(&format!("  {}\n", unchanged(changed)));
    out
}

/// What did not move, and what may have without being seen.
fn unchanged(changed: &WhatChanged) -> String {
    let same = changed.unchanged + changed.within_noise.len();
    let same = format!("{} as before", count(same, "finding", "findings"));
    match changed.not_comparable.len() {
        0 => same,
        unseen => format!("{same}; {} cannot be compared", count(unseen, "other", "others")),
    }
}

fn sentence(change: &Change) -> String {
    let detail = change.detail.as_deref().map(|detail| format!(": {detail}")).unwrap_or_default();
    clean(&format!("{} ({}){detail}", change.title, change.id))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::render::fixtures::plain;

    #[test]
    fn a_difference_says_what_moved_and_what_could_not_be_seen() {
        let changed: WhatChanged = serde_json::from_value(json!({
            "compared_with": "a", "status": "compared",
            "new": [{"id": "IDX-010", "title": "Missing pages answer 200"}],
            "fixed": [{"id": "CRW-004", "title": "Redirect loops"}],
            "worse": [{"id": "CRW-002", "title": "Broken links", "detail": "pages: 30 %, was 10 %"}],
            "better": [], "unchanged": 3,
            "within_noise": [{"id": "EXP-003", "title": "Slow"}],
            "not_comparable": [{"id": "VIS-002", "title": "Not first", "because": "not checked in the later diagnosis"}, "OLD-1"],
            "score_before": 70.0, "score_change": -4.0,
        }))
        .expect("the shape of the API");
        let expected = "  Score     -4, it was 70
  New       Missing pages answer 200 (IDX-010)
  Fixed     Redirect loops (CRW-004)
  Worse     Broken links (CRW-002): pages: 30 %, was 10 %
  4 findings as before; 2 others cannot be compared
  Noise     Slow (EXP-003): came or went, with values that moved within noise
  Unknown   Not first (VIS-002): not checked in the later diagnosis
  Unknown   OLD-1:
";
        assert_eq!(render(&changed, plain(100)), expected);
    }

    #[test]
    fn two_runs_that_cannot_be_compared_say_why() {
        let changed: WhatChanged = serde_json::from_value(json!({
            "compared_with": null, "status": "not_comparable", "reason": "the diagnoses are of different sites",
            "new": [], "fixed": [], "worse": [], "better": [], "unchanged": 0, "not_comparable": [],
        }))
        .expect("the shape of the API");
        assert!(render(&changed, plain(100)).contains("cannot be compared: the diagnoses are of different sites"));
    }
}
