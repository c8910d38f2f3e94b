//! Feature rows, where the deployment keeps them.
//!
//! ```text
//! key    time: bar | symbol 0x00
//! value  0x01 | features u32 LE | f64 LE each | one i8 per state
//! ```
//!
//! Columns are in the order of the graph under which the row was computed; its specs' hash is in `meta`.

use super::{push_symbol, push_time, text_at, time_at};
use crate::FeatureRow;
use backtestd_core::market::{BarIndex, Symbol};

const VERSION: u8 = 1;

pub(in crate::db) fn key(bar: BarIndex, symbol: &Symbol) -> Vec<u8> {
    let mut key = Vec::with_capacity(24);
    push_time(&mut key, bar.0);
    push_symbol(&mut key, symbol);
    key
}

pub(in crate::db) fn encode(row: &FeatureRow) -> Vec<u8> {
    let mut value = Vec::with_capacity(5 + row.features.len() * 8 + row.states.len());
    value.push(VERSION);
    value.extend_from_slice(&(row.features.len() as u32).to_le_bytes());
    for v in &row.features {
        value.extend_from_slice(&v.to_le_bytes());
    }
    value.extend(row.states.iter().map(|s| s.to_le_bytes()[0]));
    value
}

pub(in crate::db) fn decode(key: &[u8], value: &[u8]) -> Option<FeatureRow> {
    let (symbol, _) = text_at(key, 8)?;
    let (&VERSION, rest) = value.split_first()? else { return None };
    let (count, rest) = rest.split_at_checked(4)?;
    let count = u32::from_le_bytes(count.try_into().ok()?) as usize;
    let (features, states) = rest.split_at_checked(count.checked_mul(8)?)?;
    Some(FeatureRow {
        bar: BarIndex(time_at(key, 0)?),
        symbol: Symbol::new(symbol).ok()?,
        features: features.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect(),
        states: states.iter().map(|b| i8::from_le_bytes([*b])).collect(),
    })
}
