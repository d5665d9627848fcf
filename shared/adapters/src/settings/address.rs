//! Addresses that may hold a password, and the choice between stores.

use std::fmt;
use std::path::PathBuf;

use url::Url;

/// A URL whose user name, password and query are never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretUrl(Url);

impl SecretUrl {
    /// Reads a URL with one of these schemes and a host. The message of a failure never quotes the text.
    pub(super) fn parse(text: &str, schemes: &[&str]) -> Result<Self, String> {
        let right = || format!("write {}://user:password@host:port/name", schemes[0]);
        let url = Url::parse(text).map_err(|error| format!("is no URL ({error}); {}", right()))?;
        if !schemes.contains(&url.scheme()) {
            return Err(format!("has the scheme '{}'; {}", url.scheme(), right()));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(format!("names no host; {}", right()));
        }
        Ok(Self(url))
    }

    /// The whole URL, for the library that connects with it and for nobody else.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.0.scheme(), self.0.host_str().unwrap_or_default())?;
        if let Some(port) = self.0.port() {
            write!(f, ":{port}")?;
        }
        f.write_str(self.0.path())
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretUrl({self})")
    }
}

/// The address of Redis, in one of the forms that the queue reads. User, password and options are never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl {
    text: String,
    shown: String,
}

impl RedisUrl {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        Ok(Self { text: text.to_owned(), shown: crate::redis::check_url(text)? })
    }

    /// The whole URL, for the queue that connects with it and for nobody else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisUrl({self})")
    }
}

/// Where the runs live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// A server, for a fleet.
    Postgres(SecretUrl),
    /// One file, for one process at a time.
    Sqlite(PathBuf),
}

impl DatabaseUrl {
    /// Reads `postgres://…` or `sqlite:PATH`.
    ///
    /// # Errors
    /// What to write instead; it never quotes the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.is_empty() {
                Err("names no file; write sqlite:PATH".to_owned())
            } else {
                Ok(Self::Sqlite(path.into()))
            };
        }
        SecretUrl::parse(text, &["postgres", "postgresql"])
            .map(Self::Postgres)
            .map_err(|problem| format!("{problem}, or sqlite:PATH"))
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postgres(url) => url.fmt(f),
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
        }
    }
}
