//! What happens at an instant: the top of the book, forced orders. Cut from the bar's path, never kept.

use backtestd_core::market::{BAR_MS, BarIndex, Ts};

use super::market::round_to;
use super::view::Series;
use super::{Market, tick};
use backtestd_core::market::{Draws, derive};

/// Quotes change at most so often.
const QUOTE_STEP_MS: i64 = 100;
/// The forced-order stream shows at most one order per symbol and second.
const FORCED_STEP_MS: i64 = 1000;

/// Best bid and ask.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Book {
    /// Best bid price.
    pub bid: f64,
    /// Quantity at the best bid, base units.
    pub bid_quantity: f64,
    /// Best ask price.
    pub ask: f64,
    /// Quantity at the best ask, base units.
    pub ask_quantity: f64,
    /// Rises with time.
    pub update_id: i64,
}

/// A liquidation order, filled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ForcedOrder {
    /// When it was filled.
    pub at: Ts,
    /// True: the order sells, a long was liquidated.
    pub is_sell: bool,
    /// Bankruptcy price, the order's limit.
    pub price: f64,
    /// Where it was filled.
    pub average: f64,
    /// Filled quantity, base units.
    pub quantity: f64,
}

impl Market {
    fn key(&self, symbol: usize, purpose: &str) -> u64 {
        derive(derive(self.seed(), purpose), self.scenario().symbols[symbol].name.as_str())
    }

    /// Top of book of the perp or of the spot pair.
    pub fn book(&self, symbol: usize, series: Series, at: Ts) -> Option<Book> {
        let bar = self.running(symbol, at)?;
        let listing = &self.scenario().symbols[symbol];
        let (tick_decimals, lot_decimals, purpose) = match series {
            Series::Spot => (listing.spot?.tick_decimals, listing.spot?.lot_decimals, "spot book"),
            _ => (listing.tick_decimals, listing.lot_decimals, "book"),
        };
        let last = self.last_price(symbol, series, &bar, at)?;
        let step = at.0.div_euclid(QUOTE_STEP_MS);
        let mut draws = Draws::numbered(self.key(symbol, purpose), step);
        let one_tick = tick(tick_decimals);
        let wide = 0.012 * bar.sigma * last * libm::exp(0.5 * draws.normal());
        let spread = one_tick * (wide / one_tick).round().max(1.0);
        // The last trade was at the bid or at the ask.
        let bid = if draws.sign() > 0.0 { last } else { last - spread };
        let bid = round_to(bid.max(one_tick), tick_decimals);
        let ask = round_to(bid + spread, tick_decimals);
        let calm = (0.002 / bar.sigma.max(1.0e-5)).clamp(0.2, 4.0);
        let typical = 0.004 * listing.turnover * calm / last;
        let mut quantity =
            || round_to(typical * libm::exp(0.6 * draws.normal()), lot_decimals).max(tick(lot_decimals));
        Some(Book { bid, bid_quantity: quantity(), ask, ask_quantity: quantity(), update_id: step })
    }

    /// The forced orders that the stream shows for a bar, in order of time.
    pub fn forced_orders(&self, symbol: usize, bar: BarIndex) -> Vec<ForcedOrder> {
        let Some(sim) = self.bar(symbol, bar) else { return Vec::new() };
        let listing = &self.scenario().symbols[symbol];
        let mut draws = Draws::new(self.key(symbol, "forced orders"), bar);
        let falls = sim.perp.close < sim.perp.open;
        let mut slots: Vec<i64> = (0..sim.forced_orders)
            .map(|_| (draws.uniform() * (BAR_MS / FORCED_STEP_MS) as f64) as i64)
            .collect();
        slots.sort_unstable();
        slots.dedup();
        slots
            .into_iter()
            .map(|slot| {
                let at = Ts(bar.open().0 + slot * FORCED_STEP_MS + draws.between(0.0, 990.0) as i64);
                // Falling prices liquidate longs, which sells; now and then somebody is on the other side.
                let is_sell = falls == (draws.uniform() < 0.85);
                let last = self.last_price(symbol, Series::Perp, &sim, at).unwrap_or(sim.perp.close);
                let away = if is_sell { -1.0 } else { 1.0 };
                let average = round_to(last * (1.0 + away * 0.0001), listing.tick_decimals);
                let price =
                    round_to(last * (1.0 + away * draws.between(0.002, 0.006)), listing.tick_decimals);
                let value = 0.0012 * listing.turnover * draws.exponential();
                let quantity = round_to(value / last, listing.lot_decimals).max(tick(listing.lot_decimals));
                ForcedOrder { at, is_sell, price, average, quantity }
            })
            .collect()
    }
}
