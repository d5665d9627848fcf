//! Signals that take what two services measured, of which neither waits for the other.

use std::sync::Arc;

use serde_json::Value;

use crate::facts::{Fact, Facts};

/// The index of a search engine beside the crawl.
const INDEX_RATIO: &str = "serp.index_ratio";
const INDEX_ESTIMATE: &str = "serp.index_estimate";
const INDEXABLE_RATIO: &str = "tech.indexable_ratio";
const PAGES_KNOWN: &str = "tech.pages_known";

/// Adds what can be derived. What a service could only tell by less gives way to it.
pub(crate) fn add(facts: &mut Facts) {
    if let Some(ratio) = index_ratio(facts) {
        facts.replace(INDEX_RATIO, ratio);
    }
}

/// The engine's estimate over the pages that are known to exist and indexable as far as they were crawled. Nobody knows
/// better how many there are than the crawl: a sitemap may be missing, or list what it should not.
fn index_ratio(facts: &Facts) -> Option<Fact> {
    let (estimate, share) = (facts.get(INDEX_ESTIMATE)?, facts.get(INDEXABLE_RATIO)?);
    let indexable = (share.value.as_f64()? * facts.get(PAGES_KNOWN)?.value.as_f64()?).round();
    if indexable < 1.0 {
        return None;
    }
    let ratio = (estimate.value.as_f64()? / indexable * 10_000.0).round() / 10_000.0;
    Some(Fact {
        value: Value::from(ratio),
        quality: estimate.quality.min(share.quality),
        sample: share.sample,
        source: Arc::from(format!("{}, over {indexable} indexable pages by {}", estimate.source, share.source)),
        service: estimate.service.clone(),
        evidence: estimate.evidence.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(values: &[(&str, Value)]) -> Facts {
        let mut facts = Facts::default();
        for (id, value) in values {
            let of_crawl = id.starts_with("tech.");
            let fact = Fact {
                value: value.clone(),
                quality: if of_crawl { 0.95 } else { 0.3 },
                sample: if of_crawl { 0.5 } else { 1.0 },
                source: Arc::from("somebody"),
                service: Arc::from(if of_crawl { "technical-seo" } else { "serp-intelligence" }),
                evidence: None,
            };
            facts.add(id, fact, "");
        }
        add(&mut facts);
        facts
    }

    #[test]
    fn the_index_is_compared_with_what_the_crawl_found_indexable_whatever_the_sitemaps_say() {
        let [estimate, share, known] =
            [(INDEX_ESTIMATE, Value::from(30)), (INDEXABLE_RATIO, Value::from(0.6)), (PAGES_KNOWN, Value::from(100))];
        let listed = (INDEX_RATIO, Value::from(2.0));
        let all = facts(&[estimate.clone(), share.clone(), known.clone(), listed.clone()]);
        let found = all.get(INDEX_RATIO).expect("derived");
        assert_eq!((&found.value, found.quality, found.sample), (&Value::from(0.5), 0.3, 0.5));
        // Without a crawl, what the service said stands; without an estimate nothing is said.
        assert_eq!(facts(&[estimate, listed]).get(INDEX_RATIO).expect("told").value, Value::from(2.0));
        assert!(facts(&[share, known.clone()]).get(INDEX_RATIO).is_none());
        let nothing = facts(&[(INDEX_ESTIMATE, Value::from(3)), (INDEXABLE_RATIO, Value::from(0.0)), known]);
        assert!(nothing.get(INDEX_RATIO).is_none());
    }
}
