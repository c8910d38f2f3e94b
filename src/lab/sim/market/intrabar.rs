//! Inside a bar: a fixed path open → extreme → extreme → close, so that an open bar, a 1-minute bar, a quote
//! or a trade at any instant agrees with the finished bar. A part of a bar is consistent with itself (its
//! value lies between low and high times its quantity), hence values of parts add up to the whole only
//! nearly; quantities and counts exactly.

use backtestd_core::market::{BAR_MS, Ts};

use super::symbol::{SeriesBar, SimBar, round_to};

/// Fraction of its bar that has passed at `at`, 0 before and 1 after it.
pub fn fraction(bar: &SimBar, at: Ts) -> f64 {
    ((at.0 - bar.bar.open().0) as f64 / BAR_MS as f64).clamp(0.0, 1.0)
}

/// The corners of the path: (fraction, price).
pub(crate) fn corners(bar: &SimBar, series: &SeriesBar) -> [(f64, f64); 4] {
    let (first, second) = if bar.high_first { (series.high, series.low) } else { (series.low, series.high) };
    [(0.0, series.open), (bar.turning.0, first), (bar.turning.1, second), (1.0, series.close)]
}

/// Price at a fraction of the bar, in whole ticks.
pub fn price_at(bar: &SimBar, series: &SeriesBar, at: f64, tick_decimals: usize) -> f64 {
    let corners = corners(bar, series);
    for pair in corners.windows(2) {
        let ((from, start), (to, end)) = (pair[0], pair[1]);
        if at <= to {
            let share = if to > from { (at - from) / (to - from) } else { 1.0 };
            return round_to(start + (end - start) * share, tick_decimals);
        }
    }
    series.close
}

/// Trades between two fractions of the bar; `None` if nothing traded between them. The second value is how
/// many trades came before.
pub fn part(
    bar: &SimBar,
    series: &SeriesBar,
    from: f64,
    to: f64,
    tick_decimals: usize,
    lot_decimals: usize,
) -> Option<(SeriesBar, f64)> {
    if from <= 0.0 && to >= 1.0 {
        return Some((*series, 0.0));
    }
    let trades_before = (series.trades * from).floor();
    let open = price_at(bar, series, from, tick_decimals);
    let close = price_at(bar, series, to, tick_decimals);
    let (mut high, mut low) = (open.max(close), open.min(close));
    for (at, price) in corners(bar, series) {
        if from <= at && at <= to {
            high = high.max(price);
            low = low.min(price);
        }
    }
    let between = |total: f64, decimals| round_to(total * to, decimals) - round_to(total * from, decimals);
    let volume = round_to(between(series.volume, lot_decimals), lot_decimals);
    let taker = round_to(between(series.taker_buy_volume, lot_decimals), lot_decimals).min(volume);
    let trades = (series.trades * to).floor() - trades_before;
    if trades <= 0.0 || to <= from {
        return None;
    }
    let typical = (open + high + low + close) / 4.0;
    let made = SeriesBar {
        open,
        high,
        low,
        close,
        volume,
        quote_volume: volume * typical,
        trades,
        taker_buy_volume: taker,
        taker_buy_quote: taker * typical,
    };
    Some((made, trades_before))
}

/// A line from open to close: mark, index and premium move like this.
pub fn along(ends: (f64, f64), at: f64) -> f64 {
    ends.0 + (ends.1 - ends.0) * at
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::sim::{Market, Scenario};

    #[test]
    fn parts_of_a_bar_make_the_whole() {
        let market = Market::new(9, Arc::new(Scenario::default()));
        for bar in market.bars(0, market.genesis(), 600) {
            let whole = bar.perp;
            let cuts: Vec<f64> = (0..=5).map(|i| f64::from(i) / 5.0).collect();
            let parts: Vec<SeriesBar> = cuts
                .windows(2)
                .filter_map(|w| part(&bar, &whole, w[0], w[1], 1, 3).map(|(p, _)| p))
                .collect();
            if whole.trades < 20.0 {
                continue;
            }
            let sum = |f: fn(&SeriesBar) -> f64| parts.iter().map(f).sum::<f64>();
            assert!((sum(|p| p.volume) - whole.volume).abs() < 1e-6);
            assert_eq!(sum(|p| p.trades), whole.trades);
            assert_eq!(parts.iter().map(|p| p.high).fold(0.0, f64::max), whole.high);
            assert_eq!(parts.iter().map(|p| p.low).fold(f64::INFINITY, f64::min), whole.low);
            assert_eq!((parts[0].open, parts[parts.len() - 1].close), (whole.open, whole.close));
        }
    }
}
