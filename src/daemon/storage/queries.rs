//! Answers to the API's questions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use super::StorageError;
use super::facts::Facts;
use super::signal::read_entries;
use crate::daemon::feed::{Follow, GapSpan, SeriesGaps, ledger};
use crate::daemon::shared::{EventQuery, GapQuery, Query};
use crate::report::SymbolFacts;
use crate::research::opening;
use crate::verify::conflicts_json;
use backtestd_core::explain::History;
use backtestd_core::market::{BarIndex, Kind, Market, SeriesKey, Symbol, Ts};
use backtestd_core::outcomes::Event;
use backtestd_store::{Store, StoreError};

/// Bars read at once.
const CHUNK_BARS: i64 = 2016;

/// Answers; a reader that has gone away does not matter.
pub(super) fn answer(store: &Store, facts: &Facts, follow: &Follow, query: Query, now: Ts) {
    match query {
        Query::Events(wanted, reply) => {
            let _ = reply.send(events(store, &wanted).map_err(|e| e.to_string()));
        }
        Query::Stream { from, limit, reply } => {
            let _ = reply.send(read_entries(store, from, limit).map_err(|e| e.to_string()));
        }
        Query::Opening(spec, reply) => {
            let opening = opening(store, &spec, &follow.symbols);
            let _ = reply.send(opening.map_err(|e| e.to_string()));
        }
        Query::Runs { limit, reply } => {
            let _ = reply.send(runs(store, limit).map_err(|e| e.to_string()));
        }
        Query::Gaps(wanted, reply) => {
            let _ = reply.send(gaps(store, facts, follow, &wanted, now).map_err(|e| e.to_string()));
        }
        Query::History { reply } => {
            let history = History {
                spec: Arc::clone(&facts.spec),
                symbols: follow.symbols.clone(),
                collected: follow.collected.clone(),
                first: facts.first,
                end: facts.next(),
            };
            let _ = reply.send(Ok(history));
        }
        Query::Conflicts(wanted, reply) => {
            let _ = reply.send(conflicts_json(store, &wanted).map_err(|e| e.to_string()));
        }
        Query::Freeze(reply) => {
            let _ = reply.send(store.freeze().map_err(|e| e.to_string()));
        }
        Query::AddTrials(_, reply) => {
            let _ = reply.send(Err("the ledger is written by its owner only".to_owned()));
        }
        Query::Quarantine { reply } => {
            let _ = reply.send(store.quarantine().map_err(|e| e.to_string()));
        }
        // It changes something: the worker does it before it comes here.
        Query::Release { .. } => {}
        Query::Raw { stretch, reply } => {
            let raw = store.raw(&stretch.symbols, stretch.first, stretch.rows);
            let _ = reply.send(raw.map_err(|e| e.to_string()));
        }
    }
}

/// The ledgers of what is followed, and of every other series of the followed symbols.
fn gaps(
    store: &Store,
    facts: &Facts,
    follow: &Follow,
    wanted: &GapQuery,
    now: Ts,
) -> Result<Vec<SeriesGaps>, StoreError> {
    let stored = store.series()?.into_iter().map(|(series, _)| series);
    let all: BTreeSet<SeriesKey> = follow.history.iter().cloned().chain(stored).collect();
    let is_wanted = |series: &&SeriesKey| {
        follow.symbols.contains(&series.symbol)
            && wanted.symbol.as_ref().is_none_or(|symbol| *symbol == series.symbol)
            && wanted.kind.is_none_or(|kind| kind == series.kind)
    };
    let read = |series: &SeriesKey| {
        let span = GapSpan { first: follow.first_of(&series.symbol, facts.first), end: facts.next(), now };
        SeriesGaps::read(store, &ledger::load(store, series)?, series, span)
    };
    all.iter().filter(is_wanted).map(read).collect()
}

fn matches(wanted: &EventQuery, event: &Event) -> bool {
    wanted.symbol.as_ref().is_none_or(|s| *s == event.symbol)
        && wanted.event_type.as_deref().is_none_or(|t| *t == *event.event_type)
}

fn events(store: &Store, wanted: &EventQuery) -> Result<Vec<Value>, StoreError> {
    let Some(committed) = store.committed()? else { return Ok(Vec::new()) };
    let end = committed.next();
    let found = match wanted.since {
        Some(since) => after(store, wanted, since, end)?,
        None => newest(store, wanted, end)?,
    };
    let Some(first) = found.first().map(|e| e.bar) else { return Ok(Vec::new()) };
    let exits: BTreeMap<(Arc<str>, Symbol, BarIndex), BarIndex> = store
        .episode_ends(first, end)?
        .into_iter()
        .map(|e| ((e.event_type, e.symbol, e.onset), e.exit))
        .collect();
    let row_of = |event: &Event| {
        let key = (Arc::clone(&event.event_type), event.symbol.clone(), event.bar);
        let arrival = store.arrival(&event.id())?;
        Ok(row(event, exits.get(&key).copied(), arrival, store.revision_of(event)?))
    };
    found.iter().map(row_of).collect()
}

/// Detected after `since`: the close of the bar lies after it.
fn after(store: &Store, wanted: &EventQuery, since: Ts, end: BarIndex) -> Result<Vec<Event>, StoreError> {
    let mut found = Vec::new();
    let mut from = since.bar();
    while from < end && found.len() < wanted.limit {
        let to = end.min(from + CHUNK_BARS);
        let wants = |e: &Event| matches(wanted, e) && e.detected() > since;
        found.extend(store.events(from, to)?.into_iter().filter(wants));
        from = to;
    }
    found.truncate(wanted.limit);
    Ok(found)
}

/// The newest, oldest of them first.
fn newest(store: &Store, wanted: &EventQuery, end: BarIndex) -> Result<Vec<Event>, StoreError> {
    let mut oldest = end;
    for symbol in store.symbols(Market::Perp)? {
        if let Some((first, _)) = store.range(Market::Perp, &symbol)? {
            oldest = oldest.min(first);
        }
    }
    let mut found: Vec<Event> = Vec::new();
    let mut to = end;
    while to > oldest && found.len() < wanted.limit {
        let from = oldest.max(to - CHUNK_BARS);
        let mut older: Vec<Event> =
            store.events(from, to)?.into_iter().filter(|e| matches(wanted, e)).collect();
        older.append(&mut found);
        found = older;
        to = from;
    }
    let skip = found.len().saturating_sub(wanted.limit);
    Ok(found.split_off(skip))
}

fn row(event: &Event, exit: Option<BarIndex>, arrival: Option<Ts>, revision: u32) -> Value {
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
        "exit_ts": exit.map(|bar| text(bar.open())),
        "direction": event.direction,
        "severity": event.severity,
        "arrival_ts": arrival.map(text),
        "revision": revision,
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

/// Perp bars of a symbol in the whole store, and the slots between its first and last that have none.
pub(super) fn bars_of(store: &Store, symbol: &Symbol) -> Result<SymbolFacts, StorageError> {
    let key = SeriesKey { kind: Kind::Bars, market: Market::Perp, symbol: symbol.clone() };
    let records = store.summary(&key)?.map_or(0, |s| s.records);
    let held = store.quarantine()?.into_iter().filter(|q| q.released.is_none() && q.series.symbol == *symbol);
    let held: Vec<SeriesKey> = held.map(|q| q.series).collect();
    let bars = records - held.iter().filter(|series| **series == key).count() as u64;
    let slots =
        store.range(Market::Perp, symbol)?.map_or(0, |(first, last)| (last.next() - first).unsigned_abs());
    let gaps = slots.saturating_sub(bars);
    Ok(SymbolFacts { symbol: symbol.to_string(), bars, gaps, quarantined: held.len() as u64 })
}
