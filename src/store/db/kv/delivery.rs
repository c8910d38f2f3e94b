//! Deliveries: what a file or an endpoint said of itself, once for all records that came with it.
//!
//! ```text
//! key    0x00 | id, u32 BE                  value  version = 1 | origin 1 byte | made: 0x00, or 0x01 and i64 LE ms | label
//! key    0x01 | SHA-256 of such a value     value  its id, u32 LE
//! ```
//!
//! Ids below [`FIRST_ID`] are never stored: they are the codes of origins, and stand for deliveries of that
//! origin that said nothing of themselves.

use sha2::{Digest, Sha256};

use crate::Origin;
use backtestd_core::market::Ts;

const VERSION: u8 = 1;
/// The first id that is given to a delivery.
pub(in crate::db) const FIRST_ID: u32 = 16;

pub(in crate::db) const fn origin_code(origin: Origin) -> u8 {
    match origin {
        Origin::Archive => 1,
        Origin::Rest => 2,
        Origin::Stream => 3,
        Origin::Table => 4,
        Origin::ArchiveDaily => 5,
        Origin::ArchiveMonthly => 6,
    }
}

pub(in crate::db) fn origin_from(code: u8) -> Option<Origin> {
    Origin::ALL.into_iter().find(|origin| origin_code(*origin) == code)
}

pub(in crate::db) fn key(id: u32) -> [u8; 5] {
    let [a, b, c, d] = id.to_be_bytes();
    [0, a, b, c, d]
}

/// The id of a key of [`key`]; `None` for one of [`index_key`] or any other.
pub(in crate::db) fn id_of(key: &[u8]) -> Option<u32> {
    let [0, id @ ..] = key else { return None };
    Some(u32::from_be_bytes(id.try_into().ok()?))
}

pub(in crate::db) fn encode(origin: Origin, made: Option<Ts>, label: &str) -> Vec<u8> {
    let mut value = vec![VERSION, origin_code(origin)];
    match made {
        Some(made) => {
            value.push(1);
            value.extend_from_slice(&made.0.to_le_bytes());
        }
        None => value.push(0),
    }
    value.extend_from_slice(label.as_bytes());
    value
}

pub(in crate::db) fn decode(value: &[u8]) -> Option<(Origin, Option<Ts>, &str)> {
    let [VERSION, origin, has_made, rest @ ..] = value else { return None };
    let (made, label) = match has_made {
        0 => (None, rest),
        1 => {
            let (made, label) = rest.split_first_chunk::<8>()?;
            (Some(Ts(i64::from_le_bytes(*made))), label)
        }
        _ => return None,
    };
    Some((origin_from(*origin)?, made, std::str::from_utf8(label).ok()?))
}

/// The key under which the id of such a value is found.
pub(in crate::db) fn index_key(value: &[u8]) -> Vec<u8> {
    std::iter::once(1).chain(Sha256::digest(value)).collect()
}

/// The id that an index entry holds.
pub(in crate::db) fn index_id(value: &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(value.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_is_read_back_and_codes_stay_what_they_are() {
        for (origin, code) in [
            (Origin::Archive, 1),
            (Origin::Rest, 2),
            (Origin::Stream, 3),
            (Origin::Table, 4),
            (Origin::ArchiveDaily, 5),
            (Origin::ArchiveMonthly, 6),
        ] {
            assert_eq!((origin_code(origin), origin_from(code)), (code, Some(origin)));
            assert!(u32::from(code) < FIRST_ID);
            for made in [None, Some(Ts(-5))] {
                let value = encode(origin, made, "a/ü.zip");
                assert_eq!(decode(&value), Some((origin, made, "a/ü.zip")));
            }
        }
        assert_eq!(decode(&[2, 1, 0]), None);
        assert_eq!(encode(Origin::Rest, None, "x"), [1, 2, 0, b'x']);
    }
}
