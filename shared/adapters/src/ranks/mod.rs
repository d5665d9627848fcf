//! Lists of domain ranks on this machine: fetched by [`update`], kept as one compact file each, read by the services
//! through the port [`Ranks`].
//!
//! Deliberately absent: fetching by itself. Somebody asks for the lists (`hermes data update`), or there are none.

mod common_crawl;
mod index;
mod lines;
mod majestic;
#[cfg(test)]
mod tests;
mod update;

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use hermes_core::ports::ranks::{Listing, RankList, Ranks, RanksError};

pub use index::Meta;
pub use update::{Endpoints, UpdateError, update};

/// Name of the folder inside of the data folder.
const FOLDER: &str = "ranks";

/// The lists in a data folder.
#[derive(Clone, Debug)]
pub struct RankFolder {
    path: PathBuf,
}

impl RankFolder {
    /// Those in the data folder `data`. Opens nothing.
    #[must_use]
    pub fn of(data: &Path) -> Self {
        Self { path: data.join(FOLDER) }
    }

    /// Where they are.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is known about a list; `None` if it is not here.
    ///
    /// # Errors
    /// [`RanksError`] if it is there and cannot be read.
    pub fn meta(&self, list: RankList) -> Result<Option<Meta>, RanksError> {
        let opened = index::Index::open(&self.file(list));
        let opened = opened.map_err(|detail| RanksError { list, detail })?;
        Ok(opened.map(|index| index.meta))
    }

    fn file(&self, list: RankList) -> PathBuf {
        self.path.join(format!("{}.index", list.as_str()))
    }

    fn find_now(&self, list: RankList, domain: &str) -> Result<Option<Listing>, String> {
        // Opened anew each time: it costs little, and a list that was replaced is seen at once.
        let Some(index) = index::Index::open(&self.file(list))? else { return Ok(None) };
        let standing = index.find(domain)?;
        Ok(Some(Listing { list, rows: index.meta.rows, fetched_at: index.meta.fetched_at, standing }))
    }
}

#[async_trait]
impl Ranks for RankFolder {
    async fn find(&self, list: RankList, domain: &str) -> Result<Option<Listing>, RanksError> {
        let (folder, domain) = (self.clone(), domain.to_owned());
        let found = tokio::task::spawn_blocking(move || folder.find_now(list, &domain)).await;
        found.unwrap_or_else(|error| Err(error.to_string())).map_err(|detail| RanksError { list, detail })
    }
}
