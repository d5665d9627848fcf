//! What a run's domain is, seen from its registration: the host, the registrable domain, and the port of its TLS.
//!
//! Registrable domains are told by the public suffix list, which is compiled in. Names are in lower-case A-labels
//! throughout, as the URL parser makes them.

use hermes_core::Domain;
use url::{Host, Url};

/// Port of `https`.
const HTTPS_PORT: u16 = 443;

/// What is to be measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The host as it is looked at.
    pub host: String,
    /// Where its TLS is expected; `None` where only a port without TLS was named.
    pub tls_port: Option<u16>,
    /// The domain that carries authority; `None` for an address and for a name under no public suffix.
    pub domain: Option<SiteDomain>,
}

/// The part of a name under which one owner has everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteDomain {
    /// `example.co.uk`, `user.github.io`.
    pub name: String,
    /// The domain that was registered with a registry, where that is another one: `github.io`.
    pub platform: Option<String>,
}

impl Subject {
    /// What the first address of `domain` names.
    #[must_use]
    pub fn of(domain: &Domain) -> Self {
        let url = domain.seeds().first().expect("a domain has at least one seed");
        let host = url.host_str().unwrap_or_default().trim_end_matches('.').to_owned();
        let domain = match url.host() {
            Some(Host::Domain(_)) => SiteDomain::of(&host),
            Some(Host::Ipv4(_) | Host::Ipv6(_)) | None => None,
        };
        Self { host, tls_port: tls_port(url), domain }
    }

    /// The hosts whose certificates matter: the one that is looked at, and for a bare domain its `www`, for a `www` its
    /// bare domain, since visitors type both.
    #[must_use]
    pub fn tls_hosts(&self) -> Vec<String> {
        let mut hosts = vec![self.host.clone()];
        if let Some(domain) = &self.domain {
            let www = format!("www.{}", domain.name);
            if self.host == domain.name {
                hosts.push(www);
            } else if self.host == www {
                hosts.push(domain.name.clone());
            }
        }
        hosts
    }
}

impl SiteDomain {
    /// The domain of a host name; `None` for a public suffix, and for what is under none.
    #[must_use]
    pub fn of(host: &str) -> Option<Self> {
        let suffix = psl::suffix(host.as_bytes())?;
        let own = psl::domain_str(host).map(str::to_owned);
        match suffix.typ()? {
            psl::Type::Icann => own.map(|name| Self { name, platform: None }),
            psl::Type::Private => {
                let platform = registered(std::str::from_utf8(suffix.as_bytes()).ok()?)?.to_owned();
                Some(match own {
                    Some(name) => Self { name, platform: Some(platform) },
                    // The platform itself.
                    None => Self { name: platform, platform: None },
                })
            }
        }
    }
}

/// The shortest end of a private suffix that is no registry's: what somebody registered there.
fn registered(suffix: &str) -> Option<&str> {
    let starts = suffix.match_indices('.').map(|(at, _)| at + 1);
    let mut ends: Vec<&str> = std::iter::once(0).chain(starts).map(|start| &suffix[start..]).collect();
    ends.reverse();
    ends.into_iter().find(|end| !is_registry(end))
}

fn is_registry(end: &str) -> bool {
    let suffix = psl::suffix(end.as_bytes());
    suffix.is_some_and(|suffix| suffix.as_bytes() == end.as_bytes() && suffix.typ() == Some(psl::Type::Icann))
}

fn tls_port(url: &Url) -> Option<u16> {
    match (url.scheme(), url.port()) {
        ("https", port) => Some(port.unwrap_or(HTTPS_PORT)),
        (_, None) => Some(HTTPS_PORT),
        (_, Some(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(text: &str) -> Subject {
        Subject::of(&text.parse().expect("a domain"))
    }

    /// From the list's own tests (CC0): https://github.com/publicsuffix/list/blob/main/tests/test_psl.txt
    #[test]
    fn the_registrable_domain_is_the_one_of_the_public_suffix_list() {
        for (host, expected) in [
            ("example.com", Some("example.com")),
            ("b.example.com", Some("example.com")),
            ("WwW.Example.COM", Some("example.com")),
            ("a.b.example.uk.com", Some("example.uk.com")),
            ("test.ac", Some("test.ac")),
            ("www.bbc.co.uk", Some("bbc.co.uk")),
            ("www.test.ac.jp", Some("test.ac.jp")),
            ("c.kobe.jp", None),
            ("a.b.c.kobe.jp", Some("b.c.kobe.jp")),
            ("www.city.kobe.jp", Some("city.kobe.jp")),
            ("www.test.k12.ak.us", Some("test.k12.ak.us")),
            ("www.食狮.公司.cn", Some("xn--85x722f.xn--55qx5d.cn")),
            ("www.食狮.中国", Some("xn--85x722f.xn--fiqs8s")),
            ("co.uk", None),
            ("com", None),
            ("example.example", None),
            ("localhost", None),
            ("intranet.corp", None),
            ("127.0.0.1", None),
            ("[::1]", None),
        ] {
            let found = subject(host).domain;
            assert_eq!(found.as_ref().map(|domain| domain.name.as_str()), expected, "{host}");
        }
    }

    #[test]
    fn a_name_on_a_platform_is_its_own_domain_and_knows_the_platform() {
        let found = subject("https://blog.user.github.io/").domain.expect("a domain");
        assert_eq!((found.name.as_str(), found.platform.as_deref()), ("user.github.io", Some("github.io")));
        let found = subject("github.io").domain.expect("a domain");
        assert_eq!((found.name.as_str(), found.platform), ("github.io", None));
        assert_eq!(subject("www.example.co.uk").domain.expect("a domain").platform, None);
    }

    #[test]
    fn apex_and_www_are_looked_at_together_and_other_hosts_alone() {
        assert_eq!(subject("example.co.uk").tls_hosts(), ["example.co.uk", "www.example.co.uk"]);
        assert_eq!(subject("www.example.co.uk").tls_hosts(), ["www.example.co.uk", "example.co.uk"]);
        assert_eq!(subject("shop.example.co.uk").tls_hosts(), ["shop.example.co.uk"]);
        assert_eq!(subject("127.0.0.1").tls_hosts(), ["127.0.0.1"]);
    }

    #[test]
    fn tls_is_expected_at_the_port_of_the_address_unless_that_is_one_without() {
        let ports = ["example.com", "https://example.com:8443", "http://example.com", "http://example.com:8080"]
            .map(|text| subject(text).tls_port);
        assert_eq!(ports, [Some(443), Some(8443), Some(443), None]);
    }
}
