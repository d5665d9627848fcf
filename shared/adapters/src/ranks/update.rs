//! Fetches a list and puts it in the place of the old one, which stays until the new one is whole.

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::time::Duration;

use hermes_core::ports::http::{Http as _, HttpError, Method, Reach, Request};
use hermes_core::ports::ranks::RankList;
use url::Url;

use super::index::{Builder, Meta};
use super::lines::Lines;
use super::{RankFolder, common_crawl, majestic};
use crate::clock;
use crate::http::HttpClient;

/// The releases of Common Crawl's web graph.
const COMMON_CRAWL_INDEX: &str = "https://index.commoncrawl.org/graphinfo.json";
/// Its files.
const COMMON_CRAWL_DATA: &str = "https://data.commoncrawl.org";
/// The Majestic Million.
const MAJESTIC: &str = "https://downloads.majestic.com/majestic_million.csv";

/// Longest wait for the list of releases.
const RELEASES_TIMEOUT_MS: u64 = 30_000;
/// Bytes of the list of releases that are read.
const RELEASES_BYTES_MAX: usize = 4 * 1_024 * 1_024;

/// Where the lists are.
#[derive(Clone, Debug)]
pub struct Endpoints {
    releases: (Url, Reach),
    data: (Url, Reach),
    majestic: (Url, Reach),
}

/// Why a list was not replaced. The old one, if there is one, is still there.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// A variable is wrong: correct it.
    #[error("{0}")]
    Endpoint(String),
    /// The list cannot be reached, or stopped coming: try again later.
    #[error("{list} could not be fetched: {detail}", list = .list.as_str())]
    Fetch {
        /// Which list.
        list: RankList,
        /// What happened.
        detail: String,
    },
    /// What came is not the list: its form has changed, or the address is wrong.
    #[error("{list} is not as documented: {detail}", list = .list.as_str())]
    Unreadable {
        /// Which list.
        list: RankList,
        /// What is odd.
        detail: String,
    },
    /// The list could not be written: make room, or correct the rights of the folder.
    #[error("{list} could not be written: {detail}", list = .list.as_str())]
    Storage {
        /// Which list.
        list: RankList,
        /// What the system said.
        detail: String,
    },
}

impl Endpoints {
    /// Reads where the lists are: `COMMON_CRAWL_INDEX_ENDPOINT`, `COMMON_CRAWL_DATA_ENDPOINT` and `MAJESTIC_ENDPOINT`
    /// name other places than the usual ones.
    ///
    /// # Errors
    /// [`UpdateError::Endpoint`] names the variable that is no URL.
    pub fn read(environment: &BTreeMap<String, String>) -> Result<Self, UpdateError> {
        let place = |variable: &str, usual: &str| {
            let given = environment.get(variable).map(|text| text.trim()).filter(|text| !text.is_empty());
            let reach = if given.is_some() { Reach::Any } else { Reach::Public };
            match Url::parse(given.unwrap_or(usual)) {
                Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok((url, reach)),
                Ok(_) | Err(_) => Err(UpdateError::Endpoint(format!("{variable} must be a URL such as {usual}"))),
            }
        };
        Ok(Self {
            releases: place("COMMON_CRAWL_INDEX_ENDPOINT", COMMON_CRAWL_INDEX)?,
            data: place("COMMON_CRAWL_DATA_ENDPOINT", COMMON_CRAWL_DATA)?,
            majestic: place("MAJESTIC_ENDPOINT", MAJESTIC)?,
        })
    }
}

/// Fetches one list into the folder, and says what is there now.
///
/// # Errors
/// [`UpdateError`]; the list that was there before still is.
pub async fn update(
    client: &HttpClient,
    endpoints: &Endpoints,
    folder: &RankFolder,
    list: RankList,
) -> Result<Meta, UpdateError> {
    let (url, reach, release) = match list {
        RankList::CommonCrawl => {
            let release = newest_release(client, endpoints).await?;
            let (mut url, reach) = endpoints.data.clone();
            url.path_segments_mut()
                .expect("http URLs have paths")
                .pop_if_empty()
                .extend(common_crawl::segments(&release));
            (url, reach, Some(release))
        }
        RankList::Majestic => (endpoints.majestic.0.clone(), endpoints.majestic.1, None),
    };
    let body = client.download(&url, reach).await.map_err(|error| fetch(list, &error))?;
    let read = async {
        let mut lines = Lines::over(body).await?;
        match list {
            RankList::CommonCrawl => common_crawl::read(&mut lines, common_crawl::ROWS_MAX).await,
            RankList::Majestic => majestic::read(&mut lines, majestic::ROWS_MAX).await,
        }
    };
    let found = read.await.map_err(|error| reading(list, &error))?;
    if found.len() == 0 {
        return Err(UpdateError::Unreadable { list, detail: "it is empty".to_owned() });
    }
    let source = url.to_string();
    let folder = folder.clone();
    let written = tokio::task::spawn_blocking(move || write(&folder, list, found, source, release)).await;
    let written = written.unwrap_or_else(|error| Err(io::Error::other(error)));
    written.map_err(|error| UpdateError::Storage { list, detail: error.to_string() })
}

async fn newest_release(client: &HttpClient, endpoints: &Endpoints) -> Result<String, UpdateError> {
    let list = RankList::CommonCrawl;
    let (url, reach) = endpoints.releases.clone();
    let request = Request {
        method: Method::Get,
        url,
        headers: Vec::new(),
        body: None,
        reach,
        timeout: Duration::from_millis(RELEASES_TIMEOUT_MS),
        body_bytes_max: RELEASES_BYTES_MAX,
    };
    let response = client.send(request).await.map_err(|error| fetch(list, &error))?;
    if response.status != 200 {
        let detail = format!("the list of releases answers HTTP {}", response.status);
        return Err(UpdateError::Fetch { list, detail });
    }
    let detail = || "the list of releases names none".to_owned();
    common_crawl::newest(&response.body).ok_or_else(|| UpdateError::Unreadable { list, detail: detail() })
}

fn write(
    folder: &RankFolder,
    list: RankList,
    found: Builder,
    source: String,
    release: Option<String>,
) -> io::Result<Meta> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder.path())?;
    found.write(&folder.file(list), |rows| Meta { rows, fetched_at: clock::now(), source, release })
}

fn fetch(list: RankList, error: &HttpError) -> UpdateError {
    UpdateError::Fetch { list, detail: error.to_string() }
}

fn reading(list: RankList, error: &io::Error) -> UpdateError {
    match error.kind() {
        io::ErrorKind::InvalidData => UpdateError::Unreadable { list, detail: error.to_string() },
        io::ErrorKind::TimedOut => UpdateError::Fetch { list, detail: "it stopped coming".to_owned() },
        io::ErrorKind::UnexpectedEof => UpdateError::Fetch { list, detail: "it was cut off".to_owned() },
        _ => UpdateError::Fetch { list, detail: format!("it was cut off ({error})") },
    }
}
