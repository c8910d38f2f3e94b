//! The ledger of conflicts: two deliveries that said different things of one record.
//!
//! ```text
//! key    0x00 | sequence number, u64 BE                      value  0x01 | postcard of `StoredConflict`
//! key    0x01 | SHA-256 of the record and both sides         value  its sequence number, u64 LE
//! key    0x02 | kind | market | symbol 0x00 | delivery u32 BE   value  records beyond those that are listed, u64 LE
//! ```
//!
//! The hash does not depend on which side came first: the same two files in any order, any number of times,
//! are one entry.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{market_byte, summary};
use backtestd_core::market::SeriesKey;

const VERSION: u8 = 1;

/// What one delivery said of a record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::db) struct StoredSide {
    /// The delivery, see `delivery.rs`.
    pub id: u32,
    pub columns: Vec<f64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::db) struct StoredConflict {
    /// The series as the key of its summary.
    pub series: Vec<u8>,
    pub time: i64,
    /// When it was noted, ms.
    pub noted: Option<i64>,
    /// Whether the values that came later stand.
    pub new_stands: bool,
    pub old: StoredSide,
    pub new: StoredSide,
}

pub(in crate::db) fn key(seq: u64) -> Vec<u8> {
    std::iter::once(0).chain(seq.to_be_bytes()).collect()
}

pub(in crate::db) fn seq_of(key: &[u8]) -> Option<u64> {
    let [0, seq @ ..] = key else { return None };
    Some(u64::from_be_bytes(seq.try_into().ok()?))
}

pub(in crate::db) fn encode(conflict: &StoredConflict) -> Result<Vec<u8>, postcard::Error> {
    postcard::to_extend(conflict, vec![VERSION])
}

pub(in crate::db) fn decode(value: &[u8]) -> Option<StoredConflict> {
    let [VERSION, body @ ..] = value else { return None };
    postcard::from_bytes(body).ok()
}

/// The key of the entry that tells whether a conflict is known.
pub(in crate::db) fn identity(conflict: &StoredConflict) -> Vec<u8> {
    let bytes = |side: &StoredSide| -> Vec<u8> {
        let columns = side.columns.iter().flat_map(|v| v.to_le_bytes());
        side.id.to_le_bytes().into_iter().chain(columns).collect()
    };
    let mut sides = [bytes(&conflict.old), bytes(&conflict.new)];
    sides.sort();
    let mut hash = Sha256::new();
    hash.update(&conflict.series);
    hash.update(conflict.time.to_le_bytes());
    sides.iter().for_each(|side| hash.update(side));
    std::iter::once(1).chain(hash.finalize()).collect()
}

pub(in crate::db) fn number(value: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(value.try_into().ok()?))
}

pub(in crate::db) fn beyond_key(series: &SeriesKey, id: u32) -> Vec<u8> {
    debug_assert_eq!(
        summary::key(series)[1],
        market_byte(series.market),
        "the key of a summary names the market"
    );
    [&[2], &summary::key(series)[..], &id.to_be_bytes()].concat()
}

/// Series and delivery of a key of [`beyond_key`].
pub(in crate::db) fn beyond_of(key: &[u8]) -> Option<(SeriesKey, u32)> {
    let [2, rest @ ..] = key else { return None };
    let (series, id) = rest.split_last_chunk::<4>()?;
    Some((summary::decode_key(series)?, u32::from_be_bytes(*id)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use backtestd_core::market::{Kind, Market, Symbol};

    #[test]
    fn a_conflict_is_the_same_whichever_side_came_first() {
        let side = |id, value: f64| StoredSide { id, columns: vec![value, f64::NAN] };
        let one = StoredConflict {
            series: vec![1],
            time: -3,
            noted: Some(5),
            new_stands: true,
            old: side(16, 1.0),
            new: side(17, 2.0),
        };
        let back = decode(&encode(&one).unwrap()).unwrap();
        assert_eq!(format!("{back:?}"), format!("{one:?}"));
        let other = StoredConflict {
            noted: None,
            new_stands: false,
            old: side(17, 2.0),
            new: side(16, 1.0),
            ..one.clone()
        };
        assert_eq!(identity(&one), identity(&other));
        assert_ne!(identity(&one), identity(&StoredConflict { time: 3, ..one.clone() }));
        assert_ne!(identity(&one), identity(&StoredConflict { new: side(17, 2.5), ..one.clone() }));
    }

    #[test]
    fn keys_are_told_apart() {
        let series = SeriesKey { kind: Kind::Bars, market: Market::Spot, symbol: Symbol::new("AB").unwrap() };
        let beyond = beyond_key(&series, 16);
        assert_eq!(beyond_of(&beyond), Some((series, 16)));
        assert_eq!((seq_of(&key(7)), seq_of(&beyond), beyond_of(&key(7))), (Some(7), None, None));
    }
}
