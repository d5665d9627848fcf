//! Name resolution whose answers are judged before anything is dialled.
//!
//! The HTTP library asks a resolver only about names; literals are judged by the caller. What is returned here is what
//! is dialled, so a name that changes its mind between judging and dialling gains nothing.

use std::net::SocketAddr;

use hermes_core::ports::http::Reach;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::guard;

/// Who knows the addresses of names.
#[derive(Clone, Debug)]
pub(super) enum Lookup {
    /// The system.
    System,
    /// A test, which answers each question with the next list: a name server that changes its mind.
    #[cfg(test)]
    Scripted(std::sync::Arc<std::sync::Mutex<std::collections::VecDeque<Vec<std::net::IpAddr>>>>),
}

impl Lookup {
    async fn addresses(&self, name: &str) -> std::io::Result<Vec<SocketAddr>> {
        match self {
            Self::System => Ok(tokio::net::lookup_host((name, 0)).await?.collect()),
            #[cfg(test)]
            Self::Scripted(answers) => {
                let next = answers.lock().expect("not poisoned").pop_front().expect("nobody asks more often");
                Ok(next.into_iter().map(|address| SocketAddr::new(address, 0)).collect())
            }
        }
    }
}

/// A resolver with the guard behind it where [`Reach::Public`] is asked for.
#[derive(Clone, Debug)]
pub(super) struct Resolver {
    pub(super) reach: Reach,
    pub(super) lookup: Lookup,
}

/// The name has no address. Its text never holds more than the resolver's own words.
#[derive(Debug, thiserror::Error)]
#[error("{detail}")]
pub(super) struct Unresolved {
    pub(super) detail: String,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let Self { reach, lookup } = self.clone();
        Box::pin(async move {
            let found = lookup.addresses(name.as_str()).await;
            let mut addresses = found.map_err(|error| Unresolved { detail: error.to_string() })?;
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

#[cfg(test)]
mod tests {
    use super::super::guard::NotPublic;
    use super::*;

    /// The system's resolver answers literals itself, so that no name server takes part.
    async fn resolved(reach: Reach, name: &str) -> Result<Vec<String>, Box<dyn std::error::Error + Send + Sync>> {
        let addresses = Resolver { reach, lookup: Lookup::System }.resolve(name.parse().expect("a name")).await?;
        Ok(addresses.map(|address| address.ip().to_string()).collect())
    }

    #[tokio::test]
    async fn public_addresses_pass_the_guard_and_others_only_where_any_may_be_reached() {
        assert_eq!(resolved(Reach::Public, "8.8.8.8").await.expect("public"), ["8.8.8.8"]);
        assert_eq!(resolved(Reach::Any, "127.0.0.1").await.expect("any"), ["127.0.0.1"]);
        let error = resolved(Reach::Public, "127.0.0.1").await.expect_err("loopback");
        assert!(error.is::<NotPublic>(), "{error}");
        let error = resolved(Reach::Any, &"a".repeat(64)).await.expect_err("no such name");
        assert!(error.is::<Unresolved>(), "{error}");
    }
}
