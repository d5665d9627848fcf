//! Name resolution whose answers are judged before anything is dialled.
//!
//! The HTTP library asks a resolver only about names; literals are judged by the caller. What is returned here is what
//! is dialled, so a name that changes its mind between judging and dialling gains nothing.

use std::net::SocketAddr;

use hermes_core::ports::http::Reach;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::guard;

/// The system's resolver, with the guard behind it where [`Reach::Public`] is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resolver {
    pub(super) reach: Reach,
}

/// The name has no address. Its text never holds more than the resolver's own words.
#[derive(Debug, thiserror::Error)]
#[error("{detail}")]
pub(super) struct Unresolved {
    pub(super) detail: String,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.reach;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0))
                .await
                .map_err(|error| Unresolved { detail: error.to_string() })?;
            let mut addresses: Vec<SocketAddr> = found.collect();
            if addresses.is_empty() {
                return Err(Unresolved { detail: "the name has no address".to_owned() }.into());
            }
            addresses = match reach {
                Reach::Public => guard::judge(addresses)?,
                Reach::Any => addresses,
            };
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}
