//! How often, and how many at a time, one target is called by the whole fleet.
//!
//! A target is what is called: a host, or the account with a provider behind one. For each, four things are kept: when
//! the next request has its turn (rate), how many are under way (concurrency), until when the target asked to be left
//! alone (`Retry-After`), and whether it is taken for down (a circuit breaker: closed, open, half-open with one probe).
//!
//! What if the caller dies? A [`Permit`] is a lease: it ends by itself after [`Ask::lease_ms`], so a dead process keeps
//! nobody out for longer than its request could have lasted. A turn that was promised and never taken is one request
//! fewer. What a target asked for, and the state of its breaker, outlive every caller, and end by the clock alone.
//!
//! With more than one request at a time, those that are under way when the target asks to be left alone cannot be called
//! back. With one at a time, none is made inside the time that it asked for.
//!
//! Deliberately absent: which limits apply to which URL (the caller knows), waiting (the caller decides whether it is
//! worth it), and the calls themselves.

use std::fmt;

use async_trait::async_trait;

/// What limits are kept for: a host, in lower case. Behind the ports of HTTP and HTTPS there is one server (`example.com`);
/// one at another port is another one (`127.0.0.1:8080`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target(String);

impl Target {
    /// The target that is called under `host` (as a URL has it: lower case, literals in brackets) and `port`.
    #[must_use]
    pub fn host(host: &str, port: u16) -> Self {
        match port {
            80 | 443 => Self(host.to_owned()),
            _ => Self(format!("{host}:{port}")),
        }
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Limits for calls to one target. All processes of a fleet should be given the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Microseconds between the starts of two requests; 0 for no limit.
    pub interval_us: u64,
    /// Requests that are under way at a time; 0 for no limit.
    pub at_a_time: u32,
    /// A turn that is further away than this many milliseconds is not promised.
    pub queue_max_ms: u64,
    /// Failures in a row after which a target is taken for down; 0 for never.
    pub failures_max: u32,
    /// Milliseconds for which it is then not called. Doubles each time that the probe fails, up to
    /// [`OPEN_DOUBLINGS_MAX`] times.
    pub open_ms: u64,
    /// Milliseconds to leave a target alone that asked for it without saying for how long. Doubles likewise.
    pub pause_ms: u64,
    /// Longest time to leave a target alone, whatever it asks for, in milliseconds.
    pub retry_after_max_ms: u64,
}

/// Which limits apply to whom, for a whole process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// For the hosts of strangers: sites that are diagnosed, and providers.
    pub sites: Limits,
    /// For what the operator has put there himself: external workers, own instances of a provider.
    pub own: Limits,
    /// A request waits for at most this many milliseconds where its target asked to be left alone or is taken for down;
    /// where that takes longer, it fails at once, so that its run can do better with the time.
    pub wait_max_ms: u64,
}

impl Default for Policy {
    /// What `hermes.default.toml` prescribes.
    fn default() -> Self {
        let sites = Limits {
            interval_us: 100_000,
            at_a_time: 4,
            queue_max_ms: QUEUE_MAX_MS,
            failures_max: 10,
            open_ms: 30_000,
            pause_ms: PAUSE_MS,
            retry_after_max_ms: 60 * 60 * 1_000,
        };
        Self { sites, own: Limits { interval_us: 0, at_a_time: 0, ..sites }, wait_max_ms: 5_000 }
    }
}

/// A turn that is further away than this is not promised.
pub const QUEUE_MAX_MS: u64 = 10_000;
/// How long a target is left alone that asked for it without saying for how long.
pub const PAUSE_MS: u64 = 2_000;
/// How often an open breaker's time, or a pause, doubles: to 16 times the first one.
pub const OPEN_DOUBLINGS_MAX: u32 = 4;
/// A half-open breaker whose probe is under way, and a target that is called often enough already, are asked about again
/// after this.
pub const ASK_AGAIN_MS: u64 = 100;

/// A wish to call a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask<'a> {
    /// Whom.
    pub target: &'a Target,
    /// Under which limits.
    pub limits: &'a Limits,
    /// Identity of this request, fresh for each one and the same while it asks again.
    pub id: u128,
    /// The turn that an earlier answer promised to this request.
    pub turn: Option<Turn>,
    /// Milliseconds after which a permit ends by itself: longer than the request can last.
    pub lease_ms: u64,
}

/// A promised time, on the clock of whoever promised it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Milliseconds on that clock.
    pub at_ms: u64,
    /// Whose clock it is, so that a promise of one keeper is not shown to another.
    pub keeper: Keeper,
}

/// Who keeps the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeper {
    /// This process, for itself.
    Process,
    /// The fleet, together.
    Fleet,
}

/// The answer to an [`Ask`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Call now, and say afterwards how it went.
    Granted(Permit),
    /// Not now.
    Wait(Wait),
}

/// Leave to make one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permit {
    /// [`Ask::id`].
    pub id: u128,
    /// Who gave it.
    pub keeper: Keeper,
}

/// Why a request may not be made now, and when to ask again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Why.
    pub reason: Reason,
    /// Milliseconds until it makes sense to ask again.
    pub wait_ms: u64,
    /// The turn that is promised meanwhile, to be shown with the next [`Ask`].
    pub turn: Option<Turn>,
}

/// Why a request has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Its turn comes later: the target is called as often as it should be.
    Rate,
    /// As many requests as there should be are under way.
    Busy,
    /// The target asked to be left alone.
    RetryAfter,
    /// The target failed too often in a row.
    Open,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rate => "it is called as often as it should be",
            Self::Busy => "as many requests as it should get are under way",
            Self::RetryAfter => "it asked to be left alone",
            Self::Open => "it failed too often in a row",
        })
    }
}

/// How a request went, as far as limits are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Went {
    /// The target answered, whatever it said.
    Answered,
    /// It asked to be left alone, for so many milliseconds if it said so.
    Asked {
        /// From now.
        retry_after_ms: Option<u64>,
    },
    /// It did not answer as something that is up does.
    Failed,
    /// Nothing is known: the request was not made, or given up.
    Unknown,
}

/// The limits cannot be asked about. The request is not to fail for that.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the limits of the fleet cannot be kept: {0}")]
pub struct PolitenessUnavailable(pub String);

/// Keeps the limits. One value serves the whole process.
#[async_trait]
pub trait Politeness: Send + Sync {
    /// Asks to make a request. Two asks with one id are one request.
    ///
    /// # Errors
    /// [`PolitenessUnavailable`] if whoever keeps the limits does not answer.
    async fn ask(&self, ask: &Ask<'_>) -> Result<Admission, PolitenessUnavailable>;

    /// Gives a permit back and learns from how the request went. Giving back twice, or after the lease, harms nothing.
    ///
    /// # Errors
    /// [`PolitenessUnavailable`]; the permit then ends with its lease.
    async fn tell(
        &self,
        target: &Target,
        limits: &Limits,
        permit: Permit,
        went: Went,
    ) -> Result<(), PolitenessUnavailable>;
}
