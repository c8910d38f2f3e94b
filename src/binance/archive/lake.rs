//! Tables of the lake that hold sums over bars or snapshots rather than what the exchange publishes: read back as they
//! were written. Each is known by a column that only it has.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use super::owner::Owner;
use super::table::{Column, Row, Schema, Table};
use super::{ArchiveError, FileKind, FileSpec, Finding};
use backtestd_core::market::Records;
use backtestd_core::market::{BAR_MS, BookDepth, LiquidationBar, MarkBar, QuoteBar, Symbol, Ts};

const TIME: usize = 0;
const SYMBOL: usize = 1;
/// The values follow time and symbol.
const FIRST: usize = 2;

const fn column(name: &'static str, aliases: &'static [&'static str], required: bool) -> Column {
    Column { name, place: usize::MAX, aliases, required }
}

const fn schema(kind: &'static str, columns: &'static [Column]) -> Schema {
    Schema { kind, columns, ignored: &["source"], more: None }
}

const QUOTES: Schema = schema(
    "book_ticker",
    &[
        column("timestamp", &["timestamp"], true),
        column("symbol", &["symbol"], false),
        column("spread_bps_mean", &["spread_bps_mean"], true),
        column("spread_bps_max", &["spread_bps_max"], true),
        column("spread_bps_last", &["spread_bps_last"], true),
        column("bid_depth_usd", &["bid_depth_usd"], true),
        column("ask_depth_usd", &["ask_depth_usd"], true),
        column("imb_mean", &["imb_mean"], true),
        column("imb_last", &["imb_last"], true),
        column("tob_coverage", &["tob_coverage"], true),
    ],
);
const LIQUIDATIONS: Schema = schema(
    "liquidations",
    &[
        column("timestamp", &["timestamp"], true),
        column("symbol", &["symbol"], false),
        column("liq_long_usd", &["liq_long_usd"], true),
        column("liq_short_usd", &["liq_short_usd"], true),
        column("liq_long_n", &["liq_long_n"], true),
        column("liq_short_n", &["liq_short_n"], true),
        column("liq_coverage", &["liq_coverage"], true),
    ],
);
const MARK: Schema = schema(
    "mark_index",
    &[
        column("timestamp", &["timestamp"], true),
        column("symbol", &["symbol"], false),
        column("mark_price", &["mark_price"], true),
        column("index_price", &["index_price"], true),
        column("premium", &["premium"], false),
        column("predicted_rate", &["predicted_rate"], false),
    ],
);
const DEPTH: Schema = schema(
    "book_depth",
    &[
        column("timestamp", &["timestamp"], true),
        column("symbol", &["symbol"], false),
        column("depth_bid_1pct", &["depth_bid_1pct"], true),
        column("depth_ask_1pct", &["depth_ask_1pct"], true),
    ],
);

/// The column by which the lake's own table of a kind is known, squeezed.
pub(super) const fn mark_of(kind: FileKind) -> Option<&'static str> {
    match kind {
        FileKind::BookTicker => Some("tobcoverage"),
        FileKind::Liquidations => Some("liqcoverage"),
        FileKind::MarkIndex => Some("markprice"),
        FileKind::BookDepth => Some("depthbid1pct"),
        _ => None,
    }
}

/// Reads a table by symbol.
pub(super) fn read(
    file: &Path,
    input: impl Read,
    spec: &FileSpec,
    findings: &mut Vec<Finding>,
) -> Result<BTreeMap<Symbol, Records>, ArchiveError> {
    match spec.kind {
        FileKind::BookTicker => {
            let rows = by_symbol(file, input, &QUOTES, spec, findings, |row, ts| {
                let v: [f64; 8] = values(row)?;
                share(row, 7, v[7])?;
                Ok(QuoteBar {
                    bar: on_grid(row, ts)?.bar(),
                    spread_bps_mean: v[0],
                    spread_bps_max: v[1],
                    spread_bps_last: v[2],
                    bid_depth_usd: v[3],
                    ask_depth_usd: v[4],
                    imb_mean: v[5],
                    imb_last: v[6],
                    coverage: v[7],
                })
            })?;
            Ok(records(rows, Records::Quotes))
        }
        FileKind::Liquidations => {
            let rows = by_symbol(file, input, &LIQUIDATIONS, spec, findings, |row, ts| {
                let v: [f64; 5] = values(row)?;
                share(row, 4, v[4])?;
                Ok(LiquidationBar {
                    bar: on_grid(row, ts)?.bar(),
                    long_usd: v[0],
                    short_usd: v[1],
                    long_n: v[2],
                    short_n: v[3],
                    coverage: v[4],
                })
            })?;
            Ok(records(rows, Records::Liquidations))
        }
        FileKind::BookDepth => {
            let rows = by_symbol(file, input, &DEPTH, spec, findings, |row, ts| {
                let v: [f64; 2] = values(row)?;
                Ok(BookDepth { ts, bid_1pct: v[0], ask_1pct: v[1] })
            })?;
            Ok(records(rows, Records::Depth))
        }
        _ => {
            let rows = by_symbol(file, input, &MARK, spec, findings, |row, ts| {
                let v: [f64; 4] = values(row)?;
                let bar = on_grid(row, ts)?.bar();
                Ok(MarkBar { bar, mark: v[0], index: v[1], premium: v[2], predicted_rate: v[3] })
            })?;
            Ok(records(rows, Records::Mark))
        }
    }
}

fn records<T>(rows: BTreeMap<Symbol, Vec<T>>, kind: impl Fn(Vec<T>) -> Records) -> BTreeMap<Symbol, Records> {
    rows.into_iter().map(|(symbol, rows)| (symbol, kind(rows))).collect()
}

fn by_symbol<T>(
    file: &Path,
    input: impl Read,
    schema: &'static Schema,
    spec: &FileSpec,
    findings: &mut Vec<Finding>,
    record: impl Fn(&Row<'_>, Ts) -> Result<T, ArchiveError>,
) -> Result<BTreeMap<Symbol, Vec<T>>, ArchiveError> {
    let mut table = Table::open(file, input, schema, findings)?;
    let mut owner = Owner::new(file, spec);
    let mut out: BTreeMap<Symbol, Vec<T>> = BTreeMap::new();
    while let Some(row) = table.next_row()? {
        let Some(symbol) = owner.of(&row, SYMBOL)? else { continue };
        let record = record(&row, row.time(TIME)?)?;
        out.entry(symbol).or_default().push(record);
    }
    owner.report(findings);
    Ok(out)
}

fn values<const N: usize>(row: &Row<'_>) -> Result<[f64; N], ArchiveError> {
    let mut out = [f64::NAN; N];
    for (i, value) in out.iter_mut().enumerate() {
        *value = row.number(FIRST + i)?;
    }
    Ok(out)
}

fn share(row: &Row<'_>, at: usize, value: f64) -> Result<(), ArchiveError> {
    if value.is_nan() || (0.0..=1.0).contains(&value) {
        return Ok(());
    }
    Err(row.bad(FIRST + at, row.text(FIRST + at)?, "not a share of 0 to 1"))
}

fn on_grid(row: &Row<'_>, ts: Ts) -> Result<Ts, ArchiveError> {
    if ts.0.rem_euclid(BAR_MS) == 0 {
        return Ok(ts);
    }
    Err(row.bad(TIME, row.text(TIME)?, "not on the 5-minute grid"))
}
