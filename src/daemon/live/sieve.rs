//! What a stream may tell: nothing that cannot be true. What it tells else is kept apart, with the reason.
//!
//! A stream tells the bar that has just closed and its few neighbours; older ones are REST's, and later ones
//! have not been.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use backtestd_binance::clock::ExchangeClock;
use backtestd_binance::{BookTicker, ForceOrder, KlineUpdate, MarkUpdate, Sieve, Update};
use backtestd_core::clean::doubt::Judge;
use backtestd_core::clock::Clock;
use backtestd_core::market::{BAR_MS, Bar, Market, Symbol, Ts};
use backtestd_core::spec::{Plausibility, SourcesSpec, StreamRules};

/// Judges updates by the rules of the specs, the bar before and the clock.
#[derive(Debug)]
pub(crate) struct LiveSieve {
    clock: Arc<dyn Clock>,
    /// The same clock, where the exchange has to tell it the time first.
    told: Option<ExchangeClock>,
    /// How fast the clock runs.
    speed: f64,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    rules: Plausibility,
    streams: StreamRules,
    /// The last closed bar of each series that was believed.
    bars: BTreeMap<(Market, Symbol), Bar>,
}

impl LiveSieve {
    /// By a clock that is the exchange's as soon as it has been `told`.
    pub(crate) fn new(clock: Arc<dyn Clock>, told: Option<ExchangeClock>, sources: &SourcesSpec) -> Self {
        let speed = told.as_ref().map_or(1.0, ExchangeClock::speed);
        let (rules, streams) = (sources.plausibility.clone(), sources.live.streams);
        Self { clock, told, speed, known: Mutex::new(Known { rules, streams, bars: BTreeMap::new() }) }
    }

    /// What a stretch of real time is of the exchange's, ms.
    fn virtual_ms(&self, real_ms: u32) -> i64 {
        (f64::from(real_ms) * self.speed) as i64
    }

    /// The rules of another spec.
    pub(crate) fn set_rules(&self, sources: &SourcesSpec) {
        let known = &mut *self.known();
        (known.rules, known.streams) = (sources.plausibility.clone(), sources.live.streams);
    }

    /// Whether an event time lies within reach of the present.
    fn time_doubt(&self, event: Ts, now: Ts) -> Option<String> {
        let off_ms = event.0 - now.0;
        let streams = self.known().streams;
        (off_ms.abs() > i64::from(streams.event_within_s) * 1000 + self.virtual_ms(streams.late_ms))
            .then(|| format!("E {event} is {:+.0} s off the present", off_ms as f64 / 1000.0))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kline_doubt(&self, kline: &KlineUpdate, now: Ts) -> Option<String> {
        if !kline.closed || !kline.is_grid_bar() {
            return None;
        }
        let slot = kline.bar.bar;
        let known = &mut *self.known();
        let streams = known.streams;
        let ahead_ms = i64::from(streams.ahead_ms) + self.virtual_ms(streams.ahead_ms);
        if slot.close().0 > now.0 + ahead_ms {
            return Some(format!("the bar of {slot} is told as closed, and has not been yet"));
        }
        let age = now.bar() - 1 - slot;
        let late_bars = if self.speed > 1.0 { self.virtual_ms(streams.late_ms) / BAR_MS } else { 0 };
        if age > i64::from(streams.back_bars) + late_bars {
            return Some(format!("the bar of {slot} closed {age} bars ago: it is REST's to tell"));
        }
        let judge = Judge { rules: &known.rules, now: None };
        let series = (kline.market, kline.symbol.clone());
        let before = known.bars.get(&series).filter(|bar| bar.bar < slot);
        let doubt = judge.closing(&kline.bar, before);
        if doubt.is_none() {
            known.bars.insert(series, kline.bar);
        }
        doubt.map(|doubt| doubt.to_string())
    }
}

impl Sieve for LiveSieve {
    fn doubt(&self, update: &Update) -> Option<String> {
        if self.told.as_ref().is_some_and(|clock| !clock.is_set()) {
            // Nobody knows yet what time it is; the frames may be asked.
            return None;
        }
        let now = self.clock.now();
        match update {
            Update::Kline(kline) => self.kline_doubt(kline, now),
            Update::Mark(mark) => mark_doubt(mark).or_else(|| self.time_doubt(mark.event_ts, now)),
            Update::ForceOrder(order) => order_doubt(order).or_else(|| self.time_doubt(order.event_ts, now)),
            Update::BookTicker(quote) => quote_doubt(quote),
            _ => None,
        }
    }
}

fn mark_doubt(mark: &MarkUpdate) -> Option<String> {
    if mark.mark <= 0.0 || mark.index < 0.0 {
        return Some(format!("p {} and i {}: a price is positive", mark.mark, mark.index));
    }
    None
}

fn order_doubt(order: &ForceOrder) -> Option<String> {
    let ForceOrder { filled, quantity, average_price, .. } = *order;
    if filled > quantity {
        return Some(format!("o.z {filled} of o.q {quantity}: more was filled than ordered"));
    }
    if average_price <= 0.0 && filled > 0.0 {
        return Some(format!("o.ap {average_price}: a price is positive"));
    }
    None
}

fn quote_doubt(quote: &BookTicker) -> Option<String> {
    let BookTicker { bid, ask, .. } = *quote;
    (bid > ask && ask > 0.0).then(|| format!("b {bid} above a {ask}: a book is not crossed"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use backtestd_binance::clock::ScaledClock;
    use backtestd_core::market::BarIndex;

    const NOW: BarIndex = BarIndex(6_000_000);

    fn kline(slot: BarIndex, change: impl FnOnce(&mut Bar)) -> Update {
        let mut bar = Bar::from_values(slot, [100.0, 101.0, 99.0, 100.5, 10.0, 1000.0, 50.0, 4.0, 400.0]);
        change(&mut bar);
        Update::Kline(KlineUpdate {
            market: Market::Perp,
            symbol: Symbol::new("BTCUSDT").unwrap(),
            interval_ms: BAR_MS,
            open_ts: slot.open(),
            bar,
            closed: true,
            event_ts: slot.close(),
        })
    }

    fn sieve() -> LiveSieve {
        let clock = ScaledClock::new(Ts(NOW.open().0 + 100), 1.0);
        let spec = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("spec");
        let sources = backtestd_store::load_specs(&spec).unwrap().sources;
        LiveSieve::new(Arc::new(clock), None, &sources)
    }

    fn doubt(update: &Update) -> String {
        sieve().doubt(update).unwrap_or_default()
    }

    #[test]
    fn a_closed_bar_is_told_when_it_closes_and_not_long_after_or_before() {
        for back in 1..=4 {
            assert_eq!(doubt(&kline(NOW - back, |_| {})), "", "{back}");
        }
        assert!(doubt(&kline(NOW - 5, |_| {})).contains("closed 4 bars ago"));
        assert!(doubt(&kline(NOW - 328, |_| {})).contains("REST's to tell"));
        for ahead in [0, 30, 400 * 288] {
            assert!(doubt(&kline(NOW + ahead, |_| {})).contains("has not been yet"), "{ahead}");
        }
    }

    #[test]
    fn a_bar_that_contradicts_itself_is_refused() {
        let refused = |change: fn(&mut Bar)| doubt(&kline(NOW - 1, change));
        assert!(
            refused(|bar| bar.taker_buy_volume = 99_999.0).contains("takers bought 99999 of a volume of 10")
        );
        let absurd = refused(|bar| bar.volume = 1e300);
        assert!(absurd.contains("volume"), "{absurd}");
        assert!(refused(|bar| (bar.low, bar.open) = (0.0, 0.0)).contains("not between"));
        fn shrunk(bar: &mut Bar) {
            for price in [&mut bar.open, &mut bar.high, &mut bar.low, &mut bar.close] {
                *price /= 10_000.0;
            }
            bar.quote_volume /= 10_000.0;
            bar.taker_buy_quote /= 10_000.0;
        }
        let sieve = sieve();
        assert_eq!(sieve.doubt(&kline(NOW - 2, |_| {})), None);
        let held_back = sieve.doubt(&kline(NOW - 1, shrunk)).unwrap();
        assert!(held_back.contains("unconfirmed"), "prices ÷ 10 000, in themselves right: {held_back}");
        let quiet = |bar: &mut Bar| {
            (bar.volume, bar.quote_volume, bar.trades) = (0.0, 0.0, 0.0);
            (bar.taker_buy_volume, bar.taker_buy_quote) = (0.0, 0.0);
        };
        assert_eq!(doubt(&kline(NOW - 1, quiet)), "", "a bar without trades");
    }

    #[test]
    fn orders_and_quotes_have_their_own_impossibilities() {
        let order = |filled, average_price| {
            Update::ForceOrder(ForceOrder {
                symbol: Symbol::new("BTCUSDT").unwrap(),
                side: backtestd_binance::Side::Sell,
                quantity: 2.0,
                filled,
                price: 100.0,
                average_price,
                trade_ts: NOW.open(),
                event_ts: NOW.open(),
            })
        };
        assert_eq!(doubt(&order(2.0, 100.0)), "");
        assert!(doubt(&order(3.0, 100.0)).contains("more was filled"));
        assert!(doubt(&order(2.0, 0.0)).contains("a price is positive"));
        let quote = |bid, ask| {
            Update::BookTicker(BookTicker {
                market: Market::Perp,
                symbol: Symbol::new("BTCUSDT").unwrap(),
                update_id: 1,
                bid,
                bid_quantity: 1.0,
                ask,
                ask_quantity: 1.0,
                event_ts: None,
            })
        };
        assert_eq!(doubt(&quote(100.0, 100.1)), "");
        assert_eq!(doubt(&quote(100.0, 0.0)), "", "an empty side");
        assert!(doubt(&quote(100.2, 100.1)).contains("not crossed"));
    }
}
