//! Settings: read once, whole, before anything else happens. `hermes.default.toml` is their manual and their defaults.
//!
//! Deliberately absent: changing settings while the process runs, and the values that configure external workers and
//! providers ([`crate::secrets`]).

mod address;
mod error;
mod layers;
mod read;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hermes_core::WorkerKey;
use hermes_core::limits::{LEASE_HEARTBEATS_MIN, RETENTION_DAYS_MIN};
use hermes_core::ports::politeness::{Limits, PAUSE_MS, Policy, QUEUE_MAX_MS};
use url::Url;

pub use address::{DatabaseUrl, RedisUrl, SecretUrl};
pub use error::{SettingsError, SettingsProblem, Source};

use crate::redis::RedisOptions;
use crate::secrets::{Bitwarden, WorkerSecret};
use crate::telemetry::LogFormat;
use layers::Layers;
use read::Reader;

/// The manual of every setting, and its default.
pub const DEFAULT_FILE: &str = include_str!("../../../../hermes.default.toml");
/// The file that is read if none is named.
pub const LOCAL_FILE: &str = "hermes.toml";
/// Names the file, if the command line does not.
pub const CONFIG_VARIABLE: &str = "HERMES_CONFIG";

/// Everything that can be set. Each process uses the sections that it needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// `[database]`: where the runs live.
    pub database: Database,
    /// `[redis]`: what carries jobs and reports.
    pub redis: Redis,
    /// `[queue]`: how soon a death is noticed.
    pub queue: Queue,
    /// `[api]`: where and to whom the API answers.
    pub api: Api,
    /// `[worker]`: how jobs are executed.
    pub worker: Worker,
    /// `[diagnosis]`: what diagnoses are made with.
    pub diagnosis: Diagnosis,
    /// `[retention]`: what is kept for how long.
    pub retention: Retention,
    /// `[secrets]`: where values come from beside the environment and files.
    pub secrets: Option<Bitwarden>,
    /// `[embedded]`: the all-in-one process.
    pub embedded: Embedded,
    /// `[log]`: what is said about it all.
    pub log: Log,
    /// Odd things that stop nothing, to be logged once logging works.
    pub warnings: Vec<String>,
}

/// Where the runs live.
#[derive(Clone, Debug, PartialEq)]
pub struct Database {
    /// Which store.
    pub url: DatabaseUrl,
    /// Whether a dispatcher brings the schema up to date when it starts.
    pub migrate_at_start: bool,
}

/// What carries jobs and reports.
#[derive(Clone, Debug, PartialEq)]
pub struct Redis {
    /// The server, or who knows it.
    pub url: RedisUrl,
    /// What the names of all keys begin with.
    pub prefix: String,
}

/// How soon a death is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue {
    /// How often a worker that holds a job says so.
    pub heartbeat: Duration,
    /// How long it may be silent before the job goes to another worker: at least [`LEASE_HEARTBEATS_MIN`] heartbeats.
    pub lease: Duration,
}

/// Where and to whom the API answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Api {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// The address under which external workers reach the API, if it is not the listening one.
    pub public_url: Option<Url>,
    /// Whether the API may answer on an address that others reach.
    pub allow_without_key: bool,
}

/// How jobs are executed.
#[derive(Clone, Debug, PartialEq)]
pub struct Worker {
    /// The worker keys to serve; empty means all that can be served.
    pub keys: Vec<WorkerKey>,
    /// Jobs of one key at the same time; `None` leaves it to each service.
    pub concurrency: Option<NonZeroUsize>,
    /// How long running jobs may take to finish once the process was told to stop.
    pub grace: Duration,
    /// Whether targets may be on private addresses.
    pub allow_private_targets: bool,
    /// `[politeness]`: how often others are called.
    pub politeness: Policy,
    /// Under which address those who are called reach the operator: a URL, or an e-mail address.
    pub contact: Option<String>,
}

/// What diagnoses are made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// Rules instead of the shipped ones.
    pub rules: Option<RuleFile>,
}

/// What is kept for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Runs that have settled, with their events and diagnoses; `None` for ever.
    pub settled_runs: Option<Duration>,
}

/// A file of rules, as it was when the process started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleFile {
    /// Its name.
    pub name: String,
    /// Its text; what it means is checked by who uses it.
    pub text: String,
}

/// The all-in-one process.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedded {
    /// Its folder; `None` if the system has no usual place for it and nobody named one.
    pub data: Option<PathBuf>,
}

/// What is said about it all.
#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    /// For people or for machines.
    pub format: LogFormat,
    /// Which messages.
    pub filter: String,
    /// Whether the filter is another one than the default.
    pub filter_is_chosen: bool,
}

impl Settings {
    /// Reads the settings of this process: defaults, the file, the environment.
    ///
    /// # Errors
    /// [`SettingsError`] with everything that is wrong; the process must not start.
    pub fn load(config: Option<&Path>) -> Result<Self, SettingsError> {
        Self::load_with(config, Vec::new())
    }

    /// The same with `options` of a command line, named as the variables that they go before.
    ///
    /// # Errors
    /// As [`Settings::load`].
    pub fn load_with(config: Option<&Path>, options: Vec<(String, String)>) -> Result<Self, SettingsError> {
        let set = |name: &str| options.iter().any(|(option, _)| option == name);
        let mut environment: Vec<(String, String)> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| !set(name))
            .collect();
        environment.extend(options.iter().cloned());
        let named = config.map(Path::to_owned).or_else(|| {
            let (_, path) = environment.iter().find(|(name, value)| name == CONFIG_VARIABLE && !value.is_empty())?;
            Some(path.into())
        });
        let file = match named {
            Some(path) => Some(read_file(&path)?),
            None if Path::new(LOCAL_FILE).exists() => Some(read_file(Path::new(LOCAL_FILE))?),
            None => None,
        };
        Self::from_layers(file.as_ref().map(|(path, text)| (path.as_str(), text.as_str())), &environment)
    }

    /// Lays `file` (its name and text) and then `environment` over the defaults.
    ///
    /// # Errors
    /// [`SettingsError`] with everything that is wrong.
    pub fn from_layers(file: Option<(&str, &str)>, environment: &[(String, String)]) -> Result<Self, SettingsError> {
        let mut reader = Reader::new(Layers::new(DEFAULT_FILE, file, environment)?);
        let database = Database {
            url: reader.text("database.url", DatabaseUrl::parse, || DatabaseUrl::Sqlite(PathBuf::new())),
            migrate_at_start: reader.flag("database.migrate_at_start"),
        };
        let redis = Redis {
            url: reader.text("redis.url", RedisUrl::parse, unread_redis),
            prefix: reader.text("redis.prefix", prefix, String::new),
        };
        let queue = Queue {
            heartbeat: Duration::from_millis(reader.number("queue.heartbeat_ms", 100..=60_000)),
            lease: Duration::from_millis(reader.number("queue.lease_ms", 300..=600_000)),
        };
        if queue.lease < queue.heartbeat * LEASE_HEARTBEATS_MIN {
            let message = format!(
                "is too short: at least {LEASE_HEARTBEATS_MIN} times queue.heartbeat_ms, so that two heartbeats may be lost"
            );
            reader.refuse_together("queue.lease_ms", "queue.heartbeat_ms", message);
        }
        let api = Api {
            listen: reader.text("api.listen", listen, || SocketAddr::from(([127, 0, 0, 1], 0))),
            public_url: reader.text("api.public_url", public_url, || None),
            allow_without_key: reader.flag("api.allow_without_key"),
        };
        let worker = Worker {
            keys: reader.list("worker.keys"),
            concurrency: NonZeroUsize::new(reader.number("worker.concurrency", 0..=1_024)),
            grace: Duration::from_secs(reader.number("worker.grace_seconds", 0..=3_600)),
            allow_private_targets: reader.flag("worker.allow_private_targets"),
            politeness: politeness(&mut reader),
            contact: reader.text("politeness.contact", contact, || None),
        };
        let diagnosis = Diagnosis { rules: reader.text("diagnosis.rules", rule_file, || None) };
        let retention = retention(&mut reader);
        let secrets = secrets(&mut reader);
        let embedded =
            Embedded { data: reader.text("embedded.data", |text| Ok(data_folder(text, environment)), || None) };
        let log = Log {
            format: reader.text("log.format", str::parse, || LogFormat::Text),
            filter: reader.text("log.filter", filter, String::new),
            filter_is_chosen: reader.differs("log.filter"),
        };
        let warnings = reader.finish()?;
        Ok(Self { database, redis, queue, api, worker, secrets, diagnosis, retention, embedded, log, warnings })
    }
}

impl Diagnosis {
    /// Name and text of the rule file, if there is one.
    #[must_use]
    pub fn rule_file(&self) -> Option<(&str, &str)> {
        self.rules.as_ref().map(|file| (file.name.as_str(), file.text.as_str()))
    }
}

impl Redis {
    /// How a process that calls itself `identity` uses the server.
    #[must_use]
    pub fn options(&self, queue: Queue, identity: &str) -> RedisOptions {
        let Queue { heartbeat, lease } = queue;
        RedisOptions { heartbeat, lease, ..RedisOptions::new(self.url.expose(), &self.prefix, identity) }
    }
}

impl Api {
    /// Refuses an address that others can reach, unless that was allowed. Whoever listens asks first.
    ///
    /// # Errors
    /// [`SettingsError`] that names both keys.
    pub fn check(&self) -> Result<(), SettingsError> {
        if self.listen.ip().is_loopback() || self.allow_without_key {
            return Ok(());
        }
        let message = format!(
            "others can reach {}, and the API has no keys yet; listen on 127.0.0.1, or set api.allow_without_key = \
             true (HERMES_API_ALLOW_WITHOUT_KEY) where a proxy or a private network decides who gets through",
            self.listen
        );
        let source = Source::Together { with: "api.allow_without_key".to_owned() };
        let problem = SettingsProblem { key: "api.listen".to_owned(), source, message };
        Err(SettingsError { problems: vec![problem] })
    }

    /// Where external workers deliver results, for an API that listens on `bound`; `None` if they cannot.
    #[must_use]
    pub fn callback_base(&self, bound: SocketAddr) -> Option<Url> {
        self.public_url.clone().or_else(|| {
            let own = || format!("http://{bound}").parse().expect("an address with a port makes a URL");
            bound.ip().is_loopback().then(own)
        })
    }
}

/// `[politeness]`.
fn politeness(reader: &mut Reader) -> Policy {
    let per_second: u64 = reader.number("politeness.requests_per_second", 0..=1_000);
    let sites = Limits {
        interval_us: 1_000_000_u64.checked_div(per_second).unwrap_or(0),
        at_a_time: reader.number("politeness.requests_at_a_time", 0..=1_000),
        queue_max_ms: QUEUE_MAX_MS,
        failures_max: reader.number("politeness.failures_max", 0..=1_000),
        open_ms: reader.number::<u64>("politeness.open_seconds", 1..=3_600) * 1_000,
        pause_ms: PAUSE_MS,
        retry_after_max_ms: reader.number::<u64>("politeness.retry_after_max_seconds", 1..=86_400) * 1_000,
    };
    let own = Limits { interval_us: 0, at_a_time: 0, ..sites };
    Policy { sites, own, wait_max_ms: reader.number("politeness.wait_max_ms", 0..=60_000) }
}

/// `[retention]`.
fn retention(reader: &mut Reader) -> Retention {
    let days: u64 = reader.number("retention.settled_runs_days", 0..=36_500);
    if (1..RETENTION_DAYS_MIN).contains(&days) {
        let message = format!("is {days}; allowed are 0, for ever, and {RETENTION_DAYS_MIN} to 36500");
        reader.refuse("retention.settled_runs_days", message);
    }
    Retention { settled_runs: (days > 0).then(|| Duration::from_secs(days * 24 * 60 * 60)) }
}

/// What stands in the user agent must not end its comment or its line.
fn contact(text: &str) -> Result<Option<String>, String> {
    let example = "write a URL such as https://example.com/robot, or an e-mail address";
    let is_plain = text.len() <= 200 && text.chars().all(|c| c.is_ascii_graphic() && !"()<>\"\\;,".contains(c));
    let is_url = Url::parse(text)
        .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host() && url.username().is_empty());
    let is_mail = text.split_once('@').is_some_and(|(name, host)| {
        !name.is_empty() && host.contains('.') && !text.contains([':', '/']) && !host.contains('@')
    });
    match text {
        "" => Ok(None),
        _ if is_plain && (is_url || is_mail) => Ok(Some(text.to_owned())),
        _ => Err(format!("is '{text}'; {example}")),
    }
}

/// `[secrets]`.
fn secrets(reader: &mut Reader) -> Option<Bitwarden> {
    let is_asked = reader.text("secrets.source", secrets_source, || false);
    let bitwarden = Bitwarden {
        command: reader.text("secrets.bitwarden_command", command, String::new),
        project: reader.text("secrets.bitwarden_project", project, || None),
        timeout: Duration::from_millis(reader.number("secrets.bitwarden_timeout_ms", 100..=300_000)),
        workers: reader.list::<WorkerSecret>("secrets.bitwarden_workers"),
    };
    is_asked.then_some(bitwarden)
}

fn secrets_source(text: &str) -> Result<bool, String> {
    match text {
        "" => Ok(false),
        "bitwarden" => Ok(true),
        other => Err(format!("is '{other}'; write \"bitwarden\", or \"\" for none")),
    }
}

fn command(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("is empty; write the name or path of bws".to_owned()) } else { Ok(text.to_owned()) }
}

fn project(text: &str) -> Result<Option<String>, String> {
    // What begins with a hyphen would be an option of the command.
    if text.starts_with('-') {
        return Err("must be the id of a project; `bws project list` shows them".to_owned());
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

fn read_file(path: &Path) -> Result<(String, String), SettingsError> {
    let name = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => Ok((name, text)),
        Err(error) => {
            Err(SettingsError::one("", Source::File { path: name, line: None }, format!("cannot be read: {error}")))
        }
    }
}

fn unread_redis() -> RedisUrl {
    RedisUrl::parse("redis://127.0.0.1").expect("the text is a URL")
}

fn prefix(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    if text.is_empty() || text.len() > 64 || !text.chars().all(allowed) {
        return Err("must be 1 to 64 letters, digits, '-', '_', '.' and ':'".to_owned());
    }
    Ok(text.to_owned())
}

fn listen(text: &str) -> Result<SocketAddr, String> {
    let example = "write an address with a port, such as 127.0.0.1:5000, 0.0.0.0:5000 or [::1]:5000";
    text.parse().map_err(|_| format!("is '{text}'; {example}"))
}

fn public_url(text: &str) -> Result<Option<Url>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.username().is_empty() => Ok(Some(url)),
        Ok(_) | Err(_) => {
            Err("must be an http or https URL without user name, such as https://hermes.example.com".into())
        }
    }
}

fn rule_file(text: &str) -> Result<Option<RuleFile>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let read =
        std::fs::read_to_string(text).map_err(|error| format!("names '{text}', which cannot be read: {error}"))?;
    Ok(Some(RuleFile { name: text.to_owned(), text: read }))
}

fn filter(text: &str) -> Result<String, String> {
    crate::telemetry::check_filter(text).map(|()| text.to_owned())
}

/// The folder for data: the one that was named, or the usual place of the system.
fn data_folder(text: &str, environment: &[(String, String)]) -> Option<PathBuf> {
    let variable = |wanted: &str| {
        let (_, value) = environment.iter().find(|(name, value)| name == wanted && !value.is_empty())?;
        Some(PathBuf::from(value))
    };
    if let Some(rest) = text.strip_prefix("~/") {
        return variable("HOME").map(|home| home.join(rest));
    }
    if !text.is_empty() {
        return Some(text.into());
    }
    let shared = variable("XDG_DATA_HOME").or_else(|| Some(variable("HOME")?.join(".local/share")));
    shared.map(|folder| folder.join("hermes"))
}
