//! How long it took until things went on.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::check::Found;
use super::clock::Ms;
use super::fault::Kind;
use super::nemesis::Hit;
use super::services::Execution;

/// Answers this long before a dispatcher is killed may be on their way through it.
const ON_ITS_WAY_MS: Ms = 1_000;

/// Times of one kind, in milliseconds.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub struct Times {
    /// How many were measured.
    pub count: usize,
    /// Half took no longer.
    pub median: Ms,
    /// 99 of 100 took no longer.
    pub p99: Ms,
    /// The longest.
    pub max: Ms,
}

impl Times {
    /// None out of nothing.
    #[must_use]
    pub fn of(mut times: Vec<Ms>) -> Option<Self> {
        times.sort_unstable();
        let at = |per_cent: usize| times.get((times.len() * per_cent).div_ceil(100).max(1) - 1).copied();
        Some(Self { count: times.len(), median: at(50)?, p99: at(99)?, max: times.last().copied()? })
    }
}

/// All times, each under what it says.
pub type Recovery = BTreeMap<String, Times>;

/// Measures them.
#[must_use]
pub fn recovery(hits: &[Hit], found: &Found, executions: &[Execution]) -> Recovery {
    let mut samples: BTreeMap<String, Vec<Ms>> = BTreeMap::new();
    for hit in hits {
        // what is over at once counts from then; what lasts, from its end
        if let Some(next) = next_settled(found, hit.over) {
            samples.entry(format!("{}: until the next run settles", hit.kind)).or_default().push(next);
            if hit.kind == Kind::KillDispatcher && undisturbed(hits, hit) {
                let name = "kill_dispatcher: until the next run settles, with both servers well";
                samples.entry(name.to_owned()).or_default().push(next);
            }
        }
    }
    let again = times_by_job(executions);
    let deaths = hits.iter().filter(|hit| hit.kind == Kind::KillWorker);
    for hit in deaths {
        let alone = undisturbed(hits, hit);
        for job in &hit.held {
            let Some(next) = again.get(job.as_str()).and_then(|began| began.iter().find(|at| **at > hit.over)) else {
                continue;
            };
            samples.entry("kill_worker: until its job is executed again".to_owned()).or_default().push(next - hit.over);
            if alone {
                let name = "kill_worker: the same, with both servers well";
                samples.entry(name.to_owned()).or_default().push(next - hit.over);
            }
        }
    }
    reports_around_kills(hits, found, executions, &mut samples);
    what_the_queue_lost(hits, found, executions, &mut samples);
    samples.into_iter().filter_map(|(name, times)| Some((name, Times::of(times)?))).collect()
}

fn next_settled(found: &Found, after: Ms) -> Option<Ms> {
    let place = found.settled.partition_point(|at| *at <= after);
    found.settled.get(place).map(|at| at - after)
}

fn times_by_job(executions: &[Execution]) -> HashMap<&str, Vec<Ms>> {
    let mut times: HashMap<&str, Vec<Ms>> = HashMap::new();
    for execution in executions {
        times.entry(&execution.job).or_default().push(execution.began);
    }
    times
}

/// From the service's answer to the recorded result, for answers that were on their way when a dispatcher was killed:
/// the slowest of each kill.
fn reports_around_kills(
    hits: &[Hit],
    found: &Found,
    executions: &[Execution],
    samples: &mut BTreeMap<String, Vec<Ms>>,
) {
    let began = times_by_job(executions);
    // a job that was executed again lost its report with its worker, not with the dispatcher
    let once = |execution: &&Execution| began[execution.job.as_str()].len() == 1;
    for hit in hits.iter().filter(|hit| hit.kind == Kind::KillDispatcher) {
        let on_its_way = executions.iter().filter(once).filter_map(|execution| {
            let answered = execution.answered.filter(|at| (hit.began - ON_ITS_WAY_MS..hit.over).contains(at))?;
            let recorded = *found.recorded.get(&execution.job)?;
            (recorded >= hit.began).then_some(recorded - answered)
        });
        let Some(slowest) = on_its_way.max() else { continue };
        samples.entry("kill_dispatcher: slowest report on its way".to_owned()).or_default().push(slowest);
        if undisturbed(hits, hit) {
            let name = "kill_dispatcher: the same, with both servers well";
            samples.entry(name.to_owned()).or_default().push(slowest);
        }
    }
}

/// A queue that lost everything: until a job that waited in it is executed, and until a result whose report was in it is
/// recorded.
fn what_the_queue_lost(hits: &[Hit], found: &Found, executions: &[Execution], samples: &mut BTreeMap<String, Vec<Ms>>) {
    let began = times_by_job(executions);
    for hit in hits.iter().filter(|hit| matches!(hit.kind, Kind::Flush | Kind::KillRedis)) {
        let waited = found.queued.iter().filter(|(_, queued)| **queued < hit.began).filter_map(|(job, _)| {
            let first = began.get(job.as_str())?.iter().min()?;
            (*first > hit.over).then_some(first - hit.over)
        });
        let reported = executions.iter().filter_map(|execution| {
            execution.answered.filter(|at| (hit.began - ON_ITS_WAY_MS..hit.began).contains(at))?;
            let recorded = found.recorded.get(&execution.job)?;
            (*recorded > hit.over).then_some(recorded - hit.over)
        });
        let lost: Vec<Ms> = waited.chain(reported).collect();
        if undisturbed(hits, hit) {
            let name = format!("{}: until what it lost goes on, all else well", hit.kind);
            samples.entry(name).or_default().extend(&lost);
        }
        samples.entry(format!("{}: until what it lost goes on", hit.kind)).or_default().extend(lost);
    }
}

/// Whether nothing was wrong with the servers and the lines for a while before and after.
fn undisturbed(hits: &[Hit], hit: &Hit) -> bool {
    const WHILE_MS: Ms = 5_000;
    hits.iter().filter(|other| other.began != hit.began).all(|other| {
        let a_process = matches!(
            other.kind,
            Kind::KillWorker | Kind::KillDispatcher | Kind::RollWorker | Kind::RollDispatcher | Kind::Slices
        );
        let harmless = matches!(other.kind, Kind::Duplicates | Kind::Forgeries);
        a_process || harmless || other.over < hit.began - WHILE_MS || other.began > hit.over + WHILE_MS
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quantiles_of_a_hundred_times_are_those_times() {
        let times = Times::of((1..=100).rev().collect()).expect("some");
        assert_eq!(times, Times { count: 100, median: 50, p99: 99, max: 100 });
        assert_eq!(Times::of(Vec::new()), None);
        assert_eq!(Times::of(vec![7]).map(|times| (times.median, times.p99, times.max)), Some((7, 7, 7)));
    }
}
