//! Where the values come from that configure workers and providers: the environment, files, Bitwarden Secrets Manager.
//!
//! Read once, before anything starts. The nearest source wins: a variable `NAME`, then the file that `NAME_FILE` names,
//! then Bitwarden. A source that was asked for and fails stops the start: a process that runs on without its keys would
//! answer runs with `not_configured`, and nobody would know why.
//!
//! Deliberately absent: reading again while the process runs (start it anew after a key was changed), and writing.

mod bitwarden;
mod error;
mod file;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use hermes_core::configured::{Configured, Origin, is_name};

pub use bitwarden::{ACCESS_TOKEN, Bitwarden, WorkerSecret};
pub use error::SecretsError;

/// How the variable ends that names a file instead of holding the value, as Docker's official images have it.
const FILE_SUFFIX: &str = "_FILE";

/// Reads every source. `environment` is that of the process.
///
/// # Errors
/// [`SecretsError`] for the first source that fails; it names the remedy and never a value.
pub async fn load(
    bitwarden: Option<&Bitwarden>,
    environment: &BTreeMap<String, String>,
) -> Result<Configured, SecretsError> {
    let mut configured = Configured::from_environment(environment);
    for (variable, path) in environment {
        let Some(name) = variable.strip_suffix(FILE_SUFFIX).filter(|name| is_name(name)) else { continue };
        // A value of its own stands above the file, which may then be missing.
        if path.is_empty() || configured.get(name).is_some() {
            continue;
        }
        let value = file::read(variable, path)?;
        configured.add(name, &value, Origin::File { path: path.clone() });
    }
    if let Some(bitwarden) = bitwarden {
        bitwarden.add_to(&mut configured, environment).await?;
    }
    Ok(configured)
}
