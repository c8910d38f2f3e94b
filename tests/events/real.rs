//! Recorded history of 2025: klines, open interest, settlements and spot of BTCUSDT and SOLUSDT, prices of
//! ETHUSDT.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use backtestd_binance::archive::{FileKind, FileSpec, read_file};
use backtestd_core::market::Records;
use backtestd_core::market::{BarIndex, Market, RawSymbol, Source, Symbol};

use crate::common::recorded::{recording, recordings_dir};

/// 2025-01-01, 00:00 UTC.
pub(crate) const FIRST: BarIndex = BarIndex(5_785_632);
/// Bars of the year.
pub(crate) const ROWS: usize = 105_120;

/// A symbol's records of the year and the columns that they fill.
#[derive(Clone)]
pub(crate) struct Recorded {
    pub symbol: Symbol,
    pub raw: RawSymbol,
    pub columns: BTreeSet<Source>,
}

/// Whether the recorded history is beside the checkout; says so when it is not.
pub(crate) fn present() -> bool {
    recording("frames").is_some()
}

/// The symbols with full klines, then the one with prices only.
pub(crate) fn year() -> &'static [Recorded] {
    static YEAR: OnceLock<Vec<Recorded>> = OnceLock::new();
    YEAR.get_or_init(|| vec![full("BTCUSDT"), prices("ETHUSDT"), full("SOLUSDT")])
}

/// Settlements of every symbol of the funding file that has them from the first day of the year on.
pub(crate) fn settlements() -> Vec<(Symbol, RawSymbol)> {
    let first = FIRST.open();
    let mut all: Vec<(Symbol, RawSymbol)> = Vec::new();
    for put in read(&funding_file(), FileKind::Funding, Market::Perp, None) {
        let Records::Funding(prints) = put.1 else { continue };
        let mut raw = RawSymbol { funding: prints, ..RawSymbol::default() };
        if raw.funding.iter().any(|p| p.ts <= first) {
            tidy(&mut raw);
            all.push((put.0, raw));
        }
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

const BARS: [Source; 5] = [Source::Open, Source::High, Source::Low, Source::Close, Source::Volume];
const TAKERS: [Source; 4] =
    [Source::QuoteVolume, Source::Trades, Source::TakerBuyVolume, Source::TakerBuyQuote];
const SPOT: [Source; 5] =
    [Source::SpotOpen, Source::SpotHigh, Source::SpotLow, Source::SpotClose, Source::SpotVolume];
const REST: [Source; 5] =
    [Source::FundingRate, Source::IsFundingPrint, Source::FundingIntervalH, Source::Oi, Source::OiValue];

fn full(name: &str) -> Recorded {
    let mut out = beside(name);
    for file in files(&format!("archive/futures/um/monthly/klines/{name}/5m")) {
        take(&mut out, &file, FileKind::Klines, Market::Perp);
    }
    out.columns.extend(BARS.into_iter().chain(TAKERS));
    tidy(&mut out.raw);
    out
}

fn prices(name: &str) -> Recorded {
    let mut out = beside(name);
    let file = recordings_dir().join(format!("frames/perp_{name}_5m_ohlcv_2025_2026.parquet"));
    take(&mut out, &file, FileKind::Klines, Market::Perp);
    out.columns.extend(BARS);
    tidy(&mut out.raw);
    out
}

/// Everything but the perpetual's bars.
fn beside(name: &str) -> Recorded {
    let symbol = Symbol::new(name).unwrap();
    let mut out =
        Recorded { symbol, raw: RawSymbol::default(), columns: SPOT.into_iter().chain(REST).collect() };
    for file in files(&format!("archive/futures/um/daily/metrics/{name}")) {
        if file.to_string_lossy().contains("-2025-") {
            take(&mut out, &file, FileKind::Metrics, Market::Perp);
        }
    }
    let spot = recordings_dir().join(format!("frames/spot_{name}_5m_ohlcv_2025_2026.parquet"));
    take(&mut out, &spot, FileKind::Klines, Market::Spot);
    take(&mut out, &funding_file(), FileKind::Funding, Market::Perp);
    out
}

fn funding_file() -> PathBuf {
    recordings_dir().join("frames/perp_funding_16_symbols_2025_2026.parquet")
}

fn files(folder: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(recordings_dir().join(folder)).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    files
}

fn read(file: &Path, kind: FileKind, market: Market, symbol: Option<&Symbol>) -> Vec<(Symbol, Records)> {
    let five_minutes = (kind == FileKind::Klines).then_some(300_000);
    let spec = FileSpec { market, symbol: symbol.cloned(), interval_ms: five_minutes, ..FileSpec::of(kind) };
    let content = read_file(file, &spec, &mut |_| {}).unwrap_or_else(|e| panic!("{e}"));
    content.puts.into_iter().map(|put| (put.symbol, put.records)).collect()
}

fn take(out: &mut Recorded, file: &Path, kind: FileKind, market: Market) {
    // The funding file names its symbols itself.
    let symbol = (kind != FileKind::Funding).then_some(&out.symbol);
    for (symbol, records) in read(file, kind, market, symbol) {
        if symbol != out.symbol {
            continue;
        }
        match records {
            Records::Bars(Market::Perp, bars) => out.raw.perp.extend(bars),
            Records::Bars(Market::Spot, bars) => out.raw.spot.extend(bars),
            Records::OpenInterest(all) => out.raw.open_interest.extend(all),
            Records::Funding(prints) => out.raw.funding.extend(prints),
            // No event reads them.
            Records::LongShortRatio(_) => {}
            other => panic!("{} has no use for {other:?}", file.display()),
        }
    }
}

/// Sorted, of two for the same place the later one, inside the year.
fn tidy(raw: &mut RawSymbol) {
    fn order<T: Copy>(all: &mut Vec<T>, key: impl Fn(&T) -> i64, from: i64, to: i64) {
        all.sort_by_key(&key);
        let mut out: Vec<T> = Vec::with_capacity(all.len());
        for record in all.iter().filter(|r| (from..to).contains(&key(r))) {
            if out.last().is_some_and(|last| key(last) == key(record)) {
                out.pop();
            }
            out.push(*record);
        }
        *all = out;
    }
    let (first, end) = (FIRST, FIRST + ROWS as i64);
    order(&mut raw.perp, |b| b.bar.0, first.0, end.0);
    order(&mut raw.spot, |b| b.bar.0, first.0, end.0);
    order(&mut raw.open_interest, |o| o.ts.0, first.open().0 + 1, end.open().0 + 1);
    order(&mut raw.funding, |p| p.ts.0, first.open().0 + 1, end.open().0 + 1);
}
