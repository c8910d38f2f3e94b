//! Recorded liquidation orders, summed over 5-minute bars.
//!
//! Two layouts: the retired archive's (with a header) and captures of the stream without a header: symbol
//! (quote asset left out), side, type, time in force, quantity, price, average price, status, last fill,
//! filled, time in ms, value. Rows that repeat another in every field that identifies an order are dropped:
//! captures of several recorders hold each order more than once.
//!
//! A capture does not say when its recorder was connected, so without more knowledge the coverage of its bars
//! is unknown. With `continuous`, the file is vouched for from its first to its last order: bars between are
//! covered and those without orders hold true zeros, except where the whole file was silent for longer than
//! an hour: when nobody was liquidated anywhere for so long, nobody was listening.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;

use super::orders::{BarOrders, Order};
use super::owner::Owner;
use super::table::{Column, Row, Schema, Table, squeeze};
use super::{ArchiveError, FileSpec, Finding};
use backtestd_core::market::{BAR_MS, BarIndex, LiquidationBar, Symbol, Ts};

const SYMBOL: usize = 0;
const SIDE: usize = 1;
const AVERAGE: usize = 2;
const FILLED: usize = 3;
const TIME: usize = 4;
const PRICE: usize = 5;

const SCHEMA: Schema<'static> = Schema {
    kind: "liquidations",
    columns: COLUMNS,
    ignored: &[
        "order_type",
        "type",
        "time_in_force",
        "original_quantity",
        "quantity",
        "order_status",
        "status",
        "last_fill_quantity",
        "last_filled",
        "usd",
        "value",
        "exchange",
        "id",
    ],
    more: None,
};

const COLUMNS: &[Column] = &[
    Column { name: "symbol", place: 0, aliases: &["symbol", "pair"], required: false },
    Column { name: "side", place: 1, aliases: &["side"], required: true },
    Column {
        name: "average_price",
        place: 6,
        aliases: &["average_price", "avg_price", "ap"],
        required: true,
    },
    Column {
        name: "accumulated_fill_quantity",
        place: 9,
        aliases: &["accumulated_fill_quantity", "filled_quantity", "filled", "z"],
        required: true,
    },
    Column {
        name: "time",
        place: 10,
        aliases: &["time", "trade_time", "timestamp", "order_trade_time"],
        required: true,
    },
    Column { name: "price", place: 5, aliases: &["price"], required: false },
];

/// A longer silence of a whole capture is an outage.
const MAX_SILENCE_MS: i64 = 3_600_000;

/// An order and whose it is, in the order of time.
type Known = (Ts, Symbol, Order);

/// What a capture comes to for a symbol: its bars, and the orders behind those that have any.
type Captured = (Vec<LiquidationBar>, Vec<BarOrders>);

/// Reads orders and sums them by symbol and bar.
pub(super) fn read(
    file: &Path,
    input: impl Read,
    spec: &FileSpec,
    findings: &mut Vec<Finding>,
) -> Result<BTreeMap<Symbol, Captured>, ArchiveError> {
    let is_header = |first: &[u8]| {
        matches!(squeeze(first).as_str(), "symbol" | "pair" | "time" | "timestamp" | "tradetime" | "side")
    };
    let mut table = Table::open_as(file, input, &SCHEMA, findings, is_header)?;
    let mut owner = Owner::new(file, spec);
    let mut orders: BTreeSet<Known> = BTreeSet::new();
    let mut rows = 0_u64;
    while let Some(row) = table.next_row()? {
        let Some(symbol) = owner.of(&row, SYMBOL)? else { continue };
        rows += 1;
        let order = order(&row)?;
        orders.insert((order.ts, symbol, order));
    }
    owner.report(findings);
    let repeated = rows - orders.len() as u64;
    if repeated > 0 {
        findings.push(Finding {
            file: file.display().to_string(),
            line: None,
            what: format!("{repeated} of {rows} rows repeat an order, dropped"),
        });
    }
    Ok(sum(&orders, spec.continuous))
}

fn order(row: &Row<'_>) -> Result<Order, ArchiveError> {
    let side = row.text(SIDE)?;
    let is_long = match side.to_lowercase().as_str() {
        "sell" => true,
        "buy" => false,
        _ => return Err(row.bad(SIDE, side, "neither SELL (a long) nor BUY (a short)")),
    };
    let (average, filled) = (row.number(AVERAGE)?, row.number(FILLED)?);
    for (column, v) in [(AVERAGE, average), (FILLED, filled)] {
        if v.is_nan() || v < 0.0 {
            return Err(row.bad(column, row.text(column)?, "an order needs an amount of 0 or more"));
        }
    }
    let price = row.number(PRICE)?.to_bits();
    Ok(Order { ts: row.time(TIME)?, is_long, average: average.to_bits(), filled: filled.to_bits(), price })
}

fn sum(orders: &BTreeSet<Known>, continuous: bool) -> BTreeMap<Symbol, Captured> {
    let covered = if continuous { covered_bars(orders) } else { BTreeSet::new() };
    let mut out: BTreeMap<Symbol, BTreeMap<BarIndex, BarOrders>> = BTreeMap::new();
    for (ts, symbol, order) in orders {
        let bars = out.entry(symbol.clone()).or_insert_with(|| {
            covered.iter().map(|bar| (*bar, BarOrders::new(*bar, 1.0))).collect::<BTreeMap<_, _>>()
        });
        bars.entry(ts.bar()).or_insert_with(|| BarOrders::new(ts.bar(), f64::NAN)).insert(*order);
    }
    let captured = |bars: BTreeMap<BarIndex, BarOrders>| {
        let sums = bars.values().map(BarOrders::sum).collect();
        (sums, bars.into_values().filter(|bar| !bar.is_empty()).collect())
    };
    out.into_iter().map(|(symbol, bars)| (symbol, captured(bars))).collect()
}

/// Bars that lie wholly inside a stretch of orders without an outage.
fn covered_bars(orders: &BTreeSet<Known>) -> BTreeSet<BarIndex> {
    let mut out = BTreeSet::new();
    let mut from: Option<Ts> = None;
    let mut last: Option<Ts> = None;
    let mut close = |from: Ts, to: Ts| {
        let mut bar = Ts(from.0 + BAR_MS - 1).bar();
        while bar.close() <= to {
            out.insert(bar);
            bar = bar.next();
        }
    };
    for (ts, ..) in orders {
        if let (Some(start), Some(previous)) = (from, last)
            && ts.0 - previous.0 > MAX_SILENCE_MS
        {
            close(start, previous);
            from = Some(*ts);
        }
        from = from.or(Some(*ts));
        last = Some(*ts);
    }
    if let (Some(from), Some(last)) = (from, last) {
        close(from, last);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::FileKind;

    const DAY: i64 = 1_737_936_000_000;

    fn read_text(text: &str, continuous: bool) -> (BTreeMap<Symbol, Vec<LiquidationBar>>, Vec<Finding>) {
        let mut findings = Vec::new();
        let spec = FileSpec { continuous, ..FileSpec::of(FileKind::Liquidations) };
        let out = read(Path::new("capture.csv"), text.as_bytes(), &spec, &mut findings).unwrap();
        (out.into_iter().map(|(symbol, (bars, _))| (symbol, bars)).collect(), findings)
    }

    fn order(symbol: &str, side: &str, filled: f64, at_s: i64) -> String {
        format!("{symbol},{side},LIMIT,IOC,9,100,101,FILLED,1,{filled},{},0\n", DAY + at_s * 1000)
    }

    #[test]
    fn repeated_orders_count_once_and_the_order_side_sell_is_a_long() {
        let text =
            order("BTC", "SELL", 2.0, 10) + &order("BTC", "SELL", 2.0, 10) + &order("BTC", "BUY", 1.0, 20);
        let (out, findings) = read_text(&text, false);
        let bars = &out[&Symbol::new("BTCUSDT").unwrap()];
        assert_eq!((bars[0].long_usd, bars[0].long_n), (202.0, 1.0));
        assert_eq!((bars[0].short_usd, bars[0].short_n), (101.0, 1.0));
        assert!(bars[0].coverage.is_nan(), "a capture alone does not prove that it was connected");
        assert_eq!(findings[0].what, "1 of 3 rows repeat an order, dropped");
    }

    #[test]
    fn a_vouched_capture_has_true_zeros_between_its_orders_but_not_across_a_silence() {
        let orders = [10, 200, 400, 640, 6000, 6200, 6400];
        let text: String = orders.map(|s| order("BTC", "SELL", 1.0, s)).concat();
        let (out, _) = read_text(&text, true);
        let bars = &out[&Symbol::new("BTCUSDT").unwrap()];
        let first = Ts(DAY).bar();
        let seen: Vec<_> = bars.iter().map(|b| (b.bar - first, b.coverage.is_nan(), b.long_n)).collect();
        // Bar 1 lies inside the first stretch; bars 0 and 2 are cut by its ends; 3 to 19 are the outage.
        assert_eq!(
            seen,
            [(0, true, 2.0), (1, false, 1.0), (2, true, 1.0), (20, false, 2.0), (21, true, 1.0)]
        );
    }

    #[test]
    fn other_contracts_are_passed_over_and_sides_are_read_in_any_case() {
        let text = order("BTC", "sell", 2.0, 10)
            + &order("BTCUSDT_250328", "SELL", 2.0, 10)
            + &order("BTCUSD_PERP", "SELL", 3.0, 10);
        let (out, findings) = read_text(&text, false);
        assert_eq!(out.keys().map(Symbol::as_str).collect::<Vec<_>>(), ["BTCUSDT"]);
        let notes: Vec<&str> = findings.iter().map(|f| f.what.as_str()).collect();
        assert!(notes[0].starts_with("1 rows passed over, of BTCUSDT_250328: a contract with"), "{notes:?}");
        assert!(notes[1].starts_with("1 rows passed over, of BTCUSD_PERP: a COIN-M"), "{notes:?}");
    }
}
