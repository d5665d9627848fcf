//! Which servers keep the promise that a committed run is not lost.

use crate::store::OpenError;

/// The first supported version, as `server_version_num` counts.
const VERSION_MIN: i32 = 150_000;

/// What a server says about itself.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(super) struct Server {
    pub(super) version_num: i32,
    pub(super) version: String,
    pub(super) fsync: String,
    pub(super) synchronous_commit: String,
    pub(super) encoding: String,
    pub(super) in_recovery: bool,
}

impl Server {
    /// Asks for the members, in their order.
    pub(super) const QUERY: &str = "SELECT current_setting('server_version_num')::int4 AS version_num,
        current_setting('server_version') AS version,
        current_setting('fsync') AS fsync,
        current_setting('synchronous_commit') AS synchronous_commit,
        current_setting('server_encoding') AS encoding,
        pg_is_in_recovery() AS in_recovery";

    /// Refuses a server that could not even be read from.
    pub(super) fn check_readable(&self) -> Result<(), OpenError> {
        if self.version_num < VERSION_MIN {
            return Err(OpenError::Refused(format!("Postgres {} is too old: use 15 or newer", self.version)));
        }
        if self.encoding != "UTF8" {
            return Err(OpenError::Refused(format!(
                "the database is encoded in {}: create one with ENCODING 'UTF8' TEMPLATE template0",
                self.encoding
            )));
        }
        Ok(())
    }

    /// Refuses a server under which an accepted run could be lost; the text says what to change.
    pub(super) fn check(&self) -> Result<(), OpenError> {
        let refuse = |text: String| Err(OpenError::Refused(text));
        self.check_readable()?;
        if self.fsync == "off" {
            return refuse(
                "Postgres runs with fsync=off, a crash of its machine would lose accepted runs: \
                 set fsync = on in postgresql.conf and restart it"
                    .to_owned(),
            );
        }
        if self.synchronous_commit == "off" {
            return refuse(
                "Postgres runs with synchronous_commit=off, a crash would lose accepted runs: \
                 set synchronous_commit = on for the server, the database and the role of hermes"
                    .to_owned(),
            );
        }
        if self.in_recovery {
            return refuse("the server is a read-only replica: give the address of the primary".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Server {
        Server {
            version_num: 150_018,
            version: "15.18".to_owned(),
            fsync: "on".to_owned(),
            synchronous_commit: "on".to_owned(),
            encoding: "UTF8".to_owned(),
            in_recovery: false,
        }
    }

    #[test]
    fn a_server_that_keeps_what_it_commits_is_accepted() {
        assert!(good().check().is_ok());
        for level in ["local", "remote_write", "remote_apply"] {
            assert!(Server { synchronous_commit: level.to_owned(), ..good() }.check().is_ok(), "{level}");
        }
    }

    #[test]
    fn a_server_that_may_lose_commits_is_refused_with_what_to_change() {
        let cases = [
            (Server { version_num: 140_011, version: "14.11".to_owned(), ..good() }, "use 15 or newer"),
            (Server { fsync: "off".to_owned(), ..good() }, "set fsync = on"),
            (Server { synchronous_commit: "off".to_owned(), ..good() }, "set synchronous_commit = on"),
            (Server { encoding: "LATIN1".to_owned(), ..good() }, "ENCODING 'UTF8'"),
            (Server { in_recovery: true, ..good() }, "the address of the primary"),
        ];
        for (server, remedy) in cases {
            let error = server.check().expect_err(remedy).to_string();
            assert!(error.contains(remedy), "{error}");
        }
    }

    #[test]
    fn for_reading_a_replica_or_a_copy_without_fsync_will_do() {
        assert!(Server { in_recovery: true, fsync: "off".to_owned(), ..good() }.check_readable().is_ok());
        assert!(Server { version_num: 140_011, ..good() }.check_readable().is_err());
        assert!(Server { encoding: "LATIN1".to_owned(), ..good() }.check_readable().is_err());
    }
}
