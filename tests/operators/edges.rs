//! The edges of windows, and rows where nothing is known.

use std::sync::Arc;

use backtestd_core::graph::engine::EngineOptions;
use backtestd_core::graph::{Cmp, Graph, Literal, NodeId, Op, Rolling, Rolling2, Universe};
use backtestd_core::market::{BarIndex, Source, SymbolColumns, TickBlock};

use super::build::{Build, Noise, awkward_block, columns, roll, symbol, three_symbols};
use super::{LIVE, assert_same, check_against_twin, run, run_in_pieces};

const N: f64 = f64::NAN;

fn of_numbers() -> Vec<Rolling> {
    let quantile = |q| Rolling::Quantile(Literal::new(q));
    vec![
        Rolling::Sum,
        Rolling::Mean,
        Rolling::Std,
        Rolling::Var,
        Rolling::Z,
        Rolling::Skew,
        Rolling::Min,
        Rolling::Max,
        quantile(0.0),
        quantile(0.5),
        quantile(0.97),
        quantile(1.0),
        Rolling::PctRank,
        Rolling::AgeMax,
        Rolling::AgeMin,
        Rolling::Wma,
    ]
}

const OF_FLAGS: [Rolling; 3] = [Rolling::Count, Rolling::Any, Rolling::All];
const OF_PAIRS: [Rolling2; 3] = [Rolling2::Corr, Rolling2::Cov, Rolling2::Beta];

/// Every windowed operator over windows of 1, 2, 5 and 33 rows, with `min` at both ends and between, on the
/// grid and on an event clock.
fn every_window() -> Arc<Graph> {
    let mut b = Build::default();
    let (x, y) = (b.source(Source::Close), b.source(Source::Volume));
    let (zero, tick) = (b.number(0.0), b.source(Source::Oi));
    let (c, clock) = (b.greater(x, zero), b.greater(tick, zero));
    for clock in [None, Some(clock)] {
        for window in [1_u32, 2, 5, 33] {
            for min in [1, window.div_ceil(2), window] {
                for f in of_numbers() {
                    b.clocked(roll(f, window, min), &[x], clock);
                }
                for f in OF_FLAGS {
                    b.clocked(roll(f, window, min), &[c], clock);
                }
                for f in OF_PAIRS {
                    b.clocked(Op::Roll2 { f, window, min }, &[x, y], clock);
                }
            }
            b.clocked(Op::Held { n: window }, &[c], clock);
            b.clocked(Op::Ffill { max: window }, &[x], clock);
        }
    }
    b.done()
}

/// Stretches of 80 rows: all unknown, one known value, constant, two values in turn, rising, falling, noise,
/// noise with gaps, constant with gaps, zeros of both signs.
fn stretches(seed: u64) -> Vec<f64> {
    let mut noise = Noise(seed);
    let mut out = Vec::new();
    for kind in 0..10 {
        for i in 0..80 {
            out.push(match kind {
                0 => N,
                1 => {
                    if i == 40 {
                        3.0
                    } else {
                        N
                    }
                }
                2 => 0.1,
                3 => [1.0, -1.0][i % 2],
                4 => i as f64,
                5 => -(i as f64),
                6 => noise.normal(),
                7 => {
                    if noise.next().is_multiple_of(3) {
                        N
                    } else {
                        noise.normal()
                    }
                }
                8 => {
                    if i % 3 == 0 {
                        N
                    } else {
                        7.0
                    }
                }
                _ => [0.0, -0.0][i % 2],
            });
        }
    }
    out
}

fn block() -> TickBlock {
    let (x, mut y) = (stretches(1), stretches(2));
    // The second operand meets every stretch of the first with another of its own.
    y.rotate_left(240);
    let mut noise = Noise(3);
    let tick = (0..x.len()).map(|_| noise.normal() + 0.3).collect();
    let one = columns(&[(Source::Close, x), (Source::Volume, y), (Source::Oi, tick)]);
    TickBlock { first: BarIndex(5_800_017), rows: 800, symbols: vec![one] }
}

#[test]
fn windows_are_right_at_every_edge_and_over_constants_ties_and_nothing() {
    let (graph, block, symbols) = (every_window(), block(), [symbol("BTCUSDT")]);
    let whole = run(&graph, &symbols, &block, EngineOptions::BATCH);
    check_against_twin(&graph, &symbols, &block, &whole);
    for rows in [1, 3, 64, 79] {
        let pieces = run_in_pieces(&graph, &symbols, &block, LIVE, |at| (rows, at % 7 == 0));
        assert_same(&graph, &whole, &pieces);
    }
}

#[test]
fn a_window_without_a_known_row_is_unknown_whatever_the_operator() {
    let (graph, symbols) = (every_window(), [symbol("BTCUSDT")]);
    let nothing = vec![N; 200];
    let tick = vec![1.0; 200];
    let one = columns(&[(Source::Close, nothing.clone()), (Source::Volume, nothing), (Source::Oi, tick)]);
    let block = TickBlock { first: BarIndex(1000), rows: 200, symbols: vec![one] };
    let out = run(&graph, &symbols, &block, LIVE);
    for (node, values) in graph.nodes.iter().zip(out.symbols[0].features.iter()) {
        if matches!(node.op, Op::Roll { .. } | Op::Roll2 { .. } | Op::Held { .. } | Op::Ffill { .. }) {
            assert!(values.iter().all(|v| v.is_nan()), "{node:?}");
        }
    }
}

/// The value of `op` on the last row of `x`.
fn last_of(op: Op, x: &[f64]) -> f64 {
    let mut b = Build::default();
    let source = b.source(Source::Close);
    let zero = b.number(0.0);
    let flag = b.node(Op::Compare(Cmp::Gt), &[source, zero]);
    let is_flag =
        matches!(op, Op::Roll { f: Rolling::Count | Rolling::Any | Rolling::All, .. } | Op::Held { .. });
    let node = b.node(op, &[if is_flag { flag } else { source }]);
    let one = columns(&[(Source::Close, x.to_vec())]);
    let block = TickBlock { first: BarIndex(70), rows: x.len(), symbols: vec![one] };
    run(&b.done(), &[symbol("BTCUSDT")], &block, LIVE).symbols[0].features[node.ix()][x.len() - 1]
}

#[track_caller]
fn check(op: Op, x: &[f64], expect: f64) {
    let got = last_of(op.clone(), x);
    assert!(got == expect || (got.is_nan() && expect.is_nan()), "{op:?} of {x:?}: {got}, expected {expect}");
}

#[test]
fn the_rules_of_the_table_by_hand() {
    let quantile = |q| Rolling::Quantile(Literal::new(q));
    // A sum is not rescaled for unknowns; a mean is over known values.
    check(roll(Rolling::Sum, 3, 1), &[5.0, 1.0, N, 2.0], 3.0);
    check(roll(Rolling::Mean, 3, 2), &[5.0, 1.0, N, 2.0], 1.5);
    check(roll(Rolling::Mean, 3, 3), &[5.0, 1.0, N, 2.0], N);
    // The newest row weighs as much as the window is long; an unknown row takes its weight with it.
    check(roll(Rolling::Wma, 3, 3), &[9.0, 1.0, 2.0, 6.0], (1.0 + 4.0 + 18.0) / 6.0);
    check(roll(Rolling::Wma, 3, 2), &[9.0, 1.0, N, 5.0], (1.0 + 15.0) / 4.0);
    check(roll(Rolling::Wma, 3, 1), &[9.0, 1.0, N, N], 1.0);
    check(roll(Rolling::Wma, 3, 3), &[9.0, 1.0, N, 5.0], N);
    check(roll(Rolling::Wma, 1, 1), &[7.0, 3.0], 3.0);
    // Deviations need two values, skewness three; no spread is no skewness and no z, but a standard deviation
    // of 0.
    check(roll(Rolling::Std, 3, 1), &[N, N, 2.0], N);
    check(roll(Rolling::Std, 3, 1), &[2.0, 2.0, 2.0], 0.0);
    check(roll(Rolling::Z, 3, 1), &[2.0, 2.0, 2.0], N);
    check(roll(Rolling::Skew, 3, 1), &[N, 1.0, 2.0], N);
    check(roll(Rolling::Skew, 3, 1), &[2.0, 2.0, 2.0], N);
    // Order statistics: linear between neighbours, mid-rank including itself, unknown if the row is.
    check(roll(quantile(0.5), 4, 1), &[4.0, 1.0, 2.0, 3.0], 2.5);
    check(roll(quantile(0.25), 5, 1), &[5.0, 4.0, 3.0, 2.0, 1.0], 2.0);
    check(roll(Rolling::PctRank, 4, 1), &[1.0, 2.0, 2.0, 2.0], (1.0 + 1.5) / 4.0);
    check(roll(Rolling::PctRank, 1, 1), &[9.0], 0.5);
    check(roll(Rolling::PctRank, 3, 1), &[1.0, 2.0, N], N);
    // Extremes: ages count back to the most recent of ties, and need a whole window of rows.
    check(roll(Rolling::AgeMax, 4, 1), &[3.0, 1.0, 3.0, 2.0], 1.0);
    check(roll(Rolling::AgeMin, 4, 1), &[0.0, 1.0, 3.0, N], 3.0);
    check(roll(Rolling::AgeMax, 4, 1), &[3.0, 1.0, 2.0], N);
    // A series that begins late has no whole window either.
    check(roll(Rolling::AgeMax, 4, 1), &[N, N, 3.0, 1.0, 2.0], N);
    check(roll(Rolling::AgeMax, 4, 1), &[N, N, 3.0, 1.0, 2.0, 2.0], 3.0);
    // What varies by an ulp is constant.
    let ulp = |i: u32| 0.3 * (1.0 + f64::from(i % 2) * f64::EPSILON);
    let noise: Vec<f64> = (0..8).map(ulp).collect();
    check(roll(Rolling::Z, 8, 2), &noise, N);
    check(roll(Rolling::Skew, 8, 3), &noise, N);
    check(roll(Rolling::Std, 8, 2), &noise, 0.0);
    check(roll(Rolling::Max, 3, 1), &[9.0, 1.0, N, 2.0], 2.0);
    // `any` and `all` are decided by one row, whatever `min`; undecided, they need `min` known rows.
    check(roll(Rolling::Any, 3, 3), &[N, N, 1.0], 1.0);
    check(roll(Rolling::All, 3, 3), &[N, N, -1.0], 0.0);
    check(roll(Rolling::Any, 3, 2), &[N, -1.0, N], N);
    check(roll(Rolling::Any, 3, 2), &[-1.0, -1.0, N], 0.0);
    check(roll(Rolling::Count, 3, 2), &[1.0, N, 1.0], 2.0);
    check(roll(Rolling::Count, 3, 3), &[1.0, N, 1.0], N);
    // `held`: one known false decides, unknown rows keep it open.
    check(Op::Held { n: 3 }, &[1.0, 1.0, 1.0], 1.0);
    check(Op::Held { n: 3 }, &[-1.0, N, 1.0], 0.0);
    check(Op::Held { n: 3 }, &[-1.0, N, 1.0, 1.0], N);
    // The oldest value leaves exactly when the window has passed.
    check(roll(Rolling::Sum, 2, 1), &[100.0, 1.0, 2.0], 3.0);
    check(Op::Ffill { max: 1 }, &[4.0, N], 4.0);
    check(Op::Ffill { max: 1 }, &[4.0, N, N], N);
    check(Op::PctChange { k: 2 }, &[4.0, N, 5.0], 0.25);
    check(Op::PctChange { k: 1 }, &[0.0, 5.0], N);
}

/// Every operator across symbols, over one number.
fn across() -> Arc<Graph> {
    let mut b = Build::default();
    let x = b.source(Source::Volume);
    b.source(Source::Close);
    for f in [Universe::Median, Universe::Mean, Universe::Std, Universe::Rank] {
        for min in [1, 2, 3] {
            let node = b.node(Op::Universe { f, min }, &[x]);
            b.node(roll(Rolling::Mean, 5, 2), &[node]);
        }
    }
    b.node(Op::Of(backtestd_core::graph::SymbolRef::Named(symbol("ZECUSDT"))), &[x]);
    b.done()
}

#[test]
fn the_order_in_which_symbols_are_listed_changes_no_bit_for_any_of_them() {
    let graph = across();
    let (names, block) = (three_symbols(), awkward_block(21, BarIndex(5_800_000), 500));
    let whole = run(&graph, &names, &block, EngineOptions::BATCH);
    for order in [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let listed: Vec<_> = order.iter().map(|s| names[*s].clone()).collect();
        let columns: Vec<SymbolColumns> = order.iter().map(|s| block.symbols[*s].clone()).collect();
        let turned = TickBlock { symbols: columns, ..block.clone() };
        for opts in [LIVE, EngineOptions { threads: true, ..LIVE }] {
            let out = run(&graph, &listed, &turned, opts);
            for (at, s) in order.iter().enumerate() {
                for node in 0..graph.nodes.len() {
                    let (a, b) = (&whole.symbols[*s].features[node], &out.symbols[at].features[node]);
                    let same = a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits());
                    assert!(same, "{} {:?} in order {order:?}", names[*s], graph.node(NodeId(node as u32)));
                }
            }
        }
    }
}
