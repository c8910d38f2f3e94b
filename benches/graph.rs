//! Cost of the graph: each operator alone, in batch (512 rows a push) and live (one row a push); then the
//! whole catalogue (`catalogue`).
//!
//! `cargo bench --bench graph`; numbers and what they were measured on: benches/README.md.

use std::sync::Arc;

use backtestd_core::graph::engine::{Engine, EngineOptions};
use backtestd_core::graph::{
    Cmp, Graph, Literal, Node, NodeId, Op, Output, Rolling, Rolling2, SymbolRef, Type, Universe,
};
use backtestd_core::market::{BarIndex, Source, Symbol, SymbolColumns, TickBlock};
use divan::Bencher;
use divan::counter::ItemsCount;

#[path = "graph/catalogue.rs"]
mod catalogue;

fn main() {
    divan::main();
}

const FIRST: BarIndex = BarIndex(5_800_000);
const WARM_ROWS: usize = 20_000;

/// Operators with their operands, [`X`], [`Y`], [`C`] or the operator before ([`LAST`]).
type Subject = Vec<(Op, &'static [u32])>;
const X: u32 = 0;
const Y: u32 = 1;
/// True on about half of the rows.
const C: u32 = 2;
const LAST: u32 = u32::MAX;

/// x, y, c, then the operators.
fn graph_of(ops: &[(Op, &[u32])]) -> Arc<Graph> {
    let mut graph = Graph::default();
    let mut add = |op: Op, inputs: &[u32]| {
        let last = graph.nodes.len() as u32;
        let input = |i: &u32| NodeId(if *i == LAST { last - 1 } else { *i });
        let inputs = inputs.iter().map(input).collect();
        graph.nodes.push(Node { op, inputs, clock: None, ty: Type::Num });
        last
    };
    let x = add(Op::Source(Source::Close), &[]);
    add(Op::Source(Source::Volume), &[]);
    add(Op::Compare(Cmp::Gt), &[X, Y]);
    let last = ops.iter().map(|(op, inputs)| add(op.clone(), inputs)).last();
    graph.features = vec![Output { name: "last".into(), node: NodeId(last.unwrap_or(x)) }];
    Arc::new(graph)
}

fn names() -> Vec<Symbol> {
    (0..ACROSS_SYMBOLS).filter_map(|i| Symbol::new(&format!("S{i}USDT")).ok()).collect()
}

fn roll(f: Rolling, window: u32) -> Subject {
    vec![(Op::Roll { f, window, min: window / 4 }, &[X])]
}

/// Over the flag.
fn tally(f: Rolling, window: u32) -> Subject {
    vec![(Op::Roll { f, window, min: window / 4 }, &[C])]
}

fn pair(f: Rolling2, window: u32) -> Subject {
    vec![(Op::Roll2 { f, window, min: window / 4 }, &[X, Y])]
}

fn quantile(q: f64, window: u32) -> (Op, &'static [u32]) {
    (Op::Roll { f: Rolling::Quantile(Literal::new(q)), window, min: window / 4 }, &[X])
}

fn one(op: Op) -> Subject {
    vec![(op, &[X])]
}

fn two(op: Op) -> Subject {
    vec![(op, &[X, Y])]
}

fn flag(op: Op) -> Subject {
    vec![(op, &[C])]
}

fn universe(f: Universe) -> Subject {
    vec![(Op::Universe { f, min: 3 }, &[X])]
}

/// Every operator of the catalogue's table.
fn subject(name: &str) -> Subject {
    match name {
        "none" => vec![],
        "add" => two(Op::Add),
        "div" => two(Op::Div),
        "square" => vec![(Op::Const(Literal::new(2.0)), &[]), (Op::Pow, &[X, LAST])],
        "pow" => two(Op::Pow),
        "abs" => one(Op::Abs),
        "sign" => one(Op::Sign),
        "ln" => one(Op::Ln),
        "exp" => one(Op::Exp),
        "sqrt" => one(Op::Sqrt),
        "min(a,b)" => two(Op::Min2),
        "clip" => vec![(Op::Clip, &[X, Y, Y])],
        "norm_cdf" => one(Op::NormCdf),
        "norm_inv" => one(Op::NormInv),
        "compare" => two(Op::Compare(Cmp::Ge)),
        "and" => vec![(Op::And, &[C, C])],
        "or" => vec![(Op::Or, &[C, C])],
        "not" => flag(Op::Not),
        "if" => vec![(Op::If, &[C, X, Y])],
        "known" => one(Op::Known),
        "coalesce" => two(Op::Coalesce),
        "lag 1" => one(Op::Lag { k: 1 }),
        "diff 12" => one(Op::Diff { k: 12 }),
        "pct_change 12" => one(Op::PctChange { k: 12 }),
        "ffill 12" => one(Op::Ffill { max: 12 }),
        "sum 288" => roll(Rolling::Sum, 288),
        "mean 288" => roll(Rolling::Mean, 288),
        "mean 5760" => roll(Rolling::Mean, 5760),
        "wma 288" => roll(Rolling::Wma, 288),
        "std 96" => roll(Rolling::Std, 96),
        "std 2016" => roll(Rolling::Std, 2016),
        "z 288" => roll(Rolling::Z, 288),
        "skew 288" => roll(Rolling::Skew, 288),
        "corr 288" => pair(Rolling2::Corr, 288),
        "beta 2016" => pair(Rolling2::Beta, 2016),
        "max 96" => roll(Rolling::Max, 96),
        "min 2016" => roll(Rolling::Min, 2016),
        "age_max 288" => roll(Rolling::AgeMax, 288),
        "quantile 2016" => vec![quantile(0.5, 2016)],
        "quantile 8640" => vec![quantile(0.97, 8640)],
        "three quantiles 8640" => vec![quantile(0.1, 8640), quantile(0.5, 8640), quantile(0.97, 8640)],
        "pct_rank 8640" => roll(Rolling::PctRank, 8640),
        "pct_rank 17280" => roll(Rolling::PctRank, 17280),
        "count 288" => tally(Rolling::Count, 288),
        "any 288" => tally(Rolling::Any, 288),
        "all 288" => tally(Rolling::All, 288),
        "held 6" => flag(Op::Held { n: 6 }),
        "rising" => flag(Op::Rising),
        "crosses_above" => two(Op::CrossesAbove),
        "tod_mean 20 days" => one(Op::TodMean { days: 20, half: 3, min: 35 }),
        "ewm" => one(Op::Ewm { halflife: Literal::new(3.0), min: 3 }),
        "since" => flag(Op::Since),
        "at" => vec![(Op::At, &[X, C])],
        "latch" => vec![(Op::Not, &[C]), (Op::Latch, &[C, LAST])],
        "episode" => vec![(Op::Not, &[C]), (Op::Episode { max: 96 }, &[C, LAST])],
        "vpin 50" => vec![(Op::Vpin { buckets: 50, min: 50 }, &[X, Y, X])],
        "of" => one(Op::Of(SymbolRef::Named(names()[0].clone()))),
        "universe_median" => universe(Universe::Median),
        "universe_mean" => universe(Universe::Mean),
        "universe_std" => universe(Universe::Std),
        "universe_rank" => universe(Universe::Rank),
        "hour" => vec![(Op::Hour, &[])],
        other => unreachable!("{other}"),
    }
}

const SUBJECTS: &[&str] = &[
    "none",
    "add",
    "div",
    "square",
    "pow",
    "abs",
    "sign",
    "ln",
    "exp",
    "sqrt",
    "min(a,b)",
    "clip",
    "norm_cdf",
    "norm_inv",
    "compare",
    "and",
    "or",
    "not",
    "if",
    "known",
    "coalesce",
    "lag 1",
    "diff 12",
    "pct_change 12",
    "ffill 12",
    "sum 288",
    "mean 288",
    "mean 5760",
    "wma 288",
    "std 96",
    "std 2016",
    "z 288",
    "skew 288",
    "corr 288",
    "beta 2016",
    "max 96",
    "min 2016",
    "age_max 288",
    "quantile 2016",
    "quantile 8640",
    "three quantiles 8640",
    "pct_rank 8640",
    "pct_rank 17280",
    "count 288",
    "any 288",
    "all 288",
    "held 6",
    "rising",
    "crosses_above",
    "tod_mean 20 days",
    "ewm",
    "since",
    "at",
    "latch",
    "episode",
    "vpin 50",
    "hour",
];

/// What looks across symbols runs over ten of them; the time is per symbol and bar.
const ACROSS: &[&str] = &["none", "of", "universe_median", "universe_mean", "universe_std", "universe_rank"];
const ACROSS_SYMBOLS: usize = 10;

/// Noise: splitmix64 folded to about normal.
fn noise(rows: usize, seed: u64) -> Vec<f64> {
    let mut state = seed;
    let mut unit = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    };
    (0..rows).map(|_| 1.0 + 0.1 * (0..12).map(|_| unit()).sum::<f64>()).collect()
}

fn block(first: BarIndex, rows: usize, symbols: usize) -> TickBlock {
    let columns = |symbol: usize| {
        let mut columns = SymbolColumns::new();
        let seed = first.0 as u64 + 1000 * symbol as u64;
        columns.set(Source::Close, noise(rows, seed));
        columns.set(Source::Volume, noise(rows, seed + 7));
        columns
    };
    TickBlock { first, rows, symbols: (0..symbols).map(columns).collect() }
}

fn bench(bencher: Bencher<'_, '_>, name: &str, rows: usize, symbols: usize, opts: EngineOptions) {
    let mut engine = Engine::new(graph_of(&subject(name)), &names()[..symbols], FIRST, opts);
    let warm = engine.push(&block(FIRST, WARM_ROWS, symbols));
    assert!(warm.is_ok());
    let mut blocks: Vec<TickBlock> = (0..16).map(|i| block(BarIndex(i * 31), rows, symbols)).collect();
    let mut turn = 0;
    bencher.counter(ItemsCount::new(rows * symbols)).bench_local(|| {
        turn = (turn + 1) % blocks.len();
        blocks[turn].first = engine.next_bar();
        engine.push(&blocks[turn])
    });
}

#[divan::bench(args = SUBJECTS)]
fn batch(bencher: Bencher<'_, '_>, name: &str) {
    bench(bencher, name, 512, 1, EngineOptions::BATCH);
}

#[divan::bench(args = SUBJECTS)]
fn live(bencher: Bencher<'_, '_>, name: &str) {
    bench(bencher, name, 1, 1, EngineOptions::LIVE);
}

#[divan::bench(args = ACROSS)]
fn across_batch(bencher: Bencher<'_, '_>, name: &str) {
    bench(bencher, name, 512, ACROSS_SYMBOLS, EngineOptions { threads: false, ..EngineOptions::BATCH });
}

#[divan::bench(args = ACROSS)]
fn across_live(bencher: Bencher<'_, '_>, name: &str) {
    bench(bencher, name, 1, ACROSS_SYMBOLS, EngineOptions::LIVE);
}
