//! A private Postgres and a private Redis that lose nothing they have confirmed, each on a free port of loopback.
//!
//! They are measured with the programs that come with them (`psql`) and a plain socket, so that what measures shares no
//! code with what is measured.

use std::ffi::OsStr;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;

use super::guarded::{Guarded, Plan, folder};

/// How long a server may take to get ready.
pub(super) const START_PATIENCE: Duration = Duration::from_secs(60);
/// The superuser of the private Postgres, and its database. It needs no password.
const NAME: &str = "hermes";
/// What differs from the defaults of Postgres: memory, and room so that no checkpoint falls into a short measurement.
const POSTGRES_SETTINGS: [&str; 7] = [
    "fsync=on",
    "synchronous_commit=on",
    "full_page_writes=on",
    "shared_buffers=1GB",
    "max_wal_size=4GB",
    "max_connections=200",
    "listen_addresses=127.0.0.1",
];
/// Makes a database and becomes its server. Arguments: the folder, the programs' folder, the port, settings.
const MAKE_AND_START: &str = r#"
folder=$1; bin=$2; port=$3; shift 3
"$bin/initdb" -D "$folder/data" -U hermes -A trust -E UTF8 --locale=C && exec "$bin/postgres" -D "$folder/data" -k "$folder" -p "$port" "$@"
"#;
/// The same for Redis: what it has confirmed is on the disk within a second.
const REDIS_SETTINGS: [&str; 8] =
    ["--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--bind", "127.0.0.1"];

/// The private Postgres.
pub(super) struct Postgres {
    pub(super) process: Guarded,
    programs: PathBuf,
    port: u16,
}

impl Postgres {
    /// Makes a database in a folder below `parent` and starts a server for it.
    pub(super) async fn start(parent: &Path) -> anyhow::Result<Self> {
        let programs = postgres_programs()?;
        let folder = folder(parent, "postgres")?;
        let other = OtherUser::find().await?;
        let port = free_port()?;
        let (port_text, settings) = (port.to_string(), POSTGRES_SETTINGS.map(|setting| format!("--{setting}")));
        let mut program: Vec<&OsStr> = other.words.iter().map(OsStr::new).collect();
        program.extend(["sh", "-c", MAKE_AND_START, "postgres"].map(OsStr::new));
        program.extend([folder.as_os_str(), programs.as_os_str(), OsStr::new(&port_text)]);
        program.extend(settings.iter().map(OsStr::new));
        let plan = Plan {
            name: "postgres",
            folder: folder.clone(),
            owner: &other.owner,
            // Until the server runs, TERM ends what it finds; QUIT ends the server at once, together with its children.
            end: "TERM QUIT",
            program: &program,
            environment: &[],
        };
        let process = Guarded::start(plan).await?;
        let postgres = Self { process, programs, port };
        postgres
            .process
            .until(START_PATIENCE, async || postgres.query_in("postgres", "SELECT 1").await.is_ok())
            .await?;
        postgres.query_in("postgres", &format!("CREATE DATABASE {NAME}")).await?;
        Ok(postgres)
    }

    /// The address of its database.
    pub(super) fn url(&self) -> String {
        format!("postgres://{NAME}@127.0.0.1:{}/{NAME}", self.port)
    }

    /// The rows that `sql` gives, each as its columns.
    pub(super) async fn query(&self, sql: &str) -> anyhow::Result<Vec<Vec<String>>> {
        self.query_in(NAME, sql).await
    }

    async fn query_in(&self, database: &str, sql: &str) -> anyhow::Result<Vec<Vec<String>>> {
        let mut command = Command::new(self.programs.join("psql"));
        command.args(["-h", "127.0.0.1", "-U", NAME, "-AtqX", "-v", "ON_ERROR_STOP=1", "-p"]);
        command.arg(self.port.to_string()).args(["-d", database, "-c", sql]).kill_on_drop(true);
        let output = command.output().await.context("cannot start psql")?;
        anyhow::ensure!(output.status.success(), "psql: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).context("psql writes UTF-8")?;
        Ok(text.lines().map(|line| line.split('|').map(str::to_owned).collect()).collect())
    }

    /// What it is and how it is set, for the record.
    pub(super) async fn about(&self) -> anyhow::Result<String> {
        let rows = self.query("SHOW server_version").await?;
        Ok(format!("{} ({})", rows.concat().concat(), POSTGRES_SETTINGS[..5].join(" ")))
    }
}

/// The private Redis.
pub(super) struct Redis {
    pub(super) process: Guarded,
    port: u16,
}

impl Redis {
    /// Starts a server with a folder below `parent`.
    pub(super) async fn start(parent: &Path) -> anyhow::Result<Self> {
        let program = find(&["redis-server", "valkey-server"])
            .context("there is no redis-server or valkey-server in PATH: install one, or use --embedded")?;
        let folder = folder(parent, "redis")?;
        let port = free_port()?;
        let port_text = port.to_string();
        let mut command = vec![program.as_os_str()];
        command.extend(REDIS_SETTINGS.map(OsStr::new));
        command.extend([OsStr::new("--dir"), folder.as_os_str(), OsStr::new("--port"), OsStr::new(&port_text)]);
        let plan =
            Plan { name: "redis", folder: folder.clone(), owner: "", end: "KILL", program: &command, environment: &[] };
        let process = Guarded::start(plan).await?;
        let redis = Self { process, port };
        redis.process.until(START_PATIENCE, async || redis.info("server").await.is_ok()).await?;
        Ok(redis)
    }

    /// Its address.
    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// A number or text that `INFO` tells.
    pub(super) async fn told(&self, section: &str, name: &str) -> anyhow::Result<String> {
        let info = self.info(section).await?;
        let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        Ok(value.with_context(|| format!("Redis does not tell {name}"))?.trim().to_owned())
    }

    /// What it is and how it is set, for the record.
    pub(super) async fn about(&self) -> anyhow::Result<String> {
        Ok(format!("{} (appendonly yes, appendfsync everysec)", self.told("server", "redis_version").await?))
    }

    async fn info(&self, section: &str) -> anyhow::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        stream.write_all(format!("INFO {section}\r\nQUIT\r\n").as_bytes()).await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        anyhow::ensure!(text.starts_with('$'), "Redis answers {text}");
        Ok(text)
    }
}

/// A port that was free a moment ago.
pub(super) fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// The first program of these names in the search path.
pub(super) fn find(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let candidates = names.iter().flat_map(|name| std::env::split_paths(&path).map(move |folder| folder.join(name)));
    candidates.into_iter().find(|candidate| candidate.is_file())
}

/// Where the programs of Postgres are: the newest version of Debian's layout, else the search path.
fn postgres_programs() -> anyhow::Result<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|entry| entry.path());
    let version = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = versions.filter(|path| path.join("bin/initdb").is_file()).max_by_key(version);
    let programs = newest.map(|path| path.join("bin")).or_else(|| Some(find(&["initdb"])?.parent()?.to_owned()));
    programs.context("there is no Postgres on this machine (initdb): install one (15 or newer), or use --embedded")
}

/// Postgres refuses to run as root: who it runs as then.
#[derive(Default)]
struct OtherUser {
    /// What stands in front of a program to make it run as that user; nothing if this one will do.
    words: Vec<String>,
    /// As `chown` wants it; empty if this one will do.
    owner: String,
}

impl OtherUser {
    async fn find() -> anyhow::Result<Self> {
        if id(&["-u"]).await != Some(0) {
            return Ok(Self::default());
        }
        let advice = "Postgres does not run as root; use another user, or --embedded";
        let mut other = None;
        for name in ["postgres", "nobody"] {
            if let (None, Some(user), Some(group)) = (other, id(&["-u", name]).await, id(&["-g", name]).await) {
                other = Some((user, group));
            }
        }
        let (user, group) = other.with_context(|| format!("there is no user postgres or nobody: {advice}"))?;
        anyhow::ensure!(find(&["setpriv"]).is_some(), "setpriv (of util-linux) is not there: {advice}");
        let words = ["setpriv", &format!("--reuid={user}"), &format!("--regid={group}"), "--clear-groups", "--"];
        Ok(Self { words: words.map(str::to_owned).to_vec(), owner: format!("{user}:{group}") })
    }
}

async fn id(arguments: &[&str]) -> Option<u32> {
    let output = Command::new("id").args(arguments).output().await.ok()?;
    String::from_utf8_lossy(&output.stdout).trim().parse().ok()
}
