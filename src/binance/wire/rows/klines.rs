//! Klines: trades, mark, index and premium.

use std::fmt;

use serde::de::{Error, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::read;
use crate::wire::scalar::Scalar;
use crate::wire::{WireError, check_range};
use backtestd_core::market::{Bar, BarIndex, Ts};

/// One row of `/klines`, `/markPriceKlines` and their kin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KlineRow {
    /// Open time of the bar, UTC ms.
    pub open_ts: Ts,
    /// Close time as sent: open of the next bar minus 1 ms.
    pub close_ts: Ts,
    /// Values; the slot holds `open_ts`. In mark and index rows the volume columns mean nothing.
    pub bar: Bar,
}

/// Columns that mean something; what the exchange may append one day is skipped.
const COLUMNS: usize = 12;

/// The first columns of a row.
struct RawRow<'a>([Scalar<'a>; COLUMNS]);

impl<'de> Deserialize<'de> for RawRow<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Columns;
        impl<'de> Visitor<'de> for Columns {
            type Value = RawRow<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a kline row of {COLUMNS} columns or more")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut row = Vec::with_capacity(COLUMNS);
                while row.len() < COLUMNS {
                    let next = seq.next_element()?;
                    row.push(next.ok_or_else(|| A::Error::invalid_length(row.len(), &self))?);
                }
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                match row.try_into() {
                    Ok(row) => Ok(RawRow(row)),
                    Err(_) => Err(A::Error::invalid_length(COLUMNS, &self)),
                }
            }
        }
        deserializer.deserialize_seq(Columns)
    }
}

/// `/fapi/v1/klines`, `/api/v3/klines` and the mark, index and premium rows: arrays of 12 or more.
///
/// `signed` prices (the premium index) may be negative; all others are refused when they are.
///
/// # Errors
/// When the body is not such an array or a value cannot be what its column means.
pub fn parse_klines(body: &[u8], prices: Prices) -> Result<Vec<KlineRow>, WireError> {
    const WHAT: &str = "kline row";
    let rows: Vec<RawRow<'_>> = read(body, "klines response")?;
    rows.iter()
        .map(|RawRow(row)| {
            let price = |i: usize, field| match prices {
                Prices::Positive => row[i].amount(WHAT, field),
                Prices::Signed => row[i].decimal(WHAT, field),
            };
            let open_ts = row[0].time(WHAT, "open_time")?;
            let bar = Bar {
                bar: open_ts.bar(),
                open: price(1, "open")?,
                high: price(2, "high")?,
                low: price(3, "low")?,
                close: price(4, "close")?,
                volume: row[5].amount(WHAT, "volume")?,
                quote_volume: row[7].amount(WHAT, "quote_volume")?,
                trades: row[8].amount(WHAT, "count")?,
                taker_buy_volume: row[9].amount(WHAT, "taker_buy_volume")?,
                taker_buy_quote: row[10].amount(WHAT, "taker_buy_quote_volume")?,
            };
            check_range(&bar, WHAT)?;
            Ok(KlineRow { open_ts, close_ts: row[6].time(WHAT, "close_time")?, bar })
        })
        .collect()
}

/// Which prices a row may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prices {
    /// Prices proper, which cannot be negative.
    Positive,
    /// The premium index, which is a difference.
    Signed,
}

impl KlineRow {
    /// The grid slot, or the error that names what is off.
    ///
    /// # Errors
    /// When the row is not a 5-minute bar of the grid.
    pub fn grid_slot(&self) -> Result<BarIndex, WireError> {
        let slot = self.bar.bar;
        if self.open_ts != slot.open() {
            let shown = self.open_ts.0.to_string();
            return Err(WireError::field("kline row", "open_time", shown, "a multiple of 300000"));
        }
        if self.close_ts.0 + 1 != slot.close().0 {
            let shown = self.close_ts.0.to_string();
            return Err(WireError::field("kline row", "close_time", shown, "open_time + 299999"));
        }
        Ok(slot)
    }
}
