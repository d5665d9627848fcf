//! Points in time as columns.

use hermes_core::Timestamp;
use rusqlite::types::{FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo, PgValueFormat, PgValueRef};
use sqlx::sqlite::{SqliteArgumentsBuffer, SqliteTypeInfo, SqliteValueRef};
use sqlx::{Decode, Encode, Postgres, Sqlite, Type};

/// Milliseconds between the Unix epoch and the one of Postgres, 2000-01-01T00:00:00Z.
const POSTGRES_EPOCH_MS: i64 = 946_684_800_000;
/// The type `timestamptz` in the catalogue of every Postgres: named by number, it needs no lookup.
const TIMESTAMPTZ: Oid = Oid(1184);
/// The type `timestamptz[]`.
const TIMESTAMPTZ_ARRAY: Oid = Oid(1185);
/// The last microsecond of a millisecond: events with a higher number share it.
const LAST_MICROSECOND: u64 = 999;
/// The last nanosecond of a millisecond.
const LAST_NANOSECOND: u64 = 999_999;

/// A point in time with an ordinal below the millisecond.
///
/// The ordinal is the number of an event in its run. It makes `ORDER BY created_at` the order of the log: as
/// microseconds in Postgres (from 999 on events of one millisecond tie), as nanoseconds in SQLite. It is dropped when
/// the column is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct StoredTime {
    at: Timestamp,
    ordinal: u64,
}

impl StoredTime {
    /// A time without an ordinal.
    pub(crate) const fn exact(at: Timestamp) -> Self {
        Self { at, ordinal: 0 }
    }

    /// The time of the event with number `seq`.
    pub(crate) const fn of_event(at: Timestamp, seq: u64) -> Self {
        Self { at, ordinal: seq }
    }

    /// The time, in milliseconds.
    pub(crate) const fn timestamp(self) -> Timestamp {
        self.at
    }

    fn to_text(self) -> String {
        let text = self.at.to_string();
        match text.strip_suffix('Z') {
            Some(seconds) if self.ordinal > 0 => format!("{seconds}{:06}Z", self.ordinal.min(LAST_NANOSECOND)),
            Some(_) | None => text,
        }
    }

    fn to_postgres(self) -> i64 {
        let micros = self.at.as_millis().saturating_sub(POSTGRES_EPOCH_MS).saturating_mul(1_000);
        micros.saturating_add_unsigned(self.ordinal.min(LAST_MICROSECOND))
    }

    fn from_postgres(micros: i64) -> Self {
        Self::exact(Timestamp::from_millis(micros.div_euclid(1_000).saturating_add(POSTGRES_EPOCH_MS)))
    }
}

impl Type<Postgres> for StoredTime {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(TIMESTAMPTZ)
    }
}

impl PgHasArrayType for StoredTime {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(TIMESTAMPTZ_ARRAY)
    }
}

impl Encode<'_, Postgres> for StoredTime {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        Encode::<Postgres>::encode(self.to_postgres(), buffer)
    }
}

impl<'r> Decode<'r, Postgres> for StoredTime {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        match value.format() {
            PgValueFormat::Binary => Ok(Self::from_postgres(Decode::<Postgres>::decode(value)?)),
            PgValueFormat::Text => Err("a time came as text; only prepared statements read times".into()),
        }
    }
}

impl Type<Sqlite> for StoredTime {
    fn type_info() -> SqliteTypeInfo {
        <String as Type<Sqlite>>::type_info()
    }
}

impl rusqlite::ToSql for StoredTime {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.to_text().into())
    }
}

impl rusqlite::types::FromSql for StoredTime {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let at = value.as_str()?.parse().map_err(FromSqlError::other)?;
        Ok(Self::exact(at))
    }
}

impl Encode<'_, Sqlite> for StoredTime {
    fn encode_by_ref(&self, buffer: &mut SqliteArgumentsBuffer) -> Result<IsNull, BoxDynError> {
        Encode::<Sqlite>::encode(self.to_text(), buffer)
    }
}

impl<'r> Decode<'r, Sqlite> for StoredTime {
    fn decode(value: SqliteValueRef<'r>) -> Result<Self, BoxDynError> {
        let text = <&str as Decode<'r, Sqlite>>::decode(value)?;
        Ok(Self::exact(text.parse()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("valid")
    }

    #[test]
    fn the_number_of_an_event_stands_below_the_millisecond() {
        let now = at("2025-01-27T10:00:00.123Z");
        assert_eq!(StoredTime::exact(now).to_text(), "2025-01-27T10:00:00.123Z");
        assert_eq!(StoredTime::of_event(now, 7).to_text(), "2025-01-27T10:00:00.123000007Z");
        assert_eq!(StoredTime::of_event(now, 7).to_postgres() % 1_000_000, 123_007);
        assert_eq!(StoredTime::of_event(now, 5_000).to_postgres() % 1_000_000, 123_999);
    }

    #[test]
    fn reading_drops_the_number_again() {
        for text in ["1970-01-01T00:00:00.001Z", "1999-12-31T23:59:59.001Z", "2025-01-27T10:00:00.123Z"] {
            let stored = StoredTime::of_event(at(text), 999);
            assert_eq!(StoredTime::from_postgres(stored.to_postgres()).timestamp(), at(text));
            assert_eq!(stored.to_text().parse(), Ok(at(text)));
        }
    }
}
