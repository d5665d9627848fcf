//! What Postgres's errors mean for a caller of the store.

use hermes_core::ports::store::StoreError;
use sqlx::error::DatabaseError;

/// "Cached plan must not change result type": the statement works again on a new connection.
const CHANGED_PLAN: &str = "0A000";

/// The server has become a replica: another one, at the same address, may take writes.
const READ_ONLY: &str = "25006";

/// Why the connections are of no use any more, if so: because of what they have prepared, or of where they lead.
pub(super) fn why_replace(error: &StoreError) -> Option<&'static str> {
    let StoreError::Unavailable(text) = error else { return None };
    let is = |code| text.ends_with(&with_code("", code));
    if is(CHANGED_PLAN) {
        return Some("the schema was migrated");
    }
    is(READ_ONLY).then_some("Postgres does not take writes any more")
}

/// Sorts an error by what the caller can do.
pub(super) fn of(error: sqlx::Error) -> StoreError {
    match &error {
        sqlx::Error::Database(inner) => of_database(inner.as_ref()),
        sqlx::Error::ColumnDecode { index, source } => {
            StoreError::Corrupt { table: "?", column: "?", detail: format!("column {index} of the result: {source}") }
        }
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => StoreError::Unavailable(words(&error)),
        // sqlx's enum is open: whatever else it brings is no state of the world that passes
        _ => StoreError::Defect(words(&error)),
    }
}

fn of_database(error: &dyn DatabaseError) -> StoreError {
    let code = error.code().unwrap_or_default();
    let text = with_code(error.message(), &code);
    match sort(&code) {
        Sort::Unavailable => StoreError::Unavailable(text),
        Sort::Full => StoreError::Full(text),
        Sort::Corrupt => StoreError::Corrupt { table: "?", column: "?", detail: text },
        Sort::Defect => StoreError::Defect(text),
    }
}

fn with_code(message: &str, code: &str) -> String {
    format!("{message} ({code})")
}

#[derive(Debug, PartialEq, Eq)]
enum Sort {
    Unavailable,
    Full,
    Corrupt,
    Defect,
}

/// By SQLSTATE.
fn sort(code: &str) -> Sort {
    match code {
        // disk full
        "53100" => Sort::Full,
        // data corrupted, index corrupted
        "XX001" | "XX002" => Sort::Corrupt,
        // a read-only transaction: the server has become a replica; a lock time-out; a database that is being dropped
        READ_ONLY | "55P03" | "3D000" => Sort::Unavailable,
        // the transaction stood idle for too long, and whatever came on the connection after that
        "25P03" | "25P02" => Sort::Unavailable,
        // a migration changed what a prepared statement gives
        CHANGED_PLAN => Sort::Unavailable,
        _ => match code.get(..2) {
            // connection, login, rollback (deadlock, serialisation), out of memory or connections, operator
            // intervention (shutdown, statement time-out), system error
            Some("08" | "28" | "40" | "53" | "57" | "58") => Sort::Unavailable,
            Some(_) | None => Sort::Defect,
        },
    }
}

/// The error in words, without the values of a statement and without the address with its password.
pub(super) fn words(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(inner) => inner.message().to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_told_from_what_does_not() {
        for code in ["08006", "40001", "40P01", "53300", "55P03", "57014", "57P01", "57P03", "25P03", "25006", "28P01"]
        {
            assert_eq!(sort(code), Sort::Unavailable, "{code}");
        }
        assert_eq!(sort("53100"), Sort::Full);
        assert_eq!(sort("XX001"), Sort::Corrupt);
        for code in ["23514", "42P01", "22021", ""] {
            assert_eq!(sort(code), Sort::Defect, "{code}");
        }
    }

    #[test]
    fn connections_are_replaced_after_a_migration_and_after_a_failover_only() {
        let why = |code| why_replace(&StoreError::Unavailable(with_code("what it says", code)));
        assert!(why(CHANGED_PLAN).is_some() && why(READ_ONLY).is_some());
        assert_eq!(why("55P03"), None);
        assert_eq!(why_replace(&StoreError::Defect(with_code("what it says", READ_ONLY))), None);
    }
}
