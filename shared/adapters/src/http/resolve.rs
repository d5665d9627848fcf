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

#[cfg(test)]
mod tests {
    use super::super::guard::NotPublic;
    use super::*;

    /// The system's resolver answers literals itself, so that no name server takes part.
    async fn resolved(reach: Reach, name: &str) -> Result<Vec<String>, Box<dyn std::error::Error + Send + Sync>> {
        let addresses = Resolver { reach }.resolve(name.parse().expect("a name")).await?;
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
