//! What SQLite's errors mean for a caller of the store.

use hermes_core::ports::store::StoreError;
use sqlx::error::DatabaseError;

/// Primary result codes of SQLite that mean something to a caller.
mod code {
    pub(super) const BUSY: u32 = 5;
    pub(super) const LOCKED: u32 = 6;
    pub(super) const NOMEM: u32 = 7;
    pub(super) const READONLY: u32 = 8;
    pub(super) const IOERR: u32 = 10;
    pub(super) const CORRUPT: u32 = 11;
    pub(super) const FULL: u32 = 13;
    pub(super) const CANTOPEN: u32 = 14;
    pub(super) const PROTOCOL: u32 = 15;
    pub(super) const NOTADB: u32 = 26;
}

/// Sorts an error by what the caller can do.
pub(super) fn of(error: sqlx::Error) -> StoreError {
    match &error {
        sqlx::Error::Database(inner) => of_database(inner.as_ref()),
        sqlx::Error::ColumnDecode { index, source } => {
            StoreError::Corrupt { table: "?", column: "?", detail: format!("column {index} of the result: {source}") }
        }
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => StoreError::Unavailable(words(&error)),
        // sqlx's enum is open: whatever else it brings is no state of the world that passes
        _ => StoreError::Defect(words(&error)),
    }
}

/// The same for the connection that writes.
pub(super) fn of_writing(error: rusqlite::Error) -> StoreError {
    match error {
        rusqlite::Error::SqliteFailure(error, text) => {
            let text = text.unwrap_or_else(|| error.to_string());
            of_code(u32::try_from(error.extended_code).ok(), text)
        }
        error @ (rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::Utf8Error(..)) => StoreError::Corrupt { table: "?", column: "?", detail: error.to_string() },
        // the rest is about statements and their parameters
        other => StoreError::Defect(other.to_string()),
    }
}

fn of_database(error: &dyn DatabaseError) -> StoreError {
    of_code(error.code().and_then(|code| code.parse().ok()), error.message().to_owned())
}

fn of_code(code: Option<u32>, text: String) -> StoreError {
    // extended codes carry the primary one in their low byte
    match code.map(|code| code & 0xff) {
        Some(
            code::BUSY | code::LOCKED | code::NOMEM | code::READONLY | code::IOERR | code::CANTOPEN | code::PROTOCOL,
        ) => StoreError::Unavailable(text),
        Some(code::FULL) => StoreError::Full(text),
        Some(code::CORRUPT | code::NOTADB) => StoreError::Corrupt { table: "?", column: "?", detail: text },
        Some(_) | None => StoreError::Defect(text),
    }
}

/// The error in words, without the values of a statement.
pub(super) fn words(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(inner) => inner.message().to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    #[test]
    fn a_value_that_cannot_be_read_is_damage_and_a_wrong_statement_a_defect() {
        let connection = Connection::open_in_memory().expect("memory");
        for sql in ["SELECT CAST(x'ff' AS TEXT)", "SELECT 1", "SELECT NULL"] {
            let error = connection.query_row(sql, (), |row| row.get::<_, String>(0)).expect_err("no text");
            assert!(matches!(of_writing(error), StoreError::Corrupt { .. }), "{sql}");
        }
        let error = connection.query_row("SELECT 5000000000", (), |row| row.get::<_, i32>(0)).expect_err("too large");
        assert!(matches!(of_writing(error), StoreError::Corrupt { .. }));
        let error = connection.execute_batch("SELECT nothing").expect_err("there is no such column");
        assert!(matches!(of_writing(error), StoreError::Defect(_)));
    }
}
