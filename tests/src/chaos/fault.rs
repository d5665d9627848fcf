//! What can go wrong, and when: a seed gives a schedule, the same one each time.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::Serialize;

use super::dice::Dice;
use super::proxy::Mode;

/// Dispatchers of a fleet under faults.
pub const DISPATCHERS: usize = 3;
/// Worker-runners of a fleet under faults.
pub const WORKERS: usize = 6;

/// Seconds at the end of the time for faults in which none begins, so that the longest ends in time.
const LAST_PART: u32 = 8;

/// One process of the fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Member {
    /// A dispatcher.
    Dispatcher(usize),
    /// A worker-runner.
    Worker(usize),
}

/// What a member reaches over a line of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Server {
    /// The database; dispatchers only.
    Postgres,
    /// The queue.
    Redis,
    /// The external workers; worker-runners only.
    Services,
}

/// One thing that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// `kill -9`; started again at once.
    Kill(Member),
    /// `SIGSTOP`, and after a while `SIGCONT`.
    Pause(Member),
    /// `SIGTERM`, and started again.
    Roll(Member),
    /// `FLUSHALL`.
    Flush,
    /// `kill -9` of Redis; back after a while, with what its persistence kept.
    KillRedis,
    /// Redis refuses to store anything.
    FillRedis,
    /// Redis answers nobody.
    StallRedis,
    /// The stream of one queue is deleted.
    DropStream,
    /// The consumer group of one queue is destroyed.
    DropGroup,
    /// Postgres ends as in a crash, and recovers.
    RestartPostgres,
    /// Sessions of Postgres are ended at random, ten per second.
    TerminateBackends,
    /// A line is disturbed.
    Disturb(Member, Server, Mode),
    /// True reports come again, several times.
    Duplicates,
    /// Reports come that no worker sent: unknown attempts, and other results for attempts that are answered.
    Forgeries,
}

impl Fault {
    /// The kind under which it is counted.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Kill(Member::Dispatcher(_)) => Kind::KillDispatcher,
            Self::Kill(Member::Worker(_)) => Kind::KillWorker,
            Self::Pause(Member::Dispatcher(_)) => Kind::PauseDispatcher,
            Self::Pause(Member::Worker(_)) => Kind::PauseWorker,
            Self::Roll(Member::Dispatcher(_)) => Kind::RollDispatcher,
            Self::Roll(Member::Worker(_)) => Kind::RollWorker,
            Self::Flush => Kind::Flush,
            Self::KillRedis => Kind::KillRedis,
            Self::FillRedis => Kind::FillRedis,
            Self::StallRedis => Kind::StallRedis,
            Self::DropStream => Kind::DropStream,
            Self::DropGroup => Kind::DropGroup,
            Self::RestartPostgres => Kind::RestartPostgres,
            Self::TerminateBackends => Kind::TerminateBackends,
            Self::Disturb(_, _, Mode::Pass | Mode::Cut) => Kind::Cut,
            Self::Disturb(_, _, Mode::BlackHole) => Kind::BlackHole,
            Self::Disturb(_, _, Mode::HalfOpen) => Kind::HalfOpen,
            Self::Disturb(_, _, Mode::Slow(_)) => Kind::Slow,
            Self::Disturb(_, _, Mode::Slices) => Kind::Slices,
            Self::Duplicates => Kind::Duplicates,
            Self::Forgeries => Kind::Forgeries,
        }
    }

    /// The process that it happens to, if it happens to one.
    const fn member(&self) -> Option<Member> {
        match self {
            Self::Kill(member) | Self::Pause(member) | Self::Roll(member) => Some(*member),
            _ => None,
        }
    }
}

/// Kinds of faults, as they are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are those of the faults")]
pub enum Kind {
    KillWorker,
    KillDispatcher,
    PauseWorker,
    PauseDispatcher,
    RollWorker,
    RollDispatcher,
    Flush,
    KillRedis,
    FillRedis,
    StallRedis,
    DropStream,
    DropGroup,
    RestartPostgres,
    TerminateBackends,
    Cut,
    BlackHole,
    HalfOpen,
    Slow,
    Slices,
    Duplicates,
    Forgeries,
}

impl Kind {
    /// All kinds with how often each happens in the short and in the long form.
    pub const ALL: [(Self, u32, u32); 21] = [
        (Self::KillWorker, 14, 360),
        (Self::KillDispatcher, 7, 180),
        (Self::PauseWorker, 6, 100),
        (Self::PauseDispatcher, 3, 50),
        (Self::RollWorker, 3, 40),
        (Self::RollDispatcher, 2, 20),
        (Self::Flush, 4, 55),
        (Self::KillRedis, 2, 22),
        (Self::FillRedis, 2, 12),
        (Self::StallRedis, 2, 20),
        (Self::DropStream, 2, 20),
        (Self::DropGroup, 2, 20),
        (Self::RestartPostgres, 2, 12),
        (Self::TerminateBackends, 2, 22),
        (Self::Cut, 9, 110),
        (Self::BlackHole, 4, 30),
        (Self::HalfOpen, 3, 30),
        (Self::Slow, 3, 30),
        (Self::Slices, 3, 30),
        (Self::Duplicates, 4, 60),
        (Self::Forgeries, 4, 60),
    ];
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = Self::ALL.iter().map(|(kind, ..)| *kind);
        let named = all.clone().find(|kind| kind.to_string() == text);
        named.ok_or_else(|| format!("there are {}", all.map(|kind| kind.to_string()).collect::<Vec<_>>().join(", ")))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = serde_json::to_value(self).expect("a word");
        f.pad(word.as_str().expect("a word"))
    }
}

/// A fault with its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Planned {
    /// Since the beginning of the faults.
    pub at: Duration,
    /// How long it lasts; zero for what is over at once.
    pub lasts: Duration,
    /// What happens.
    pub fault: Fault,
}

/// How often each kind happens.
pub type Quotas = BTreeMap<Kind, u32>;

/// The schedule of a seed: every kind spread over `span`, each as often as its quota says.
#[must_use]
pub fn schedule(seed: u64, span: Duration, lease: Duration, quotas: &Quotas) -> Vec<Planned> {
    let mut dice = Dice::of(seed, "faults");
    let begins = span.saturating_sub(span / LAST_PART).as_millis();
    let begins = u64::try_from(begins).expect("a span is no geological age");
    let mut planned = Vec::new();
    for (&kind, &count) in quotas {
        let count = u64::from(count);
        for place in 0..count {
            let at = (place * begins + dice.below(begins.max(1))) / count;
            let fault = draw(kind, &mut dice);
            let lasts = duration(&fault, lease, &mut dice);
            planned.push(Planned { at: Duration::from_millis(at), lasts, fault });
        }
    }
    planned.sort_by_key(|planned| planned.at);
    without_collisions(planned)
}

fn draw(kind: Kind, dice: &mut Dice) -> Fault {
    let dispatcher = Member::Dispatcher(index(dice, DISPATCHERS));
    let worker = Member::Worker(index(dice, WORKERS));
    match kind {
        Kind::KillWorker => Fault::Kill(worker),
        Kind::KillDispatcher => Fault::Kill(dispatcher),
        Kind::PauseWorker => Fault::Pause(worker),
        Kind::PauseDispatcher => Fault::Pause(dispatcher),
        Kind::RollWorker => Fault::Roll(worker),
        Kind::RollDispatcher => Fault::Roll(dispatcher),
        Kind::Flush => Fault::Flush,
        Kind::KillRedis => Fault::KillRedis,
        Kind::FillRedis => Fault::FillRedis,
        Kind::StallRedis => Fault::StallRedis,
        Kind::DropStream => Fault::DropStream,
        Kind::DropGroup => Fault::DropGroup,
        Kind::RestartPostgres => Fault::RestartPostgres,
        Kind::TerminateBackends => Fault::TerminateBackends,
        Kind::Cut => disturb(dispatcher, worker, Mode::Cut, dice),
        Kind::BlackHole => disturb(dispatcher, worker, Mode::BlackHole, dice),
        Kind::HalfOpen => disturb(dispatcher, worker, Mode::HalfOpen, dice),
        Kind::Slow => {
            let ms = 20 + dice.below(200);
            disturb(dispatcher, worker, Mode::Slow(ms), dice)
        }
        Kind::Slices => disturb(dispatcher, worker, Mode::Slices, dice),
        Kind::Duplicates => Fault::Duplicates,
        Kind::Forgeries => Fault::Forgeries,
    }
}

fn disturb(dispatcher: Member, worker: Member, mode: Mode, dice: &mut Dice) -> Fault {
    let lines = [
        (dispatcher, Server::Postgres),
        (dispatcher, Server::Redis),
        (worker, Server::Redis),
        (worker, Server::Services),
    ];
    let (member, server) = *dice.pick(&lines);
    Fault::Disturb(member, server, mode)
}

fn duration(fault: &Fault, lease: Duration, dice: &mut Dice) -> Duration {
    let (short, long) = (Duration::from_millis(200), Duration::from_secs(4));
    match fault {
        Fault::Pause(_) => dice.between(lease / 2, lease * 3),
        Fault::KillRedis | Fault::Disturb(_, _, Mode::Cut) => dice.between(short, Duration::from_secs(2)),
        Fault::FillRedis | Fault::TerminateBackends | Fault::Disturb(..) => dice.between(long / 2, long),
        Fault::StallRedis => dice.between(short, Duration::from_millis(2_500)),
        Fault::Kill(_)
        | Fault::Roll(_)
        | Fault::Flush
        | Fault::DropStream
        | Fault::DropGroup
        | Fault::RestartPostgres
        | Fault::Duplicates
        | Fault::Forgeries => Duration::ZERO,
    }
}

/// Faults of a process that is paused go to the next one of its kind that is not.
fn without_collisions(mut planned: Vec<Planned>) -> Vec<Planned> {
    let mut busy: BTreeMap<Member, Duration> = BTreeMap::new();
    for planned in &mut planned {
        let Some(mut member) = planned.fault.member() else { continue };
        for _ in 0..WORKERS {
            if busy.get(&member).is_none_or(|until| *until < planned.at) {
                break;
            }
            member = match member {
                Member::Dispatcher(n) => Member::Dispatcher((n + 1) % DISPATCHERS),
                Member::Worker(n) => Member::Worker((n + 1) % WORKERS),
            };
        }
        match &mut planned.fault {
            Fault::Kill(whom) | Fault::Pause(whom) | Fault::Roll(whom) => *whom = member,
            _ => {}
        }
        busy.insert(member, planned.at + planned.lasts);
    }
    planned
}

fn index(dice: &mut Dice, count: usize) -> usize {
    usize::try_from(dice.below(count as u64)).expect("it is an index")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn long() -> Quotas {
        Kind::ALL.into_iter().map(|(kind, _, count)| (kind, count)).collect()
    }

    #[test]
    fn a_seed_gives_the_same_schedule_each_time_and_another_seed_another_one() {
        let plan = |seed| schedule(seed, Duration::from_secs(600), Duration::from_secs(3), &long());
        assert_eq!(plan(7), plan(7));
        assert_ne!(plan(7), plan(8));
    }

    #[test]
    fn every_kind_happens_as_often_as_its_quota_says_and_within_the_time() {
        let span = Duration::from_secs(600);
        for seed in 0..20 {
            let planned = schedule(seed, span, Duration::from_secs(3), &long());
            let mut counted = Quotas::new();
            for planned in &planned {
                *counted.entry(planned.fault.kind()).or_default() += 1;
                assert!(planned.at < span);
            }
            assert_eq!(counted, long());
        }
    }

    #[test]
    fn the_long_form_reaches_what_is_promised() {
        let lease = Duration::from_secs(3);
        let planned = schedule(1, Duration::from_secs(1_500), lease, &long());
        let count = |is: &dyn Fn(&Planned) -> bool| planned.iter().filter(|planned| is(planned)).count();
        assert!(count(&|planned| matches!(planned.fault, Fault::Kill(_))) >= 500);
        assert!(count(&|planned| matches!(planned.fault, Fault::Pause(_)) && planned.lasts > lease) >= 100);
        assert!(count(&|planned| planned.fault.kind() == Kind::Cut) >= 100);
        assert!(count(&|planned| planned.fault == Fault::Flush) >= 50);
        assert!(count(&|planned| planned.fault == Fault::KillRedis) >= 20);
        assert!(count(&|planned| planned.fault == Fault::RestartPostgres) >= 10);
    }

    #[test]
    fn nothing_happens_to_a_process_that_is_paused() {
        // where all of a kind are paused at once there is no other one: not in so long a time
        let planned = schedule(3, Duration::from_secs(9_000), Duration::from_secs(3), &long());
        for (n, first) in planned.iter().enumerate() {
            let Fault::Pause(member) = first.fault else { continue };
            let meanwhile = planned[n + 1..].iter().take_while(|other| other.at <= first.at + first.lasts);
            let collisions: Vec<_> = meanwhile.filter(|other| other.fault.member() == Some(member)).collect();
            assert!(collisions.is_empty(), "{first:?}: {collisions:?}");
        }
    }
}
