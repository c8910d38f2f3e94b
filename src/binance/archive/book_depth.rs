//! Resting value near the mid price from the archive's `bookDepth` files: a snapshot every 30 s, a row for
//! each distance from mid in percent (negative for bids), cumulative. Kept are the rows at 1 %.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::Read;
use std::path::Path;

use super::owner::Owner;
use super::table::{Column, Row, Schema, Table};
use super::{ArchiveError, FileSpec, Finding};
use backtestd_core::market::{BookDepth, Symbol, Ts};

const TIME: usize = 0;
const PERCENTAGE: usize = 1;
const DEPTH: usize = 2;
const NOTIONAL: usize = 3;

const SYMBOL: usize = 4;

const SCHEMA: Schema<'static> =
    Schema { kind: "book_depth", columns: COLUMNS, ignored: &["source", "exchange"], more: None };

const COLUMNS: &[Column] = &[
    Column { name: "timestamp", place: 0, aliases: &["timestamp", "time"], required: true },
    Column { name: "percentage", place: 1, aliases: &["percentage"], required: true },
    Column { name: "depth", place: 2, aliases: &["depth"], required: true },
    Column { name: "notional", place: 3, aliases: &["notional"], required: true },
    Column { name: "symbol", place: usize::MAX, aliases: &["symbol"], required: false },
];

/// Distance from mid of the rows that are kept, percent.
const KEPT_PERCENT: f64 = 1.0;

/// Reads snapshots by symbol; those without a row at 1 % are left out and counted.
pub(super) fn read(
    file: &Path,
    input: impl Read,
    spec: &FileSpec,
    findings: &mut Vec<Finding>,
) -> Result<BTreeMap<Symbol, Vec<BookDepth>>, ArchiveError> {
    let mut table = Table::open(file, input, &SCHEMA, findings)?;
    let mut owner = Owner::new(file, spec);
    let mut out: BTreeMap<Symbol, BTreeMap<Ts, BookDepth>> = BTreeMap::new();
    let (mut empty, mut doubled) = (0_u64, 0_u64);
    while let Some(row) = table.next_row()? {
        let Some(symbol) = owner.of(&row, SYMBOL)? else { continue };
        let (ts, percent, notional) = level(&row)?;
        let unknown = BookDepth { ts, bid_1pct: f64::NAN, ask_1pct: f64::NAN };
        let snapshot = match out.entry(symbol).or_default().entry(ts) {
            Entry::Vacant(slot) => slot.insert(unknown),
            Entry::Occupied(slot) => slot.into_mut(),
        };
        if percent.abs() != KEPT_PERCENT {
            continue;
        }
        empty += u64::from(notional == 0.0);
        let side = if percent < 0.0 { &mut snapshot.bid_1pct } else { &mut snapshot.ask_1pct };
        doubled += u64::from(!side.is_nan());
        // An empty book is a defect of the recording and means unknown.
        *side = if notional == 0.0 { f64::NAN } else { notional };
    }
    owner.report(findings);
    let mut left_out = 0;
    for snapshots in out.values_mut() {
        let before = snapshots.len();
        snapshots.retain(|_, d| !(d.bid_1pct.is_nan() && d.ask_1pct.is_nan()));
        left_out += (before - snapshots.len()) as u64;
    }
    for (count, what) in [
        (empty, "rows at 1 % with notional 0, stored as unknown"),
        (doubled, "rows at 1 % repeat one of the same instant, the later is kept"),
        (left_out, "snapshots without a known row at 1 %, left out"),
    ] {
        if count > 0 {
            let what = format!("{count} {what}");
            findings.push(Finding { file: file.display().to_string(), line: None, what });
        }
    }
    Ok(out.into_iter().map(|(symbol, snapshots)| (symbol, snapshots.into_values().collect())).collect())
}

/// Time, distance from mid in percent and value of a row.
fn level(row: &Row<'_>) -> Result<(Ts, f64, f64), ArchiveError> {
    let ts = row.time(TIME)?;
    let (percent, depth, notional) = (row.number(PERCENTAGE)?, row.number(DEPTH)?, row.number(NOTIONAL)?);
    if percent.is_nan() || percent == 0.0 {
        return Err(row.bad(PERCENTAGE, row.text(PERCENTAGE)?, "not a distance from mid in percent"));
    }
    for (column, v) in [(DEPTH, depth), (NOTIONAL, notional)] {
        if v.is_nan() || v < 0.0 {
            return Err(row.bad(column, row.text(column)?, "a level needs an amount of 0 or more"));
        }
    }
    Ok((ts, percent, notional))
}
