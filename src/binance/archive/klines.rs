//! Klines: the twelve columns of the archive, or named columns of other tables, made into 5-minute bars by
//! symbol.
//!
//! Rows may come in any order and more than once. Bars of 1 s or 1 min are aggregated ([`super::parts`]); a
//! 5-minute bar needs all of its parts, because a bar made of some of its minutes would be wrong without
//! looking wrong. Of mark, index and premium klines only the last close in the bar counts.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;

use super::kline_rows::{Klines, Rows};
use super::owner::Owner;
use super::table::{Column, Row, Schema, Table};
use super::{ArchiveError, FileKind, FileSpec, Finding};
use backtestd_core::market::{BAR_MS, Bar, Symbol, Ts};

const OPEN_TIME: usize = 0;
const CLOSE_TIME: usize = 6;
const SYMBOL: usize = 11;

const SCHEMA: Schema<'static> = Schema {
    kind: "klines",
    columns: COLUMNS,
    ignored: &["ignore", "ignored", "unused", "source", "interval", "timeframe", "exchange", "date", "unix"],
    more: Some(volumes_by_asset),
};

const COLUMNS: &[Column] = &[
    column(
        "open_time",
        0,
        &[
            "open_time",
            "open_time_ms",
            "timestamp",
            "open_timestamp",
            "open_time_utc",
            "unix",
            "unix_timestamp",
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
    column("volume", 5, &["volume", "base_volume", "vol", "volume_base"], false),
    column("close_time", 6, &["close_time", "close_time_ms", "close_timestamp"], false),
    column(
        "quote_volume",
        7,
        &[
            "quote_volume",
            "quote_asset_volume",
            "quote_vol",
            "quote_av",
            "qav",
            "quote_asset_vol",
            "volume_quote",
            "turnover",
        ],
        false,
    ),
    column(
        "trades",
        8,
        &[
            "count",
            "trades",
            "number_of_trades",
            "num_trades",
            "trade_count",
            "trades_count",
            "n_trades",
            "trade_num",
        ],
        false,
    ),
    column(
        "taker_buy_volume",
        9,
        &[
            "taker_buy_volume",
            "taker_buy_base_volume",
            "taker_buy_base",
            "taker_buy_base_asset_volume",
            "taker_buy_base_vol",
            "taker_base_volume",
            "taker_base_vol",
            "tb_base_av",
            "tb_base_volume",
            "tbbav",
        ],
        false,
    ),
    column(
        "taker_buy_quote_volume",
        10,
        &[
            "taker_buy_quote_volume",
            "taker_buy_quote",
            "taker_buy_quote_asset_volume",
            "taker_buy_quote_vol",
            "taker_quote_volume",
            "taker_quote_vol",
            "tb_quote_av",
            "tb_quote_volume",
            "tbqav",
        ],
        false,
    ),
    column("symbol", usize::MAX, &["symbol", "pair", "ticker", "instrument", "tic"], false),
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
/// Widths that tables come in although no 5-minute bar can be made of them.
const COARSE_MIN: [i64; 9] = [15, 30, 60, 120, 240, 360, 480, 720, 1440];
/// So many rows at the steps of a coarser width are of that width, whatever the file's name says.
const COARSE_ROWS: usize = 3;

/// A table of klines.
#[derive(Debug, Default)]
pub(super) struct KlineTable {
    pub by_symbol: BTreeMap<Symbol, Klines>,
}

/// Reads klines of any width that divides 5 minutes. Of anything but klines of trades (mark, index and
/// premium) only prices are read, and they may have any sign.
pub(super) fn read(
    file: &Path,
    input: impl Read,
    spec: &FileSpec,
    findings: &mut Vec<Finding>,
) -> Result<KlineTable, ArchiveError> {
    let mut table = Table::open(file, input, &SCHEMA, findings)?;
    let has_header = !table.names().is_empty();
    let mut owner = Owner::new(file, spec);
    let mut steps = Steps::default();
    let mut rows = Rows::new(file, spec);
    while let Some(row) = table.next_row()? {
        let Some(symbol) = owner.of(&row, SYMBOL)? else { continue };
        let open = row.time(OPEN_TIME)?;
        let time = row.text(OPEN_TIME)?;
        let is_us = time.len() == 16 && time.bytes().all(|b| b.is_ascii_digit());
        if spec.market_is_assumed && (!has_header || is_us) {
            // Spot files of the archive have no header, and microseconds since 2025.
            return Err(ArchiveError::Unnamed {
                file: file.to_owned(),
                what: "market",
                flag: "--market perp or spot",
            });
        }
        let values = values(&row, spec.kind == FileKind::Klines)?;
        if row.text(CLOSE_TIME)?.is_empty() {
            steps.see(open);
        } else {
            let span = row.time(CLOSE_TIME)?.0 - open.0;
            let width = *rows.width.get_or_insert_with(|| width_of(span));
            if ![width - 1, width, width - 1000].contains(&span) {
                let text = row.text(CLOSE_TIME)?;
                let problem = format!("a bar of {width} ms that opened at {open} closes elsewhere");
                return Err(row.bad(CLOSE_TIME, text, &problem));
            }
        }
        rows.add(symbol, open, values, row.line)?;
    }
    owner.report(findings);
    steps.check(file, spec.interval_ms)?;
    let width = rows.width.or_else(|| steps.width()).unwrap_or(BAR_MS);
    Ok(KlineTable { by_symbol: rows.finish(width, findings)? })
}

/// The width of a bar by the distance of its two times: the close may be the last millisecond, the last
/// second, or the next open.
const fn width_of(span: i64) -> i64 {
    if span % 60_000 == 59_000 {
        span + 1000
    } else if span % 1000 == 0 {
        span
    } else {
        span + 1
    }
}

/// The greatest width on whose steps all rows lie, in any order.
#[derive(Debug, Default)]
struct Steps {
    first: Option<Ts>,
    step: i64,
    opens: BTreeSet<Ts>,
}

impl Steps {
    fn see(&mut self, open: Ts) {
        let first = *self.first.get_or_insert(open);
        let (mut a, mut b) = (self.step, (open.0 - first.0).abs());
        while b != 0 {
            (a, b) = (b, a % b);
        }
        self.step = a;
        if self.opens.len() < COARSE_ROWS {
            self.opens.insert(open);
        }
    }

    fn width(&self) -> Option<i64> {
        (self.step > 0).then_some(self.step)
    }

    /// A named width against the rows.
    fn check(&self, file: &Path, named: Option<i64>) -> Result<(), ArchiveError> {
        let coarse =
            COARSE_MIN.map(|m| m * 60_000).into_iter().rev().find(|w| self.step > 0 && self.step % w == 0);
        match (named, coarse) {
            (Some(named), Some(found)) if named < found && self.opens.len() >= COARSE_ROWS => {
                Err(interval_error(file, found))
            }
            _ => Ok(()),
        }
    }
}

pub(super) fn interval_error(file: &Path, width: i64) -> ArchiveError {
    let interval =
        if width % 60_000 == 0 { format!("{} min", width / 60_000) } else { format!("{width} ms") };
    ArchiveError::Interval { file: file.to_owned(), interval }
}

/// `Volume BTC` and `Volume USDT`, as one site has them: the base asset comes first.
fn volumes_by_asset(names: &[String], places: &mut [Option<usize>]) {
    let mut volumes =
        names.iter().enumerate().filter(|(_, n)| n.len() > 6 && n.starts_with("volume")).map(|(ix, _)| ix);
    for column in [5, 7] {
        if places[column].is_none() {
            places[column] = volumes.find(|ix| !places.contains(&Some(*ix)));
        }
    }
}

fn values(row: &Row<'_>, trades: bool) -> Result<[f64; 9], ArchiveError> {
    let mut v = [f64::NAN; Bar::COLUMNS];
    let wanted = if trades { &VALUES[..] } else { &VALUES[..SUMMED] };
    for (slot, column) in v.iter_mut().zip(wanted) {
        *slot = row.number(*column)?;
    }
    check(&v).map_err(|(i, problem)| {
        let column = VALUES[i];
        row.bad(column, row.text(column).unwrap_or_default(), &problem)
    })?;
    Ok(v)
}

/// What must hold of any bar, or its row is no bar. What cannot be true of a bar is for the rules of
/// plausibility. Returns the index of the value to blame.
pub(super) fn check(v: &[f64; 9]) -> Result<(), (usize, String)> {
    let [open, high, low, close, ..] = *v;
    for (i, price) in v[..SUMMED].iter().enumerate() {
        if price.is_nan() {
            return Err((i, "a bar needs all four prices".to_owned()));
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
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(interval_min: Option<i64>) -> FileSpec {
        FileSpec {
            symbol: Symbol::new("BTCUSDT").ok(),
            interval_ms: interval_min.map(|m| m * 60_000),
            ..FileSpec::of(FileKind::Klines)
        }
    }

    fn read_text(text: &str, spec: &FileSpec) -> Result<KlineTable, String> {
        read(Path::new("x.csv"), text.as_bytes(), spec, &mut Vec::new()).map_err(|e| e.to_string())
    }

    const DAY: i64 = 1_735_776_000_000;

    #[test]
    fn the_names_of_columns_in_use_are_understood() {
        let full = [1.0, 2.0, 0.5, 1.5, 10.0, 12.0, 7.0, 4.0, 5.0];
        for header in [
            "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore",
            "openTime,open,high,low,close,volume,closeTime,quoteAssetVolume,trades,takerBuyBaseAssetVolume,takerBuyQuoteAssetVolume,ignore",
            "Open time,Open,High,Low,Close,Volume,Close time,Quote asset volume,Number of trades,Taker buy base asset volume,Taker buy quote asset volume,Ignore",
            "timestamp,open,high,low,close,volume,close_time,quote_av,trades,tb_base_av,tb_quote_av,ignore",
        ] {
            let mut findings = Vec::new();
            let text = format!("{header}\n{DAY},1,2,0.5,1.5,10,{},12,7,4,5,0\n", DAY + 299_999);
            let table = read(Path::new("x.csv"), text.as_bytes(), &spec(None), &mut findings).unwrap();
            let bars = &table.by_symbol.values().next().unwrap().bars;
            assert_eq!(bars[0].values(), full, "{header}");
            assert_eq!(findings, [], "{header}");
        }
        let cdd = "https://www.CryptoDataDownload.com\nUnix,Date,Symbol,Open,High,Low,Close,Volume BTC,Volume USDT,tradecount\n\
                   1735776300,2025-01-02 00:05:00,BTC/USDT,1,2,0.5,1.5,10,12,7\n\
                   1735776000,2025-01-02 00:00:00,BTC/USDT,1,2,0.5,1.5,10,12,7\n";
        let table = read_text(cdd, &spec(None)).unwrap();
        let bars = &table.by_symbol[&Symbol::new("BTCUSDT").unwrap()].bars;
        assert_eq!((bars.len(), bars[0].volume, bars[0].quote_volume, bars[0].trades), (2, 10.0, 12.0, 7.0));
    }

    #[test]
    fn a_column_that_is_not_understood_is_named() {
        let mut findings = Vec::new();
        let text = format!("timestamp,open,high,low,close,wolume\n{DAY},1,2,0.5,1.5,10\n");
        read(Path::new("x.csv"), text.as_bytes(), &spec(None), &mut findings).unwrap();
        assert_eq!(findings[0].what, "columns not understood and not read: wolume");
    }

    #[test]
    fn an_index_without_a_name_is_no_obstacle_and_the_time_where_there_is_no_other() {
        for text in [
            format!(",timestamp,open,high,low,close\n0,{DAY},1,2,0.5,1.5\n"),
            ",open,high,low,close\n2025-01-02 00:00:00,1,2,0.5,1.5\n".to_owned(),
            "__index_level_0__,open,high,low,close\n2025-01-02,1,2,0.5,1.5\n".to_owned(),
        ] {
            let table = read_text(&text, &spec(None)).unwrap();
            assert_eq!(table.by_symbol.values().next().unwrap().bars[0].bar.open(), Ts(DAY), "{text}");
        }
    }

    #[test]
    fn a_width_that_the_rows_contradict_is_refused() {
        let rows = |step: i64| -> String {
            let row = |i: i64| format!("{},1,2,0.5,1.5\n", DAY + i * step * 60_000);
            std::iter::once("timestamp,open,high,low,close\n".to_owned()).chain((0..4).map(row)).collect()
        };
        assert_eq!(read_text(&rows(5), &spec(Some(5))).unwrap().by_symbol.len(), 1);
        assert!(read_text(&rows(60), &spec(Some(5))).unwrap_err().contains("bars of 60 min"));
        for step in [3, 15, 60] {
            let error = read_text(&rows(step), &spec(None)).unwrap_err();
            assert!(error.contains(&format!("bars of {step} min cannot")), "{error}");
        }
    }

    #[test]
    fn of_two_rows_for_one_bar_the_one_with_more_trades_stands() {
        let row = |close: f64, trades: i64| {
            format!("{DAY},1,2,0.5,{close},10,{},12,{trades},4,5,0\n", DAY + 299_999)
        };
        for text in [row(1.2, 3) + &row(1.5, 9), row(1.5, 9) + &row(1.2, 3)] {
            let table = read_text(&text, &spec(None)).unwrap();
            assert_eq!(table.by_symbol.values().next().unwrap().bars[0].close, 1.5);
        }
    }

    #[test]
    fn the_last_minute_decides_a_mark_price() {
        let text: String = [0, 1, 4].map(|m| format!("{},1,2,0.5,1.{m}\n", DAY + m * 60_000)).concat();
        let spec = FileSpec { kind: FileKind::MarkKlines, ..spec(Some(1)) };
        let table = read_text(&text, &spec).unwrap();
        let bars = &table.by_symbol.values().next().unwrap().bars;
        assert_eq!((bars.len(), bars[0].close), (1, 1.4));
    }
}
