//! The book of open positions-to-be: every event waits here, once per horizon, until its exit bar has closed.
//!
//! One implementation for live and batch: rows go in, matured outcomes come out, in (exit bar, symbol, event,
//! horizon) order whatever the chunking.

use crate::market::BPS;
use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU32;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::costs::{CostParts, Known, Quoted, RoundTripCost, TrailingBook};
use super::{EntryPrice, Horizon, Outcome};
use crate::market::{BarIndex, RawBlock, Source, Symbol, SymbolColumns, TickBlock, Ts};
use crate::outcomes::Event;

/// How events become outcomes. All of it comes from the specs.
#[derive(Clone, Debug, PartialEq)]
pub struct BookConfig {
    /// Bars from the deciding bar to the entry bar: at least one, by type.
    pub entry_lag_bars: NonZeroU32,
    /// Which price enters and exits.
    pub entry_price: EntryPrice,
    /// Horizons per event type.
    pub horizons: BTreeMap<Arc<str>, Vec<Horizon>>,
    /// The pipeline's symbols in order, each with what its round trips cost.
    pub symbols: Vec<(Symbol, RoundTripCost)>,
}

impl BookConfig {
    /// Rows of prices that the longest holding period needs.
    #[must_use]
    pub fn history_rows(&self) -> usize {
        let longest = self.horizons.values().flatten().map(|h| h.bars).max().unwrap_or(0);
        (longest + self.entry_lag_bars.get()) as usize + 1
    }
}

/// A saved book that cannot be restored.
#[derive(Debug, thiserror::Error)]
#[error("the outcome book of the checkpoint cannot be read ({0}); recompute from the raw log")]
pub struct BookError(#[from] postcard::Error);

/// Open outcomes of all symbols.
#[derive(Debug, Clone)]
pub struct OutcomeBook {
    config: BookConfig,
    history_rows: usize,
    symbols: Vec<SymbolBook>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct SymbolBook {
    /// Bar of `prices[0]`.
    first: i64,
    prices: VecDeque<PriceRow>,
    settlements: VecDeque<(Ts, f64)>,
    funding_collected: bool,
    /// By exit bar; inner order is insertion order = (event, horizon).
    pending: BTreeMap<BarIndex, Vec<(Arc<Event>, Horizon, Known)>>,
    trailing: TrailingBook,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct PriceRow {
    open: f64,
    high: f64,
    low: f64,
    close: f64,
}

impl OutcomeBook {
    /// An empty book.
    #[must_use]
    pub fn new(config: BookConfig) -> Self {
        let history_rows = config.history_rows();
        let symbols = vec![SymbolBook::default(); config.symbols.len()];
        Self { config, history_rows, symbols }
    }

    /// Takes the rows of `block` and the events detected on them (sorted by bar), returns what matured on
    /// them. `raw` supplies the settlements.
    pub fn push(&mut self, raw: &RawBlock, block: &TickBlock, events: &[Event]) -> Vec<Outcome> {
        let mut matured = Vec::new();
        for (ix, (book, columns)) in self.symbols.iter_mut().zip(&block.symbols).enumerate() {
            for print in &raw.symbols[ix].funding {
                book.record_settlement(print.ts, print.paid());
            }
            book.funding_collected |= columns.get(Source::FundingRate).is_some();
        }
        let mut next_event = 0;
        for row in 0..block.rows {
            let bar = block.first + row as i64;
            let terms = self.config.symbols.iter().map(|(_, terms)| terms);
            for ((book, columns), terms) in self.symbols.iter_mut().zip(&block.symbols).zip(terms) {
                book.append(bar, PriceRow::at(columns, row), self.history_rows);
                book.trailing.push(bar, quoted(columns, row), terms);
            }
            while let Some(event) = events.get(next_event).filter(|e| e.bar == bar) {
                next_event += 1;
                self.open(event);
            }
            for (book, (_, cost)) in self.symbols.iter_mut().zip(&self.config.symbols) {
                let Some(due) = book.pending.remove(&bar) else { continue };
                let lag = i64::from(self.config.entry_lag_bars.get());
                let price = self.config.entry_price;
                matured.extend(due.into_iter().map(|(event, horizon, known)| {
                    let costs = cost.parts(event.detected(), known);
                    book.settle(Terms { lag, price, costs }, event, horizon)
                }));
            }
        }
        matured
    }

    /// Number of outcomes that wait for their exit bar.
    #[must_use]
    pub fn open_count(&self) -> usize {
        self.symbols.iter().flat_map(|b| b.pending.values()).map(Vec::len).sum()
    }

    /// Positions that were open at a UTC midnight and are open still, as far as they are known:
    /// `midnight_return`, and no outcome yet. In the order of their exit bars, by symbol.
    #[must_use]
    pub fn marked(&self) -> Vec<Outcome> {
        let (lag, price) = (i64::from(self.config.entry_lag_bars.get()), self.config.entry_price);
        let open = self.symbols.iter().zip(&self.config.symbols).flat_map(|(book, (_, cost))| {
            book.pending.values().flatten().map(move |(event, horizon, known)| {
                let costs = cost.parts(event.detected(), *known);
                book.settle(Terms { lag, price, costs }, Arc::clone(event), horizon.clone())
            })
        });
        open.filter(|outcome| !outcome.midnight_return.is_nan()).collect()
    }

    /// The state, for a checkpoint.
    ///
    /// # Errors
    /// When the state cannot be encoded (it always can; the codec's signature says otherwise).
    pub fn save(&self) -> Result<Vec<u8>, BookError> {
        Ok(postcard::to_stdvec(&self.symbols)?)
    }

    /// The inverse of [`OutcomeBook::save`], under the same config.
    ///
    /// # Errors
    /// When the bytes are not a book.
    pub fn restore(config: BookConfig, bytes: &[u8]) -> Result<Self, BookError> {
        let symbols: Vec<SymbolBook> = postcard::from_bytes(bytes)?;
        let mut book = Self::new(config);
        if symbols.len() != book.symbols.len() {
            return Err(BookError(postcard::Error::DeserializeBadEncoding));
        }
        book.symbols = symbols;
        Ok(book)
    }

    /// The book under another config with the same prices, lag and horizons: what waits is rewritten, and
    /// stands in the order that `place` gives to events of one bar.
    #[must_use]
    pub fn rewritten<K: Ord>(
        &self,
        config: BookConfig,
        rewrite: impl Fn(&Event) -> Vec<Event>,
        place: impl Fn(&Event) -> K,
    ) -> Self {
        let mut book = Self { history_rows: config.history_rows(), config, symbols: self.symbols.clone() };
        for pending in book.symbols.iter_mut().flat_map(|s| s.pending.values_mut()) {
            let old = std::mem::take(pending);
            let heirs = old.into_iter().flat_map(|(event, horizon, known)| {
                rewrite(&event).into_iter().map(move |heir| (Arc::new(heir), horizon.clone(), known))
            });
            pending.extend(heirs);
            pending.sort_by_cached_key(|(event, ..)| (event.bar, place(event)));
        }
        for symbol in &mut book.symbols {
            symbol.pending.retain(|_, waiting| !waiting.is_empty());
        }
        book
    }

    fn open(&mut self, event: &Event) {
        let Some(horizons) = self.config.horizons.get(&event.event_type) else { return };
        let Some(ix) = self.config.symbols.iter().position(|(s, _)| *s == event.symbol) else { return };
        let lag = i64::from(self.config.entry_lag_bars.get());
        let shared = Arc::new(event.clone());
        let known = self.symbols[ix].trailing.known();
        for horizon in horizons {
            let exit = event.bar + lag + i64::from(horizon.bars);
            let waiting = self.symbols[ix].pending.entry(exit).or_default();
            waiting.push((Arc::clone(&shared), horizon.clone(), known));
        }
    }
}

#[derive(Clone, Copy)]
struct Terms {
    lag: i64,
    price: EntryPrice,
    costs: CostParts,
}

impl SymbolBook {
    fn append(&mut self, bar: BarIndex, row: PriceRow, keep: usize) {
        if self.prices.is_empty() {
            self.first = bar.0;
        }
        self.prices.push_back(row);
        while self.prices.len() > keep {
            self.prices.pop_front();
            self.first += 1;
        }
        let oldest = BarIndex(self.first).open();
        while self.settlements.front().is_some_and(|(ts, _)| *ts < oldest) {
            self.settlements.pop_front();
        }
    }

    /// A settlement counts once, however often it is handed over: live, one that was published late comes
    /// again.
    fn record_settlement(&mut self, ts: Ts, rate: f64) {
        if rate.is_nan() {
            return;
        }
        match self.settlements.binary_search_by_key(&ts, |(at, _)| *at) {
            Ok(ix) => self.settlements[ix].1 = rate,
            Err(ix) => self.settlements.insert(ix, (ts, rate)),
        }
    }

    fn price(&self, bar: BarIndex) -> PriceRow {
        usize::try_from(bar.0 - self.first)
            .ok()
            .and_then(|ix| self.prices.get(ix).copied())
            .unwrap_or(PriceRow::GAP)
    }

    fn settle(&self, terms: Terms, event: Arc<Event>, horizon: Horizon) -> Outcome {
        let entry_bar = event.bar + terms.lag;
        let exit_bar = entry_bar + i64::from(horizon.bars);
        let (entry, exit) = match terms.price {
            EntryPrice::Close => (self.price(entry_bar).close, self.price(exit_bar).close),
            EntryPrice::Open => (self.price(entry_bar).open, self.price(exit_bar).open),
        };
        let forward_return = exit / entry - 1.0;
        let mut outcome = Outcome {
            event,
            horizon,
            entry_lag_bars: terms.lag as u32,
            entry_price: terms.price,
            forward_return,
            midnight_return: f64::NAN,
            mfe_bps: f64::NAN,
            mae_bps: f64::NAN,
            funding_paid: f64::NAN,
            cost_bps_round_trip: terms.costs.total(),
            costs: terms.costs,
        };
        if let Some(midnight) = outcome.midnight() {
            outcome.midnight_return = self.mark_at(midnight.bar(), entry_bar, entry);
        }
        if forward_return.is_nan() {
            return outcome;
        }
        let (held_from, held_to) = match terms.price {
            EntryPrice::Close => (entry_bar.next(), exit_bar),
            EntryPrice::Open => (entry_bar, exit_bar - 1),
        };
        let (up, down) = self.excursions(held_from, held_to, entry);
        (outcome.mfe_bps, outcome.mae_bps) =
            if outcome.event.direction < 0 { (-down, -up) } else { (up, down) };
        if self.funding_collected {
            outcome.funding_paid = self.funding_between(outcome.entry(), outcome.exit());
        }
        outcome
    }

    /// The return from the entry to the last close before the midnight bar; NaN while that bar has not been
    /// reached.
    fn mark_at(&self, midnight: BarIndex, entry_bar: BarIndex, entry: f64) -> f64 {
        if midnight.0 > self.first + self.prices.len() as i64 {
            return f64::NAN;
        }
        let closes = (entry_bar.0..midnight.0).rev().map(|bar| self.price(BarIndex(bar)).close);
        let last = closes.into_iter().find(|close| !close.is_nan());
        last.map_or(f64::NAN, |close| close / entry - 1.0)
    }

    /// Highest (>= 0) and lowest (<= 0) price relative to `entry` over the bars, bps. Gap rows are skipped.
    fn excursions(&self, from: BarIndex, to: BarIndex, entry: f64) -> (f64, f64) {
        let (mut high, mut low) = (entry, entry);
        for bar in from.0..=to.0 {
            let row = self.price(BarIndex(bar));
            high = high.max(row.high);
            low = low.min(row.low);
        }
        ((high / entry - 1.0) * BPS, (low / entry - 1.0) * BPS)
    }

    /// Rates settled strictly inside the holding window: a position opened or closed on the instant of a
    /// settlement neither pays nor receives it.
    fn funding_between(&self, entry: Ts, exit: Ts) -> f64 {
        self.settlements.iter().filter(|(ts, _)| entry < *ts && *ts < exit).map(|(_, rate)| rate).sum()
    }
}

impl PriceRow {
    const GAP: Self = Self { open: f64::NAN, high: f64::NAN, low: f64::NAN, close: f64::NAN };

    fn at(columns: &SymbolColumns, row: usize) -> Self {
        let value = |source| columns.get(source).map_or(f64::NAN, |c| c[row]);
        Self {
            open: value(Source::Open),
            high: value(Source::High),
            low: value(Source::Low),
            close: value(Source::Close),
        }
    }
}

fn quoted(columns: &SymbolColumns, row: usize) -> Quoted {
    let value = |source| columns.get(source).map_or(f64::NAN, |c| c[row]);
    Quoted {
        close: value(Source::Close),
        spread_bps: value(Source::SpreadBpsMean),
        quote_volume: value(Source::QuoteVolume),
    }
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod tests;
