//! What built-in services find on this machine: a browser, name servers, lists of ranks.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use hermes_adapters::browser::Chromium;
use hermes_adapters::clock;
use hermes_adapters::names;
use hermes_adapters::ranks::RankFolder;
use hermes_core::WorkerKey;
use hermes_core::ports::http::Reach;
use hermes_core::ports::ranks::{RankList, Ranks};
use hermes_worker_runner::Equipment;
use hermes_worker_runner::registry::{BACKLINK_AUTHORITY, CORE_WEB_VITALS};

use super::Check;
use crate::render::data::{State, in_words};
use crate::render::text::Layout;

/// A machine, as a process that executes jobs would be equipped on it.
pub(crate) struct Machine {
    environment: BTreeMap<String, String>,
    browser: Arc<Chromium>,
    ranks: Option<Arc<RankFolder>>,
}

impl Machine {
    /// This machine, with the lists in the data folder `data` if there is one.
    pub(crate) fn new(environment: BTreeMap<String, String>, data: Option<&Path>) -> Self {
        let browser = Arc::new(Chromium::find(&environment));
        Self { environment, browser, ranks: data.map(|data| Arc::new(RankFolder::of(data))) }
    }

    /// The equipment. What may be reached is of no interest here: nothing is fetched.
    pub(super) fn equipment(&self) -> Equipment {
        Equipment {
            browser: Some(self.browser.clone()),
            // Name servers that cannot be set up are told by the service that needs them, which then has none.
            names: names::equip(&self.environment).ok().flatten(),
            ranks: self.ranks.clone().map(|ranks| ranks as Arc<dyn Ranks>),
            ..Equipment::new(self.environment.clone(), Reach::Public)
        }
    }

    /// What the built-in service of a worker key finds here beside its configuration.
    pub(super) async fn checks(&self, worker_key: &WorkerKey) -> Vec<Check> {
        match worker_key.as_str() {
            CORE_WEB_VITALS => vec![self.chromium().await],
            BACKLINK_AUTHORITY => RankList::ALL.map(|list| self.list(list)).to_vec(),
            _ => Vec::new(),
        }
    }

    async fn chromium(&self) -> Check {
        let (is_well, detail) = match (self.browser.program(), self.browser.version().await) {
            (Ok(program), Ok(version)) => (true, format!("{}, {version}", program.display())),
            (Err(error), _) | (Ok(_), Err(error)) => (false, error.to_string()),
        };
        Check { name: "Chromium".to_owned(), is_well, detail }
    }

    fn list(&self, list: RankList) -> Check {
        let state = self.ranks.as_ref().map_or(State::Absent, |ranks| State::of(ranks, list));
        let plain = Layout { width: usize::MAX, colour: false };
        let detail = in_words(list, &state, clock::now(), plain);
        Check { name: list.as_str().to_owned(), is_well: state.is_here(), detail }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn machine(folder: &Path, pairs: &[(&str, &str)]) -> Machine {
        Machine::new(
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            Some(folder),
        )
    }

    async fn checks(machine: &Machine, worker_key: &str) -> Vec<Check> {
        machine.checks(&worker_key.parse().expect("valid")).await
    }

    #[tokio::test]
    async fn a_machine_without_chromium_and_lists_is_told_what_to_install_and_to_fetch() {
        let folder = tempfile::tempdir().expect("a folder");
        let machine = machine(folder.path(), &[("PATH", "/nowhere")]);
        let found = checks(&machine, CORE_WEB_VITALS).await;
        assert!(!found[0].is_well && found[0].detail.contains("apt-get install chromium"), "{found:?}");
        let found = checks(&machine, BACKLINK_AUTHORITY).await;
        assert_eq!(found.len(), RankList::ALL.len());
        assert!(found.iter().all(|check| !check.is_well && check.detail.contains("`hermes data update`")), "{found:?}");
    }

    #[tokio::test]
    async fn a_browser_is_told_with_its_place_and_version_and_one_that_does_not_start_with_what_it_said() {
        let folder = tempfile::tempdir().expect("a folder");
        for (script, is_well, words) in [
            ("echo 'Chromium 150.0.1 built on Debian'", true, "chromium, Chromium 150.0.1 built on Debian"),
            (
                "echo 'error while loading shared libraries' >&2; exit 127",
                false,
                "error while loading shared libraries",
            ),
        ] {
            let program = folder.path().join("chromium");
            std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).expect("written");
            std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
            let path = program.display().to_string();
            let machine = machine(folder.path(), &[("CHROMIUM_PATH", &path), ("PATH", "/usr/bin:/bin")]);
            let found = checks(&machine, CORE_WEB_VITALS).await;
            assert!(found[0].is_well == is_well && found[0].detail.contains(words), "{found:?}");
        }
    }
}
