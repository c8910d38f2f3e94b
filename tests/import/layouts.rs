//! The same market through every layout, format, order, split and overlap: one store.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use backtestd_binance::archive::FileKind;
use backtestd_core::market::{BarIndex, Market};
use backtestd_store::lake::export_raw;
use proptest::prelude::*;

use crate::containers::{Format, write_table};
use crate::{args, run, store};

const START: i64 = 1_735_776_000_000;
const NAMES: [&str; 2] = ["BTCUSDT", "ETHUSDT"];

/// A minute in whole units: prices in hundredths, volume and taker volume in thousandths.
#[derive(Clone, Copy, Debug)]
struct Minute {
    prices: [i64; 4],
    volume: i64,
    trades: i64,
    taker: i64,
}

/// A number of so many decimals, exact.
fn decimal(units: i64, places: usize) -> String {
    let digits = format!("{units:0width$}", width = places + 1);
    let (whole, fraction) = digits.split_at(digits.len() - places);
    format!("{whole}.{fraction}")
}

/// Minutes joined to a bar of `width` minutes.
fn joined(minutes: &[Minute], width: usize) -> Vec<Minute> {
    let join = |part: &[Minute]| Minute {
        prices: [
            part[0].prices[0],
            part.iter().map(|m| m.prices[1]).max().unwrap(),
            part.iter().map(|m| m.prices[2]).min().unwrap(),
            part[part.len() - 1].prices[3],
        ],
        volume: part.iter().map(|m| m.volume).sum(),
        trades: part.iter().map(|m| m.trades).sum(),
        taker: part.iter().map(|m| m.taker).sum(),
    };
    minutes.chunks(width).map(join).collect()
}

/// A kline of the archive: twelve columns.
fn kline(m: &Minute, open_ms: i64, width_ms: i64, times: Times) -> Vec<String> {
    let [open, high, low, close] = m.prices.map(|p| decimal(p, 2));
    let (volume, taker) = (decimal(m.volume, 3), decimal(m.taker, 3));
    // Value at a price of exactly 100.
    let (quote, taker_quote) = (decimal(m.volume * 100, 3), decimal(m.taker * 100, 3));
    let (from, to) = match times {
        Times::Ms => (open_ms.to_string(), (open_ms + width_ms - 1).to_string()),
        Times::Us => (format!("{open_ms}000"), format!("{}999", open_ms + width_ms - 1)),
        Times::Text => {
            let text =
                |ms: i64| backtestd_core::market::Ts(ms).to_string().replace('T', " ").replace('Z', "");
            (text(open_ms), text(open_ms + width_ms - 1))
        }
    };
    vec![
        from,
        open,
        high,
        low,
        close,
        volume,
        to,
        quote,
        m.trades.to_string(),
        taker,
        taker_quote,
        "0".to_owned(),
    ]
}

#[derive(Clone, Copy, Debug)]
enum Times {
    Ms,
    Us,
    Text,
}

const ARCHIVE: [&str; 12] = [
    "open_time",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "close_time",
    "quote_volume",
    "count",
    "taker_buy_volume",
    "taker_buy_quote_volume",
    "ignore",
];
const LIBRARY: [&str; 12] = [
    "openTime",
    "Open",
    "High",
    "Low",
    "Close",
    "Volume",
    "closeTime",
    "quoteAssetVolume",
    "numberOfTrades",
    "tb_base_av",
    "tb_quote_av",
    "Ignore",
];

/// How a market is written down.
#[derive(Clone, Debug)]
struct Delivery {
    format: Format,
    layout: u8,
    order: u8,
    width_min: usize,
    times: u8,
    /// Where the rows are cut into two files, and how many rows both have.
    cut_percent: usize,
    overlap: usize,
    repeats: bool,
    calls: Calls,
}

/// How the files are handed over.
#[derive(Clone, Copy, Debug)]
enum Calls {
    /// Their folder.
    Folder,
    /// Each by name in one call, the last one first.
    Named,
    /// Each in a call of its own, the last one first.
    Single,
    /// Their folder, and then what comes of it once more through the lake.
    Lake,
}

fn delivery() -> impl Strategy<Value = Delivery> {
    (
        (prop::sample::select(Format::ALL.to_vec()), 0..6_u8, 0..3_u8),
        (prop::sample::select(vec![1_usize, 5]), 0..3_u8),
        (0..=100_usize, 0..7_usize, any::<bool>()),
        prop::sample::select(vec![Calls::Folder, Calls::Named, Calls::Single, Calls::Lake]),
    )
        .prop_map(
            |((format, layout, order), (width_min, times), (cut_percent, overlap, repeats), calls)| {
                Delivery { format, layout, order, width_min, times, cut_percent, overlap, repeats, calls }
            },
        )
}

fn market() -> impl Strategy<Value = Vec<Minute>> {
    let minute = (-300..300_i64, 0..200_i64, 0..200_i64, 1..90_000_i64, 1..500_i64, 0..=100_i64);
    prop::collection::vec(minute, 9..16).prop_map(|steps| {
        let mut close = 10_000;
        let mut out = Vec::new();
        // Whole bars only: five minutes for each step.
        for (step, above, below, volume, trades, taker) in steps {
            for i in 0..5 {
                let open = close;
                close += step / (i + 1);
                let prices = [open, open.max(close) + above, open.min(close) - below, close];
                out.push(Minute { prices, volume: volume + i, trades, taker: volume * taker / 100 });
            }
        }
        out
    })
}

/// Rows of one symbol or, with their symbol in front, of both.
type Rows = BTreeMap<&'static str, Vec<Vec<String>>>;

fn rows_of(market: &[Minute], how: &Delivery) -> Rows {
    let width_ms = how.width_min as i64 * 60_000;
    let times = match how.times {
        0 => Times::Ms,
        1 => Times::Us,
        _ => Times::Text,
    };
    let mut rows = Rows::new();
    for (n, name) in NAMES.into_iter().enumerate() {
        let shifted = market.iter().map(|m| Minute { volume: m.volume + n as i64 * 7, ..*m });
        let bars = joined(&shifted.collect::<Vec<_>>(), how.width_min);
        let line = |(i, m): (usize, &Minute)| kline(m, START + i as i64 * width_ms, width_ms, times);
        rows.insert(name, bars.iter().enumerate().map(line).collect());
    }
    rows
}

/// The rows in the order that is asked for.
fn in_order(mut rows: Vec<Vec<String>>, how: &Delivery) -> Vec<Vec<String>> {
    if how.repeats {
        let again: Vec<_> = rows.iter().step_by(3).cloned().collect();
        rows.extend(again);
    }
    match how.order {
        0 => rows.sort(),
        1 => rows.sort_by(|a, b| b.cmp(a)),
        _ => {
            rows.sort_by_key(|row| row.iter().flat_map(|cell| cell.bytes()).map(u64::from).sum::<u64>() % 17);
        }
    }
    rows
}

/// Writes the market in two files for each symbol, or for both together.
fn write(dir: &Path, market: &[Minute], how: &Delivery) {
    let by_symbol = rows_of(market, how);
    let interval = format!("{}m", how.width_min);
    let binary = matches!(how.format.ending(), "parquet" | "feather" | "ARROW");
    for part in 0..2 {
        let piece = |rows: &Vec<Vec<String>>| {
            let cut = rows.len() * how.cut_percent / 100;
            let from = if part == 0 { 0 } else { cut.saturating_sub(how.overlap) };
            let to = if part == 0 { cut } else { rows.len() };
            in_order(rows[from..to].to_vec(), how)
        };
        let day = format!("2025-01-0{}", part + 2);
        if how.layout == 0 {
            // A table of both, mixed.
            let mixed = by_symbol.iter().flat_map(|(name, rows)| {
                piece(rows).into_iter().map(|mut row| {
                    row.insert(1, (*name).to_owned());
                    row
                })
            });
            let mut header = ARCHIVE.to_vec();
            header.insert(1, "symbol");
            let rows = in_order(mixed.collect(), how);
            write_table(dir, &format!("ohlcv_{interval}_{part}"), how.format, &header, &rows);
            continue;
        }
        for (name, rows) in &by_symbol {
            let rows = piece(rows);
            let (folder, stem) = match how.layout {
                1 => {
                    (format!("futures/um/daily/klines/{name}/{interval}"), format!("{name}-{interval}-{day}"))
                }
                2 => (format!("mine/{part}"), format!("{}_{interval}", name.to_lowercase())),
                3 => (format!("futures/{part}"), format!("{}_USDT_USDT-{interval}-futures", &name[..3])),
                4 => (format!("{name}/index/{part}"), format!("klines_{interval}")),
                _ => ("last_30d".to_owned(), format!("perp_{name}_{part}")),
            };
            let dir = dir.join(folder);
            std::fs::create_dir_all(&dir).unwrap();
            let header = match (how.layout, binary) {
                (1, false) => &[][..],
                (2 | 4, _) => &LIBRARY[..],
                _ => &ARCHIVE[..],
            };
            write_table(&dir, &stem, how.format, header, &rows);
        }
    }
}

/// How many cases a property runs: so many, or what `BACKTESTD_CASES` says.
fn cases(usual: u32) -> u32 {
    std::env::var("BACKTESTD_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(usual)
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { out.extend(files_below(&path)) } else { out.push(path) }
    }
    out.sort();
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(5), max_shrink_iters: 40, ..ProptestConfig::default() })]

    #[test]
    fn a_market_is_one_store_however_it_is_written(
        market in market(),
        deliveries in prop::collection::vec(delivery(), 4),
    ) {
        let plain = Delivery {
            format: Format::Csv, layout: 5, order: 0, width_min: 5, times: 0,
            cut_percent: 100, overlap: 0, repeats: false, calls: Calls::Folder,
        };
        let imported = |how: &Delivery| {
            let (dir, mut store) = store();
            let folder = dir.path().join("files");
            std::fs::create_dir(&folder).unwrap();
            write(&folder, &market, how);
            let mut named = files_below(&folder);
            named.reverse();
            let calls = match how.calls {
                Calls::Folder | Calls::Lake => vec![vec![folder]],
                Calls::Named => vec![named],
                Calls::Single => named.into_iter().map(|file| vec![file]).collect(),
            };
            for paths in calls {
                let mut args = args(&paths);
                args.kind = Some(FileKind::Klines);
                args.market = Some(Market::Perp);
                let summary = run(&mut store, &args);
                assert!(summary.refused.is_empty() && summary.passed.is_empty(), "{how:?}: {summary:?}");
                let total = summary.total();
                assert_eq!((total.conflicts, total.kept), (0, 0), "{how:?}: {:?}", total.listed);
            }
            if matches!(how.calls, Calls::Lake) {
                let lake = dir.path().join("lake");
                let all = (BarIndex(0), BarIndex(i64::MAX / 2));
                export_raw(&store, &lake, &[], all.0, all.1).unwrap();
                let (_dir, mut copy) = self::store();
                run(&mut copy, &args(&[lake]));
                return copy.digest().unwrap();
            }
            store.digest().unwrap()
        };
        let expected = imported(&plain);
        for how in &deliveries {
            prop_assert_eq!(&imported(how), &expected, "{:?}", how);
        }
    }

    #[test]
    fn captures_of_liquidations_join_without_loss_however_they_are_cut(
        orders in prop::collection::vec((0..1200_i64, any::<bool>(), 1..900_i64), 4..30),
        parts in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..4),
        reversed in any::<bool>(),
    ) {
        let row = |(at, is_long, filled): &(i64, bool, i64)| {
            let side = if *is_long { "SELL" } else { "BUY" };
            format!("BTC,{side},LIMIT,IOC,9,100,101.3,FILLED,1,{},{},0\n", decimal(*filled, 3), START + at * 1000)
        };
        let (dir, mut store) = store();
        let mut captures = |files: Vec<Vec<(i64, bool, i64)>>| {
            let (state, mut copy) = self::store();
            std::mem::swap(&mut store, &mut copy);
            for (i, orders) in files.iter().enumerate() {
                let path = state.path().join(format!("{i}_liquidations.csv"));
                std::fs::write(&path, orders.iter().map(row).collect::<String>()).unwrap();
                run(&mut store, &args(&[path]));
            }
            store.digest().unwrap()
        };
        let whole = captures(vec![orders.clone()]);
        // Every order is in one of the files, some are in several.
        let mut files: Vec<Vec<_>> = parts
            .iter()
            .map(|(a, b)| {
                let (a, b) = (a.index(orders.len()), b.index(orders.len()));
                orders[a.min(b)..a.max(b)].to_vec()
            })
            .collect();
        let missing: Vec<_> =
            orders.iter().filter(|o| !files.iter().flatten().any(|known| known == *o)).copied().collect();
        files.push(missing);
        if reversed {
            files.reverse();
        }
        prop_assert_eq!(captures(files), whole);
        drop(dir);
    }
}
