//! The 5-minute bar.

use super::record::{Columns, MAX_COLUMNS, Record};
use super::{BarIndex, Kind, Source};

/// One finished 5-minute bar. `NaN` = the source did not say (never zero-filled); a delivered bar without
/// trades has true zeros in the volume columns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bar {
    /// Slot on the 5-minute grid.
    pub bar: BarIndex,
    /// First trade price, quote currency.
    pub open: f64,
    /// Highest trade price.
    pub high: f64,
    /// Lowest trade price.
    pub low: f64,
    /// Last trade price.
    pub close: f64,
    /// Traded quantity, base units.
    pub volume: f64,
    /// Traded value, quote units.
    pub quote_volume: f64,
    /// Number of trades.
    pub trades: f64,
    /// Quantity bought by takers, base units.
    pub taker_buy_volume: f64,
    /// Value bought by takers, quote units.
    pub taker_buy_quote: f64,
}

impl Bar {
    /// Names of the columns of [`Bar::values`], in files too.
    pub const NAMES: [&str; Self::COLUMNS] = [
        "open",
        "high",
        "low",
        "close",
        "volume",
        "quote_volume",
        "trades",
        "taker_buy_volume",
        "taker_buy_quote_volume",
    ];
    /// Width of [`Bar::values`].
    pub const COLUMNS: usize = 9;

    /// All values in declaration order: the store's and the lake's column order.
    #[must_use]
    pub const fn values(&self) -> [f64; Self::COLUMNS] {
        [
            self.open,
            self.high,
            self.low,
            self.close,
            self.volume,
            self.quote_volume,
            self.trades,
            self.taker_buy_volume,
            self.taker_buy_quote,
        ]
    }

    /// The inverse of [`Bar::values`].
    #[must_use]
    pub const fn from_values(bar: BarIndex, v: [f64; Self::COLUMNS]) -> Self {
        Self {
            bar,
            open: v[0],
            high: v[1],
            low: v[2],
            close: v[3],
            volume: v[4],
            quote_volume: v[5],
            trades: v[6],
            taker_buy_volume: v[7],
            taker_buy_quote: v[8],
        }
    }

    /// Equal bit for bit, with NaN equal to NaN.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        self.bar == other.bar
            && self
                .values()
                .iter()
                .zip(other.values())
                .all(|(a, b)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()))
    }
}

impl Record for Bar {
    const KIND: Kind = Kind::Bars;
    const NAMES: &'static [&'static str] = &Self::NAMES;
    const SOURCES: &'static [Source] = &Source::PERP_BAR;

    fn time(&self) -> i64 {
        self.bar.0
    }

    fn columns(&self) -> Columns {
        const { assert!(Self::COLUMNS == MAX_COLUMNS) };
        self.values()
    }

    fn from_columns(time: i64, columns: &Columns) -> Self {
        Self::from_values(BarIndex(time), *columns)
    }
}
