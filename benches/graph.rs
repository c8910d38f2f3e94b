//! Cost of the graph: each operator alone, in batch (512 rows a push) and live (one row a push).
//!
//! `cargo bench --bench graph`; numbers and what they were measured on: benches/README.md.

use std::sync::Arc;

use backtestd::graph::engine::{Engine, EngineOptions};
use backtestd::graph::{Cmp, Graph, Literal, Node, NodeId, Op, Output, Rolling, Rolling2, Type};
use backtestd::market::{BarIndex, Source, Symbol, SymbolColumns, TickBlock};
use divan::Bencher;
use divan::counter::ItemsCount;

fn main() {
    divan::main();
}

const FIRST: BarIndex = BarIndex(5_800_000);
const WARM_ROWS: usize = 20_000;

/// x, y, c (true on about a third of the rows), then the operator.
fn graph_of(ops: &[(Op, usize)]) -> Arc<Graph> {
    let mut graph = Graph::default();
    let mut add = |op: Op, inputs: &[u32]| {
        let inputs = inputs.iter().map(|i| NodeId(*i)).collect();
        graph.nodes.push(Node { op, inputs, clock: None, ty: Type::Num });
        graph.nodes.len() as u32 - 1
    };
    let x = add(Op::Source(Source::Close), &[]);
    let y = add(Op::Source(Source::Volume), &[]);
    let c = add(Op::Compare(Cmp::Gt), &[x, y]);
    let last = ops.iter().map(|(op, arity)| add(op.clone(), &[x, y, c][..*arity])).last();
    graph.features = vec![Output { name: "last".into(), node: NodeId(last.unwrap_or(x)) }];
    Arc::new(graph)
}

fn roll(f: Rolling, window: u32) -> Vec<(Op, usize)> {
    vec![(Op::Roll { f, window, min: window / 4 }, 1)]
}

fn quantile(q: f64, window: u32) -> (Op, usize) {
    (Op::Roll { f: Rolling::Quantile(Literal::new(q)), window, min: window / 4 }, 1)
}

fn subject(name: &str) -> Vec<(Op, usize)> {
    match name {
        "none" => vec![],
        "add" => vec![(Op::Add, 2)],
        "div" => vec![(Op::Div, 2)],
        "ln" => vec![(Op::Ln, 1)],
        "exp" => vec![(Op::Exp, 1)],
        "norm_inv" => vec![(Op::NormInv, 1)],
        "lag 1" => vec![(Op::Lag { k: 1 }, 1)],
        "mean 288" => roll(Rolling::Mean, 288),
        "mean 5760" => roll(Rolling::Mean, 5760),
        "std 96" => roll(Rolling::Std, 96),
        "skew 288" => roll(Rolling::Skew, 288),
        "beta 2016" => vec![(Op::Roll2 { f: Rolling2::Beta, window: 2016, min: 864 }, 2)],
        "max 96" => roll(Rolling::Max, 96),
        "quantile 2016" => vec![quantile(0.5, 2016)],
        "quantile 8640" => vec![quantile(0.97, 8640)],
        "three quantiles 8640" => vec![quantile(0.1, 8640), quantile(0.5, 8640), quantile(0.97, 8640)],
        "pct_rank 8640" => roll(Rolling::PctRank, 8640),
        "pct_rank 17280" => roll(Rolling::PctRank, 17280),
        "tod_mean 20 days" => vec![(Op::TodMean { days: 20, half: 3, min: 35 }, 1)],
        "ewm" => vec![(Op::Ewm { halflife: Literal::new(3.0), min: 3 }, 1)],
        "vpin 50" => vec![(Op::Vpin { buckets: 50, min: 50 }, 3)],
        other => unreachable!("{other}"),
    }
}

const SUBJECTS: &[&str] = &[
    "none",
    "add",
    "div",
    "ln",
    "exp",
    "norm_inv",
    "lag 1",
    "mean 288",
    "mean 5760",
    "std 96",
    "skew 288",
    "beta 2016",
    "max 96",
    "quantile 2016",
    "quantile 8640",
    "three quantiles 8640",
    "pct_rank 8640",
    "pct_rank 17280",
    "tod_mean 20 days",
    "ewm",
    "vpin 50",
];

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

fn block(first: BarIndex, rows: usize) -> TickBlock {
    let mut columns = SymbolColumns::new();
    columns.set(Source::Close, noise(rows, first.0 as u64));
    columns.set(Source::Volume, noise(rows, first.0 as u64 + 7));
    TickBlock { first, rows, symbols: vec![columns] }
}

fn bench(bencher: Bencher<'_, '_>, name: &str, rows: usize, opts: EngineOptions) {
    let Ok(symbol) = Symbol::new("BTCUSDT") else { return };
    let mut engine = Engine::new(graph_of(&subject(name)), &[symbol], FIRST, opts);
    let warm = engine.push(&block(FIRST, WARM_ROWS));
    assert!(warm.is_ok());
    let mut blocks: Vec<TickBlock> = (0..16).map(|i| block(BarIndex(i * 31), rows)).collect();
    let mut turn = 0;
    bencher.counter(ItemsCount::new(rows)).bench_local(|| {
        turn = (turn + 1) % blocks.len();
        blocks[turn].first = engine.next_bar();
        engine.push(&blocks[turn])
    });
}

#[divan::bench(args = SUBJECTS)]
fn batch(bencher: Bencher<'_, '_>, name: &str) {
    bench(bencher, name, 512, EngineOptions::BATCH);
}

#[divan::bench(args = SUBJECTS)]
fn live(bencher: Bencher<'_, '_>, name: &str) {
    bench(bencher, name, 1, EngineOptions::LIVE);
}
