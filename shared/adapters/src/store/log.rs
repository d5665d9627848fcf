//! The log as SQL stores keep it: the events of one transition in one row. Readers get events.

use hermes_core::kbase::{DIAGNOSIS, HERMES, KbaseEvent};
use hermes_core::ports::store::{EventFilter, StoreError};
use hermes_core::{EventId, Json, RunId, Timestamp, WebsiteId};
use serde::de::{DeserializeOwned, Error, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::{StoredTime, number};

/// Rows of the log that are read at a time at most.
const PAGE_ROWS_MAX: usize = 4_096;

/// A row of `kbase_log`.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct LogRow {
    pub(crate) run_id: String,
    pub(crate) first_seq: i64,
    pub(crate) last_seq: i64,
    pub(crate) website_id: String,
    pub(crate) created_at: StoredTime,
    pub(crate) diagnosed: bool,
    pub(crate) heads: String,
    pub(crate) payloads: String,
}

/// What the column `heads` has of each event.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Heads {
    /// Its service and its type.
    Named,
    /// Behind them, which bytes of the column `payloads` are its payload: the first one, counted from 1, and how many.
    Placed,
}

/// A head as it is read. What stands behind the names is for a view.
struct Head {
    service: String,
    kind: String,
}

impl LogRow {
    /// The rows for events that are to be appended: one for those of one run at one time.
    pub(crate) fn of(events: &[KbaseEvent], heads: Heads) -> impl Iterator<Item = Self> {
        let together = |a: &KbaseEvent, b: &KbaseEvent| {
            a.run_id == b.run_id && a.seq + 1 == b.seq && a.created_at == b.created_at && a.website_id == b.website_id
        };
        events.chunk_by(together).map(move |batch| Self::of_batch(batch, heads))
    }

    fn of_batch(events: &[KbaseEvent], heads: Heads) -> Self {
        let (first, last) = (&events[0], &events[events.len() - 1]);
        let payloads: Vec<&str> = events.iter().map(|event| event.payload.get()).collect();
        Self {
            run_id: first.run_id.to_string(),
            first_seq: number(first.seq),
            last_seq: number(last.seq),
            website_id: first.website_id.as_str().to_owned(),
            created_at: StoredTime::exact(first.created_at),
            diagnosed: events.iter().any(is_diagnosis),
            heads: match heads {
                Heads::Named => named(events),
                Heads::Placed => placed(events),
            },
            // not through a serialiser: the texts stay as they came
            payloads: format!("[{}]", payloads.join(",")),
        }
    }

    /// The events of the row, in order.
    pub(crate) fn into_events(self) -> Result<Vec<KbaseEvent>, StoreError> {
        let run_id: RunId = self.run_id.parse().map_err(|error| self.corrupt("run_id", error))?;
        let website_id: WebsiteId = self.website_id.parse().map_err(|error| self.corrupt("website_id", error))?;
        let first_seq = u64::try_from(self.first_seq).map_err(|error| self.corrupt("first_seq", error))?;
        let heads: Vec<Head> = self.list("heads", &self.heads)?;
        let payloads: Vec<&RawValue> = self.borrowed("payloads", &self.payloads)?;
        if heads.len() != payloads.len() || number(first_seq + heads.len() as u64) != self.last_seq + 1 {
            return Err(self.corrupt("last_seq", "it does not fit the number of events"));
        }
        let created_at: Timestamp = self.created_at.timestamp();
        let event = |((seq, head), payload): ((u64, Head), &RawValue)| {
            let payload = Json::stored(payload.get()).map_err(|error| self.corrupt("payloads", error))?;
            let event_id = EventId { run_id, seq };
            Ok(KbaseEvent {
                event_id,
                website_id: WebsiteId::clone(&website_id),
                run_id,
                seq,
                service: head.service,
                kind: head.kind,
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
pub(crate) fn events_of(rows: Vec<LogRow>) -> Result<Vec<KbaseEvent>, StoreError> {
    let events: Result<Vec<Vec<KbaseEvent>>, StoreError> = rows.into_iter().map(LogRow::into_events).collect();
    Ok(events?.into_iter().flatten().collect())
}

/// Whether this is a run's diagnosis.
pub(crate) fn is_diagnosis(event: &KbaseEvent) -> bool {
    event.service == HERMES && event.kind == DIAGNOSIS
}

fn named(events: &[KbaseEvent]) -> String {
    let heads: Vec<[&str; 2]> = events.iter().map(|event| [event.service.as_str(), event.kind.as_str()]).collect();
    text(&heads)
}

fn placed(events: &[KbaseEvent]) -> String {
    // behind the bracket
    let mut start = 2;
    let place = |event: &'_ KbaseEvent| {
        let length = event.payload.get().len();
        let place = (start, length);
        start += length + 1;
        place
    };
    let places: Vec<(usize, usize)> = events.iter().map(place).collect();
    let heads: Vec<(&str, &str, usize, usize)> = events
        .iter()
        .zip(places)
        .map(|(event, (start, length))| (event.service.as_str(), event.kind.as_str(), start, length))
        .collect();
    text(&heads)
}

impl<'de> Deserialize<'de> for Head {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;

        impl<'de> Visitor<'de> for Names {
            type Value = Head;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a list that begins with a service and a type")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Head, A::Error> {
                let service = list.next_element()?.ok_or_else(|| A::Error::invalid_length(0, &self))?;
                let kind = list.next_element()?.ok_or_else(|| A::Error::invalid_length(1, &self))?;
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Head { service, kind })
            }
        }

        deserializer.deserialize_seq(Names)
    }
}

/// A value of ours as JSON.
pub(crate) fn text<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).expect("own wire types serialise")
}

/// The newest events that a filter lets through, gathered from pages of rows, newest first.
pub(crate) struct Newest<'a> {
    filter: &'a EventFilter,
    before: Option<(StoredTime, u64, RunId)>,
    limit: usize,
    found: Vec<KbaseEvent>,
    next: Option<NewestRows>,
}

/// The page of rows to read: newest first, whole milliseconds, those of the filter's website and run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewestRows {
    /// Rows that are not newer than this.
    pub(crate) up_to: Option<Timestamp>,
    /// This many, if there are, and those that have the time of the last one.
    pub(crate) least: usize,
}

impl<'a> Newest<'a> {
    /// At most `limit` events before the event `before`.
    pub(crate) fn of(filter: &'a EventFilter, before: Option<(Timestamp, EventId)>, limit: usize) -> Self {
        let next = NewestRows { up_to: before.map(|(at, _)| at), least: limit.min(PAGE_ROWS_MAX) };
        Self {
            filter,
            before: before.map(|(at, id)| place(at, id)),
            limit,
            found: Vec::new(),
            next: (limit > 0).then_some(next),
        }
    }

    /// The page to read next; `None` if that is all.
    pub(crate) fn next(&self) -> Option<NewestRows> {
        self.next
    }

    /// Takes the rows of a page.
    pub(crate) fn add(&mut self, rows: Vec<LogRow>) -> Result<(), StoreError> {
        let oldest = rows.last().map(|row| row.created_at.timestamp());
        let mut events = events_of(rows)?;
        events.retain(|event| self.is_wanted(event));
        events.sort_by_key(|event| std::cmp::Reverse(place(event.created_at, event.event_id)));
        self.found.extend(events);
        self.next = match (self.next, oldest) {
            // Whatever happened in one millisecond was read together. What is rare is looked for in larger pages.
            (Some(page), Some(oldest)) if self.found.len() < self.limit => {
                let least = (page.least * 2).min(PAGE_ROWS_MAX);
                Some(NewestRows { up_to: Some(oldest.minus_ms(1)), least })
            }
            (Some(_) | None, Some(_) | None) => None,
        };
        Ok(())
    }

    fn is_wanted(&self, event: &KbaseEvent) -> bool {
        self.filter.service.as_ref().is_none_or(|service| event.service == *service)
            && self.filter.kind.as_ref().is_none_or(|kind| event.kind == *kind)
            && self.before.is_none_or(|before| place(event.created_at, event.event_id) < before)
    }

    /// The events.
    pub(crate) fn into_events(mut self) -> Vec<KbaseEvent> {
        self.found.truncate(self.limit);
        self.found
    }
}

/// Where an event stands among all.
fn place(at: Timestamp, id: EventId) -> (StoredTime, u64, RunId) {
    (StoredTime::of_event(at, id.seq), id.seq, id.run_id)
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
        let rows: Vec<LogRow> = LogRow::of(&events, Heads::Named).collect();
        let spans: Vec<(i64, i64)> = rows.iter().map(|row| (row.first_seq, row.last_seq)).collect();
        assert_eq!(spans, [(3, 6), (7, 7), (9, 9)]);
        assert_eq!(events_of(rows).expect("readable"), events);
    }

    #[test]
    fn places_name_the_bytes_of_each_payload() {
        let payloads = [r#"{"a": "ünï🦀"}"#, "[ ]", "7"];
        let events: Vec<KbaseEvent> = (1..).zip(payloads).map(|(seq, payload)| event(seq, 7, payload)).collect();
        let rows: Vec<LogRow> = LogRow::of(&events, Heads::Placed).collect();
        let heads: Vec<(String, String, usize, usize)> = serde_json::from_str(&rows[0].heads).expect("a list");
        let named = heads.iter().map(|(.., start, length)| &rows[0].payloads[start - 1..start - 1 + length]);
        assert_eq!(named.collect::<Vec<_>>(), payloads);
        assert_eq!(events_of(rows).expect("readable"), events);
    }

    #[test]
    fn a_row_that_does_not_fit_is_told_as_corrupt() {
        let damages: [fn(&mut LogRow); 6] = [
            |row| row.last_seq += 1,
            |row| row.heads = "[]".to_owned(),
            |row| row.heads = r#"[["hermes"]]"#.to_owned(),
            |row| row.payloads = "[1".to_owned(),
            |row| row.run_id = "x".to_owned(),
            |row| row.first_seq = -1,
        ];
        for damage in damages {
            let mut row = LogRow::of(&[event(1, 1, "1")], Heads::Named).next().expect("one");
            damage(&mut row);
            let error = row.into_events().expect_err("corrupt");
            assert!(matches!(error, StoreError::Corrupt { table: "kbase_log", .. }), "{error}");
        }
    }
}
