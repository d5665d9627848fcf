//! Plans, and what is wrong with one.

use hermes_core::plan::Plan;

use super::text::{Layout, Paint, clean, count, duration, wrap};
use crate::client::PlanView;

/// Each plan with its purpose and its services.
#[must_use]
pub fn render(plans: &[PlanView], layout: Layout) -> String {
    let mut out = String::new();
    for plan in plans {
        let limit = duration(plan.max_duration_ms);
        out.push_str(&layout.paint(Paint::Bold, plan.plan_id.as_str()));
        out.push_str(&format!("  {}, at most {limit}\n", clean(&plan.name)));
        if !plan.description.is_empty() {
            out.push_str(&wrap(&plan.description, "  ", layout.width));
        }
        let names: Vec<&str> = plan.services.iter().map(|service| service.service.as_str()).collect();
        out.push_str(&layout.paint(Paint::Dim, &wrap(&names.join(", "), "  ", layout.width)));
    }
    out
}

/// One line about a plan that is valid.
#[must_use]
pub fn valid(plan: &Plan) -> String {
    let services = count(plan.services().len(), "service", "services");
    let limit = duration(plan.max_duration_ms());
    format!("{} is valid: {services}, at most {limit}, hash {}\n", plan.id(), &plan.hash().as_str()[..12])
}
