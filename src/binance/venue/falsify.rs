//! False versions of a kline, as faults tell them.

use backtestd_core::market::{Market as Side, Ts};
use backtestd_lab::sim::{FaultKind, Kline, Series};

use super::state::Venue;

/// What a false version does to the price.
const WRONG_PRICE: f64 = 1.001;

/// Another close and half the volume: wrong, and nothing by itself gives it away.
pub(crate) fn wrong(kline: &mut Kline) {
    scale(kline, WRONG_PRICE);
    let (volume, quote) = (kline.digits.volume, kline.digits.quote);
    let bar = &mut kline.bar;
    bar.volume = rounded(bar.volume / 2.0, volume);
    bar.taker_buy_volume = rounded(bar.taker_buy_volume / 2.0, volume).min(bar.volume);
    bar.quote_volume = rounded(bar.quote_volume / 2.0, quote);
    bar.taker_buy_quote = rounded(bar.taker_buy_quote / 2.0, quote).min(bar.quote_volume);
    bar.trades = (bar.trades / 2.0).ceil();
}

/// The close times `factor`, and the range widened to hold it.
pub(crate) fn scale(kline: &mut Kline, factor: f64) {
    let bar = &mut kline.bar;
    bar.close = rounded(bar.close * factor, kline.digits.price);
    bar.high = bar.high.max(bar.close);
    bar.low = bar.low.min(bar.close);
}

/// What nobody can believe: a ten-thousandth of the price, and takers that bought ten times what was traded.
pub(crate) fn absurd(kline: &mut Kline) {
    let decimals = kline.digits.price;
    let bar = &mut kline.bar;
    for price in [&mut bar.open, &mut bar.high, &mut bar.low, &mut bar.close] {
        *price = rounded(*price / 10_000.0, decimals);
    }
    bar.taker_buy_volume = bar.volume * 10.0;
}

/// Whether history and stream still tell the first, false version of a 5-minute bar.
pub(crate) fn is_uncorrected(venue: &Venue, symbol: usize, series: Series, kline: &Kline, now: Ts) -> bool {
    let rule = |kind| venue.kline_fault(kind, symbol, side_of(series), kline.open_time);
    rule(FaultKind::CorrectedArchive).is_some()
        || rule(FaultKind::CorrectedKline)
            .is_some_and(|fault| now.0 <= kline.close_time.0 + fault.seconds * 1000)
}

/// When the archive has the true version of a 5-minute bar that everybody else tells falsely; none where it
/// is told truly.
pub(crate) fn corrected_in_archive(
    venue: &Venue,
    symbol: usize,
    series: Series,
    kline: &Kline,
) -> Option<Ts> {
    let rule = venue.kline_fault(FaultKind::CorrectedArchive, symbol, side_of(series), kline.open_time)?;
    Some(Ts(kline.close_time.0 + rule.seconds * 1000))
}

const fn side_of(series: Series) -> Side {
    match series {
        Series::Spot => Side::Spot,
        _ => Side::Perp,
    }
}

fn rounded(value: f64, decimals: usize) -> f64 {
    let scale = 10_f64.powi(i32::try_from(decimals).unwrap_or(8));
    (value * scale).round() / scale
}
