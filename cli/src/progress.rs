//! Shows on standard error how a run goes on: redrawn in place on a terminal, one line per change elsewhere.

use std::collections::HashMap;
use std::io::{self, Write};
use std::time::Instant;

use hermes_core::{ServiceName, ServiceStatus};

use crate::client::RunView;
use crate::output;
use crate::render::Layout;
use crate::render::run::{event_line, headline, service_lines};
use crate::render::text::{clean, duration};

/// Lines that stay free on a terminal, for the headline and the cursor.
const LINES_SPARED: usize = 3;

/// Shows one run.
pub(crate) struct Progress {
    in_place: bool,
    began: Instant,
    /// When each service was first seen under way.
    running: HashMap<ServiceName, (u32, Instant)>,
    /// What was told last of each service.
    told: HashMap<ServiceName, (ServiceStatus, u32)>,
    greeted: bool,
    drawn: usize,
}

impl Progress {
    /// Redraws in place if standard error is a terminal that can, and if nothing else writes there.
    #[must_use]
    pub(crate) fn new(alone: bool) -> Self {
        Self {
            in_place: alone && output::can_redraw(),
            began: Instant::now(),
            running: HashMap::new(),
            told: HashMap::new(),
            greeted: false,
            drawn: 0,
        }
    }

    /// Shows the run as it is now.
    pub(crate) fn show(&mut self, run: &RunView) {
        for service in &run.services {
            if service.status == ServiceStatus::Running {
                let begun = self.running.entry(service.service.clone()).or_insert((service.attempt, Instant::now()));
                if begun.0 != service.attempt {
                    *begun = (service.attempt, Instant::now());
                }
            }
        }
        if self.in_place { self.redraw(run) } else { self.tell(run) }
    }

    /// Says something beside the run, such as that a server does not answer.
    pub(crate) fn say(&mut self, text: &str) {
        self.erase();
        output::note(&clean(text));
    }

    fn redraw(&mut self, run: &RunView) {
        let (width, height) = output::size();
        let layout = Layout { width, colour: output::colour_wanted() };
        let elapsed = |position: usize| {
            let service = &run.services[position];
            let under_way = service.status == ServiceStatus::Running;
            self.running.get(&service.service).filter(|_| under_way).map(|(_, begun)| millis(*begun))
        };
        let lines = service_lines(&run.services, elapsed, layout);
        let settled = run.status.is_settled();
        // What has ended is left out first where not all fits: once the run is settled all of it is shown.
        let room = if settled { lines.len() } else { height.saturating_sub(LINES_SPARED) };
        let mut shown: Vec<usize> = (0..lines.len()).collect();
        if shown.len() > room {
            shown.sort_by_key(|&position| run.services[position].status.is_settled());
            shown.truncate(room.saturating_sub(1));
            shown.sort_unstable();
        }
        let time = if settled { None } else { Some(millis(self.began)) };
        let mut shown: Vec<&str> = shown.iter().map(|&position| lines[position].as_str()).collect();
        let (headline, more) = (headline(run, time, layout), lines.len() - shown.len());
        let rest = format!("  and {more} more services");
        shown.insert(0, &headline);
        if more > 0 {
            shown.push(&rest);
        }
        put(&over(self.drawn, &shown));
        self.drawn = shown.len();
    }

    /// Takes back what was drawn: the cursor goes to its first line and clears from there.
    fn erase(&mut self) {
        if self.drawn > 0 {
            put(&format!("\u{1b}[{}A\r\u{1b}[J", self.drawn));
            self.drawn = 0;
        }
    }

    fn tell(&mut self, run: &RunView) {
        if !self.greeted {
            self.greeted = true;
            let limit = duration(run.deadline_at.since_ms(run.summary.started_at));
            let (id, summary) = (run.run_id, &run.summary);
            output::note(&clean(&format!("run {id}: {}, {}, at most {limit}", summary.domain, summary.plan_id)));
        }
        for service in &run.services {
            let state = (service.status, service.attempt);
            let known = self.told.insert(service.service.clone(), state);
            // That a service waits is no news, unless it waits because an attempt failed.
            let waits = matches!(service.status, ServiceStatus::Pending | ServiceStatus::Queued);
            if known != Some(state) && !(waits && service.error.is_none()) {
                output::note(&event_line(service));
            }
        }
        if run.status.is_settled() {
            let time = run.summary.duration_ms.map(duration).unwrap_or_default();
            output::note(&format!("run {} {} in {time}", run.run_id, run.status));
        }
    }
}

/// Text that puts `lines` in the place of the last `drawn` ones, in one go and without clearing first: no flicker.
fn over(drawn: usize, lines: &[&str]) -> String {
    let mut text = if drawn > 0 { format!("\u{1b}[{drawn}A\r") } else { String::new() };
    for line in lines {
        text.push_str(line);
        text.push_str("\u{1b}[K\n");
    }
    text + "\u{1b}[J"
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn put(text: &str) {
    let mut out = io::stderr().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_drawn_over_the_last_ones_and_what_is_left_of_those_is_cleared() {
        assert_eq!(over(0, &["a", "b"]), "a\u{1b}[K\nb\u{1b}[K\n\u{1b}[J");
        assert_eq!(over(3, &["a"]), "\u{1b}[3A\ra\u{1b}[K\n\u{1b}[J");
    }
}
