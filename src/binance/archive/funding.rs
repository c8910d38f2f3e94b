//! Funding settlements: `calc_time, funding_interval_hours, last_funding_rate`, or tables with a symbol column.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use super::ArchiveError;
use super::table::{Column, Table};
use backtestd_core::market::{FundingPrint, Symbol, Ts};

const TIME: usize = 0;
const INTERVAL: usize = 1;
const RATE: usize = 2;
const SYMBOL: usize = 3;

const COLUMNS: &[Column] = &[
    Column {
        name: "calc_time",
        place: 0,
        aliases: &["calc_time", "funding_time", "fundingtime", "timestamp", "time"],
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
        aliases: &["last_funding_rate", "funding_rate", "fundingrate", "rate"],
        required: true,
    },
    Column { name: "symbol", place: usize::MAX, aliases: &["symbol"], required: false },
];

/// Settlement times carry some milliseconds of jitter: the minute is what happened.
pub(super) const fn settled(ts: Ts) -> Ts {
    Ts(ts.0 - ts.0.rem_euclid(60_000))
}

/// Reads settlements by symbol; rows without one belong to `named`.
pub(super) fn read(
    file: &Path,
    input: impl Read,
    named: Option<&Symbol>,
) -> Result<BTreeMap<Symbol, Vec<FundingPrint>>, ArchiveError> {
    let mut table = Table::open_as(file, input, COLUMNS, "funding", |first| {
        first.first().is_some_and(u8::is_ascii_alphabetic)
    })?;
    let mut out: BTreeMap<Symbol, Vec<FundingPrint>> = BTreeMap::new();
    while let Some(row) = table.next_row()? {
        let symbol = super::row_symbol(&row, SYMBOL, named, file)?;
        let rate = row.number(RATE)?;
        check_rate(rate).map_err(|p| row.bad(RATE, row.text(RATE).unwrap_or_default(), &p))?;
        let interval_hours = row.number(INTERVAL)?;
        if interval_hours <= 0.0 || interval_hours > 24.0 {
            return Err(row.bad(
                INTERVAL,
                row.text(INTERVAL)?,
                "not an interval of more than 0 and at most 24 hours",
            ));
        }
        let ts = settled(row.time(TIME)?);
        out.entry(symbol).or_default().push(FundingPrint { ts, rate, interval_hours });
    }
    Ok(out)
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
