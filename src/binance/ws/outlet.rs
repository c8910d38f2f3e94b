//! The way out: a bounded queue that may merge quotes and never loses anything else.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::update::{Stamped, Update};
use backtestd_core::market::{Market, Symbol};

/// What happened on all connections, for metrics. Only ever grows.
#[derive(Debug, Default)]
pub struct WsStats {
    /// Messages received on all sockets.
    pub frames: AtomicU64,
    /// Updates handed over.
    pub updates: AtomicU64,
    /// Payloads that could not be read.
    pub wire_errors: AtomicU64,
    /// Updates that were read and cannot be true.
    pub doubted: AtomicU64,
    /// Payloads left out on purpose (COIN-M, unread streams).
    pub dropped: AtomicU64,
    /// Quotes replaced by a newer one of the same symbol because the queue was full.
    pub merged_quotes: AtomicU64,
    /// Sockets opened, first ones included.
    pub connects: AtomicU64,
    /// Sockets replaced while the old one still worked.
    pub handovers: AtomicU64,
    /// Kinds found silent.
    pub silences: AtomicU64,
}

impl WsStats {
    pub(super) fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }
}

/// The receiver is gone: nothing is left to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReceiverGone;

/// One connection's end of the queue.
#[derive(Clone, Debug)]
pub(super) struct Outlet {
    queue: mpsc::Sender<Stamped>,
    /// The latest quote of each symbol that found the queue full. While one waits, newer quotes of its symbol
    /// replace it, so that order is kept.
    waiting: BTreeMap<(Market, Symbol), Stamped>,
    stats: Arc<WsStats>,
}

impl Outlet {
    pub(super) const fn new(queue: mpsc::Sender<Stamped>, stats: Arc<WsStats>) -> Self {
        Self { queue, waiting: BTreeMap::new(), stats }
    }

    pub(super) fn stats(&self) -> &WsStats {
        &self.stats
    }

    /// Hands one update over. Waits while the queue is full (the socket is then not read: back-pressure),
    /// except for quotes.
    pub(super) async fn push(&mut self, stamped: Stamped) -> Result<(), ReceiverGone> {
        let Update::BookTicker(quote) = &stamped.update else {
            self.queue.send(stamped).await.map_err(|_| ReceiverGone)?;
            WsStats::add(&self.stats.updates, 1);
            return Ok(());
        };
        let key = (quote.market, quote.symbol.clone());
        if let Some(older) = self.waiting.get_mut(&key) {
            *older = stamped;
            WsStats::add(&self.stats.merged_quotes, 1);
            return Ok(());
        }
        match self.queue.try_send(stamped) {
            Ok(()) => WsStats::add(&self.stats.updates, 1),
            Err(TrySendError::Full(stamped)) => drop(self.waiting.insert(key, stamped)),
            Err(TrySendError::Closed(_)) => return Err(ReceiverGone),
        }
        Ok(())
    }

    /// Whether quotes wait for room.
    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Waits for room and hands one waiting quote over. Cancel-safe.
    pub(super) async fn flush_one(&mut self) -> Result<(), ReceiverGone> {
        let room = self.queue.reserve().await.map_err(|_| ReceiverGone)?;
        if let Some((_, stamped)) = self.waiting.pop_first() {
            room.send(stamped);
            WsStats::add(&self.stats.updates, 1);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::update::{BookTicker, MarkUpdate};
    use backtestd_core::market::Ts;

    fn quote(symbol: &str, id: i64) -> Stamped {
        let update = Update::BookTicker(BookTicker {
            market: Market::Perp,
            symbol: Symbol::new(symbol).unwrap(),
            update_id: id,
            bid: 1.0,
            bid_quantity: 1.0,
            ask: 2.0,
            ask_quantity: 1.0,
            event_ts: None,
        });
        Stamped { arrival: Ts(id), update }
    }

    fn mark() -> Stamped {
        let update = Update::Mark(MarkUpdate {
            symbol: Symbol::new("A").unwrap(),
            mark: 1.0,
            index: 1.0,
            predicted_rate: 0.0,
            next_funding_ts: None,
            event_ts: Ts(0),
        });
        Stamped { arrival: Ts(0), update }
    }

    #[tokio::test]
    async fn a_full_queue_merges_quotes_per_symbol_and_holds_back_the_rest() {
        let (tx, mut rx) = mpsc::channel(1);
        let mut outlet = Outlet::new(tx, Arc::default());
        for (symbol, id) in [("A", 1), ("A", 2), ("B", 3), ("A", 4), ("B", 5)] {
            outlet.push(quote(symbol, id)).await.unwrap();
        }
        // Nothing but quotes may be merged: this one waits.
        let held = tokio::time::timeout(std::time::Duration::from_millis(20), outlet.push(mark())).await;
        assert!(held.is_err());
        let mut ids = Vec::new();
        while outlet.has_waiting() || !rx.is_empty() {
            if let Ok(stamped) = rx.try_recv() {
                ids.push(stamped.arrival.0);
            }
            if outlet.has_waiting() {
                outlet.flush_one().await.unwrap();
            }
        }
        assert_eq!(ids, [1, 4, 5], "the first went through, then the latest of each symbol");
        assert_eq!(outlet.stats().merged_quotes.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn without_a_receiver_everything_ends() {
        let (tx, rx) = mpsc::channel(1);
        drop(rx);
        let mut outlet = Outlet::new(tx, Arc::default());
        assert_eq!(outlet.push(quote("A", 1)).await, Err(ReceiverGone));
        assert_eq!(outlet.push(mark()).await, Err(ReceiverGone));
    }
}
