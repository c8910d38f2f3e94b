//! Klines: the twelve columns of the archive, or named columns of other tables, made into 5-minute bars.
//!
//! Bars of 1 s or 1 min are aggregated: open of the first, close of the last, extremes, exact decimal sums. A 5-minute
//! bar needs all of its parts; one that lacks a part is left out and reported, because a bar made of some of its
//! minutes would be wrong without looking wrong.

use std::io::Read;
use std::path::Path;

use super::decimal::DecimalSum;
use super::table::{Column, Row, Table};
use super::{ArchiveError, Finding};
use backtestd_core::market::{BAR_MS, Bar, BarIndex, Ts};

const OPEN_TIME: usize = 0;
const CLOSE_TIME: usize = 6;

pub(super) const COLUMNS: &[Column] = &[
    column(
        "open_time",
        0,
        &[
            "open_time",
            "open_time_ms",
            "timestamp",
            "open_timestamp",
            "open_time_utc",
            "datetime",
            "date",
            "time",
        ],
        true,
    ),
    column("open", 1, &["open"], true),
    column("high", 2, &["high"], true),
    column("low", 3, &["low"], true),
    column("close", 4, &["close"], true),
    column("volume", 5, &["volume", "base_volume"], false),
    column("close_time", 6, &["close_time", "close_time_ms", "close_timestamp"], false),
    column(
        "quote_volume",
        7,
        &["quote_volume", "quote_asset_volume", "quote_vol", "quotevolume", "turnover"],
        false,
    ),
    column("trades", 8, &["count", "trades", "number_of_trades", "num_trades", "trade_count"], false),
    column(
        "taker_buy_volume",
        9,
        &[
            "taker_buy_volume",
            "taker_buy_base_volume",
            "taker_buy_base",
            "taker_buy_base_asset_volume",
            "taker_base_volume",
        ],
        false,
    ),
    column(
        "taker_buy_quote_volume",
        10,
        &["taker_buy_quote_volume", "taker_buy_quote", "taker_buy_quote_asset_volume", "taker_quote_volume"],
        false,
    ),
];

const fn column(
    name: &'static str,
    place: usize,
    aliases: &'static [&'static str],
    required: bool,
) -> Column {
    Column { name, place, aliases, required }
}

/// The columns in the order of [`Bar::values`].
const VALUES: [usize; Bar::COLUMNS] = [1, 2, 3, 4, 5, 7, 8, 9, 10];
/// Those of them that are summed over parts: `VALUES[4..]`.
const SUMMED: usize = 4;

/// Reads klines of any width that divides 5 minutes. With `trades` false (mark, index and premium klines) only
/// prices are read and they may have any sign.
pub(super) fn read(
    file: &Path,
    input: impl Read,
    named_interval: Option<i64>,
    trades: bool,
    findings: &mut Vec<Finding>,
) -> Result<Vec<Bar>, ArchiveError> {
    let mut table = Table::open(file, input, COLUMNS, "klines")?;
    let mut builder: Option<Builder> = None;
    let mut early: Vec<(Ts, [f64; 9], u64)> = Vec::new();
    while let Some(row) = table.next_row()? {
        let open = row.time(OPEN_TIME)?;
        let close = if row.text(CLOSE_TIME)?.is_empty() { None } else { Some(row.time(CLOSE_TIME)?) };
        let values = values(&row, trades)?;
        if builder.is_none() {
            // The width: the name's, else the row's own span, else (only without a close time) the first step.
            let width = named_interval.or_else(|| close.map(|c| c.0 - open.0 + 1));
            let width = match (width, early.first()) {
                (Some(w), _) => w,
                (None, Some(first)) => open.0 - first.0.0,
                (None, None) => {
                    early.push((open, values, row.line));
                    continue;
                }
            };
            let mut made = Builder::new(file, width)?;
            for (open, values, line) in early.drain(..) {
                made.check_grid(open, line, file)?;
                made.add(open, values, None, findings);
            }
            builder = Some(made);
        }
        let Some(builder) = builder.as_mut() else { continue };
        builder.check_grid(open, row.line, file)?;
        if let Some(close) = close.filter(|c| c.0 != open.0 + builder.width - 1) {
            return Err(row.bad(
                CLOSE_TIME,
                &close.to_string(),
                &format!("a bar of {} ms that opened at {open} closes elsewhere", builder.width),
            ));
        }
        builder.add(open, values, Some(&row), findings);
    }
    let Some(mut builder) = builder else {
        // A lone row without a close time: its width is that of the grid.
        return Ok(early.into_iter().map(|(open, v, _)| Bar::from_values(open.bar(), v)).collect());
    };
    builder.finish_bar(findings);
    Ok(builder.bars)
}

fn values(row: &Row<'_>, trades: bool) -> Result<[f64; 9], ArchiveError> {
    let mut v = [f64::NAN; Bar::COLUMNS];
    let wanted = if trades { &VALUES[..] } else { &VALUES[..SUMMED] };
    for (slot, column) in v.iter_mut().zip(wanted) {
        *slot = row.number(*column)?;
    }
    check(&v, trades).map_err(|(i, problem)| {
        let column = VALUES[i];
        row.bad(column, row.text(column).unwrap_or_default(), &problem)
    })?;
    Ok(v)
}

/// What must hold of any bar. Returns the index of the value to blame.
pub(super) fn check(v: &[f64; 9], trades: bool) -> Result<(), (usize, String)> {
    let [open, high, low, close, volume, quote, _, taker, taker_quote] = *v;
    for (i, price) in v[..SUMMED].iter().enumerate() {
        if price.is_nan() {
            return Err((i, "a bar needs all four prices".to_owned()));
        }
        if trades && *price <= 0.0 {
            return Err((i, "prices must be positive".to_owned()));
        }
    }
    if high < open.max(close) || high < low {
        return Err((1, format!("below the bar's open {open}, low {low} or close {close}")));
    }
    if low > open.min(close) {
        return Err((2, format!("above the bar's open {open} or close {close}")));
    }
    for (i, amount) in v.iter().enumerate().skip(SUMMED) {
        if *amount < 0.0 {
            return Err((i, "amounts cannot be negative".to_owned()));
        }
    }
    // One part in 1e9 for tables that were once computed in floating point.
    if taker > volume * (1.0 + 1e-9) {
        return Err((7, format!("takers cannot have bought more than the volume {volume}")));
    }
    if taker_quote > quote * (1.0 + 1e-9) {
        return Err((8, format!("takers cannot have bought more than the quote volume {quote}")));
    }
    Ok(())
}

/// Collects rows into 5-minute bars.
struct Builder {
    file: String,
    width: i64,
    parts: i64,
    bars: Vec<Bar>,
    /// Slot being filled, the parts seen (bit by position would not fit 300), and the sums.
    open: Option<Part>,
}

struct Part {
    bar: BarIndex,
    seen: i64,
    last: Ts,
    values: [f64; 9],
    sums: [DecimalSum; Bar::COLUMNS - SUMMED],
}

impl Builder {
    fn new(file: &Path, width: i64) -> Result<Self, ArchiveError> {
        if width <= 0 || BAR_MS % width != 0 {
            let interval =
                if width % 60_000 == 0 { format!("{} min", width / 60_000) } else { format!("{width} ms") };
            return Err(ArchiveError::Interval { file: file.to_owned(), interval });
        }
        Ok(Self {
            file: file.display().to_string(),
            width,
            parts: BAR_MS / width,
            bars: Vec::new(),
            open: None,
        })
    }

    fn check_grid(&self, open: Ts, line: u64, file: &Path) -> Result<(), ArchiveError> {
        if open.0.rem_euclid(self.width) == 0 {
            return Ok(());
        }
        Err(ArchiveError::Value {
            file: file.to_owned(),
            line,
            field: "open_time",
            value: open.to_string(),
            problem: format!("not on the grid of {} s bars", self.width / 1000),
        })
    }

    fn add(&mut self, open: Ts, values: [f64; 9], row: Option<&Row<'_>>, findings: &mut Vec<Finding>) {
        let bar = open.bar();
        if self.parts == 1 {
            self.bars.push(Bar::from_values(bar, values));
            return;
        }
        if self.open.as_ref().is_some_and(|p| p.bar != bar) {
            self.finish_bar(findings);
        }
        let part = self.open.get_or_insert_with(|| Part {
            bar,
            seen: 0,
            last: Ts(i64::MIN),
            values: [
                values[0],
                f64::NEG_INFINITY,
                f64::INFINITY,
                0.0,
                f64::NAN,
                f64::NAN,
                f64::NAN,
                f64::NAN,
                f64::NAN,
            ],
            sums: Default::default(),
        });
        if open <= part.last {
            findings.push(Finding {
                file: self.file.clone(),
                line: row.map(|r| r.line),
                what: format!("the bar of {open} comes twice or out of order: the 5-minute bar is left out"),
            });
            // More parts than there are: never complete.
            part.seen = self.parts;
        }
        part.last = open;
        part.seen += 1;
        part.values[1] = part.values[1].max(values[1]);
        part.values[2] = part.values[2].min(values[2]);
        part.values[3] = values[3];
        for (i, sum) in part.sums.iter_mut().enumerate() {
            let text = row.and_then(|r| r.text(VALUES[SUMMED + i]).ok()).unwrap_or("nan");
            sum.add(text, values[SUMMED + i]);
        }
    }

    fn finish_bar(&mut self, findings: &mut Vec<Finding>) {
        let Some(mut part) = self.open.take() else { return };
        if part.seen != self.parts {
            findings.push(Finding {
                file: self.file.clone(),
                line: None,
                what: format!(
                    "the 5-minute bar of {} has {} of its {} parts and is left out",
                    part.bar, part.seen, self.parts
                ),
            });
            return;
        }
        for (value, sum) in part.values[SUMMED..].iter_mut().zip(&part.sums) {
            *value = sum.value();
        }
        self.bars.push(Bar::from_values(part.bar, part.values));
    }
}
