//! The engine against its brute-force twin, against itself in other chunkings, and against pandas.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(
    clippy::disallowed_methods,
    reason = "the twin may use the platform's ln and exp: it is compared with a tolerance"
)]

#[path = "operators/build.rs"]
mod build;
#[path = "operators/edges.rs"]
mod edges;
#[path = "operators/gaps.rs"]
mod gaps;
#[path = "operators/market.rs"]
mod market;
#[path = "operators/pandas.rs"]
mod pandas;
#[path = "common/recorded.rs"]
mod recorded;
#[path = "operators/shipped.rs"]
mod shipped;
#[path = "operators/table.rs"]
mod table;
#[path = "operators/twin.rs"]
mod twin;

use std::sync::Arc;

use backtestd_core::graph::engine::{CheckpointError, Engine, EngineOptions, EngineOutput};
use backtestd_core::graph::{EventNode, Graph, Literal, Op, Output, Rolling, Rolling2};
use backtestd_core::market::{BarIndex, Source, Symbol, TickBlock, hex};
use proptest::prelude::*;

use build::{Build, Gene, awkward_block, decode, roll, slice, three_symbols};
use twin::Twin;

const LIVE: EngineOptions = EngineOptions { slack_rows: 5, threads: false };

fn run(graph: &Arc<Graph>, symbols: &[Symbol], block: &TickBlock, opts: EngineOptions) -> EngineOutput {
    Engine::new(Arc::clone(graph), symbols, block.first, opts).push(block).unwrap()
}

/// Pushes `block` in pieces; after each piece that `restart` names, the engine is saved and restored.
fn run_in_pieces(
    graph: &Arc<Graph>,
    symbols: &[Symbol],
    block: &TickBlock,
    opts: EngineOptions,
    mut piece: impl FnMut(usize) -> (usize, bool),
) -> EngineOutput {
    let mut engine = Engine::new(Arc::clone(graph), symbols, block.first, opts);
    let mut all: Option<EngineOutput> = None;
    let mut at = 0;
    while at < block.rows {
        let (rows, restart) = piece(at);
        let rows = rows.clamp(1, block.rows - at);
        let out = engine.push(&slice(block, at, rows)).unwrap();
        all = Some(match all {
            None => out,
            Some(before) => join(before, out),
        });
        at += rows;
        if restart {
            engine =
                Engine::restore(Arc::clone(graph), symbols, &engine.checkpoint().unwrap(), opts).unwrap();
        }
    }
    all.unwrap()
}

fn join(mut a: EngineOutput, b: EngineOutput) -> EngineOutput {
    a.rows += b.rows;
    for (a, b) in a.symbols.iter_mut().zip(b.symbols) {
        a.features.append(&b.features);
        a.states.append(&b.states);
        a.detections.extend(b.detections);
        a.episode_ends.extend(b.episode_ends);
        for (a, b) in a.suppressed.iter_mut().zip(b.suppressed) {
            a.in_episode += b.in_episode;
            a.too_soon += b.too_soon;
            a.undetermined += b.undetermined;
        }
        for (a, b) in a.known_rows.iter_mut().zip(b.known_rows) {
            *a += b;
        }
        a.open = b.open;
    }
    a
}

/// Bit for bit, NaN included.
fn assert_same(graph: &Graph, a: &EngineOutput, b: &EngineOutput) {
    for (s, (a, b)) in a.symbols.iter().zip(&b.symbols).enumerate() {
        for (f, (x, y)) in a.features.iter().zip(b.features.iter()).enumerate() {
            let differs = x.iter().zip(y).position(|(x, y)| x.to_bits() != y.to_bits());
            assert!(
                differs.is_none() && x.len() == y.len(),
                "symbol {s} node {f} {:?} row {differs:?}: {:?} {:?}",
                graph.nodes[f],
                differs.map(|t| x[t]),
                differs.map(|t| y[t]),
            );
        }
        assert_eq!(format!("{:?}", a.detections), format!("{:?}", b.detections));
        assert_eq!(a.episode_ends, b.episode_ends);
        assert_eq!(a.suppressed, b.suppressed);
        assert_eq!(a.known_rows, b.known_rows);
        assert_eq!(a.open, b.open);
    }
}

/// How far apart engine and twin may be, or None where the comparison says nothing.
fn tolerance(op: &Op, scale: f64, expect: f64) -> Option<f64> {
    if expect == twin::SKIP {
        return None;
    }
    let loose = 1e-9 * (1.0 + expect.abs());
    Some(match op {
        Op::Roll { f: Rolling::Sum | Rolling::Mean | Rolling::Wma, .. } | Op::TodMean { .. } => 1e-11 * scale,
        Op::Roll { f: Rolling::Var, .. } | Op::Roll2 { f: Rolling2::Cov, .. } => 1e-11 * scale * scale,
        // The twin's own rounding decides where the spread is nothing but rounding.
        Op::Roll { f: Rolling::Std | Rolling::Z | Rolling::Skew, .. } | Op::Roll2 { .. } => {
            if scale > 1e4 {
                return None;
            }
            1e-6 * (1.0 + expect.abs())
        }
        Op::Ln | Op::Exp | Op::Pow | Op::NormCdf | Op::NormInv | Op::Ewm { .. } | Op::Vpin { .. } => loose,
        Op::Universe { .. } => 1e-11 * scale.max(1.0),
        _ => 0.0,
    })
}

fn check_against_twin(graph: &Graph, symbols: &[Symbol], block: &TickBlock, got: &EngineOutput) {
    let values: twin::Values = (0..graph.nodes.len())
        .map(|node| got.symbols.iter().map(|s| s.features[node].to_vec()).collect())
        .collect();
    let twin = Twin { graph, symbols, block };
    for (ix, node) in graph.nodes.iter().enumerate() {
        for s in 0..symbols.len() {
            let expect = twin.expect(node, &values, s);
            let scale = node
                .inputs
                .iter()
                .flat_map(|i| values[i.ix()].iter().flatten())
                .filter(|v| !v.is_nan())
                .fold(1.0_f64, |m, v| m.max(v.abs()));
            for (t, (got, expect)) in values[ix][s].iter().zip(expect).enumerate() {
                let expect = if expect.is_infinite() { f64::NAN } else { expect };
                let Some(tolerance) = tolerance(&node.op, scale, expect) else { continue };
                let close = (got.is_nan() && expect.is_nan())
                    || (got - expect).abs() <= tolerance
                    || (scale > 1e100 && tolerance > 0.0);
                assert!(close, "node {ix} {node:?} symbol {s} row {t}: got {got}, expected {expect}");
            }
        }
    }
}

fn genes(n: usize) -> impl Strategy<Value = Vec<Gene>> {
    prop::collection::vec((any::<u8>(), any::<[u8; 4]>(), any::<u8>(), any::<u8>()), 1..n)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_operator_agrees_with_its_brute_force_twin(genes in genes(24), seed in any::<u64>()) {
        let graph = decode(&genes);
        let symbols = three_symbols();
        let block = awkward_block(seed, BarIndex(5_800_000 + (seed % 97) as i64), 400);
        let got = run(&graph, &symbols, &block, LIVE);
        check_against_twin(&graph, &symbols, &block, &got);
    }

    #[test]
    fn chunks_restarts_and_threads_change_no_bit(genes in genes(40), seed in any::<u64>()) {
        let graph = decode(&genes);
        let symbols = three_symbols();
        let block = awkward_block(seed, BarIndex(5_800_000 + (seed % 97) as i64), 700);
        let whole = run(&graph, &symbols, &block, EngineOptions::BATCH);
        let mut noise = build::Noise(seed ^ 1);
        let pieces = run_in_pieces(&graph, &symbols, &block, LIVE, |_| {
            let rows = [1, 1, 2, 7, 33, 150][(noise.next() % 6) as usize];
            (rows, noise.next().is_multiple_of(4))
        });
        assert_same(&graph, &whole, &pieces);
    }
}

#[test]
fn a_checkpoint_of_another_graph_or_a_damaged_one_is_refused() {
    let genes = [(22_u8, [0_u8; 4], 3_u8, 0_u8)];
    let (graph, other) = (decode(&genes), decode(&[(23, [0; 4], 3, 0)]));
    let symbols = three_symbols();
    let mut engine = Engine::new(Arc::clone(&graph), &symbols, BarIndex(10), LIVE);
    engine.push(&awkward_block(1, BarIndex(10), 50)).unwrap();
    let bytes = engine.checkpoint().unwrap();
    let refused = |graph: &Arc<Graph>, symbols: &[Symbol], bytes: &[u8]| {
        Engine::restore(Arc::clone(graph), symbols, bytes, LIVE).map(|_| ()).unwrap_err()
    };
    let CheckpointError::OtherGraph { expected, found } = refused(&other, &symbols, &bytes) else {
        panic!("another graph was accepted")
    };
    assert_ne!(found, expected);
    assert!(matches!(refused(&graph, &symbols[..2], &bytes), CheckpointError::OtherSymbols { .. }));
    let mut damaged = bytes.clone();
    damaged[bytes.len() / 2] ^= 1;
    assert!(matches!(refused(&graph, &symbols, &damaged), CheckpointError::Damaged { .. }));
    for cut in [0, 5, 11, 40, bytes.len() - 1] {
        let _ = refused(&graph, &symbols, &bytes[..cut]);
    }
    assert!(Engine::restore(graph, &symbols, &bytes, LIVE).is_ok());
}

/// A checkpoint written by this layout (version 3). Another layout needs another version, and then this file
/// anew: the test says how.
#[test]
fn a_checkpoint_of_today_can_be_restored_tomorrow() {
    let golden =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/engine_checkpoint_3.hex");
    let (graph, symbols) = (decode(&[(22, [0; 4], 3, 0), (40, [1; 4], 3, 0)]), &three_symbols()[..1]);
    let one = |rows: TickBlock| TickBlock { symbols: rows.symbols[..1].to_vec(), ..rows };
    let mut engine = Engine::new(Arc::clone(&graph), symbols, BarIndex(10), LIVE);
    engine.push(&one(awkward_block(3, BarIndex(10), 12))).unwrap();
    let found = hex(&engine.checkpoint().unwrap());
    if std::env::var_os("BACKTESTD_WRITE_GOLDEN").is_some() {
        std::fs::write(&golden, format!("{found}\n")).unwrap();
    }
    let expected = std::fs::read_to_string(&golden).unwrap();
    assert_eq!(
        found,
        expected.trim(),
        "the layout changed: raise its version, then set BACKTESTD_WRITE_GOLDEN=1"
    );
    let next = one(awkward_block(4, BarIndex(22), 12));
    let mut restored =
        Engine::restore(Arc::clone(&graph), symbols, &bytes_of(expected.trim()), LIVE).unwrap();
    assert_same(&graph, &engine.push(&next).unwrap(), &restored.push(&next).unwrap());
}

fn bytes_of(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn a_block_that_does_not_follow_is_refused_and_changes_nothing() {
    let graph = decode(&[(22, [0; 4], 3, 0)]);
    let symbols = three_symbols();
    let mut engine = Engine::new(graph, &symbols, BarIndex(10), LIVE);
    let late = awkward_block(1, BarIndex(12), 5);
    assert!(engine.push(&late).unwrap_err().to_string().contains("next bar is"));
    assert_eq!(engine.next_bar(), BarIndex(10));
    engine.push(&awkward_block(1, BarIndex(10), 2)).unwrap();
    assert_eq!(engine.next_bar(), BarIndex(12));
    engine.push(&late).unwrap();
}

/// Every operator, on the grid and on an event clock where it may have one.
fn every_operator() -> Arc<Graph> {
    let genes: Vec<Gene> = (0..build::KINDS)
        .flat_map(|kind| [40_u8, 45, 200, 221].map(|q| (kind, [kind, q, 7, 3], kind ^ q, q)))
        .collect();
    decode(&genes)
}

#[test]
fn every_operator_agrees_with_its_twin_on_grid_and_event_clock() {
    let graph = every_operator();
    let symbols = three_symbols();
    let block = awkward_block(7, BarIndex(5_800_001), 900);
    let whole = run(&graph, &symbols, &block, EngineOptions::BATCH);
    check_against_twin(&graph, &symbols, &block, &whole);
    for rows in [1, 7, 288, 1000] {
        let pieces = run_in_pieces(&graph, &symbols, &block, LIVE, |at| (rows, at % 5 == 0));
        assert_same(&graph, &whole, &pieces);
    }
}

#[test]
fn what_is_known_at_a_row_does_not_depend_on_later_rows() {
    let graph = every_operator();
    let symbols = three_symbols();
    let block = awkward_block(8, BarIndex(5_800_001), 600);
    let whole = run(&graph, &symbols, &block, EngineOptions::BATCH);
    for rows in [1, 299, 300, 599] {
        let prefix = run(&graph, &symbols, &slice(&block, 0, rows), EngineOptions::BATCH);
        for (long, short) in whole.symbols.iter().zip(&prefix.symbols) {
            for (long, short) in long.features.iter().zip(short.features.iter()) {
                assert!(long.iter().zip(short).all(|(a, b)| a.to_bits() == b.to_bits()));
            }
            let known: Vec<_> =
                long.detections.iter().filter(|d| d.bar < block.first + rows as i64).collect();
            assert_eq!(format!("{known:?}"), format!("{:?}", short.detections.iter().collect::<Vec<_>>()));
        }
    }
}

/// Windowed statistics of one series over several windows.
fn windowed(windows: &[u32]) -> Arc<Graph> {
    let mut b = Build::default();
    let x = b.source(Source::Close);
    let y = b.source(Source::Volume);
    let one = [
        Rolling::Sum,
        Rolling::Mean,
        Rolling::Std,
        Rolling::Var,
        Rolling::Z,
        Rolling::Skew,
        Rolling::Min,
        Rolling::Max,
        Rolling::Quantile(Literal::new(0.3)),
        Rolling::PctRank,
        Rolling::AgeMax,
        Rolling::Wma,
    ];
    for w in windows {
        for f in one {
            b.node(roll(f, *w, w / 2), &[x]);
        }
        for f in [Rolling2::Corr, Rolling2::Cov, Rolling2::Beta] {
            b.node(Op::Roll2 { f, window: *w, min: w / 2 }, &[x, y]);
        }
    }
    b.done()
}

/// A walk with gaps at a high level: what makes running sums drift.
fn walk(seed: u64, first: BarIndex, rows: usize) -> TickBlock {
    let mut noise = build::Noise(seed);
    let mut level = 1e6;
    let mut x = Vec::new();
    let mut y = Vec::new();
    for _ in 0..rows {
        level += noise.normal();
        x.push(if noise.next().is_multiple_of(50) { f64::NAN } else { level });
        y.push(level * 1e-3 + noise.normal());
    }
    let columns = build::columns(&[(Source::Close, x), (Source::Volume, y)]);
    TickBlock { first, rows, symbols: vec![columns] }
}

/// What keeps sums, and would drift if it subtracted: over two series, in a few windows.
fn summed() -> Arc<Graph> {
    let mut b = Build::default();
    let (x, y) = (b.source(Source::Close), b.source(Source::Volume));
    for (w, f) in [
        (12, Rolling::Sum),
        (2016, Rolling::Mean),
        (288, Rolling::Std),
        (96, Rolling::Var),
        (96, Rolling::Z),
        (288, Rolling::Skew),
        (2016, Rolling::Wma),
    ] {
        b.node(roll(f, w, w / 2), &[x]);
    }
    for f in [Rolling2::Corr, Rolling2::Cov, Rolling2::Beta] {
        b.node(Op::Roll2 { f, window: 288, min: 144 }, &[x, y]);
    }
    b.done()
}

/// After `parts` stretches of `rows` rows, the last windows against those of an engine that has seen nothing
/// else.
fn does_not_drift(graph: &Arc<Graph>, parts: u64, rows: usize, longest: usize) {
    let symbols = [build::symbol("BTCUSDT")];
    let first = BarIndex(4_000_003);
    let mut engine = Engine::new(Arc::clone(graph), &symbols, first, EngineOptions::BATCH);
    // The same few stretches again and again: drift does not care, and noise takes its time.
    let mut stretches: Vec<TickBlock> = (0..5).map(|seed| walk(seed, first, rows)).collect();
    for part in 0..parts {
        let stretch = &mut stretches[part as usize % 5];
        stretch.first = engine.next_bar();
        engine.push(stretch).unwrap();
    }
    let last = walk(99, engine.next_bar(), longest + 700);
    let old = engine.push(&last).unwrap();
    let fresh = run(graph, &symbols, &last, EngineOptions::BATCH);
    for (a, b) in old.symbols[0].features.iter().zip(fresh.symbols[0].features.iter()) {
        // Both windows are full of the same rows from here on.
        let full = longest - 1;
        assert!(a[full..].iter().zip(&b[full..]).all(|(a, b)| a.to_bits() == b.to_bits()));
    }
}

#[test]
fn a_million_rows_later_windows_are_what_a_fresh_engine_computes() {
    does_not_drift(&windowed(&[12, 288]), 20, 50_000, 288);
}

#[test]
fn ten_million_rows_later_sums_and_moments_are_what_a_fresh_engine_computes() {
    does_not_drift(&summed(), 200, 50_000, 2016);
}

#[test]
fn an_event_without_its_column_is_unavailable_and_unknown() {
    let mut b = Build::default();
    let close = b.source(Source::Close);
    let zero = b.number(0.0);
    let up = b.greater(close, zero);
    let rule = EventNode { needs: vec![Source::Close, Source::Oi], ..build::rule() };
    let never = b.node(Op::Truth(Some(false)), &[]);
    let (event, detect) = b.event([up, never, close, close], rule);
    let active = b.node(Op::Active(event), &[detect]);
    let graph = b.done();
    let symbols = three_symbols();
    let block = awkward_block(3, BarIndex(77), 100);
    let mut engine = Engine::new(Arc::clone(&graph), &symbols, block.first, LIVE);
    let out = engine.push(&block).unwrap();
    assert_eq!(engine.unavailable(&symbols[2]), [(event, Source::Oi)]);
    assert_eq!(engine.unavailable(&symbols[0]), []);
    assert!(!out.symbols[0].detections.is_empty());
    assert!(out.symbols[2].detections.is_empty());
    assert_eq!(out.symbols[2].known_rows, [0]);
    for node in [detect, active] {
        assert!(out.symbols[2].features[node.ix()].iter().all(|v| v.is_nan()));
    }
}

#[test]
fn a_detection_carries_the_values_of_its_own_row() {
    let mut b = Build::default();
    let close = b.source(Source::Close);
    let zero = b.number(0.0);
    let up = b.greater(close, zero);
    let never = b.node(Op::Truth(Some(false)), &[]);
    let (event, detect) = b.event([up, never, close, close], build::rule());
    let later = b.node(roll(Rolling::Sum, 3, 1), &[close]);
    b.graph.events[0].snapshot = vec![Output { name: "sum".into(), node: later }];
    let direction = b.node(Op::EventDir(event), &[detect]);
    let graph = b.done();
    let symbols = three_symbols();
    let block = awkward_block(4, BarIndex(1000), 300);
    let out = run(&graph, &symbols, &block, LIVE);
    for symbol in &out.symbols {
        assert!(symbol.detections.is_sorted_by_key(|d| (d.bar, d.event)));
        let fired: Vec<usize> = (0..300).filter(|t| symbol.features[detect.ix()][*t] == 1.0).collect();
        assert_eq!(fired.len(), symbol.detections.len());
        assert!(fired.len() > 10);
        for (t, d) in fired.iter().zip(&symbol.detections) {
            assert_eq!(d.bar, BarIndex(1000 + *t as i64));
            assert_eq!(d.snapshot, [symbol.features[later.ix()][*t]]);
            assert_eq!(d.severity, symbol.features[close.ix()][*t]);
            assert_eq!(f64::from(d.direction), symbol.features[direction.ix()][*t]);
        }
    }
}
