//! What a stream may tell: nothing that cannot be true. What it tells else is kept apart, with the reason.
//!
//! A stream tells the bar that has just closed and its few neighbours; older ones are REST's, and later ones have not been.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use backtestd_binance::clock::ExchangeClock;
use backtestd_binance::{BookTicker, ForceOrder, KlineUpdate, MarkUpdate, Sieve, Update};
use backtestd_core::clean::doubt::Judge;
use backtestd_core::clock::Clock;
use backtestd_core::market::{BAR_MS, Bar, Market, Symbol, Ts};
use backtestd_core::spec::Plausibility;

/// Bars before the one that has just closed that a stream may tell.
const TOLD_BACK: i64 = 3;
/// A stream may be this much ahead of our clock, ms of real time on top of one second.
const AHEAD_REAL_MS: f64 = 1_000.0;
/// Frames of an exchange in a hurry may be this late, ms of real time.
const LATE_REAL_MS: f64 = 5_000.0;
/// An event time further from the present than this is no event of the present.
const EVENT_WITHIN_MS: i64 = 30 * 60_000;
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
    /// The last closed bar of each series that was believed.
    bars: BTreeMap<(Market, Symbol), Bar>,
}

impl LiveSieve {
    /// By a clock that is the exchange's as soon as it has been `told`.
    pub(crate) fn new(clock: Arc<dyn Clock>, told: Option<ExchangeClock>, rules: Plausibility) -> Self {
        let speed = told.as_ref().map_or(1.0, ExchangeClock::speed);
        Self { clock, told, speed, known: Mutex::new(Known { rules, bars: BTreeMap::new() }) }
    }

    /// What a stretch of real time is of the exchange's, ms.
    fn virtual_ms(&self, real_ms: f64) -> i64 {
        (real_ms * self.speed) as i64
    }

    /// The rules of another spec.
    pub(crate) fn set_rules(&self, rules: Plausibility) {
        self.known().rules = rules;
    }

    /// Whether an event time lies within reach of the present.
    fn time_doubt(&self, event: Ts, now: Ts) -> Option<String> {
        let off_ms = event.0 - now.0;
        (off_ms.abs() > EVENT_WITHIN_MS + self.virtual_ms(LATE_REAL_MS))
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
        if slot.close().0 > now.0 + 1_000 + self.virtual_ms(AHEAD_REAL_MS) {
            return Some(format!("the bar of {slot} is told as closed, and has not been yet"));
        }
        let age = now.bar() - 1 - slot;
        let late_bars = if self.speed > 1.0 { self.virtual_ms(LATE_REAL_MS) / BAR_MS } else { 0 };
        if age > TOLD_BACK + late_bars {
            return Some(format!("the bar of {slot} closed {age} bars ago: it is REST's to tell"));
        }
        let known = &mut *self.known();
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
        let rules = backtestd_store::load_specs(&spec).unwrap().sources.plausibility;
        LiveSieve::new(Arc::new(clock), None, rules)
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
