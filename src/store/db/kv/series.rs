//! Raw records: what the sources delivered.
//!
//! ```text
//! key    market | symbol 0x00 | time     time: bar number for bar-like kinds, milliseconds for instants
//! value  0      1 byte   version = 1
//!        1      1 byte   origin (see [`Origin`])
//!        2      n x 8    the columns of the kind, f64 little-endian, in the order of [`Kind::columns`](backtestd_core::market::Kind::columns)
//! ```
//!
//! Columns that a kind gained later ([`KindFacts::later_columns`](backtestd_core::market::KindFacts::later_columns)) are
//! left out where they are unknown: such a record has the bytes that it always had.
//!
//! Unknown is the canonical NaN. `-0.0` is stored as `0.0`.

use super::{market_byte, push_symbol, push_time};
use crate::Origin;
use backtestd_core::market::{Columns, Kind, MAX_COLUMNS, Market, Symbol};

const VERSION: u8 = 1;

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

/// A value of a kind: its columns, less what came later and is not known.
pub(in crate::db) fn encode(kind: Kind, origin: Origin, columns: &Columns) -> Vec<u8> {
    let width = kind.columns().len();
    let known = columns[..width].iter().rposition(|v| !v.is_nan()).map_or(0, |last| last + 1);
    write(origin, &columns[..known.max(width - kind.facts().later_columns)])
}

fn write(origin: Origin, columns: &[f64]) -> Vec<u8> {
    let mut value = Vec::with_capacity(2 + 8 * columns.len());
    value.push(VERSION);
    value.push(origin.code());
    for v in columns {
        value.extend_from_slice(&v.to_le_bytes());
    }
    value
}

/// Columns and origin of a value of a kind.
pub(in crate::db) fn decode(kind: Kind, value: &[u8]) -> Result<(Columns, Origin), String> {
    let width = kind.columns().len();
    let stored = value.len().saturating_sub(2) / 8;
    read(value, stored.clamp(width - kind.facts().later_columns, width))
}

/// Columns and origin of a value with `width` columns.
fn read(value: &[u8], width: usize) -> Result<(Columns, Origin), String> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use backtestd_core::market::{
        BarIndex, BookDepth, FundingPrint, LiquidationBar, MarkBar, OpenInterest, QuoteBar, Record, Records,
        Ts,
    };

    #[test]
    fn a_value_of_an_unknown_version_is_refused() {
        let mut value = write(Origin::Archive, &[1.0, 2.0]);
        assert_eq!(read(&value, 2).unwrap().0[..2], [1.0, 2.0]);
        value[0] = 9;
        assert_eq!(read(&value, 2).unwrap_err(), "record version 9 is not known");
    }

    #[test]
    fn a_settlement_of_before_special_ones_keeps_its_bytes() {
        let regular = FundingPrint::regular(Ts(0), 1.5, 8.0);
        let old = write(Origin::Rest, &[1.5, 8.0]);
        assert_eq!(encode(Kind::Funding, Origin::Rest, &regular.columns()), old);
        let read = |value: &[u8]| FundingPrint::from_columns(0, &decode(Kind::Funding, value).unwrap().0);
        assert!(read(&old).special_rate.is_nan());
        let both = FundingPrint { special_rate: 0.25, ..regular };
        let value = encode(Kind::Funding, Origin::Rest, &both.columns());
        assert_eq!((value.len(), read(&value)), (26, both));
        assert!(decode(Kind::Funding, &old[..10]).is_err());
        assert!(decode(Kind::Bars, &old).is_err());
    }

    #[test]
    fn the_columns_of_every_kind_stand_where_they_always_stood() {
        let columns: Vec<String> = Kind::ALL.iter().map(|kind| kind.columns().join(" ")).collect();
        assert_eq!(
            columns[..7],
            [
                "open high low close volume quote_volume trades taker_buy_volume taker_buy_quote_volume",
                "funding_rate funding_interval_hours special_funding_rate",
                "open_interest open_interest_value",
                "mark_price index_price premium predicted_rate",
                "liq_long_usd liq_short_usd liq_long_n liq_short_n liq_coverage",
                "spread_bps_mean spread_bps_max spread_bps_last bid_depth_usd ask_depth_usd imb_mean imb_last \
                 tob_coverage",
                "depth_bid_1pct depth_ask_1pct",
            ]
        );
        // What a field is called and where it is written are two things: one record of each kind, field by field.
        let columns = |records: Records| {
            let mut out = Vec::new();
            records.rows().each(&mut |time, c, _| {
                out = [&[time as f64], &c[..records.kind().columns().len()]].concat();
            });
            out
        };
        let (bar, ts) = (BarIndex(1), Ts(1));
        let all: [Records; 6] = [
            vec![FundingPrint { ts, rate: 2.0, interval_hours: 3.0, special_rate: 4.0 }].into(),
            vec![OpenInterest { ts, contracts: 2.0, value: 3.0 }].into(),
            vec![MarkBar { bar, mark: 2.0, index: 3.0, premium: 4.0, predicted_rate: 5.0 }].into(),
            vec![LiquidationBar {
                bar,
                long_usd: 2.0,
                short_usd: 3.0,
                long_n: 4.0,
                short_n: 5.0,
                coverage: 6.0,
            }]
            .into(),
            vec![QuoteBar {
                bar,
                spread_bps_mean: 2.0,
                spread_bps_max: 3.0,
                spread_bps_last: 4.0,
                bid_depth_usd: 5.0,
                ask_depth_usd: 6.0,
                imb_mean: 7.0,
                imb_last: 8.0,
                coverage: 9.0,
            }]
            .into(),
            vec![BookDepth { ts, bid_1pct: 2.0, ask_1pct: 3.0 }].into(),
        ];
        for records in all {
            let (kind, written) = (records.kind(), columns(records));
            assert_eq!(written, (1..=written.len()).map(|n| n as f64).collect::<Vec<_>>(), "{}", kind.name());
        }
    }

    #[test]
    fn the_layout_of_a_bar_is_pinned() {
        let value = write(Origin::Archive, &[1.5]);
        assert_eq!(value, [1, 1, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f]);
        let key = key(Market::Spot, &Symbol::new("AB").unwrap(), 258);
        assert_eq!(key, [1, b'A', b'B', 0, 0x80, 0, 0, 0, 0, 0, 1, 2]);
    }
}
