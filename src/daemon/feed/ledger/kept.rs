//! Ledgers in the store: one small record a series, written in the batch of the records that it is about.
//!
//! ```text
//! key    ledger/<kind>/<market>/<symbol>
//! value  0   1 byte   version = 1
//!        1   …        the ledger, postcard
//! ```
//! Bytes of another version count as nothing known: the worst is to ask again.

use std::collections::BTreeMap;

use super::Ledger;
use backtestd_core::market::SeriesKey;
use backtestd_store::{Store, StoreError};

const VERSION: u8 = 1;

fn key(series: &SeriesKey) -> String {
    format!("ledger/{}/{}/{}", series.kind.name(), series.market, series.symbol)
}

/// The ledger of a series.
///
/// # Errors
/// When the engine fails.
pub fn load(store: &Store, series: &SeriesKey) -> Result<Ledger, StoreError> {
    let Some(bytes) = store.meta(&key(series))? else { return Ok(Ledger::default()) };
    let [VERSION, rest @ ..] = &bytes[..] else { return Ok(Ledger::default()) };
    Ok(postcard::from_bytes(rest).unwrap_or_default())
}

/// Name and value under which the store keeps a ledger.
#[must_use]
pub fn mark(series: &SeriesKey, ledger: &Ledger) -> (String, Vec<u8>) {
    let mut value = vec![VERSION];
    // Plain numbers and texts: there is nothing in a ledger that postcard refuses.
    value.extend(postcard::to_allocvec(ledger).unwrap_or_default());
    (key(series), value)
}

/// The ledgers that a process works with, read once each.
#[derive(Debug, Default)]
pub struct Ledgers(BTreeMap<SeriesKey, Ledger>);

impl Ledgers {
    /// The ledger of a series, as the store or this process knows it.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn of(&mut self, store: &Store, series: &SeriesKey) -> Result<&mut Ledger, StoreError> {
        if !self.0.contains_key(series) {
            self.0.insert(series.clone(), load(store, series)?);
        }
        Ok(self.0.entry(series.clone()).or_default())
    }
}
