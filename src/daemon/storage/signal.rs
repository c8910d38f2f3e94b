//! Signals: which detections are announced, once each, and what an announcement says.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::StorageError;
use crate::daemon::Stage;
use crate::daemon::shared::Shared;
use crate::daemon::stream_log::{EntryKind, StreamEntry};
use crate::publish::{current_version, read_current, version_name};
use backtestd_core::blueprints::{Blueprint, SignalContext, signal_record};
use backtestd_core::market::{BarIndex, DAY_MS, Ts};
use backtestd_core::outcomes::Event;
use backtestd_store::Store;

/// The first bar whose events are announced.
const FROM: &str = "signals/from";
/// Entries read at once while looking for what was announced.
const PAGE: usize = 4096;

/// What is known about the stream of signals.
#[derive(Debug)]
pub(super) struct Signals {
    /// Next sequence number.
    next_seq: u64,
    /// Events before it are history, not signals. None: the store has never been live.
    from: Option<BarIndex>,
    /// Bars and ids of the events that were announced and are recent enough to be detected as news again: a
    /// replay must not announce them twice.
    announced: BTreeSet<(BarIndex, String)>,
    blueprints: Vec<Blueprint>,
    /// The version that they are the lines of.
    version: Option<String>,
    states: Vec<String>,
    retention_days: u32,
}

/// Why an announced event no longer stands.
const RETRACTED: &str =
    "bars that came or changed since, or another spec: the event is not detected any more";

impl Signals {
    /// Reads where the stream stands.
    pub(super) fn open(store: &Store, shared: &Shared, states: Vec<String>) -> Result<Self, StorageError> {
        let from = store.meta(FROM)?.and_then(|b| Some(i64::from_le_bytes(b.get(..8)?.try_into().ok()?)));
        let mut signals = Self {
            next_seq: 1,
            from: from.map(BarIndex),
            announced: BTreeSet::new(),
            blueprints: Vec::new(),
            version: None,
            states,
            retention_days: shared.config.retention.signals_days,
        };
        loop {
            let page = read_entries(store, signals.next_seq, PAGE)?;
            let Some(last) = page.last() else { break };
            signals.next_seq = last.seq + 1;
            page.iter().for_each(|entry| signals.remember(entry));
        }
        shared.stream.kept_from(store.first_signal()?.unwrap_or(1));
        shared.stream.resume_at(signals.next_seq - 1);
        signals.heed_published(shared);
        let last = signals.next_seq - 1;
        shared.update(|s| {
            s.last_signal_seq = last;
            s.live.live_from = from.map(|bar| BarIndex(bar).open());
        });
        Ok(signals)
    }

    /// Signals begin at `first` unless they began earlier.
    pub(super) fn begin(&mut self, store: &mut Store, first: BarIndex) -> Result<BarIndex, StorageError> {
        if let Some(from) = self.from {
            return Ok(from);
        }
        self.begin_anew(store, first)?;
        Ok(first)
    }

    /// Signals that would begin behind the present, by a clock that was ahead, begin now.
    pub(super) fn not_beyond(&mut self, store: &mut Store, now: BarIndex) -> Result<(), StorageError> {
        match self.from {
            Some(from) if from > now => self.begin_anew(store, now),
            _ => Ok(()),
        }
    }

    /// Under another spec, what it would have detected in the past is not news.
    pub(super) fn begin_anew(&mut self, store: &mut Store, first: BarIndex) -> Result<(), StorageError> {
        store.put_meta(FROM, &first.0.to_le_bytes())?;
        self.from = Some(first);
        Ok(())
    }

    /// Whether the store has ever been live.
    pub(super) const fn have_begun(&self) -> bool {
        self.from.is_some()
    }

    /// The states of another spec.
    pub(super) fn set_states(&mut self, states: Vec<String>) {
        self.states = states;
    }

    /// The blueprints to match against.
    pub(super) fn set_blueprints(
        &mut self,
        shared: &Shared,
        version: Option<String>,
        blueprints: Vec<Blueprint>,
    ) {
        use backtestd_core::blueprints::Status;
        let count = |status| blueprints.iter().filter(|b| b.status == status).count() as u64;
        let (active, watch) = (count(Status::Active), count(Status::Watch));
        let is_confirmed = |b: &&Blueprint| {
            b.status != Status::Retired && b.monitoring.as_ref().is_some_and(|m| m.confirmed_on.is_some())
        };
        let confirmed = blueprints.iter().filter(is_confirmed).count() as u64;
        shared.update(|s| {
            s.blueprints.active = active;
            s.blueprints.watch = watch;
            s.blueprints.live_confirmed = confirmed;
        });
        self.blueprints = blueprints;
        self.version = version;
    }

    /// Reads the version in force of the data root, where another process has published since: its lines are
    /// what signals name from now on.
    pub(super) fn heed_published(&mut self, shared: &Shared) {
        let dir = shared.config.data_root.join("blueprints");
        let in_force = match current_version(&dir) {
            Ok(number) => number.map(version_name),
            Err(error) => return tracing::error!(%error, "the version in force cannot be read"),
        };
        if in_force.is_none() || in_force == self.version {
            return;
        }
        match read_current(&dir) {
            Ok(Some(found)) => {
                let version = Some(found.manifest.version);
                tracing::info!(version, "a version in force that signals name from now on");
                shared.update(|s| s.blueprints.version.clone_from(&version));
                self.set_blueprints(shared, version, found.blueprints);
            }
            Ok(None) => {}
            Err(error) => tracing::error!(
                %error,
                "the published version cannot be read; signals name the blueprints of the one before"
            ),
        }
    }

    /// Entries for a stretch of rows and what was detected on them: retractions of what was announced on them
    /// and is no longer detected, then those events that are news. They count as announced once
    /// [`Signals::announced`] is told. `close` is the close of an event's bar.
    pub(super) fn entries(
        &self,
        (first, end): (BarIndex, BarIndex),
        events: &[Event],
        close: &dyn Fn(&Event) -> Option<f64>,
        now: Ts,
    ) -> Vec<StreamEntry> {
        let Some(from) = self.from else { return Vec::new() };
        let mut entries = self.retractions((first, end), events, now);
        let mut seq = self.next_seq + entries.len() as u64;
        let from = from.max(self.oldest_news(now));
        for event in events.iter().filter(|e| e.bar >= from) {
            if self.announced.contains(&(event.bar, event.id())) {
                continue;
            }
            entries.push(StreamEntry {
                seq,
                kind: EntryKind::Signal,
                data: Arc::new(self.describe(event, seq, close(event), now)),
            });
            seq += 1;
        }
        entries
    }

    /// Entries for what was announced on the bars of `[first, end)` and is not among `events`.
    pub(super) fn retractions(
        &self,
        (first, end): (BarIndex, BarIndex),
        events: &[Event],
        now: Ts,
    ) -> Vec<StreamEntry> {
        let announced = self.announced.range((first, String::new())..(end, String::new()));
        let mut announced = announced.peekable();
        if announced.peek().is_none() {
            return Vec::new();
        }
        let stand: BTreeSet<String> = events.iter().map(Event::id).collect();
        let gone = announced.filter(|(_, id)| !stand.contains(id));
        let entry = |(at, (bar, id)): (usize, &(BarIndex, String))| {
            let seq = self.next_seq + at as u64;
            let data = json!({
                "seq": seq, "event_id": id, "timestamp_ns": bar.open().nanos(), "arrival_ns": now.nanos(),
                "why": RETRACTED,
            });
            StreamEntry { seq, kind: EntryKind::Retraction, data: Arc::new(data) }
        };
        gone.enumerate().map(entry).collect()
    }

    /// Retracts, durably, what was announced since `first` and is not among the events that stand.
    pub(super) fn retract(
        &mut self,
        store: &mut Store,
        shared: &Shared,
        end: BarIndex,
        now: Ts,
    ) -> Result<(), StorageError> {
        let Some(first) = self.announced.first().map(|(bar, _)| *bar) else { return Ok(()) };
        let entries = self.retractions((first, end), &store.events(first, end)?, now);
        if !entries.is_empty() {
            store.append_signals(&entries.iter().map(encode).collect::<Vec<_>>())?;
            self.announced(shared, entries);
        }
        Ok(())
    }

    /// Takes a durable entry into what is remembered of the stream.
    fn remember(&mut self, entry: &StreamEntry) {
        let Some(event) = announcement(entry) else { return };
        match entry.kind {
            EntryKind::Retraction => self.announced.remove(&event),
            EntryKind::Signal | EntryKind::BlueprintVersion => self.announced.insert(event),
        };
    }

    /// These entries are durable: readers may have them.
    pub(super) fn announced(&mut self, shared: &Shared, entries: Vec<StreamEntry>) {
        let Some(last) = entries.last() else { return };
        let last = last.seq;
        self.next_seq = last + 1;
        let now = shared.clock.now();
        for entry in &entries {
            if let Some((bar, _)) = announcement(entry) {
                shared.metrics.stages.observe_ms(Stage::Signal, now.0 - bar.close().0);
            }
            self.remember(entry);
        }
        shared.stream.append(entries);
        shared.update(|s| s.last_signal_seq = last);
    }

    /// Events on bars before it are no news any more, so that what was announced of them need not be
    /// remembered.
    fn oldest_news(&self, now: Ts) -> BarIndex {
        Ts(now.0 - i64::from(self.retention_days) * DAY_MS).bar()
    }

    /// Forgets entries that were announced before the retention time, in the store and here. Their events lie
    /// before it too, and are not announced again.
    pub(super) fn prune(&mut self, store: &mut Store, shared: &Shared, now: Ts) -> Result<u64, StorageError> {
        let oldest = self.oldest_news(now);
        let mut next = store.first_signal()?.unwrap_or(1);
        let first_kept = 'kept: loop {
            let page = read_entries(store, next, PAGE)?;
            for entry in &page {
                // A version says when it was published, everything else when it arrived.
                let told = entry.data["arrival_ns"].as_i64().or(entry.data["published_at_ns"].as_i64());
                if told.is_none_or(|ns| ns >= oldest.open().nanos()) {
                    break 'kept entry.seq;
                }
            }
            match page.last() {
                Some(last) => next = last.seq + 1,
                None => break next,
            }
        };
        let dropped = store.prune_signals(first_kept)?;
        shared.stream.kept_from(store.first_signal()?.unwrap_or(1));
        self.announced = self.announced.split_off(&(oldest, String::new()));
        Ok(dropped)
    }

    /// How many announcements are remembered.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.announced.len()
    }

    /// Announces something that is not a detection.
    pub(super) fn announce(
        &mut self,
        store: &mut Store,
        shared: &Shared,
        kind: EntryKind,
        mut data: Value,
    ) -> Result<(), StorageError> {
        let seq = self.next_seq;
        if let Value::Object(fields) = &mut data {
            fields.insert("seq".to_owned(), json!(seq));
        }
        let entry = StreamEntry { seq, kind, data: Arc::new(data) };
        store.append_signals(&[encode(&entry)])?;
        self.announced(shared, vec![entry]);
        Ok(())
    }

    fn describe(&self, event: &Event, seq: u64, reference_close: Option<f64>, now: Ts) -> Value {
        let context = SignalContext {
            states: &self.states,
            version: self.version.as_deref(),
            blueprints: &self.blueprints,
            reference_close,
            now,
        };
        let mut record = signal_record(event, &context);
        record.insert("seq".to_owned(), json!(seq));
        Value::Object(record)
    }
}

/// Bar and id of the event that an entry announces or retracts.
fn announcement(entry: &StreamEntry) -> Option<(BarIndex, String)> {
    let id = entry.data["event_id"].as_str()?.to_owned();
    let opened_ns = entry.data["timestamp_ns"].as_i64()?;
    Some((Ts(opened_ns.div_euclid(1_000_000)).bar(), id))
}

/// An entry as the store keeps it: sequence number and JSON.
pub(super) fn encode(entry: &StreamEntry) -> (u64, Vec<u8>) {
    (entry.seq, serde_json::to_vec(entry).unwrap_or_default())
}

/// Entries from `from` on, in order.
pub(in crate::daemon) fn read_entries(
    store: &Store,
    from: u64,
    limit: usize,
) -> Result<Vec<StreamEntry>, StorageError> {
    let stored = store.signals_after(from.saturating_sub(1), limit)?;
    let decode = |(seq, bytes): (u64, Vec<u8>)| {
        serde_json::from_slice(&bytes)
            .map_err(|error| StorageError::Record { key: format!("signal {seq}"), detail: error.to_string() })
    };
    stored.into_iter().map(decode).collect()
}
