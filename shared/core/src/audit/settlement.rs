//! The end of a revision: one diagnosis, one settlement, and a settlement that tells the truth.

use crate::ids::EventId;
use crate::kbase::RunEnd;
use crate::plan::LateResults;
use crate::status::{RunStatus, ServiceStatus};
use crate::wire::ErrorClass;

use super::walk::{At, Walk};
use super::{Found, Invariant, of_service};

impl Walk {
    pub(super) fn diagnose(&mut self, at: At, found: &mut Found) {
        let seq = at.seq;
        if !self.open {
            if self.amendment.take() != Some(at.time) {
                let detail =
                    format!("event {seq} is a diagnosis of a run that has settled, and no late result came with it");
                found.add(Invariant::TerminalIsFinal, detail);
            }
            return;
        }
        self.diagnosis = Some((seq, at.time));
    }

    pub(super) fn settle(&mut self, at: At, end: &RunEnd, found: &mut Found) {
        let seq = at.seq;
        if !self.open {
            found.add(Invariant::SettlesOnce, format!("event {seq} settles a run that has settled"));
            return;
        }
        self.open = false;
        self.amendable = self.plan.late_results() == LateResults::Amend
            && end.diagnosis_event_id.is_some()
            && end.status != RunStatus::Cancelled;
        for (service, seen) in self.plan.services().iter().zip(&self.services) {
            if !seen.status.is_settled() {
                let rest = format!("is {} when its run settles", seen.status);
                found.add(Invariant::SettlesOnce, of_service(seq, service.name(), &rest));
            }
        }
        self.check_diagnosis(at, end, found);
        let late_ms = end.completed_at.since_ms(self.deadline_at);
        if late_ms > self.slack_ms {
            let detail = format!("event {seq} settles the run {late_ms} ms after its deadline");
            found.add(Invariant::SettlesInTime, detail);
        }
        let all_settled = self.services.iter().all(|seen| seen.status.is_settled());
        if all_settled && let Some(problem) = self.untruth(end) {
            found.add(Invariant::SettlementIsTrue, format!("event {seq} settles the run {problem}"));
        }
    }

    fn check_diagnosis(&mut self, at: At, end: &RunEnd, found: &mut Found) {
        let made = self.diagnosis.take();
        let problem = match (made, end.diagnosis_event_id, &end.synthesis_error) {
            (Some((made, time)), Some(EventId { seq, .. }), None) if made == seq && time == at.time => return,
            (None, None, Some(_)) => return,
            (Some(_), Some(_), None) => "and names another diagnosis, or one of another moment",
            (None, Some(_), _) => "and names a diagnosis that was not made with it",
            (Some(_), None, _) => "and does not name its diagnosis",
            (_, _, Some(_)) => "with both a diagnosis and a reason for none",
            (None, None, None) => "without a diagnosis and without a reason",
        };
        found.add(Invariant::DiagnosedOnce, format!("event {} settles the run {problem}", at.seq));
    }

    /// What a settlement says that does not follow from how the services ended.
    fn untruth(&self, end: &RunEnd) -> Option<String> {
        let count = |status| {
            let count = self.services.iter().filter(|seen| seen.status == status).count();
            u32::try_from(count).expect("PLAN_SERVICES_MAX fits into u32")
        };
        let said = [
            (ServiceStatus::Completed, end.services_completed),
            (ServiceStatus::Failed, end.services_failed),
            (ServiceStatus::Timeout, end.services_timeout),
            (ServiceStatus::Skipped, end.services_skipped),
            (ServiceStatus::Cancelled, end.services_cancelled),
        ];
        if let Some((status, said)) = said.into_iter().find(|(status, said)| count(*status) != *said) {
            return Some(format!("with {said} services {status}, there are {}", count(status)));
        }
        let out_of_time = |seen: &super::walk::Seen| {
            seen.status == ServiceStatus::Timeout && seen.error == Some(ErrorClass::DeadlinePassed)
        };
        let verdict = if count(ServiceStatus::Cancelled) > 0 {
            RunStatus::Cancelled
        } else if self.services.iter().any(out_of_time) {
            RunStatus::Timeout
        } else if count(ServiceStatus::Completed) == 0 {
            RunStatus::Failed
        } else {
            RunStatus::Completed
        };
        if end.status != verdict {
            return Some(format!("as {}, its services say {verdict}", end.status));
        }
        let told = end.service_results.iter().map(|outcome| (&outcome.service, outcome.status));
        let seen = self.plan.services().iter().zip(&self.services).map(|(service, seen)| (service.name(), seen.status));
        (!told.eq(seen)).then(|| "and lists other services, or other ends of them".to_owned())
    }

    pub(super) fn finish(&self, found: &mut Found) {
        if let Some((seq, _)) = self.diagnosis {
            let detail = format!("the diagnosis in event {seq} is not followed by its settlement");
            found.add(Invariant::DiagnosedOnce, detail);
        }
    }
}
