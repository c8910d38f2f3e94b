//! Funding settlements: `calc_time, funding_interval_hours, last_funding_rate`, or tables with a symbol
//! column.
//!
//! A row whose `rateType` is `Special` is a settlement beside the regular one of the same minute, not a new
//! value of it.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use super::owner::Owner;
use super::table::{Column, Row, Schema, Table};
use super::{ArchiveError, FileSpec, Finding};
use backtestd_core::market::{FundingPrint, Symbol};

const TIME: usize = 0;
const INTERVAL: usize = 1;
const RATE: usize = 2;
const SYMBOL: usize = 3;
const RATE_TYPE: usize = 4;
const SPECIAL: usize = 5;

const SCHEMA: Schema<'static> = Schema {
    kind: "funding",
    columns: COLUMNS,
    ignored: &["mark_price", "index_price", "source", "exchange", "high", "low", "close", "volume", "id"],
    more: None,
};

const COLUMNS: &[Column] = &[
    Column {
        name: "calc_time",
        place: 0,
        aliases: &["calc_time", "funding_time", "timestamp", "datetime", "date", "time"],
        required: true,
    },
    Column {
        name: "funding_interval_hours",
        place: 1,
        aliases: &["funding_interval_hours", "interval_hours", "funding_interval_h"],
        required: false,
    },
    Column {
        name: "last_funding_rate",
        place: 2,
        // `open` is where one library keeps the rate, in a table shaped like candles.
        aliases: &["last_funding_rate", "funding_rate", "rate", "open"],
        required: true,
    },
    Column { name: "symbol", place: usize::MAX, aliases: &["symbol", "pair"], required: false },
    Column { name: "rate_type", place: usize::MAX, aliases: &["rate_type"], required: false },
    Column {
        name: "special_funding_rate",
        place: usize::MAX,
        aliases: &["special_funding_rate"],
        required: false,
    },
];

/// Reads settlements by symbol; rows without one belong to the file's.
pub(super) fn read(
    file: &Path,
    input: impl Read,
    spec: &FileSpec,
    findings: &mut Vec<Finding>,
) -> Result<BTreeMap<Symbol, Vec<FundingPrint>>, ArchiveError> {
    let mut table = Table::open(file, input, &SCHEMA, findings)?;
    let mut owner = Owner::new(file, spec);
    let mut out: BTreeMap<Symbol, Vec<FundingPrint>> = BTreeMap::new();
    while let Some(row) = table.next_row()? {
        let Some(symbol) = owner.of(&row, SYMBOL)? else { continue };
        out.entry(symbol).or_default().push(settlement(&row)?);
    }
    owner.report(findings);
    Ok(out)
}

fn settlement(row: &Row<'_>) -> Result<FundingPrint, ArchiveError> {
    let ts = FundingPrint::minute_of(row.time(TIME)?);
    let (rate, special_rate) = (row.number(RATE)?, row.number(SPECIAL)?);
    // The lake's own table has a column for each.
    for (column, rate) in [(RATE, rate), (SPECIAL, special_rate)] {
        let may_lack = column == SPECIAL || !special_rate.is_nan();
        if !(rate.is_nan() && may_lack) {
            check_rate(rate).map_err(|p| row.bad(column, row.text(column).unwrap_or_default(), &p))?;
        }
    }
    let interval_hours = row.number(INTERVAL)?;
    if interval_hours <= 0.0 || interval_hours > 24.0 {
        let problem = "not an interval of more than 0 and at most 24 hours";
        return Err(row.bad(INTERVAL, row.text(INTERVAL)?, problem));
    }
    match row.text(RATE_TYPE)?.to_lowercase().as_str() {
        "" | "regular" => Ok(FundingPrint { ts, rate, interval_hours, special_rate }),
        "special" => Ok(FundingPrint::special(ts, rate)),
        _ => Err(row.bad(RATE_TYPE, row.text(RATE_TYPE)?, "neither Regular nor Special")),
    }
}

/// A settlement without a rate, or with one that no exchange charges (in percent, say), is a broken row.
pub(super) fn check_rate(rate: f64) -> Result<(), String> {
    if rate.is_nan() {
        return Err("a settlement needs a rate".to_owned());
    }
    if rate.abs() > 0.2 {
        return Err("more than 20 % in one settlement: is it in percent or basis points?".to_owned());
    }
    Ok(())
}
