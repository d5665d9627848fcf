//! The log as it is stored: the events of one transition in one row. Readers get events.

use hermes_core::kbase::{DIAGNOSIS, HERMES, KbaseEvent};
use hermes_core::ports::store::StoreError;
use hermes_core::{EventId, Json, RunId, Timestamp, WebsiteId};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::store::{StoredTime, number};

/// The columns of [`LogRow`], as it is read.
pub(super) const COLUMNS: &str =
    "run_id, first_seq, last_seq, website_id, created_at, diagnosed, heads::text AS heads, payloads::text AS payloads";

/// A row of `kbase_log`.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct LogRow {
    pub(super) run_id: String,
    pub(super) first_seq: i64,
    pub(super) last_seq: i64,
    pub(super) website_id: String,
    pub(super) created_at: StoredTime,
    pub(super) diagnosed: bool,
    pub(super) heads: String,
    pub(super) payloads: String,
}

impl LogRow {
    /// The rows for events that are to be appended: one for those of one run at one time.
    pub(super) fn of(events: &[KbaseEvent]) -> impl Iterator<Item = Self> {
        let together = |a: &KbaseEvent, b: &KbaseEvent| {
            a.run_id == b.run_id && a.seq + 1 == b.seq && a.created_at == b.created_at && a.website_id == b.website_id
        };
        events.chunk_by(together).map(Self::of_batch)
    }

    fn of_batch(events: &[KbaseEvent]) -> Self {
        let (first, last) = (&events[0], &events[events.len() - 1]);
        let heads: Vec<[&str; 2]> = events.iter().map(|event| [event.service.as_str(), event.kind.as_str()]).collect();
        let payloads: Vec<&str> = events.iter().map(|event| event.payload.get()).collect();
        Self {
            run_id: first.run_id.to_string(),
            first_seq: number(first.seq),
            last_seq: number(last.seq),
            website_id: first.website_id.as_str().to_owned(),
            created_at: StoredTime::exact(first.created_at),
            diagnosed: events.iter().any(is_diagnosis),
            heads: Json::of(&heads).get().to_owned(),
            // not through a serialiser: the texts stay as they came
            payloads: format!("[{}]", payloads.join(",")),
        }
    }

    /// The events of the row, in order.
    pub(super) fn into_events(self) -> Result<Vec<KbaseEvent>, StoreError> {
        let run_id: RunId = self.run_id.parse().map_err(|error| self.corrupt("run_id", error))?;
        let website_id: WebsiteId = self.website_id.parse().map_err(|error| self.corrupt("website_id", error))?;
        let first_seq = u64::try_from(self.first_seq).map_err(|error| self.corrupt("first_seq", error))?;
        let heads: Vec<(String, String)> = self.list("heads", &self.heads)?;
        let payloads: Vec<&RawValue> = self.borrowed("payloads", &self.payloads)?;
        if heads.len() != payloads.len() || number(first_seq + heads.len() as u64) != self.last_seq + 1 {
            return Err(self.corrupt("last_seq", "it does not fit the number of events"));
        }
        let created_at: Timestamp = self.created_at.timestamp();
        let event = |((seq, (service, kind)), payload): ((u64, (String, String)), &RawValue)| {
            let payload = Json::stored(payload.get()).map_err(|error| self.corrupt("payloads", error))?;
            let event_id = EventId { run_id, seq };
            Ok(KbaseEvent {
                event_id,
                website_id: WebsiteId::clone(&website_id),
                run_id,
                seq,
                service,
                kind,
                payload,
                created_at,
            })
        };
        (first_seq..).zip(heads).zip(payloads).map(event).collect()
    }

    fn list<T: DeserializeOwned>(&self, column: &'static str, text: &str) -> Result<Vec<T>, StoreError> {
        serde_json::from_str(text).map_err(|error| self.corrupt(column, error))
    }

    fn borrowed<'a, T: Deserialize<'a>>(&self, column: &'static str, text: &'a str) -> Result<Vec<T>, StoreError> {
        serde_json::from_str(text).map_err(|error| self.corrupt(column, error))
    }

    fn corrupt(&self, column: &'static str, why: impl std::fmt::Display) -> StoreError {
        let detail = format!("{why}, in row {}/{}", self.run_id, self.first_seq);
        StoreError::Corrupt { table: "kbase_log", column, detail }
    }
}

/// The events of rows, in their order.
pub(super) fn events_of(rows: Vec<LogRow>) -> Result<Vec<KbaseEvent>, StoreError> {
    let events: Result<Vec<Vec<KbaseEvent>>, StoreError> = rows.into_iter().map(LogRow::into_events).collect();
    Ok(events?.into_iter().flatten().collect())
}

/// Whether this is a run's diagnosis.
pub(super) fn is_diagnosis(event: &KbaseEvent) -> bool {
    event.service == HERMES && event.kind == DIAGNOSIS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(seq: u64, at: i64, payload: &str) -> KbaseEvent {
        let run_id: RunId = "00000000000000000000000000000001".parse().expect("valid");
        KbaseEvent {
            event_id: EventId { run_id, seq },
            website_id: "site".parse().expect("valid"),
            run_id,
            seq,
            service: "a \"quoted\" one".to_owned(),
            kind: "note".to_owned(),
            payload: Json::parse(payload).expect("valid"),
            created_at: Timestamp::from_millis(at),
        }
    }

    #[test]
    fn events_of_one_time_share_a_row_and_come_back_as_they_were() {
        let payloads = [r#"{"a": "\u0000", "n":1e400}"#, "[ ]", "null", r#""\ud800""#];
        let mut events: Vec<KbaseEvent> = (3..).zip(payloads).map(|(seq, payload)| event(seq, 7, payload)).collect();
        events.push(event(7, 8, "1"));
        events.push(event(9, 8, "2"));
        let rows: Vec<LogRow> = LogRow::of(&events).collect();
        let spans: Vec<(i64, i64)> = rows.iter().map(|row| (row.first_seq, row.last_seq)).collect();
        assert_eq!(spans, [(3, 6), (7, 7), (9, 9)]);
        assert_eq!(events_of(rows).expect("readable"), events);
    }

    #[test]
    fn a_row_that_does_not_fit_is_told_as_corrupt() {
        let damages: [fn(&mut LogRow); 5] = [
            |row| row.last_seq += 1,
            |row| row.heads = "[]".to_owned(),
            |row| row.payloads = "[1".to_owned(),
            |row| row.run_id = "x".to_owned(),
            |row| row.first_seq = -1,
        ];
        for damage in damages {
            let mut row = LogRow::of(&[event(1, 1, "1")]).next().expect("one");
            damage(&mut row);
            let error = row.into_events().expect_err("corrupt");
            assert!(matches!(error, StoreError::Corrupt { table: "kbase_log", .. }), "{error}");
        }
    }
}
