//! Answers to the API's questions.

use serde_json::{Value, json};

use super::signal::read_entries;
use crate::daemon::shared::{EventQuery, Query};
use crate::market::{BarIndex, Ts};
use crate::store::{Store, StoreError, StoredEvent};

/// Rows read at once while looking back for the newest events.
const LOOK_BACK_BARS: i64 = 2016;

/// Answers; a reader that has gone away does not matter.
pub(super) fn answer(store: &Store, query: Query) {
    match query {
        Query::Events(wanted, reply) => {
            let _ = reply.send(events(store, &wanted).map_err(|e| e.to_string()));
        }
        Query::Stream { from, limit, reply } => {
            let _ = reply.send(read_entries(store, from, limit).map_err(|e| e.to_string()));
        }
        Query::Runs { limit, reply } => {
            let _ = reply.send(runs(store, limit).map_err(|e| e.to_string()));
        }
    }
}

fn matches(wanted: &EventQuery, stored: &StoredEvent) -> bool {
    wanted.symbol.as_ref().is_none_or(|s| *s == stored.event.symbol)
        && wanted.event_type.as_deref().is_none_or(|t| *t == *stored.event.event_type)
}

fn events(store: &Store, wanted: &EventQuery) -> Result<Vec<Value>, StoreError> {
    let Some(committed) = store.committed()? else { return Ok(Vec::new()) };
    let end = committed.next();
    let mut found: Vec<StoredEvent> = Vec::new();
    if let Some(since) = wanted.since {
        // Detected after `since`: the close of the bar lies after it.
        let from = since.bar();
        for stored in store.events(from, end)? {
            if matches(wanted, &stored) && stored.event.detected() > since {
                found.push(stored);
                if found.len() == wanted.limit {
                    break;
                }
            }
        }
        return Ok(found.iter().map(row).collect());
    }
    let mut to = end;
    let first = store.first_event()?.unwrap_or(end);
    while to > first && found.len() < wanted.limit {
        let from = first.max(to - LOOK_BACK_BARS);
        let mut older: Vec<StoredEvent> =
            store.events(from, to)?.into_iter().filter(|e| matches(wanted, e)).collect();
        older.append(&mut found);
        found = older;
        to = from;
    }
    let skip = found.len().saturating_sub(wanted.limit);
    Ok(found[skip..].iter().map(row).collect())
}

fn row(stored: &StoredEvent) -> Value {
    let event = &stored.event;
    let text = |ts: Ts| ts.to_string();
    let features: serde_json::Map<String, Value> =
        event.features.iter().map(|(name, value)| (name.to_string(), json!(value))).collect();
    json!({
        "event_id": event.id(),
        "event_type": &*event.event_type,
        "canonical_family": &*event.family,
        "symbol": event.symbol,
        "timestamp": text(event.bar.open()),
        "timestamp_ns": event.bar.open().nanos(),
        "enter_ts": text(event.bar.open()),
        "detected_ts": text(event.detected()),
        "signal_ts": text(event.detected()),
        "exit_ts": stored.exit.map(|bar: BarIndex| text(bar.open())),
        "direction": event.direction,
        "severity": event.severity,
        "arrival_ts": stored.arrival.map(text),
        "revision": stored.revision,
        "features_at_event": features,
    })
}

fn runs(store: &Store, limit: usize) -> Result<Vec<Value>, StoreError> {
    let all = store.runs()?;
    let mut records: Vec<Value> =
        all.into_iter().filter_map(|(_, bytes)| serde_json::from_slice(&bytes).ok()).collect();
    records.sort_by(|a, b| b["finished_at"].as_str().cmp(&a["finished_at"].as_str()));
    records.truncate(limit);
    Ok(records)
}
