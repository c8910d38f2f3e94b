//! The layouts that NautilusTrader reads: what the folders of a catalog are called and how its numbers are
//! stored.

use std::fmt;

use arrow::datatypes::{DataType, TimeUnit};
use serde::{Deserialize, Serialize};

use super::fixed::FIXED_DIGITS;

/// Bytes of a stored number.
pub(super) const WIDTH: i32 = 16;
/// Digits of a stored decimal: all that 128 bits hold.
const DECIMAL_DIGITS: u8 = 38;

/// Layout of a catalog. A reader of one finds nothing in the other, and does not say so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Layout {
    /// What NautilusTrader 1.x reads.
    #[default]
    #[serde(rename = "nautilus-v1")]
    V1,
    /// What NautilusTrader 2.x reads.
    #[serde(rename = "nautilus-v2")]
    V2,
}

/// What a series holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bar,
    Funding,
    Mark,
    Index,
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1 => "nautilus-v1",
            Self::V2 => "nautilus-v2",
        })
    }
}

impl Layout {
    /// Folder of a series below the catalog.
    pub(super) fn folder(self, kind: Kind, name: &str) -> String {
        let folder = match (self, kind) {
            (Self::V1, Kind::Bar) => "bar",
            (Self::V1, Kind::Funding) => "funding_rate_update",
            (Self::V1, Kind::Mark) => "mark_price_update",
            (Self::V1, Kind::Index) => "index_price_update",
            (Self::V2, Kind::Bar) => "bars",
            (Self::V2, Kind::Funding) => "funding_rates",
            (Self::V2, Kind::Mark) => "mark_prices",
            (Self::V2, Kind::Index) => "index_prices",
        };
        format!("data/{folder}/{name}")
    }

    /// What the metadata of a table names besides: 2.x wants the type of its rows.
    pub(super) fn type_name(self, kind: Kind) -> Option<(&'static str, String)> {
        let name = match kind {
            Kind::Bar => "Bar",
            Kind::Funding => "FundingRateUpdate",
            Kind::Mark => "MarkPriceUpdate",
            Kind::Index => "IndexPriceUpdate",
        };
        (self == Self::V2).then(|| ("type_name", name.to_owned()))
    }

    /// Type of a price or a size.
    pub(super) fn number(self) -> DataType {
        match self {
            Self::V1 => DataType::FixedSizeBinary(WIDTH),
            Self::V2 => DataType::Decimal128(DECIMAL_DIGITS, FIXED_DIGITS as i8),
        }
    }

    /// Type of an instant.
    pub(super) fn time(self) -> DataType {
        match self {
            Self::V1 => DataType::UInt64,
            Self::V2 => DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
        }
    }
}
