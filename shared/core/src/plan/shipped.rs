//! The plans that come with Hermes: `plans/*.yaml`, compiled in.

use super::Plan;

/// Name and text of each shipped plan, the default first.
const SHIPPED: [(&str, &str); 3] = [
    ("plans/standard-v1.yaml", include_str!("../../../../plans/standard-v1.yaml")),
    ("plans/quick-v1.yaml", include_str!("../../../../plans/quick-v1.yaml")),
    ("plans/onboarding-v1.yaml", include_str!("../../../../plans/onboarding-v1.yaml")),
];

/// The shipped plans, the default first.
#[must_use]
pub fn shipped() -> Vec<Plan> {
    let read = |(name, text): (&str, &str)| {
        Plan::from_yaml(text).unwrap_or_else(|error| panic!("{name} is valid, a test reads it: {error}"))
    };
    SHIPPED.into_iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outline(plan: &Plan) -> (&str, &str, u64, Vec<&str>) {
        let names = plan.services().iter().map(|service| service.name().as_str()).collect();
        (plan.id().as_str(), plan.name(), plan.max_duration_ms(), names)
    }

    #[test]
    fn the_shipped_plans_are_valid_and_are_what_the_customer_knows() {
        let plans = shipped();
        let five =
            ["serp-intelligence", "technical-seo", "domain-authority", "competitive-intelligence", "vitals-monitor"];
        assert_eq!(outline(&plans[0]), ("standard-v1", "Standard Diagnostic Run", 300_000, five.to_vec()));
        let three = ["serp-intelligence", "technical-seo", "vitals-monitor"];
        assert_eq!(outline(&plans[1]), ("quick-v1", "Quick Diagnostic Run", 120_000, three.to_vec()));
        assert_eq!(outline(&plans[2]).0, "onboarding-v1");
    }

    #[test]
    fn only_competitive_intelligence_waits_and_only_for_serp_intelligence() {
        for plan in shipped() {
            for service in plan.services() {
                let awaited: Vec<_> =
                    service.depends_on().iter().map(|&position| plan.services()[position].name().as_str()).collect();
                let expected: &[&str] =
                    if service.name().as_str() == "competitive-intelligence" { &["serp-intelligence"] } else { &[] };
                assert_eq!(awaited, expected, "{} of {}", service.name(), plan.id());
            }
        }
    }

    #[test]
    fn a_service_has_the_same_name_and_worker_in_every_plan() {
        let known = [
            ("serp-intelligence", "SERP & Keyword Intelligence", "serp_intel"),
            ("technical-seo", "Technical SEO", "crawl_render"),
            ("domain-authority", "Domain Authority", "backlink_authority"),
            ("competitive-intelligence", "Competitive Intelligence", "competitive_snapshot"),
            ("vitals-monitor", "Core Web Vitals", "core_web_vitals"),
        ];
        for service in shipped().iter().flat_map(Plan::services) {
            let written = (service.name().as_str(), service.display_name(), service.worker_key().as_str());
            assert!(known.contains(&written), "{written:?}");
        }
    }
}
