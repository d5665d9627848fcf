//! Finds the Hermes that a command speaks with: a server that was named, the process that has the data folder open, or
//! one started in this process for the time of the command.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hermes_adapters::http::HttpClient;
use hermes_adapters::settings::{Api, Settings, Worker};
use hermes_adapters::{secrets, sqlite};
use hermes_core::Configured;
use hermes_core::ports::http::Http;
use hermes_diagnosis::RuleBook;
use url::Url;

use crate::args::Place;
use crate::client::Client;
use crate::embedded::{self, Embedded, EmbeddedOptions};
use crate::exit::Failure;

/// What the command needs from a Hermes in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// To read and command runs.
    Runs,
    /// Also to execute jobs.
    Workers {
        /// Whether targets may be on private addresses.
        allow_private_targets: bool,
    },
}

/// A Hermes to speak with.
pub(crate) struct Session {
    /// Speaks with it.
    pub(crate) client: Client,
    /// It, if it lives in this process.
    embedded: Option<Embedded>,
    /// Whether it is another process that has the data folder.
    pub(crate) is_owner: bool,
}

/// How to find one, also again.
pub(crate) struct Finder {
    place: Place,
    settings: Settings,
    http: Arc<dyn Http>,
}

impl Finder {
    /// With the settings of this process.
    pub(crate) fn new(place: Place, settings: Settings) -> Result<Self, Failure> {
        Ok(Self { place, settings, http: Arc::new(HttpClient::new().map_err(anyhow::Error::from)?) })
    }

    /// Finds one. Without a server's name, a command that only reads takes the usual address if there is no data yet.
    pub(crate) async fn open(&self, need: Need) -> Result<Session, Failure> {
        if let Some(server) = &self.place.server {
            return Ok(self.remote(server.clone(), false));
        }
        let data = data_folder(self.place.data.as_deref(), &self.settings)?;
        let file = embedded::file(&data);
        if let Some(note) = sqlite::owner_of(&file) {
            return match note.parse() {
                Ok(server) => Ok(self.remote(server, true)),
                Err(_) => Err(Failure::Failed(anyhow::anyhow!(
                    "another process is using {} and left no address; try again in a moment",
                    file.display()
                ))),
            };
        }
        if need == Need::Runs && !file.exists() {
            let usual = format!("http://{}", self.settings.api.listen);
            return Ok(self.remote(usual.parse().expect("an address with a port makes a URL"), false));
        }
        self.embed(data, need).await
    }

    fn remote(&self, server: Url, is_owner: bool) -> Session {
        Session { client: Client::new(self.http.clone(), server), embedded: None, is_owner }
    }

    async fn embed(&self, data: PathBuf, need: Need) -> Result<Session, Failure> {
        let worker = match need {
            Need::Runs => None,
            Need::Workers { allow_private_targets } => Some(Worker {
                // When the command ends nobody waits for a job any more: it is handed back at once.
                grace: Duration::ZERO,
                allow_private_targets: allow_private_targets || self.settings.worker.allow_private_targets,
                ..self.settings.worker.clone()
            }),
        };
        // Any free port: the usual one may be taken, and only this process and its neighbours need to find it.
        let api = Api { listen: ([127, 0, 0, 1], 0).into(), ..self.settings.api.clone() };
        let environment = configured(&self.settings).await?.over(environment());
        let (http, book) = (self.http.clone(), Arc::new(rules(&self.settings)?));
        let retention = self.settings.retention.settled_runs;
        let options = EmbeddedOptions { data, api, worker, environment, http, book, retention };
        let embedded = Embedded::start(options).await?;
        let client = Client::new(self.http.clone(), embedded.url());
        Ok(Session { client, embedded: Some(embedded), is_owner: false })
    }
}

#[cfg(test)]
impl Session {
    /// A Hermes that the test has started.
    pub(crate) const fn with(client: Client, embedded: Embedded) -> Self {
        Self { client, embedded: Some(embedded), is_owner: false }
    }
}

impl Session {
    /// Ends what lives in this process.
    pub(crate) async fn close(self) -> Result<(), Failure> {
        match self.embedded {
            Some(embedded) => Ok(embedded.stop().await?),
            None => Ok(()),
        }
    }
}

/// The environment as text; what is no text configures nothing.
#[must_use]
pub(crate) fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// The rules that the settings name, else the shipped ones.
pub(crate) fn rules(settings: &Settings) -> Result<RuleBook, Failure> {
    hermes_dispatcher::rules::book(settings.diagnosis.rule_file())
        .map_err(|error| Failure::Use(format!("failed to {error}")))
}

/// What workers and providers are configured with.
pub(crate) async fn configured(settings: &Settings) -> Result<Configured, Failure> {
    let loaded = secrets::load(settings.secrets.as_ref(), &environment()).await;
    loaded.map_err(|error| Failure::Use(format!("failed to {error}")))
}

/// The data folder: the option, else the setting.
pub(crate) fn data_folder(option: Option<&Path>, settings: &Settings) -> Result<PathBuf, Failure> {
    option.map(Path::to_owned).or_else(|| settings.embedded.data.clone()).ok_or_else(|| {
        let text = "this system has no usual place for data (neither XDG_DATA_HOME nor HOME is set); use --data PATH";
        Failure::Use(text.to_owned())
    })
}
