//! Reading the address of Redis: one server, sentinels that know which server is the primary, or nodes of a cluster.

use std::fmt;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo};
use url::Url;

/// The port of a sentinel that is named without one.
const SENTINEL_PORT: u16 = 26_379;

/// What an address must look like, for error messages.
pub(super) const FORMS: &str = "redis://user:password@host:6379/0, redis+sentinel://user:password@host1:26379,host2:26379/primary-name/0 \
     or redis+cluster://user:password@host1:6379,host2:6379, with rediss instead of redis for TLS";

/// Where Redis is. Its `Display` leaves out user, password and options; it is not printed in any other way.
#[derive(Clone)]
pub(super) struct Address {
    /// How to find the server.
    pub(super) route: Route,
    /// User, password and database there.
    login: RedisConnectionInfo,
    /// A server with the same TLS as all of them; only its host and port differ.
    model: ConnectionAddr,
}

/// How to find the server that takes writes.
#[derive(Clone)]
pub(super) enum Route {
    /// It is always the same.
    Fixed,
    /// Sentinels know it.
    Sentinels {
        /// Where they are, and how to log in there.
        sentinels: Vec<ConnectionInfo>,
        /// The name under which they watch it.
        primary: String,
    },
    /// Every node of the cluster knows it.
    Cluster {
        /// The nodes to ask.
        seeds: Vec<ConnectionInfo>,
    },
}

impl Address {
    /// Reads an address. The message of a failure never quotes it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").ok_or("it has no scheme")?;
        let (scheme, kind) = scheme.split_once('+').unwrap_or((scheme, ""));
        if !matches!(scheme, "redis" | "rediss") {
            return Err("its scheme is unknown".to_owned());
        }
        match kind {
            "" => {
                let server = read(text)?;
                Ok(Self { route: Route::Fixed, login: server.redis_settings().clone(), model: server.addr().clone() })
            }
            "sentinel" => Self::sentinels(&Parts::of(scheme, rest)),
            "cluster" => Self::cluster(&Parts::of(scheme, rest)),
            _ => Err("its scheme is unknown".to_owned()),
        }
    }

    fn sentinels(parts: &Parts<'_>) -> Result<Self, String> {
        let (primary, database) = parts.path.split_once('/').unwrap_or((parts.path, ""));
        if primary.is_empty() {
            return Err("the name of the primary is missing after the sentinels".to_owned());
        }
        let mut login_there = RedisConnectionInfo::default();
        for (key, value) in parts.options()?.query_pairs() {
            login_there = match &*key {
                "sentinel_username" => login_there.set_username(value),
                "sentinel_password" => login_there.set_password(value),
                _ => return Err("it has an option other than sentinel_username and sentinel_password".to_owned()),
            };
        }
        let servers = parts.servers(database, Some(SENTINEL_PORT))?;
        let sentinels = servers.iter().map(|server| server.clone().set_redis_settings(login_there.clone())).collect();
        Ok(Self::through(&servers[0], Route::Sentinels { sentinels, primary: primary.to_owned() }))
    }

    fn cluster(parts: &Parts<'_>) -> Result<Self, String> {
        if !matches!(parts.path, "" | "0") {
            return Err("a cluster has only database 0".to_owned());
        }
        if !parts.query.is_empty() {
            return Err("it has an option, and a cluster knows none".to_owned());
        }
        let seeds = parts.servers("", None)?;
        Ok(Self::through(&seeds[0].clone(), Route::Cluster { seeds }))
    }

    fn through(model: &ConnectionInfo, route: Route) -> Self {
        Self { route, login: model.redis_settings().clone(), model: model.addr().clone() }
    }

    /// Whether the connections use TLS.
    pub(super) fn is_tls(&self) -> bool {
        matches!(self.model, ConnectionAddr::TcpTls { .. })
    }

    /// The one server of a fixed address.
    pub(super) fn fixed(&self) -> ConnectionInfo {
        self.with(self.model.clone())
    }

    /// Another server of the same deployment.
    pub(super) fn server(&self, host: String, port: u16) -> ConnectionInfo {
        self.with(match &self.model {
            ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
                ConnectionAddr::TcpTls { host, port, insecure: *insecure, tls_params: tls_params.clone() }
            }
            _ => ConnectionAddr::Tcp(host, port),
        })
    }

    fn with(&self, address: ConnectionAddr) -> ConnectionInfo {
        let info = address.into_connection_info().expect("an address is a complete description of a connection");
        info.set_redis_settings(self.login.clone())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls() { "rediss" } else { "redis" };
        let list = |servers: &[ConnectionInfo]| {
            servers.iter().map(|server| server.addr().to_string()).collect::<Vec<_>>().join(",")
        };
        match &self.route {
            Route::Fixed => write!(f, "{scheme}://{}/{}", self.model, self.login.db()),
            Route::Sentinels { sentinels, primary } => {
                write!(f, "{scheme}+sentinel://{}/{primary}/{}", list(sentinels), self.login.db())
            }
            Route::Cluster { seeds } => write!(f, "{scheme}+cluster://{}", list(seeds)),
        }
    }
}

/// The parts of an address with several hosts, which is no URL as libraries understand it.
struct Parts<'a> {
    scheme: &'a str,
    /// User and password with the `@` after them, or nothing.
    user: &'a str,
    hosts: &'a str,
    path: &'a str,
    query: &'a str,
    fragment: &'a str,
}

impl<'a> Parts<'a> {
    fn of(scheme: &'a str, rest: &'a str) -> Self {
        let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        // A password may hold an '@' as it is, but a '/' only as %2F.
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, hosts) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
        Self { scheme, user, hosts, path: path.trim_end_matches('/'), query, fragment }
    }

    /// The options, read by way of a URL.
    fn options(&self) -> Result<Url, String> {
        Url::parse(&format!("redis://host/?{}", self.query)).map_err(|error| error.to_string())
    }

    /// Each host as if it stood alone.
    fn servers(&self, database: &str, default_port: Option<u16>) -> Result<Vec<ConnectionInfo>, String> {
        let fragment = if self.fragment.is_empty() { String::new() } else { format!("#{}", self.fragment) };
        let server = |host: &str| {
            let mut url = Url::parse(&format!("{}://{}{host}/{database}{fragment}", self.scheme, self.user))
                .map_err(|error| error.to_string())?;
            if url.host_str().is_none_or(str::is_empty) {
                return Err("one of its hosts is empty".to_owned());
            }
            if url.port().is_none() && url.set_port(default_port).is_err() {
                return Err("one of its hosts takes no port".to_owned());
            }
            read(url.as_str())
        };
        self.hosts.split(',').map(server).collect()
    }
}

fn read(url: &str) -> Result<ConnectionInfo, String> {
    // The library's words without their detail, which may quote the URL.
    url.into_connection_info().map_err(|error| error.category().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_read_and_shown_without_its_secrets() {
        for (text, shown) in [
            ("redis://u:s3cret@cache:6380/2", "redis://cache:6380/2"),
            ("rediss://cache/", "rediss://cache:6379/0"),
            ("redis+sentinel://u:s3cret@a,b:26380,[::1]:5/main/3", "redis+sentinel://a:26379,b:26380,::1:5/main/3"),
            ("redis+sentinel://a/main?sentinel_password=s3cret", "redis+sentinel://a:26379/main/0"),
            ("rediss+sentinel://a:1/main/", "rediss+sentinel://a:1/main/0"),
            ("redis+cluster://:s3cret@a,b:7000/", "redis+cluster://a:6379,b:7000"),
            ("rediss+cluster://a/0", "rediss+cluster://a:6379"),
        ] {
            let address = Address::parse(text).unwrap_or_else(|problem| panic!("{text}: {problem}"));
            assert_eq!(address.to_string(), shown, "{text}");
        }
    }

    #[test]
    fn servers_and_sentinels_have_their_own_logins() {
        let text = "rediss+sentinel://app:p%40ss@a,b/main/3?sentinel_username=watch&sentinel_password=other#insecure";
        let address = Address::parse(text).expect("valid");
        let server = address.server("c".to_owned(), 7);
        assert!(matches!(server.addr(), ConnectionAddr::TcpTls { host, port: 7, insecure: true, .. } if host == "c"));
        let login = server.redis_settings();
        assert_eq!((login.username(), login.password(), login.db()), (Some("app"), Some("p@ss"), 3));
        let Route::Sentinels { sentinels, primary } = &address.route else { panic!("sentinels") };
        assert_eq!((sentinels.len(), &**primary), (2, "main"));
        let login = sentinels[1].redis_settings();
        assert_eq!((login.username(), login.password(), login.db()), (Some("watch"), Some("other"), 0));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_without_quoting_it() {
        for text in [
            "s3cret",
            "http://u:s3cret@a",
            "redis+s3cret://a",
            "redis://u:s3cret@",
            "redis+sentinel://u:s3cret@a",
            "redis+sentinel://u:s3cret@a,,b/main",
            "redis+sentinel://u:s3cret@a:port/main",
            "redis+sentinel://u:s3cret@a/main/zero",
            "redis+sentinel://a/main?s3cret=1",
            "redis+cluster://u:s3cret@a/1",
            "redis+cluster://u:s3cret@",
            "redis+cluster://a?s3cret=1",
            "rediss+cluster://a#s3cret",
        ] {
            let Err(problem) = Address::parse(text) else { panic!("{text}") };
            assert!(!problem.contains("s3cret"), "{problem}");
        }
    }
}
