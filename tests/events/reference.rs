//! The reference market: 2025 of BTCUSDT and SOLUSDT as recorded, ETHUSDT with recorded prices, and made-up
//! values in every column that nobody recorded (quotes, depth, liquidations, mark and index, fees, ETHUSDT's
//! flow). The made-up part shows that detectors and states work, and nothing about how often they would.
//!
//! BNBUSDT and XRPUSDT bring their recorded settlements and a price that never moves: a universe of five
//! needs them alive and reads nothing else of them.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use backtestd_core::clean::{CleanPolicy, Joiner};
use backtestd_core::graph::{Engine, EngineOptions};
use backtestd_core::market::{
    BarIndex, BookDepth, LiquidationBar, MarkBar, OpenInterest, QuoteBar, RawBlock, RawSymbol, Source,
    Symbol, SymbolColumns, TickBlock,
};

use crate::common::Rng;
use crate::real::{FIRST, settlements, year};
use crate::shipped::shipped;
use crate::trace::Trace;

/// Bars of the reference market.
pub(crate) const ROWS: usize = 100 * 288;
const NAMES: [&str; 5] = ["BNBUSDT", "BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT"];
/// When longs of ETHUSDT crowd: funding far above its interest component while open interest grows.
const CROWDED: std::ops::Range<usize> = 48 * 288..53 * 288;

/// Its symbols.
pub(crate) fn symbols() -> Vec<Symbol> {
    NAMES.iter().map(|n| Symbol::new(n).unwrap()).collect()
}

/// Its source columns.
pub(crate) fn market() -> &'static TickBlock {
    static MARKET: OnceLock<TickBlock> = OnceLock::new();
    MARKET.get_or_init(make)
}

/// An engine before its first bar.
pub(crate) fn engine(opts: EngineOptions) -> Engine {
    Engine::new(shipped().graph.clone(), &symbols(), FIRST, opts)
}

/// The whole market in one push.
pub(crate) fn run() -> &'static Trace {
    static RUN: OnceLock<Trace> = OnceLock::new();
    RUN.get_or_init(|| {
        let mut trace = Trace::default();
        trace.add(engine(EngineOptions::BATCH).push(market()).unwrap());
        trace
    })
}

/// Rows `[from, to)` of the market.
pub(crate) fn rows(block: &TickBlock, from: usize, to: usize) -> TickBlock {
    let cut = |columns: &SymbolColumns| {
        let mut out = SymbolColumns::new();
        for source in Source::ALL {
            if let Some(column) = columns.get(*source) {
                out.set(*source, column[from..to].to_vec());
            }
        }
        out
    };
    TickBlock {
        first: block.first + from as i64,
        rows: to - from,
        symbols: block.symbols.iter().map(cut).collect(),
    }
}

fn make() -> TickBlock {
    let spec = shipped();
    let all: BTreeSet<Source> = Source::ALL.iter().copied().collect();
    let few: BTreeSet<Source> =
        [Source::Close, Source::FundingRate, Source::IsFundingPrint, Source::FundingIntervalH].into();
    let mut raw = RawBlock::empty(FIRST, ROWS, NAMES.len());
    let mut collected = Vec::new();
    let settlements = settlements();
    for (s, name) in NAMES.iter().enumerate() {
        let recorded = year().iter().find(|r| r.symbol.as_str() == *name);
        collected.push(if recorded.is_some() { all.clone() } else { few.clone() });
        raw.symbols[s] = match recorded {
            Some(recorded) => fill(s, &recorded.raw),
            None => RawSymbol {
                funding: settlements.iter().find(|x| x.0.as_str() == *name).unwrap().1.funding.clone(),
                ..RawSymbol::default()
            },
        };
    }
    let mut policy =
        CleanPolicy::from_spec(&spec.sources, &spec.defaults, &spec.calendars, &symbols(), &collected)
            .unwrap();
    for symbol in &mut policy.symbols {
        (symbol.taker_fee_bps, symbol.maker_fee_bps, symbol.tick_size) = (4.0, 2.0, 0.001);
    }
    let mut block = Joiner::new(&symbols(), policy, FIRST).unwrap().push(&raw).unwrap();
    for columns in &mut block.symbols {
        let fee = |t: usize| [4.0, 3.2, 3.6, 4.0][t * 4 / ROWS];
        columns.set(Source::TakerFeeBps, (0..ROWS).map(fee).collect());
        if columns.get(Source::Close).is_some_and(|c| c.iter().all(|x| x.is_nan())) {
            columns.set(Source::Close, vec![1.0; ROWS]);
        }
    }
    block
}

/// Recorded records, and made-up ones where there are none.
fn fill(s: usize, recorded: &RawSymbol) -> RawSymbol {
    let mut rng = Rng(1000 + s as u64);
    let mut out = recorded.clone();
    let inside = |bar: BarIndex| usize::try_from(bar - FIRST).is_ok_and(|r| r < ROWS);
    out.perp.retain(|b| inside(b.bar));
    let (mut heat, mut venue, mut premium, mut flow) = (0.0, 0.0, 0.0, 0.0);
    for (t, bar) in out.perp.iter_mut().enumerate() {
        let mut noise = || rng.noise();
        let ret = libm::log(bar.close / bar.open);
        let range = libm::log(bar.high / bar.low);
        if bar.quote_volume.is_nan() {
            flow = 0.8 * flow + 0.05 * noise();
            bar.quote_volume = bar.volume * (bar.open + bar.close) / 2.0;
            bar.trades = (bar.volume / 2.0).round();
            let share: f64 = (0.5 + flow + 30.0 * ret).clamp(0.02, 0.98);
            bar.taker_buy_volume = bar.volume * share;
            bar.taker_buy_quote = bar.quote_volume * share;
        }
        // Quotes worsen with the bar's range and in spells of their own.
        heat = 0.995 * heat + 0.05 * noise();
        let stress = heat + 60.0 * range;
        let spread = libm::exp(0.15 * noise() + 0.6 * stress);
        let depth = 300_000.0 * libm::exp(0.2 * noise() - 0.8 * stress);
        let skew = 0.2 * noise();
        out.quotes.push(QuoteBar {
            bar: bar.bar,
            spread_bps_mean: spread,
            spread_bps_max: spread * (1.5 + 0.5 * noise().abs()),
            spread_bps_last: spread,
            bid_depth_usd: depth * libm::exp(skew),
            ask_depth_usd: depth * libm::exp(-skew),
            imb_mean: skew / 2.0,
            imb_last: skew / 2.0,
            coverage: 1.0,
        });
        out.depth.push(BookDepth { ts: bar.bar.close(), bid_1pct: 20.0 * depth, ask_1pct: 21.0 * depth });
        // Forced orders follow moves; a few spells of nothing else.
        let spell = (t / 40) % 60 == 7;
        let forced = if ret.abs() > 0.004 || spell { bar.quote_volume * 0.02 * rng.unit() } else { 0.0 };
        out.liquidations.push(LiquidationBar {
            bar: bar.bar,
            long_usd: if ret < 0.0 { forced } else { 0.0 },
            short_usd: if ret > 0.0 { forced } else { 0.0 },
            long_n: 1.0,
            short_n: 1.0,
            coverage: 1.0,
        });
        let mut noise = || rng.noise();
        venue = 0.9 * venue + 0.8 * noise();
        premium = 0.98 * premium + 0.5 * noise();
        let index = bar.close * libm::exp(1e-4 * (4.0 - venue));
        out.mark.push(MarkBar {
            bar: bar.bar,
            mark: index * libm::exp(1e-4 * premium),
            index,
            premium: f64::NAN,
            predicted_rate: 1e-4 * (1.0 + 0.3 * noise()),
        });
    }
    if NAMES[s] == "ETHUSDT" {
        crowd(&mut out);
    }
    out
}

fn crowd(out: &mut RawSymbol) {
    let row = |ts: backtestd_core::market::Ts| (ts.bar() - FIRST) as usize;
    for print in out.funding.iter_mut().filter(|p| CROWDED.contains(&row(p.ts))) {
        print.rate += 3e-4;
    }
    let grown = |r: usize| (r.saturating_sub(CROWDED.start) as f64 / CROWDED.len() as f64).min(1.0);
    out.open_interest = std::mem::take(&mut out.open_interest)
        .into_iter()
        .filter(|o| row(o.ts) < ROWS)
        .map(|o| OpenInterest { contracts: o.contracts * (1.0 + 0.5 * grown(row(o.ts))), ..o })
        .collect();
}
