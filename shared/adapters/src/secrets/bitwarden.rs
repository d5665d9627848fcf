//! Bitwarden Secrets Manager, through its own command `bws`: one `bws secret list` at the start.
//!
//! Source: <https://bitwarden.com/help/secrets-manager-cli/>. The token goes over in the environment, never as an
//! argument, where every process of the machine could read it.

use std::collections::BTreeMap;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use hermes_core::WorkerKey;
use hermes_core::configured::{Configured, Origin, is_name, worker_names};
use hermes_core::wire::printable;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;

use super::{FILE_SUFFIX, SecretsError, file};

/// The variable that holds the access token of a machine account.
pub const ACCESS_TOKEN: &str = "BWS_ACCESS_TOKEN";

/// Bytes of the list that are read: thousands of secrets.
const OUTPUT_BYTES_MAX: u64 = 8 * 1_024 * 1_024;
/// Bytes of complaints that are read, and how many of them an error quotes.
const COMPLAINT_BYTES_MAX: u64 = 64 * 1_024;
/// See [`COMPLAINT_BYTES_MAX`].
const QUOTED_BYTES_MAX: usize = 300;

/// Variables that the command needs to find its settings, its server and the way there. It gets no others: our keys are
/// none of its business.
const PASSED_ON: [&str; 12] = [
    "PATH",
    "HOME",
    "XDG_CONFIG_HOME",
    "BWS_SERVER_URL",
    "BWS_PROFILE",
    "BWS_CONFIG_FILE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
];

/// How Bitwarden is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bitwarden {
    /// The command: a name in `PATH`, or a path.
    pub command: String,
    /// Id of the project whose secrets are read; without it, all that the token may read.
    pub project: Option<String>,
    /// How long the command may take.
    pub timeout: Duration,
    /// Secrets that configure an external worker whole, and whose names say nothing about it.
    pub workers: Vec<WorkerSecret>,
}

/// The name of the secret that configures one external worker: a JSON text `{"base_url": "…", "api_key": "…"}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerSecret {
    /// The worker.
    pub worker_key: WorkerKey,
    /// The secret's name.
    pub secret: String,
}

impl std::str::FromStr for WorkerSecret {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is not of the form worker_key=name of the secret");
        let (worker_key, secret) = text.split_once('=').ok_or_else(wrong)?;
        let worker_key = worker_key.trim().parse().map_err(|_| wrong())?;
        let secret = secret.trim();
        if secret.is_empty() { Err(wrong()) } else { Ok(Self { worker_key, secret: secret.to_owned() }) }
    }
}

/// One element of the list, as far as it is read. The list has more: ids, notes, dates.
#[derive(Deserialize)]
struct Listed {
    key: String,
    value: String,
}

/// The value of a secret that configures a worker whole.
#[derive(Deserialize)]
struct WholeWorker {
    base_url: String,
    api_key: String,
}

impl Bitwarden {
    /// Asks, and adds what configures workers and providers. A secret does that by its name (`BRAVE_API_KEY`), or as
    /// the JSON text of a worker, under the worker's key or the name that [`Self::workers`] gives.
    pub(super) async fn add_to(
        &self,
        configured: &mut Configured,
        environment: &BTreeMap<String, String>,
    ) -> Result<(), SecretsError> {
        let token = token(environment)?;
        let listed = self.list(&token, environment).await?;
        for WorkerSecret { worker_key, secret } in &self.workers {
            let wrong =
                |problem| SecretsError::Worker { secret: secret.clone(), worker_key: worker_key.to_string(), problem };
            let found = listed.iter().find(|listed| listed.key == *secret);
            let found = found.ok_or_else(|| wrong("is not there, or the token may not read it"))?;
            let whole = whole(&found.value)
                .ok_or_else(|| wrong("is not of the form {\"base_url\": \"https://…\", \"api_key\": \"…\"}"))?;
            add_worker(configured, worker_key, &whole, secret);
        }
        for Listed { key, value } in &listed {
            if is_name(key) {
                configured.add(key, value, Origin::Bitwarden { secret: key.clone() });
            } else if let (Ok(worker_key), Some(whole)) = (key.to_ascii_lowercase().parse(), whole(value)) {
                add_worker(configured, &worker_key, &whole, key);
            }
        }
        Ok(())
    }

    async fn list(&self, token: &str, environment: &BTreeMap<String, String>) -> Result<Vec<Listed>, SecretsError> {
        let not_started =
            |error: std::io::Error| SecretsError::Command { command: self.command.clone(), problem: error.to_string() };
        let mut command = Command::new(&self.command);
        command.args(["secret", "list"]).args(self.project.as_deref()).args(["--output", "json"]);
        command.env_clear().env(ACCESS_TOKEN, token);
        command.envs(environment.iter().filter(|(name, _)| PASSED_ON.contains(&name.as_str())));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(not_started)?;
        let (output, complaint) = (child.stdout.take(), child.stderr.take());
        let ended = async {
            let (output, complaint) =
                tokio::try_join!(read(output, OUTPUT_BYTES_MAX), read(complaint, COMPLAINT_BYTES_MAX))?;
            Ok((child.wait().await?, output, complaint))
        };
        let limit_ms = u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX);
        let (status, output, complaint) = tokio::time::timeout(self.timeout, ended)
            .await
            .map_err(|_| SecretsError::TooSlow { command: self.command.clone(), limit_ms })?
            .map_err(not_started)?;
        if status.success() { self.parse(&output) } else { Err(self.refused(status, &complaint, token)) }
    }

    fn parse(&self, output: &[u8]) -> Result<Vec<Listed>, SecretsError> {
        let wrong = |problem| SecretsError::Output { command: self.command.clone(), problem };
        if u64::try_from(output.len()).is_ok_and(|length| length >= OUTPUT_BYTES_MAX) {
            return Err(wrong("is longer than 8 MiB"));
        }
        // The parser's own text would quote what it met.
        serde_json::from_slice(output).map_err(|_| wrong("is no JSON list of secrets with key and value"))
    }

    fn refused(&self, status: ExitStatus, complaint: &[u8], token: &str) -> SecretsError {
        let text = String::from_utf8_lossy(complaint).replace(token, "[hidden]");
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let said = if words.is_empty() { "nothing".to_owned() } else { printable(&words, QUOTED_BYTES_MAX) };
        SecretsError::Refused { command: self.command.clone(), status: status.to_string(), said }
    }
}

/// The token itself, or from the file that its variable names.
fn token(environment: &BTreeMap<String, String>) -> Result<String, SecretsError> {
    let set = |name: &str| environment.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());
    if let Some(token) = set(ACCESS_TOKEN) {
        return Ok(token.to_owned());
    }
    let variable = format!("{ACCESS_TOKEN}{FILE_SUFFIX}");
    match set(&variable) {
        Some(path) => Ok(file::read(&variable, path)?.trim().to_owned()),
        None => Err(SecretsError::NoToken),
    }
}

async fn read(pipe: Option<impl AsyncRead + Unpin>, bytes_max: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(bytes_max).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

fn whole(value: &str) -> Option<WholeWorker> {
    // A sequence would be read as a struct, too.
    if value.trim_start().starts_with('{') { serde_json::from_str(value).ok() } else { None }
}

fn add_worker(configured: &mut Configured, worker_key: &WorkerKey, whole: &WholeWorker, secret: &str) {
    let [base_url, api_key] = worker_names(worker_key);
    let origin = || Origin::Bitwarden { secret: secret.to_owned() };
    configured.add(&base_url, &whole.base_url, origin());
    configured.add(&api_key, &whole.api_key, origin());
}
