//! Why a source of secrets failed: what is wrong, and what to change.

/// A source cannot be read. Completes "failed to …". No text holds a value, nor what a file or an answer contains.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretsError {
    /// A file that a variable names.
    #[error("read the file that {variable} names ({path}): {problem}; correct the variable, or remove it")]
    File {
        /// The variable, `<NAME>_FILE`.
        variable: String,
        /// The path as it was written.
        path: String,
        /// What is wrong with the file.
        problem: String,
    },
    /// The command is not there or does not start.
    #[error(
        "start Bitwarden's command {command}: {problem}; install bws (https://bitwarden.com/help/secrets-manager-cli/), \
         name it in secrets.bitwarden_command, or set secrets.source = \"\""
    )]
    Command {
        /// The command as it was configured.
        command: String,
        /// What the system said.
        problem: String,
    },
    /// There is no token to ask with.
    #[error(
        "ask Bitwarden: BWS_ACCESS_TOKEN is not set; create an access token for a machine account that may read the \
         project, and set BWS_ACCESS_TOKEN, or BWS_ACCESS_TOKEN_FILE to a file that holds it"
    )]
    NoToken,
    /// The command said no.
    #[error("read the secrets from Bitwarden: {command} ended with {status}: {said}")]
    Refused {
        /// The command as it was configured.
        command: String,
        /// Its exit status.
        status: String,
        /// The beginning of what it said, without the token.
        said: String,
    },
    /// The command did not end in time.
    #[error(
        "read the secrets from Bitwarden: {command} did not end within {limit_ms} ms; is its server reachable? \
         secrets.bitwarden_timeout_ms allows more time"
    )]
    TooSlow {
        /// The command as it was configured.
        command: String,
        /// The limit that passed.
        limit_ms: u64,
    },
    /// What the command wrote is no list of secrets.
    #[error("read the secrets from Bitwarden: the output of {command} {problem}; is it bws 0.3 or newer?")]
    Output {
        /// The command as it was configured.
        command: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A secret that was named is not there, or not what it should be.
    #[error("read the secret {secret} of worker {worker_key} from Bitwarden: it {problem}")]
    Worker {
        /// The secret's name.
        secret: String,
        /// The worker.
        worker_key: String,
        /// What is wrong with it, and what would be right.
        problem: &'static str,
    },
}
