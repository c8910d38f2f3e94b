//! Numbers as the venue writes them.

use std::fmt::Write;

use backtestd_lab::sim::Kline;

/// A decimal number with a fixed count of decimals.
pub(crate) fn decimal(value: f64, decimals: usize) -> String {
    format!("{value:.decimals$}")
}

/// One REST kline row: an array of twelve.
pub(crate) fn kline_row(out: &mut String, kline: &Kline) {
    let Kline { bar, digits, .. } = kline;
    let (p, v, q) = (digits.price, digits.volume, digits.quote);
    let _ = write!(
        out,
        "[{},\"{:.p$}\",\"{:.p$}\",\"{:.p$}\",\"{:.p$}\",\"{:.v$}\",{},\"{:.q$}\",{},\"{:.v$}\",\"{:.q$}\",\"0\"]",
        kline.open_time.0,
        bar.open,
        bar.high,
        bar.low,
        bar.close,
        bar.volume,
        kline.close_time.0,
        bar.quote_volume,
        bar.trades,
        bar.taker_buy_volume,
        bar.taker_buy_quote,
    );
}

/// The `k` object of a kline frame.
/// Continuous klines do not name their symbol.
pub(crate) fn kline_object(
    out: &mut String,
    kline: &Kline,
    symbol: Option<&str>,
    interval: &str,
    is_closed: bool,
) {
    let Kline { bar, digits, ids, .. } = kline;
    let (p, v, q) = (digits.price, digits.volume, digits.quote);
    let symbol = symbol.map(|symbol| format!("\"s\":\"{symbol}\",")).unwrap_or_default();
    let _ = write!(
        out,
        "{{\"t\":{},\"T\":{},{symbol}\"i\":\"{interval}\",\"f\":{},\"L\":{},\"o\":\"{:.p$}\",\"c\":\"{:.p$}\",\
         \"h\":\"{:.p$}\",\"l\":\"{:.p$}\",\"v\":\"{:.v$}\",\"n\":{},\"x\":{is_closed},\"q\":\"{:.q$}\",\"V\":\"{:.v$}\",\
         \"Q\":\"{:.q$}\",\"B\":\"0\"}}",
        kline.open_time.0,
        kline.close_time.0,
        ids.0,
        ids.1,
        bar.open,
        bar.close,
        bar.high,
        bar.low,
        bar.volume,
        bar.trades,
        bar.quote_volume,
        bar.taker_buy_volume,
        bar.taker_buy_quote,
    );
}
