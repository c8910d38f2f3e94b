//! Rows of `/futures/data`: a time, mostly a symbol, and numbers as text. Every endpoint there has this
//! shape; which of the fields are read is the caller's choice.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::read;
use crate::wire::WireError;
use crate::wire::scalar::Scalar;
use backtestd_core::market::{BAR_MS, Symbol, Ts};

/// Values of one 5-minute period.
#[derive(Clone, Debug, PartialEq)]
pub struct StatisticsRow {
    /// The contract; some endpoints do not repeat it.
    pub symbol: Option<Symbol>,
    /// The label, floored to the grid of the 5-minute period (the only one asked for).
    pub ts: Ts,
    /// The fields that were asked for, in their order. A reported 0 is a defect of the source and stands as
    /// NaN, and so does an empty text.
    pub values: Vec<f64>,
}

/// What a field holds. Some undocumented ones are of changing types; those nobody asks for.
#[derive(Deserialize)]
#[serde(untagged)]
enum Cell<'a> {
    Scalar(#[serde(borrow)] Scalar<'a>),
    Other(IgnoredAny),
}

/// A body of `/futures/data`. `what` names a row in messages.
///
/// # Errors
/// When the body is not an array of rows that have these fields.
pub fn parse_statistics(
    body: &[u8],
    what: &'static str,
    fields: &[&'static str],
) -> Result<Vec<StatisticsRow>, WireError> {
    let rows: Vec<BTreeMap<Cow<'_, str>, Cell<'_>>> = read(body, what)?;
    rows.iter().map(|row| statistics_row(row, what, fields)).collect()
}

fn statistics_row(
    row: &BTreeMap<Cow<'_, str>, Cell<'_>>,
    what: &'static str,
    fields: &[&'static str],
) -> Result<StatisticsRow, WireError> {
    let scalar = |field: &'static str| match row.get(field) {
        Some(Cell::Scalar(scalar)) => Ok(scalar),
        Some(Cell::Other(_)) => Err(WireError::field(what, field, "a float or a list", "a number as text")),
        None => Err(WireError::field(what, field, "missing", "a number as text")),
    };
    let ts = scalar("timestamp")?.time(what, "timestamp")?;
    let symbol = match row.get("symbol") {
        Some(Cell::Scalar(symbol)) => Some(symbol.symbol(what, "symbol")?),
        _ => None,
    };
    let value = |field: &&'static str| {
        let scalar = scalar(field)?;
        let value = scalar.decimal_or_unknown(what, field)?;
        if value.is_nan() { Ok(value) } else { Ok(unless_zero(scalar.amount(what, field)?)) }
    };
    let values = fields.iter().map(value).collect::<Result<_, _>>()?;
    Ok(StatisticsRow { symbol, ts: Ts(ts.0 - ts.0.rem_euclid(BAR_MS)), values })
}

pub(super) fn unless_zero(x: f64) -> f64 {
    if x == 0.0 { f64::NAN } else { x }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#"[{"symbol":"BTCUSDT","longShortRatio":"1.5300","timestamp":"1760000123456",
        "CMCCirculatingSupply":19900000.5},{"longShortRatio":"0","timestamp":1760000400000},
        {"longShortRatio":"","timestamp":1760000700000}]"#;

    fn parse(body: &[u8], field: &'static str) -> Result<Vec<StatisticsRow>, WireError> {
        parse_statistics(body, "ratio row", &[field])
    }

    #[test]
    fn labels_are_floored_zeros_and_blanks_are_unknown_and_other_fields_do_not_matter() {
        let rows = parse(BODY, "longShortRatio").unwrap();
        assert_eq!(rows[0].symbol, Some(Symbol::new("BTCUSDT").unwrap()));
        assert_eq!((rows[0].ts, rows[0].values.as_slice()), (Ts(1_760_000_100_000), [1.53].as_slice()));
        assert_eq!(rows[1].symbol, None);
        assert!(rows[1].values[0].is_nan() && rows[2].values[0].is_nan());
    }

    #[test]
    fn a_field_that_is_missing_a_float_or_negative_is_refused_by_name() {
        let error = |body, field| parse(body, field).unwrap_err().to_string();
        assert!(error(BODY, "buySellRatio").contains("field `buySellRatio` is \"missing\""));
        assert!(error(BODY, "CMCCirculatingSupply").contains("field `CMCCirculatingSupply`"));
        let negative = br#"[{"longShortRatio":"-1","timestamp":1760000400000}]"#;
        assert!(error(negative, "longShortRatio").contains("not negative"));
    }
}
