//! Whom a URL calls, and which limits apply to it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use hermes_core::configured::is_name;
use hermes_core::ports::politeness::{Limits, Policy, Target};
use url::{Host, Url};

/// The target of a URL.
pub(super) fn of(url: &Url) -> Option<Target> {
    Some(Target::host(url.host_str()?, url.port_or_known_default()?))
}

/// The targets that the operator configured: external workers, and other addresses of providers than the usual ones.
pub(super) fn configured(environment: &BTreeMap<String, String>) -> BTreeSet<Target> {
    let is_address = |name: &str| ["_URL", "_ENDPOINT"].iter().any(|ending| name.ends_with(ending));
    let values = environment.iter().filter(|(name, _)| is_name(name) && is_address(name));
    values.filter_map(|(_, value)| of(&Url::parse(value.trim()).ok()?)).collect()
}

/// The limits for a target. What is on this machine or in a private network is called as often as one likes, and on this
/// machine a call that fails costs nothing, so that no breaker is needed; what it asks for is heard all the same.
pub(super) fn limits(policy: &Policy, own: &BTreeSet<Target>, target: &Target, url: &Url) -> Limits {
    match nearness(url) {
        Nearness::ThisMachine => Limits { failures_max: 0, ..policy.own },
        Nearness::PrivateNetwork => policy.own,
        Nearness::Elsewhere if own.contains(target) => policy.own,
        Nearness::Elsewhere => policy.sites,
    }
}

enum Nearness {
    ThisMachine,
    PrivateNetwork,
    Elsewhere,
}

/// As far as the URL itself tells: names are not resolved for this.
fn nearness(url: &Url) -> Nearness {
    let address = match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::V4(address),
        Some(Host::Ipv6(address)) => address.to_canonical(),
        Some(Host::Domain(name)) if name == "localhost" || name.ends_with(".localhost") => {
            return Nearness::ThisMachine;
        }
        Some(Host::Domain(_)) | None => return Nearness::Elsewhere,
    };
    let is_private = match address {
        IpAddr::V4(v4) => v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local(),
    };
    if address.is_loopback() {
        Nearness::ThisMachine
    } else if is_private {
        Nearness::PrivateNetwork
    } else {
        Nearness::Elsewhere
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits_of(url: &str) -> Limits {
        let environment =
            [("SERP_INTEL_BASE_URL", "https://worker.example/api"), ("SEARXNG_URL", "https://s.example:8443")];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let url = Url::parse(url).expect("valid");
        limits(&Policy::default(), &configured(&environment), &of(&url).expect("a host"), &url)
    }

    #[test]
    fn strangers_are_called_with_restraint_and_ones_own_as_often_as_one_likes() {
        let policy = Policy::default();
        for url in ["https://example.com/", "http://8.8.8.8/", "https://s.example/", "http://worker.example:81/"] {
            assert_eq!(limits_of(url), policy.sites, "{url}");
        }
        for url in ["https://worker.example/api/run", "https://s.example:8443/search?q=x", "http://10.1.2.3/"] {
            assert_eq!(limits_of(url), policy.own, "{url}");
        }
        for url in ["http://127.0.0.1:8080/", "http://[::1]/", "http://localhost:3000/", "http://[::ffff:127.0.0.1]/"] {
            assert_eq!(limits_of(url), Limits { failures_max: 0, ..policy.own }, "{url}");
        }
    }

    #[test]
    fn scheme_and_path_are_no_part_of_a_target() {
        let text = |url: &str| of(&Url::parse(url).expect("valid")).map(|target| target.to_string());
        assert_eq!(text("https://EXAMPLE.com/a?b").as_deref(), Some("example.com"));
        assert_eq!(text("http://example.com/").as_deref(), Some("example.com"));
        assert_eq!(text("http://example.com:8080/").as_deref(), Some("example.com:8080"));
        assert_eq!(text("http://[::1]:8080/").as_deref(), Some("[::1]:8080"));
    }
}
