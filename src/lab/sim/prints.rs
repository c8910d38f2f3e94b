//! Aggregated trades of a bar: cut along its path so that together they are the bar: first, highest, lowest
//! and last price, volume, taker volume and number of trades, all exactly. Only their value (price ×
//! quantity) is another than the bar's, which takes one typical price for all.

use backtestd_core::market::{BAR_MS, BarIndex, Ts};

use super::market::intrabar::{corners, price_at};
use super::view::IDS_PER_BAR;
use super::{Market, Series, SeriesBar, SimBar};

/// More prints than a bar can have; ids are made of the bar number and the count within the bar.
const PRINTS_PER_BAR: i64 = 10_000;

/// One aggregated trade.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Print {
    /// Rises by one from print to print of a bar.
    pub id: i64,
    /// When it was made.
    pub at: Ts,
    /// The price of all its trades.
    pub price: f64,
    /// Quantity in base units.
    pub quantity: f64,
    /// True: the buyer was the maker, a taker sold.
    pub is_buyer_maker: bool,
    /// First and last single trade in it.
    pub ids: (i64, i64),
}

/// What has been printed of a bar, in lots and trades.
#[derive(Clone, Copy, Default)]
struct Printed {
    bought: f64,
    sold: f64,
    trades: f64,
}

impl Market {
    /// The bar of the print with this id.
    #[must_use]
    pub const fn bar_of_print(id: i64) -> BarIndex {
        BarIndex(id.div_euclid(PRINTS_PER_BAR))
    }

    /// The prints of a bar in order, at least one in every `step_ms` in which something traded.
    pub fn prints(&self, symbol: usize, series: Series, bar: BarIndex, step_ms: i64) -> Vec<Print> {
        let Some(sim) = self.bar(symbol, bar) else { return Vec::new() };
        let listing = &self.scenario().symbols[symbol];
        let (whole, tick, lot) = match (series, sim.spot, listing.spot) {
            (Series::Spot, Some(whole), Some(spot)) => (whole, spot.tick_decimals, spot.lot_decimals),
            (Series::Spot, ..) => return Vec::new(),
            _ => (sim.perp, listing.tick_decimals, listing.lot_decimals),
        };
        let mut done = Printed::default();
        let mut prints = Vec::new();
        for (fraction, price, is_due) in points(&sim, &whole, step_ms, tick) {
            print_until(
                &whole,
                (fraction, is_due),
                lot,
                &mut done,
                |quantity, is_buyer_maker, first, count| {
                    let at = bar.open().0 + ((fraction * BAR_MS as f64) as i64).min(BAR_MS - 1);
                    let first = bar.0 * IDS_PER_BAR + first as i64;
                    prints.push(Print {
                        id: bar.0 * PRINTS_PER_BAR + i64::try_from(prints.len()).unwrap_or(0),
                        at: Ts(at),
                        price,
                        quantity,
                        is_buyer_maker,
                        ids: (first, first + (count as i64 - 1).max(0)),
                    });
                },
            );
        }
        prints
    }
}

/// Where the path is printed: its beginning, its corners, and the end of every step. Beginning, corners and
/// end make the bar's prices: something is printed there in any case.
fn points(sim: &SimBar, whole: &SeriesBar, step_ms: i64, tick_decimals: usize) -> Vec<(f64, f64, bool)> {
    let steps = (BAR_MS / step_ms).max(1);
    let mut at: Vec<(f64, f64, bool)> = (1..=steps)
        .map(|n| (n as f64 / steps as f64, n == steps))
        .map(|(fraction, is_end)| (fraction, price_at(sim, whole, fraction, tick_decimals), is_end))
        .collect();
    at.extend(corners(sim, whole)[1..3].iter().map(|&(fraction, price)| (fraction, price, true)));
    at.sort_by(|a, b| a.0.total_cmp(&b.0));
    at.insert(0, (at[0].0 / 2.0, whole.open, true));
    at
}

/// Says what is to be printed up to a fraction of the bar: quantity, side, first trade and number of trades.
/// What has no trade to stand for waits for the next point; where something is due, a lot and a trade are
/// taken ahead of their time; at the end everything is printed.
fn print_until(
    whole: &SeriesBar,
    (fraction, is_due): (f64, bool),
    lot_decimals: usize,
    done: &mut Printed,
    mut print: impl FnMut(f64, bool, f64, f64),
) {
    let scale = 10_f64.powi(i32::try_from(lot_decimals).unwrap_or(0));
    let lots = |quantity: f64| (quantity * scale * fraction).round();
    let mut bought = (lots(whole.taker_buy_volume) - done.bought).max(0.0);
    let mut sold = (lots(whole.volume - whole.taker_buy_volume) - done.sold).max(0.0);
    let mut trades = ((whole.trades * fraction).floor() - done.trades).max(0.0);
    let is_end = fraction >= 1.0;
    if is_due && !is_end {
        trades = trades.max(1.0);
        if bought + sold <= 0.0 {
            let of_buyers = whole.taker_buy_volume * 2.0 >= whole.volume;
            (bought, sold) = if of_buyers { (1.0, 0.0) } else { (0.0, 1.0) };
        }
    }
    if trades < 1.0 && !is_end {
        return;
    }
    let both = bought > 0.0 && sold > 0.0 && (trades >= 2.0 || is_end);
    let begin = done.trades;
    if bought > 0.0 && (both || bought >= sold) {
        let share = (trades * bought / (bought + sold)).round().clamp(1.0, (trades - 1.0).max(1.0));
        let count = if both { share } else { trades };
        print(bought / scale, false, done.trades, count);
        done.bought += bought;
        done.trades += count;
    }
    if sold > 0.0 && (both || sold > bought) {
        let count = begin + trades - done.trades;
        print(sold / scale, true, done.trades, count);
        done.sold += sold;
        done.trades += count;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::sim::Scenario;

    #[test]
    fn the_prints_of_a_bar_are_the_bar() {
        let market = Market::new(4, Arc::new(Scenario::default()));
        for (symbol, series, step_ms) in
            [(0, Series::Perp, 1000), (5, Series::Perp, 60_000), (1, Series::Spot, 5000)]
        {
            for n in 0..200 {
                let bar = market.genesis() + n;
                let sim = market.bar(symbol, bar).unwrap();
                let whole = if series == Series::Spot { sim.spot.unwrap() } else { sim.perp };
                let prints = market.prints(symbol, series, bar, step_ms);
                let (first, last) = (prints.first().unwrap(), prints.last().unwrap());
                assert_eq!((first.price, last.price), (whole.open, whole.close), "{bar:?}");
                let prices = || prints.iter().map(|p| p.price);
                assert_eq!(prices().fold(0.0, f64::max), whole.high);
                assert_eq!(prices().fold(f64::INFINITY, f64::min), whole.low);
                let sum = |wanted: fn(&Print) -> bool| {
                    prints.iter().filter(|p| wanted(p)).map(|p| p.quantity).sum::<f64>()
                };
                assert!((sum(|_| true) / whole.volume - 1.0).abs() < 1e-9);
                assert!((sum(|p| !p.is_buyer_maker) / whole.taker_buy_volume - 1.0).abs() < 1e-9);
                let trades: i64 = prints.iter().map(|p| p.ids.1 - p.ids.0 + 1).sum();
                assert_eq!(trades as f64, whole.trades);
                assert!(prints.windows(2).all(|w| w[0].id + 1 == w[1].id && w[0].at <= w[1].at));
                assert!(prints.windows(2).all(|w| w[0].ids.1 + 1 == w[1].ids.0));
            }
        }
    }
}
