//! Raw records: what the sources delivered.
//!
//! ```text
//! key    market | symbol 0x00 | time     time: bar number for bar-like kinds, milliseconds for instants
//! value  0      1 byte   version = 1
//!        1      1 byte   origin (see [`Origin`])
//!        2      n x 8    the columns of the kind, f64 little-endian, in the order of [`Record::NAMES`]
//! ```
//!
//! Columns that a kind gained later ([`later_columns`]) are left out where they are unknown: such a record has the bytes
//! that it always had.
//!
//! Unknown is the canonical NaN. `-0.0` is stored as `0.0`.

use super::{market_byte, push_symbol, push_time};
use crate::Origin;
use backtestd_core::market::Kind;
use backtestd_core::market::{
    Bar, BarIndex, BookDepth, FundingPrint, LiquidationBar, MarkBar, Market, OpenInterest, QuoteBar, Symbol,
    Ts,
};

/// The widest record.
pub(in crate::db) const MAX_COLUMNS: usize = 9;
/// Column values, the first `NAMES.len()` of them used.
pub(in crate::db) type Columns = [f64; MAX_COLUMNS];

const VERSION: u8 = 1;

/// A raw record that the store can hold.
pub(in crate::db) trait Record: Copy + Send + Sync {
    const KIND: Kind;
    const NAMES: &'static [&'static str];
    fn time(&self) -> i64;
    fn columns(&self) -> Columns;
    fn from_columns(time: i64, c: &Columns) -> Self;
}

/// Pads with NaN.
fn wide<const N: usize>(values: [f64; N]) -> Columns {
    let mut out = [f64::NAN; MAX_COLUMNS];
    out[..N].copy_from_slice(&values);
    out
}

pub(in crate::db) fn prefix(market: Market, symbol: &Symbol) -> Vec<u8> {
    let mut key = Vec::with_capacity(symbol.as_str().len() + 10);
    key.push(market_byte(market));
    push_symbol(&mut key, symbol);
    key
}

pub(in crate::db) fn key(market: Market, symbol: &Symbol, time: i64) -> Vec<u8> {
    let mut key = prefix(market, symbol);
    push_time(&mut key, time);
    key
}

/// How many of the last columns of a kind were added to it later.
const fn later_columns(kind: Kind) -> usize {
    match kind {
        // The rate of a special settlement.
        Kind::Funding => 1,
        _ => 0,
    }
}

/// A value of a kind: its columns, less what came later and is not known.
pub(in crate::db) fn encode_kind(kind: Kind, origin: Origin, columns: &[f64]) -> Vec<u8> {
    let first_later = columns.len().saturating_sub(later_columns(kind));
    let known = columns.iter().rposition(|v| !v.is_nan()).map_or(0, |last| last + 1);
    encode(origin, &columns[..known.max(first_later)])
}

fn encode(origin: Origin, columns: &[f64]) -> Vec<u8> {
    let mut value = Vec::with_capacity(2 + 8 * columns.len());
    value.push(VERSION);
    value.push(origin.code());
    for v in columns {
        value.extend_from_slice(&v.to_le_bytes());
    }
    value
}

/// Columns and origin of a value of a kind.
pub(in crate::db) fn decode_kind(
    kind: Kind,
    value: &[u8],
    width: usize,
) -> Result<(Columns, Origin), String> {
    let stored = (value.len().saturating_sub(2) / 8).min(width);
    decode(value, stored.max(width.saturating_sub(later_columns(kind))))
}

/// Columns and origin of a value with `width` columns.
fn decode(value: &[u8], width: usize) -> Result<(Columns, Origin), String> {
    let [version, origin, rest @ ..] = value else { return Err("value too short".to_owned()) };
    if *version != VERSION {
        return Err(format!("record version {version} is not known"));
    }
    let origin = Origin::from_code(*origin).ok_or_else(|| format!("origin code {origin} is not known"))?;
    if rest.len() != width * 8 {
        return Err(format!("{} bytes of columns where {} belong", rest.len(), width * 8));
    }
    let mut out = [f64::NAN; MAX_COLUMNS];
    for (slot, bytes) in out.iter_mut().zip(rest.as_chunks::<8>().0) {
        *slot = f64::from_le_bytes(*bytes);
    }
    Ok((out, origin))
}

/// One bit pattern per number: the canonical NaN, no negative zero.
pub(in crate::db) fn canonical(v: f64) -> f64 {
    if v.is_nan() { f64::NAN } else { v + 0.0 }
}

impl Record for Bar {
    const KIND: Kind = Kind::Bars;
    const NAMES: &'static [&'static str] = &Self::NAMES;
    fn time(&self) -> i64 {
        self.bar.0
    }
    fn columns(&self) -> Columns {
        self.values()
    }
    fn from_columns(time: i64, c: &Columns) -> Self {
        Self::from_values(BarIndex(time), *c)
    }
}

impl Record for FundingPrint {
    const KIND: Kind = Kind::Funding;
    const NAMES: &'static [&'static str] =
        &["funding_rate", "funding_interval_hours", "special_funding_rate"];
    fn time(&self) -> i64 {
        self.ts.0
    }
    fn columns(&self) -> Columns {
        wide([self.rate, self.interval_hours, self.special_rate])
    }
    fn from_columns(time: i64, c: &Columns) -> Self {
        Self { ts: Ts(time), rate: c[0], interval_hours: c[1], special_rate: c[2] }
    }
}

impl Record for OpenInterest {
    const KIND: Kind = Kind::OpenInterest;
    const NAMES: &'static [&'static str] = &["open_interest", "open_interest_value"];
    fn time(&self) -> i64 {
        self.ts.0
    }
    fn columns(&self) -> Columns {
        wide([self.contracts, self.value])
    }
    fn from_columns(time: i64, c: &Columns) -> Self {
        Self { ts: Ts(time), contracts: c[0], value: c[1] }
    }
}

impl Record for MarkBar {
    const KIND: Kind = Kind::Mark;
    const NAMES: &'static [&'static str] = &["mark_price", "index_price", "premium", "predicted_rate"];
    fn time(&self) -> i64 {
        self.bar.0
    }
    fn columns(&self) -> Columns {
        wide([self.mark, self.index, self.premium, self.predicted_rate])
    }
    fn from_columns(time: i64, c: &Columns) -> Self {
        Self { bar: BarIndex(time), mark: c[0], index: c[1], premium: c[2], predicted_rate: c[3] }
    }
}

impl Record for LiquidationBar {
    const KIND: Kind = Kind::Liquidations;
    const NAMES: &'static [&'static str] =
        &["liq_long_usd", "liq_short_usd", "liq_long_n", "liq_short_n", "liq_coverage"];
    fn time(&self) -> i64 {
        self.bar.0
    }
    fn columns(&self) -> Columns {
        wide([self.long_usd, self.short_usd, self.long_n, self.short_n, self.coverage])
    }
    fn from_columns(time: i64, c: &Columns) -> Self {
        Self {
            bar: BarIndex(time),
            long_usd: c[0],
            short_usd: c[1],
            long_n: c[2],
            short_n: c[3],
            coverage: c[4],
        }
    }
}

impl Record for QuoteBar {
    const KIND: Kind = Kind::Quotes;
    const NAMES: &'static [&'static str] = &[
        "spread_bps_mean",
        "spread_bps_max",
        "spread_bps_last",
        "bid_depth_usd",
        "ask_depth_usd",
        "imb_mean",
        "imb_last",
        "tob_coverage",
    ];
    fn time(&self) -> i64 {
        self.bar.0
    }
    fn columns(&self) -> Columns {
        wide([
            self.spread_bps_mean,
            self.spread_bps_max,
            self.spread_bps_last,
            self.bid_depth_usd,
            self.ask_depth_usd,
            self.imb_mean,
            self.imb_last,
            self.coverage,
        ])
    }
    fn from_columns(time: i64, c: &Columns) -> Self {
        Self {
            bar: BarIndex(time),
            spread_bps_mean: c[0],
            spread_bps_max: c[1],
            spread_bps_last: c[2],
            bid_depth_usd: c[3],
            ask_depth_usd: c[4],
            imb_mean: c[5],
            imb_last: c[6],
            coverage: c[7],
        }
    }
}

impl Record for BookDepth {
    const KIND: Kind = Kind::Depth;
    const NAMES: &'static [&'static str] = &["depth_bid_1pct", "depth_ask_1pct"];
    fn time(&self) -> i64 {
        self.ts.0
    }
    fn columns(&self) -> Columns {
        wide([self.bid_1pct, self.ask_1pct])
    }
    fn from_columns(time: i64, c: &Columns) -> Self {
        Self { ts: Ts(time), bid_1pct: c[0], ask_1pct: c[1] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_an_unknown_version_is_refused() {
        let mut value = encode(Origin::Archive, &[1.0, 2.0]);
        assert_eq!(decode(&value, 2).unwrap().0[..2], [1.0, 2.0]);
        value[0] = 9;
        assert_eq!(decode(&value, 2).unwrap_err(), "record version 9 is not known");
    }

    #[test]
    fn a_settlement_of_before_special_ones_keeps_its_bytes() {
        let regular = FundingPrint::regular(Ts(0), 1.5, 8.0);
        let old = encode(Origin::Rest, &[1.5, 8.0]);
        assert_eq!(encode_kind(Kind::Funding, Origin::Rest, &regular.columns()[..3]), old);
        let read =
            |value: &[u8]| FundingPrint::from_columns(0, &decode_kind(Kind::Funding, value, 3).unwrap().0);
        assert!(read(&old).special_rate.is_nan());
        let both = FundingPrint { special_rate: 0.25, ..regular };
        let value = encode_kind(Kind::Funding, Origin::Rest, &both.columns()[..3]);
        assert_eq!((value.len(), read(&value)), (26, both));
        assert!(decode_kind(Kind::Funding, &old[..10], 3).is_err());
        assert!(decode_kind(Kind::Bars, &old, 9).is_err());
    }

    #[test]
    fn the_layout_of_a_bar_is_pinned() {
        let value = encode(Origin::Archive, &[1.5]);
        assert_eq!(value, [1, 1, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f]);
        let key = key(Market::Spot, &Symbol::new("AB").unwrap(), 258);
        assert_eq!(key, [1, b'A', b'B', 0, 0x80, 0, 0, 0, 0, 0, 1, 2]);
    }
}
