//! Raw records: what the sources delivered.
//!
//! ```text
//! key    market | symbol 0x00 | time     time: bar number for bar-like kinds, milliseconds for instants
//! value  0      1 byte   version = 2
//!        1      1 byte   the least trusted origin of its columns (see [`Origin`])
//!        2      1 byte   n, how many columns follow
//!        3      n x 8    the columns of the kind, f64 little-endian, in the order of [`Kind::columns`](backtestd_core::market::Kind::columns)
//!        3+8n   4        the delivery (see `delivery.rs`) that all known columns came with, u32 little-endian,
//!               or n x 4 the delivery of each column, 0 where it is unknown
//! version 1: version and origin as above, then the columns to the end; which delivery they came with is not known
//! ```
//!
//! Columns that a kind gained later
//! ([`KindFacts::later_columns`](backtestd_core::market::KindFacts::later_columns)) are left out where they
//! are unknown.
//!
//! Unknown is the canonical NaN. `-0.0` is stored as `0.0`.

use super::delivery::{origin_code, origin_from};
use super::{market_byte, push_symbol, push_time};
use crate::Origin;
use backtestd_core::market::{Columns, Kind, MAX_COLUMNS, Market, Symbol};

/// Without the deliveries of the columns.
const ORIGIN_ONLY: u8 = 1;
const VERSION: u8 = 2;

/// The delivery that each column came with; 0 where the column is unknown.
pub(in crate::db) type Ids = [u32; MAX_COLUMNS];

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

/// The columns of a kind as they are stored: less what came later and is not known.
pub(in crate::db) fn stored(kind: Kind, columns: &Columns) -> &[f64] {
    let width = kind.columns().len();
    let known = columns[..width].iter().rposition(|v| !v.is_nan()).map_or(0, |last| last + 1);
    &columns[..known.max(width - kind.facts().later_columns)]
}

/// A value of a kind. `origin` is the least trusted one of its columns.
pub(in crate::db) fn encode(kind: Kind, origin: Origin, columns: &Columns, ids: &Ids) -> Vec<u8> {
    let columns = stored(kind, columns);
    let ids = &ids[..columns.len()];
    let mut value = Vec::with_capacity(7 + 8 * columns.len());
    value.extend_from_slice(&[VERSION, origin_code(origin), columns.len() as u8]);
    for v in columns {
        value.extend_from_slice(&v.to_le_bytes());
    }
    let known = || columns.iter().zip(ids).filter(|(v, _)| !v.is_nan()).map(|(_, id)| *id);
    let first = known().next().unwrap_or(u32::from(origin_code(origin)));
    if known().all(|id| id == first) {
        value.extend_from_slice(&first.to_le_bytes());
        return value;
    }
    for (v, id) in columns.iter().zip(ids) {
        value.extend_from_slice(&if v.is_nan() { 0 } else { *id }.to_le_bytes());
    }
    value
}

/// Columns and origin of a value of a kind.
pub(in crate::db) fn decode(kind: Kind, value: &[u8]) -> Result<(Columns, Origin), String> {
    let (columns, _, origin) = read(kind, value)?;
    let mut out = [f64::NAN; MAX_COLUMNS];
    for (slot, bytes) in out.iter_mut().zip(columns) {
        *slot = f64::from_le_bytes(*bytes);
    }
    Ok((out, origin))
}

/// The bytes of the columns of a value of a kind, whatever its version: what is equal where the numbers are.
pub(in crate::db) fn column_bytes(kind: Kind, value: &[u8]) -> Result<&[u8], String> {
    Ok(read(kind, value)?.0.as_flattened())
}

/// The delivery of each column of a value of a kind.
pub(in crate::db) fn decode_ids(kind: Kind, value: &[u8]) -> Result<Ids, String> {
    let (columns, ids, origin) = read(kind, value)?;
    let all = match ids {
        [] => u32::from(origin_code(origin)),
        [one] => u32::from_le_bytes(*one),
        _ => 0,
    };
    let mut out = [0; MAX_COLUMNS];
    for (i, (slot, column)) in out.iter_mut().zip(columns).enumerate() {
        *slot = match ids.get(i) {
            _ if f64::from_le_bytes(*column).is_nan() => 0,
            Some(id) if ids.len() > 1 => u32::from_le_bytes(*id),
            _ => all,
        };
    }
    Ok(out)
}

/// The parts of a value: its columns, the deliveries (none, one or one for each column), its origin.
type Parts<'v> = (&'v [[u8; 8]], &'v [[u8; 4]], Origin);

fn read(kind: Kind, value: &[u8]) -> Result<Parts<'_>, String> {
    let [version, origin, rest @ ..] = value else { return Err("value too short".to_owned()) };
    let origin = origin_from(*origin).ok_or_else(|| format!("origin code {origin} is not known"))?;
    let widest = kind.columns().len();
    let widths = widest - kind.facts().later_columns..=widest;
    let (columns, ids) = match *version {
        ORIGIN_ONLY => (rest, &[][..]),
        VERSION => {
            let (n, rest) = rest.split_first().ok_or("value too short")?;
            rest.split_at_checked(8 * usize::from(*n)).ok_or("value too short")?
        }
        _ => return Err(format!("record version {version} is not known")),
    };
    let ((columns, odd), (ids, odd_ids)) = (columns.as_chunks::<8>(), ids.as_chunks::<4>());
    let fits_ids = match (*version, ids.len()) {
        (ORIGIN_ONLY, 0) | (VERSION, 1) => true,
        (VERSION, n) => n == columns.len(),
        _ => false,
    };
    if !widths.contains(&columns.len()) || !odd.is_empty() || !odd_ids.is_empty() || !fits_ids {
        return Err(format!("{} bytes, which {} columns do not have", value.len(), widths.end()));
    }
    Ok((columns, ids, origin))
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

    /// A value of version 1, as it was written before deliveries were kept.
    fn old(origin: u8, columns: &[f64]) -> Vec<u8> {
        [ORIGIN_ONLY, origin].into_iter().chain(columns.iter().flat_map(|v| v.to_le_bytes())).collect()
    }

    #[test]
    fn a_value_of_an_unknown_version_or_length_is_refused() {
        let value = encode(
            Kind::Depth,
            Origin::Rest,
            &BookDepth { ts: Ts(0), bid_1pct: 1.0, ask_1pct: 2.0 }.columns(),
            &[9; MAX_COLUMNS],
        );
        assert_eq!(decode(Kind::Depth, &value).unwrap().0[..2], [1.0, 2.0]);
        for (at, byte) in [(0, 9), (1, 77), (2, 1), (2, 3)] {
            let mut bad = value.clone();
            bad[at] = byte;
            assert!(decode(Kind::Depth, &bad).is_err(), "byte {at} = {byte}");
        }
        for length in 0..value.len() {
            assert!(decode(Kind::Depth, &value[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn a_settlement_of_before_special_ones_is_read_and_new_ones_have_no_more_columns_than_they_know() {
        let regular = FundingPrint::regular(Ts(0), 1.5, 8.0);
        let read = |value: &[u8]| FundingPrint::from_columns(0, &decode(Kind::Funding, value).unwrap().0);
        let stored = old(2, &[1.5, 8.0]);
        assert!(read(&stored).special_rate.is_nan());
        assert_eq!(decode_ids(Kind::Funding, &stored).unwrap()[..3], [2, 2, 0]);
        let value = encode(Kind::Funding, Origin::Rest, &regular.columns(), &[20; MAX_COLUMNS]);
        assert_eq!(column_bytes(Kind::Funding, &value), column_bytes(Kind::Funding, &stored));
        let both = FundingPrint { special_rate: 0.25, ..regular };
        let value = encode(Kind::Funding, Origin::Rest, &both.columns(), &[20, 20, 21, 0, 0, 0, 0, 0, 0]);
        assert_eq!((value.len(), read(&value)), (3 + 24 + 12, both));
        assert_eq!(decode_ids(Kind::Funding, &value).unwrap()[..3], [20, 20, 21]);
        assert!(decode(Kind::Funding, &stored[..10]).is_err());
        assert!(decode(Kind::Bars, &stored).is_err());
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
        // What a field is called and where it is written are two things: one record of each kind, field by
        // field.
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
    fn the_layout_of_a_record_is_pinned() {
        let depth = BookDepth { ts: Ts(0), bid_1pct: 1.5, ask_1pct: f64::NAN }.columns();
        let value = encode(Kind::Depth, Origin::ArchiveDaily, &depth, &[258; MAX_COLUMNS]);
        let unknown = f64::NAN.to_le_bytes();
        let expected = [&[2, 5, 2, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f][..], &unknown, &[2, 1, 0, 0]].concat();
        assert_eq!(value, expected);
        let key = key(Market::Spot, &Symbol::new("AB").unwrap(), 258);
        assert_eq!(key, [1, b'A', b'B', 0, 0x80, 0, 0, 0, 0, 0, 1, 2]);
    }
}
