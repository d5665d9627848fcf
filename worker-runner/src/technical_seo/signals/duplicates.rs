//! Pages that say what another page says already.

use super::super::near;
use super::view::View;
use crate::site::fingerprint::Fingerprint;
use crate::site::report::{Findings, Report};

/// Judged pages with the words of an earlier one, in the same order or nearly so.
pub(super) fn add(report: &mut Report, view: &View<'_>) {
    let pages: Vec<_> = view.judged().collect();
    let texts: Vec<Fingerprint> = pages.iter().map(|known| known.page.facts.text).collect();
    let mut found = Findings::new();
    for (known, earlier) in pages.iter().zip(near::earlier(&texts)) {
        let Some(earlier) = earlier else { continue };
        let original = pages[earlier.index].url;
        found.add(known.url, || match earlier.distance {
            None => format!("same text as {original}"),
            Some(bits) => format!("nearly the same text as {original} ({bits} of 64 bits differ)"),
        });
    }
    report.ratio("tech.duplicate_content_ratio", found, view.judged_count());
}
