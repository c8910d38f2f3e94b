//! The byte layout of every key and value, one file per kind.
//!
//! Building blocks of keys:
//!
//! ```text
//! market   1 byte   0 perp, 1 spot
//! symbol   UTF-8 bytes, then 0x00 (no symbol holds a NUL, so names sort as text)
//! time     8 bytes, big-endian, sign bit flipped (bytes sort as the numbers do)
//! ```
//!
//! A value starts with a version byte; the rest is fixed-width and little-endian unless its file says
//! otherwise. A version byte that is not known is an error, never a guess. Readers of old versions stay for
//! ever.

pub(super) mod blob;
pub(super) mod conflict;
pub(super) mod delivery;
pub(super) mod event;
pub(super) mod outcome;
pub(super) mod quarantine;
pub(super) mod series;
pub(super) mod summary;
pub(super) mod trial;

use backtestd_core::market::{Market, Symbol};

/// Appends a time-like number so that bytes sort as numbers.
pub(super) fn push_time(key: &mut Vec<u8>, time: i64) {
    key.extend_from_slice(&((time as u64) ^ (1 << 63)).to_be_bytes());
}

/// The inverse of [`push_time`] on the last 8 bytes of a key.
pub(super) fn time_at_end(key: &[u8]) -> Option<i64> {
    let tail = key.len().checked_sub(8)?;
    time_at(key, tail)
}

/// The inverse of [`push_time`] at an offset.
pub(super) fn time_at(key: &[u8], offset: usize) -> Option<i64> {
    let bytes: [u8; 8] = key.get(offset..offset + 8)?.try_into().ok()?;
    Some((u64::from_be_bytes(bytes) ^ (1 << 63)) as i64)
}

/// Appends a symbol and its terminator.
pub(super) fn push_symbol(key: &mut Vec<u8>, symbol: &Symbol) {
    push_text(key, symbol.as_str());
}

/// Appends text and a NUL.
pub(super) fn push_text(key: &mut Vec<u8>, text: &str) {
    key.extend_from_slice(text.as_bytes());
    key.push(0);
}

/// Reads text up to its NUL; returns it and the offset behind the NUL.
pub(super) fn text_at(key: &[u8], offset: usize) -> Option<(&str, usize)> {
    let rest = key.get(offset..)?;
    let len = rest.iter().position(|b| *b == 0)?;
    Some((std::str::from_utf8(&rest[..len]).ok()?, offset + len + 1))
}

pub(super) const fn market_byte(market: Market) -> u8 {
    match market {
        Market::Perp => 0,
        Market::Spot => 1,
    }
}

pub(super) const fn market_from(byte: u8) -> Option<Market> {
    match byte {
        0 => Some(Market::Perp),
        1 => Some(Market::Spot),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_as_their_times_do() {
        let mut keys: Vec<Vec<u8>> = [5_i64, -3, 0, i64::MAX, i64::MIN, -1]
            .iter()
            .map(|t| {
                let mut key = Vec::new();
                push_time(&mut key, *t);
                key
            })
            .collect();
        keys.sort();
        let back: Vec<_> = keys.iter().filter_map(|k| time_at_end(k)).collect();
        assert_eq!(back, [i64::MIN, -3, -1, 0, 5, i64::MAX]);
    }

    #[test]
    fn a_symbol_that_begins_with_another_sorts_behind_it() {
        let key = |s: &str, t: i64| {
            let mut key = Vec::new();
            push_symbol(&mut key, &Symbol::new(s).unwrap());
            push_time(&mut key, t);
            key
        };
        assert!(key("BTC", i64::MAX) < key("BTCUSDT", i64::MIN));
    }
}
