//! Records that are not taken for true.
//!
//! ```text
//! key    kind 1 byte | market | symbol 0x00 | time     time: as in the series itself
//! value  0x01 | JSON of an [`Entry`]
//! ```

use serde::{Deserialize, Serialize};

use super::{blob, market_byte, market_from, push_symbol, push_time, text_at, time_at};
use backtestd_core::market::{Columns, Kind, SeriesKey, Symbol};

/// What is known of a record in quarantine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::db) struct Entry {
    /// Name of the rule that it breaks.
    pub(in crate::db) rule: String,
    /// What is wrong, in words.
    pub(in crate::db) reason: String,
    /// The bits of its columns: what was judged.
    pub(in crate::db) bits: Vec<u64>,
    /// Who took it for true all the same, and why.
    pub(in crate::db) released: Option<Release>,
}

/// Why and when somebody took a record for true that the rules doubt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Why the record is taken for true.
    pub reason: String,
    /// When that was said, milliseconds.
    pub at_ms: i64,
}

impl Entry {
    /// Whether the record is unknown for everything downstream.
    pub(in crate::db) const fn masks(&self) -> bool {
        self.released.is_none()
    }
}

/// The bits of columns, so many of them as the kind has.
pub(in crate::db) fn bits(kind: Kind, columns: &Columns) -> Vec<u64> {
    columns.iter().take(kind.columns().len()).map(|value| value.to_bits()).collect()
}

/// All records of a series.
pub(in crate::db) fn prefix(series: &SeriesKey) -> Vec<u8> {
    let mut key = vec![series.kind.facts().code, market_byte(series.market)];
    push_symbol(&mut key, &series.symbol);
    key
}

pub(in crate::db) fn key(series: &SeriesKey, time: i64) -> Vec<u8> {
    let mut key = prefix(series);
    push_time(&mut key, time);
    key
}

pub(in crate::db) fn decode_key(key: &[u8]) -> Option<(SeriesKey, i64)> {
    let kind = Kind::from_code(*key.first()?)?;
    let market = market_from(*key.get(1)?)?;
    let (symbol, at) = text_at(key, 2)?;
    let symbol = Symbol::new(symbol).ok()?;
    (key.len() == at + 8).then_some(())?;
    Some((SeriesKey { kind, market, symbol }, time_at(key, at)?))
}

pub(in crate::db) fn encode(entry: &Entry) -> Vec<u8> {
    // Texts and numbers alone cannot fail.
    blob::wrap(&serde_json::to_vec(entry).unwrap_or_default())
}

pub(in crate::db) fn decode(value: &[u8]) -> Option<Entry> {
    serde_json::from_slice(blob::unwrap(value)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use backtestd_core::market::Market;

    #[test]
    fn keys_and_values_come_back() {
        let series =
            SeriesKey { kind: Kind::Bars, market: Market::Spot, symbol: Symbol::new("BTCUSDT").unwrap() };
        assert_eq!(decode_key(&key(&series, -7)), Some((series.clone(), -7)));
        assert!(key(&series, 5).starts_with(&prefix(&series)) && key(&series, 5) > key(&series, -7));
        assert_eq!(decode_key(&prefix(&series)), None);
        let entry = Entry {
            rule: "bounds".to_owned(),
            reason: "too much".to_owned(),
            bits: bits(Kind::OpenInterest, &[f64::NAN; 9]),
            released: Some(Release { reason: "seen".to_owned(), at_ms: 3 }),
        };
        assert_eq!(decode(&encode(&entry)), Some(entry));
        assert_eq!(decode(b"\x02{}"), None);
    }
}
