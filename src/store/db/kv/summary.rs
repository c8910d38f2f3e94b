//! What is known about a raw series without scanning it.
//!
//! ```text
//! key    kind 1 byte (see [`Kind`]) | market | symbol 0x00
//! value  0   1 byte   version = 1
//!        1   8 bytes  first time, i64 LE
//!        9   8 bytes  last time, i64 LE
//!        17  8 bytes  records, u64 LE
//!        25  4 bytes  bit i: column i has a known value somewhere, u32 LE
//! ```

use super::{market_byte, market_from, push_symbol, text_at};
use backtestd_core::market::{Kind, SeriesKey, Symbol};

const VERSION: u8 = 1;

/// Extent of a raw series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// First time (bar number or milliseconds, by kind).
    pub first: i64,
    /// Last time.
    pub last: i64,
    /// Number of records.
    pub records: u64,
    /// Bit i is set when column i is known somewhere.
    pub known: u32,
}

pub(in crate::db) fn key(series: &SeriesKey) -> Vec<u8> {
    let mut key = vec![series.kind.facts().code, market_byte(series.market)];
    push_symbol(&mut key, &series.symbol);
    key
}

pub(in crate::db) fn decode_key(key: &[u8]) -> Option<SeriesKey> {
    let kind = Kind::from_code(*key.first()?)?;
    let market = market_from(*key.get(1)?)?;
    let (text, _) = text_at(key, 2)?;
    Some(SeriesKey { kind, market, symbol: Symbol::new(text).ok()? })
}

pub(in crate::db) fn encode(s: &Summary) -> Vec<u8> {
    let mut v = vec![VERSION];
    v.extend_from_slice(&s.first.to_le_bytes());
    v.extend_from_slice(&s.last.to_le_bytes());
    v.extend_from_slice(&s.records.to_le_bytes());
    v.extend_from_slice(&s.known.to_le_bytes());
    v
}

pub(in crate::db) fn decode(v: &[u8]) -> Option<Summary> {
    if v.len() != 29 || v[0] != VERSION {
        return None;
    }
    Some(Summary {
        first: i64::from_le_bytes(v[1..9].try_into().ok()?),
        last: i64::from_le_bytes(v[9..17].try_into().ok()?),
        records: u64::from_le_bytes(v[17..25].try_into().ok()?),
        known: u32::from_le_bytes(v[25..29].try_into().ok()?),
    })
}
