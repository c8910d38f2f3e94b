//! Mark prices and liquidations of the stream, aggregated to bars.

use std::collections::BTreeMap;

use crate::binance::{Side, StreamKind, StreamState, StreamStatus, Update};
use crate::daemon::config::Collect;
use crate::market::{BAR_MS, BarIndex, LiquidationBar, MarkBar, Symbol, Ts};
use crate::store::{RawPut, Records};

/// Mark and liquidation bars under construction.
#[derive(Debug, Default)]
pub struct Aggregates {
    marks: BTreeMap<(BarIndex, Symbol), MarkBar>,
    liquidations: BTreeMap<(BarIndex, Symbol), LiquidationBar>,
    connected: Connected,
}

/// When the liquidation stream was connected: what "none seen" means.
#[derive(Debug, Default)]
struct Connected {
    shards: BTreeMap<usize, StreamState>,
    /// Closed spells, by the clock.
    spells: Vec<(Ts, Ts)>,
    since: Option<Ts>,
}

impl Connected {
    fn change(&mut self, change: &StreamStatus) {
        self.shards.insert(change.shard, change.state);
        let all = self.shards.values().all(|state| *state == StreamState::Live);
        match (all, self.since) {
            (true, None) => self.since = Some(change.since),
            (false, Some(since)) => {
                self.spells.push((since, change.since));
                self.since = None;
            }
            _ => {}
        }
    }

    /// Share of a bar; spells before it are forgotten.
    fn share(&mut self, bar: BarIndex) -> f64 {
        let (open, close) = (bar.open(), bar.close());
        self.spells.retain(|(_, to)| *to > open);
        let open_spell = self.since.map(|since| (since, close));
        let inside = |(from, to): &(Ts, Ts)| (to.0.min(close.0) - from.0.max(open.0)).max(0);
        let covered: i64 = self.spells.iter().chain(&open_spell).map(inside).sum();
        covered as f64 / BAR_MS as f64
    }
}

impl Aggregates {
    /// Takes in an update; those that are no concern of bars are ignored.
    pub fn take(&mut self, update: &Update) {
        match update {
            Update::Mark(mark) => {
                let bar = mark.event_ts.bar();
                let value = MarkBar {
                    bar,
                    mark: mark.mark,
                    index: mark.index,
                    premium: f64::NAN,
                    predicted_rate: mark.predicted_rate,
                };
                self.marks.insert((bar, mark.symbol.clone()), value);
            }
            Update::ForceOrder(order) => {
                let bar = order.trade_ts.bar();
                let key = (bar, order.symbol.clone());
                let sums = self.liquidations.entry(key).or_insert_with(|| none_seen(bar));
                match order.side {
                    Side::Sell => {
                        sums.long_usd += order.notional();
                        sums.long_n += 1.0;
                    }
                    Side::Buy => {
                        sums.short_usd += order.notional();
                        sums.short_n += 1.0;
                    }
                }
            }
            _ => {}
        }
    }

    /// Notes that a stream came or went.
    pub fn stream_changed(&mut self, change: &StreamStatus) {
        if change.kind == StreamKind::ForceOrder {
            self.connected.change(change);
        }
    }

    /// The records of a bar that has closed; what belongs to earlier bars is dropped.
    pub fn finish(&mut self, bar: BarIndex, symbols: &[Symbol], collect: Collect) -> Vec<RawPut> {
        let mut puts = Vec::new();
        let share = self.connected.share(bar);
        for symbol in symbols {
            let key = (bar, symbol.clone());
            if let (true, Some(mark)) = (collect.mark, self.marks.remove(&key)) {
                puts.push(RawPut { symbol: symbol.clone(), records: Records::Mark(vec![mark]) });
            }
            if collect.liquidations {
                let sums = self.liquidations.remove(&key).unwrap_or_else(|| none_seen(bar));
                let sums = LiquidationBar { coverage: share, ..sums };
                puts.push(RawPut { symbol: symbol.clone(), records: Records::Liquidations(vec![sums]) });
            }
        }
        self.marks.retain(|(slot, _), _| *slot > bar);
        self.liquidations.retain(|(slot, _), _| *slot > bar);
        puts
    }
}

const fn none_seen(bar: BarIndex) -> LiquidationBar {
    LiquidationBar { bar, long_usd: 0.0, short_usd: 0.0, long_n: 0.0, short_n: 0.0, coverage: 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binance::{ForceOrder, Route};

    fn change(state: StreamState, at: i64) -> StreamStatus {
        StreamStatus {
            route: Route::FuturesMarket,
            shard: 0,
            kind: StreamKind::ForceOrder,
            state,
            since: Ts(at),
            reason: String::new(),
        }
    }

    #[test]
    fn a_bar_without_liquidations_is_zero_only_for_the_share_that_was_watched() {
        let symbol = Symbol::new("BTCUSDT").unwrap();
        let collect = Collect { liquidations: true, ..Collect::default() };
        let mut all = Aggregates::default();
        all.stream_changed(&change(StreamState::Live, 0));
        all.stream_changed(&change(StreamState::Down, BAR_MS / 4));
        all.stream_changed(&change(StreamState::Live, BAR_MS / 2));
        all.take(&Update::ForceOrder(ForceOrder {
            symbol: symbol.clone(),
            side: Side::Sell,
            quantity: 2.0,
            filled: 2.0,
            price: 90.0,
            average_price: 100.0,
            trade_ts: Ts(5),
            event_ts: Ts(1005),
        }));
        let puts = all.finish(BarIndex(0), std::slice::from_ref(&symbol), collect);
        let Records::Liquidations(bars) = &puts[0].records else { panic!() };
        assert_eq!((bars[0].long_usd, bars[0].long_n, bars[0].short_usd), (200.0, 1.0, 0.0));
        assert_eq!(bars[0].coverage, 0.75);
        let puts = all.finish(BarIndex(1), &[symbol], collect);
        let Records::Liquidations(bars) = &puts[0].records else { panic!() };
        assert_eq!((bars[0].long_usd, bars[0].coverage), (0.0, 1.0));
    }
}
