//! The signal stream: numbered entries, the newest kept in memory, those of the retention time in the store.
//!
//! An entry is offered here only after the commit that holds it is durable. Readers hold a position, never a
//! subscription that could overflow: whoever falls behind the memory window reads the store and catches up,
//! so nothing is lost and nothing is sent twice.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// Entries kept in memory.
const WINDOW: usize = 1024;

/// What an entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// An event was detected.
    Signal,
    /// A version was published.
    BlueprintVersion,
    /// An announced event is not detected any more.
    Retraction,
}

impl EntryKind {
    /// The name of the server-sent event.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Signal => "signal",
            Self::BlueprintVersion => "blueprint_version",
            Self::Retraction => "retraction",
        }
    }
}

/// One entry; `seq` is the server-sent event's id. In the store its value is this struct as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamEntry {
    /// Position, from 1, without holes.
    pub seq: u64,
    /// What the entry is about.
    pub kind: EntryKind,
    /// The JSON of the `data:` line.
    pub data: Arc<serde_json::value::Value>,
}

/// What memory could answer.
#[derive(Debug, PartialEq)]
pub enum Page {
    /// The entries from the position on; empty when the reader is up to date.
    Entries(Vec<StreamEntry>),
    /// The position is older than memory: read the store.
    InStore,
}

/// The log's memory window and the position of its end.
#[derive(Debug)]
pub struct StreamLog {
    window: RwLock<VecDeque<StreamEntry>>,
    last: watch::Sender<u64>,
    /// The first entry that is kept.
    first: AtomicU64,
}

impl Default for StreamLog {
    fn default() -> Self {
        Self { window: RwLock::default(), last: watch::Sender::new(0), first: AtomicU64::new(1) }
    }
}

impl StreamLog {
    /// Sets the position found in the store at start.
    pub fn resume_at(&self, last: u64) {
        self.last.send_replace(last);
    }

    /// The store keeps entries from this one on.
    pub fn kept_from(&self, first: u64) {
        self.first.store(first, Ordering::Relaxed);
    }

    /// Sequence number of the first entry that is kept.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.first.load(Ordering::Relaxed)
    }

    /// Appends entries that are durable by now. They continue the numbering.
    pub fn append(&self, entries: impl IntoIterator<Item = StreamEntry>) {
        let mut window = self.window.write().unwrap_or_else(PoisonError::into_inner);
        let mut last = *self.last.borrow();
        for entry in entries {
            debug_assert_eq!(entry.seq, last + 1, "the stream has no holes");
            last = entry.seq;
            window.push_back(entry);
            if window.len() > WINDOW {
                window.pop_front();
            }
        }
        drop(window);
        self.last.send_replace(last);
    }

    /// Sequence number of the newest entry, 0 if none.
    #[must_use]
    pub fn last(&self) -> u64 {
        *self.last.borrow()
    }

    /// Wakes whenever the end moves.
    #[must_use]
    pub fn follow(&self) -> watch::Receiver<u64> {
        self.last.subscribe()
    }

    /// Up to `limit` entries from `from` on.
    #[must_use]
    pub fn page(&self, from: u64, limit: usize) -> Page {
        let window = self.window.read().unwrap_or_else(PoisonError::into_inner);
        if from > self.last() {
            return Page::Entries(Vec::new());
        }
        match window.front() {
            Some(oldest) if oldest.seq <= from => {
                let skip = usize::try_from(from - oldest.seq).unwrap_or(usize::MAX);
                Page::Entries(window.iter().skip(skip).take(limit).cloned().collect())
            }
            _ => Page::InStore,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(seq: u64) -> StreamEntry {
        StreamEntry { seq, kind: EntryKind::Signal, data: Arc::new(serde_json::json!({ "seq": seq })) }
    }

    fn seqs(page: Page) -> Vec<u64> {
        match page {
            Page::Entries(entries) => entries.iter().map(|e| e.seq).collect(),
            Page::InStore => panic!("not in memory"),
        }
    }

    #[test]
    fn a_reader_continues_where_it_stopped() {
        let log = StreamLog::default();
        log.append((1..=5).map(entry));
        assert_eq!(seqs(log.page(3, 2)), [3, 4]);
        assert_eq!(seqs(log.page(5, 10)), [5]);
        assert_eq!(seqs(log.page(6, 10)), [0; 0]);
    }

    #[test]
    fn a_reader_behind_the_window_is_sent_to_the_store() {
        let log = StreamLog::default();
        log.resume_at(100);
        assert_eq!(log.page(100, 10), Page::InStore);
        log.append([entry(101)]);
        assert_eq!(log.page(100, 10), Page::InStore);
        assert_eq!(seqs(log.page(101, 10)), [101]);
        log.append((102..=101 + WINDOW as u64).map(entry));
        assert_eq!(log.page(101, 10), Page::InStore);
        assert_eq!(seqs(log.page(102, 1)), [102]);
    }
}
