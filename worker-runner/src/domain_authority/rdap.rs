//! Registration data over RDAP: IANA's list says which server knows a top-level domain, that server knows the domain.
//!
//! Sources: RFC 9224 (the list), RFC 7480 (HTTP), RFC 9083 (the answers).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hermes_core::Timestamp;
use hermes_core::ports::http::{Reach, Response};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;

use super::source::{Asking, Endpoint, SourceError, json};

/// Where IANA keeps its list.
pub const BOOTSTRAP: &str = "https://data.iana.org/rdap/dns.json";
/// Names another place for it.
pub const RDAP_BOOTSTRAP_ENDPOINT: &str = "RDAP_BOOTSTRAP_ENDPOINT";

/// How long the list is kept; it changes a few times a month.
const BOOTSTRAP_KEPT_MS: u64 = 24 * 3_600 * 1_000;
/// Redirects that are followed: registries send on to registrars, and old addresses to new ones.
const REDIRECTS_MAX: usize = 5;
const ACCEPT: (&str, &str) = ("accept", "application/rdap+json, application/json;q=0.9");

/// Asks registries.
pub struct Rdap {
    bootstrap: Endpoint,
    kept: Mutex<Option<(Instant, Arc<Bootstrap>)>>,
}

/// What a registry publishes about a registration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registration {
    /// Host of the server that said so.
    pub server: String,
    /// When the domain was registered.
    pub registered_at: Option<Timestamp>,
    /// When the registration ends.
    pub expires_at: Option<Timestamp>,
    /// Whether the delegation is signed.
    pub delegation_signed: Option<bool>,
    /// States such as `client transfer prohibited`.
    pub status: Vec<String>,
}

/// RFC 9224, section 3.
#[derive(Debug, Deserialize)]
struct Bootstrap {
    services: Vec<(Vec<String>, Vec<String>)>,
}

/// RFC 9083, section 5.3; what is not read here is left out.
#[derive(Deserialize)]
struct DomainObject {
    #[serde(default)]
    events: Vec<Event>,
    #[serde(default)]
    status: Vec<String>,
    #[serde(default, rename = "secureDNS")]
    secure_dns: Option<SecureDns>,
}

/// RFC 9083, section 4.5.
#[derive(Deserialize)]
struct Event {
    #[serde(rename = "eventAction", default)]
    action: String,
    #[serde(rename = "eventDate", default)]
    date: String,
}

#[derive(Deserialize)]
struct SecureDns {
    #[serde(rename = "delegationSigned")]
    delegation_signed: Option<bool>,
}

impl Rdap {
    /// Reads where IANA's list is.
    ///
    /// # Errors
    /// A sentence that names the variable that is wrong.
    pub fn new(environment: &BTreeMap<String, String>) -> Result<Self, String> {
        let bootstrap = Endpoint::read(environment, RDAP_BOOTSTRAP_ENDPOINT, BOOTSTRAP)?;
        Ok(Self { bootstrap, kept: Mutex::new(None) })
    }

    /// What the registry says about a registered domain; `None` if it knows no such domain.
    ///
    /// # Errors
    /// [`SourceError`]; [`SourceError::NotAvailable`] where the top-level domain has no RDAP server in IANA's list.
    pub async fn look_up(&self, asking: Asking<'_>, domain: &str) -> Result<Option<Registration>, SourceError> {
        let bootstrap = self.bootstrap(asking).await?;
        let Some(server) = bootstrap.server(domain) else {
            let top = domain.rsplit('.').next().unwrap_or(domain);
            return Err(SourceError::NotAvailable { detail: format!(".{top} has no RDAP server in IANA's list") });
        };
        let base = Endpoint { url: server, reach: self.bootstrap.reach };
        let (url, response) = self.follow(asking, base.join(&["domain", domain])).await?;
        if response.status == 404 {
            return Ok(None);
        }
        let object: DomainObject = json(&response)?;
        Ok(Some(object.registration(url.host_str().unwrap_or_default())))
    }

    async fn bootstrap(&self, asking: Asking<'_>) -> Result<Arc<Bootstrap>, SourceError> {
        // Held while the list is fetched: one fetch serves all who wait for it.
        let mut kept = self.kept.lock().await;
        if let Some((at, list)) = &*kept
            && at.elapsed() < Duration::from_millis(BOOTSTRAP_KEPT_MS)
        {
            return Ok(list.clone());
        }
        let (_, response) = self.follow(asking, self.bootstrap.url.clone()).await?;
        if response.status == 404 {
            return Err(SourceError::failed("IANA's list of RDAP servers is not where it should be (HTTP 404)"));
        }
        let list: Arc<Bootstrap> = Arc::new(json(&response)?);
        *kept = Some((Instant::now(), list.clone()));
        Ok(list)
    }

    /// Follows redirects, each judged by the guard like a first request.
    async fn follow(&self, asking: Asking<'_>, mut url: Url) -> Result<(Url, Response), SourceError> {
        let reach: Reach = self.bootstrap.reach;
        for _ in 0..=REDIRECTS_MAX {
            let response = asking.send(url.clone(), reach, &[ACCEPT], None).await?;
            if !matches!(response.status, 300..=399) {
                return Ok((url, response));
            }
            let target = response.header("location").and_then(|target| url.join(target).ok());
            let Some(target) = target.filter(|target| matches!(target.scheme(), "http" | "https")) else {
                return Err(SourceError::failed(format!("HTTP {} without a usable address", response.status)));
            };
            url = target;
        }
        Err(SourceError::failed(format!("more than {REDIRECTS_MAX} redirects")))
    }
}

impl Bootstrap {
    /// The server of the longest entry that the domain ends with; one with `https` if there is one (RFC 9224, 3 and 4).
    fn server(&self, domain: &str) -> Option<Url> {
        let ends_with = |entry: &str| {
            let entry = entry.to_ascii_lowercase();
            domain == entry || domain.strip_suffix(&entry).is_some_and(|rest| rest.ends_with('.'))
        };
        let entries = self.services.iter().flat_map(|(names, urls)| names.iter().map(move |name| (name, urls)));
        let (_, urls) = entries.filter(|(name, _)| ends_with(name)).max_by_key(|(name, _)| name.len())?;
        let mut urls: Vec<Url> = urls
            .iter()
            .filter_map(|url| Url::parse(url).ok())
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .collect();
        urls.sort_by_key(|url| url.scheme() != "https");
        urls.into_iter().next()
    }
}

impl DomainObject {
    fn registration(self, server: &str) -> Registration {
        let date = |action: &str| {
            let event = self.events.iter().find(|event| event.action.eq_ignore_ascii_case(action))?;
            event.date.parse::<Timestamp>().ok()
        };
        Registration {
            server: server.to_owned(),
            registered_at: date("registration"),
            expires_at: date("expiration"),
            delegation_signed: self.secure_dns.as_ref().and_then(|secure| secure.delegation_signed),
            status: self.status,
        }
    }
}
