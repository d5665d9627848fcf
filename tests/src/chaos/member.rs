//! A process of the fleet and its supervisor, which starts it again whenever it ends.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::harness::process::binary;

use super::clock::{Clock, Ms};
use super::dice::Dice;
use super::fault::Member;

/// A supervisor waits this long before it starts a process again.
const RESTART_AFTER: Duration = Duration::from_millis(50);
/// A process that was asked to end and did not is killed after this long.
const END_PATIENCE: Duration = Duration::from_secs(45);
/// Lives in a thousand in which a border is armed.
const ARMED_PER_MILLE: u64 = 200;

/// A border at which a process may end by itself, as its program names it, and before which crossing at the latest it
/// does where it is armed. Chances per crossing would depend on how long lives are and how often a border is crossed: of
/// reports come several batches in a second, of submissions one or two.
pub type Border = (&'static str, u64);

/// The borders of a dispatcher.
pub const DISPATCHER_BORDERS: [Border; 5] =
    [("before_commit", 20), ("after_commit", 20), ("before_acknowledge", 20), ("accepted", 5), ("answered", 5)];
/// The borders of a worker-runner.
pub const WORKER_BORDERS: [Border; 2] = [("before_report", 10), ("after_report", 10)];

/// How a life ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// By our `kill -9`.
    Killed,
    /// At this border, which was armed.
    Aborted(String),
    /// After our `SIGTERM`, with this code.
    Terminated(i32),
    /// By our `SIGTERM`, before it had said its first word: it could not yet listen to signals.
    Unborn,
    /// Not within its time after our `SIGTERM`.
    Overdue,
    /// By itself, with this code (negative: by this signal).
    ByItself(i32),
}

/// Which build a life was of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Build {
    /// The one that is tested.
    Current,
    /// The older one that runs beside it.
    Old,
}

impl Build {
    /// All begin with the old build, as in a deployment that is about to be updated. Then they take turns, so that at
    /// each moment about half of them are old.
    const fn of(member: Member, life: u32) -> Self {
        let (Member::Dispatcher(n) | Member::Worker(n)) = member;
        if life == 1 || (n + life as usize) % 2 == 1 { Self::Old } else { Self::Current }
    }
}

/// One life that is over.
#[derive(Clone, Debug, Serialize)]
pub struct Life {
    /// Whose.
    pub member: Member,
    /// Which, from 1.
    pub number: u32,
    /// Of which build.
    pub build: Build,
    /// When it ended.
    pub ended: Ms,
    /// How.
    pub end: End,
}

/// How to start a member.
pub struct Spec {
    /// Which one it is.
    pub member: Member,
    /// The program.
    pub program: &'static str,
    /// The environment of its life with this number.
    pub environment: Box<dyn Fn(u32) -> Vec<(String, String)> + Send + Sync>,
    /// Where its log goes.
    pub log: PathBuf,
    /// Chance.
    pub seed: u64,
    /// Whether borders are armed, in some of its lives.
    pub armed: bool,
    /// Where the programs of an older build are, if there is one.
    pub old_binaries: Option<PathBuf>,
}

impl Spec {
    fn build(&self, life: u32) -> Build {
        if self.old_binaries.is_some() { Build::of(self.member, life) } else { Build::Current }
    }

    fn path(&self, life: u32) -> PathBuf {
        match (&self.old_binaries, self.build(life)) {
            (Some(folder), Build::Old) => folder.join(self.program),
            (None, _) | (_, Build::Current) => binary(self.program),
        }
    }
}

enum Order {
    Kill,
    Terminate,
    /// Terminate, and do not start again.
    Stop,
}

type Ordered = (Order, oneshot::Sender<u32>);

/// A supervised process.
pub struct Supervised {
    member: Member,
    orders: mpsc::Sender<Ordered>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    life: u32,
    pid: Option<u32>,
    armed: Option<&'static str>,
    /// How many lives had an armed border.
    armed_lives: usize,
    calm: bool,
    /// How long the log was when this life began.
    log_begin: u64,
    ended: Vec<Life>,
}

impl Supervised {
    /// Starts it.
    #[must_use]
    pub fn start(spec: Spec, clock: Clock) -> Self {
        let (orders, ordered) = mpsc::channel(16);
        let state = Arc::new(Mutex::new(State::default()));
        let member = spec.member;
        let supervisor = Supervisor { spec, clock, state: state.clone() };
        tokio::spawn(supervisor.run(ordered));
        Self { member, orders, state }
    }

    /// Which one it is.
    #[must_use]
    pub const fn member(&self) -> Member {
        self.member
    }

    /// Which life it is in, from 1.
    #[must_use]
    pub fn life(&self) -> u32 {
        lock(&self.state).life
    }

    /// The lives that are over.
    #[must_use]
    pub fn ended(&self) -> Vec<Life> {
        lock(&self.state).ended.clone()
    }

    /// `kill -9`; returns when it is gone, with the number of that life.
    pub async fn kill(&self) -> u32 {
        self.order(Order::Kill).await
    }

    /// `SIGTERM`; returns when it is gone.
    pub async fn roll(&self) -> u32 {
        self.order(Order::Terminate).await
    }

    /// `SIGTERM`, for good.
    pub async fn stop(&self) -> u32 {
        self.order(Order::Stop).await
    }

    /// From now on no border is armed; a life in which one is, is ended in order.
    pub async fn calm_down(&self) {
        let armed = {
            let mut state = lock(&self.state);
            state.calm = true;
            state.armed.is_some()
        };
        if armed {
            self.roll().await;
        }
    }

    /// `SIGSTOP` or `SIGCONT`, by name; what is gone does not mind.
    pub async fn signal(&self, signal: &str) {
        let Some(pid) = lock(&self.state).pid else { return };
        send_signal(signal, pid).await;
    }

    async fn order(&self, order: Order) -> u32 {
        let (done, is_done) = oneshot::channel();
        self.orders.send((order, done)).await.expect("the supervisor lives");
        is_done.await.expect("the supervisor answers")
    }
}

async fn send_signal(signal: &str, pid: u32) {
    // An error means that the process is gone.
    let _ = Command::new("kill").args([signal, &pid.to_string()]).stderr(Stdio::null()).status().await;
}

struct Supervisor {
    spec: Spec,
    clock: Clock,
    state: Arc<Mutex<State>>,
}

impl Supervisor {
    async fn run(self, mut orders: mpsc::Receiver<Ordered>) {
        let mut stopped = false;
        while !stopped {
            let (mut child, armed) = self.spawn();
            let log_begin = lock(&self.state).log_begin;
            let life = lock(&self.state).life;
            let (asked, status) = live(&mut child, &mut orders).await;
            let silent = std::fs::metadata(&self.spec.log).is_ok_and(|log| log.len() == log_begin);
            let end = how(asked.as_ref().map(|(order, _)| order), status, armed, silent);
            {
                let mut state = lock(&self.state);
                (state.pid, state.armed) = (None, None);
                let (member, build, ended) = (self.spec.member, self.spec.build(life), self.clock.now());
                state.ended.push(Life { member, number: life, build, ended, end });
            }
            if let Some((order, done)) = asked {
                stopped = matches!(order, Order::Stop);
                // whoever asked may have given up
                let _ = done.send(life);
            }
            self.clock.pass(RESTART_AFTER).await;
        }
    }

    fn spawn(&self) -> (Child, Option<&'static str>) {
        let Spec { environment, log, .. } = &self.spec;
        let mut state = lock(&self.state);
        state.life += 1;
        let armed = self.border_of_this_life(&mut state);
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(self.spec.path(state.life));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HERMES_LOG_FORMAT", "json").envs(environment(state.life));
        if let Some((border, spared)) = armed {
            command.env("FAILPOINTS", format!("{border}={spared}*off->return"));
        }
        let file = log_file(log, state.life);
        state.log_begin = file.metadata().map_or(0, |log| log.len());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file).kill_on_drop(true);
        let child = command.spawn().expect("setpriv (Debian package util-linux) starts the program");
        let armed = armed.map(|(border, _)| border);
        (state.pid, state.armed) = (child.id(), armed);
        (child, armed)
    }

    /// The armed border, and how many crossings are spared. Chance says which lives are armed and where the turn begins;
    /// then each border has its turn.
    fn border_of_this_life(&self, state: &mut State) -> Option<Border> {
        let Spec { member, seed, armed, .. } = &self.spec;
        let borders: &[Border] = match member {
            Member::Dispatcher(_) => &DISPATCHER_BORDERS,
            Member::Worker(_) => &WORKER_BORDERS,
        };
        let mut dice = Dice::of(*seed, &format!("{member:?} life {}", state.life));
        if state.calm || !armed || !dice.happens(ARMED_PER_MILLE) {
            return None;
        }
        state.armed_lives += 1;
        let first = Dice::of(*seed, &format!("{member:?} borders")).below(borders.len() as u64);
        let first = usize::try_from(first).expect("it is an index");
        let (border, latest) = borders[(first + state.armed_lives) % borders.len()];
        Some((border, dice.below(latest)))
    }
}

fn log_file(path: &PathBuf, life: u32) -> File {
    let mut file = OpenOptions::new().create(true).append(true).open(path).expect("logs can be written");
    writeln!(file, "{{\"life\":{life}}}").expect("logs can be written");
    file
}

/// Lets it live until it ends; the order that ended it, if one did.
async fn live(child: &mut Child, orders: &mut mpsc::Receiver<Ordered>) -> (Option<Ordered>, Option<ExitStatus>) {
    let asked = tokio::select! {
        status = child.wait() => return (None, status.ok()),
        asked = orders.recv() => asked,
    };
    match (asked.as_ref().map(|(order, _)| order), child.id()) {
        (Some(Order::Terminate | Order::Stop), Some(pid)) => send_signal("-TERM", pid).await,
        (Some(Order::Kill) | None, _) | (_, None) => drop(child.start_kill()),
    }
    let overdue = Instant::now() + END_PATIENCE;
    if let Ok(status) = tokio::time::timeout_at(overdue, child.wait()).await {
        return (asked, status.ok());
    }
    drop(child.kill().await);
    (asked, None)
}

fn how(asked: Option<&Order>, status: Option<ExitStatus>, armed: Option<&str>, silent: bool) -> End {
    const SIGABRT: i32 = 6;
    const SIGTERM: i32 = 15;
    let Some(status) = status else { return End::Overdue };
    match (asked, status.signal(), armed) {
        (_, Some(SIGABRT), Some(border)) => End::Aborted(border.to_owned()),
        (Some(Order::Kill), _, _) => End::Killed,
        (Some(Order::Terminate | Order::Stop), Some(SIGTERM), _) if silent => End::Unborn,
        (Some(Order::Terminate | Order::Stop), None, _) => End::Terminated(status.code().unwrap_or_default()),
        (_, signal, _) => End::ByItself(status.code().or(signal.map(|signal| -signal)).unwrap_or_default()),
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
